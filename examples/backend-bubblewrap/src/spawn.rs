//! The process: a shell that waits, and becomes bwrap.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nucleus_abi::{Descriptors, Error, ErrorCode, Process, Result, SandboxRequest};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, MoveMountFlags, OpenTreeFlags};
use rustix::process::{WaitId, WaitIdOptions};

use crate::arguments::{self, Config};
use crate::record::{Record, is_alive, start_time, status};

pub(crate) const FIFO: &str = "start";
pub(crate) const STATUS: &str = "status";
const BWRAP: &str = "/usr/bin/bwrap";

/// 3 is the gate, 4 the FIFO, 5 what bwrap writes to. A gate that closes ends the shell, for `read` fails.
const SCRIPT: &str = "read -r go <&3 && exec 3<&- && read -r go <&4 && exec 4<&- && exec /usr/bin/bwrap --json-status-fd 5 \"$@\"";

/// What is missing on this host.
pub(crate) fn missing() -> Option<String> {
    (!Path::new(BWRAP).exists()).then(|| format!("{BWRAP} is not installed"))
}

/// Starts the shell, and gives the gate that it waits at.
pub(crate) fn waiting(
    request: &SandboxRequest,
    config: &Config,
    descriptors: Descriptors<'_>,
) -> Result<(Process, OwnedFd)> {
    let failed = |error: io::Error| {
        Error::new(ErrorCode::SystemCall, "start bubblewrap").on(&request.id).because(error)
    };
    let stage = Stage::plan(request, config, descriptors)?;
    let (reader, gate) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|errno| failed(errno.into()))?;
    let fifo = fifo(&request.directory).map_err(failed)?;
    let said = File::create(request.directory.join(STATUS)).map_err(failed)?;
    // Above the numbers that they will have, so that none overwrites another.
    let above =
        |fd: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, 20).map_err(|errno| failed(errno.into()));
    let handed = [above(reader.as_fd())?, above(fifo.as_fd())?, above(said.as_fd())?];
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", SCRIPT, "sh"])
        .args(&stage.arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/");
    let [stdin, stdout, stderr] = request.stdio;
    let stream = |index| descriptors.get(index)?.try_clone_to_owned().map(Stdio::from).map_err(failed);
    command.stdin(stream(stdin)?).stdout(stream(stdout)?).stderr(stream(stderr)?);
    // SAFETY: between fork and exec only system calls are made; nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            stage.mount()?;
            for (number, fd) in (3..).zip(&handed) {
                let mut place = std::mem::ManuallyDrop::new(std::os::fd::FromRawFd::from_raw_fd(number));
                rustix::io::dup2(fd, &mut place)?;
            }
            Ok(())
        });
    }
    let child = command.spawn().map_err(failed)?;
    let pid = child.id();
    let start_time = start_time(pid).ok_or_else(|| failed(io::Error::other("it ended at once")))?;
    Ok((Process { pid, start_time }, gate))
}

/// Open for reading and writing: who writes to it finds a reader, and nobody waits for the other.
fn fifo(directory: &Path) -> io::Result<OwnedFd> {
    let path = directory.join(FIFO);
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    Ok(rustix::fs::open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?)
}

/// Lets the shell become bwrap.
pub(crate) fn let_go(directory: &Path) -> io::Result<()> {
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    OpenOptions::new().write(true).custom_flags(nonblocking).open(directory.join(FIFO))?.write_all(b"go\n")
}

/// Waits until a process has ended, and takes its status if it is our child.
pub(crate) fn reap(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    let mut polled = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut polled, None)?;
    match rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
        Ok(_) | Err(Errno::CHILD) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// The workload's process. bwrap names it a moment after it was let go; one that is ended in this moment would leave it behind.
pub(crate) fn workload(directory: &Path, record: &Record) -> Option<u32> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let pid = status(directory).child_pid;
        if pid.is_some() || !record.started || !is_alive(record.process) || Instant::now() > deadline {
            return pid;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A mount of what a descriptor leads to, that hangs nowhere; made here, for nothing can be copied out of another namespace. What
/// hangs nowhere already cannot be copied on every kernel, and need not be.
fn tree(descriptor: OwnedFd) -> OwnedFd {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(&descriptor, c"", flags).unwrap_or(descriptor)
}

/// Descriptors cross the protocol, and bwrap takes paths: what they lead to is mounted where only bwrap sees it.
struct Stage {
    arguments: Vec<String>,
    mounts: Vec<(OwnedFd, PathBuf)>,
}

impl Stage {
    fn plan(request: &SandboxRequest, config: &Config, descriptors: Descriptors<'_>) -> Result<Self> {
        let mut mounts = Vec::new();
        let mut stage = |index, name: String| -> Result<PathBuf> {
            let failed = |error: io::Error| {
                Error::new(ErrorCode::SystemCall, "stage what bubblewrap mounts").because(error)
            };
            let descriptor: OwnedFd = descriptors.get(index)?.try_clone_to_owned().map_err(failed)?;
            let target = request.directory.join(name);
            // A file is mounted on a file.
            let is_directory = FileType::from_raw_mode(
                rustix::fs::fstat(&descriptor).map_err(|errno| failed(errno.into()))?.st_mode,
            )
            .is_dir();
            let made =
                if is_directory { std::fs::create_dir(&target) } else { File::create(&target).map(drop) };
            made.map_err(failed)?;
            mounts.push((tree(descriptor), target.clone()));
            Ok(target)
        };
        let root = match request.rootfs {
            Some(index) => stage(index, "root".to_owned())?,
            None => request.bundle.join(&config.root.path),
        };
        let mut sources = std::collections::BTreeMap::new();
        for (mount, index) in &request.mount_sources {
            sources.insert(*mount, stage(*index, format!("source-{mount}"))?);
        }
        let arguments =
            arguments::of(config, &root, |index, mount| sources.get(&index).unwrap_or(&mount.source).clone());
        Ok(Self { arguments, mounts })
    }

    /// In a mount namespace of the shell's own, which goes with it.
    fn mount(&self) -> io::Result<()> {
        // SAFETY: this process has one thread, and shares no descriptors with another.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }?;
        rustix::mount::mount_change(c"/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
        for (descriptor, target) in &self.mounts {
            rustix::mount::move_mount(
                descriptor,
                c"",
                CWD,
                target.as_path(),
                MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
            )?;
        }
        Ok(())
    }
}
