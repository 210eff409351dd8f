//! The document types of `config.json`: what it may say, and nothing about what that means here.
//!
//! They hold every property that the runtime specification 1.2 and 1.3 has for Linux, under its own name; unknown
//! properties are passed over (config.md, "Extensibility"). Enumerations to which the specification may add, such as
//! capabilities and namespaces, are text here and are checked by who reads them. Text is borrowed from the document, so
//! that the 400 names of a seccomp profile cost no allocation.
//!
//! `null` reads as "not said", as in every runtime written in Go: engines write it for empty lists.
#![expect(
    missing_docs,
    reason = "a field is the property of that name; the specification says what it means"
)]

mod hooks;
mod linux;
mod mount;
mod names;
mod place;
mod process;
mod resources;
mod seccomp;
mod text;

use std::collections::BTreeMap;

use nucleus_abi::Result;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::fault::invalid;

pub use hooks::{Hook, Hooks};
pub use linux::{Device, IntelRdt, Linux, MemoryPolicy, Namespace, NetDevice, Personality, TimeOffset};
pub use mount::{IdMapping, Mount, Root};
pub use names::names;
pub use process::{Capabilities, ConsoleSize, CpuAffinity, IoPriority, Process, Rlimit, Scheduler, User};
pub use resources::{
    BlockIo, Cpu, DeviceRule, HugepageLimit, InterfacePriority, Memory, Network, Pids, Rdma, Resources,
    ThrottleDevice, WeightDevice,
};
pub use seccomp::{Action, Architecture, Argument, Flag, Operator, Seccomp, Syscall};
pub use text::Text;

/// A whole `config.json` (config.md).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec<'a> {
    #[serde(borrow)]
    pub oci_version: Text<'a>,
    pub root: Option<Root<'a>>,
    #[serde(default, deserialize_with = "nullable")]
    pub mounts: Vec<Mount<'a>>,
    pub process: Option<Process<'a>>,
    pub hostname: Option<Text<'a>>,
    pub domainname: Option<Text<'a>>,
    #[serde(default, deserialize_with = "nullable")]
    pub hooks: Hooks<'a>,
    #[serde(default, deserialize_with = "nullable")]
    pub annotations: BTreeMap<Text<'a>, Text<'a>>,
    #[serde(default, deserialize_with = "nullable")]
    pub linux: Linux<'a>,
    pub solaris: Option<IgnoredAny>,
    pub windows: Option<IgnoredAny>,
    pub vm: Option<IgnoredAny>,
    pub zos: Option<IgnoredAny>,
    pub freebsd: Option<IgnoredAny>,
}

/// Reads a part of a document, such as [`Spec`], [`Process`] or [`Resources`].
///
/// # Errors
/// `config-invalid` with the path of the field, and its line and column.
pub fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| invalid(place::of(json, &error), error))
}

fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> std::result::Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}
