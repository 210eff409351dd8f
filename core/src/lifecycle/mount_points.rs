//! Mount points that were made in directories of the host, as the ledgers hold them.

use std::fs::File;
use std::io;
use std::path::Path;

use nucleus_abi::{ContainerId, Effect, Error, ErrorCode, Inode, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, open, openat, unlinkat};
use rustix::io::Errno;

use super::container::effects_at;
use super::places;
use super::state_root::StateRoot;
use super::undo::is_of_another_boot;
use crate::bundle::identity;

/// What other containers of the state root have noted, and the lock under which that stays so.
///
/// # Errors
/// `system-call`.
pub(super) fn of_others(root: &StateRoot, id: &ContainerId) -> Result<(Vec<Inode>, File)> {
    let lock = places::alone(root).map_err(|error| {
        Error::new(ErrorCode::SystemCall, "wait for other containers to make their mount points")
            .on(root.path().display())
            .because(error)
    })?;
    let others = root.ids()?.into_iter().filter(|other| other != id);
    let noted = others.flat_map(|other| {
        // A ledger that cannot be read cannot remove anything either.
        let effects = effects_at(&root.container(&other)).unwrap_or_default();
        if is_of_another_boot(&effects) { Vec::new() } else { effects }
    });
    let made = noted.filter_map(|effect| match effect {
        Effect::MountPoint { made, .. } => made,
        _ => None,
    });
    Ok((made.collect(), lock))
}

/// A mount point that is to be removed.
#[derive(Clone, Copy)]
pub(super) struct MountPoint<'a> {
    pub(super) directory: &'a Path,
    pub(super) within: Inode,
    pub(super) name: &'a str,
    pub(super) made: Option<Inode>,
}

impl MountPoint<'_> {
    /// Removes it, if it is still there, still what was made, empty, and none of `others` needs it: to remove it would take
    /// away what they have mounted there (rmdir(2) unmounts in other mount namespaces).
    ///
    /// # Errors
    /// `teardown`.
    pub(super) fn remove(self, others: &[Inode]) -> Result<()> {
        if self.made.is_some_and(|made| others.contains(&made)) {
            return Ok(());
        }
        match self.unlink() {
            // Where it is not: gone, moved away, or in use by whoever put something into it.
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NOTEMPTY | Errno::EXIST) => {
                Ok(())
            }
            Err(errno) => Err(Error::new(ErrorCode::Teardown, "remove a mount point that was made")
                .on(self.directory.join(self.name).display())
                .because(io::Error::from(errno))
                .hint("remove the empty directory or file yourself")),
        }
    }

    fn unlink(self) -> std::result::Result<(), Errno> {
        let handle = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let is = |file, wanted| identity(file).is_ok_and(|found| found == wanted);
        let parent = open(self.directory, handle | OFlags::DIRECTORY, Mode::empty())?;
        if !is(&parent, self.within) {
            return Ok(());
        }
        let found = openat(&parent, self.name, handle, Mode::empty())?;
        if self.made.is_some_and(|made| !is(&found, made)) {
            return Ok(());
        }
        let stat = fstat(&found)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => unlinkat(&parent, self.name, AtFlags::REMOVEDIR),
            FileType::RegularFile if stat.st_size == 0 => unlinkat(&parent, self.name, AtFlags::empty()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    struct Image(PathBuf);

    impl Image {
        fn make(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("nucleus-points-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn point<'a>(&'a self, name: &'a str, made: Option<Inode>) -> MountPoint<'a> {
            MountPoint { directory: &self.0, within: self.of(""), name, made }
        }

        fn of(&self, name: &str) -> Inode {
            identity(fs::File::open(self.0.join(name)).unwrap()).unwrap()
        }

        fn is_there(&self, name: &str) -> bool {
            self.0.join(name).exists()
        }
    }

    impl Drop for Image {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A crash between any two steps leaves one of these.
    #[test]
    fn what_was_made_goes_under_both_its_names() {
        let image = Image::make("names");
        for (name, is_directory) in [(".nucleus-1", true), (".nucleus-2", false)] {
            image.point(name, None).remove(&[]).unwrap();
            let path = image.0.join(name);
            if is_directory {
                fs::create_dir(&path).unwrap();
            } else {
                fs::write(&path, "").unwrap();
            }
            let made = image.of(name);
            image.point("own", Some(made)).remove(&[]).unwrap();
            image.point(name, None).remove(&[]).unwrap();
            assert!(!image.is_there(name));
        }
        fs::create_dir(image.0.join("own")).unwrap();
        image.point("own", Some(image.of("own"))).remove(&[]).unwrap();
        assert!(!image.is_there("own"));
    }

    #[test]
    fn what_is_something_else_by_now_stays() {
        let image = Image::make("else");
        fs::create_dir(image.0.join("full")).unwrap();
        fs::write(image.0.join("full/file"), "").unwrap();
        fs::write(image.0.join("written"), "text").unwrap();
        fs::create_dir(image.0.join("other")).unwrap();
        fs::create_dir(image.0.join("shared")).unwrap();
        std::os::unix::fs::symlink("other", image.0.join("link")).unwrap();
        let shared = image.of("shared");
        for (name, made, others) in [
            ("full", image.of("full"), vec![]),
            ("written", image.of("written"), vec![]),
            ("other", image.of("written"), vec![]),
            ("link", image.of("other"), vec![]),
            ("shared", shared, vec![shared]),
        ] {
            image.point(name, Some(made)).remove(&others).unwrap();
            assert!(image.is_there(name), "{name}");
        }
        let elsewhere = MountPoint { within: image.of("full"), ..image.point("other", None) };
        elsewhere.remove(&[]).unwrap();
        assert!(image.is_there("other"), "the directory is another one by now");
        MountPoint { directory: &image.0.join("gone"), ..elsewhere }.remove(&[]).unwrap();
    }
}
