//! Limits.

use std::collections::BTreeMap;

use super::Resolver;
use crate::plan::decided::Decided;
use crate::plan::types::{CpuQuota, IoRate, IoRateKind, ResourcesPlan};
use crate::profile::values::{ByteSize, Cpus, DeviceRef, Limit};

/// Period of the processor limit in microseconds: the kernel's default.
const PERIOD: u64 = 100_000;

impl Resolver<'_> {
    pub(super) fn resources(&mut self) -> ResourcesPlan {
        let resources = &self.profile.resources;
        let memory = resources.memory.and_then(Limit::value).map(ByteSize::bytes);
        let swap = resources.swap.and_then(Limit::value).map(ByteSize::bytes);
        if swap.is_some() && memory.is_none() {
            self.mistake(
                "/resources/swap",
                "swap is limited on top of memory, and memory is not limited",
                "set `resources.memory`",
            );
        }
        ResourcesPlan {
            memory: memory.map(|bytes| self.decided("/resources/memory", bytes)),
            swap: swap.map(|bytes| self.decided("/resources/swap", bytes)),
            cpu: resources
                .cpus
                .and_then(Limit::value)
                .map(|cpus| self.decided("/resources/cpus", quota(cpus))),
            cpu_shares: resources
                .cpu_shares
                .and_then(|shares| u64::try_from(shares.get()).ok())
                .map(|shares| self.decided("/resources/cpuShares", shares)),
            cpuset_cpus: resources
                .cpuset
                .as_ref()
                .map(|set| self.decided("/resources/cpuset", set.to_string())),
            cpuset_mems: resources
                .memory_nodes
                .as_ref()
                .map(|set| self.decided("/resources/memoryNodes", set.to_string())),
            pids: resources
                .pids
                .and_then(Limit::value)
                .map(|pids| self.decided("/resources/pids", pids.get())),
            io_weight: resources
                .io
                .weight
                .and_then(|weight| u16::try_from(weight.get()).ok())
                .map(|weight| self.decided("/resources/io/weight", weight)),
            io_rates: self.io_rates(),
        }
    }

    fn io_rates(&mut self) -> Vec<Decided<IoRate>> {
        let io = &self.profile.resources.io;
        let bytes = |map: &BTreeMap<DeviceRef, ByteSize>| -> Vec<(DeviceRef, u64)> {
            map.iter().map(|(device, size)| (device.clone(), size.bytes())).collect()
        };
        let operations = |map: &BTreeMap<DeviceRef, _>| -> Vec<(DeviceRef, u64)> {
            map.iter().map(|(device, rate)| (device.clone(), whole(*rate))).collect()
        };
        let kinds = [
            ("readBps", IoRateKind::ReadBps, bytes(&io.read_bps)),
            ("writeBps", IoRateKind::WriteBps, bytes(&io.write_bps)),
            ("readIops", IoRateKind::ReadIops, operations(&io.read_iops)),
            ("writeIops", IoRateKind::WriteIops, operations(&io.write_iops)),
        ];
        let mut rates = Vec::new();
        for (key, kind, entries) in kinds {
            for (device, rate) in entries {
                rates.extend(self.io_rate(key, kind, &device, rate));
            }
        }
        rates
    }

    fn io_rate(
        &mut self,
        key: &str,
        kind: IoRateKind,
        device: &DeviceRef,
        rate: u64,
    ) -> Option<Decided<IoRate>> {
        let name = device.to_string();
        let pointer = format!("/resources/io/{key}/{}", name.replace('~', "~0").replace('/', "~1"));
        let numbers = match device {
            DeviceRef::Numbers(major, minor) => Some((*major, *minor)),
            DeviceRef::Path(_) => self.facts.block_devices.get(&name).copied(),
        };
        let Some((major, minor)) = numbers else {
            self.mistake(&pointer, format!("{name} is not a block device of this host"), "see `lsblk -p`");
            return None;
        };
        Some(self.decided(&pointer, IoRate { kind, major, minor, rate }))
    }
}

fn whole<const MIN: i64, const MAX: i64>(number: crate::profile::values::Bounded<MIN, MAX>) -> u64 {
    u64::try_from(number.get()).unwrap_or(0)
}

fn quota(cpus: Cpus) -> CpuQuota {
    CpuQuota { quota: i64::from(cpus.milli()) * 100, period: PERIOD }
}
