//! Overlays of directories that are given as descriptors (Documentation/filesystems/overlayfs.rst), as mounts that hang
//! nowhere.
//!
//! Layers are hostile: what an image says about other layers in its extended attributes is not believed. `metacopy=off` and
//! `redirect_dir=nofollow` make the kernel refuse (EPERM) a file whose data, or a directory whose content, would come from
//! another place; the same document warns of both with layers that are not trusted. No layer is named by its path, so that
//! no character of a path is an escape.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, mkdirat, open, openat};
use rustix::io::Errno;

use crate::clone::{Clone3, spawn};
use crate::mount::{
    DetachedMount, FsContext, LONGEST_VALUE, MountAttrFlags, Propagation, Reach, set_root_propagation,
};
use crate::namespace::NamespaceSet;
use crate::pidfd::Exit;
use crate::socket::{Received, Socket};

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The layer that takes what is written.
#[derive(Debug)]
pub enum Upper<'a> {
    /// Nothing is: the overlay is read-only, and so is its file system.
    None,
    /// A tmpfs of its own, which goes with the overlay.
    Memory(&'a Memory),
    /// A directory, which stays.
    Directory {
        /// What is written.
        upper: BorrowedFd<'a>,
        /// A directory of the same mount, where the kernel prepares what it then moves to `upper`.
        work: BorrowedFd<'a>,
    },
}

/// A tmpfs with an upper and a work directory in it.
#[derive(Debug)]
pub struct Memory {
    mount: OwnedFd,
    upper: OwnedFd,
    work: OwnedFd,
}

impl Memory {
    /// Makes one that takes at most `size` bytes. Its upper directory, which gives the overlay's root its mode and owner, is
    /// made with `mode`, exactly.
    pub fn new(size: u64, mode: Mode) -> io::Result<Self> {
        let context = FsContext::open("tmpfs")?;
        context.set("size", &size.to_string())?.set("mode", "0700")?;
        let mount = context.mount(MountAttrFlags::MOUNT_ATTR_NODEV)?.as_fd().try_clone_to_owned()?;
        let directory = |name| {
            mkdirat(&mount, name, Mode::RWXU)?;
            openat(&mount, name, DIRECTORY, Mode::empty())
        };
        let (upper, work) = (directory(c"upper")?, directory(c"work")?);
        // The umask does not apply to it.
        rustix::fs::chmodat(&mount, c"upper", mode, rustix::fs::AtFlags::empty())?;
        Ok(Self { mount, upper, work })
    }

    /// The directory that takes what is written.
    pub fn upper(&self) -> BorrowedFd<'_> {
        self.upper.as_fd()
    }
}

/// Makes an overlay. `lower` are its read-only layers, the topmost first.
///
/// Errors: ENODEV without overlayfs; EINVAL for file systems that can't be such a layer, or too many of them; ELOOP for
/// layers inside each other; EBUSY for an upper or work directory of another overlay; ESTALE for an upper directory that was
/// used over other lower ones.
pub fn mount(lower: &[BorrowedFd<'_>], upper: &Upper<'_>) -> io::Result<DetachedMount> {
    match (upper, directly(lower, upper)) {
        // Before Linux 6.15 a layer must lie in the caller's own mount namespace, and the tmpfs lies in none.
        (Upper::Memory(memory), Err(error)) if error.raw_os_error() == Some(libc::EINVAL) => {
            apart(lower, memory)
        }
        (_, made) => made,
    }
}

/// The options of an overlay; which there are says the document above.
fn directly(lower: &[BorrowedFd<'_>], upper: &Upper<'_>) -> io::Result<DetachedMount> {
    let context = FsContext::open("overlay")?;
    context.set("source", "nucleus")?;
    set_lower(&context, lower)?;
    context.set("metacopy", "off")?.set("redirect_dir", "nofollow")?.set("xino", "off")?;
    // With an index the kernel lets no two overlays write to one directory.
    match upper {
        Upper::None => {}
        Upper::Memory(Memory { upper, work, .. }) => {
            set_upper(&context, upper.as_fd(), work.as_fd())?;
            context.set("index", "off")?;
        }
        Upper::Directory { upper, work } => {
            set_upper(&context, *upper, *work)?;
            context.set("index", "on")?;
        }
    }
    context.mount(MountAttrFlags::MOUNT_ATTR_NODEV)
}

/// Since Linux 6.13 layers are given as descriptors, since 6.5 one by one, and before as one text with colons.
fn set_lower(context: &FsContext, lower: &[BorrowedFd<'_>]) -> io::Result<()> {
    let each =
        |set: &dyn Fn(BorrowedFd<'_>) -> io::Result<()>| lower.iter().try_for_each(|layer| set(*layer));
    let known = each(&|layer| context.set_fd("lowerdir+", layer).map(drop))
        .or_else(|error| or_older(error, || each(&|layer| context.set("lowerdir+", &path(layer)).map(drop))));
    known.or_else(|error| {
        or_older(error, || {
            let all = lower.iter().map(|layer| path(*layer)).collect::<Vec<_>>().join(":");
            if all.len() > LONGEST_VALUE {
                let reason = "this kernel, older than 6.5, takes no more than 14 layers";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
            }
            context.set("lowerdir", &all).map(drop)
        })
    })
}

fn set_upper(context: &FsContext, upper: BorrowedFd<'_>, work: BorrowedFd<'_>) -> io::Result<()> {
    for (key, directory) in [("upperdir", upper), ("workdir", work)] {
        let by_descriptor = context.set_fd(key, directory).map(drop);
        by_descriptor.or_else(|error| or_older(error, || context.set(key, &path(directory)).map(drop)))?;
    }
    Ok(())
}

/// What the kernel does not know is EINVAL to it (fsconfig(2)).
fn or_older(error: io::Error, older: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    if error.raw_os_error() == Some(libc::EINVAL) { older() } else { Err(error) }
}

/// Our own descriptor as a path, which holds neither a colon nor a comma.
fn path(layer: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", layer.as_raw_fd())
}

/// Makes it in a process with a mount namespace of its own, where all layers can be attached. Both are gone when this
/// returns; the overlay keeps what it needs of the layers.
fn apart(lower: &[BorrowedFd<'_>], memory: &Memory) -> io::Result<DetachedMount> {
    let clones =
        lower.iter().map(|layer| DetachedMount::clone_of(*layer, Reach::Mount)).collect::<io::Result<_>>()?;
    let (ours, theirs) = Socket::pair()?;
    let args = Clone3 { namespaces: NamespaceSet::MOUNT, ..Clone3::default() };
    let given = std::cell::Cell::new(Some(clones));
    let child = spawn(args, || {
        let made = attached(given.take().unwrap_or_default(), memory);
        let sent = made.and_then(|made| theirs.send(b"made", &[made.as_fd()]));
        sent.err().map_or(0, |error| error.raw_os_error().unwrap_or(libc::EIO))
    })?;
    drop(theirs);
    let received = ours.recv();
    match (child.pidfd.wait()?, received?) {
        (Exit::Exited { code: 0 }, Received::Message(_, mut descriptors)) => {
            descriptors.pop().map(DetachedMount::from).ok_or_else(|| Errno::BADMSG.into())
        }
        (Exit::Exited { code }, _) => Err(io::Error::from_raw_os_error(code.into())),
        (Exit::Signalled { .. }, _) => Err(Errno::INTR.into()),
    }
}

/// In the namespace that is ours alone: what is attached on top of its `/` nobody else sees.
fn attached(lower: Vec<DetachedMount>, memory: &Memory) -> io::Result<DetachedMount> {
    set_root_propagation(Propagation::Private)?;
    let top = open("/", DIRECTORY, Mode::empty())?;
    let scratch = FsContext::open("tmpfs")?.mount(MountAttrFlags::empty())?.attach(top.as_fd())?;
    let place = |name: &str| {
        mkdirat(&scratch, name, Mode::RWXU)?;
        openat(&scratch, name, DIRECTORY, Mode::empty())
    };
    let layers = lower.into_iter().enumerate();
    let layers = layers
        .map(|(index, layer)| layer.attach(place(&index.to_string())?.as_fd()))
        .collect::<io::Result<Vec<_>>>()?;
    let mount = DetachedMount::from(memory.mount.try_clone()?).attach(place("memory")?.as_fd())?;
    let [upper, work] = [c"upper", c"work"].map(|name| openat(&mount, name, DIRECTORY, Mode::empty()));
    let memory = Memory { upper: upper?, work: work?, mount };
    let layers: Vec<_> = layers.iter().map(AsFd::as_fd).collect();
    directly(&layers, &Upper::Memory(&memory))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rustix::fs::{XattrFlags, setxattr};

    use super::*;
    use crate::testing::in_child;

    /// Everything on a tmpfs at `/mnt` of a mount namespace of its own, on which attributes of overlays can be set.
    fn on_a_tmpfs(body: impl FnOnce()) {
        in_child(|| {
            crate::namespace::unshare(NamespaceSet::MOUNT).unwrap();
            set_root_propagation(Propagation::Private).unwrap();
            let place = open("/mnt", DIRECTORY, Mode::empty()).unwrap();
            let tmpfs = FsContext::open("tmpfs").unwrap().mount(MountAttrFlags::empty()).unwrap();
            tmpfs.attach(place.as_fd()).unwrap();
            body();
        });
    }

    fn directory(path: &str) -> OwnedFd {
        fs::create_dir_all(path).unwrap();
        open(path, DIRECTORY, Mode::empty()).unwrap()
    }

    fn two_layers() -> [OwnedFd; 2] {
        let layers = [directory("/mnt/top:with,odd\\ name"), directory("/mnt/bottom")];
        fs::write("/mnt/top:with,odd\\ name/both", "top").unwrap();
        fs::write("/mnt/bottom/both", "bottom").unwrap();
        fs::create_dir("/mnt/bottom/secret").unwrap();
        fs::write("/mnt/bottom/secret/file", "secret").unwrap();
        layers
    }

    fn shown(root: &DetachedMount, name: &str) -> String {
        let path = format!("{}/{name}", path(root.as_fd()));
        fs::read_to_string(path).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn the_topmost_layer_hides_the_others_and_nothing_is_written() {
        on_a_tmpfs(|| {
            let layers = two_layers();
            let root = mount(&[layers[0].as_fd(), layers[1].as_fd()], &Upper::None).unwrap();
            assert_eq!((shown(&root, "both"), shown(&root, "secret/file")), ("top".into(), "secret".into()));
            let refused = fs::write(format!("{}/new", path(root.as_fd())), "x").unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EROFS));
        });
    }

    fn writes_stay_in_memory(make: fn(&[BorrowedFd<'_>], &Memory) -> io::Result<DetachedMount>) {
        on_a_tmpfs(move || {
            let layers = two_layers();
            let memory = Memory::new(64 << 10, Mode::from(0o751)).unwrap();
            let root = make(&[layers[0].as_fd(), layers[1].as_fd()], &memory).unwrap();
            drop(memory);
            let at = |name: &str| format!("{}/{name}", path(root.as_fd()));
            assert_eq!(rustix::fs::fstat(&root).unwrap().st_mode & 0o7777, 0o751);
            fs::write(at("both"), "written").unwrap();
            fs::remove_file(at("secret/file")).unwrap();
            assert_eq!(shown(&root, "both"), "written");
            assert_eq!(fs::read_to_string("/mnt/bottom/secret/file").unwrap(), "secret");
            assert_eq!(fs::read_to_string("/mnt/top:with,odd\\ name/both").unwrap(), "top");
            let full = fs::write(at("large"), vec![0; 1 << 20]).unwrap_err();
            assert_eq!(full.raw_os_error(), Some(libc::ENOSPC));
        });
    }

    #[test]
    fn what_is_written_stays_in_memory_and_within_its_size() {
        writes_stay_in_memory(|lower, memory| directly(lower, &Upper::Memory(memory)));
    }

    /// The way of kernels before 6.15.
    #[test]
    fn the_same_when_it_is_made_in_a_namespace_apart() {
        writes_stay_in_memory(apart);
    }

    #[test]
    fn one_upper_directory_belongs_to_one_overlay() {
        on_a_tmpfs(|| {
            let layers = two_layers();
            let (upper, work) = (directory("/mnt/upper"), directory("/mnt/work"));
            let upper = Upper::Directory { upper: upper.as_fd(), work: work.as_fd() };
            let make = |layer: &OwnedFd| mount(&[layer.as_fd()], &upper);
            let first = make(&layers[0]).unwrap();
            fs::write(format!("{}/new", path(first.as_fd())), "kept").unwrap();
            assert_eq!(make(&layers[0]).unwrap_err().raw_os_error(), Some(libc::EBUSY));
            drop(first);
            assert_eq!(shown(&make(&layers[0]).unwrap(), "new"), "kept");
            assert_eq!(make(&layers[1]).unwrap_err().raw_os_error(), Some(libc::ESTALE));
        });
    }

    /// A layer whose attributes say that a directory, or a file's data, is to be taken from elsewhere in the layers below.
    fn make_hostile() {
        let top = Path::new("/mnt/top:with,odd\\ name");
        fs::create_dir(top.join("redirected")).unwrap();
        fs::write(top.join("hollow"), "").unwrap();
        let set = |name: &str, attribute: &str, value: &[u8]| {
            setxattr(top.join(name), attribute, value, XattrFlags::empty()).unwrap();
        };
        set("redirected", "trusted.overlay.redirect", b"/secret");
        set("hollow", "trusted.overlay.metacopy", b"");
        set("hollow", "trusted.overlay.redirect", b"/secret/file");
    }

    #[test]
    fn a_hostile_layer_leads_nowhere() {
        on_a_tmpfs(|| {
            let layers = two_layers();
            make_hostile();
            let lower = [layers[0].as_fd(), layers[1].as_fd()];
            let memory = Memory::new(64 << 10, Mode::RWXU).unwrap();
            for upper in [Upper::None, Upper::Memory(&memory)] {
                let root = mount(&lower, &upper).unwrap();
                for name in ["redirected/file", "hollow"] {
                    assert!(shown(&root, name).contains("not permitted"), "{name}: {}", shown(&root, name));
                }
                assert_eq!(shown(&root, "both"), "top");
            }
            // The trap works on an overlay that believes its layers.
            let context = FsContext::open("overlay").unwrap();
            set_lower(&context, &lower).unwrap();
            context.set("metacopy", "on").and_then(|context| context.set("redirect_dir", "follow")).unwrap();
            let naive = context.mount(MountAttrFlags::empty()).unwrap();
            assert_eq!([shown(&naive, "redirected/file"), shown(&naive, "hollow")], ["secret", "secret"]);
        });
    }
}
