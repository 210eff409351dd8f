//! The network.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The network that the workload sees.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// Which network. Default: none.
    pub mode: NetworkMode,
    /// The operator's consent to `mode: host`, which gives up the isolation of the network. Default: false.
    pub allow_host: bool,
    /// Whether an engine may bring a network namespace that it prepared. Default: keep.
    pub engine_network: EngineNetwork,
}

/// What becomes of a network namespace that an engine prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum EngineNetwork {
    /// The container gets it.
    Keep,
    /// The container is refused: it may have a new one only.
    Refuse,
}

/// Which network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum NetworkMode {
    /// A network namespace with nothing but `lo`.
    None,
    /// The host's own network; needs `allowHost: true`.
    Host,
}
