//! The documents of `checkpoint` and `restore`: a container's processes as files, and back.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::documents::{Beyond, DescriptorIndex, SandboxRequest};
use crate::id::ContainerId;

/// `checkpoint`: write the processes of a container that runs or is paused into files.
#[derive(Debug, Serialize, Deserialize)]
pub struct CheckpointRequest {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// The container.
    pub id: ContainerId,
    /// The directory given to `sandbox`.
    pub directory: PathBuf,
    /// The container's own `config.json`, as given to `sandbox`.
    pub config: Box<RawValue>,
    /// What went beyond the runtime specification when the container was made.
    #[serde(default)]
    pub beyond: Beyond,
    /// What becomes of the container.
    #[serde(default)]
    pub afterwards: Afterwards,
    /// The name, in the directory of the images, of a link to those of an earlier pre-dump.
    #[serde(default)]
    pub parent: Option<String>,
    /// Who takes the memory's pages, if they are not to lie in the images.
    #[serde(default)]
    pub page_server: Option<PageServer>,
    /// Connections with data on the way are left out.
    #[serde(default)]
    pub skip_in_flight: bool,
    /// Where the images are, and how they are made.
    pub images: Images,
}

/// What becomes of a container whose processes were written into files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Afterwards {
    /// Its processes end.
    #[default]
    Stop,
    /// It goes on.
    GoOn,
    /// It goes on, and only its memory was written: a later checkpoint takes what has changed since.
    GoOnAfterMemory,
}

/// A page server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageServer {
    /// Its address.
    pub address: String,
    /// Its port.
    pub port: u16,
}

/// What holds for both directions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Images {
    /// Their directory.
    pub directory: DescriptorIndex,
    /// A directory for logs; without it they lie beside the images.
    #[serde(default)]
    pub work: Option<DescriptorIndex>,
    /// The program that writes and reads them, where the operator names one.
    #[serde(default)]
    pub program: Option<PathBuf>,
    /// What else is to be done.
    #[serde(default)]
    pub extras: BTreeSet<Extra>,
    /// What is kept of cgroups that the workload made; `None` is the program's own default.
    #[serde(default)]
    pub cgroups: Option<ManageCgroups>,
}

/// What criu does only when it is asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extra {
    /// Established TCP connections belong to the container too.
    TcpEstablished,
    /// Unix sockets may be connected to processes of the host.
    ExternalUnixSockets,
    /// The container may share a session and a terminal of the host.
    ShellJob,
    /// File locks are kept.
    FileLocks,
    /// Files that have lost their name get one for the images' sake.
    LinkRemap,
    /// Pages that an earlier image holds too are removed from it.
    Deduplicate,
    /// The network namespace is left empty: somebody else fills it.
    EmptyNetwork,
}

/// What is kept of cgroups: runc's `--manage-cgroups-mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ManageCgroups {
    /// Nothing.
    Ignore,
    /// Those that are missing are made, with their settings.
    Soft,
    /// All are made anew.
    Full,
    /// As `full`, and none may be there.
    Strict,
}

/// `restore`: make a container of images. It replaces `sandbox`, `create` and `start`: the workload runs when it returns.
/// The reply is that of `create`.
#[derive(Debug, Serialize, Deserialize)]
pub struct RestoreRequest {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// The container, as `sandbox` is told of it.
    pub sandbox: SandboxRequest,
    /// The label of another profile for its processes, as `TYPE:NAME`.
    #[serde(default)]
    pub lsm_profile: Option<String>,
    /// The label of its mounts.
    #[serde(default)]
    pub lsm_mount_context: Option<String>,
    /// Where the images are, and how they are read.
    pub images: Images,
}
