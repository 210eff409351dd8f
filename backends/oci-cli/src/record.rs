//! What the engine must remember between verbs: one small file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use nucleus_abi::{Error, ErrorCode, Process, Result};
use nucleus_linux::fault::{OrFail, explain};
use serde::{Deserialize, Serialize};

use crate::console::Size;
use crate::place::Place;
use crate::runtime::Runtime;

/// Version of the file's language.
const VERSION: u32 = 1;

/// The facts about one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: u32,
    /// What runs it.
    pub(crate) runtime: Runtime,
    /// The process that stages the mounts and becomes the runtime's `create`.
    pub(crate) stager: Process,
    /// What the runtime says the container's first process is; `None` before it is made.
    pub(crate) process: Option<Process>,
    /// Its groups, one for each hierarchy.
    pub(crate) cgroups: Vec<PathBuf>,
    /// The program that it is to run, for messages.
    pub(crate) program: String,
    /// The stage, where it was on top of a directory of the host.
    pub(crate) stage: Option<PathBuf>,
    /// Its bundle, where that is not in the engine's directory.
    #[serde(default)]
    pub(crate) bundle: Option<PathBuf>,
    /// Whether it has a terminal.
    pub(crate) terminal: bool,
    /// The terminal's size.
    #[serde(default)]
    pub(crate) size: Option<Size>,
    /// Hooks that the runtime calls when it deletes the container.
    #[serde(default)]
    pub(crate) after: Hooks,
    /// Whether it has a network namespace of its own.
    #[serde(default)]
    pub(crate) own_network: bool,
    /// Whether it has a system call filter.
    #[serde(default)]
    pub(crate) filtered: bool,
}

/// Hooks of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Hooks {
    /// There are none.
    None,
    /// There are some, or that was not noted.
    #[default]
    Some,
}

impl Record {
    pub(crate) fn new(runtime: Runtime, stager: Process) -> Self {
        Self {
            version: VERSION,
            runtime,
            stager,
            process: None,
            cgroups: Vec::new(),
            program: String::new(),
            stage: None,
            bundle: None,
            terminal: false,
            size: None,
            own_network: false,
            filtered: false,
            after: Hooks::Some,
        }
    }

    /// Writes it, so that a reader sees the old one, the new one or none.
    pub(crate) fn write(&self, place: &Place) -> Result<()> {
        let path = place.record();
        let new = place.of_call("backend.json");
        let write = || {
            File::create(&new)?.write_all(&serde_json::to_vec(self)?)?;
            fs::rename(&new, &path)
        };
        write().or_fail("write the backend's record", path.display())
    }

    /// Reads it; `None` if there is none.
    pub(crate) fn read(place: &Place) -> Result<Option<Self>> {
        let path = place.record();
        let unreadable = |cause: String| {
            Error::new(ErrorCode::RecordUnreadable, "read the backend's record")
                .on(path.display())
                .because(cause)
        };
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(explain(&error))),
            Ok(text) => text,
        };
        let record: Self = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        match record.version {
            VERSION => Ok(Some(record)),
            other => Err(unreadable(format!("version {other}, and this release reads {VERSION}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let runtime = Runtime {
            name: "crun 1.8.1".to_owned(),
            program: "/usr/bin/crun".into(),
            arguments: vec!["--debug".to_owned()],
            bundles: None,
            patience: 30,
            hidden: Vec::new(),
            root: crate::runtime::RootMount::Kept,
            tmpfs: crate::runtime::TmpfsMode::Asked,
            seal: crate::runtime::Seal::Mount,
            faults: vec![crate::runtime::Fault::LoopbackDown],
            host: crate::runtime::HostAccess::ReadOnly,
            exits: crate::runtime::ExitSource::Process,
            lacks: Vec::new(),
        };
        Record {
            process: Some(Process { pid: 9, start_time: 10 }),
            ..Record::new(runtime, Process { pid: 7, start_time: 8 })
        }
    }

    fn place(name: &str) -> Place {
        let directory = std::env::temp_dir().join(format!("nucleus-oci-{name}-{}", std::process::id()));
        let place = Place::of(&directory);
        fs::create_dir_all(place.path()).unwrap();
        place
    }

    #[test]
    fn what_is_written_is_read() {
        let place = place("round");
        assert_eq!(Record::read(&place).unwrap(), None);
        record().write(&place).unwrap();
        assert_eq!(Record::read(&place).unwrap(), Some(record()));
        fs::remove_dir_all(place.path().parent().unwrap()).unwrap();
    }

    #[test]
    fn a_later_version_is_refused() {
        let place = place("version");
        Record { version: 9, ..record() }.write(&place).unwrap();
        let error = Record::read(&place).unwrap_err();
        assert_eq!(error.code, ErrorCode::RecordUnreadable);
        assert!(error.to_string().contains("version 9"), "{error}");
        fs::remove_dir_all(place.path().parent().unwrap()).unwrap();
    }
}
