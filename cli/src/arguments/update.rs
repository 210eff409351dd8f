//! What `update` takes: runc's names, and the field of `linux.resources` that each means.

use clap::{Arg, Command};

use super::{container_id, last_wins};

/// What stands in a limit's option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes, such as `512m`; -1 for no limit.
    Bytes,
    /// A number that may be negative.
    Signed,
    /// A number.
    Unsigned,
    /// Text.
    Text,
}

/// One option.
pub(crate) struct Limit {
    /// `--NAME`.
    pub(crate) name: &'static str,
    /// Where the value belongs in `linux.resources`.
    pub(crate) field: [&'static str; 2],
    /// What it is.
    pub(crate) unit: Unit,
    help: &'static str,
}

const fn limit(name: &'static str, field: [&'static str; 2], unit: Unit, help: &'static str) -> Limit {
    Limit { name, field, unit, help }
}

/// Every option that is a limit.
pub(crate) const LIMITS: [Limit; 14] = [
    limit("blkio-weight", ["blockIO", "weight"], Unit::Unsigned, "Weight of block traffic, 10 to 1000"),
    limit("cpu-period", ["cpu", "period"], Unit::Unsigned, "Period of the processor limit, in microseconds"),
    limit("cpu-quota", ["cpu", "quota"], Unit::Signed, "Processor time in each period, in microseconds"),
    limit(
        "cpu-burst",
        ["cpu", "burst"],
        Unit::Unsigned,
        "Processor time that can be saved up, in microseconds",
    ),
    limit("cpu-share", ["cpu", "shares"], Unit::Unsigned, "Weight of processor time"),
    limit(
        "cpu-rt-period",
        ["cpu", "realtimePeriod"],
        Unit::Unsigned,
        "Period of the realtime limit, in microseconds",
    ),
    limit(
        "cpu-rt-runtime",
        ["cpu", "realtimeRuntime"],
        Unit::Signed,
        "Realtime in each period, in microseconds",
    ),
    limit("cpu-idle", ["cpu", "idle"], Unit::Signed, "1: only run when nothing else does"),
    limit("cpuset-cpus", ["cpu", "cpus"], Unit::Text, "Processors to use, such as 0-2,7"),
    limit("cpuset-mems", ["cpu", "mems"], Unit::Text, "Memory nodes to use, such as 0-2,7"),
    limit("memory", ["memory", "limit"], Unit::Bytes, "Limit of memory, such as 512m"),
    limit("memory-reservation", ["memory", "reservation"], Unit::Bytes, "Soft limit of memory"),
    limit("memory-swap", ["memory", "swap"], Unit::Bytes, "Limit of memory and swap together"),
    limit("pids-limit", ["pids", "limit"], Unit::Signed, "Limit of processes"),
];

/// Limits that the kernel has no more; runc takes them and does nothing.
pub(crate) const IGNORED: [&str; 2] = ["kernel-memory", "kernel-memory-tcp"];

/// Limits that are no part of `linux.resources`, and their fields of `linux.intelRdt`.
pub(crate) const CACHES: [(&str, &str); 2] =
    [("l3-cache-schema", "l3CacheSchema"), ("mem-bw-schema", "memBwSchema")];

pub(crate) fn arguments(command: Command) -> Command {
    let single = || LIMITS.iter().map(|limit| limit.name).chain(IGNORED).chain(CACHES.map(|(name, _)| name));
    let resources = Arg::new("resources")
        .long("resources")
        .short('r')
        .value_name("FILE")
        .conflicts_with_all(single())
        .help("Read the limits from a document in the form of `linux.resources`; `-` reads standard input");
    let limits = LIMITS.iter().map(|limit| option(limit.name).help(limit.help));
    let ignored = IGNORED.iter().map(|name| option(name).hide(true));
    let caches =
        CACHES.iter().map(|(name, _)| option(name).help("Schema of the container's own class of resctrl"));
    command.arg(resources).args(limits).args(ignored).args(caches).arg(container_id()).mut_args(last_wins)
}

fn option(name: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("VALUE").allow_hyphen_values(true)
}
