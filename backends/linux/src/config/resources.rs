//! `linux.resources`: cgroup limits in the words of the specification, which are those of cgroup v1.

use std::collections::BTreeMap;

use nucleus_abi::Result;

use super::device_rules::{self, DeviceRule};
use super::document::{self, Resources, Text};
use crate::fault::invalid;

/// All limits of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory and swap.
    pub memory: Memory,
    /// Processor time.
    pub cpu: Cpu,
    /// The most processes and threads; `None` inside for no limit.
    pub pids: Option<Option<u64>>,
    /// Block input and output.
    pub io: Io,
    /// Bytes of huge pages, by page size: `2MB`.
    pub huge_pages: BTreeMap<String, u64>,
    /// Marks on network packets; v1 only.
    pub network: Network,
    /// Remote memory, by device.
    pub rdma: BTreeMap<String, Rdma>,
    /// Files of cgroup v2 and what to write into them.
    pub unified: BTreeMap<String, String>,
    /// Which devices may be used, in order.
    pub devices: Vec<DeviceRule>,
}

/// Bytes; a negative number means no limit (config-linux.md, "Memory").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// Limit of memory.
    pub limit: Option<i64>,
    /// Limit of memory *and* swap together.
    pub with_swap: Option<i64>,
    /// Soft limit.
    pub reservation: Option<i64>,
    /// 0 to 100.
    pub swappiness: Option<u64>,
    /// Whether the kernel may kill when memory is out: `false` here, v1 only.
    pub spare_from_oom_killer: bool,
    /// Limit of the kernel's memory; v1 only, and gone from new kernels.
    pub kernel: Option<i64>,
    /// Limit of the kernel's TCP buffers; v1 only.
    pub kernel_tcp: Option<i64>,
    /// Whether an update to less than what is in use is refused instead of making the kernel kill.
    pub check_before_update: bool,
}

/// Processor time and placement (config-linux.md, "CPU").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Weight, 2 to 262144; 1024 is what a group has by default.
    pub shares: Option<u64>,
    /// Microseconds in each period; negative for no limit.
    pub quota: Option<i64>,
    /// Microseconds.
    pub period: Option<u64>,
    /// Microseconds above the quota that may be saved up.
    pub burst: Option<u64>,
    /// 1: run only when nothing else does.
    pub idle: Option<i64>,
    /// Microseconds of each period for real-time threads; v1 only.
    pub realtime_runtime: Option<i64>,
    /// Microseconds; v1 only.
    pub realtime_period: Option<u64>,
    /// Processors, as a list such as `0-3,7`.
    pub processors: Option<String>,
    /// Memory nodes, as a list.
    pub nodes: Option<String>,
}

/// Block input and output (config-linux.md, "Block IO").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Io {
    /// 10 to 1000.
    pub weight: Option<u16>,
    /// 10 to 1000: against the groups below; v1 only, and gone from new kernels.
    pub leaf_weight: Option<u16>,
    /// Weights for single devices.
    pub device_weights: Vec<(Device, u16)>,
    /// The same against the groups below.
    pub device_leaf_weights: Vec<(Device, u16)>,
    /// Rates for single devices.
    pub throttles: Vec<Throttle>,
}

/// Marks on network packets (config-linux.md, "Network").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// The class for traffic control.
    pub class: Option<u32>,
    /// Priority by interface.
    pub priorities: BTreeMap<String, u32>,
}

/// Remote memory of one device (config-linux.md, "RDMA").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rdma {
    /// The most handles.
    pub handles: Option<u32>,
    /// The most objects.
    pub objects: Option<u32>,
}

/// A block device by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// A limit on the rate of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// The device.
    pub device: Device,
    /// What is counted.
    pub rate: Rate,
    /// Bytes or operations per second.
    pub per_second: u64,
}

/// What a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// Bytes read.
    ReadBytes,
    /// Bytes written.
    WriteBytes,
    /// Read operations.
    Reads,
    /// Write operations.
    Writes,
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// The limits of a container that is to be made.
pub(super) fn read(resources: &Resources<'_>) -> Result<Limits> {
    let limits = read_change(resources)?;
    match (limits.memory.limit, limits.memory.with_swap) {
        (None | Some(..0), Some(1..)) => {
            Err(invalid("linux.resources.memory.swap", "needs a `limit` of memory beside it"))
        }
        _ => Ok(limits),
    }
}

/// A change of limits: what is not said stays as it is, so that it need not make sense alone.
///
/// # Errors
/// `config-invalid`, naming the field.
pub fn read_change(resources: &Resources<'_>) -> Result<Limits> {
    Ok(Limits {
        memory: resources.memory.as_ref().map(memory).transpose()?.unwrap_or_default(),
        cpu: resources.cpu.as_ref().map(cpu).unwrap_or_default(),
        // runc's reading: zero and below mean no limit.
        pids: resources.pids.and_then(|pids| pids.limit).map(count),
        io: resources.block_io.as_ref().map(io).transpose()?.unwrap_or_default(),
        huge_pages: resources.hugepage_limits.iter().map(huge_pages).collect::<Result<_>>()?,
        network: resources.network.as_ref().map(network).transpose()?.unwrap_or_default(),
        rdma: resources.rdma.iter().map(|(device, limits)| rdma(device, limits)).collect::<Result<_>>()?,
        unified: resources.unified.iter().map(|(k, v)| file(k, v)).collect::<Result<_>>()?,
        devices: device_rules::read(&resources.devices)?,
    })
}

fn count(limit: i64) -> Option<u64> {
    u64::try_from(limit).ok().filter(|limit| *limit > 0)
}

/// Engines write 0 for "not said", as in runc.
fn memory(memory: &document::Memory) -> Result<Memory> {
    let said = |limit: Option<i64>| limit.filter(|limit| *limit != 0);
    let (limit, with_swap) = (said(memory.limit), said(memory.swap));
    match (limit, with_swap) {
        (Some(limit), Some(swap)) if swap >= 0 && limit > swap => {
            Err(invalid("linux.resources.memory.swap", "counts memory and swap, so it is not below `limit`"))
        }
        _ => Ok(Memory {
            limit,
            with_swap,
            reservation: said(memory.reservation),
            swappiness: memory.swappiness,
            spare_from_oom_killer: memory.disable_oom_killer,
            kernel: said(memory.kernel),
            kernel_tcp: said(memory.kernel_tcp),
            check_before_update: memory.check_before_update,
        }),
    }
}

/// The size becomes part of a file's name.
fn huge_pages(limit: &document::HugepageLimit<'_>) -> Result<(String, u64)> {
    let size = &*limit.page_size;
    let number = size.trim_end_matches(|letter: char| letter.is_ascii_uppercase());
    match (number.parse::<u32>(), &size[number.len()..]) {
        (Ok(1..), "KB" | "MB" | "GB") => Ok((size.to_owned(), limit.limit)),
        _ => Err(invalid(
            "linux.resources.hugepageLimits[].pageSize",
            format!("`{size}` is no size such as `2MB`"),
        )),
    }
}

fn network(network: &document::Network<'_>) -> Result<Network> {
    let plain = |name: &str| !name.is_empty() && !name.contains(|letter: char| letter.is_whitespace());
    let priority = |entry: &document::InterfacePriority<'_>| {
        if plain(&entry.name) {
            return Ok((entry.name.to_string(), entry.priority));
        }
        Err(invalid("linux.resources.network.priorities[].name", "is no name of an interface"))
    };
    Ok(Network {
        // Zero is what a group has by default.
        class: network.class_id.filter(|class| *class != 0),
        priorities: network.priorities.iter().map(priority).collect::<Result<_>>()?,
    })
}

fn rdma(device: &str, limits: &document::Rdma) -> Result<(String, Rdma)> {
    if device.is_empty() || device.contains(char::is_whitespace) {
        return Err(invalid("linux.resources.rdma", format!("`{device}` is no name of a device")));
    }
    Ok((device.to_owned(), Rdma { handles: limits.hca_handles, objects: limits.hca_objects }))
}

fn cpu(cpu: &document::Cpu<'_>) -> Cpu {
    let list = |text: &Option<Text<'_>>| text.as_deref().filter(|text| !text.is_empty()).map(str::to_owned);
    Cpu {
        // Engines write 0 for "not said".
        shares: cpu.shares.filter(|shares| *shares != 0),
        quota: cpu.quota.filter(|quota| *quota != 0),
        period: cpu.period.filter(|period| *period != 0),
        burst: cpu.burst,
        idle: cpu.idle,
        realtime_runtime: cpu.realtime_runtime.filter(|runtime| *runtime != 0),
        realtime_period: cpu.realtime_period.filter(|period| *period != 0),
        processors: list(&cpu.cpus),
        nodes: list(&cpu.mems),
    }
}

fn io(io: &document::BlockIo) -> Result<Io> {
    let mut throttles = Vec::new();
    let lists = [
        ("throttleReadBpsDevice", Rate::ReadBytes, &io.throttle_read_bps_device),
        ("throttleWriteBpsDevice", Rate::WriteBytes, &io.throttle_write_bps_device),
        ("throttleReadIOPSDevice", Rate::Reads, &io.throttle_read_iops_device),
        ("throttleWriteIOPSDevice", Rate::Writes, &io.throttle_write_iops_device),
    ];
    for (field, rate, list) in lists {
        for entry in list {
            throttles.push(throttle(field, rate, entry)?);
        }
    }
    let said = |weight: Option<u16>| weight.filter(|weight| *weight != 0);
    let (mut device_weights, mut device_leaf_weights) = (Vec::new(), Vec::new());
    for entry in &io.weight_device {
        let device = device("weightDevice", entry.major, entry.minor)?;
        device_weights.extend(said(entry.weight).map(|weight| (device, weight)));
        device_leaf_weights.extend(said(entry.leaf_weight).map(|weight| (device, weight)));
    }
    Ok(Io {
        weight: said(io.weight),
        leaf_weight: said(io.leaf_weight),
        device_weights,
        device_leaf_weights,
        throttles,
    })
}

fn throttle(field: &str, rate: Rate, entry: &document::ThrottleDevice) -> Result<Throttle> {
    let device = device(field, entry.major, entry.minor)?;
    Ok(Throttle { device, rate, per_second: entry.rate })
}

fn device(field: &str, major: i64, minor: i64) -> Result<Device> {
    let field = format!("linux.resources.blockIO.{field}");
    match (u32::try_from(major), u32::try_from(minor)) {
        (Ok(major), Ok(minor)) => Ok(Device { major, minor }),
        _ => Err(invalid(field, format!("{major}:{minor} is no device"))),
    }
}

/// The name becomes a path below the container's cgroup: it must not lead out, and must not move processes.
fn file(name: &str, value: &str) -> Result<(String, String)> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let field = || format!("linux.resources.unified[{name:?}]");
    match name {
        _ if !name.contains('.') || name.contains("..") || !name.bytes().all(plain) => {
            Err(invalid(field(), "is no file of a controller"))
        }
        _ if name.starts_with("cgroup.") => Err(invalid(field(), "belongs to the runtime")),
        _ => Ok((name.to_owned(), value.to_owned())),
    }
}
