//! What `config.json` means for runsc: flags, and what it cannot have. Pure.

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_linux::fault::{invalid, unsupported};
use serde_json::Value;

use crate::found::Found;
use crate::network::{self, Network};
use crate::options::Options;

/// A document that was looked at.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) network: Network,
    /// Whether the workload may make raw sockets: runsc takes that away, whatever the capabilities say, unless it is told.
    pub(crate) has_raw_sockets: bool,
}

/// Annotations by which the CRI of containerd and of CRI-O says that a container belongs into another's sandbox.
const POD_ANNOTATIONS: [&str; 2] = ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"];

/// Looks at it.
///
/// # Errors
/// `config-invalid`; `not-supported`, naming the field; `host-unfit` when its network cannot be had here.
pub(crate) fn prepare(text: &str, found: &Found, options: &Options) -> Result<Document> {
    let config: Value = serde_json::from_str(text).map_err(|error| invalid("(document)", error))?;
    check(&config)?;
    let network = Network::of(&config, options.stack);
    match network::obstacle(found.release(), network::kernel()) {
        Some(obstacle) if network == Network::Sandbox => {
            return Err(Error::new(ErrorCode::HostUnfit, "give the container its network")
                .on(found.name())
                .because(obstacle));
        }
        _ => {}
    }
    let bounding = config.pointer("/process/capabilities/bounding").and_then(Value::as_array);
    let has_raw_sockets = bounding.into_iter().flatten().any(|name| name == "CAP_NET_RAW");
    Ok(Document { network, has_raw_sockets })
}

/// What no release of runsc can do, whatever the host.
fn check(config: &Value) -> Result<()> {
    refuse_pods(config)?;
    refuse_joined(config)?;
    refuse_what_is_forgotten(config)
}

/// Several containers in one sandbox: runsc's `create` would look for the sandbox's container below its own root.
fn refuse_pods(config: &Value) -> Result<()> {
    let annotation = |name: &&&str| config["annotations"][**name] == "container";
    match POD_ANNOTATIONS.iter().find(annotation) {
        Some(name) => Err(unsupported(
            format!("annotations: {name}"),
            "a container in the sandbox of another one: gvisor-runsc gives each container a sandbox of its own",
        )),
        None => Ok(()),
    }
}

/// The mask that gVisor's kernel gives every process, umask(2).
const UMASK: u64 = 0o022;

/// What runsc passes over without a word.
fn refuse_what_is_forgotten(config: &Value) -> Result<()> {
    let umask = config.pointer("/process/user/umask").and_then(Value::as_u64);
    if let Some(umask) = umask.filter(|umask| *umask != UMASK) {
        return Err(unsupported(
            "process.user.umask",
            format!("runsc starts every workload with the umask {UMASK:04o}, and {umask:04o} is asked for"),
        ));
    }
    if config["domainname"].as_str().is_some_and(|name| !name.is_empty()) {
        return Err(unsupported("domainname", "runsc passes it over: gVisor's kernel shows another one"));
    }
    Ok(())
}

/// gVisor's kernel has namespaces of its own; of the host's it can only enter a network.
fn refuse_joined(config: &Value) -> Result<()> {
    let namespaces = config.pointer("/linux/namespaces").and_then(Value::as_array);
    let joined = namespaces.into_iter().flatten().enumerate();
    let mut joined = joined.filter(|(_, one)| one["path"].as_str().is_some_and(|path| !path.is_empty()));
    match joined.find(|(_, one)| one["type"] != "network") {
        Some((index, one)) => Err(unsupported(
            format!("linux.namespaces[{index}]"),
            format!(
                "the container's kernel is gVisor's: it cannot join the host's {} namespace",
                one["type"]
            ),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nucleus_abi::ErrorCode;
    use serde_json::json;

    #[test]
    fn what_runsc_would_pass_over_is_refused_by_its_field() {
        for (config, field) in [
            (json!({"annotations": {"io.kubernetes.cri.container-type": "container"}}), "annotations"),
            (json!({"annotations": {"io.kubernetes.cri-o.ContainerType": "container"}}), "annotations"),
            (
                json!({"linux": {"namespaces": [{"type": "ipc", "path": "/proc/1/ns/ipc"}]}}),
                "linux.namespaces[0]",
            ),
            (json!({"process": {"user": {"umask": 0o027}}}), "process.user.umask"),
            (json!({"domainname": "example"}), "domainname"),
        ] {
            let error = check(&config).unwrap_err();
            assert_eq!(error.code, ErrorCode::NotSupported, "{error}");
            assert!(error.to_string().contains(field), "{error}");
        }
    }

    #[test]
    fn a_sandbox_of_its_own_and_a_joined_network_are_no_obstacle() {
        for config in [
            json!({"annotations": {"io.kubernetes.cri.container-type": "sandbox"}}),
            json!({"linux": {"namespaces": [{"type": "network", "path": "/run/netns/x"}, {"type": "pid"}]}}),
            json!({"process": {"user": {"umask": 0o022}}}),
        ] {
            check(&config).unwrap();
        }
    }
}
