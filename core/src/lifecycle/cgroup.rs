//! Removing a cgroup that the ledger names: what is inside is killed first, children go before parents.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How often a group is emptied anew: a process that forks while it is being killed needs a second round.
const ROUNDS: usize = 50;

/// How long one killed process may take to end. It can be stuck in the kernel; we must not be stuck with it.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Removes a cgroup directory and those below it. One that does not exist is no error.
///
/// # Errors
/// `ResourceBusy` when processes inside do not end; what the kernel reports otherwise.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => {}
    }
    for _ in 0..ROUNDS {
        remove_children(path)?;
        kill_all(path)?;
        match fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => rest(),
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

/// Waits until a process has ended.
///
/// # Errors
/// `TimedOut` after ten seconds.
pub(super) fn until_ended(pidfd: &OwnedFd) -> io::Result<()> {
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    match poll(&mut fds, Some(&PATIENCE))? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}

// The kernel detaches a dead task from its group a moment after the parent could reap it; nothing tells when.
fn rest() {
    std::thread::sleep(std::time::Duration::from_millis(1));
}

fn remove_children(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn kill_all(path: &Path) -> io::Result<()> {
    // cgroup.kill: cgroup v2 since Linux 5.14. Where it is missing, one by one.
    let _ = fs::write(path.join("cgroup.kill"), "1");
    thaw(path);
    // A pid may have passed to a stranger between reading and opening. Once the descriptor is open it cannot, so only
    // those that are still listed afterwards are meant.
    let opened: Vec<(Pid, OwnedFd)> = processes(path)?.into_iter().filter_map(open).collect();
    let listed = processes(path)?;
    let meant = || opened.iter().filter(|(pid, _)| listed.contains(pid)).map(|(_, pidfd)| pidfd);
    for pidfd in meant() {
        let _ = pidfd_send_signal(pidfd, Signal::KILL);
    }
    meant().try_for_each(until_ended)
}

fn open(pid: Pid) -> Option<(Pid, OwnedFd)> {
    Some((pid, pidfd_open(pid, PidfdFlags::empty()).ok()?))
}

// A frozen process of cgroup v1 does not die before it is thawed.
fn thaw(path: &Path) {
    let freezer = path.join("freezer.state");
    if freezer.exists() {
        let _ = fs::write(freezer, "THAWED");
    }
}

fn processes(path: &Path) -> io::Result<Vec<Pid>> {
    match fs::read_to_string(path.join("cgroup.procs")) {
        Ok(text) => Ok(text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_is_gone_is_no_error() {
        remove(Path::new("/sys/fs/cgroup/nucleus-test-no-such-group")).unwrap();
    }

    #[test]
    fn a_group_goes_with_the_processes_inside_and_the_groups_below() {
        let Some(base) = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"]
            .iter()
            .map(Path::new)
            .find(|base| base.join("cgroup.procs").exists())
        else {
            eprintln!("skipped: no cgroup hierarchy is mounted here");
            return;
        };
        let group = base.join(format!("nucleus-test-{}", std::process::id()));
        fs::create_dir(&group).unwrap();
        fs::create_dir(group.join("below")).unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        fs::write(group.join("below/cgroup.procs"), child.id().to_string()).unwrap();
        remove(&group).unwrap();
        assert!(!group.exists());
        assert!(!child.wait().unwrap().success());
    }
}
