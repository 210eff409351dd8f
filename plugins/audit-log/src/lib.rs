//! The hook `audit-log`: each event of a container's life becomes a line of JSON in a file that only grows.
//!
//! The line is written with one write(2) to a file opened with `O_APPEND`, so that lines of containers that run at one time never
//! mix (`open(2)`); a line that could not be written whole, or not synced where that is asked for, is a failure.
#![forbid(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use nucleus_abi::{
    Description, Error, ErrorCode, ExitStatus, Hook, HookPoint, HookReply, HookRequest, Kind, Result, SCHEMA,
};
use serde::{Deserialize, Serialize};

/// Of a log that is made: its lines name what runs here.
const MODE: u32 = 0o600;

/// The hook.
#[derive(Debug, Clone, Copy)]
pub struct AuditLog;

nucleus_abi::link_hook!(AuditLog);

/// What a profile says to it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Options {
    /// The file. Made with mode 0600 where it does not exist; its directory must exist.
    path: PathBuf,
    /// Whether each line has reached the disk before the container goes on. Default: no.
    #[serde(default)]
    fsync: bool,
}

/// One line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    time: &'a str,
    event: HookPoint,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<&'a std::path::Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<ExitStatus>,
}

impl Hook for AuditLog {
    fn description(&self) -> Description {
        Description {
            id: "audit-log".into(),
            kind: Kind::Hook,
            version: env!("CARGO_PKG_VERSION").into(),
            schemas: (SCHEMA, SCHEMA),
            rank: 0,
        }
    }

    fn event(&self, request: &HookRequest) -> Result<HookReply> {
        let options = read(&request.options)?;
        write(&options, &line(request)?).map_err(|error| {
            Error::new(ErrorCode::SystemCall, "write the audit log")
                .on(options.path.display())
                .because(error)
                .hint("make the directory, or name another file in the profile's `hooks[].options.path`")
        })?;
        Ok(HookReply::default())
    }
}

fn read(options: &serde_json::Value) -> Result<Options> {
    let wrong = |cause: String| {
        Error::new(ErrorCode::ProfileInvalid, "read the options of the hook `audit-log`")
            .on("hooks[].options")
            .because(cause)
            .hint("`path` is the absolute path of a file; `fsync` is true or false")
    };
    let options: Options =
        serde_json::from_value(options.clone()).map_err(|error| wrong(error.to_string()))?;
    if options.path.is_absolute() { Ok(options) } else { Err(wrong("`path` is not absolute".to_owned())) }
}

fn line(request: &HookRequest) -> Result<Vec<u8>> {
    let container = request.container.as_ref();
    let line = Line {
        time: &request.time,
        event: request.point,
        id: request.id.as_str(),
        backend: container.map(|it| it.backend.as_str()),
        bundle: container.map(|it| it.bundle.as_path()),
        pid: container.and_then(|it| it.pid),
        exit: container.and_then(|it| it.exit),
    };
    let mut text = serde_json::to_vec(&line)
        .map_err(|error| Error::new(ErrorCode::Protocol, "write a line of the audit log").because(error))?;
    text.push(b'\n');
    Ok(text)
}

fn write(options: &Options, line: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new().append(true).create(true).mode(MODE).open(&options.path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    // Not write_all: what a second write adds could stand behind another container's line.
    if file.write(line)? < line.len() {
        return Err(io::Error::other("the line could not be written whole: the disk may be full"));
    }
    if options.fsync { file.sync_data() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use nucleus_abi::HookContainer;
    use serde_json::json;

    use super::*;

    fn request(point: HookPoint, options: serde_json::Value) -> HookRequest {
        HookRequest {
            schema: SCHEMA,
            point,
            id: "web".parse().unwrap(),
            options,
            profile: serde_json::Value::Null,
            environment: std::collections::BTreeMap::new(),
            time: "2026-01-31T23:59:59Z".into(),
            container: Some(HookContainer {
                backend: "example".into(),
                bundle: "/b".into(),
                rootfs: "/b/rootfs".into(),
                annotations: std::collections::BTreeMap::new(),
                pid: Some(7),
                owner: None,
                exit: None,
            }),
        }
    }

    #[test]
    fn each_event_is_a_line_behind_the_last() {
        let path = std::env::temp_dir().join(format!("nucleus-audit-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let options = json!({"path": path, "fsync": true});
        for point in [HookPoint::Created, HookPoint::Deleted] {
            AuditLog.event(&request(point, options.clone())).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let line = r#"{"time":"2026-01-31T23:59:59Z","event":"created","id":"web","backend":"example","bundle":"/b","pid":7}"#;
        assert_eq!(text.lines().next(), Some(line));
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn a_log_that_cannot_be_written_is_a_failure() {
        for path in ["/nonexistent/log", "/dev/null"] {
            let error = AuditLog.event(&request(HookPoint::Created, json!({"path": path}))).unwrap_err();
            assert_eq!((error.code, error.subject.as_deref()), (ErrorCode::SystemCall, Some(path)));
        }
    }

    #[test]
    fn options_are_checked() {
        for options in [json!({}), json!({"path": "relative"}), json!({"path": "/l", "sync": true})] {
            let error = AuditLog.event(&request(HookPoint::Created, options)).unwrap_err();
            assert_eq!(error.code, ErrorCode::ProfileInvalid);
        }
    }
}
