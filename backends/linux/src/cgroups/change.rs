//! Other limits for a container that runs.
//!
//! The device rules stay as they were made, as in runc: engines repeat them in every update.

use std::fs;
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};

use super::group::Made;
use super::{Controller, Layout, Setting, Version, late, needed, systemd, v1, v2};
use crate::config::{Limits, Memory};
use crate::fault::invalid;
use crate::record::Record;

/// Where a controller limits the container.
#[derive(Debug)]
struct Home {
    controller: Controller,
    version: Version,
    directory: PathBuf,
}

/// Changes what `limits` says. When one limit is refused, those that were changed before get their old values back as far as
/// the kernel takes them.
///
/// # Errors
/// `not-supported` and `config-invalid` name the field; `system-call` names the file; `host-unfit` the controller.
pub(crate) fn change(record: &mut Record, state: &Path, limits: &Limits) -> Result<()> {
    let homes = needed(limits).into_iter().map(|controller| home(record, state, controller));
    let homes = homes.collect::<Result<Vec<_>>>()?;
    check_memory(&homes, &limits.memory)?;
    let writes = writes(&homes, limits)?;
    // Read before systemd writes some of them.
    let old: Vec<_> = writes.iter().filter_map(Write::inverse).collect();
    let unit = record.unit.as_deref();
    tell_systemd(unit, &writes).and_then(|()| write_all(&writes)).map_err(|error| {
        let untold = tell_systemd(unit, &old).err();
        error.and(untold).and(restore(old))
    })
}

/// systemd writes what it knows of a unit whenever it realises that anew, so it must know first. What is written then is
/// exact, where systemd rounds.
fn tell_systemd(unit: Option<&str>, writes: &[Write]) -> Result<()> {
    let Some(unit) = unit else { return Ok(()) };
    let settings: Vec<_> = writes.iter().map(|write| write.setting.clone()).collect();
    systemd::change(unit, &settings)
}

fn home(record: &mut Record, state: &Path, controller: Controller) -> Result<Home> {
    if let Some((directory, version)) = stands_in(&record.cgroups, controller) {
        return Ok(Home { controller, version, directory });
    }
    let unified = record.cgroups.iter().find(|directory| is_v2(directory)).cloned();
    if let Some(directory) = unified.filter(|directory| v2::hand_down(directory, controller)) {
        return Ok(Home { controller, version: Version::V2, directory });
    }
    // Says why, where no hierarchy has the controller.
    Layout::of_host().find(controller)?;
    match late::add(record, state, controller.v1_name())? {
        Some(directory) => Ok(Home { controller, version: Version::V1, directory }),
        None => Err(Error::new(ErrorCode::NotSupported, "change the container's limits")
            .on(format!("cgroup controller `{}`", controller.name()))
            .because("the container has no group in the controller's hierarchy, and can get none")
            .hint("make the container with a limit of this kind")),
    }
}

fn is_v2(directory: &Path) -> bool {
    directory.join("cgroup.controllers").exists()
}

/// The group that has files of the controller.
fn stands_in(directories: &[PathBuf], controller: Controller) -> Option<(PathBuf, Version)> {
    directories.iter().find_map(|directory| {
        let version = if is_v2(directory) { Version::V2 } else { Version::V1 };
        has_files(directory, controller.name_in(version)).then(|| (directory.clone(), version))
    })
}

/// `cpu.stat` is in every group of v2, also without the controller.
fn has_files(directory: &Path, controller: &str) -> bool {
    let names = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names = names.filter_map(|entry| entry.file_name().into_string().ok());
    names.any(|name| {
        let is_its = name.strip_prefix(controller).is_some_and(|rest| rest.starts_with('.'));
        is_its
            && !["cpu.stat", "cpu.stat.local", "cpu.pressure", "memory.pressure", "io.pressure"]
                .contains(&&*name)
    })
}

/// A change to less than what is in use makes the kernel kill, unless it is asked not to.
fn check_memory(homes: &[Home], memory: &Memory) -> Result<()> {
    let Some(home) = homes.iter().find(|home| home.controller == Controller::Memory) else { return Ok(()) };
    let file = match home.version {
        Version::V1 => "memory.usage_in_bytes",
        Version::V2 => "memory.current",
    };
    let usage = fs::read_to_string(home.directory.join(file)).unwrap_or_default();
    let used: i64 = usage.trim_end().parse().unwrap_or(0);
    match memory.limit {
        Some(limit) if memory.check_before_update && (0..used).contains(&limit) => Err(invalid(
            "linux.resources.memory.limit",
            format!("{limit} bytes are less than the {used} in use, and `checkBeforeUpdate` is set"),
        )),
        _ => Ok(()),
    }
}

fn writes(homes: &[Home], limits: &Limits) -> Result<Vec<Write>> {
    let of = |version| homes.iter().filter(move |home| home.version == version);
    let mut settings = v1::settings(limits);
    settings.extend(unlimited_swap(limits).filter(|_| of(Version::V1).next().is_some()));
    settings.retain(|setting| of(Version::V1).any(|home| home.controller == setting.controller));
    let of_v2: Vec<_> = of(Version::V2).map(|home| home.controller).collect();
    let completed = v2_complete(homes, limits)?;
    let v2 = v2::settings(&completed, &of_v2)?;
    settings.extend(v2.into_iter().filter(|setting| of_v2.contains(&setting.controller)));
    Ok(settings.into_iter().map(|setting| Write::to(homes, setting)).collect())
}

/// v2 takes some values together that may be changed one by one: what is not said is taken from what stands.
fn v2_complete(homes: &[Home], limits: &Limits) -> Result<Limits> {
    let mut limits = limits.clone();
    let read = |controller: Controller, file: &str| {
        let home = homes.iter().find(|home| home.controller == controller && home.version == Version::V2)?;
        fs::read_to_string(home.directory.join(file)).ok()
    };
    let number = |text: String| text.split_whitespace().next().and_then(|word| word.parse().ok());
    if limits.cpu.period.is_some() && limits.cpu.quota.is_none() {
        limits.cpu.quota = read(Controller::Cpu, "cpu.max").and_then(number);
    }
    if limits.memory.limit.is_none() && limits.memory.with_swap.is_some_and(|both| both > 0) {
        limits.memory.limit = read(Controller::Memory, "memory.max").and_then(number);
        if let (None, Some(_)) = (limits.memory.limit, read(Controller::Memory, "memory.max")) {
            return Err(invalid(
                "linux.resources.memory.swap",
                "needs a `limit` of memory, and there is none",
            ));
        }
    }
    Ok(limits)
}

/// v1 has no limit of memory above that of memory and swap: without the one, the other goes too (as in runc).
fn unlimited_swap(limits: &Limits) -> Option<Setting> {
    let unlimited = limits.memory.limit.is_some_and(|limit| limit < 0) && limits.memory.with_swap.is_none();
    unlimited.then(|| Setting::new(Controller::Memory, "memory.memsw.limit_in_bytes", -1).if_there())
}

/// One value to be written.
#[derive(Debug)]
struct Write {
    directory: PathBuf,
    setting: Setting,
}

impl Write {
    fn to(homes: &[Home], setting: Setting) -> Self {
        let home = homes.iter().find(|home| home.controller == setting.controller);
        let home = home.expect("settings without a home were left out");
        Self { directory: home.directory.clone(), setting }
    }

    fn run(&self) -> Result<()> {
        Made::open(&self.directory)?.apply(&self.setting)
    }

    /// What brings the present value back, where that can be told.
    fn inverse(&self) -> Option<Self> {
        let present = |(file, value): &(String, String)| {
            let old = fs::read_to_string(self.directory.join(file)).ok()?;
            Some((file.clone(), value_before(file, value, &old)?))
        };
        let (file, old) = self.setting.choices.iter().find_map(present)?;
        let setting = Setting::new(self.setting.controller, &file, old);
        Some(Self { directory: self.directory.clone(), setting })
    }
}

/// The kernel checks each value against the others that stand at that time: memory against swap, quota against period and
/// burst. What is refused is therefore tried again when the rest is written, until nothing more comes of it.
///
/// # Errors
/// The first of the refusals that remain.
fn write_all(writes: &[Write]) -> Result<()> {
    let mut left: Vec<&Write> = writes.iter().collect();
    loop {
        let before = left.len();
        let mut first = None;
        left.retain(|write| write.run().map_err(|error| first.get_or_insert(error).code).is_err());
        match first {
            None => return Ok(()),
            Some(error) if left.len() == before => return Err(error),
            Some(_) => {}
        }
    }
}

/// Gives everything its old value back, the last change first; an error for each value that cannot be had again.
fn restore(mut old: Vec<Write>) -> impl Iterator<Item = Error> {
    old.reverse();
    // As they stood together once, what is refused at first may be possible when the rest is back.
    for _ in 0..old.len() {
        old.retain(|write| write.run().is_err());
    }
    old.into_iter().map(|write| {
        let file = write.setting.choices.into_iter().next().map(|(file, _)| file).unwrap_or_default();
        Error::new(ErrorCode::SystemCall, "give a limit its old value back")
            .on(write.directory.join(file).display())
    })
}

fn value_before(file: &str, value: &str, old: &str) -> Option<String> {
    let key = value.split_whitespace().next().unwrap_or_default();
    let by_key = key.contains(':') || ["rdma.max", "net_prio.ifpriomap"].contains(&file);
    if by_key {
        let line = old.lines().find(|line| line.split_whitespace().next() == Some(key));
        return line.map(str::to_owned).or_else(|| Some(format!("{key} {}", no_limit(file)?)));
    }
    match file {
        "memory.oom_control" => {
            old.lines().find_map(|line| line.strip_prefix("oom_kill_disable ")).map(str::to_owned)
        }
        // Both show one line for each device after the first.
        "io.weight" | "io.bfq.weight" => {
            old.lines().next().map(|line| line.strip_prefix("default ").unwrap_or(line).to_owned())
        }
        // An empty list is written as an empty line.
        _ => Some(old.trim_end().to_owned()).map(|old| if old.is_empty() { "\n".to_owned() } else { old }),
    }
}

/// What a device without a line of its own has.
fn no_limit(file: &str) -> Option<&'static str> {
    match file {
        "io.max" => Some("rbps=max wbps=max riops=max wiops=max"),
        "rdma.max" => Some("hca_handle=max hca_object=max"),
        "io.weight" | "io.bfq.weight" => Some("default"),
        _ if file.starts_with("blkio.") => Some("0"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_value_is_what_has_to_be_written_to_get_it_back() {
        let before = |file, value, old| value_before(file, value, old).unwrap();
        assert_eq!(before("memory.max", "1", "max\n"), "max");
        assert_eq!(before("cpu.max", "1 2", "max 100000\n"), "max 100000");
        assert_eq!(before("cpuset.cpus", "0", "\n"), "\n");
        assert_eq!(before("memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), "0");
        let io = "8:0 rbps=5 wbps=max riops=max wiops=max\n";
        assert_eq!(before("io.max", "8:0 rbps=1", io), io.trim_end());
        assert_eq!(before("io.max", "8:1 rbps=1", io), "8:1 rbps=max wbps=max riops=max wiops=max");
        assert_eq!(before("io.weight", "50", "default 100\n8:0 7\n"), "100");
        assert_eq!(before("blkio.throttle.read_bps_device", "8:0 9", ""), "8:0 0");
        assert_eq!(value_before("net_prio.ifpriomap", "eth9 3", "lo 0\n"), None);
    }
}
