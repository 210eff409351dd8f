//! The container's own `/dev`, `/proc` and `/sys`, by the descriptors of what was mounted there.
//!
//! What lies below them is looked for from there. By their names the image could meanwhile have put a link in their place
//! (it is hostile and changes while we look at it): masks would cover nothing, and mounts, with the directories made for them,
//! would go where the link points.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use nucleus_sys::in_root::{InRootPath, Root};

use crate::config::{Content, Mount};

/// Descriptors of them.
#[derive(Default)]
pub(super) struct Own(Vec<(&'static CStr, OwnedFd)>);

/// Where something is looked for.
pub(super) struct Site<'a> {
    /// The directory in which it is looked for.
    pub(super) root: Root<'a>,
    /// Where in it.
    pub(super) path: InRootPath,
    /// What the container calls it.
    pub(super) target: &'a InRootPath,
}

impl<'a> Site<'a> {
    /// In the container's root.
    pub(super) fn new(root: Root<'a>, target: &'a InRootPath) -> Self {
        Self { root, path: target.clone(), target }
    }
}

impl Own {
    /// Keeps what was mounted for an entry of `mounts`, if it is one of them. In the host's `/dev` there are links that mean
    /// something only from the root, so that one is not kept.
    pub(super) fn keep(&mut self, mount: &Mount, mounted: OwnedFd) {
        let is_hosts = matches!(mount.content, Content::Bind { .. });
        match mount.target.components().iter().map(CString::as_bytes).collect::<Vec<_>>()[..] {
            [b"dev"] if !is_hosts => self.keep_dev(mounted),
            [b"proc"] => self.0.push((c"proc", mounted)),
            [b"sys"] => self.0.push((c"sys", mounted)),
            _ => {}
        }
    }

    /// Keeps a `/dev` of ours.
    pub(super) fn keep_dev(&mut self, mounted: OwnedFd) {
        self.0.push((c"dev", mounted));
    }

    /// Our `/dev`, if there is one.
    pub(super) fn dev(&self) -> Option<&OwnedFd> {
        self.0.iter().rev().find(|(name, _)| *name == c"dev").map(|(_, mounted)| mounted)
    }

    /// Where a path of the container is to be looked for. What was mounted last at a place hides the rest.
    pub(super) fn site<'s>(&'s self, root: Root<'s>, target: &'s InRootPath) -> Site<'s> {
        let below = |(name, mounted): &'s (&'static CStr, OwnedFd)| {
            Some(Site { root: Root::new(mounted.as_fd()), path: target.below(name)?, target })
        };
        self.0.iter().rev().find_map(below).unwrap_or_else(|| Site::new(root, target))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Read;

    use nucleus_sys::OFlags;

    use super::*;

    fn content(site: &Site<'_>) -> String {
        let mut text = String::new();
        let file = site.root.open(&site.path, OFlags::RDONLY).unwrap();
        File::from(file).read_to_string(&mut text).unwrap();
        text
    }

    /// A mask that was looked for by name would cover the image's file, and leave ours as it is.
    #[test]
    fn what_lies_below_is_found_whatever_stands_at_the_name_by_then() {
        let base = std::env::temp_dir().join(format!("nucleus-own-{}", std::process::id()));
        for (directory, text) in [("mounted", "ours"), ("root/evil", "the image's")] {
            fs::create_dir_all(base.join(directory)).unwrap();
            fs::write(base.join(directory).join("file"), text).unwrap();
        }
        for name in ["dev", "proc", "sys"] {
            std::os::unix::fs::symlink("/evil", base.join("root").join(name)).unwrap();
        }
        let root = File::open(base.join("root")).unwrap();
        for name in [c"dev", c"proc", c"sys"] {
            let target = InRootPath::new(format!("/{}/file", name.to_str().unwrap())).unwrap();
            let own = Own(vec![(name, File::open(base.join("mounted")).unwrap().into())]);
            assert_eq!(content(&own.site(Root::new(root.as_fd()), &target)), "ours", "{name:?}");
            assert_eq!(content(&Own::default().site(Root::new(root.as_fd()), &target)), "the image's");
        }
        fs::remove_dir_all(base).unwrap();
    }
}
