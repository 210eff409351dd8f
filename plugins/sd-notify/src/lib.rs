//! The hook `sd-notify`: tells the service manager that started nucleus what becomes of the container (`sd_notify(3)`).
//!
//! `started` is READY=1, `stopped` is STOPPING=1, each with a STATUS. The socket is `NOTIFY_SOCKET`, which the profile passes on
//! (`environment: [NOTIFY_SOCKET]`); without it there is no manager, and nothing to say. The message comes from the hook's own
//! process, so the unit needs `NotifyAccess=all`.
#![forbid(unsafe_code)]

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use nucleus_abi::{
    Description, Error, ErrorCode, ExitStatus, Hook, HookPoint, HookReply, HookRequest, Kind, Result, SCHEMA,
};

/// The variable that names the manager's socket.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// The hook.
#[derive(Debug, Clone, Copy)]
pub struct SdNotify;

nucleus_abi::link_hook!(SdNotify);

impl Hook for SdNotify {
    fn description(&self) -> Description {
        Description {
            id: "sd-notify".into(),
            kind: Kind::Hook,
            version: env!("CARGO_PKG_VERSION").into(),
            schemas: (SCHEMA, SCHEMA),
            rank: 0,
        }
    }

    fn event(&self, request: &HookRequest) -> Result<HookReply> {
        let socket = request.environment.get(VARIABLE).filter(|socket| !socket.is_empty());
        if let (Some(socket), Some(message)) = (socket, message(request)) {
            send(socket, &message).map_err(|error| {
                Error::new(ErrorCode::SystemCall, "tell the service manager what the container does")
                    .on(socket)
                    .because(error)
            })?;
        }
        Ok(HookReply::default())
    }
}

/// What is said at a point; nothing at most of them.
fn message(request: &HookRequest) -> Option<String> {
    let id = &request.id;
    match request.point {
        HookPoint::Created => Some(format!("STATUS=Container {id} is made")),
        HookPoint::Started => Some(format!("READY=1\nSTATUS=Container {id} runs")),
        HookPoint::Stopped => {
            let exit = request.container.as_ref().and_then(|container| container.exit);
            Some(format!("STOPPING=1\nSTATUS=Container {id} {}", ended(exit)))
        }
        HookPoint::Plan | HookPoint::Deleted => None,
    }
}

fn ended(exit: Option<ExitStatus>) -> String {
    match exit {
        Some(ExitStatus::Exited { code }) => format!("ended with status {code}"),
        Some(ExitStatus::Signalled { signal }) => format!("was ended by signal {signal}"),
        Some(ExitStatus::NotExecuted { .. }) => "could not be executed".to_owned(),
        Some(ExitStatus::Unknown) | None => "has ended".to_owned(),
    }
}

/// To a path, or to a name of the abstract namespace (`@name`).
fn send(socket: &str, message: &str) -> std::io::Result<()> {
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use nucleus_abi::HookContainer;

    use super::*;

    fn request(point: HookPoint, socket: Option<&str>) -> HookRequest {
        HookRequest {
            schema: SCHEMA,
            point,
            id: "web".parse().unwrap(),
            options: serde_json::Value::Null,
            profile: serde_json::Value::Null,
            environment: socket.map(|socket| (VARIABLE.to_owned(), socket.to_owned())).into_iter().collect(),
            time: String::new(),
            container: Some(HookContainer {
                backend: "example".into(),
                bundle: "/b".into(),
                rootfs: "/b/rootfs".into(),
                annotations: std::collections::BTreeMap::new(),
                pid: Some(7),
                owner: Some(5),
                exit: Some(ExitStatus::Exited { code: 3 }),
            }),
        }
    }

    #[test]
    fn the_manager_hears_when_it_is_ready_and_when_it_stops() {
        let path = std::env::temp_dir().join(format!("nucleus-sd-notify-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let manager = UnixDatagram::bind(&path).unwrap();
        let heard = |point| {
            SdNotify.event(&request(point, path.to_str())).unwrap();
            let mut buffer = [0; 256];
            let length = manager.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        let ready = heard(HookPoint::Started);
        let stopping = heard(HookPoint::Stopped);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(ready, "READY=1\nSTATUS=Container web runs");
        assert_eq!(stopping, "STOPPING=1\nSTATUS=Container web ended with status 3");
    }

    #[test]
    fn without_a_manager_there_is_nothing_to_say() {
        SdNotify.event(&request(HookPoint::Started, None)).unwrap();
        SdNotify.event(&request(HookPoint::Deleted, Some("/nonexistent"))).unwrap();
    }

    #[test]
    fn a_manager_that_cannot_be_reached_is_a_failure() {
        let error = SdNotify.event(&request(HookPoint::Started, Some("/nonexistent"))).unwrap_err();
        assert_eq!(error.subject.as_deref(), Some("/nonexistent"));
    }
}
