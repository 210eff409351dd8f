//! Limits as cgroup v1 takes them (Documentation/admin-guide/cgroup-v1).

use std::path::Path;

use nucleus_abi::Result;
use nucleus_sys::Mode;
use rustix::io::Errno;

use super::{Controller, Setting};
use crate::config::{Cpu, Io, Limits, Memory, Network, Rate, Rdma};
use crate::fault::OrFail;

/// Whether these limits need the controller.
pub(super) fn asks(limits: &Limits, controller: Controller) -> bool {
    settings(limits).iter().any(|setting| setting.controller == controller)
}

/// What to write, in this order: swap after memory, quota after period.
pub(super) fn settings(limits: &Limits) -> Vec<Setting> {
    let mut settings = memory(&limits.memory);
    settings.extend(cpu(&limits.cpu));
    settings.extend(limits.pids.map(|limit| Setting::new(Controller::Pids, "pids.max", max(limit))));
    settings.extend(io(&limits.io));
    settings.extend(limits.huge_pages.iter().flat_map(|(size, limit)| {
        let set = |file: &str| Setting::new(Controller::Hugetlb, &format!("hugetlb.{size}.{file}"), limit);
        // Reservations are limited too, where the kernel counts them (since 5.7).
        [set("limit_in_bytes"), set("rsvd.limit_in_bytes").if_there()]
    }));
    settings.extend(network(&limits.network));
    settings.extend(limits.rdma.iter().map(|(device, rdma)| rdma_line(device, rdma)));
    settings
}

fn network(network: &Network) -> impl Iterator<Item = Setting> {
    let class = network.class.map(|class| Setting::new(Controller::NetClass, "net_cls.classid", class));
    let priorities = network.priorities.iter().map(|(name, priority)| {
        Setting::new(Controller::NetPriority, "net_prio.ifpriomap", format!("{name} {priority}"))
    });
    class.into_iter().chain(priorities)
}

/// The same file in both versions.
pub(super) fn rdma_line(device: &str, rdma: &Rdma) -> Setting {
    let mut line = device.to_owned();
    for (key, limit) in [("hca_handle", rdma.handles), ("hca_object", rdma.objects)] {
        line += &limit.map_or_else(String::new, |limit| format!(" {key}={limit}"));
    }
    Setting::new(Controller::Rdma, "rdma.max", line)
}

pub(super) fn max(limit: Option<u64>) -> String {
    limit.map_or_else(|| "max".to_owned(), |limit| limit.to_string())
}

fn memory(memory: &Memory) -> Vec<Setting> {
    let set = |file, value: String| Setting::new(Controller::Memory, file, value);
    let number = |limit: i64| limit.max(-1).to_string();
    let oom = memory.spare_from_oom_killer.then(|| set("memory.oom_control", "1".to_owned()));
    let limits = [
        memory.limit.map(|limit| set("memory.limit_in_bytes", number(limit))),
        memory.with_swap.map(|limit| set("memory.memsw.limit_in_bytes", number(limit))),
        memory.reservation.map(|limit| set("memory.soft_limit_in_bytes", number(limit))),
        memory.kernel.map(|limit| set("memory.kmem.limit_in_bytes", number(limit))),
        memory.kernel_tcp.map(|limit| set("memory.kmem.tcp.limit_in_bytes", number(limit))),
        memory.swappiness.map(|value| set("memory.swappiness", value.to_string())),
        oom,
    ];
    limits.into_iter().flatten().collect()
}

fn cpu(cpu: &Cpu) -> Vec<Setting> {
    let set = |file, value: String| Setting::new(Controller::Cpu, file, value);
    let place = |file, list: &String| Setting::new(Controller::Cpuset, file, list);
    let limits = [
        cpu.shares.map(|shares| set("cpu.shares", shares.to_string())),
        cpu.realtime_period.map(|period| set("cpu.rt_period_us", period.to_string())),
        cpu.realtime_runtime.map(|runtime| set("cpu.rt_runtime_us", runtime.to_string())),
        cpu.period.map(|period| set("cpu.cfs_period_us", period.to_string())),
        cpu.quota.map(|quota| set("cpu.cfs_quota_us", quota.max(-1).to_string())),
        cpu.burst.map(|burst| set("cpu.cfs_burst_us", burst.to_string())),
        cpu.idle.map(|idle| set("cpu.idle", idle.to_string())),
        cpu.processors.as_ref().map(|list| place("cpuset.cpus", list)),
        cpu.nodes.as_ref().map(|list| place("cpuset.mems", list)),
    ];
    limits.into_iter().flatten().collect()
}

/// The group's weight has its name from the scheduler: BFQ on new kernels, CFQ before.
fn io(io: &Io) -> Vec<Setting> {
    let set = |file, value: String| Setting::new(Controller::Io, file, value);
    let weight =
        io.weight.map(|weight| set("blkio.bfq.weight", weight.to_string()).or("blkio.weight", weight));
    let weights = io.device_weights.iter().map(|(device, weight)| {
        let line = format!("{device} {weight}");
        set("blkio.bfq.weight_device", line.clone()).or("blkio.weight_device", line)
    });
    let throttles = io.throttles.iter().map(|throttle| {
        let file = match throttle.rate {
            Rate::ReadBytes => "blkio.throttle.read_bps_device",
            Rate::WriteBytes => "blkio.throttle.write_bps_device",
            Rate::Reads => "blkio.throttle.read_iops_device",
            Rate::Writes => "blkio.throttle.write_iops_device",
        };
        set(file, format!("{} {}", throttle.device, throttle.per_second))
    });
    let leaf_weight = io.leaf_weight.map(|weight| set("blkio.leaf_weight", weight.to_string()));
    let leaf_weights = io
        .device_leaf_weights
        .iter()
        .map(|(device, weight)| set("blkio.leaf_weight_device", format!("{device} {weight}")));
    weight.into_iter().chain(weights).chain(leaf_weight).chain(leaf_weights).chain(throttles).collect()
}

/// Makes the directories above the container's; they are shared with other containers and stay.
pub(super) fn make_parents(mount: &Path, place: &Path, controllers: &[Controller]) -> Result<()> {
    let mut directory = mount.to_owned();
    for name in place.parent().into_iter().flatten() {
        directory.push(name);
        match rustix::fs::mkdir(&directory, Mode::from(0o755)) {
            Err(Errno::EXIST) => {}
            result => result.or_fail("make a cgroup for containers", directory.display())?,
        }
        if controllers.contains(&Controller::Cpuset) {
            inherit_cpuset(&directory)?;
        }
    }
    Ok(())
}

/// A new group of the cpuset controller is empty, and no process may enter it before it has processors and memory
/// nodes (cpusets(7)).
pub(super) fn inherit_cpuset(directory: &Path) -> Result<()> {
    let Some(parent) = directory.parent() else { return Ok(()) };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let path = directory.join(file);
        let step = "prepare the cpuset of a cgroup";
        let own = std::fs::read_to_string(&path).or_fail(step, path.display())?;
        if own.trim().is_empty() {
            let above = parent.join(file);
            let list = std::fs::read_to_string(&above).or_fail(step, above.display())?;
            std::fs::write(&path, list.trim()).or_fail(step, path.display())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_comes_after_memory_and_no_limit_is_minus_one() {
        let limits = Limits {
            memory: Memory { limit: Some(1 << 20), with_swap: Some(-5), ..Memory::default() },
            ..Limits::default()
        };
        let files: Vec<_> = settings(&limits).into_iter().flat_map(|setting| setting.choices).collect();
        let expected = [("memory.limit_in_bytes", "1048576"), ("memory.memsw.limit_in_bytes", "-1")];
        assert_eq!(files, expected.map(|(file, value)| (file.to_owned(), value.to_owned())));
    }

    #[test]
    fn only_what_is_limited_needs_a_controller() {
        let limits = Limits { pids: Some(None), ..Limits::default() };
        assert!(asks(&limits, Controller::Pids));
        assert!(!asks(&limits, Controller::Memory));
        assert!(!asks(&Limits::default(), Controller::Pids));
    }
}
