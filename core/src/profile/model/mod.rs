//! The profile, typed: every value is checked, every default is decided.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use self::either::short_or_map;
use super::values::BackendName;

mod context;
mod devices;
pub(super) mod either;
mod hooks;
mod mounts;
mod namespaces;
mod network;
mod plugins;
mod resources;
mod rootfs;
mod secrets;
mod security;
mod workload;

pub use context::{Context, ContextMode, ContextOwner};
pub use devices::Device;
pub use hooks::{Event as HookEvent, Hook, OnFailure};
pub use mounts::{Access, IdMap, MountPolicy, Mounts, Tmpfs, Volume};
pub use namespaces::{IdMapping, Join, Namespaces, TimeOffsets, UserMappings, UserNamespace};
pub use network::{Egress, EgressRule, EngineNetwork, Network, NetworkMode, NetworkProgram, Verdict};
pub use plugins::{PluginTrust, Plugins};
pub use resources::{Io, IoWeight, Resources};
pub use rootfs::{
    Attestation, AttestationNamed, DirectoryRootfs, HostRuntime, OverlayRootfs, RequiredAttestation, Rootfs,
    RootfsSource,
};
pub use secrets::{Secret, SecretSource};
pub use security::{
    Capabilities, CapabilitySets, Landlock, LandlockDefault, LandlockPaths, Seccomp, SeccompFile,
    SeccompNamed, Security,
};
pub use workload::{Terminal, Workload};

/// A profile: what a workload may have, and which backend gives it.
///
/// As [`load`](super::load) returns it, parents, the named workload and the command line are already applied.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// The version of the profile's language. Each file says it.
    pub api_version: ApiVersion,
    /// A name for people; `explain` shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The plugin that isolates the workload: a name, `auto`, or a map with `name` and `options`. Default: auto.
    pub backend: Backend,
    /// What happens when the backend cannot enforce a line of the profile on this host. Default: strict.
    pub enforcement: Enforcement,
    /// What is to run, and as whom.
    pub workload: Workload,
    /// The root file system: `host-runtime`, or a map with `path` or `overlay`. Default: host-runtime.
    pub rootfs: Rootfs,
    /// A tree of the host that the workload may read. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    /// What is mounted into the root file system.
    #[serde(default)]
    pub mounts: Mounts,
    /// Devices of the host beyond the standard ones (`null`, `zero`, `full`, `random`, `urandom`, `tty`, terminals).
    /// Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<Device>>,
    /// What only the workload may see. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
    /// The network that the workload sees.
    pub network: Network,
    /// Details of the kernel namespaces; all of them are on by default.
    #[serde(default)]
    pub namespaces: Namespaces,
    /// Limits, enforced by control groups.
    #[serde(default)]
    pub resources: Resources,
    /// What the workload may ask of the kernel.
    pub security: Security,
    /// Plugins that are called at points of the container's life, in this order. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hook>,
    /// Plugins that are not part of the program.
    #[serde(default, skip_serializing_if = "Plugins::is_default")]
    pub plugins: Plugins,
}

/// The version of the profile's language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub enum ApiVersion {
    /// The first version.
    #[serde(rename = "nucleus/v1")]
    V1,
}

/// What happens when a line of the profile cannot be enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum Enforcement {
    /// The start is refused.
    Strict,
    /// The start goes on with a warning, which stays in the container's state and in `explain`.
    Permissive,
}

/// The plugin that isolates the workload.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Backend {
    /// By name alone.
    Name(BackendName),
    /// With options.
    Configured(ConfiguredBackend),
}

short_or_map!(Backend { Name(BackendName), Configured(ConfiguredBackend) });

/// A backend with options of its own.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub struct ConfiguredBackend {
    /// The name of the backend, or `auto`.
    pub name: BackendName,
    /// Options that the backend itself checks.
    #[serde(default)]
    pub options: BTreeMap<String, serde_json::Value>,
}

impl Backend {
    /// The name of the backend.
    pub fn name(&self) -> &BackendName {
        match self {
            Self::Name(name) => name,
            Self::Configured(backend) => &backend.name,
        }
    }

    /// The backend's options; `None` where the profile gives none.
    pub fn options(&self) -> Option<&BTreeMap<String, serde_json::Value>> {
        match self {
            Self::Name(_) => None,
            Self::Configured(backend) => Some(&backend.options),
        }
    }
}

/// The schema of a map whose keys have a type of their own: `propertyNames` keeps the key's `format`, which
/// schemars' own schema of a map loses and the diagnostics need.
struct Keyed<K, V>(PhantomData<(K, V)>);

impl<K: JsonSchema, V: JsonSchema> JsonSchema for Keyed<K, V> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Map_from_{}_to_{}", K::schema_name(), V::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let keys = generator.subschema_for::<K>();
        let values = generator.subschema_for::<V>();
        json_schema!({ "type": "object", "propertyNames": keys, "additionalProperties": values })
    }
}
