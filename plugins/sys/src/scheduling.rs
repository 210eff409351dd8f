//! How a process is scheduled: policy, priorities, processors (sched(7)).

use std::io;

use bitflags::bitflags;
use rustix::process::Pid;
pub use rustix::thread::CpuSet;

use crate::syscall::check;

/// A scheduling policy by the kernel's number (`include/uapi/linux/sched.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Policy {
    /// The usual time sharing.
    Other = 0,
    /// First in, first out, in real time.
    Fifo = 1,
    /// Round robin, in real time.
    RoundRobin = 2,
    /// Time sharing for batch jobs.
    Batch = 3,
    /// Only when nothing else runs.
    Idle = 5,
    /// Earliest deadline first.
    Deadline = 6,
}

bitflags! {
    /// `SCHED_FLAG_*` of `include/uapi/linux/sched.h`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct ScheduleFlags: u64 {
        /// `SCHED_FLAG_RESET_ON_FORK`: children get the usual policy.
        const RESET_ON_FORK = 0x01;
        /// `SCHED_FLAG_RECLAIM`: may use what others leave.
        const RECLAIM = 0x02;
        /// `SCHED_FLAG_DL_OVERRUN`: SIGXCPU when the runtime is used up.
        const DL_OVERRUN = 0x04;
        /// `SCHED_FLAG_KEEP_POLICY`: the policy stays as it is.
        const KEEP_POLICY = 0x08;
        /// `SCHED_FLAG_KEEP_PARAMS`: the other values stay as they are.
        const KEEP_PARAMS = 0x10;
        /// `SCHED_FLAG_UTIL_CLAMP_MIN`
        const UTIL_CLAMP_MIN = 0x20;
        /// `SCHED_FLAG_UTIL_CLAMP_MAX`
        const UTIL_CLAMP_MAX = 0x40;
    }
}

/// What `sched_setattr(2)` sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// The policy.
    pub policy: Policy,
    /// Flags.
    pub flags: ScheduleFlags,
    /// -20 to 19; of time sharing.
    pub nice: i32,
    /// 1 to 99; of real time.
    pub priority: u32,
    /// Nanoseconds; of deadlines.
    pub runtime: u64,
    /// Nanoseconds; of deadlines.
    pub deadline: u64,
    /// Nanoseconds; of deadlines.
    pub period: u64,
}

/// `struct sched_attr` up to `sched_util_max` (`SCHED_ATTR_SIZE_VER1`).
#[repr(C)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
    util_min: u32,
    util_max: u32,
}

const SCHED_ATTR_SIZE: u32 = 56;
const _: () = assert!(size_of::<SchedAttr>() == SCHED_ATTR_SIZE as usize);

/// Sets how a process (`None`: the caller) is scheduled.
///
/// Errors: EPERM without `CAP_SYS_NICE` for what takes it, and for deadlines on a part of the processors; EINVAL for values
/// that don't fit the policy; EBUSY when there is no time left for another deadline.
pub fn set_schedule(process: Option<Pid>, schedule: &Schedule) -> io::Result<()> {
    let attr = SchedAttr {
        size: SCHED_ATTR_SIZE,
        policy: schedule.policy as u32,
        flags: schedule.flags.bits(),
        nice: schedule.nice,
        priority: schedule.priority,
        runtime: schedule.runtime,
        deadline: schedule.deadline,
        period: schedule.period,
        util_min: 0,
        util_max: 0,
    };
    // SAFETY: the kernel reads as many bytes as `size` says, which is the structure's own; it lives through the call.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, number(process), &raw const attr, 0) })?;
    Ok(())
}

/// A class of `ioprio_set(2)` (`include/uapi/linux/ioprio.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum IoClass {
    /// Before all others; takes `CAP_SYS_NICE` or `CAP_SYS_ADMIN`.
    RealTime = 1,
    /// The usual one.
    BestEffort = 2,
    /// Only when nobody else uses the disk.
    Idle = 3,
}

/// Sets the priority of a process (`None`: the caller) for block devices: 0 (first) to 7 in its class.
///
/// Errors: EPERM; EINVAL for a priority out of range.
pub fn set_io_priority(process: Option<Pid>, class: IoClass, priority: u8) -> io::Result<()> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    const IOPRIO_CLASS_SHIFT: i32 = 13;
    // Newer kernels take the bits above for something else.
    if priority > 7 {
        return Err(rustix::io::Errno::INVAL.into());
    }
    let value = (class as i32) << IOPRIO_CLASS_SHIFT | i32::from(priority);
    // SAFETY: takes three numbers.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, number(process), value) })?;
    Ok(())
}

fn number(process: Option<Pid>) -> i32 {
    process.map_or(0, |pid| pid.as_raw_nonzero().get())
}

/// The processors on which the calling thread may run.
pub fn affinity() -> io::Result<CpuSet> {
    Ok(rustix::thread::sched_getaffinity(None)?)
}

/// Confines the calling thread to processors. EINVAL if none of them is there and allowed.
pub fn set_affinity(processors: &CpuSet) -> io::Result<()> {
    Ok(rustix::thread::sched_setaffinity(None, processors)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_child;

    const USUAL: Schedule = Schedule {
        policy: Policy::Other,
        flags: ScheduleFlags::empty(),
        nice: 0,
        priority: 0,
        runtime: 0,
        deadline: 0,
        period: 0,
    };

    /// Fields 18 (nice), 40 (priority in real time) and 41 (policy) of `proc_pid_stat(5)`.
    fn told() -> [String; 3] {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').map(str::to_owned).collect();
        [19, 40, 41].map(|field| fields[field - 3].clone())
    }

    #[test]
    fn each_policy_takes_its_own_values() {
        in_child(|| {
            set_schedule(None, &Schedule { nice: 5, ..USUAL }).unwrap();
            assert_eq!(told(), ["5", "0", "0"]);
            let own = rustix::process::getpid();
            set_schedule(Some(own), &Schedule { policy: Policy::Batch, nice: 7, ..USUAL }).unwrap();
            assert_eq!(told(), ["7", "0", "3"]);
            set_schedule(None, &Schedule { policy: Policy::Idle, ..USUAL }).unwrap();
            assert_eq!(told()[2], "5");
            for policy in [Policy::Fifo, Policy::RoundRobin] {
                let flags = ScheduleFlags::RESET_ON_FORK;
                set_schedule(None, &Schedule { policy, priority: 3, flags, ..USUAL }).unwrap();
                assert_eq!(told()[1..], ["3".to_owned(), (policy as u32).to_string()]);
            }
            let error = set_schedule(None, &Schedule { policy: Policy::Fifo, ..USUAL }).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        });
    }

    #[test]
    fn a_deadline_is_set() {
        in_child(|| {
            let (runtime, deadline, period) = (1_000_000, 20_000_000, 30_000_000);
            let schedule = Schedule { policy: Policy::Deadline, runtime, deadline, period, ..USUAL };
            set_schedule(None, &schedule).unwrap();
            assert_eq!(told()[2], "6");
            let error = set_schedule(None, &Schedule { deadline: 1, ..schedule }).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        });
    }

    #[test]
    fn a_priority_for_disks_is_set() {
        in_child(|| {
            // SAFETY: takes two numbers.
            let own = || unsafe { libc::syscall(libc::SYS_ioprio_get, 1, 0) };
            set_io_priority(None, IoClass::BestEffort, 6).unwrap();
            assert_eq!(own(), 2 << 13 | 6);
            set_io_priority(Some(rustix::process::getpid()), IoClass::Idle, 0).unwrap();
            assert_eq!(own(), 3 << 13);
            let error = set_io_priority(None, IoClass::RealTime, 8).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        });
    }

    #[test]
    fn processors_are_chosen() {
        in_child(|| {
            let before = affinity().unwrap();
            let first = (0..CpuSet::MAX_CPU).find(|number| before.is_set(*number)).unwrap();
            let mut one = CpuSet::new();
            one.set(first);
            set_affinity(&one).unwrap();
            assert_eq!(affinity().unwrap(), one);
            let error = set_affinity(&CpuSet::new()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        });
    }
}
