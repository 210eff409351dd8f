//! A process that is still the same process: its id alone may have been reused.

use std::fs;
use std::io;

use nucleus_abi::Process;
use nucleus_sys::Pid;
use nucleus_sys::pidfd::PidFd;
use rustix::io::Errno;

/// `include/linux/sched.h`
const PF_EXITING: u32 = 0x4;

/// What `/proc/<pid>/stat` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    state: u8,
    /// `PF_EXITING`: it will never run its program again.
    exiting: bool,
    start_time: u64,
}

/// The identity of a process that the caller knows to be alive.
pub fn of(pid: Pid) -> io::Result<Process> {
    let stat = stat(pid)?;
    Ok(Process { pid: pid.as_raw_nonzero().get().cast_unsigned(), start_time: stat.start_time })
}

/// Opens the process if it has not ended; `None` if it has, or if its id belongs to another one now.
pub fn open(process: Process) -> io::Result<Option<PidFd>> {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    let opened = match PidFd::open(pid) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
        result => result?,
    };
    // Compared after it was opened: if it is the right one now, the descriptor is its own.
    match stat(pid) {
        Ok(Stat { state: b'Z' | b'X', .. }) => Ok(None),
        Ok(Stat { start_time, .. }) => Ok((start_time == process.start_time).then_some(opened)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a process has ended or is about to. The first process of a pid namespace takes its time: it waits for all others
/// there, when its own namespaces are gone already.
pub fn is_ending(process: Process) -> bool {
    let stat = i32::try_from(process.pid).ok().and_then(Pid::from_raw).map(stat);
    !matches!(stat, Some(Ok(Stat { exiting: false, start_time, .. })) if start_time == process.start_time)
}

fn stat(pid: Pid) -> io::Result<Stat> {
    let text = fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero()))?;
    parse(&text).ok_or_else(|| Errno::INVAL.into())
}

/// The second field, the program's name, may hold blanks and brackets: what follows begins after the last bracket.
fn parse(text: &[u8]) -> Option<Stat> {
    let after = text.iter().rposition(|byte| *byte == b')')? + 1;
    let mut fields = std::str::from_utf8(&text[after..]).ok()?.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    // The state is field 3, the flags are field 9, the start time field 22 (proc_pid_stat(5)).
    let flags: u32 = fields.nth(5)?.parse().ok()?;
    Some(Stat { state, exiting: flags & PF_EXITING != 0, start_time: fields.nth(12)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_confuses_nobody() {
        let text = b"7 (a) Z 1 (b) S 1 7 7 0 -1 4194564 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3";
        assert_eq!(parse(text), Some(Stat { state: b'S', exiting: true, start_time: 987_654 }));
    }

    #[test]
    fn another_start_time_is_another_process() {
        let own = of(rustix::process::getpid()).unwrap();
        assert!(open(own).unwrap().is_some() && !is_ending(own));
        assert!(is_ending(Process { start_time: own.start_time + 1, ..own }));
        assert!(open(Process { start_time: own.start_time + 1, ..own }).unwrap().is_none());
        assert!(open(Process { pid: u32::MAX, start_time: 1 }).unwrap().is_none());
    }
}
