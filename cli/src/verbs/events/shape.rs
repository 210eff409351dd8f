//! Statistics in runc's shape (`types/events.go` of runc): engines and exporters parse it.
//!
//! What the host does not count is left out, or 0 where the shape has no room for that.

use nucleus_abi::{CpuStats, HugetlbStats, IoStats, MemoryStats, MemoryUsage, PidsStats, Stats};
use serde_json::{Map, Value, json};

/// "No limit", as the kernel's cgroup v2 has it in runc's shape.
const UNLIMITED: u64 = u64::MAX;

pub(super) fn stats(stats: &Stats) -> Value {
    json!({
        "cpu": cpu(&stats.cpu),
        "cpuset": {},
        "memory": memory(&stats.memory),
        "pids": pids(&stats.pids),
        "blkio": blkio(&stats.io),
        "hugetlb": stats.hugetlb.iter().map(|(size, usage)| (size.clone(), hugetlb(usage))).collect::<Map<_, _>>(),
        "intel_rdt": {},
        "network_interfaces": null,
    })
}

fn cpu(cpu: &CpuStats) -> Value {
    let mut usage = known([("total", cpu.total)]);
    if !cpu.per_cpu.is_empty() {
        usage.insert("percpu".into(), json!(cpu.per_cpu));
    }
    usage.insert("kernel".into(), json!(cpu.system.unwrap_or(0)));
    usage.insert("user".into(), json!(cpu.user.unwrap_or(0)));
    let throttling = known([
        ("periods", cpu.periods),
        ("throttledPeriods", cpu.throttled_periods),
        ("throttledTime", cpu.throttled_time),
    ]);
    json!({"usage": usage, "throttling": throttling})
}

fn memory(memory: &MemoryStats) -> Value {
    let mut document = known([("cache", memory.cache)]);
    let counters = [
        ("usage", &memory.usage),
        ("swap", &memory.with_swap),
        ("kernel", &memory.kernel),
        ("kernelTCP", &memory.kernel_tcp),
    ];
    document.extend(counters.map(|(name, counter)| (name.to_owned(), counter_of_memory(counter))));
    if !memory.raw.is_empty() {
        document.insert("raw".into(), json!(memory.raw));
    }
    Value::Object(document)
}

fn counter_of_memory(usage: &MemoryUsage) -> Value {
    let limit = match (usage.limit, usage.now) {
        (Some(limit), _) => limit,
        (None, Some(_)) => UNLIMITED,
        (None, None) => 0,
    };
    let mut document = known([("usage", usage.now), ("max", usage.peak)]);
    document.insert("limit".into(), json!(limit));
    document.insert("failcnt".into(), json!(usage.failures.unwrap_or(0)));
    Value::Object(document)
}

/// No limit is left out here, unlike for memory.
fn pids(pids: &PidsStats) -> Value {
    Value::Object(known([("current", pids.now), ("limit", pids.limit)]))
}

fn blkio(devices: &[IoStats]) -> Value {
    if devices.is_empty() {
        return json!({});
    }
    let entries = |counts: fn(&IoStats) -> [u64; 2]| -> Vec<Value> {
        devices.iter().flat_map(|device| entries_of(device, counts(device))).collect()
    };
    json!({
        "ioServiceBytesRecursive": entries(|device| [device.read_bytes, device.written_bytes]),
        "ioServicedRecursive": entries(|device| [device.reads, device.writes]),
    })
}

fn entries_of(device: &IoStats, [read, written]: [u64; 2]) -> [Value; 2] {
    [("Read", read), ("Write", written)]
        .map(|(op, value)| json!({"major": device.major, "minor": device.minor, "op": op, "value": value}))
}

fn hugetlb(usage: &HugetlbStats) -> Value {
    let mut document = known([("usage", Some(usage.usage)), ("max", usage.peak)]);
    document.insert("failcnt".into(), json!(usage.failures));
    Value::Object(document)
}

/// The counters that the host has.
fn known<const N: usize>(counters: [(&str, Option<u64>); N]) -> Map<String, Value> {
    counters.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_stands_where_runc_has_it() {
        let counted = Stats {
            cpu: CpuStats {
                total: Some(30),
                user: Some(20),
                system: Some(10),
                per_cpu: vec![15, 15],
                ..Default::default()
            },
            memory: MemoryStats {
                usage: MemoryUsage { now: Some(5), peak: Some(6), failures: Some(1), limit: Some(7) },
                with_swap: MemoryUsage { now: Some(5), ..Default::default() },
                cache: Some(2),
                raw: [("rss".to_owned(), 3)].into(),
                ..Default::default()
            },
            pids: PidsStats { now: Some(4), limit: None },
            io: vec![IoStats { major: 8, minor: 1, read_bytes: 1, written_bytes: 2, reads: 3, writes: 4 }],
            hugetlb: [("2MB".to_owned(), HugetlbStats { usage: 1, peak: Some(2), failures: 3 })].into(),
        };
        assert_eq!(
            stats(&counted),
            json!({
                "cpu": {"usage": {"total": 30, "percpu": [15, 15], "kernel": 10, "user": 20}, "throttling": {}},
                "cpuset": {},
                "memory": {
                    "cache": 2,
                    "usage": {"limit": 7, "usage": 5, "max": 6, "failcnt": 1},
                    "swap": {"limit": u64::MAX, "usage": 5, "failcnt": 0},
                    "kernel": {"limit": 0, "failcnt": 0},
                    "kernelTCP": {"limit": 0, "failcnt": 0},
                    "raw": {"rss": 3},
                },
                "pids": {"current": 4},
                "blkio": {
                    "ioServiceBytesRecursive": [
                        {"major": 8, "minor": 1, "op": "Read", "value": 1},
                        {"major": 8, "minor": 1, "op": "Write", "value": 2},
                    ],
                    "ioServicedRecursive": [
                        {"major": 8, "minor": 1, "op": "Read", "value": 3},
                        {"major": 8, "minor": 1, "op": "Write", "value": 4},
                    ],
                },
                "hugetlb": {"2MB": {"usage": 1, "max": 2, "failcnt": 3}},
                "intel_rdt": {},
                "network_interfaces": null,
            })
        );
    }
}
