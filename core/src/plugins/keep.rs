//! The copy of a plugin that stays with each container that it made, so that the container can be ended and deleted after the
//! plugin was upgraded or removed.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nucleus_abi::{Client, Error, ErrorCode, Kind, PluginForm, Result};
use rustix::fs::{MemfdFlags, StatVfsMountFlags, memfd_create};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::file::{Candidate, refuse};
use super::load::load;
use super::process::{self, Program};
use super::trust::Trusted;

/// The copies' names in a container's directory.
const LIBRARY: &str = "plugin";
const PROGRAM: &str = "plugin-program";

/// Where a container's plugin came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The file that was loaded.
    pub path: PathBuf,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
}

/// Keeps a copy of the backend's file in the container's directory; a backend that is part of the program needs none.
///
/// # Errors
/// `system-call`.
pub(crate) fn keep(client: &Client, container: &Path) -> Result<Option<Kept>> {
    let Some(origin) = client.file() else { return Ok(None) };
    let to = container.join(match origin.form {
        PluginForm::Library => LIBRARY,
        PluginForm::Program => PROGRAM,
    });
    copy(origin.file, &to).map_err(|error| {
        Error::new(ErrorCode::SystemCall, "keep a copy of the plugin with the container")
            .on(to.display())
            .because(error)
    })?;
    Ok(Some(Kept { path: origin.path.to_owned(), sha256: origin.sha256.to_owned() }))
}

fn copy(from: impl AsFd, to: &Path) -> io::Result<()> {
    // Opened anew: the offset of the descriptor that we have is shared with others.
    let mut from = File::open(format!("/proc/self/fd/{}", from.as_fd().as_raw_fd()))?;
    let mut to = OpenOptions::new().write(true).create_new(true).mode(0o700).open(to)?;
    io::copy(&mut from, &mut to).map(drop)
}

/// The plugin of which a copy stays with a container; `None` where there is none.
///
/// # Errors
/// `plugin-refused` and the rest that loading says.
pub(crate) fn open_kept(container: &Path) -> Result<Option<Client>> {
    let exists = |path: &PathBuf| path.symlink_metadata().is_ok();
    if let Some(path) = Some(container.join(LIBRARY)).filter(exists) {
        let candidate = Candidate::open(&path)?;
        let candidate = match in_memory(candidate.file(), candidate.path())? {
            Some(memory) => Candidate::of(memory, candidate.path().to_owned())?,
            None => candidate,
        };
        candidate.expect(Kind::Backend, &candidate.note().id)?;
        return load(Trusted::kept(candidate)).map(Some);
    }
    let Some(path) = Some(container.join(PROGRAM)).filter(exists) else { return Ok(None) };
    let program = Program::open(&path)?;
    let program = match in_memory(program.file(), program.path())? {
        Some(memory) => Program::of(memory, path)?,
        None => program,
    };
    process::kept(program).map(Some)
}

/// The state directory often lies on a file system that nothing can be executed from (`/run` is mounted `noexec`): then the copy
/// is used out of memory.
fn in_memory(file: &File, path: &Path) -> Result<Option<File>> {
    let fail = |error: io::Error| refuse(path, error);
    let status = rustix::fs::fstatvfs(file).map_err(|errno| fail(errno.into()))?;
    if !status.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Ok(None);
    }
    let copy = || -> io::Result<File> {
        let mut from = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let mut memory = File::from(executable_memory()?);
        io::copy(&mut from, &mut memory)?;
        memory.seek(SeekFrom::Start(0))?;
        Ok(memory)
    };
    copy().map(Some).map_err(|error| {
        fail(error).hint("the state directory is mounted `noexec`, and the host forbids executable memory (vm.memfd_noexec)")
    })
}

fn executable_memory() -> io::Result<OwnedFd> {
    let plain = MemfdFlags::CLOEXEC;
    match memfd_create(c"nucleus-plugin", plain | MemfdFlags::EXEC) {
        // Before Linux 6.3 there is no MFD_EXEC and every memfd is executable.
        Err(Errno::INVAL) => Ok(memfd_create(c"nucleus-plugin", plain)?),
        made => Ok(made?),
    }
}
