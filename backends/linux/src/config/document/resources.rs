//! `linux.resources` (config-linux.md, "Control groups"); also what `update --resources` takes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Text, nullable};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Resources<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub devices: Vec<DeviceRule<'a>>,
    pub memory: Option<Memory>,
    pub cpu: Option<Cpu<'a>>,
    pub pids: Option<Pids>,
    #[serde(rename = "blockIO")]
    pub block_io: Option<BlockIo>,
    #[serde(deserialize_with = "nullable")]
    pub hugepage_limits: Vec<HugepageLimit<'a>>,
    pub network: Option<Network<'a>>,
    /// By the name of the device.
    #[serde(deserialize_with = "nullable")]
    pub rdma: BTreeMap<Text<'a>, Rdma>,
    /// File of cgroup v2 and what is written into it.
    #[serde(deserialize_with = "nullable")]
    pub unified: BTreeMap<Text<'a>, Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub struct DeviceRule<'a> {
    pub allow: bool,
    /// `a`, `b` or `c`; `a` where nothing is said.
    #[serde(borrow, rename = "type")]
    pub kind: Option<Text<'a>>,
    /// `None` and -1 for all.
    pub major: Option<i64>,
    /// `None` and -1 for all.
    pub minor: Option<i64>,
    /// Of the letters `r`, `w` and `m`.
    pub access: Option<Text<'a>>,
}

/// Bytes; -1 for no limit.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Memory {
    pub limit: Option<i64>,
    pub reservation: Option<i64>,
    /// Of memory and swap together.
    pub swap: Option<i64>,
    pub kernel: Option<i64>,
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: Option<i64>,
    /// 0 to 100.
    pub swappiness: Option<u64>,
    #[serde(rename = "disableOOMKiller", deserialize_with = "nullable")]
    pub disable_oom_killer: bool,
    pub use_hierarchy: Option<bool>,
    #[serde(deserialize_with = "nullable")]
    pub check_before_update: bool,
}

/// Microseconds, where it is a time.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Cpu<'a> {
    pub shares: Option<u64>,
    pub quota: Option<i64>,
    pub burst: Option<u64>,
    pub period: Option<u64>,
    pub realtime_runtime: Option<i64>,
    pub realtime_period: Option<u64>,
    #[serde(borrow)]
    pub cpus: Option<Text<'a>>,
    pub mems: Option<Text<'a>>,
    pub idle: Option<i64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Pids {
    pub limit: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BlockIo {
    pub weight: Option<u16>,
    pub leaf_weight: Option<u16>,
    #[serde(deserialize_with = "nullable")]
    pub weight_device: Vec<WeightDevice>,
    #[serde(deserialize_with = "nullable")]
    pub throttle_read_bps_device: Vec<ThrottleDevice>,
    #[serde(deserialize_with = "nullable")]
    pub throttle_write_bps_device: Vec<ThrottleDevice>,
    #[serde(rename = "throttleReadIOPSDevice", deserialize_with = "nullable")]
    pub throttle_read_iops_device: Vec<ThrottleDevice>,
    #[serde(rename = "throttleWriteIOPSDevice", deserialize_with = "nullable")]
    pub throttle_write_iops_device: Vec<ThrottleDevice>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WeightDevice {
    pub major: i64,
    pub minor: i64,
    pub weight: Option<u16>,
    pub leaf_weight: Option<u16>,
}

/// Bytes or operations per second.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct ThrottleDevice {
    pub major: i64,
    pub minor: i64,
    pub rate: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HugepageLimit<'a> {
    /// Such as `2MB` and `1GB`.
    #[serde(borrow)]
    pub page_size: Text<'a>,
    /// Bytes.
    pub limit: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Network<'a> {
    #[serde(rename = "classID")]
    pub class_id: Option<u32>,
    #[serde(borrow, deserialize_with = "nullable")]
    pub priorities: Vec<InterfacePriority<'a>>,
}

#[derive(Debug, Deserialize)]
pub struct InterfacePriority<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    pub priority: u32,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Rdma {
    pub hca_handles: Option<u32>,
    pub hca_objects: Option<u32>,
}
