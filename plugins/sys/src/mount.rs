//! Mounts by descriptor: the mount API of Linux 5.2 (fsopen, `open_tree`, `move_mount`) and `mount_setattr`
//! of 5.12.
//!
//! A mount is made or cloned while it hangs nowhere, gets its attributes there, and is attached last, onto a
//! descriptor: at no moment does a path decide where it lands, and nothing read-only is ever writable first.

mod parts;

use std::ffi::CStr;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, open, openat};
pub use rustix::mount::MountAttrFlags;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, FsPickFlags, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, mount_change,
};

use crate::syscall::check;

/// `MOUNT_ATTR__ATIME`: the bits of the access time mode. They are one value, not flags: to set one of them
/// clear all of them.
pub const ATIME_MODE: MountAttrFlags = MountAttrFlags::from_bits_retain(0x70);

/// How far a change or a clone reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The one mount.
    Mount,
    /// It and all mounts below it.
    Tree,
}

/// Whether mounts and unmounts are passed on (`mount_namespaces(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// To and from its peers.
    Shared,
    /// From its former peers only.
    Slave,
    /// Not at all.
    Private,
    /// Not at all, and it can't be cloned.
    Unbindable,
}

impl Propagation {
    const fn flag(self) -> MountPropagationFlags {
        match self {
            Self::Shared => MountPropagationFlags::SHARED,
            Self::Slave => MountPropagationFlags::DOWNSTREAM,
            Self::Private => MountPropagationFlags::PRIVATE,
            Self::Unbindable => MountPropagationFlags::UNBINDABLE,
        }
    }
}

/// A change of a mount's attributes (`mount_setattr(2))`: first `clear`, then `set`.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Attributes to set.
    pub set: MountAttrFlags,
    /// Attributes to clear.
    pub clear: MountAttrFlags,
    /// The new propagation, if it changes.
    pub propagation: Option<Propagation>,
    /// Map owners through this user namespace (`MOUNT_ATTR_IDMAP`); possible once, before it is attached.
    pub id_mapped: Option<BorrowedFd<'a>>,
}

impl Default for Change<'_> {
    fn default() -> Self {
        let none = MountAttrFlags::empty();
        Self { set: none, clear: none, propagation: None, id_mapped: None }
    }
}

/// `struct mount_attr` (`MOUNT_ATTR_SIZE_VER0`).
#[repr(C)]
struct RawMountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Changes the attributes of the mount behind `mount`, atomically also for a tree.
///
/// Errors: EPERM for clearing what a less privileged user namespace locked; EINVAL if `mount` is no mount's
/// root, or its file system can't be id-mapped; ENOSYS before Linux 5.12.
pub fn change(mount: BorrowedFd<'_>, change: Change<'_>, reach: Reach) -> io::Result<()> {
    let id_map = change.id_mapped.map_or(MountAttrFlags::empty(), |_| MountAttrFlags::MOUNT_ATTR_IDMAP);
    let raw = RawMountAttr {
        set: (change.set | id_map).bits().into(),
        clear: change.clear.bits().into(),
        propagation: change.propagation.map_or(0, |mode| mode.flag().bits().into()),
        user_namespace: change.id_mapped.map_or(0, |fd| fd.as_raw_fd().cast_unsigned().into()),
    };
    let flags = libc::AT_EMPTY_PATH | if reach == Reach::Tree { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: `raw` has the layout and the size announced; the path is an empty C string.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const raw,
            size_of::<RawMountAttr>(),
        )
    })?;
    Ok(())
}

/// Sets the propagation of every mount in the caller's mount namespace.
pub fn set_root_propagation(propagation: Propagation) -> io::Result<()> {
    Ok(mount_change("/", propagation.flag() | MountPropagationFlags::REC)?)
}

/// A mount that hangs nowhere; dropping it dissolves it.
#[derive(Debug)]
pub struct DetachedMount(OwnedFd);

impl DetachedMount {
    /// Clones what is mounted at `source`, as a bind mount does; `source` may be any file or directory.
    pub fn clone_of(source: BorrowedFd<'_>, reach: Reach) -> io::Result<Self> {
        Self::clone_at(source, c"", reach)
    }

    /// Clones what is at `path`, absolute or relative to `directory`, not following a link at its end.
    pub fn clone_at(directory: BorrowedFd<'_>, path: &CStr, reach: Reach) -> io::Result<Self> {
        let recursive =
            if reach == Reach::Tree { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() };
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_SYMLINK_NOFOLLOW
            | OpenTreeFlags::AT_EMPTY_PATH
            | recursive;
        Ok(Self(rustix::mount::open_tree(directory, path, flags)?))
    }

    /// A mount that is the caller's alone: a clone of what the descriptor shows, or, where it is a mount that hangs nowhere
    /// already, that one (older kernels clone only from the caller's own mount namespace: EINVAL).
    pub fn clone_or_take(descriptor: BorrowedFd<'_>, reach: Reach) -> io::Result<Self> {
        match Self::clone_of(descriptor, reach) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && hangs_nowhere(descriptor) => {
                Ok(Self::from(descriptor.try_clone_to_owned()?))
            }
            result => result,
        }
    }

    /// Changes its attributes while nobody can see it.
    pub fn change(&self, wanted: Change<'_>, reach: Reach) -> io::Result<()> {
        change(self.0.as_fd(), wanted, reach)
    }

    /// Attaches it on top of `target` and returns the descriptor of its root.
    pub fn attach(self, target: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        let by_descriptor = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(&self.0, c"", target, c"", by_descriptor)?;
        Ok(self.0)
    }
}

impl AsFd for DetachedMount {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for DetachedMount {
    /// Takes over a detached mount that another process made and sent.
    fn from(mount: OwnedFd) -> Self {
        Self(mount)
    }
}

/// Seen from nowhere, the root of a detached mount has the path `/`. What is attached must not be taken over:
/// its attributes would change on the host.
fn hangs_nowhere(descriptor: BorrowedFd<'_>) -> bool {
    let link = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    std::fs::read_link(link).is_ok_and(|path| path == Path::new("/"))
}

/// A file system being configured (fsopen(2)).
#[derive(Debug)]
pub struct FsContext(OwnedFd);

impl FsContext {
    /// Begins a new file system of a type such as `tmpfs`; ENODEV if the kernel has none such.
    pub fn open(file_system: &str) -> io::Result<Self> {
        Ok(Self(rustix::mount::fsopen(file_system, FsOpenFlags::FSOPEN_CLOEXEC)?))
    }

    /// Sets an option with a value, such as `size` to `64m`.
    pub fn set(&self, key: &str, value: &str) -> io::Result<&Self> {
        rustix::mount::fsconfig_set_string(&self.0, key, value)?;
        Ok(self)
    }

    /// Sets an option without a value, such as `ro`.
    pub fn set_flag(&self, key: &str) -> io::Result<&Self> {
        rustix::mount::fsconfig_set_flag(&self.0, key)?;
        Ok(self)
    }

    /// Sets an option whose value is an open file, such as a layer of an overlay.
    pub fn set_fd(&self, key: &str, value: BorrowedFd<'_>) -> io::Result<&Self> {
        rustix::mount::fsconfig_set_fd(&self.0, key, value)?;
        Ok(self)
    }

    /// Begins to change the file system that is mounted at `mount` (fspick(2)).
    pub fn pick(mount: BorrowedFd<'_>) -> io::Result<Self> {
        let flags = FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH;
        Ok(Self(rustix::mount::fspick(mount, c"", flags)?))
    }

    /// Makes the changes to a file system that was picked.
    pub fn reconfigure(&self) -> io::Result<()> {
        Ok(rustix::mount::fsconfig_reconfigure(&self.0)?)
    }

    /// Makes the file system and a mount of it with these attributes.
    pub fn mount(&self, attributes: MountAttrFlags) -> io::Result<DetachedMount> {
        rustix::mount::fsconfig_create(&self.0)?;
        Ok(DetachedMount(rustix::mount::fsmount(&self.0, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?))
    }

    /// What the kernel says about the last failure, such as `tmpfs: Bad value for 'size'`. Each is told once.
    pub fn messages(&self) -> Vec<String> {
        let next = || {
            let mut line = [0; 1024];
            let length = rustix::io::read(&self.0, &mut line).ok()?;
            // "e ", "w " or "i " comes before each line (fsopen(2)).
            let text = String::from_utf8_lossy(&line[..length]);
            Some(text.trim_end().get(2..).unwrap_or_default().to_owned())
        };
        std::iter::from_fn(next).collect()
    }
}

/// The longest value that [`FsContext::set`] takes, in bytes (fsconfig(2), `FSCONFIG_SET_STRING`).
pub const LONGEST_VALUE: usize = 255;

/// Makes a file system by mount(2), whose options, joined by commas in `data`, may fill a page: the way for values that
/// fsconfig(2) is too short for, such as the layers of an overlay. Paths among them must be absolute.
///
/// mount(2) can't make one that hangs nowhere: it is made on a scratch tmpfs, for a moment on top of the directory `place`
/// of the caller's own mount namespace, and cloned from there; no path is looked up.
pub fn make_with_long_options(
    place: BorrowedFd<'_>,
    file_system: &str,
    source: &str,
    attributes: MountAttrFlags,
    data: &CStr,
) -> io::Result<DetachedMount> {
    let directory = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
    let before = open(".", directory, Mode::empty())?;
    let scratch = FsContext::open("tmpfs")?.mount(MountAttrFlags::empty())?.attach(place)?;
    rustix::fs::mkdirat(&scratch, c"made", Mode::RWXU)?;
    let made = rustix::process::fchdir(openat(&scratch, c"made", directory, Mode::empty())?)
        .and_then(|()| rustix::mount::mount(source, c".", file_system, mount_flags(attributes), data))
        .and_then(|()| openat(&scratch, c"made", directory, Mode::empty()));
    let made =
        made.map_err(io::Error::from).and_then(|top| DetachedMount::clone_of(top.as_fd(), Reach::Mount));
    rustix::process::fchdir(&scratch)?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
    rustix::process::fchdir(before)?;
    made
}

/// The flags of mount(2) for attributes of `mount_setattr(2)`.
fn mount_flags(attributes: MountAttrFlags) -> MountFlags {
    const PAIRS: [(MountAttrFlags, MountFlags); 8] = [
        (MountAttrFlags::MOUNT_ATTR_RDONLY, MountFlags::RDONLY),
        (MountAttrFlags::MOUNT_ATTR_NOSUID, MountFlags::NOSUID),
        (MountAttrFlags::MOUNT_ATTR_NODEV, MountFlags::NODEV),
        (MountAttrFlags::MOUNT_ATTR_NOEXEC, MountFlags::NOEXEC),
        (MountAttrFlags::MOUNT_ATTR_NOATIME, MountFlags::NOATIME),
        (MountAttrFlags::MOUNT_ATTR_STRICTATIME, MountFlags::STRICTATIME),
        (MountAttrFlags::MOUNT_ATTR_NODIRATIME, MountFlags::NODIRATIME),
        (MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW, MountFlags::from_bits_retain(256)),
    ];
    let wanted = PAIRS.into_iter().filter(|(attribute, _)| attributes.contains(*attribute));
    wanted.fold(MountFlags::empty(), |flags, (_, flag)| flags | flag)
}

/// Makes `new_root` the root directory and the working directory, and detaches everything else.
///
/// `new_root` must be a mount's root in the caller's own mount namespace. `pivot_root(".", ".")` stacks the
/// old root upon the new one, so no directory for it is needed inside (`pivot_root(2)`, NOTES). It becomes a
/// slave before it goes, so that the unmounts are not passed on to the host.
pub fn pivot_into(new_root: BorrowedFd<'_>) -> io::Result<()> {
    let old_root = open("/", OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    rustix::process::fchdir(new_root)?;
    rustix::process::pivot_root(c".", c".")?;
    rustix::process::fchdir(&old_root)?;
    mount_change(c".", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
    rustix::process::chdir(c"/")?;
    Ok(())
}

/// Takes the mount at `path` out of the tree now; it dies when the last file in it is closed. A link at the
/// end of `path` is not followed (EINVAL).
pub fn unmount_detach(path: &Path) -> io::Result<()> {
    Ok(rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::{NamespaceSet, unshare};
    use crate::testing::in_child;
    use std::ffi::CString;

    fn in_mount_namespace(body: impl FnOnce()) {
        in_child(|| {
            unshare(NamespaceSet::MOUNT).unwrap();
            set_root_propagation(Propagation::Private).unwrap();
            body();
        });
    }

    fn directory(path: &str) -> OwnedFd {
        open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    fn tmpfs() -> DetachedMount {
        FsContext::open("tmpfs").unwrap().set("mode", "755").unwrap().mount(MountAttrFlags::empty()).unwrap()
    }

    #[test]
    fn a_clone_is_read_only_before_it_is_attached() {
        in_mount_namespace(|| {
            let source = tmpfs().attach(directory("/mnt").as_fd()).unwrap();
            std::fs::write("/mnt/file", "x").unwrap();
            let clone = DetachedMount::clone_of(source.as_fd(), Reach::Tree).unwrap();
            let read_only = Change { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Change::default() };
            clone.change(read_only, Reach::Tree).unwrap();
            clone.attach(directory("/mnt").as_fd()).unwrap();
            assert_eq!(std::fs::read_to_string("/mnt/file").unwrap(), "x");
            let refused = std::fs::write("/mnt/file", "y").unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EROFS));
        });
    }

    #[test]
    fn a_wrong_option_is_explained_by_the_kernel() {
        in_mount_namespace(|| {
            let context = FsContext::open("tmpfs").unwrap();
            assert!(context.set("size", "many").is_err());
            assert!(context.messages().concat().contains("size"));
            assert!(context.messages().is_empty());
        });
    }

    #[test]
    fn a_file_system_that_is_mounted_can_be_reconfigured() {
        in_mount_namespace(|| {
            let mount = tmpfs().attach(directory("/mnt").as_fd()).unwrap();
            FsContext::pick(mount.as_fd()).unwrap().set_flag("ro").unwrap().reconfigure().unwrap();
            assert_eq!(std::fs::write("/mnt/x", "").unwrap_err().raw_os_error(), Some(libc::EROFS));
        });
    }

    #[test]
    fn a_value_too_long_for_fsconfig_goes_by_mount() {
        in_mount_namespace(|| {
            tmpfs().attach(directory("/mnt").as_fd()).unwrap();
            let long = |name: &str| format!("/mnt/{}/{name}", "d".repeat(200));
            let [lower, upper, work] = ["lower", "upper", "work"].map(|name| {
                std::fs::create_dir_all(long(name)).unwrap();
                long(name)
            });
            std::fs::write(format!("{lower}/file"), "below").unwrap();
            std::fs::create_dir(long("other")).unwrap();
            let lower = format!("{lower}:{}", long("other"));
            assert!(FsContext::open("overlay").unwrap().set("lowerdir", &lower).is_err());
            let data = CString::new(format!("lowerdir={lower},upperdir={upper},workdir={work}")).unwrap();
            std::fs::create_dir("/mnt/place").unwrap();
            let place = directory("/mnt/place");
            let no_exec = MountAttrFlags::MOUNT_ATTR_NOEXEC;
            let made = make_with_long_options(place.as_fd(), "overlay", "overlay", no_exec, &data).unwrap();
            assert_eq!(std::fs::read_dir("/mnt/place").unwrap().count(), 0, "nothing hangs there yet");
            made.attach(place.as_fd()).unwrap();
            assert_eq!(std::fs::read_to_string("/mnt/place/file").unwrap(), "below");
            let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
            assert!(mountinfo.lines().any(|line| line.contains(" /mnt/place ") && line.contains("noexec")));
        });
    }

    #[test]
    fn after_the_pivot_only_the_new_root_is_there() {
        in_mount_namespace(|| {
            let root = tmpfs().attach(directory("/mnt").as_fd()).unwrap();
            std::fs::create_dir("/mnt/inside").unwrap();
            pivot_into(root.as_fd()).unwrap();
            let names: Vec<_> =
                std::fs::read_dir("/").unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, ["inside"]);
            assert_eq!(std::fs::read_dir("/..").unwrap().count(), 1);
            assert_eq!(std::env::current_dir().unwrap(), Path::new("/"));
        });
    }

    #[test]
    fn unmounting_uncovers_and_does_not_follow_links() {
        in_mount_namespace(|| {
            tmpfs().attach(directory("/mnt").as_fd()).unwrap();
            std::fs::create_dir("/mnt/under").unwrap();
            let inner = tmpfs().attach(directory("/mnt/under").as_fd()).unwrap();
            std::os::unix::fs::symlink("/mnt/under", "/mnt/link").unwrap();
            drop(inner);
            assert!(unmount_detach(Path::new("/mnt/link")).is_err());
            unmount_detach(Path::new("/mnt/under")).unwrap();
            assert!(unmount_detach(Path::new("/mnt/under")).is_err());
        });
    }
}
