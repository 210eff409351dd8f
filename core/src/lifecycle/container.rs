//! A container's directory: its lock, its ledger, its record.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nucleus_abi::{ContainerId, Effect, Error, ErrorCode, Ledger, Process, Result, SCHEMA, read_ledger};
use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::owners;
use super::process;
use super::removal::remove_tree;
use super::state_root::StateRoot;

const LEDGER: &str = "ledger";

/// An id that was free and is ours now, with the ledger of what will be made under it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) directory: ContainerDirectory,
    pub(super) ledger: Ledger,
    /// This process: whoever finds the container knows by it whether somebody still works on it.
    pub(super) owner: Process,
}

impl Taken {
    /// Leaves the container to whoever will start and delete it. From here on neither `gc` nor any start removes it: one
    /// unlink(2) tells a container that was being made from one that is made.
    pub(super) fn leave(self, root: &StateRoot) {
        owners::forget(root, self.owner, self.directory.id());
    }
}

/// A container's directory, locked: nobody else changes the container while this value lives.
///
/// The lock is a flock(2) on the directory itself, so that it appears and vanishes together with it.
#[derive(Debug)]
pub(super) struct ContainerDirectory {
    id: ContainerId,
    path: PathBuf,
    lock: File,
    /// This process, if it made the container.
    maker: Option<Process>,
}

impl ContainerDirectory {
    /// Makes the directory, locked and with its ledger open.
    ///
    /// It is made under another name and renamed when it is whole, so that nobody ever sees a container without an
    /// owner; [`super::owners`] says what becomes of it when we die before.
    ///
    /// # Errors
    /// `container-exists`; `system-call` for the rest.
    pub(super) fn create(root: &StateRoot, id: &ContainerId) -> Result<Taken> {
        let path = root.container(id);
        let fail = |error: io::Error| failed("make the container's directory", &path, &error);
        let owner = process::this().map_err(fail)?;
        let unfinished = owners::unfinished(root, owner);
        DirBuilder::new().mode(0o700).create(&unfinished).map_err(fail)?;
        let made = (|| {
            let lock = open_directory(&unfinished)?;
            rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
            let ledger = open_ledger(&unfinished, owner)?;
            owners::note(root, owner, id)?;
            renameat_with(CWD, &unfinished, CWD, &path, RenameFlags::NOREPLACE)?;
            Ok(Taken {
                directory: Self { id: id.clone(), path: path.clone(), lock, maker: Some(owner) },
                ledger,
                owner,
            })
        })();
        made.map_err(|error: io::Error| {
            // Nothing has been made for the container yet but this directory and the note of its owner.
            let _ = fs::remove_dir_all(&unfinished);
            owners::forget(root, owner, id);
            if error.kind() == io::ErrorKind::AlreadyExists { exists(id) } else { fail(error) }
        })
    }

    /// Locks an existing container; `None` while somebody else works on it. Whoever runs one in the foreground holds its
    /// lock for as long as it lives.
    ///
    /// # Errors
    /// `container-not-found`, also when it goes meanwhile; `system-call` for the rest.
    pub(super) fn lock(root: &StateRoot, id: &ContainerId) -> Result<Option<Self>> {
        let path = root.container(id);
        let lock = open_directory(&path).map_err(|error| cannot_open(root, id, &error))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(errno) => return Err(failed("lock the container", &path, &errno.into())),
        }
        // Whoever held the lock before us may have removed the directory.
        if is_removed(&lock) {
            return Err(not_found(root, id));
        }
        Ok(Some(Self { id: id.clone(), path, lock, maker: None }))
    }

    /// Everything that the ledger holds, oldest first.
    ///
    /// # Errors
    /// `record-unreadable`. A ledger that does not exist holds nothing.
    pub(super) fn effects(&self) -> Result<Vec<Effect>> {
        effects_at(&self.path)
    }

    /// The container.
    pub(super) fn id(&self) -> &ContainerId {
        &self.id
    }

    /// The directory's path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the backend keeps what it must remember.
    pub(super) fn backend(&self) -> PathBuf {
        self.path.join("backend")
    }

    /// Where the bundle lies.
    pub(super) fn bundle(&self) -> PathBuf {
        self.path.join("bundle")
    }

    /// Removes the directory with all that it holds, and the lock with it. It loses its name first: whoever looks finds the
    /// whole container or none.
    ///
    /// # Errors
    /// `teardown`.
    pub(super) fn remove(self, root: &StateRoot) -> Result<()> {
        let remove = || {
            let us = self.maker.map_or_else(process::this, Ok)?;
            let unnamed = owners::unfinished(root, us);
            fs::rename(&self.path, &unnamed)?;
            remove_tree(&unnamed)
        };
        remove().map_err(|error: io::Error| {
            Error::new(ErrorCode::Teardown, "remove the container's directory")
                .on(self.path.display())
                .because(error)
        })
    }
}

impl AsFd for ContainerDirectory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }
}

/// The container's ledger, opened to be locked: see [`super::operation`].
///
/// # Errors
/// `container-not-found`; `system-call`.
pub(super) fn open_for_operation(root: &StateRoot, id: &ContainerId) -> Result<File> {
    let path = root.container(id).join(LEDGER);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::open(&path, flags, rustix::fs::Mode::empty()) {
        Ok(file) => Ok(file.into()),
        Err(errno) => Err(cannot_open(root, id, &errno.into())),
    }
}

fn open_ledger(directory: &Path, owner: Process) -> io::Result<Ledger> {
    let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(directory.join(LEDGER))?;
    let mut ledger = Ledger::new(file);
    ledger.record(&Effect::Container { schema: SCHEMA, boot: process::boot_id()?.to_owned(), owner })?;
    Ok(ledger)
}

/// The effects in the ledger of the container at `path`, without its lock.
///
/// # Errors
/// `record-unreadable`. A ledger that does not exist holds nothing.
pub(super) fn effects_at(path: &Path) -> Result<Vec<Effect>> {
    let path = path.join(LEDGER);
    let unreadable = |cause: &dyn std::fmt::Display| {
        Error::new(ErrorCode::RecordUnreadable, "read the ledger").on(path.display()).because(cause)
    };
    match fs::read_to_string(&path) {
        Ok(text) => read_ledger(&text).map_err(|error| unreadable(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(unreadable(&error)),
    }
}

fn open_directory(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc_flags()).open(path)
}

// A link in place of the directory is not ours: the state root is writable by its owner alone, but costs nothing to check.
fn libc_flags() -> i32 {
    (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed()
}

/// Whether what is open has lost its name: somebody removed the container.
pub(super) fn is_removed(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
}

fn exists(id: &ContainerId) -> Error {
    Error::new(ErrorCode::ContainerExists, "create the container")
        .on(id)
        .because("a container with this id exists")
        .hint("choose another id, or run `nucleus gc` if it is the remains of a crash")
}

fn cannot_open(root: &StateRoot, id: &ContainerId, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => not_found(root, id),
        _ => failed("open the container's directory", &root.container(id), error),
    }
}

/// The error for an id that nobody has. Engines look for these very words.
pub(super) fn not_found(root: &StateRoot, id: &ContainerId) -> Error {
    Error::new(ErrorCode::ContainerNotFound, "find the container").on(id).because(format!(
        "container does not exist: there is none with this id below {}",
        root.path().display()
    ))
}

fn failed(step: &'static str, path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorCode::SystemCall, step).on(path.display()).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(name: &str) -> StateRoot {
        let path = std::env::temp_dir().join(format!("nucleus-container-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        let root = StateRoot::at(path);
        root.ensure().unwrap();
        root
    }

    #[test]
    fn an_id_is_taken_once() {
        let root = root("once");
        let id: ContainerId = "web".parse().unwrap();
        let Taken { directory, .. } = ContainerDirectory::create(&root, &id).unwrap();
        assert_eq!(ContainerDirectory::create(&root, &id).unwrap_err().code, ErrorCode::ContainerExists);
        directory.remove(&root).unwrap();
        assert_eq!(ContainerDirectory::lock(&root, &id).unwrap_err().code, ErrorCode::ContainerNotFound);
        fs::remove_dir_all(root.path()).unwrap();
    }

    #[test]
    fn the_ledger_begins_with_its_owner() {
        let root = root("owner");
        let Taken { directory, .. } = ContainerDirectory::create(&root, &"web".parse().unwrap()).unwrap();
        let effects = directory.effects().unwrap();
        let [Effect::Container { owner, .. }] = effects.as_slice() else { panic!("{effects:?}") };
        assert!(process::is_alive(*owner));
        directory.remove(&root).unwrap();
        fs::remove_dir_all(root.path()).unwrap();
    }
}
