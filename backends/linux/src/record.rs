//! What the engine must remember between verbs: one small file in the directory that the core gave it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Process, Result};
use serde::{Deserialize, Serialize};

use crate::fault::{OrFail, explain};
use crate::hooks::Callbacks;

const FILE: &str = "backend.json";
/// Version of the file's language. 2 knows hooks; 1 is the same without them.
const VERSION: u32 = 2;
const OLDEST: u32 = 1;

/// The facts about one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: u32,
    /// The first process, in the core's pid namespace.
    pub(crate) process: Process,
    /// Whether ending the first process ends all, because they share its pid namespace.
    pub(crate) own_pid_namespace: bool,
    /// Its groups, one for each hierarchy.
    pub(crate) cgroups: Vec<PathBuf>,
    /// Groups that may be made later; the ledger names them already.
    #[serde(default)]
    pub(crate) later: Vec<PathBuf>,
    /// The scope of systemd's that they belong to.
    #[serde(default)]
    pub(crate) unit: Option<String>,
    /// The class of service that is the container's alone, below the root of resctrl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) class: Option<PathBuf>,
    /// The hooks that are still to be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) callbacks: Option<Callbacks>,
}

impl Record {
    pub(crate) fn new(
        process: Process,
        own_pid_namespace: bool,
        cgroups: Vec<PathBuf>,
        later: Vec<PathBuf>,
    ) -> Self {
        Self {
            version: VERSION,
            process,
            own_pid_namespace,
            cgroups,
            later,
            unit: None,
            class: None,
            callbacks: None,
        }
    }

    /// Writes it with one write(2), so that a crash leaves all or nothing.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let path = directory.join(FILE);
        let text =
            serde_json::to_vec(self).map_err(io::Error::from).or_fail("write the record", path.display())?;
        let file = File::create_new(&path).and_then(|mut file| file.write_all(&text));
        file.or_fail("write the record", path.display())
    }

    /// Writes it anew, so that a reader sees the old one or the new one.
    pub(crate) fn replace(&self, directory: &Path) -> Result<()> {
        let path = directory.join(FILE);
        let new = directory.join("backend.json.new");
        let replace = || {
            fs::write(&new, serde_json::to_vec(self)?)?;
            fs::rename(&new, &path)
        };
        replace().or_fail("write the record", path.display())
    }

    /// Reads it; `None` if there is none, or only the trace of a crash before it was written.
    pub(crate) fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(FILE);
        let unreadable = |cause: String| {
            Error::new(ErrorCode::RecordUnreadable, "read the backend's record")
                .on(path.display())
                .because(cause)
        };
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(explain(&error))),
            Ok(text) if text.is_empty() => return Ok(None),
            Ok(text) => text,
        };
        let record: Self = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        match record.version {
            OLDEST..=VERSION => Ok(Some(record)),
            other => {
                Err(unreadable(format!("version {other}, and this release reads {OLDEST} to {VERSION}")))
            }
        }
    }

    /// Removes it, if it is there.
    pub(crate) fn remove(directory: &Path) -> io::Result<()> {
        remove_if_there(&directory.join(FILE))
    }
}

/// Removes a file that may be gone already.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("nucleus-record-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        path
    }

    #[test]
    fn what_is_written_is_read_and_can_be_removed_twice() {
        let directory = directory("round");
        let hook = serde_json::json!({"path": "/x", "arguments": ["x"], "environment": [], "timeout": 3});
        let subject = serde_json::json!({"ociVersion": "1.2.0", "id": "a", "bundle": "/b"});
        let callbacks = serde_json::json!({"hooks": {"poststop": [hook]}, "subject": subject});
        let record = Record {
            callbacks: Some(serde_json::from_value(callbacks).unwrap()),
            ..Record::new(
                Process { pid: 7, start_time: 8 },
                true,
                vec!["/sys/fs/cgroup/x".into()],
                Vec::new(),
            )
        };
        record.write(&directory).unwrap();
        record.replace(&directory).unwrap();
        assert_eq!(Record::read(&directory).unwrap(), Some(record));
        Record::remove(&directory).unwrap();
        Record::remove(&directory).unwrap();
        assert_eq!(Record::read(&directory).unwrap(), None);
        fs::remove_dir(directory).unwrap();
    }

    #[test]
    fn a_later_version_is_refused_an_earlier_one_read_and_an_empty_file_is_no_record() {
        let directory = directory("version");
        fs::write(directory.join(FILE), "").unwrap();
        assert_eq!(Record::read(&directory).unwrap(), None);
        let later =
            r#"{"version":9,"process":{"pid":1,"start_time":1},"own_pid_namespace":true,"cgroups":[]}"#;
        fs::write(directory.join(FILE), later).unwrap();
        let error = Record::read(&directory).unwrap_err();
        assert_eq!(error.code, ErrorCode::RecordUnreadable);
        assert!(error.to_string().contains("version 9"), "{error}");
        fs::write(directory.join(FILE), later.replace('9', "1")).unwrap();
        let record = Record::read(&directory).unwrap().unwrap();
        assert_eq!((record.version, record.callbacks), (1, None));
        fs::remove_dir_all(directory).unwrap();
    }
}
