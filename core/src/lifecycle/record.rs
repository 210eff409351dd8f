//! `state.json`: what is known of a container after its creation, for every later command.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use nucleus_abi::{Beyond, CgroupPlacement, Client, ContainerId, Error, ErrorCode, Process, Result};
use serde::{Deserialize, Serialize};

use super::hooks::Hooks;
use crate::plan::Held;
use crate::plugins::{Kept, Registry, open_kept};

/// The version of the record that this release writes. It reads this one and the one before.
pub const RECORD_SCHEMA: u32 = 2;

const FILE: &str = "state.json";

/// Who removes the container when it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Supervision {
    /// The process that owns the ledger: when it is gone, so is the container's reason to be.
    Owner,
    /// Nobody: somebody will come and `delete` it.
    Nobody,
}

/// A container's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// [`RECORD_SCHEMA`].
    pub schema: u32,
    /// The container.
    pub id: ContainerId,
    /// Real user id of the process that made it.
    pub creator_uid: u32,
    /// The process that made it. Not in records of schema 1, like all that has a default below.
    #[serde(default)]
    pub owner: Option<Process>,
    /// Name of the backend.
    pub backend: String,
    /// Version of the backend.
    pub backend_version: String,
    /// Where the backend's file came from, if it is not part of the program: a copy of it stays beside this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<Kept>,
    /// The version of the runtime specification that its `config.json` names.
    #[serde(default)]
    pub oci_version: String,
    /// The directory of the bundle that it was made of.
    pub bundle: PathBuf,
    /// The root file system on the host.
    #[serde(default)]
    pub rootfs: PathBuf,
    /// The annotations of `config.json`.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// When it was made, as RFC 3339 writes it.
    #[serde(default)]
    pub created: String,
    /// The workload's first process, where the backend has one to name.
    #[serde(default)]
    pub process: Option<Process>,
    /// Who removes it.
    pub supervision: Supervision,
    /// Where its groups are.
    #[serde(default)]
    pub cgroup: Option<CgroupPlacement>,
    /// What went beyond the runtime specification: it holds for every process that joins later.
    #[serde(default)]
    pub beyond: Beyond,
    /// What was asked for and is not enforced (`enforcement: permissive`), or was left out.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The plan, as `explain --format json` prints it.
    pub plan: serde_json::Value,
    /// What a profile holds the container to; none for an engine's without one.
    #[serde(default)]
    pub held: Option<Held>,
    /// Who is told of its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
}

impl Record {
    /// Writes the record into the container's directory, so that a reader sees the old one, the new one or none.
    ///
    /// # Errors
    /// `system-call`.
    pub fn write(&self, directory: &Path) -> Result<()> {
        let path = directory.join(FILE);
        let temporary = directory.join("state.json.new");
        let fail = |cause: &dyn std::fmt::Display| {
            Error::new(ErrorCode::SystemCall, "write the container's record")
                .on(path.display())
                .because(cause)
        };
        let text = serde_json::to_vec(self).map_err(|error| fail(&error))?;
        let write = || {
            File::create(&temporary)?.write_all(&text)?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|error: std::io::Error| fail(&error))
    }

    /// The backend that made the container: for one that was loaded, the copy that stayed with it.
    ///
    /// # Errors
    /// `backend-not-found`; what loading says.
    pub(super) fn client(&self, directory: &Path, registry: &Registry) -> Result<Client> {
        let gone = || {
            Error::new(ErrorCode::RecordUnreadable, "find the container's backend")
                .on(&self.id)
                .because(format!("the copy of the plugin `{}` that stayed with it is missing", self.backend))
                .hint("`nucleus delete --force` removes the container all the same")
        };
        match self.plugin {
            None => registry.backend(&self.backend).cloned(),
            Some(_) => open_kept(directory)?.ok_or_else(gone),
        }
    }

    /// Reads the record of the container in `directory`; `None` where it was never written.
    ///
    /// # Errors
    /// `record-unreadable`.
    pub fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(FILE);
        let fail = |cause: &dyn std::fmt::Display| {
            Error::new(ErrorCode::RecordUnreadable, "read the container's record")
                .on(path.display())
                .because(cause)
        };
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(&error)),
        };
        let record: Self = serde_json::from_slice(&text).map_err(|error| fail(&error))?;
        if record.schema > RECORD_SCHEMA {
            return Err(fail(&format!(
                "it has schema {}, this nucleus reads up to {RECORD_SCHEMA}",
                record.schema
            ))
            .hint("use the release that made the container"));
        }
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use nucleus_abi::{CgroupManager, Hierarchies};

    use super::*;

    fn record() -> Record {
        Record {
            schema: RECORD_SCHEMA,
            id: "web".parse().unwrap(),
            creator_uid: 0,
            owner: Some(Process { pid: 5, start_time: 6 }),
            backend: "example".into(),
            backend_version: "1".into(),
            plugin: None,
            oci_version: "1.2.0".into(),
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            annotations: [("org.example".into(), "x".into())].into(),
            created: "2026-01-31T23:59:59.000000001Z".into(),
            process: Some(Process { pid: 7, start_time: 8 }),
            supervision: Supervision::Owner,
            cgroup: Some(CgroupPlacement {
                path: "/nucleus/web".into(),
                hierarchies: Hierarchies::All,
                manager: CgroupManager::Cgroupfs,
            }),
            beyond: Beyond::default(),
            warnings: vec!["no swap limit".into()],
            plan: serde_json::json!({"rows": []}),
            held: None,
            hooks: None,
        }
    }

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("nucleus-record-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        path
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = scratch("round");
        assert_eq!(Record::read(&directory).unwrap(), None);
        record().write(&directory).unwrap();
        assert_eq!(Record::read(&directory).unwrap(), Some(record()));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_record_of_a_later_release_is_refused_and_not_misread() {
        let directory = scratch("later");
        Record { schema: RECORD_SCHEMA + 1, ..record() }.write(&directory).unwrap();
        let error = Record::read(&directory).unwrap_err();
        assert_eq!(error.code, ErrorCode::RecordUnreadable);
        assert_eq!(error.cause.as_deref(), Some("it has schema 3, this nucleus reads up to 2"));
        fs::remove_dir_all(directory).unwrap();
    }

    /// As the release before wrote it.
    const SCHEMA_1: &str = r#"{"schema":1,"id":"web","creatorUid":0,"backend":"native-namespace","backendVersion":"0.1.0",
        "bundle":"/run/nucleus/web/bundle","process":{"pid":7,"start_time":8},"supervision":"owner","warnings":[],
        "plan":[]}"#;

    #[test]
    fn a_record_of_the_release_before_is_read() {
        let directory = scratch("before");
        fs::write(directory.join(FILE), SCHEMA_1).unwrap();
        let record = Record::read(&directory).unwrap().unwrap();
        assert_eq!(record.process, Some(Process { pid: 7, start_time: 8 }));
        assert_eq!((record.owner, record.annotations.len(), record.cgroup), (None, 0, None));
        fs::remove_dir_all(directory).unwrap();
    }
}
