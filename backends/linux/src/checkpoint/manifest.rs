//! What stands beside criu's images: what of the container was outside of it when they were made.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::BorrowedFd;

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::files::Given;
use super::mounts::{External, Shows};
use crate::config::{Configuration, Content};
use crate::fault::{OrFail, invalid};

const FILE: &str = "nucleus-engine.json";
const VERSION: u32 = 1;

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    version: u32,
    pub(super) mounts: Vec<External>,
    /// Places of mounts that the root file system itself must have, none of them behind a link.
    pub(super) places: Vec<String>,
    pub(super) files: Given,
}

impl Manifest {
    pub(super) fn new(mounts: Vec<External>, places: Vec<String>, files: Given) -> Self {
        Self { version: VERSION, mounts, places, files }
    }

    pub(super) fn write(&self, images: BorrowedFd<'_>) -> Result<()> {
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let write = || {
            let text = serde_json::to_vec(self)?;
            File::from(rustix::fs::openat(images, FILE, flags, Mode::from(0o600))?).write_all(&text)
        };
        write().or_fail("write what lies outside of the container", FILE)
    }

    pub(super) fn read(images: BorrowedFd<'_>) -> Result<Self> {
        let step = "read the checkpoint";
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut text = Vec::new();
        let opened = rustix::fs::openat(images, FILE, flags, Mode::empty()).map_err(std::io::Error::from);
        opened.and_then(|file| File::from(file).read_to_end(&mut text)).or_fail(step, FILE)?;
        let unreadable =
            |cause: String| Error::new(ErrorCode::RecordUnreadable, step).on(FILE).because(cause);
        let manifest: Self = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        match manifest.version {
            VERSION => Ok(manifest),
            other => Err(unreadable(format!("version {other}, and this release reads {VERSION}"))),
        }
    }

    /// What is put in the place of a mount is what the configuration names for it now, and nothing else.
    ///
    /// # Errors
    /// `config-invalid`, naming the entry.
    pub(super) fn check(&self, configuration: &Configuration) -> Result<()> {
        self.mounts.iter().try_for_each(|external| match &external.shows {
            Shows::Device { .. } => Ok(()),
            Shows::Group { .. } => configuration
                .mounts
                .iter()
                .any(|mount| matches!(mount.content, Content::Cgroup))
                .then_some(())
                .ok_or_else(|| missing("mounts", &external.place)),
            Shows::Bind { mount, destination, below } => {
                let entry = configuration.mounts.iter().find(|entry| entry.index == *mount);
                let fits = entry.is_some_and(|entry| {
                    matches!(entry.content, Content::Bind { .. }) && entry.target.to_string() == *destination
                });
                let goes_down = !below.split('/').any(|name| name == "..");
                (fits && goes_down)
                    .then_some(())
                    .ok_or_else(|| missing(&format!("mounts[{mount}]"), &external.place))
            }
        })
    }
}

fn missing(field: &str, place: &str) -> Error {
    invalid(
        field,
        format!("the checkpoint has a mount of the host at {place}, and the configuration names none"),
    )
    .hint("restore it with the bundle that the container had")
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use nucleus_abi::Beyond;
    use serde_json::json;

    use super::*;

    fn configuration(destination: &str, kind: &str) -> Configuration {
        let document = json!({
            "ociVersion": "1.2.0", "root": {"path": "rootfs"}, "process": {"args": ["x"], "cwd": "/"},
            "mounts": [{"destination": destination, "source": "/srv", "type": kind, "options": []}],
            "linux": {"namespaces": [{"type": "mount"}]}
        });
        Configuration::parse(&document.to_string(), &Beyond::default()).unwrap()
    }

    fn manifest(below: &str) -> Manifest {
        let shows = Shows::Bind { mount: 0, destination: "/data".to_owned(), below: below.to_owned() };
        Manifest::new(
            vec![External { key: "m0".to_owned(), place: "/data".to_owned(), shows }],
            Vec::new(),
            Given::new(),
        )
    }

    #[test]
    fn only_what_the_configuration_names_is_put_into_a_place() {
        manifest("").check(&configuration("/data", "bind")).unwrap();
        manifest("a/b").check(&configuration("/data", "bind")).unwrap();
        for (manifest, configuration) in [
            (manifest(""), configuration("/other", "bind")),
            (manifest(""), configuration("/data", "tmpfs")),
            (manifest("../etc"), configuration("/data", "bind")),
        ] {
            assert_eq!(manifest.check(&configuration).unwrap_err().code, ErrorCode::ConfigInvalid);
        }
    }

    #[test]
    fn what_is_written_is_read_and_a_later_version_refused() {
        let path = std::env::temp_dir().join(format!("nucleus-manifest-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let directory = File::open(&path).unwrap();
        manifest("").write(directory.as_fd()).unwrap();
        assert_eq!(Manifest::read(directory.as_fd()).unwrap(), manifest(""));
        Manifest { version: 9, ..manifest("") }.write(directory.as_fd()).unwrap();
        let error = Manifest::read(directory.as_fd()).unwrap_err();
        assert_eq!(error.code, ErrorCode::RecordUnreadable);
        std::fs::remove_dir_all(path).unwrap();
    }
}
