//! Mount points that an image lacks, provided as one more layer: nothing is ever written into the image.
//!
//! The missing directories and files are made in a directory of the container, which becomes a lower layer of the root file
//! system beside those of the image.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::OFlags;
use nucleus_sys::in_root::{InRootPath, Root};

use super::layers::Layers;

/// A place that must exist in the root, and what is to be mounted there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) kind: PlaceKind,
}

/// What a mount point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlaceKind {
    Directory,
    File,
}

/// The image with every place in it: as it is where it lacks none, or with a layer that provides them.
///
/// # Errors
/// `host-unfit` where the kernel cannot lay the layers over each other; `hostile-image` for the rest, naming the place.
pub(super) fn with_places(layers: &Layers, places: &[Place], directory: &Path) -> Result<OwnedFd> {
    let image = layers.seen()?;
    let root = Root::new(image.as_fd());
    let missing: Vec<&Place> = places.iter().filter(|place| !exists(root, &place.path)).collect();
    if missing.is_empty() {
        return layers.root(None);
    }
    let fail = |path: &Path, error: &io::Error| {
        Error::new(ErrorCode::HostileImage, "provide a mount point that the image lacks")
            .on(path.display())
            .because(error)
    };
    fs::create_dir(directory).map_err(|error| fail(directory, &error))?;
    copy_attributes(image.as_fd(), directory).map_err(|error| fail(directory, &error))?;
    for place in missing {
        provide(image.as_fd(), place, directory).map_err(|error| fail(&place.path, &error))?;
    }
    let provided = fs::File::open(directory).map_err(|error| fail(directory, &error))?;
    layers.root(Some(provided.as_fd())).map_err(|error| match error.subject {
        Some(_) => error,
        None => error.on(format!("places that the image lacks: {}", list(places))),
    })
}

fn list(places: &[Place]) -> String {
    places.iter().map(|place| place.path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn exists(root: Root<'_>, path: &Path) -> bool {
    open(root, path).is_ok()
}

fn open(root: Root<'_>, path: &Path) -> io::Result<OwnedFd> {
    let path = InRootPath::new(path).map_err(|_| io::ErrorKind::InvalidInput)?;
    root.open(&path, OFlags::PATH)
}

/// Makes one place, below what exists of it in the image. Links of the image are followed in-root, and the directories
/// on the way get the image's owner and mode, because they will hide the image's own.
fn provide(image: BorrowedFd<'_>, place: &Place, directory: &Path) -> io::Result<()> {
    let (existing, rest) = longest_existing(image, &place.path)?;
    let mut here = directory.to_owned();
    let mut known = fs::File::from(image.try_clone_to_owned()?);
    for name in &existing {
        known = open_below(&known, name)?;
        here.push(name);
        make_directory(&here)?;
        copy_attributes(known.as_fd(), &here)?;
    }
    let Some((last, above)) = rest.split_last() else { return Ok(()) };
    for name in above {
        here.push(name);
        make_directory(&here)?;
    }
    here.push(last);
    match place.kind {
        PlaceKind::Directory => make_directory(&here),
        PlaceKind::File => fs::File::create(&here).map(drop),
    }
}

/// The part of a path that exists, as the image's own names with every link resolved, and the names that are missing.
pub(super) fn longest_existing(
    image: BorrowedFd<'_>,
    path: &Path,
) -> io::Result<(PathBuf, Vec<std::ffi::OsString>)> {
    let own = real_path(image)?;
    let mut rest = Vec::new();
    let mut prefix = path;
    loop {
        match open(Root::new(image), prefix) {
            Ok(found) => {
                let real = real_path(found.as_fd())?;
                let inside = real.strip_prefix(&own).map_err(|_| io::ErrorKind::InvalidData)?.to_owned();
                rest.reverse();
                return Ok((inside, rest));
            }
            // A link that leads nowhere stays what it is: providing something in its place would hide what the image does.
            Err(_) if is_link(image, prefix) => {
                return Err(io::Error::other("the image has a link there that leads nowhere"));
            }
            Err(error) => match (prefix.parent(), prefix.file_name()) {
                (Some(parent), Some(name)) => {
                    rest.push(name.to_owned());
                    prefix = parent;
                }
                _ => return Err(error),
            },
        }
    }
}

fn is_link(image: BorrowedFd<'_>, path: &Path) -> bool {
    let Ok(path) = InRootPath::new(path) else { return false };
    Root::new(image).open_no_follow(&path, OFlags::PATH).is_ok()
}

/// The path of what is open, as the kernel knows it now.
pub(super) fn real_path(file: BorrowedFd<'_>) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn open_below(directory: &fs::File, name: &OsStr) -> io::Result<fs::File> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let name = std::ffi::CString::new(name.as_bytes())?;
    Ok(rustix::fs::openat(directory, &name, flags, rustix::fs::Mode::empty())?.into())
}

fn make_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

fn copy_attributes(from: BorrowedFd<'_>, to: &Path) -> io::Result<()> {
    let metadata = fs::File::from(from.try_clone_to_owned()?).metadata()?;
    chown(to, Some(metadata.uid()), Some(metadata.gid()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(metadata.mode() & 0o7777))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("nucleus-provided-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("image/srv")).unwrap();
        path
    }

    fn image(scratch: &Path) -> Layers {
        Layers::of_directory(fs::File::open(scratch.join("image")).unwrap().into())
    }

    fn directory(path: &str) -> Place {
        Place { path: path.into(), kind: PlaceKind::Directory }
    }

    #[test]
    fn an_image_that_lacks_nothing_is_taken_as_it_is() {
        let scratch = scratch("whole");
        with_places(&image(&scratch), &[directory("/srv")], &scratch.join("provided")).unwrap();
        assert!(!scratch.join("provided").exists());
        fs::remove_dir_all(scratch).unwrap();
    }

    #[test]
    fn what_is_missing_is_provided_and_the_image_stays_as_it_was() {
        let scratch = scratch("missing");
        fs::write(scratch.join("image/srv/page"), "hello").unwrap();
        fs::set_permissions(scratch.join("image/srv"), fs::Permissions::from_mode(0o750)).unwrap();
        let places = [
            directory("/srv/deep/er"),
            Place { path: "/etc/key".into(), kind: PlaceKind::File },
            directory("/srv"),
        ];
        let root = with_places(&image(&scratch), &places, &scratch.join("provided")).unwrap();
        let inside = |path: &str| open(Root::new(root.as_fd()), Path::new(path)).map(fs::File::from);
        assert!(inside("/srv/deep/er").unwrap().metadata().unwrap().is_dir());
        assert!(inside("/etc/key").unwrap().metadata().unwrap().is_file());
        assert!(inside("/srv/page").is_ok());
        assert_eq!(inside("/srv").unwrap().metadata().unwrap().mode() & 0o7777, 0o750);
        let names: Vec<_> =
            fs::read_dir(scratch.join("image")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["srv"]);
        drop(root);
        fs::remove_dir_all(scratch).unwrap();
    }

    #[test]
    fn a_link_that_leads_nowhere_is_refused_and_not_hidden() {
        let scratch = scratch("dangling");
        std::os::unix::fs::symlink("/nowhere", scratch.join("image/proc")).unwrap();
        for place in ["/proc", "/proc/self"] {
            let error =
                with_places(&image(&scratch), &[directory(place)], &scratch.join("provided")).unwrap_err();
            assert_eq!(error.code, ErrorCode::HostileImage, "{error}");
            fs::remove_dir_all(scratch.join("provided")).unwrap();
        }
        fs::remove_dir_all(scratch).unwrap();
    }

    #[test]
    fn a_link_of_the_image_is_followed_inside_it() {
        let scratch = scratch("link");
        std::os::unix::fs::symlink("/srv", scratch.join("image/data")).unwrap();
        fs::create_dir(scratch.join("image/etc")).unwrap();
        std::os::unix::fs::symlink("/etc", scratch.join("image/host")).unwrap();
        let places = [directory("/data/new"), directory("/host/nucleus-provided")];
        let root = with_places(&image(&scratch), &places, &scratch.join("provided")).unwrap();
        assert!(open(Root::new(root.as_fd()), Path::new("/srv/new")).is_ok());
        assert!(!Path::new("/etc/nucleus-provided").exists());
        drop(root);
        fs::remove_dir_all(scratch).unwrap();
    }
}
