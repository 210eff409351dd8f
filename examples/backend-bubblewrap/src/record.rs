//! What later verbs must know.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use nucleus_abi::{Error, ErrorCode, Process, Result};
use serde::{Deserialize, Serialize};

const FILE: &str = "bubblewrap.json";
const SCHEMA: u32 = 1;

/// The record of a container.
#[derive(Serialize, Deserialize)]
pub(crate) struct Record {
    schema: u32,
    /// The shell, which becomes bwrap.
    pub(crate) process: Process,
    /// Whether `start` has let it go.
    pub(crate) started: bool,
}

impl Record {
    pub(crate) fn new(process: Process) -> Self {
        Self { schema: SCHEMA, process, started: false }
    }

    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let (path, new) = (directory.join(FILE), directory.join("bubblewrap.json.new"));
        let written = serde_json::to_vec(self).map_err(std::io::Error::other);
        let written = written.and_then(|text| fs::write(&new, text)).and_then(|()| fs::rename(&new, &path));
        written.map_err(|error| {
            Error::new(ErrorCode::SystemCall, "write the record").on(path.display()).because(error)
        })
    }

    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let fail = |code, cause: &dyn std::fmt::Display| {
            Error::new(code, "read the record").on(path.display()).because(cause)
        };
        let text = fs::read(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                fail(ErrorCode::ContainerNotFound, &"this backend has made no such container")
            }
            _ => fail(ErrorCode::RecordUnreadable, &error),
        })?;
        let record: Self =
            serde_json::from_slice(&text).map_err(|error| fail(ErrorCode::RecordUnreadable, &error))?;
        if record.schema == SCHEMA {
            Ok(record)
        } else {
            Err(fail(ErrorCode::RecordUnreadable, &"it is of another release"))
        }
    }
}

/// Removes all that this backend has made in its directory: files, and empty directories that it mounted on.
pub(crate) fn remove(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let removed = if path.is_dir() { fs::remove_dir(&path) } else { fs::remove_file(&path) };
        removed.map_err(|error| {
            Error::new(ErrorCode::Teardown, "remove the record").on(path.display()).because(error)
        })?;
    }
    Ok(())
}

/// Start time of a process that lives: field 22 of `/proc/PID/stat`; `None` for one that has ended.
pub(crate) fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    (state != "Z" && state != "X").then(|| fields.nth(18)?.parse().ok()).flatten()
}

/// Whether it is still the same process, and has not ended.
pub(crate) fn is_alive(process: Process) -> bool {
    start_time(process.pid) == Some(process.start_time)
}

/// What bwrap has said so far.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Said {
    pub(crate) child_pid: Option<u32>,
    pub(crate) exit_code: Option<u8>,
}

/// bwrap writes one JSON object for each thing that it knows.
pub(crate) fn status(directory: &Path) -> Said {
    let text = fs::read_to_string(directory.join(crate::spawn::STATUS)).unwrap_or_default();
    let objects =
        serde_json::Deserializer::from_str(&text).into_iter::<Said>().map_while(std::result::Result::ok);
    objects.fold(Said::default(), |known, said| Said {
        child_pid: said.child_pid.or(known.child_pid),
        exit_code: said.exit_code.or(known.exit_code),
    })
}
