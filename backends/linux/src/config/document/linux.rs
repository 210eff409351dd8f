//! `linux` (config-linux.md).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{IdMapping, Resources, Seccomp, Text, nullable};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Linux<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub namespaces: Vec<Namespace<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub uid_mappings: Vec<IdMapping>,
    #[serde(deserialize_with = "nullable")]
    pub gid_mappings: Vec<IdMapping>,
    #[serde(deserialize_with = "nullable")]
    pub time_offsets: BTreeMap<Text<'a>, TimeOffset>,
    #[serde(deserialize_with = "nullable")]
    pub devices: Vec<Device<'a>>,
    /// By the name that the device has on the host.
    #[serde(deserialize_with = "nullable")]
    pub net_devices: BTreeMap<Text<'a>, NetDevice<'a>>,
    pub cgroups_path: Option<Text<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub resources: Resources<'a>,
    pub intel_rdt: Option<IntelRdt<'a>>,
    pub memory_policy: Option<MemoryPolicy<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub sysctl: BTreeMap<Text<'a>, Text<'a>>,
    pub seccomp: Option<Seccomp<'a>>,
    pub rootfs_propagation: Option<Text<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub masked_paths: Vec<Text<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub readonly_paths: Vec<Text<'a>>,
    pub mount_label: Option<Text<'a>>,
    pub personality: Option<Personality<'a>>,
}

#[derive(Debug, Deserialize)]
pub struct Namespace<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    /// Of a namespace to join; without it a new one is made.
    pub path: Option<Text<'a>>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct TimeOffset {
    #[serde(deserialize_with = "nullable")]
    pub secs: i64,
    #[serde(deserialize_with = "nullable")]
    pub nanosecs: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device<'a> {
    /// `c`, `b`, `u` or `p` (mknod(1)).
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    pub path: Text<'a>,
    #[serde(default, deserialize_with = "nullable")]
    pub major: i64,
    #[serde(default, deserialize_with = "nullable")]
    pub minor: i64,
    pub file_mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct NetDevice<'a> {
    /// In the container; the host's name where nothing is said.
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IntelRdt<'a> {
    #[serde(borrow, rename = "closID")]
    pub clos_id: Option<Text<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub schemata: Vec<Text<'a>>,
    pub l3_cache_schema: Option<Text<'a>>,
    pub mem_bw_schema: Option<Text<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub enable_monitoring: bool,
    /// Version 1.2; `enableMonitoring` since.
    #[serde(rename = "enableCMT", deserialize_with = "nullable")]
    pub enable_cmt: bool,
    /// Version 1.2; `enableMonitoring` since.
    #[serde(rename = "enableMBM", deserialize_with = "nullable")]
    pub enable_mbm: bool,
}

/// `set_mempolicy(2)`.
#[derive(Debug, Deserialize)]
pub struct MemoryPolicy<'a> {
    #[serde(borrow)]
    pub mode: Text<'a>,
    pub nodes: Option<Text<'a>>,
    #[serde(default, deserialize_with = "nullable")]
    pub flags: Vec<Text<'a>>,
}

/// `personality(2)`.
#[derive(Debug, Deserialize)]
pub struct Personality<'a> {
    #[serde(borrow)]
    pub domain: Text<'a>,
    #[serde(default, deserialize_with = "nullable")]
    pub flags: Vec<Text<'a>>,
}
