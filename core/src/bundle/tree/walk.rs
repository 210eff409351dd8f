//! A walk over a tree by all processors. The threads end before it returns.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::num::NonZero;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use nucleus_sys::calls;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Statx, StatxFlags, openat, statx};
use rustix::io::Errno;

use super::descriptors::{Room, explained};
use super::path::TreePath;
use crate::bundle::interruption;

/// More threads than this do not read faster.
const MOST_THREADS: usize = 16;

/// How much is read at once, in bytes.
const BUFFER: usize = 256 * 1024;

/// What is done with each thing of a tree.
pub(crate) trait Visitor: Sync {
    /// What goes with a directory while its entries are visited.
    type Place: Send + Sync;
    /// What is found out; the walk hands all of it over, in no order.
    type Output: Send;

    /// Whether something is looked at, by its name and what its directory says it is. It is not opened otherwise.
    fn wants(&self, _path: &TreePath, _kind: FileType) -> bool {
        true
    }

    /// A directory that was opened. Nothing is returned for one that is not to be entered.
    fn directory(
        &self,
        found: &Found<'_, Self::Place>,
        hands: &mut Hands<Self::Output>,
    ) -> io::Result<Option<Self::Place>>;

    /// Anything else. Files are open for reading, the rest as `O_PATH`.
    fn other(&self, found: &Found<'_, Self::Place>, hands: &mut Hands<Self::Output>) -> io::Result<()>;

    /// All that lies right in a directory has been visited, but not what lies deeper.
    fn leave(&self, _place: Self::Place) -> io::Result<()> {
        Ok(())
    }
}

/// Something that was opened, and what the kernel says of it.
pub(crate) struct Found<'a, P> {
    pub(crate) path: TreePath,
    /// Its last name; empty for the top.
    pub(crate) name: &'a CStr,
    pub(crate) file: BorrowedFd<'a>,
    pub(crate) stat: Statx,
    /// What goes with the directory that holds it; nothing for the top.
    pub(crate) place: Option<&'a P>,
    pub(crate) mounted: Mounted,
}

/// Whether something belongs to the file system of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mounted {
    /// It does.
    No,
    /// Another mount lies there.
    Over,
}

impl<P> Found<'_, P> {
    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.stx_mode.into())
    }
}

/// What one thread works with.
pub(crate) struct Hands<O> {
    pub(crate) output: Vec<O>,
    pub(crate) buffer: Vec<u8>,
}

/// Where and why a walk ended early.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) path: TreePath,
    pub(crate) cause: io::Error,
}

/// Walks over the tree below `root`, the top included.
///
/// # Errors
/// The first trouble that a thread meets; the others stop then.
pub(crate) fn walk<V: Visitor>(root: BorrowedFd<'_>, visitor: &V) -> Result<Vec<V::Output>, Trouble> {
    let _room = Room::make();
    let trouble = |cause| Trouble { path: TreePath::default(), cause };
    let top = openat(root, c".", OPEN_DIRECTORY, Mode::empty()).map_err(|errno| trouble(errno.into()))?;
    let stat = look(top.as_fd()).map_err(trouble)?;
    let crew = Crew { visitor, mount: mount_of(&stat), queue: Queue::default() };
    let mut own = Hands { output: Vec::new(), buffer: vec![0; BUFFER] };
    let found = Found {
        path: TreePath::default(),
        name: c"",
        file: top.as_fd(),
        stat,
        place: None,
        mounted: Mounted::No,
    };
    let place = visitor.directory(&found, &mut own).map_err(trouble)?;
    drop(found);
    if let Some(place) = place {
        let items = crew.entries(TreePath::default(), top, place).map_err(trouble)?;
        crew.queue.add(items);
    }
    crew.work_all(own)
}

/// Everything that the threads of one walk share.
struct Crew<'a, V: Visitor> {
    visitor: &'a V,
    mount: MountId,
    queue: Queue<V::Place>,
}

/// A directory whose entries are being visited. It is closed after the last of them.
struct Directory<P> {
    path: TreePath,
    file: OwnedFd,
    place: P,
}

/// An entry of a directory that nobody has looked at yet.
struct Item<P> {
    directory: Arc<Directory<P>>,
    name: CString,
    kind: FileType,
}

impl<V: Visitor> Crew<'_, V> {
    /// Works with as many threads as there are processors. Where no thread can be had, one does it all.
    fn work_all(&self, own: Hands<V::Output>) -> Result<Vec<V::Output>, Trouble> {
        let others = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS) - 1;
        let mut output = thread::scope(|scope| {
            let work = || self.work(Hands { output: Vec::new(), buffer: vec![0; BUFFER] });
            let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
            let threads: Vec<_> = (0..others).map_while(start).collect();
            let mut output = self.work(own);
            for thread in threads {
                match thread.join() {
                    Ok(more) => output.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            output
        });
        match self.queue.lock().trouble.take() {
            Some(trouble) => Err(trouble),
            None => Ok(std::mem::take(&mut output)),
        }
    }

    fn work(&self, mut hands: Hands<V::Output>) -> Vec<V::Output> {
        while let Some(item) = self.queue.next() {
            let path = item.directory.path.join(&item.name);
            match self.visit(item, &path, &mut hands) {
                Ok(items) => self.queue.done(items),
                Err(cause) => self.queue.fail(Trouble { path, cause: explained(cause) }),
            }
        }
        hands.output
    }

    /// Visits one entry, and returns those of a directory to be entered.
    fn visit(
        &self,
        item: Item<V::Place>,
        path: &TreePath,
        hands: &mut Hands<V::Output>,
    ) -> io::Result<Vec<Item<V::Place>>> {
        let Item { directory, name, kind } = item;
        let items = self.visit_in(&directory, &name, kind, path, hands);
        // Exactly one thread gets it: the one that has visited the last entry.
        if let Some(directory) = Arc::into_inner(directory) {
            let left = self.visitor.leave(directory.place);
            return items.and_then(|items| left.map(|()| items));
        }
        items
    }

    fn visit_in(
        &self,
        directory: &Directory<V::Place>,
        name: &CStr,
        kind: FileType,
        path: &TreePath,
        hands: &mut Hands<V::Output>,
    ) -> io::Result<Vec<Item<V::Place>>> {
        interruption::check()?;
        let kind = known(directory.file.as_fd(), name, kind)?;
        if !self.visitor.wants(path, kind) {
            return Ok(Vec::new());
        }
        let file = open(directory.file.as_fd(), name, kind)?;
        let stat = look(file.as_fd())?;
        if FileType::from_raw_mode(stat.stx_mode.into()) != kind {
            return Err(changed());
        }
        let mounted = if mount_of(&stat) == self.mount { Mounted::No } else { Mounted::Over };
        let place = Some(&directory.place);
        let found = Found { path: path.clone(), name, file: file.as_fd(), stat, place, mounted };
        if kind != FileType::Directory {
            return self.visitor.other(&found, hands).map(|()| Vec::new());
        }
        match self.visitor.directory(&found, hands)? {
            Some(place) => self.entries(path.clone(), file, place),
            None => Ok(Vec::new()),
        }
    }

    /// The entries of a directory, those that are taken first last: a directory's files come before what lies deeper, so that
    /// few directories are open at once.
    fn entries(&self, path: TreePath, file: OwnedFd, place: V::Place) -> io::Result<Vec<Item<V::Place>>> {
        let mut names = Vec::new();
        let mut space = [MaybeUninit::uninit(); 8192];
        let mut entries = RawDir::new(&file, &mut space);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push((entry.file_name().to_owned(), entry.file_type()));
            }
        }
        names.sort_unstable_by_key(|(_, kind)| *kind != FileType::Directory);
        if names.is_empty() {
            return self.visitor.leave(place).map(|()| Vec::new());
        }
        let directory = Arc::new(Directory { path, file, place });
        let item = |(name, kind)| Item { directory: Arc::clone(&directory), name, kind };
        let items = names.into_iter().map(item).collect();
        // What `items` hold are the only references: the last one visited finds itself alone.
        drop(directory);
        Ok(items)
    }
}

const OPEN_DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// `NONBLOCK`: a fifo that took the file's place must not hold us.
const OPEN_FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

const OPEN_PATH: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn open(directory: BorrowedFd<'_>, name: &CStr, kind: FileType) -> io::Result<OwnedFd> {
    let flags = match kind {
        FileType::Directory => OPEN_DIRECTORY,
        FileType::RegularFile => OPEN_FILE,
        _ => OPEN_PATH,
    };
    openat(directory, name, flags, Mode::empty()).map_err(|errno| match errno {
        // A link or a socket where there was a file or a directory.
        Errno::LOOP | Errno::NOTDIR | Errno::NXIO | Errno::NOENT => changed(),
        errno => errno.into(),
    })
}

/// Some file systems do not say what an entry is.
fn known(directory: BorrowedFd<'_>, name: &CStr, kind: FileType) -> io::Result<FileType> {
    if kind != FileType::Unknown {
        return Ok(kind);
    }
    let file = openat(directory, name, OPEN_PATH, Mode::empty())?;
    Ok(FileType::from_raw_mode(look(file.as_fd())?.stx_mode.into()))
}

pub(crate) fn changed() -> io::Error {
    io::Error::other("it changed while it was looked at")
}

fn look(file: BorrowedFd<'_>) -> io::Result<Statx> {
    let found = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID);
    found.map_err(|errno| calls::named(errno.into()))
}

/// A mount, by its id, or by its device before Linux 5.8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MountId {
    Id(u64),
    Device(u32, u32),
}

fn mount_of(stat: &Statx) -> MountId {
    if stat.stx_mask & StatxFlags::MNT_ID.bits() != 0 {
        MountId::Id(stat.stx_mnt_id)
    } else {
        MountId::Device(stat.stx_dev_major, stat.stx_dev_minor)
    }
}

/// What is still to be visited. The newest is taken first.
struct Queue<P> {
    state: Mutex<State<P>>,
    ready: Condvar,
}

struct State<P> {
    items: Vec<Item<P>>,
    /// How many threads are visiting, and may bring more.
    busy: usize,
    trouble: Option<Trouble>,
}

impl<P> Default for Queue<P> {
    fn default() -> Self {
        let state = State { items: Vec::new(), busy: 0, trouble: None };
        Self { state: Mutex::new(state), ready: Condvar::new() }
    }
}

impl<P> Queue<P> {
    /// A thread that panicked has ended its walk anyway.
    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, items: Vec<Item<P>>) {
        self.lock().items.extend(items);
    }

    /// The next item; waits while others may bring one. Nothing when all is done, or when there was trouble.
    fn next(&self) -> Option<Item<P>> {
        let mut state = self.lock();
        loop {
            if state.trouble.is_some() {
                return None;
            }
            if let Some(item) = state.items.pop() {
                state.busy += 1;
                return Some(item);
            }
            if state.busy == 0 {
                return None;
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn done(&self, items: Vec<Item<P>>) {
        let mut state = self.lock();
        state.busy -= 1;
        let awaited = !items.is_empty() || (state.busy == 0 && state.items.is_empty());
        state.items.extend(items);
        drop(state);
        if awaited {
            self.ready.notify_all();
        }
    }

    fn fail(&self, trouble: Trouble) {
        let mut state = self.lock();
        state.busy -= 1;
        // Dropping what is left closes its directories.
        state.items.clear();
        state.trouble.get_or_insert(trouble);
        drop(state);
        self.ready.notify_all();
    }
}
