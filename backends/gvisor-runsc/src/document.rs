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
    refuse_pods(&config)?;
    refuse_joined(&config)?;
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
