//! What was found out about a runsc on this host, for as long as both are the same: asking takes longer than a start.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nucleus_abi::Result;
use nucleus_linux::fault::OrFail;
use serde::{Deserialize, Serialize};

use crate::platform::Platform;

/// Version of the file's language.
const VERSION: u32 = 1;
/// A longer file is none of ours, in bytes.
const LONGEST: u64 = 1 << 16;

/// Which program it was. Whoever changes a program changes the time of its last change (`st_ctime`), which nobody can set; a digest
/// of 30 MB would cost more than what it spares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    program: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    /// A platform that starts under one kernel need not start under the next.
    boot: String,
}

impl Identity {
    /// Of the program as it is now.
    pub(crate) fn of(program: &Path) -> Result<Self> {
        let metadata = fs::metadata(program).or_fail("look at runsc", program.display())?;
        let id = "/proc/sys/kernel/random/boot_id";
        Ok(Self {
            program: program.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            boot: fs::read_to_string(id).or_fail("read the boot's id", id)?.trim().to_owned(),
        })
    }
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) identity: Identity,
    /// Its answer to `--version`.
    pub(crate) version: String,
    /// Platforms that were tried: why one does not start, or nothing.
    pub(crate) platforms: BTreeMap<Platform, Option<String>>,
}

impl Facts {
    pub(crate) fn new(identity: Identity, version: String) -> Self {
        Self { identity, version, platforms: BTreeMap::new() }
    }
}

#[derive(Serialize, Deserialize)]
struct Memory {
    version: u32,
    programs: Vec<Facts>,
}

fn path(directory: &Path) -> PathBuf {
    directory.join("gvisor-runsc.json")
}

/// What is remembered of a program. What cannot be read, or is not our own file alone, is not believed.
pub(crate) fn recall(directory: &Path, identity: &Identity) -> Option<Facts> {
    read(directory)?.programs.into_iter().find(|facts| facts.identity == *identity)
}

fn read(directory: &Path) -> Option<Memory> {
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path(directory)).ok()?;
    let metadata = file.metadata().ok()?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o777 == 0o600;
    if !metadata.is_file() || !ours || metadata.size() > LONGEST {
        return None;
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    serde_json::from_str::<Memory>(&text).ok().filter(|memory| memory.version == VERSION)
}

/// Remembers it, if it is news. A failure costs the next call some time, and nothing else.
pub(crate) fn store(directory: &Path, facts: &Facts) {
    let others = read(directory).map(|memory| memory.programs).unwrap_or_default();
    if !others.contains(facts) {
        let _ = write(directory, facts, others);
    }
}

fn write(directory: &Path, facts: &Facts, mut programs: Vec<Facts>) -> io::Result<()> {
    let is_other = |one: &Facts| {
        one.identity.boot == facts.identity.boot && one.identity.program != facts.identity.program
    };
    programs.retain(is_other);
    programs.push(facts.clone());
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let new = directory.join(format!("gvisor-runsc.json.{}", std::process::id()));
    let written = new_file(&new)
        .and_then(|mut file| file.write_all(&serde_json::to_vec(&Memory { version: VERSION, programs })?))
        .and_then(|()| fs::rename(&new, path(directory)));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

fn new_file(path: &Path) -> io::Result<File> {
    let _ = fs::remove_file(path);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("nucleus-memory-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    fn facts() -> Facts {
        let platforms = [(Platform::Ptrace, None), (Platform::Kvm, Some("it hangs".to_owned()))];
        let identity = Identity::of(Path::new("/bin/sh")).unwrap();
        Facts { platforms: platforms.into(), ..Facts::new(identity, "runsc version 20240729".to_owned()) }
    }

    #[test]
    fn what_is_remembered_is_recalled_for_the_same_program_and_boot() {
        let directory = scratch("same");
        store(&directory, &facts());
        assert_eq!(recall(&directory, &facts().identity), Some(facts()));
        assert_eq!(fs::metadata(path(&directory)).unwrap().permissions().mode() & 0o777, 0o600);
        for other in [
            Identity { inode: 7, ..facts().identity },
            Identity { changed: (0, 0), ..facts().identity },
            Identity { boot: "another".to_owned(), ..facts().identity },
        ] {
            assert_eq!(recall(&directory, &other), None);
        }
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_file_that_others_may_write_or_that_is_none_is_not_believed() {
        let directory = scratch("foreign");
        store(&directory, &facts());
        fs::set_permissions(path(&directory), fs::Permissions::from_mode(0o620)).unwrap();
        assert_eq!(recall(&directory, &facts().identity), None);
        fs::remove_file(path(&directory)).unwrap();
        std::os::unix::fs::symlink("/dev/zero", path(&directory)).unwrap();
        assert_eq!(recall(&directory, &facts().identity), None);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn several_programs_are_remembered() {
        let directory = scratch("several");
        let other = Facts::new(Identity::of(Path::new("/bin/true")).unwrap(), "runsc version x".to_owned());
        store(&directory, &facts());
        store(&directory, &other);
        assert_eq!(recall(&directory, &facts().identity), Some(facts()));
        assert_eq!(recall(&directory, &other.identity), Some(other));
        fs::remove_dir_all(directory).unwrap();
    }
}
