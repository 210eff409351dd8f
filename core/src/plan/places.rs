//! Where a path of the container leads, before anything is mounted: links of the image, and of what will lie on it, are
//! followed as the kernel will follow them, inside the root.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use nucleus_sys::in_root::{InRootPath, Root};
use rustix::io::Errno;

/// As many links as the kernel follows, `path_resolution(7)`.
const LINKS: usize = 40;

/// A root file system and what will be mounted in it, the later over the earlier.
#[derive(Debug, Default)]
pub(crate) struct Tree<'a> {
    root: Option<BorrowedFd<'a>>,
    /// The links of a root that is not made yet.
    links: BTreeMap<&'a Path, &'a Path>,
    mounted: Vec<(PathBuf, Option<BorrowedFd<'a>>)>,
}

impl<'a> Tree<'a> {
    /// Without a `root` nothing is a link but in what is mounted.
    pub(crate) fn new(root: Option<BorrowedFd<'a>>) -> Self {
        Self { root, ..Self::default() }
    }

    /// A root with these links, each with what it says, in which nothing else is one.
    pub(crate) fn with_links(links: impl IntoIterator<Item = (&'a Path, &'a Path)>) -> Self {
        Self { links: links.into_iter().collect(), ..Self::default() }
    }

    /// Without a source, no links are in it: it is new.
    pub(crate) fn mount(&mut self, place: PathBuf, source: Option<BorrowedFd<'a>>) {
        self.mounted.push((place, source));
    }

    /// Where a path leads. What is missing leads to itself.
    ///
    /// # Errors
    /// What the kernel says of a directory that may not be searched; ELOOP.
    pub(crate) fn lead(&self, path: &Path) -> io::Result<Lead> {
        follow(path, &|path| self.link(path))
    }

    fn link(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let on = self.mounted.iter().rev().find(|(place, _)| path.starts_with(place));
        let (root, inner) = match on {
            Some((place, source)) => (*source, path.strip_prefix(place).unwrap_or(path)),
            None => match self.links.get(path) {
                Some(text) => return Ok(Some((*text).to_owned())),
                None => (self.root, path),
            },
        };
        // The place of a mount is no link: it has been followed.
        let Some(root) = root.filter(|_| !inner.as_os_str().is_empty()) else { return Ok(None) };
        let inner = InRootPath::new(inner).map_err(|_| io::ErrorKind::InvalidInput)?;
        match Root::new(root).read_link(&inner) {
            Ok(text) => Ok(Some(OsString::from_vec(text.into_bytes()).into())),
            Err(error) => match Errno::from_io_error(&error) {
                // readlinkat(2) says ENOENT too of a descriptor that is no link.
                Some(Errno::NOENT | Errno::INVAL | Errno::NOTDIR) => Ok(None),
                _ => Err(error),
            },
        }
    }
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lead {
    /// The place, in which no name is a link.
    pub(crate) place: PathBuf,
    /// The first link on the way, and what it says.
    pub(crate) link: Option<(PathBuf, PathBuf)>,
}

/// Pure: `link` tells what a link says, and nothing of what is none. `..` climbs from where a link has led, never out.
fn follow(path: &Path, link: &dyn Fn(&Path) -> io::Result<Option<PathBuf>>) -> io::Result<Lead> {
    let mut lead = Lead { place: PathBuf::from("/"), link: None };
    let mut rest = names(path);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == ".." {
            lead.place.pop();
            continue;
        }
        let next = lead.place.join(&name);
        let Some(text) = link(&next)? else {
            lead.place = next;
            continue;
        };
        links += 1;
        if links > LINKS {
            return Err(Errno::LOOP.into());
        }
        if text.is_absolute() {
            lead.place = PathBuf::from("/");
        }
        rest.extend(names(&text));
        lead.link.get_or_insert((next, text));
    }
    Ok(lead)
}

/// The last one first.
fn names(path: &Path) -> Vec<OsString> {
    let named = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    path.components().rev().filter(named).map(|part| part.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    use super::*;

    fn lead(path: &str) -> io::Result<Lead> {
        let links = [
            ("/var/run", "/run"),
            ("/a/up", "../../../etc/./x"),
            ("/lib", "usr/lib"),
            ("/twice", "/var/run/here"),
            ("/loop", "loop"),
        ];
        follow(path.as_ref(), &|path| {
            Ok(links.iter().find(|(at, _)| path == Path::new(at)).map(|(_, text)| text.into()))
        })
    }

    #[test]
    fn links_are_followed_and_never_lead_out() {
        for (path, place) in [
            ("/data/deep", "/data/deep"),
            ("/var/run", "/run"),
            ("/var/run/a/b", "/run/a/b"),
            ("/a/up/y", "/etc/x/y"),
            ("/lib/x", "/usr/lib/x"),
            ("/twice/x", "/run/here/x"),
            ("/../..", "/"),
        ] {
            assert_eq!(lead(path).unwrap().place, Path::new(place), "{path}");
        }
    }

    #[test]
    fn the_first_link_is_named_and_a_circle_ends() {
        assert_eq!(lead("/data").unwrap().link, None);
        assert_eq!(lead("/twice/x").unwrap().link, Some(("/twice".into(), "/var/run/here".into())));
        assert_eq!(lead("/loop/x").unwrap_err().raw_os_error(), Some(Errno::LOOP.raw_os_error()));
    }

    #[test]
    fn what_is_mounted_hides_the_links_below_it_and_brings_its_own() {
        let scratch = std::env::temp_dir().join(format!("nucleus-places-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&scratch);
        for directory in ["image/data", "volume"] {
            std::fs::create_dir_all(scratch.join(directory)).unwrap();
        }
        symlink("/run", scratch.join("image/data/of-image")).unwrap();
        symlink("/etc", scratch.join("volume/of-volume")).unwrap();
        let opened = |name: &str| std::fs::File::open(scratch.join(name)).unwrap();
        let (image, volume) = (opened("image"), opened("volume"));
        let mut tree = Tree::new(Some(image.as_fd()));
        let place = |tree: &Tree<'_>, path: &str| tree.lead(path.as_ref()).unwrap().place;
        assert_eq!(place(&tree, "/data/of-image/x"), Path::new("/run/x"));
        tree.mount("/data".into(), Some(volume.as_fd()));
        assert_eq!(place(&tree, "/data/of-image/x"), Path::new("/data/of-image/x"));
        assert_eq!(place(&tree, "/data/of-volume/x"), Path::new("/etc/x"));
        tree.mount("/data".into(), None);
        assert_eq!(place(&tree, "/data/of-volume/x"), Path::new("/data/of-volume/x"));
        std::fs::remove_dir_all(scratch).unwrap();
    }
}
