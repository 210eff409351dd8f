//! A copy of a tree: what its files hold, when they were changed, by whom they may be read.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nucleus_sys::{Mode, OFlags};
use rustix::fs::{
    AtFlags, FileType, Gid, SeekFrom, Statx, StatxTimestamp, Timespec, Timestamps, Uid, XattrFlags, chownat,
    copy_file_range, fchmod, fchown, fsetxattr, fstat, ftruncate, futimens, ioctl_ficlone, mkdirat, openat,
    seek, symlinkat, utimensat,
};
use rustix::io::{Errno, pread, pwrite};

use super::exclusions::Exclusions;
use super::owner::Ownership;
use super::survey::{Arrived, Offence, Verdict, verdict};
use crate::bundle::interruption;
use crate::bundle::tree::{Found, Hands, TreePath, Visitor, attributes, changed};

/// Copies what it visits.
pub(super) struct Copier<'a> {
    pub(super) exclusions: &'a Exclusions,
    pub(super) ownership: &'a Ownership,
    /// The directory that the copy of the top is; it is empty.
    pub(super) top: BorrowedFd<'a>,
    /// How many bytes it may hold.
    pub(super) limit: u64,
    pub(super) copied: AtomicU64,
    /// Something was found that makes the whole copy useless: only the rest of the like is still looked for.
    pub(super) refused: AtomicBool,
}

/// The copy of a directory, and what it is still to get.
pub(super) struct Copy {
    directory: OwnedFd,
    stat: Statx,
}

/// The permission bits that a copy keeps: no setuid, no setgid.
pub(super) const MODE: u32 = 0o1777;

impl Visitor for Copier<'_> {
    type Place = Copy;
    type Output = Verdict;

    fn wants(&self, path: &TreePath, kind: FileType) -> bool {
        self.exclusions.want(path, kind)
    }

    fn directory(&self, found: &Found<'_, Copy>, hands: &mut Hands<Verdict>) -> io::Result<Option<Copy>> {
        let verdict = self.judged(found)?;
        let copied = verdict.is_ok().then(|| self.copy_directory(found)).transpose()?;
        hands.output.push((found.path.clone(), verdict));
        Ok(copied)
    }

    fn other(&self, found: &Found<'_, Copy>, hands: &mut Hands<Verdict>) -> io::Result<()> {
        let verdict = self.judged(found)?;
        // The top is a directory, so whatever else there is lies in one.
        if let Some(place) = found.place.filter(|_| !self.refused.load(Ordering::Relaxed)) {
            match &verdict {
                Ok(Arrived::File) => self.copy_file(found, place, &mut hands.buffer)?,
                Ok(Arrived::Link(target)) => self.copy_link(found, place, target)?,
                Ok(Arrived::Directory) | Err(_) => {}
            }
        }
        hands.output.push((found.path.clone(), verdict));
        Ok(())
    }

    /// Last of all: making entries in it changes its times.
    fn leave(&self, copy: Copy) -> io::Result<()> {
        self.finish(copy.directory.as_fd(), &copy.stat)
    }
}

impl Copier<'_> {
    fn judged(&self, found: &Found<'_, Copy>) -> io::Result<Result<Arrived, Offence>> {
        let verdict = verdict(found)?;
        if verdict.is_err() {
            self.refused.store(true, Ordering::Relaxed);
        }
        Ok(verdict)
    }

    fn copy_directory(&self, found: &Found<'_, Copy>) -> io::Result<Copy> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match found.place {
            None => openat(self.top, c".", flags, Mode::empty())?,
            Some(place) => {
                mkdirat(&place.directory, found.name, Mode::RWXU)?;
                openat(&place.directory, found.name, flags, Mode::empty())?
            }
        };
        self.copy_attributes(found.file, directory.as_fd())?;
        Ok(Copy { directory, stat: found.stat })
    }

    fn copy_link(&self, found: &Found<'_, Copy>, place: &Copy, target: &[u8]) -> io::Result<()> {
        symlinkat(target, &place.directory, found.name)?;
        let (uid, gid) = self.ownership.of(found.stat.stx_uid, found.stat.stx_gid);
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        chownat(&place.directory, found.name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(utimensat(&place.directory, found.name, &times(&found.stat), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn copy_file(&self, found: &Found<'_, Copy>, place: &Copy, buffer: &mut [u8]) -> io::Result<()> {
        let size = found.stat.stx_size;
        let before = self.copied.fetch_add(size, Ordering::Relaxed);
        if before.checked_add(size).is_none_or(|sum| sum > self.limit) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let copy = openat(&place.directory, found.name, flags, Mode::RUSR | Mode::WUSR)?;
        copy_content((found.file, copy.as_fd()), size, buffer, &interruption::check)?;
        self.copy_attributes(found.file, copy.as_fd())?;
        self.finish(copy.as_fd(), &found.stat)
    }

    /// Where a file system cannot keep them, they are left out.
    fn copy_attributes(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
        for (name, value) in attributes(from, self.ownership.keeps())? {
            match fsetxattr(to, name.as_slice(), &value, XattrFlags::empty()) {
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Owner before mode, which a change of the owner may clear bits of; times last.
    fn finish(&self, copy: BorrowedFd<'_>, stat: &Statx) -> io::Result<()> {
        let (uid, gid) = self.ownership.of(stat.stx_uid, stat.stx_gid);
        fchown(copy, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        fchmod(copy, Mode::from_raw_mode(u32::from(stat.stx_mode) & MODE))?;
        Ok(futimens(copy, &times(stat))?)
    }
}

fn times(stat: &Statx) -> Timestamps {
    let time = |time: StatxTimestamp| Timespec { tv_sec: time.tv_sec, tv_nsec: time.tv_nsec.into() };
    Timestamps { last_access: time(stat.stx_atime), last_modification: time(stat.stx_mtime) }
}

/// Shares the blocks where the file system can; else lets the kernel copy what is no hole; else copies that by hand.
fn copy_content(
    (from, to): Files<'_>,
    size: u64,
    buffer: &mut [u8],
    go_on: &dyn Fn() -> io::Result<()>,
) -> io::Result<()> {
    if size == 0 {
        return Ok(());
    }
    if ioctl_ficlone(to, from).is_ok() {
        let whole = u64::try_from(fstat(to)?.st_size) == Ok(size);
        return if whole { Ok(()) } else { Err(changed()) };
    }
    ftruncate(to, size)?;
    let mut at = 0;
    while let Some((start, end)) = next_data(from, at, size)? {
        copy_range((from, to), (start, end), buffer, go_on)?;
        at = end;
    }
    Ok(())
}

/// A file and its copy.
type Files<'a> = (BorrowedFd<'a>, BorrowedFd<'a>);

/// How much is copied between two looks at whether nucleus is to end, in bytes.
const PORTION: usize = 16 << 20;

/// Where the next data lie, from `at` on; a file system that knows no holes has one piece of data.
fn next_data(file: BorrowedFd<'_>, at: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= size {
        return Ok(None);
    }
    let start = match seek(file, SeekFrom::Data(at)) {
        Ok(start) => start,
        // No data behind it, lseek(2).
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((at, size))),
        Err(errno) => return Err(errno.into()),
    };
    if start >= size {
        return Ok(None);
    }
    Ok(Some((start, seek(file, SeekFrom::Hole(start))?.min(size))))
}

/// `go_on` is asked before each portion: one file may take longer than whoever wants nucleus to end waits.
fn copy_range(
    (from, to): Files<'_>,
    (start, end): (u64, u64),
    buffer: &mut [u8],
    go_on: &dyn Fn() -> io::Result<()>,
) -> io::Result<()> {
    let (mut read, mut written) = (start, start);
    while read < end {
        go_on()?;
        let length = usize::try_from(end - read).unwrap_or(usize::MAX).min(PORTION);
        match copy_file_range(from, Some(&mut read), to, Some(&mut written), length) {
            // Nothing came: some file systems of the kernel say so although there is something, and the rest is at its end.
            Ok(0) => return by_hand((from, to), (read, end), buffer, go_on),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                return by_hand((from, to), (read, end), buffer, go_on);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

fn by_hand(
    (from, to): Files<'_>,
    (mut at, end): (u64, u64),
    buffer: &mut [u8],
    go_on: &dyn Fn() -> io::Result<()>,
) -> io::Result<()> {
    while at < end {
        go_on()?;
        let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        let count = match pread(from, &mut buffer[..most], at) {
            Ok(0) => return Err(changed()),
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        write_all(to, &buffer[..count], at)?;
        at += count as u64;
    }
    Ok(())
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match pwrite(to, bytes, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => (bytes, at) = (&bytes[count..], at + count as u64),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs::File;

    use super::*;
    use crate::bundle::tree::testing::Scratch;

    type Way = fn(Files<'_>, (u64, u64), &mut [u8], &dyn Fn() -> io::Result<()>) -> io::Result<()>;

    #[test]
    fn a_file_is_not_copied_to_its_end_when_nucleus_is_to_end() {
        let scratch = Scratch::new();
        let size = 4 * PORTION as u64;
        let from = File::create_new(scratch.path("from")).unwrap();
        from.set_len(size).unwrap();
        let from = File::open(scratch.path("from")).unwrap();
        for (name, way) in [("kernel", copy_range as Way), ("hand", by_hand)] {
            let to = File::create_new(scratch.path(name)).unwrap();
            let asked = Cell::new(0);
            let go_on = || {
                asked.set(asked.get() + 1);
                if asked.get() < 3 { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
            };
            let error = way((from.as_fd(), to.as_fd()), (0, size), &mut [0; 4096], &go_on).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Interrupted, "{name}");
            let copied = to.metadata().unwrap().len();
            assert!(copied > 0 && copied <= 2 * PORTION as u64, "{name}: {copied}");
        }
    }
}
