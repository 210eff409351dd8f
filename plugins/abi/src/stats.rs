//! The reply to `stats`: what a container uses, as its cgroups count it.
//!
//! A field that the host does not count is `None` or absent: it is never reported as zero.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a container uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Processor time.
    #[serde(default)]
    pub cpu: CpuStats,
    /// Memory.
    #[serde(default)]
    pub memory: MemoryStats,
    /// Processes and threads.
    #[serde(default)]
    pub pids: PidsStats,
    /// Traffic with block devices, one entry for each device.
    #[serde(default)]
    pub io: Vec<IoStats>,
    /// Huge pages, by page size (`2MB`).
    #[serde(default)]
    pub hugetlb: BTreeMap<String, HugetlbStats>,
}

/// Processor time, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuStats {
    /// Total.
    #[serde(default)]
    pub total: Option<u64>,
    /// In user mode.
    #[serde(default)]
    pub user: Option<u64>,
    /// In the kernel.
    #[serde(default)]
    pub system: Option<u64>,
    /// Total for each processor; cgroup v1 alone counts it.
    #[serde(default)]
    pub per_cpu: Vec<u64>,
    /// Periods of the bandwidth limit that have passed.
    #[serde(default)]
    pub periods: Option<u64>,
    /// Periods in which the limit held the container back.
    #[serde(default)]
    pub throttled_periods: Option<u64>,
    /// For how long it did.
    #[serde(default)]
    pub throttled_time: Option<u64>,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStats {
    /// In use, with caches.
    #[serde(default)]
    pub usage: MemoryUsage,
    /// In use, memory and swap together.
    #[serde(default)]
    pub with_swap: MemoryUsage,
    /// Of the kernel; cgroup v1 alone counts it apart.
    #[serde(default)]
    pub kernel: MemoryUsage,
    /// Of the kernel's TCP buffers; cgroup v1 alone counts it apart.
    #[serde(default)]
    pub kernel_tcp: MemoryUsage,
    /// Of that, page cache.
    #[serde(default)]
    pub cache: Option<u64>,
    /// How often the out-of-memory killer has killed a process of the container.
    #[serde(default)]
    pub oom_kills: Option<u64>,
    /// `memory.stat` as the kernel writes it.
    #[serde(default)]
    pub raw: BTreeMap<String, u64>,
}

/// One counter of memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUsage {
    /// Now.
    #[serde(default)]
    pub now: Option<u64>,
    /// The most there ever was.
    #[serde(default)]
    pub peak: Option<u64>,
    /// How often the limit was hit.
    #[serde(default)]
    pub failures: Option<u64>,
    /// The limit; `None`: there is none.
    #[serde(default)]
    pub limit: Option<u64>,
}

/// Processes and threads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PidsStats {
    /// Now.
    #[serde(default)]
    pub now: Option<u64>,
    /// The limit; `None`: there is none.
    #[serde(default)]
    pub limit: Option<u64>,
}

/// Traffic with one block device since the container was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoStats {
    /// Major number of the device.
    pub major: u64,
    /// Minor number of the device.
    pub minor: u64,
    /// Bytes read.
    #[serde(default)]
    pub read_bytes: u64,
    /// Bytes written.
    #[serde(default)]
    pub written_bytes: u64,
    /// Read operations.
    #[serde(default)]
    pub reads: u64,
    /// Write operations.
    #[serde(default)]
    pub writes: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HugetlbStats {
    /// In use.
    pub usage: u64,
    /// The most there ever was, where the host counts it.
    #[serde(default)]
    pub peak: Option<u64>,
    /// How often the limit was hit.
    #[serde(default)]
    pub failures: u64,
}
