//! Limits in systemd's words (systemd.resource-control(5)), so that it does not take them back when it realises the unit
//! anew. What it has no word for is written into the group directly, as everything else is too.

use super::super::Setting;
use super::message::{Property, Value};

/// systemd's infinity.
const UNLIMITED: u64 = u64::MAX;

/// The properties that say the same as the settings.
pub(super) fn of_settings(settings: &[Setting]) -> Vec<Property> {
    let files: Vec<_> = settings.iter().flat_map(|setting| &setting.choices).collect();
    let mut properties: Vec<_> = files.iter().filter_map(|(file, value)| one(file, value)).collect();
    properties.extend(quota_of_v1(&files));
    properties.extend(period(&files));
    properties
}

fn one(file: &str, value: &str) -> Option<Property> {
    Some(match file {
        "memory.max" => ("MemoryMax", limit(value)?),
        "memory.high" => ("MemoryHigh", limit(value)?),
        "memory.low" => ("MemoryLow", limit(value)?),
        "memory.min" => ("MemoryMin", limit(value)?),
        "memory.swap.max" => ("MemorySwapMax", limit(value)?),
        "memory.limit_in_bytes" => ("MemoryLimit", limit(value)?),
        "pids.max" => ("TasksMax", limit(value)?),
        "cpu.weight" => ("CPUWeight", Value::Number(value.parse().ok()?)),
        // CPUWeight=idle
        "cpu.idle" if value == "1" => ("CPUWeight", Value::Number(0)),
        "cpu.shares" => ("CPUShares", Value::Number(value.parse().ok()?)),
        "cpu.max" => ("CPUQuotaPerSecUSec", quota_of_v2(value)?),
        "cpuset.cpus" => ("AllowedCPUs", Value::Bytes(bits(value)?)),
        "cpuset.mems" => ("AllowedMemoryNodes", Value::Bytes(bits(value)?)),
        // systemd derives BFQ's own from it, whose range is another.
        "io.weight" => ("IOWeight", Value::Number(value.parse().ok()?)),
        "blkio.weight" => ("BlockIOWeight", Value::Number(value.parse().ok()?)),
        _ => return None,
    })
}

fn limit(value: &str) -> Option<Value> {
    match value {
        "max" | "-1" => Some(Value::Number(UNLIMITED)),
        value => value.parse().ok().map(Value::Number),
    }
}

/// The kernel's period where none is said, in microseconds.
const PERIOD: u64 = 100_000;

fn quota_of_v2(value: &str) -> Option<Value> {
    let mut words = value.split_whitespace();
    let quota = words.next()?;
    let period = words.next().map_or(Some(PERIOD), |period| period.parse().ok())?;
    match quota {
        "max" => Some(Value::Number(UNLIMITED)),
        quota => per_second(quota.parse().ok()?, period),
    }
}

/// Known to systemd since release 242.
fn period(files: &[&(String, String)]) -> Option<Property> {
    let said = files.iter().find_map(|(file, value)| match file.as_str() {
        "cpu.max" => value.split_whitespace().nth(1),
        "cpu.cfs_period_us" => Some(value),
        _ => None,
    });
    Some(("CPUQuotaPeriodUSec", Value::Number(said?.parse().ok()?)))
}

fn quota_of_v1(files: &[&(String, String)]) -> Option<Property> {
    let of = |name: &str| files.iter().find(|(file, _)| file == name).map(|(_, value)| value.as_str());
    let period = of("cpu.cfs_period_us").map_or(Some(PERIOD), |period| period.parse().ok())?;
    let value = match of("cpu.cfs_quota_us")? {
        "-1" => Value::Number(UNLIMITED),
        quota => per_second(quota.parse().ok()?, period)?,
    };
    Some(("CPUQuotaPerSecUSec", value))
}

/// Microseconds of processor time in each second. systemd counts in hundredths, and rounding down could forbid all.
fn per_second(quota: u64, period: u64) -> Option<Value> {
    let exact = quota.checked_mul(1_000_000)?.checked_div(period)?;
    Some(Value::Number(exact.next_multiple_of(10_000)))
}

/// A list such as `0-3,7` as a set of bits, the lowest byte first.
fn bits(list: &str) -> Option<Vec<u8>> {
    let mut bits = Vec::new();
    for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let (from, to): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
        // More processors than any kernel knows.
        if to > 1 << 16 {
            return None;
        }
        for number in from..=to {
            if bits.len() <= number / 8 {
                bits.resize(number / 8 + 1, 0);
            }
            bits[number / 8] |= 1 << (number % 8);
        }
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroups::Controller;

    fn of(file: &str, value: &str) -> Vec<Property> {
        of_settings(&[Setting::new(Controller::Memory, file, value)])
    }

    #[test]
    fn what_systemd_has_a_word_for_is_said_in_it() {
        assert_eq!(of("memory.max", "4096"), [("MemoryMax", Value::Number(4096))]);
        assert_eq!(of("pids.max", "max"), [("TasksMax", Value::Number(u64::MAX))]);
        let quota = |quota, period| {
            [("CPUQuotaPerSecUSec", Value::Number(quota)), ("CPUQuotaPeriodUSec", Value::Number(period))]
        };
        assert_eq!(of("cpu.max", "75000 50000"), quota(1_500_000, 50_000));
        assert_eq!(of("cpu.max", "1234 100000"), quota(20_000, 100_000));
        assert_eq!(of("cpu.max", "max"), [("CPUQuotaPerSecUSec", Value::Number(u64::MAX))]);
        assert_eq!(of("cpuset.cpus", "0-2,9"), [("AllowedCPUs", Value::Bytes(vec![7, 2]))]);
        assert_eq!(of("io.max", "8:0 rbps=1"), []);
        assert_eq!(of("io.weight", "8:0 100"), [], "weights of single devices are not its");
        assert_eq!(of("cpuset.cpus", "many"), [], "the kernel says what is wrong with it");
    }

    #[test]
    fn a_weight_is_said_once_and_in_systemds_range() {
        let weight = Setting::new(Controller::Io, "io.bfq.weight", 200).or("io.weight", 1920);
        assert_eq!(of_settings(&[weight]), [("IOWeight", Value::Number(1920))]);
    }

    #[test]
    fn quota_and_period_of_v1_are_one_property() {
        let set = |file, value| Setting::new(Controller::Cpu, file, value);
        let both = [set("cpu.cfs_period_us", 50_000), set("cpu.cfs_quota_us", 25_000)];
        let properties =
            [("CPUQuotaPerSecUSec", Value::Number(500_000)), ("CPUQuotaPeriodUSec", Value::Number(50_000))];
        assert_eq!(of_settings(&both), properties);
    }
}
