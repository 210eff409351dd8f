//! Starting a process in new namespaces and in its cgroup, with one clone3(2).

use std::fmt;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::process::Pid;

use crate::namespace::NamespaceSet;
use crate::pidfd::PidFd;
use crate::syscall::check;

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_PARENT: u64 = 0x8000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// What the child exits with when its code panics: `EX_SOFTWARE` of sysexits.h.
pub const PANICKED: i32 = 70;

/// What the new process gets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clone3<'a> {
    /// Namespaces to make for it.
    pub namespaces: NamespaceSet,
    /// Directory of the cgroup v2 in which it starts (`CLONE_INTO_CGROUP`, since Linux 5.7).
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Whose child it becomes.
    pub parentage: Parentage,
}

/// Whose child a new process becomes: who is told of its end and must wait for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Parentage {
    /// The caller's.
    #[default]
    Caller,
    /// The caller's parent's (`CLONE_PARENT`), for a caller that only prepares the clone and then goes.
    CallersParent,
}

/// A process just made; its parent must wait for it.
#[derive(Debug)]
pub struct Child {
    /// Its id in the parent's pid namespace.
    pub pid: Pid,
    /// Its descriptor.
    pub pidfd: PidFd,
}

/// `struct clone_args` up to `cgroup` (`CLONE_ARGS_SIZE_VER2`).
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Runs `child` in a new process on a copy of the caller's memory (as fork does) and exits with what it
/// returns, modulo 256; a panic in it becomes [`PANICKED`] and never returns into the caller's frames.
///
/// Errors: the kernel's, ENOSYS where clone3 is missing or hidden: there is no fallback, since fork and
/// unshare could neither make a pid namespace for the child itself nor start it inside its cgroup. EBUSY if
/// the caller has other threads ([`assert_single_threaded`] names them): the copy would hold their locks.
pub fn spawn(args: Clone3<'_>, child: impl FnOnce() -> i32) -> io::Result<Child> {
    assert_single_threaded()?;
    let mut pidfd: RawFd = -1;
    let raw = CloneArgs {
        flags: flags(args),
        pidfd: (&raw mut pidfd) as u64,
        // With CLONE_PARENT the signal is the one that the caller's own end sends (clone(2)).
        exit_signal: match args.parentage {
            Parentage::Caller => libc::SIGCHLD.cast_unsigned().into(),
            Parentage::CallersParent => 0,
        },
        cgroup: args.cgroup.map_or(0, |fd| fd.as_raw_fd().cast_unsigned().into()),
        ..CloneArgs::default()
    };
    // SAFETY: without CLONE_VM the child gets its own copy of memory and, with a zero stack, goes on in this
    // frame's copy; no other thread exists whose locks the copy could inherit. `raw` has the size given and
    // `pidfd` outlives the call.
    match check(unsafe { libc::syscall(libc::SYS_clone3, &raw const raw, size_of::<CloneArgs>()) })? {
        0 => run_and_exit(child),
        pid => {
            // SAFETY: CLONE_PIDFD stored a new descriptor, close-on-exec, that nobody else owns.
            let pidfd = PidFd::from(unsafe { OwnedFd::from_raw_fd(pidfd) });
            Ok(Child { pid: pid_from(pid), pidfd })
        }
    }
}

fn flags(args: Clone3<'_>) -> u64 {
    let into_cgroup = if args.cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 };
    let parentage = match args.parentage {
        Parentage::Caller => 0,
        Parentage::CallersParent => CLONE_PARENT,
    };
    u64::from(args.namespaces.bits()) | CLONE_PIDFD | into_cgroup | parentage
}

fn pid_from(raw: libc::c_long) -> Pid {
    i32::try_from(raw).ok().and_then(Pid::from_raw).expect("clone3 returns the id of a process")
}

fn run_and_exit(child: impl FnOnce() -> i32) -> ! {
    let status = catch_unwind(AssertUnwindSafe(child)).unwrap_or(PANICKED);
    // SAFETY: _exit runs no handlers of the parent's, such as flushing its buffers a second time.
    unsafe { libc::_exit(status) }
}

/// The threads that stand in the way of a clone.
#[derive(Debug)]
struct OtherThreads(Vec<String>);

impl fmt::Display for OtherThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} other threads are running: {}", self.0.len(), self.0.join(", "))
    }
}

impl std::error::Error for OtherThreads {}

/// Succeeds if the caller is the only thread of its process, not counting those that were joined; else
/// `ErrorKind::ResourceBusy` with their names.
///
/// The end of `std::thread::scope` only waits for the closures, not for the threads: join each by its handle.
pub fn assert_single_threaded() -> io::Result<()> {
    // unshare(CLONE_THREAD) does nothing in a process of one thread and fails in any other (unshare(2)): 0.1
    // µs where reading /proc/self/task takes 20.
    // SAFETY: it has no effect on memory or descriptors.
    if unsafe { libc::unshare(libc::CLONE_THREAD) } == 0 {
        return Ok(());
    }
    match other_threads()? {
        names if names.is_empty() => Ok(()),
        names => Err(io::Error::new(io::ErrorKind::ResourceBusy, OtherThreads(names))),
    }
}

fn other_threads() -> io::Result<Vec<String>> {
    let own = rustix::thread::gettid().as_raw_nonzero().get().to_string();
    let mut names = Vec::new();
    for entry in std::fs::read_dir("/proc/self/task")? {
        let entry = entry?;
        if entry.file_name().to_str() != Some(&own) {
            // A thread may end while we look: then it stands in nobody's way.
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            names.extend(name_of_living(&stat));
        }
    }
    Ok(names)
}

/// The name of a thread that still runs, from its `stat` (`proc_pid_stat(5)`). One that was joined lingers in
/// the kernel for a moment, marked `PF_EXITING`: it will never run the program's code again, and holds no
/// locks of it.
fn name_of_living(stat: &str) -> Option<String> {
    const PF_EXITING: u64 = 0x4;
    const FLAGS: usize = 6;
    let (id_and_name, fields) = stat.rsplit_once(") ")?;
    let (_, name) = id_and_name.split_once('(')?;
    let flags: u64 = fields.split(' ').nth(FLAGS)?.parse().ok()?;
    (flags & PF_EXITING == 0).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pidfd::Exit;
    use crate::testing::{in_child, without};
    use std::panic::resume_unwind;

    #[test]
    fn child_is_first_in_its_pid_namespace() {
        in_child(|| {
            let args = Clone3 {
                namespaces: NamespaceSet::PID | NamespaceSet::MOUNT,
                cgroup: None,
                ..Clone3::default()
            };
            let child = spawn(args, || std::process::id().cast_signed() + 40).unwrap();
            assert_ne!(child.pid.as_raw_nonzero().get(), 1);
            assert_eq!(child.pidfd.wait().unwrap(), Exit::Exited { code: 41 });
        });
    }

    #[test]
    fn a_panic_stays_in_the_child() {
        in_child(|| {
            let child = spawn(Clone3::default(), || resume_unwind(Box::new(()))).unwrap();
            assert_eq!(child.pidfd.wait().unwrap(), Exit::Exited { code: 70 });
        });
    }

    #[test]
    fn a_kernel_without_clone3_is_told_and_nothing_else_is_tried() {
        in_child(|| {
            without(&[libc::SYS_clone3]);
            assert_eq!(spawn(Clone3::default(), || 0).unwrap_err().raw_os_error(), Some(libc::ENOSYS));
        });
    }

    #[test]
    fn a_second_thread_is_named() {
        in_child(|| {
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            let (run, running) = std::sync::mpsc::channel();
            let body = move || (run.send(()), stopped.recv());
            let worker = std::thread::Builder::new().name("digester".into()).spawn(body).unwrap();
            running.recv().unwrap();
            let error = spawn(Clone3::default(), || 0).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
            assert!(error.to_string().contains("digester"), "{error}");
            drop(stop);
            let _ = worker.join();
            assert_single_threaded().unwrap();
            for _ in 0..200 {
                std::thread::scope(|scope| scope.spawn(|| ()).join()).unwrap();
                spawn(Clone3::default(), || 0).unwrap().pidfd.wait().unwrap();
            }
        });
    }
}
