//! `nucleus.json` beside the images: what of the container's configuration lives on in its processes, and the profile that
//! held it. A restored container must be configured alike, for its processes have the rights of the images, whatever its
//! configuration says.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::BorrowedFd;

use nucleus_abi::{Beyond, ContainerId, Error, ErrorCode, Result};
use nucleus_sys::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::record::Record;
use super::super::workload::Facts;
use super::files::{Files, files, first_other};
use crate::plan::Held;

pub(super) const FILE: &str = "nucleus.json";
const UNFINISHED: &str = "nucleus.json.new";
const SCHEMA: u32 = 2;
const STEP: &str = "hold the checkpoint to its configuration";

/// The file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct Kept {
    schema: u32,
    id: ContainerId,
    backend: String,
    config: Value,
    /// The rest of the checkpoint, once it is whole.
    files: Files,
    #[serde(default)]
    beyond: Beyond,
    #[serde(default)]
    held: Option<Held>,
}

/// What the new container takes from its own configuration, so that it may differ: names and places of the host, and limits,
/// which are set anew; and what only concerned the start of a program. The rest is in the images.
const FREE: [&str; 11] = [
    "/ociVersion",
    "/annotations",
    "/hooks",
    "/hostname",
    "/domainname",
    "/process/env",
    "/process/consoleSize",
    "/root/path",
    "/linux/resources",
    "/linux/cgroupsPath",
    "/linux/intelRdt",
];

impl Kept {
    /// Of a container that exists.
    pub(super) fn of(record: &Record, config: &RawValue) -> Result<Self> {
        Ok(Self {
            schema: SCHEMA,
            id: record.id.clone(),
            files: Files::new(),
            backend: record.backend.clone(),
            config: bound(config)?,
            beyond: record.beyond.clone(),
            held: record.held.clone(),
        })
    }

    /// The container that it was made of.
    pub(super) fn id(&self) -> &ContainerId {
        &self.id
    }

    /// The other files of the checkpoint.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Whether all is there that belongs to it: before, no file is named.
    pub(super) fn is_whole(&self) -> bool {
        !self.files.is_empty()
    }

    /// Notes down what lies beside it.
    pub(super) fn describe(&mut self, images: BorrowedFd<'_>) -> Result<()> {
        self.files = files(images, FILE).map_err(|error| {
            Error::new(ErrorCode::SystemCall, "look at the checkpoint's files").because(error)
        })?;
        Ok(())
    }

    /// # Errors
    /// `record-unreadable`, naming the first file that belongs to another checkpoint or is missing.
    pub(in super::super) fn check_files(&self, images: BorrowedFd<'_>) -> Result<()> {
        match first_other(images, &self.files) {
            None => Ok(()),
            Some((name, cause)) => Err(Error::new(ErrorCode::RecordUnreadable, "read the checkpoint")
                .on(name)
                .because(cause)
                .hint("all files of a checkpoint must come from the same one")),
        }
    }

    /// Writes it beside the images, at once or not at all.
    pub(super) fn write(&self, images: BorrowedFd<'_>) -> Result<()> {
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let write = || {
            let text = serde_json::to_vec(self)?;
            File::from(rustix::fs::openat(images, UNFINISHED, flags, Mode::from(0o600))?).write_all(&text)?;
            Ok(rustix::fs::renameat(images, UNFINISHED, images, FILE)?)
        };
        write().map_err(|error: std::io::Error| {
            Error::new(ErrorCode::SystemCall, "write the checkpoint").on(FILE).because(error)
        })
    }

    /// Reads what stands beside images.
    ///
    /// # Errors
    /// `record-unreadable`.
    pub(in super::super) fn read(images: BorrowedFd<'_>) -> Result<Self> {
        Self::read_from(images, FILE)
    }

    /// The same, from a file of another name.
    pub(super) fn read_from(images: BorrowedFd<'_>, name: &str) -> Result<Self> {
        let unreadable = |cause: &dyn std::fmt::Display| {
            Error::new(ErrorCode::RecordUnreadable, "read the checkpoint")
                .on(name)
                .because(cause)
                .hint("a checkpoint is a directory that `nucleus checkpoint` has written")
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(images, name, flags, Mode::empty());
        let mut text = Vec::new();
        opened
            .map_err(std::io::Error::from)
            .and_then(|file| File::from(file).read_to_end(&mut text))
            .map_err(|error| unreadable(&error))?;
        let kept: Self = serde_json::from_slice(&text).map_err(|error| unreadable(&error))?;
        match kept.schema {
            SCHEMA => Ok(kept),
            other => Err(unreadable(&format!("it has schema {other}, this nucleus reads {SCHEMA}"))),
        }
    }

    /// Holds a new container to it.
    ///
    /// # Errors
    /// `profile-refuses` where another profile, or none, holds it; `config-invalid`, naming the fields that differ.
    pub(in super::super) fn hold(
        &self,
        backend: &str,
        config: &RawValue,
        beyond: &Beyond,
        facts: &Facts,
    ) -> Result<()> {
        if self.backend != backend {
            return Err(Error::new(ErrorCode::ConfigInvalid, STEP)
                .on(format!("backend `{backend}`"))
                .because(format!("it was made by `{}`", self.backend)));
        }
        self.hold_to_profile(facts.held.as_ref())?;
        let mut differing = Vec::new();
        differences("", &self.config, &bound(config)?, &mut differing);
        if (&self.beyond.landlock, self.beyond.init) != (&beyond.landlock, beyond.init) {
            differing.push("the profile's Landlock rules or init".to_owned());
        }
        if differing.is_empty() {
            return Ok(());
        }
        Err(Error::new(ErrorCode::ConfigInvalid, STEP)
            .on(format!("config.json: {}", differing.join(", ")))
            .because("it is not what the checkpoint's processes have, and they keep what they have")
            .hint("restore it with the configuration that the container had"))
    }

    fn hold_to_profile(&self, now: Option<&Held>) -> Result<()> {
        let name = |held: &Held| format!("`{}` ({})", held.profile.value, held.profile.decided);
        let cause = match (&self.held, now) {
            // What no profile held is held by comparing its configuration with what one makes of the bundle now.
            (None, _) => return Ok(()),
            (Some(then), Some(now)) if then == now => return Ok(()),
            (Some(then), Some(now)) => {
                let mut differing = Vec::new();
                differences("", &values(then)?, &values(now)?, &mut differing);
                if differing.is_empty() {
                    return Ok(());
                }
                let differing = differing.join(", ");
                format!("the profile {} held it, and {} holds otherwise: {differing}", name(then), name(now))
            }
            (Some(then), None) => format!("the profile {} held it, and none would now", name(then)),
        };
        Err(Error::new(ErrorCode::ProfileRefuses, STEP)
            .because(cause)
            .hint("name the profile that the container had by `--profile`, as it was"))
    }
}

/// What a profile holds to, whichever lines of which file say so.
fn values(held: &Held) -> Result<Value> {
    let held = serde_json::to_value(held)
        .map_err(|error| Error::new(ErrorCode::RecordUnreadable, STEP).because(error))?;
    Ok(without_lines(held))
}

/// A bound is its value.
fn without_lines(value: Value) -> Value {
    match value {
        Value::Object(mut object) => match (object.remove("decided"), object.remove("value")) {
            (Some(_), Some(value)) => without_lines(value),
            (_, value) => {
                object.extend(value.map(|value| ("value".to_owned(), value)));
                object.into_iter().map(|(key, value)| (key, without_lines(value))).collect()
            }
        },
        Value::Array(list) => list.into_iter().map(without_lines).collect(),
        plain => plain,
    }
}

/// The part of a configuration that must not differ.
fn bound(config: &RawValue) -> Result<Value> {
    let mut config: Value = serde_json::from_str(config.get())
        .map_err(|error| Error::new(ErrorCode::ConfigInvalid, STEP).because(error))?;
    for pointer in FREE {
        let Some((parent, field)) = pointer.rsplit_once('/') else { continue };
        if let Some(object) = config.pointer_mut(parent).and_then(Value::as_object_mut) {
            object.remove(field);
        }
    }
    for mount in list(&mut config, "/mounts") {
        if is_bind(mount)
            && let Some(mount) = mount.as_object_mut()
        {
            mount.remove("source");
        }
    }
    for namespace in list(&mut config, "/linux/namespaces") {
        if let Some(path) = namespace.get_mut("path").filter(|path| path.as_str() != Some("")) {
            *path = Value::from("…");
        }
    }
    Ok(config)
}

fn list<'v>(config: &'v mut Value, pointer: &str) -> impl Iterator<Item = &'v mut Value> {
    config.pointer_mut(pointer).and_then(Value::as_array_mut).into_iter().flatten()
}

fn is_bind(mount: &Value) -> bool {
    let is = |value: &Value| matches!(value.as_str(), Some("bind" | "rbind"));
    is(&mount["type"]) || mount["options"].as_array().is_some_and(|options| options.iter().any(is))
}

/// As many fields are named.
const NAMED: usize = 5;

/// The fields that differ, as paths.
fn differences(path: &str, one: &Value, other: &Value, found: &mut Vec<String>) {
    if one == other || found.len() >= NAMED {
        return;
    }
    let dot = if path.is_empty() { "" } else { "." };
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let value =
                    |object: &serde_json::Map<String, Value>| object.get(key).cloned().unwrap_or_default();
                differences(&format!("{path}{dot}{key}"), &value(one), &value(other), found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                differences(&format!("{path}[{index}]"), one, other, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn raw(value: &Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(value).unwrap()
    }

    fn config() -> Value {
        json!({
            "ociVersion": "1.2.0", "hostname": "a", "annotations": {"id": "a"},
            "process": {"args": ["x"], "env": ["A=1"], "capabilities": {"bounding": ["CAP_KILL"]}},
            "root": {"path": "rootfs", "readonly": true},
            "mounts": [
                {"destination": "/data", "type": "bind", "source": "/a", "options": ["rbind"]},
                {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
            ],
            "linux": {"cgroupsPath": "/a", "resources": {}, "namespaces": [{"type": "network", "path": "/a"}]},
        })
    }

    fn held(config: &Value) -> Result<()> {
        let kept = Kept {
            schema: SCHEMA,
            id: "a".parse().unwrap(),
            files: Files::new(),
            backend: "native".to_owned(),
            config: bound(&raw(&self::config())).unwrap(),
            beyond: Beyond::default(),
            held: None,
        };
        kept.hold("native", &raw(config), &Beyond::default(), &Facts::default())
    }

    #[test]
    fn what_the_new_container_sets_anew_may_differ() {
        let mut other = config();
        for (pointer, value) in [
            ("/hostname", json!("b")),
            ("/annotations", json!({"id": "b"})),
            ("/process/env", json!([])),
            ("/root/path", json!("/elsewhere")),
            ("/mounts/0/source", json!("/b")),
            ("/linux/cgroupsPath", json!("/b")),
            ("/linux/resources", json!({"pids": {"limit": 7}})),
            ("/linux/namespaces/0/path", json!("/b")),
        ] {
            *other.pointer_mut(pointer).unwrap() = value;
        }
        held(&other).unwrap();
    }

    #[test]
    fn what_lives_on_in_the_processes_may_not() {
        for (pointer, value, named) in [
            ("/process/args/0", json!("y"), "process.args[0]"),
            ("/process/capabilities/bounding", json!([]), "process.capabilities.bounding"),
            ("/root/readonly", json!(false), "root.readonly"),
            ("/mounts/0/destination", json!("/x"), "mounts[0].destination"),
            ("/mounts/0/options", json!(["rbind", "ro"]), "mounts[0].options"),
            ("/mounts/1/source", json!("other"), "mounts[1].source"),
            ("/linux/namespaces/0/path", json!(""), "linux.namespaces[0].path"),
            ("/process/noNewPrivileges", json!(true), "process.noNewPrivileges"),
        ] {
            let mut other = config();
            match other.pointer_mut(pointer) {
                Some(place) => *place = value,
                None => other["process"]["noNewPrivileges"] = value,
            }
            let error = held(&other).unwrap_err();
            assert_eq!(error.code, ErrorCode::ConfigInvalid);
            assert_eq!(error.subject.unwrap(), format!("config.json: {named}"));
        }
    }
}
