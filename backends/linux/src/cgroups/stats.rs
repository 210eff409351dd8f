//! What a container's groups count, read from the files of both versions. What a host does not count stays out.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use nucleus_abi::Stats;
use nucleus_abi::stats::{CpuStats, HugetlbStats, IoStats, MemoryStats, MemoryUsage, PidsStats};

/// Reads everything. A group that goes meanwhile counts nothing.
pub(crate) fn stats(directories: &[PathBuf]) -> Stats {
    let files = Files(directories);
    Stats {
        cpu: cpu(files),
        memory: memory(files),
        pids: PidsStats { now: files.number("pids.current"), limit: files.number("pids.max") },
        io: io(files),
        hugetlb: hugetlb(files),
    }
}

/// The files of all groups of a container; no name is in two of them, but for those of `cgroup.*`.
#[derive(Clone, Copy)]
struct Files<'a>(&'a [PathBuf]);

impl Files<'_> {
    fn text(self, name: &str) -> Option<String> {
        self.0.iter().find_map(|directory| fs::read_to_string(directory.join(name)).ok())
    }

    /// `max` is no number: it means that there is no limit.
    fn number(self, name: &str) -> Option<u64> {
        self.text(name)?.trim_end().parse().ok()
    }

    /// Lines of a key and a number (cgroup-v2.rst, "flat keyed").
    fn table(self, name: &str) -> Option<BTreeMap<String, u64>> {
        Some(table(&self.text(name)?))
    }
}

fn table(text: &str) -> BTreeMap<String, u64> {
    let entry = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(entry).collect()
}

/// Nanoseconds. `cpu.stat` has the same name and different keys in the two versions: microseconds end in `_usec`.
fn cpu(files: Files<'_>) -> CpuStats {
    let stat = files.table("cpu.stat").unwrap_or_default();
    let of = |key: &str| stat.get(key).copied();
    let micro = |key: &str| of(key).map(|time| time.saturating_mul(1000));
    let per_cpu = files.text("cpuacct.usage_percpu").unwrap_or_default();
    CpuStats {
        total: files.number("cpuacct.usage").or_else(|| micro("usage_usec")),
        user: files.number("cpuacct.usage_user").or_else(|| micro("user_usec")),
        system: files.number("cpuacct.usage_sys").or_else(|| micro("system_usec")),
        per_cpu: per_cpu.split_whitespace().filter_map(|time| time.parse().ok()).collect(),
        periods: of("nr_periods"),
        throttled_periods: of("nr_throttled"),
        throttled_time: of("throttled_time").or_else(|| micro("throttled_usec")),
    }
}

fn memory(files: Files<'_>) -> MemoryStats {
    let raw = files.table("memory.stat").unwrap_or_default();
    let events = files.table("memory.events").unwrap_or_default();
    let oom_control = files.table("memory.oom_control").unwrap_or_default();
    let v2 = usage_of_v2(files, &events);
    let with_swap = with_swap_of_v2(files, &v2);
    MemoryStats {
        usage: usage_of_v1(files, "memory").unwrap_or(v2),
        with_swap: usage_of_v1(files, "memory.memsw").unwrap_or(with_swap),
        kernel: usage_of_v1(files, "memory.kmem").unwrap_or_default(),
        kernel_tcp: usage_of_v1(files, "memory.kmem.tcp").unwrap_or_default(),
        cache: raw.get("cache").or_else(|| raw.get("file")).copied(),
        oom_kills: oom_control.get("oom_kill").or_else(|| events.get("oom_kill")).copied(),
        raw,
    }
}

/// What v1 shows where there is no limit: the largest number of pages, in bytes (`linux/page_counter.h`).
const NO_LIMIT: u64 = 0x7fff_ffff_ffff_0000;

fn usage_of_v1(files: Files<'_>, prefix: &str) -> Option<MemoryUsage> {
    let number = |name: &str| files.number(&format!("{prefix}.{name}"));
    Some(MemoryUsage {
        now: Some(number("usage_in_bytes")?),
        peak: number("max_usage_in_bytes"),
        failures: number("failcnt"),
        limit: number("limit_in_bytes").filter(|limit| *limit < NO_LIMIT),
    })
}

fn usage_of_v2(files: Files<'_>, events: &BTreeMap<String, u64>) -> MemoryUsage {
    MemoryUsage {
        now: files.number("memory.current"),
        peak: files.number("memory.peak"),
        failures: events.get("max").copied(),
        limit: files.number("memory.max"),
    }
}

/// v2 counts swap alone; the sum of the two peaks would be no peak.
fn with_swap_of_v2(files: Files<'_>, memory: &MemoryUsage) -> MemoryUsage {
    let sum = |one: Option<u64>, other: Option<u64>| Some(one?.saturating_add(other?));
    let events = files.table("memory.swap.events").unwrap_or_default();
    MemoryUsage {
        now: sum(memory.now, files.number("memory.swap.current")),
        peak: None,
        failures: events.get("max").copied(),
        limit: sum(memory.limit, files.number("memory.swap.max")),
    }
}

fn io(files: Files<'_>) -> Vec<IoStats> {
    let mut devices = Devices::new();
    for (file, unit) in [
        ("blkio.throttle.io_service_bytes_recursive", Unit::Bytes),
        ("blkio.throttle.io_serviced_recursive", Unit::Operations),
    ] {
        io_of_v1(&files.text(file).unwrap_or_default(), unit, &mut devices);
    }
    io_of_v2(&files.text("io.stat").unwrap_or_default(), &mut devices);
    devices.into_values().collect()
}

type Devices = BTreeMap<(u64, u64), IoStats>;

#[derive(Clone, Copy)]
enum Unit {
    Bytes,
    Operations,
}

fn device<'d>(devices: &'d mut Devices, number: &str) -> Option<&'d mut IoStats> {
    let (major, minor) = number.split_once(':')?;
    let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
    Some(devices.entry((major, minor)).or_insert_with(|| IoStats { major, minor, ..IoStats::default() }))
}

/// `8:0 Read 4096`; the last line is a total without a device.
fn io_of_v1(text: &str, unit: Unit, devices: &mut Devices) {
    for line in text.lines() {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [number, word, value] = fields[..] else { continue };
        let (Some(device), Ok(value)) = (device(devices, number), value.parse::<u64>()) else { continue };
        match (word, unit) {
            ("Read", Unit::Bytes) => device.read_bytes = value,
            ("Write", Unit::Bytes) => device.written_bytes = value,
            ("Read", Unit::Operations) => device.reads = value,
            ("Write", Unit::Operations) => device.writes = value,
            _ => {}
        }
    }
}

/// `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`.
fn io_of_v2(text: &str, devices: &mut Devices) {
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let Some(device) = fields.next().and_then(|number| device(devices, number)) else { continue };
        for (key, value) in fields.filter_map(|field| field.split_once('=')) {
            let Ok(value) = value.parse() else { continue };
            match key {
                "rbytes" => device.read_bytes = value,
                "wbytes" => device.written_bytes = value,
                "rios" => device.reads = value,
                "wios" => device.writes = value,
                _ => {}
            }
        }
    }
}

/// By page size. `rsvd` counts reservations, which are no use.
fn hugetlb(files: Files<'_>) -> BTreeMap<String, HugetlbStats> {
    let names = files.0.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let sizes = names.filter_map(|name| {
        let size = name.strip_prefix("hugetlb.")?;
        let size = size.strip_suffix(".usage_in_bytes").or_else(|| size.strip_suffix(".current"))?;
        (!size.contains('.')).then(|| size.to_owned())
    });
    sizes.filter_map(|size| Some((size.clone(), hugetlb_of(files, &size)?))).collect()
}

fn hugetlb_of(files: Files<'_>, size: &str) -> Option<HugetlbStats> {
    let number = |name: &str| files.number(&format!("hugetlb.{size}.{name}"));
    let events = || files.table(&format!("hugetlb.{size}.events"))?.get("max").copied();
    Some(HugetlbStats {
        usage: number("usage_in_bytes").or_else(|| number("current"))?,
        peak: number("max_usage_in_bytes"),
        failures: number("failcnt").or_else(events).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with such files, as a group shows them.
    fn group(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("nucleus-stats-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        for (file, text) in files {
            fs::write(path.join(file), text).unwrap();
        }
        path
    }

    #[test]
    fn files_of_v1_are_read() {
        let cpu = group(
            "v1-cpu",
            &[
                ("cpuacct.usage", "3000\n"),
                ("cpuacct.usage_user", "1000\n"),
                ("cpuacct.usage_percpu", "1000 2000 \n"),
                ("cpu.stat", "nr_periods 4\nnr_throttled 2\nthrottled_time 900\n"),
            ],
        );
        let memory = group(
            "v1-memory",
            &[
                ("memory.usage_in_bytes", "4096\n"),
                ("memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory.failcnt", "7\n"),
                ("memory.memsw.usage_in_bytes", "5000\n"),
                ("memory.stat", "cache 12\nrss 3\n"),
                ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"),
                ("blkio.throttle.io_service_bytes_recursive", "8:0 Read 10\n8:0 Write 20\nTotal 30\n"),
                ("blkio.throttle.io_serviced_recursive", "8:0 Read 1\n8:0 Write 2\nTotal 3\n"),
            ],
        );
        let stats = stats(&[cpu.clone(), memory.clone()]);
        assert_eq!((stats.cpu.total, stats.cpu.user, stats.cpu.system), (Some(3000), Some(1000), None));
        assert_eq!((stats.cpu.per_cpu, stats.cpu.throttled_time), (vec![1000, 2000], Some(900)));
        let usage = MemoryUsage { now: Some(4096), failures: Some(7), ..MemoryUsage::default() };
        assert_eq!(stats.memory.usage, usage, "the largest limit is none");
        assert_eq!((stats.memory.cache, stats.memory.oom_kills), (Some(12), Some(5)));
        assert_eq!(stats.memory.with_swap.now, Some(5000));
        let device = IoStats { major: 8, read_bytes: 10, written_bytes: 20, reads: 1, writes: 2, minor: 0 };
        assert_eq!(stats.io, [device]);
        assert_eq!(stats.pids, PidsStats::default(), "what is not counted is not zero");
        for path in [cpu, memory] {
            fs::remove_dir_all(path).unwrap();
        }
    }

    #[test]
    fn files_of_v2_are_read() {
        let group = group(
            "v2",
            &[
                ("cpu.stat", "usage_usec 3\nuser_usec 2\nsystem_usec 1\nnr_periods 4\nthrottled_usec 9\n"),
                ("memory.current", "100\n"),
                ("memory.max", "max\n"),
                ("memory.swap.current", "20\n"),
                ("memory.swap.max", "1000\n"),
                ("memory.events", "low 0\nmax 6\noom 2\noom_kill 1\n"),
                ("memory.stat", "anon 5\nfile 11\n"),
                ("pids.current", "3\n"),
                ("pids.max", "64\n"),
                ("io.stat", "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n"),
                ("hugetlb.2MB.current", "2097152\n"),
                ("hugetlb.2MB.events", "max 3\n"),
                ("hugetlb.2MB.rsvd.current", "1\n"),
            ],
        );
        let stats = stats(std::slice::from_ref(&group));
        assert_eq!((stats.cpu.total, stats.cpu.throttled_time), (Some(3000), Some(9000)));
        assert_eq!((stats.memory.usage.now, stats.memory.usage.limit), (Some(100), None));
        assert_eq!((stats.memory.with_swap.now, stats.memory.with_swap.limit), (Some(120), None));
        assert_eq!((stats.memory.usage.failures, stats.memory.oom_kills), (Some(6), Some(1)));
        assert_eq!(stats.memory.cache, Some(11));
        assert_eq!(stats.pids, PidsStats { now: Some(3), limit: Some(64) });
        assert_eq!(stats.io[0].writes, 2);
        let huge = HugetlbStats { usage: 2 << 20, peak: None, failures: 3 };
        assert_eq!(stats.hugetlb, [("2MB".to_owned(), huge)].into());
        fs::remove_dir_all(group).unwrap();
    }
}
