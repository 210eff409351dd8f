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
    let unit = record.unit.as_deref();
    tell_systemd(unit, &writes)?;
    write_all(writes).map_err(|(undo, error)| match tell_systemd(unit, &undo) {
        Ok(()) => restore(undo, error),
        Err(other) => restore(undo, error).and([other]),
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
    settings.into_iter().map(|setting| write_for(homes, setting)).collect()
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
    group: Made,
    setting: Setting,
}

fn write_for(homes: &[Home], setting: Setting) -> Result<Write> {
    let home = homes.iter().find(|home| home.controller == setting.controller);
    let home = home.expect("settings without a home were left out");
    Ok(Write { group: Made::open(&home.directory)?, setting })
}

/// The kernel checks each value against the others that stand at that time: memory against swap, quota against period and
/// burst. What is refused is therefore tried again when the rest is written, until nothing more comes of it.
///
/// # Errors
/// The first refusal, with what undoes everything that was written before it.
fn write_all(mut writes: Vec<Write>) -> std::result::Result<(), (Vec<Write>, Error)> {
    let mut undo = Vec::new();
    loop {
        let before = writes.len();
        let mut refused = Vec::new();
        let mut first = None;
        for write in writes {
            let old = old_value(&write);
            match write.group.apply(&write.setting) {
                Ok(()) => undo.extend(old.map(|setting| Write { setting, ..write })),
                Err(error) => {
                    first.get_or_insert(error);
                    refused.push(write);
                }
            }
        }
        match first {
            None => return Ok(()),
            Some(error) if refused.len() == before => return Err((undo, error)),
            Some(_) => writes = refused,
        }
    }
}

/// The last change goes first.
fn restore(mut undo: Vec<Write>, error: Error) -> Error {
    undo.reverse();
    // As it was possible once, what is refused at first may be possible when the rest is back.
    for _ in 0..undo.len() {
        undo.retain(|write| write.group.apply(&write.setting).is_err());
    }
    let kept = undo.into_iter().map(|write| {
        Error::new(ErrorCode::SystemCall, "give a limit its old value back").on(write
            .setting
            .choices
            .into_iter()
            .map(|(file, _)| file)
            .next()
            .unwrap_or_default())
    });
    error.and(kept)
}

/// The setting that undoes one, where the old value can be told.
fn old_value(write: &Write) -> Option<Setting> {
    let choices = &write.setting.choices;
    let (file, value, old) =
        choices.iter().find_map(|(file, value)| Some((file, value, write.group.read(file)?)))?;
    Some(Setting::new(write.setting.controller, file, value_before(file, value, &old)?))
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
        "io.weight" | "io.bfq.weight" => old.lines().next().map(str::to_owned),
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
        assert_eq!(before("io.weight", "50", "default 100\n8:0 7\n"), "default 100");
        assert_eq!(before("blkio.throttle.read_bps_device", "8:0 9", ""), "8:0 0");
        assert_eq!(value_before("net_prio.ifpriomap", "eth9 3", "lo 0\n"), None);
    }
}
