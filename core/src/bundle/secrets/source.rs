//! Finding where a secret is read from, and what speaks against it.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nucleus_abi::Error;
use nucleus_sys::process::{self, Stdio};
use nucleus_sys::secrecy::Variable;
use nucleus_sys::{Mode, OFlags};
use rustix::fs::{CWD, openat};
use rustix::io::Errno;

use super::failed;
use crate::plan::{Decided, SecretPlan, SecretSource};

/// Where systemd puts the credentials of a service, systemd.exec(5).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// What can be read.
#[derive(Debug)]
pub(super) enum Supply<'s> {
    /// A variable of ours.
    Variable(Variable),
    /// A regular file.
    File(File),
    /// Something that may keep us waiting.
    Stream(OwnedFd),
    /// What a program will write.
    Command {
        /// Program and arguments.
        words: &'s [String],
        /// How long it may take.
        timeout: Duration,
    },
}

/// What was found of a source.
#[derive(Debug)]
pub(super) struct Found<'s> {
    /// `None` where it is missing.
    pub(super) supply: Option<Supply<'s>>,
    /// What speaks against it; the profile decides whether that matters.
    pub(super) objections: Vec<Objection>,
}

/// What speaks against a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Objection {
    /// There is none.
    Missing(String),
    /// Who may change the link chooses the secret.
    Link(PathBuf),
    /// Others than the owner and the group may read or write it.
    Open(PathBuf, u32),
}

impl Objection {
    pub(super) fn error(&self, secret: &Decided<SecretPlan>) -> Error {
        match self {
            Self::Missing(cause) => failed(secret, cause)
                .hint("provide it, or say `optional: true` if the workload can do without"),
            Self::Link(path) => failed(secret, format!("{} is a link", path.display()))
                .hint("name the file that it leads to, or accept links with `enforcement: permissive`"),
            Self::Open(path, mode) => {
                let cause = format!("its mode is {mode:04o}: every user of the host may read or write it");
                failed(secret, cause).hint(format!("chmod o-rw {}", path.display()))
            }
        }
    }
}

impl<'s> Found<'s> {
    fn plainly(supply: Supply<'s>) -> Self {
        Self { supply: Some(supply), objections: Vec::new() }
    }

    fn missing(cause: impl Into<String>) -> Self {
        Self { supply: None, objections: vec![Objection::Missing(cause.into())] }
    }
}

/// Finds and opens a source, and reads nothing of it. An error is a cause that no profile lets pass.
pub(super) fn find(source: &SecretSource) -> Result<Found<'_>, String> {
    match source {
        SecretSource::File(path) => file(path),
        SecretSource::Credential(name) => match credential(name) {
            Some(path) => file(&path),
            None => {
                Ok(Found::missing(format!("${CREDENTIALS} is not set: systemd gave nucleus no credentials")))
            }
        },
        SecretSource::Variable(name) => variable(name),
        SecretSource::Descriptor(number) => match process::inherited(*number) {
            Ok(descriptor) => Ok(Found::plainly(Supply::Stream(descriptor))),
            Err(error) if error.raw_os_error() == Some(Errno::BADF.raw_os_error()) => {
                Ok(Found::missing(format!("nucleus was started without a descriptor {number}")))
            }
            Err(error) => Err(error.to_string()),
        },
        SecretSource::Command { words, timeout } => {
            Ok(Found::plainly(Supply::Command { words, timeout: *timeout }))
        }
    }
}

/// Lets go of a descriptor that has been read: it would lead whoever looks into this process to the secret, as long as the
/// container runs. Standard input stays a descriptor, lest the next one that is opened becomes it.
pub(super) fn close(number: i32) -> io::Result<()> {
    match number {
        0 => process::replace_stdio(File::open("/dev/null")?.as_fd(), Stdio::Input),
        number => process::close_inherited(number),
    }
}

/// Where a credential lies.
pub(super) fn credential(name: &str) -> Option<PathBuf> {
    let directory = std::env::var_os(CREDENTIALS).filter(|directory| !directory.is_empty())?;
    Some(Path::new(&directory).join(name))
}

pub(super) fn variable_name(name: &str) -> io::Result<CString> {
    Ok(CString::new(name)?)
}

fn variable(name: &str) -> Result<Found<'static>, String> {
    let variable = variable_name(name).and_then(|name: CString| Variable::find(&name as &CStr));
    Ok(match variable.map_err(|error| error.to_string())? {
        Some(variable) => Found::plainly(Supply::Variable(variable)),
        None => Found::missing(format!("${name} is not set")),
    })
}

/// Judged is the file that was opened, whatever its path leads to by then.
fn file(path: &Path) -> Result<Found<'static>, String> {
    let mut objections = Vec::new();
    let opened = match open(path, OFlags::NOFOLLOW) {
        Err(Errno::LOOP) => {
            objections.push(Objection::Link(path.to_owned()));
            open(path, OFlags::empty())
        }
        opened => opened,
    };
    let file = match opened {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Found::missing("there is no such file")),
        Err(errno) => return Err(io::Error::from(errno).to_string()),
    };
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is no regular file".to_owned());
    }
    objections.extend(openness(path, metadata.mode()));
    Ok(Found { supply: Some(Supply::File(file)), objections })
}

/// A fifo or a device must not keep us waiting, nor a terminal become ours.
fn open(path: &Path, more: OFlags) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | more;
    openat(CWD, path, flags, Mode::empty())
}

pub(super) fn openness(path: &Path, mode: u32) -> Option<Objection> {
    (mode & 0o006 != 0).then(|| Objection::Open(path.to_owned(), mode & 0o7777))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("nucleus-secret-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, mode: u32) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, "x").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_that_only_its_owner_and_group_read_is_taken() {
        let scratch = Scratch::new("closed");
        for mode in [0o400, 0o600, 0o640] {
            let found = file(&scratch.file("key", mode)).unwrap();
            assert!(matches!(found.supply, Some(Supply::File(_))) && found.objections.is_empty(), "{mode:o}");
        }
    }

    #[test]
    fn what_others_may_read_or_write_and_what_is_a_link_is_objected_to() {
        let scratch = Scratch::new("open");
        for mode in [0o604, 0o602, 0o644] {
            let path = scratch.file("key", mode);
            assert_eq!(file(&path).unwrap().objections, [Objection::Open(path, mode)]);
        }
        let link = scratch.0.join("link");
        symlink("key", &link).unwrap();
        let found = file(&link).unwrap();
        assert!(found.supply.is_some());
        assert_eq!(found.objections, [Objection::Link(link), Objection::Open(scratch.0.join("link"), 0o644)]);
    }

    #[test]
    fn what_is_no_file_is_refused_and_what_is_not_there_is_missing() {
        let scratch = Scratch::new("odd");
        let fifo = scratch.0.join("fifo");
        rustix::fs::mknodat(CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        for odd in [&fifo, &scratch.0, Path::new("/dev/null")] {
            assert_eq!(file(odd).unwrap_err(), "it is no regular file", "{}", odd.display());
        }
        let missing = file(&scratch.0.join("none")).unwrap();
        assert!(missing.supply.is_none() && matches!(missing.objections[..], [Objection::Missing(_)]));
    }

    #[test]
    fn a_descriptor_that_nucleus_opened_itself_is_none_that_it_inherited() {
        let own = File::open("/dev/null").unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&own);
        let found = find(&SecretSource::Descriptor(number)).unwrap().objections;
        assert!(matches!(&found[..], [Objection::Missing(_)]), "{found:?}");
    }
}
