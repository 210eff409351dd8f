//! Processes by identity: a pid together with the time at which it started.

use std::io::{self, Read as _};
use std::sync::OnceLock;

use nucleus_abi::Process;

/// The start time of a process in clock ticks after boot: field 22 of `/proc/<pid>/stat`, proc(5).
///
/// # Errors
/// What reading reports: `NotFound` when there is no such process.
pub(crate) fn start_time(pid: u32) -> io::Result<u64> {
    let stat = read_line(&format!("/proc/{pid}/stat"))?;
    parse_start_time(&stat).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The calling process.
///
/// # Errors
/// What reading `/proc` reports.
pub(super) fn this() -> io::Result<Process> {
    let pid = std::process::id();
    Ok(Process { pid, start_time: start_time(pid)? })
}

/// The kernel's name for this boot, random(4).
///
/// # Errors
/// What reading `/proc` reports.
pub(super) fn boot_id() -> io::Result<&'static str> {
    static BOOT: OnceLock<String> = OnceLock::new();
    if let Some(id) = BOOT.get() {
        return Ok(id);
    }
    let text = read_line("/proc/sys/kernel/random/boot_id")?;
    Ok(BOOT.get_or_init(|| text.trim_end().to_owned()))
}

/// A file of one short line: `/proc` makes it at the first read(2), and the library would ask five times.
fn read_line(path: &str) -> io::Result<String> {
    let mut bytes = [0; 1024];
    let length = std::fs::File::open(path)?.read(&mut bytes)?;
    String::from_utf8(bytes[..length].to_vec()).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Whether this very process still exists, as more than a zombie.
pub(super) fn is_alive(process: Process) -> bool {
    read_line(&format!("/proc/{}/stat", process.pid)).is_ok_and(|stat| {
        parse_start_time(&stat) == Some(process.start_time) && !matches!(parse_state(&stat), Some('Z' | 'X'))
    })
}

// The command's name may hold spaces and parentheses, so fields are counted after its last closing one.
fn fields(stat: &str) -> Option<impl Iterator<Item = &str>> {
    Some(stat.rsplit_once(')')?.1.split_ascii_whitespace())
}

fn parse_state(stat: &str) -> Option<char> {
    fields(stat)?.next()?.chars().next()
}

fn parse_start_time(stat: &str) -> Option<u64> {
    fields(stat)?.nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_command_name_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        assert_eq!(parse_start_time(stat), Some(4242));
        assert_eq!(parse_state(stat), Some('S'));
    }

    #[test]
    fn this_process_lives_and_its_successor_under_the_same_pid_is_another() {
        let this = this().unwrap();
        assert!(is_alive(this));
        assert!(!is_alive(Process { start_time: this.start_time + 1, ..this }));
    }
}
