//! Limits, enforced by control groups.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Keyed;
use crate::profile::values::{Bounded, ByteSize, Cpus, DeviceRef, IndexSet, Limit};

/// Limits of the container as a whole, enforced by control groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// Memory, or `unlimited`. Default: 512M.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Limit<ByteSize>>,
    /// Swap on top of memory; 0 is none, or `unlimited`. Default: the kernel's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<Limit<ByteSize>>,
    /// Processors' worth of time, such as 1.5, or `unlimited`. Default: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Limit<Cpus>>,
    /// Weight against others when processors are short, 2 to 262144. Default: the kernel's 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_shares: Option<Bounded<2, 262_144>>,
    /// The processors to run on, such as 0-1. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpuset: Option<IndexSet>,
    /// The memory nodes to take memory from, such as 0. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_nodes: Option<IndexSet>,
    /// Processes and threads, or `unlimited`. Default: 512.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<Limit<Bounded<1, 4_194_304>>>,
    /// Block devices.
    #[serde(default)]
    pub io: Io,
}

/// The weight of a container's block I/O.
pub type IoWeight = Bounded<10, 1000>;

/// Limits of block devices, by device (`/dev/vda` or `8:0`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Io {
    /// Weight against others when a device is busy, 10 to 1000. Default: the kernel's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<IoWeight>,
    /// Bytes read per second.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Keyed<DeviceRef, ByteSize>")]
    pub read_bps: BTreeMap<DeviceRef, ByteSize>,
    /// Bytes written per second.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Keyed<DeviceRef, ByteSize>")]
    pub write_bps: BTreeMap<DeviceRef, ByteSize>,
    /// Read operations per second.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Keyed<DeviceRef, Bounded<1, 4_294_967_295>>")]
    pub read_iops: BTreeMap<DeviceRef, Bounded<1, 4_294_967_295>>,
    /// Write operations per second.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Keyed<DeviceRef, Bounded<1, 4_294_967_295>>")]
    pub write_iops: BTreeMap<DeviceRef, Bounded<1, 4_294_967_295>>,
}
