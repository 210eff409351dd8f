//! The container's `config.json` as this engine understands it: typed, complete, and checked before any effect.
//!
//! The rule of the runtime specification: an unknown property is no error (config.md, "Extensibility"). A *known*
//! property that this engine does not enforce is one, so that nothing is lost silently.

mod device_rules;
mod devices;
pub mod document;
mod each_process;
mod execution;
mod hooks;
mod index_list;
mod intel_rdt;
mod mounts;
mod namespaces;
mod net_devices;
mod process;
mod refused;
mod resources;
mod root;
mod scheduling;
mod sysctls;
mod version;

use std::collections::BTreeMap;
use std::path::PathBuf;

use nucleus_abi::{Beyond, Init, Keyring, LandlockRule, Result};
use nucleus_sys::in_root::InRootPath;

use crate::fault::{invalid, unsupported};
use crate::seccomp::{self, Program};

use document::{Linux, Spec, Text};
use mounts::Surroundings;

pub use device_rules::{DEFAULT_RULES, DeviceAccess, DeviceKind, DeviceRule, Verdict};
pub use devices::Node;
pub(crate) use each_process::MODES;
pub use each_process::{EachProcess, MemoryPolicy};
pub use execution::Execution;
pub use hooks::{Hook, Hooks, Point};
pub use intel_rdt::{IntelRdt, Monitoring, read_schemata};
pub use mounts::{
    Attributes, Content, Datum, Devices, FileSystem, Filled, IdSource, Mount, Origin, Source, known_options,
};
pub use namespaces::{IdMaps, Joined, Namespaces, Offset};
pub use net_devices::NetDevice;
pub use process::{Capabilities, Escalation, Labels, Process, Terminal};
pub use resources::{Cpu, Device, Io, Limits, Memory, Network, Rate, Rdma, Throttle, read_change};
pub use root::{Access, Root};
pub use scheduling::{Affinity, IoPriority};
pub use sysctls::Sysctl;
pub use version::VERSIONS;

/// Everything that the engine needs to know about one container.
#[derive(Debug)]
pub struct Configuration {
    /// Which namespaces to make and which to join.
    pub namespaces: Namespaces,
    /// Host name in a UTS namespace of its own.
    pub hostname: Option<String>,
    /// NIS domain name in a UTS namespace of its own.
    pub domainname: Option<String>,
    /// The root file system; `None` if the mount namespace is joined, which brings its own.
    pub root: Option<Root>,
    /// What is mounted on it, in order.
    pub mounts: Vec<Mount>,
    /// The `SELinux` label of every new file system that can have one.
    pub mount_label: Option<String>,
    /// Device nodes beyond the standard ones.
    pub devices: Vec<Node>,
    /// A class of service of the CPU's caches and memory bandwidth.
    pub intel_rdt: Option<IntelRdt>,
    /// Devices of the host's network that become the container's.
    pub net_devices: Vec<NetDevice>,
    /// Paths to hide.
    pub masked: Vec<InRootPath>,
    /// Paths to make read-only.
    pub readonly: Vec<InRootPath>,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: Vec<Sysctl>,
    /// The first process.
    pub process: Process,
    /// What each of its processes is given.
    pub each_process: EachProcess,
    /// Cgroup limits.
    pub limits: Limits,
    /// The compiled system call filter.
    pub seccomp: Option<Program>,
    /// Landlock rules.
    pub landlock: Option<Vec<LandlockRule>>,
    /// What is called at points of the container's life.
    pub hooks: Hooks,
    /// `ociVersion`, as it stands there.
    pub oci_version: String,
    /// `annotations`: told to hooks, and never obeyed.
    pub annotations: BTreeMap<String, String>,
    /// Whether an init process stands between the engine and the workload.
    pub init: Init,
    /// Which session keyring its processes have.
    pub keyring: Keyring,
    /// What was asked for and left out, where the specification says that this is no error.
    pub warnings: Vec<String>,
}

impl Configuration {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// `config-invalid` and `not-supported`; both name the field.
    pub fn parse(json: &str, beyond: &Beyond) -> Result<Self> {
        let spec: Spec<'_> = document::read(json)?;
        version::check(&spec.oci_version)?;
        refused::check(&spec)?;
        let linux = &spec.linux;
        let namespaces = namespaces::read(linux)?;
        let mut warnings = Vec::new();
        let label = linux.mount_label.as_deref().filter(|label| !label.is_empty());
        let limits = resources::read(&linux.resources)?;
        let surroundings = Surroundings { namespaces: &namespaces, label, device_rules: &limits.devices };
        let configuration = Self {
            hostname: hostname("hostname", spec.hostname.as_deref(), &namespaces)?,
            domainname: hostname("domainname", spec.domainname.as_deref(), &namespaces)?,
            root: root::read(&spec, &namespaces)?,
            mounts: mounts::read(&spec.mounts, &surroundings, &mut warnings)?,
            mount_label: label.map(str::to_owned),
            devices: devices::read(&linux.devices)?,
            intel_rdt: intel_rdt::read(linux.intel_rdt.as_ref())?,
            net_devices: net_devices::read(linux, &namespaces)?,
            masked: paths("linux.maskedPaths", &linux.masked_paths)?,
            readonly: paths("linux.readonlyPaths", &linux.readonly_paths)?,
            sysctls: sysctls::read(linux, &namespaces)?,
            process: process::read(spec.process.as_ref(), &mut warnings)?,
            each_process: each_process::read(linux)?,
            limits,
            seccomp: filter(linux, &mut warnings)?,
            landlock: beyond.landlock.clone(),
            init: beyond.init,
            keyring: beyond.keyring,
            hooks: hooks::read(&spec.hooks)?,
            oci_version: spec.oci_version.to_string(),
            annotations: spec.annotations.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            namespaces,
            warnings,
        };
        configuration.check_joined_mounts(&spec)?;
        Ok(configuration)
    }

    /// A joined mount namespace brings its own root and mounts: building others in it would change the other
    /// container, and leaving them out would be a silent loss.
    fn check_joined_mounts(&self, spec: &Spec<'_>) -> Result<()> {
        let asked = [
            ("root.readonly", spec.root.as_ref().is_some_and(|root| root.readonly)),
            ("mounts", !self.mounts.is_empty()),
            ("linux.maskedPaths", !self.masked.is_empty()),
            ("linux.readonlyPaths", !self.readonly.is_empty()),
            ("linux.devices", !self.devices.is_empty()),
            ("process.terminal", self.process.terminal.is_some()),
        ];
        match asked.iter().find(|(_, asked)| *asked) {
            Some((field, _)) if !self.namespaces.own_mounts() => {
                Err(unsupported(field, "the mount namespace is joined, and it brings its own mounts"))
            }
            _ => Ok(()),
        }
    }
}

/// Parses a path of the container. Without `..`: its text decides which checks it gets.
fn in_root(field: &str, path: impl AsRef<std::ffi::OsStr>) -> Result<InRootPath> {
    let text = path.as_ref();
    if !std::path::Path::new(text).is_absolute() {
        return Err(invalid(field, format!("{} is not an absolute path", text.display())));
    }
    InRootPath::new(text).map(InRootPath::cleaned).map_err(|error| invalid(field, error))
}

/// A path of the host, absolute or relative to the bundle.
fn host_path(field: &str, text: &str) -> Result<PathBuf> {
    match text {
        "" => Err(invalid(field, "is empty")),
        text if text.contains('\0') => Err(invalid(field, "holds a NUL byte")),
        text => Ok(PathBuf::from(text)),
    }
}

fn paths(field: &str, texts: &[Text<'_>]) -> Result<Vec<InRootPath>> {
    let numbered = texts.iter().enumerate();
    numbered.map(|(index, text)| in_root(&format!("{field}[{index}]"), text)).collect()
}

/// `HOST_NAME_MAX`, and what sethostname(2) and setdomainname(2) take.
const LONGEST_NAME: usize = 64;

fn hostname(field: &str, text: Option<&str>, namespaces: &Namespaces) -> Result<Option<String>> {
    match text {
        None | Some("") => Ok(None),
        Some(_) if !namespaces.owns(nucleus_sys::namespace::Namespace::Uts) => {
            Err(invalid(field, "without a UTS namespace this would be the host's name"))
        }
        Some(text) if text.contains('\0') => Err(invalid(field, "holds a NUL byte")),
        Some(text) if text.len() > LONGEST_NAME => Err(invalid(field, "longer than 64 bytes")),
        Some(text) => Ok(Some(text.to_owned())),
    }
}

fn filter(linux: &Linux<'_>, warnings: &mut Vec<String>) -> Result<Option<Program>> {
    let Some(profile) = &linux.seccomp else { return Ok(None) };
    let program = seccomp::compile(profile)?;
    let unknown = program.unknown_names.iter();
    warnings.extend(unknown.map(|name| format!("config.json: linux.seccomp: `{name}` is no system call")));
    Ok(Some(program))
}

#[cfg(test)]
mod tests;
