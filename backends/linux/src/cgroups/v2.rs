//! Limits as cgroup v2 takes them (Documentation/admin-guide/cgroup-v2.rst), converted from the words of v1 as runc and
//! crun do.

use std::fs;
use std::io::Read;
use std::path::Path;

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::Mode;
use rustix::io::Errno;

use super::v1::{max, rdma_line};
use super::{Controller, Setting};
use crate::config::{Cpu, Io, Limits, Memory, Rate};
use crate::fault::{OrFail, explain, unsupported};

/// What to write, for the controllers that stand in v2.
///
/// # Errors
/// `not-supported`, naming the field, for what v1 alone can limit.
pub(super) fn settings(limits: &Limits, controllers: &[Controller]) -> Result<Vec<Setting>> {
    refuse_what_v1_has(limits, controllers)?;
    let mut settings = memory(&limits.memory);
    settings.extend(cpu(&limits.cpu));
    settings.extend(limits.pids.map(|limit| Setting::new(Controller::Pids, "pids.max", max(limit))));
    settings.extend(io(&limits.io));
    settings.extend(limits.huge_pages.iter().flat_map(|(size, limit)| {
        let set = |file: &str| Setting::new(Controller::Hugetlb, &format!("hugetlb.{size}.{file}"), limit);
        [set("max"), set("rsvd.max").if_there()]
    }));
    settings.extend(limits.rdma.iter().map(|(device, rdma)| rdma_line(device, rdma)));
    for (file, value) in &limits.unified {
        let owner = |controller: &Controller| file.split('.').next() == Some(controller.name());
        let controller = Controller::ALL.into_iter().find(owner).ok_or_else(|| {
            unsupported(format!("linux.resources.unified[{file:?}]"), "a controller that is not managed here")
        })?;
        settings.push(Setting::new(controller, file, value));
    }
    Ok(settings)
}

fn refuse_what_v1_has(limits: &Limits, controllers: &[Controller]) -> Result<()> {
    let Limits { memory, cpu, io, .. } = limits;
    let fields = [
        (Controller::Memory, "memory.swappiness", memory.swappiness.is_some()),
        (Controller::Memory, "memory.disableOOMKiller", memory.spare_from_oom_killer),
        (Controller::Memory, "memory.kernel", memory.kernel.is_some()),
        (Controller::Memory, "memory.kernelTCP", memory.kernel_tcp.is_some()),
        (Controller::Cpu, "cpu.realtimeRuntime", cpu.realtime_runtime.is_some()),
        (Controller::Cpu, "cpu.realtimePeriod", cpu.realtime_period.is_some()),
        (Controller::Io, "blockIO.leafWeight", io.leaf_weight.is_some()),
        (Controller::Io, "blockIO.weightDevice[].leafWeight", !io.device_leaf_weights.is_empty()),
    ];
    let lost = fields.iter().find(|(controller, _, asked)| *asked && controllers.contains(controller));
    lost.map_or(Ok(()), |(_, field, _)| {
        Err(unsupported(format!("linux.resources.{field}"), "cgroup v2 has no such limit"))
    })
}

fn memory(memory: &Memory) -> Vec<Setting> {
    let set = |file, value: i64| Setting::new(Controller::Memory, file, max(u64::try_from(value).ok()));
    let limits = [
        memory.limit.map(|limit| set("memory.max", limit)),
        memory.with_swap.map(|both| match swap(both, memory.limit.unwrap_or(0)) {
            // Without swap there is none to be limited.
            swap @ ..1 => set("memory.swap.max", swap).if_there(),
            swap => set("memory.swap.max", swap),
        }),
        memory.reservation.map(|limit| set("memory.low", limit)),
    ];
    limits.into_iter().flatten().collect()
}

/// The specification counts memory and swap together, v2 counts swap alone; negative for no limit.
fn swap(both: i64, memory: i64) -> i64 {
    if both < 0 { -1 } else { both - memory.max(0) }
}

fn cpu(cpu: &Cpu) -> Vec<Setting> {
    let set = |file, value: String| Setting::new(Controller::Cpu, file, value);
    let place = |file, list: &String| Setting::new(Controller::Cpuset, file, list);
    let limits = [
        cpu.shares.map(|shares| set("cpu.weight", weight_of_shares(shares).to_string())),
        bandwidth(cpu).map(|text| set("cpu.max", text)),
        cpu.burst.map(|burst| set("cpu.max.burst", burst.to_string())),
        cpu.idle.map(|idle| set("cpu.idle", idle.to_string())),
        cpu.processors.as_ref().map(|list| place("cpuset.cpus", list)),
        cpu.nodes.as_ref().map(|list| place("cpuset.mems", list)),
    ];
    limits.into_iter().flatten().collect()
}

/// `cpu.max`: quota and period in one file; a quota alone keeps the kernel's period of 100 ms.
fn bandwidth(cpu: &Cpu) -> Option<String> {
    let quota = max(cpu.quota.and_then(|quota| u64::try_from(quota).ok()));
    match (cpu.quota, cpu.period) {
        (None, None) => None,
        (_, Some(period)) => Some(format!("{quota} {period}")),
        (Some(_), None) => Some(quota),
    }
}

/// 2…262144 to 1…10000, so that the defaults (1024 and 100) meet: the quadratic in the exponent that runc 1.3.2 and
/// crun 1.23 took in place of the linear map, which made 1024 into 39.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "1 to 10000"
)]
fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        shares => {
            let log = libm::log2(shares as f64);
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            libm::ceil(libm::pow(10.0, exponent)) as u64
        }
    }
}

/// 10…1000 of BFQ to 1…10000 of the cost model, where the first is missing.
fn weight_of_blkio(weight: u16) -> u64 {
    1 + (u64::from(weight).saturating_sub(10)) * 9999 / 990
}

fn io(io: &Io) -> Vec<Setting> {
    let set = |file, value: String| Setting::new(Controller::Io, file, value);
    let weight = io
        .weight
        .map(|weight| set("io.bfq.weight", weight.to_string()).or("io.weight", weight_of_blkio(weight)));
    let weights = io.device_weights.iter().map(|(device, weight)| {
        set("io.bfq.weight", format!("{device} {weight}"))
            .or("io.weight", format!("{device} {}", weight_of_blkio(*weight)))
    });
    let throttles = io.throttles.iter().map(|throttle| {
        let key = match throttle.rate {
            Rate::ReadBytes => "rbps",
            Rate::WriteBytes => "wbps",
            Rate::Reads => "riops",
            Rate::Writes => "wiops",
        };
        // Zero means no limit, as in v1.
        let value = max((throttle.per_second > 0).then_some(throttle.per_second));
        set("io.max", format!("{} {key}={value}", throttle.device))
    });
    weight.into_iter().chain(weights).chain(throttles).collect()
}

/// Makes the directories above the container's and hands the controllers down to them. Only what is needed is switched
/// on, for each controller costs every group below; and what is welcome, where nothing stands in its way.
pub(super) fn make_parents(
    mount: &Path,
    place: &Path,
    controllers: &[Controller],
    welcome: &[Controller],
) -> Result<()> {
    let hand_down = |directory: &Path| {
        let handed_down = handed_down(directory);
        enable(directory, &handed_down, controllers)?;
        for controller in welcome.iter().filter(|one| !controllers.contains(one)) {
            let _ = enable(directory, &handed_down, &[*controller]);
        }
        Ok(())
    };
    let mut directory = mount.to_owned();
    hand_down(&directory)?;
    for name in place.parent().into_iter().flatten() {
        directory.push(name);
        match rustix::fs::mkdir(&directory, Mode::from(0o755)) {
            Err(Errno::EXIST) => {}
            result => result.or_fail("make a cgroup for containers", directory.display())?,
        }
        hand_down(&directory)?;
    }
    Ok(())
}

/// Hands a controller down to a group that exists already; `false` where the hierarchy has not got it, or something stands
/// in its way.
pub(super) fn hand_down(directory: &Path, controller: Controller) -> bool {
    let mut above: Vec<_> =
        directory.ancestors().skip(1).take_while(|path| path.join("cgroup.controllers").exists()).collect();
    above.reverse();
    !above.is_empty() && above.iter().all(|path| enable(path, &handed_down(path), &[controller]).is_ok())
}

/// What a group hands down already, as the kernel lists it.
fn handed_down(directory: &Path) -> String {
    fs::read_to_string(directory.join(SUBTREE_CONTROL)).unwrap_or_default()
}

fn enable(directory: &Path, handed_down: &str, controllers: &[Controller]) -> Result<()> {
    let is_missing = |one: &&Controller| !names(handed_down, **one);
    for controller in controllers.iter().filter(is_missing) {
        let file = directory.join(SUBTREE_CONTROL);
        fs::write(&file, format!("+{}", controller.name()))
            .map_err(|error| refused(&file, *controller, &error))?;
    }
    Ok(())
}

/// The controllers that a group hands down to those below it.
const SUBTREE_CONTROL: &str = "cgroup.subtree_control";

/// Whether the file, a list of controllers, names this one.
fn lists(directory: &Path, file: &str, controller: Controller) -> bool {
    names(&fs::read_to_string(directory.join(file)).unwrap_or_default(), controller)
}

fn names(list: &str, controller: Controller) -> bool {
    list.split_whitespace().any(|name| name == controller.name())
}

/// What keeps the groups below `top` from having the controller; told before anything is made.
///
/// Inside another container or a delegated unit `top` is no root: then it hands nothing down while it holds processes
/// itself (cgroups(7), "no internal processes"). Only the root of all lacks `cgroup.type`, and is free of the rule.
pub(crate) fn obstacle(top: &Path, controller: Controller) -> Option<String> {
    let (name, shown) = (controller.name(), top.display());
    if !lists(top, "cgroup.controllers", controller) {
        return Some(format!("the controller `{name}` is not handed down to {shown}"));
    }
    if lists(top, SUBTREE_CONTROL, controller) || !top.join("cgroup.type").exists() || !holds_processes(top) {
        return None;
    }
    Some(format!(
        "processes stand in {shown} itself, which therefore cannot hand the controller `{name}` down: \
        move them into a group of their own below it"
    ))
}

fn holds_processes(directory: &Path) -> bool {
    let mut first = [0];
    let read = fs::File::open(directory.join("cgroup.procs")).and_then(|mut file| file.read(&mut first));
    matches!(read, Ok(1))
}

fn refused(file: &Path, controller: Controller, error: &std::io::Error) -> Error {
    let refused =
        Error::new(ErrorCode::HostUnfit, format!("switch on the cgroup controller `{}`", controller.name()))
            .on(file.display())
            .because(explain(error));
    match error.raw_os_error() {
        Some(libc::ENOENT) => refused.hint("the controller is not handed down to this group, or v1 has it"),
        Some(libc::EBUSY) => refused.hint(
            "processes stand in this group itself, which must hold none to have groups with limits below it \
            (cgroups(7)): move them into a group of their own below it",
        ),
        Some(libc::EOPNOTSUPP) => refused.hint("the group is of type `domain invalid` or `threaded`"),
        _ => refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(limits: &Limits) -> Vec<(String, String)> {
        settings(limits, &Controller::ALL)
            .unwrap()
            .into_iter()
            .map(|setting| setting.choices[0].clone())
            .collect()
    }

    fn pairs<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
        expected.map(|(file, value)| (file.to_owned(), value.to_owned())).to_vec()
    }

    #[test]
    fn swap_is_what_is_above_memory() {
        let memory = Memory { limit: Some(100), with_swap: Some(100), ..Memory::default() };
        let limits = Limits { memory, ..Limits::default() };
        assert_eq!(written(&limits), pairs([("memory.max", "100"), ("memory.swap.max", "0")]));
        let memory = Memory { limit: Some(100), with_swap: Some(-1), ..Memory::default() };
        let limits = Limits { memory, ..Limits::default() };
        assert_eq!(written(&limits)[1], ("memory.swap.max".to_owned(), "max".to_owned()));
    }

    #[test]
    fn the_defaults_of_both_versions_meet() {
        assert_eq!([2, 1024, 262_144].map(weight_of_shares), [1, 100, 10_000]);
        assert_eq!([10, 1000].map(weight_of_blkio), [1, 10_000]);
    }

    #[test]
    fn quota_and_period_are_one_line() {
        let cpu = Cpu { quota: Some(150_000), period: Some(100_000), ..Cpu::default() };
        assert_eq!(bandwidth(&cpu).unwrap(), "150000 100000");
        assert_eq!(bandwidth(&Cpu { quota: Some(-1), ..Cpu::default() }).unwrap(), "max");
        assert_eq!(bandwidth(&Cpu::default()), None);
    }

    #[test]
    fn files_of_v2_pass_through() {
        let unified = [("memory.high".to_owned(), "1M".to_owned())].into();
        assert_eq!(written(&Limits { unified, ..Limits::default() }), pairs([("memory.high", "1M")]));
    }

    /// A directory that looks like a group which is not the root and holds a process.
    fn busy_group(name: &str, handed_down: &str) -> std::path::PathBuf {
        let top = std::env::temp_dir().join(format!("nucleus-test-{name}-{}", std::process::id()));
        fs::create_dir_all(&top).unwrap();
        let files = [("cgroup.controllers", "cpu pids\n"), (SUBTREE_CONTROL, handed_down)];
        for (file, text) in files.into_iter().chain([("cgroup.type", "domain\n"), ("cgroup.procs", "1\n")]) {
            fs::write(top.join(file), text).unwrap();
        }
        top
    }

    #[test]
    fn what_stands_in_the_way_is_told() {
        let top = busy_group("busy", "cpu\n");
        assert_eq!(obstacle(&top, Controller::Cpu), None, "it is handed down already");
        let told = [Controller::Pids, Controller::Io].map(|one| obstacle(&top, one).unwrap_or_default());
        assert!(told[0].contains("move them"), "{told:?}");
        assert!(told[1].contains("`io` is not handed down"), "{told:?}");
        fs::write(top.join("cgroup.procs"), "").unwrap();
        assert_eq!(obstacle(&top, Controller::Pids), None, "nobody stands in it");
        fs::remove_dir_all(&top).unwrap();
    }

    #[test]
    fn what_v2_lacks_is_refused_by_name() {
        let memory = Memory { swappiness: Some(10), ..Memory::default() };
        let error = settings(&Limits { memory, ..Limits::default() }, &[Controller::Memory]).unwrap_err();
        assert!(error.to_string().contains("swappiness"), "{error}");
    }
}
