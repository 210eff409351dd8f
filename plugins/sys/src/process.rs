//! Attributes of the calling process and thread, and exec by descriptor.
//!
//! What concerns ids and capabilities goes to the kernel directly, not through libc, which would signal all
//! threads of the process to do the same: here there is one.

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{DumpableBehavior, Gid, Pid, Uid};
pub use rustix::thread::CapabilitiesSecureBits as SecureBits;

use crate::procfs::{ProcBase, ProcFs};
use crate::signal::Signal;
use crate::syscall::check;

/// Makes the process non-dumpable: nobody less privileged can attach to it or read its `/proc` files
/// (CVE-2016-9962). An exec undoes it.
pub fn set_non_dumpable() -> io::Result<()> {
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Gives up for good the gain of privileges by exec (set-user-ID, file capabilities).
pub fn set_no_new_privs() -> io::Result<()> {
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Keeps the permitted capabilities over a change of user id away from 0; an exec undoes it.
pub fn keep_capabilities() -> io::Result<()> {
    Ok(rustix::thread::set_keep_capabilities(true)?)
}

/// Sets the securebits flags (capabilities(7)).
pub fn set_secure_bits(bits: SecureBits) -> io::Result<()> {
    Ok(rustix::thread::set_capabilities_secure_bits(bits)?)
}

/// Asks for `signal` when the *thread* that made this process ends; a change of ids undoes it (prctl(2)).
pub fn set_parent_death_signal(signal: Signal) -> io::Result<()> {
    // SAFETY: takes a number.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::c_long::from(signal.number())) }.into())?;
    Ok(())
}

/// Makes orphans below this process its children.
pub fn become_subreaper() -> io::Result<()> {
    // SAFETY: takes a number.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1 as libc::c_long) }.into())?;
    Ok(())
}

/// An execution domain (`personality(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Domain {
    /// `PER_LINUX`
    Linux = 0,
    /// `PER_LINUX32`: uname(2) names the 32-bit machine.
    Linux32 = 8,
}

/// Sets the execution domain, without any of its flags; it stays over an exec.
pub fn set_domain(domain: Domain) -> io::Result<()> {
    // SAFETY: takes a number.
    check(unsafe { libc::personality(domain as libc::c_ulong) }.into())?;
    Ok(())
}

/// Sets the umask and returns the one before.
pub fn set_umask(mask: Mode) -> Mode {
    rustix::process::umask(mask)
}

/// A copy of a descriptor that whoever started this process left open for it; close-on-exec, unlike the descriptor itself.
/// EBADF if it is not open, or was opened by this process itself: all that it opens is close-on-exec, and nothing that it was
/// started with can be.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers.
    let flags = check(unsafe { libc::fcntl(number, libc::F_GETFD) }.into())?;
    if flags & libc::c_long::from(libc::FD_CLOEXEC) != 0 {
        return Err(rustix::io::Errno::BADF.into());
    }
    // SAFETY: takes numbers; one that is not open is an error.
    let copy = check(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) }.into())?;
    let copy = RawFd::try_from(copy).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: fcntl has just made it, so it is open and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Closes a descriptor that whoever started this process left open for it. EBADF as for [`inherited`]: what this process opened
/// itself has an owner.
pub fn close_inherited(number: RawFd) -> io::Result<()> {
    drop(inherited(number)?);
    // SAFETY: takes a number. It is nobody's here: what has an owner is close-on-exec, and has just been told apart.
    check(unsafe { libc::close(number) }.into())?;
    Ok(())
}

/// Starts a new session without a controlling terminal. EPERM if the caller leads a process group.
pub fn new_session() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// Becomes a user for good: real, effective and saved ids. Groups come first, since they need the old rights.
///
/// Errors: EINVAL for ids that the user namespace does not map; EPERM, also for any `groups` where setgroups
/// is denied.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    set_groups(groups)?;
    set_ids(uid, gid)
}

/// Replaces the supplementary groups of the calling thread.
pub fn set_groups(groups: &[u32]) -> io::Result<()> {
    let groups = groups.iter().map(|id| valid(*id).map(Gid::from_raw)).collect::<io::Result<Vec<_>>>()?;
    Ok(rustix::thread::set_thread_groups(&groups)?)
}

/// Sets all group ids and then all user ids of the calling thread.
pub fn set_ids(uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(valid(uid)?), Gid::from_raw(valid(gid)?));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    Ok(rustix::thread::set_thread_res_uid(uid, uid, uid)?)
}

/// 4294967295 would mean "leave it as it is" and so keep root (setresuid(2)).
fn valid(id: u32) -> io::Result<u32> {
    if id == u32::MAX { Err(rustix::io::Errno::INVAL.into()) } else { Ok(id) }
}

/// Sets the host name of the caller's UTS namespace; at most 64 bytes.
pub fn set_hostname(name: &str) -> io::Result<()> {
    Ok(rustix::system::sethostname(name.as_bytes())?)
}

/// Sets the NIS domain name of the caller's UTS namespace; at most 64 bytes.
pub fn set_domainname(name: &str) -> io::Result<()> {
    Ok(rustix::system::setdomainname(name.as_bytes())?)
}

/// Sends a signal by process id; only for processes that can't be reaped meanwhile. Prefer a pidfd.
pub fn kill(process: Pid, signal: Signal) -> io::Result<()> {
    // SAFETY: takes two numbers.
    check(unsafe { libc::kill(process.as_raw_nonzero().get(), signal.number()) }.into())?;
    Ok(())
}

/// Marks every descriptor from `first` on close-on-exec: nothing that a caller leaked reaches the workload
/// (CVE-2024-21626). Those it shall have are freed with [`set_inheritable`] afterwards.
///
/// Errors: ENOSYS before Linux 5.9 or where a filter hides the call, if `/proc` can't be read instead.
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    // SAFETY: marks descriptors; it closes none that somebody owns.
    let result = check(unsafe {
        libc::syscall(libc::SYS_close_range, first.cast_unsigned(), u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
    });
    match result {
        // ENOSYS before Linux 5.9, EINVAL before 5.11, which brought the flag.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => {
            // What keeps us from the list is not what is missing.
            mark_one_by_one(first).map_err(|_| error)
        }
        result => result.map(drop),
    }
}

fn mark_one_by_one(first: RawFd) -> io::Result<()> {
    let list = ProcFs::open()?.open_file(ProcBase::Itself, "fd", OFlags::RDONLY | OFlags::DIRECTORY)?;
    for entry in rustix::fs::Dir::read_from(list)? {
        let name = entry?.file_name().to_string_lossy().parse::<RawFd>();
        if let Some(number) = name.ok().filter(|number| *number >= first) {
            // SAFETY: only changes a flag; the list's own descriptor is among them and still open.
            check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) }.into())?;
        }
    }
    Ok(())
}

/// A copy of a descriptor out of the way of those that the workload gets from 3 on ([`pass_on`]), close-on-exec.
pub fn out_of_the_way(descriptor: BorrowedFd<'_>, of: usize) -> io::Result<OwnedFd> {
    let first = RawFd::try_from(of).ok().and_then(|of| of.checked_add(3)).ok_or(rustix::io::Errno::MFILE)?;
    Ok(rustix::io::fcntl_dupfd_cloexec(descriptor, first)?)
}

/// Puts descriptors at 3, 4 and so on, where they survive an exec. What was there is closed, so whoever owned it must not
/// use it any more: for a process about to exec, which holds all that it still needs [`out_of_the_way`].
pub fn pass_on(descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    // Copied first: a source could be overwritten before its turn.
    let copies = descriptors.iter().map(|one| out_of_the_way(*one, descriptors.len()));
    let copies = copies.collect::<io::Result<Vec<_>>>()?;
    for (number, copy) in (3..).zip(&copies) {
        // SAFETY: takes two numbers; that the place is free to be taken is the caller's promise.
        check(unsafe { libc::dup2(copy.as_raw_fd(), number) }.into())?;
    }
    Ok(())
}

/// Closes every descriptor from `first` on, whoever owned it: for a process that was just cloned, keeps nothing of its maker's, and
/// never runs the owners' destructors.
///
/// Errors: ENOSYS before Linux 5.9 or where a filter hides the call.
pub fn close_from(first: RawFd) -> io::Result<()> {
    // SAFETY: takes numbers; that nobody uses what is closed is the caller's promise.
    check(unsafe { libc::syscall(libc::SYS_close_range, first.cast_unsigned(), u32::MAX, 0) })?;
    Ok(())
}

/// Lets a descriptor survive an exec.
pub fn set_inheritable(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    Ok(fcntl_setfd(descriptor, FdFlags::empty())?)
}

/// Executes the open file `program` in place of this process (`execveat` with `AT_EMPTY_PATH`). `program` may
/// be close-on-exec, unless it is a script, whose interpreter would have to open it again (ENOENT).
///
/// Returns only errors.
pub fn exec_fd(
    program: BorrowedFd<'_>,
    arguments: &[CString],
    environment: &[CString],
) -> io::Result<Infallible> {
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both arrays end with a null pointer and, like the strings they point to, live through the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    })?;
    unreachable!("execveat returned without an error")
}

/// Executes the file at `path` in place of this process (execve(2)), a script too.
///
/// Returns only errors.
pub fn exec(path: &CStr, arguments: &[CString], environment: &[CString]) -> io::Result<Infallible> {
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: as in `exec_fd`.
    check(unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) }.into())?;
    unreachable!("execve returned without an error")
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Changes the working directory and checks that it lies below the root directory: what was opened
/// outside would show as `(unreachable)` (CVE-2024-21626). EXDEV then.
pub fn change_directory(path: &CStr) -> io::Result<()> {
    rustix::process::chdir(path)?;
    verify_working_directory()
}

/// EXDEV if the working directory lies outside the root directory.
pub fn verify_working_directory() -> io::Result<()> {
    let mut buffer = [0u8; 4096];
    // SAFETY: the kernel writes at most as many bytes as announced. libc's getcwd would hide the prefix.
    check(unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) })?;
    match buffer[0] {
        b'/' => Ok(()),
        _ => Err(rustix::io::Errno::XDEV.into()),
    }
}

/// Puts `file` in the place of the standard descriptor `number` (0, 1 or 2), which stays open over an exec.
pub fn replace_stdio(file: impl AsFd, number: Stdio) -> io::Result<()> {
    match number {
        Stdio::Input => rustix::stdio::dup2_stdin(file),
        Stdio::Output => rustix::stdio::dup2_stdout(file),
        Stdio::Error => rustix::stdio::dup2_stderr(file),
    }
    .map_err(Into::into)
}

/// A standard descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdio {
    /// 0
    Input,
    /// 1
    Output,
    /// 2
    Error,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::{NamespaceSet, unshare};
    use crate::testing::{in_child, without};

    fn status(field: &str) -> String {
        let text = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap().trim().to_owned()
    }

    #[test]
    fn a_user_is_taken_on_completely() {
        in_child(|| {
            become_user(1001, 1002, &[7, 8]).unwrap();
            assert_eq!(status("Uid"), "1001\t1001\t1001\t1001");
            assert_eq!(status("Gid"), "1002\t1002\t1002\t1002");
            assert_eq!(status("Groups"), "7 8");
            assert!(become_user(0, 0, &[]).is_err());
        });
    }

    #[test]
    fn the_id_that_means_none_is_refused() {
        in_child(|| {
            assert_eq!(become_user(u32::MAX, 0, &[]).unwrap_err().raw_os_error(), Some(libc::EINVAL));
            assert_eq!(become_user(0, 0, &[u32::MAX]).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        });
    }

    #[test]
    fn nothing_of_the_makers_is_kept() {
        in_child(|| {
            let null = std::mem::ManuallyDrop::new(std::fs::File::open("/dev/null").unwrap());
            let number = std::os::fd::AsRawFd::as_raw_fd(&*null);
            close_from(number).unwrap();
            assert!(!std::path::Path::new(&format!("/proc/self/fd/{number}")).exists());
            assert!(std::path::Path::new("/proc/self/fd/2").exists());
        });
    }

    #[test]
    fn what_was_inherited_is_closed_and_what_has_an_owner_is_not() {
        in_child(|| {
            let own = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3).unwrap();
            let number = std::os::fd::AsRawFd::as_raw_fd(&own);
            let is_open = || rustix::io::fcntl_getfd(&own).is_ok();
            assert_eq!(close_inherited(number).unwrap_err().raw_os_error(), Some(libc::EBADF));
            assert!(is_open());
            set_inheritable(own.as_fd()).unwrap();
            close_inherited(number).unwrap();
            assert!(!is_open());
            std::mem::forget(own);
        });
    }

    #[test]
    fn every_leaked_descriptor_closes_on_exec() {
        in_child(|| {
            for missing in [&[][..], &[libc::SYS_close_range]] {
                without(missing);
                let leaked = rustix::io::dup(rustix::stdio::stdout()).unwrap();
                let kept = rustix::io::dup(rustix::stdio::stdout()).unwrap();
                close_on_exec_from(3).unwrap();
                set_inheritable(kept.as_fd()).unwrap();
                let closes = |fd| rustix::io::fcntl_getfd(fd).unwrap().contains(FdFlags::CLOEXEC);
                assert!(closes(leaked.as_fd()) && !closes(kept.as_fd()));
                assert!(!closes(rustix::stdio::stdout()));
            }
        });
    }

    #[test]
    fn descriptors_are_passed_on_in_their_order() {
        in_child(|| {
            let (reader, writer) = std::io::pipe().unwrap();
            let null = std::fs::File::open("/dev/null").unwrap();
            // SAFETY: the test's child owns all of its descriptors and uses none of them afterwards.
            let place = |number: RawFd| unsafe { BorrowedFd::borrow_raw(number) };
            let kept = out_of_the_way(writer.as_fd(), 5).unwrap();
            assert!(kept.as_raw_fd() >= 8);
            let identity =
                |file: BorrowedFd<'_>| rustix::fs::fstat(file).map(|stat| (stat.st_dev, stat.st_ino));
            let expected = [null.as_fd(), reader.as_fd(), kept.as_fd()].map(|file| identity(file).unwrap());
            pass_on(&[null.as_fd(), reader.as_fd(), kept.as_fd()]).unwrap();
            for (number, expected) in (3..).zip(expected) {
                assert_eq!(identity(place(number)).unwrap(), expected);
                assert!(!rustix::io::fcntl_getfd(place(number)).unwrap().contains(FdFlags::CLOEXEC));
            }
            std::mem::forget((reader, writer, null));
        });
    }

    #[test]
    fn attributes_hold() {
        in_child(|| {
            set_non_dumpable().unwrap();
            assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
            set_parent_death_signal(Signal::KILL).unwrap();
            become_subreaper().unwrap();
            let machine = || rustix::system::uname().machine().to_owned();
            let before = machine();
            set_domain(Domain::Linux32).unwrap();
            assert_ne!(machine(), before);
            set_domain(Domain::Linux).unwrap();
            assert_eq!(machine(), before);
            set_umask(Mode::from(0o027));
            assert_eq!(status("Umask"), "0027");
            set_no_new_privs().unwrap();
            assert_eq!(status("NoNewPrivs"), "1");
            set_secure_bits(SecureBits::NO_ROOT).unwrap();
            unshare(NamespaceSet::UTS).unwrap();
            set_hostname("inside").unwrap();
            set_domainname("domain").unwrap();
            let names = rustix::system::uname();
            assert_eq!((names.nodename(), names.domainname()), (c"inside", c"domain"));
            assert!(set_hostname(&"x".repeat(65)).is_err());
        });
    }

    #[test]
    fn a_directory_outside_the_root_is_noticed() {
        in_child(|| {
            rustix::process::chdir("/usr").unwrap();
            rustix::process::chroot("/etc").unwrap();
            assert_eq!(verify_working_directory().unwrap_err().raw_os_error(), Some(libc::EXDEV));
            change_directory(c"/").unwrap();
        });
    }

    #[test]
    fn exec_by_path_runs_scripts_and_tells_what_is_missing() {
        let script = std::env::temp_dir().join(format!("nucleus-script-{}", std::process::id()));
        std::fs::write(&script, "#!/bin/sh\n[ $# = 1 ] && [ \"$1$WORD\" = ab ]\n").unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let path = CString::new(script.to_str().unwrap()).unwrap();
        in_child(|| {
            let missing = exec(c"/no/such", &[c"x".to_owned()], &[]).unwrap_err();
            assert_eq!(missing.raw_os_error(), Some(libc::ENOENT));
            let arguments = [c"script".to_owned(), c"a".to_owned()];
            exec(&path, &arguments, &[c"WORD=b".to_owned()]).unwrap();
        });
        std::fs::remove_file(script).unwrap();
    }

    #[test]
    fn exec_by_descriptor_passes_arguments_and_environment() {
        let output = std::env::temp_dir().join(format!("nucleus-exec-{}", std::process::id()));
        let file = std::fs::File::create(&output).unwrap();
        let shell = std::fs::File::open("/bin/sh").unwrap();
        in_child(|| {
            // Runs in a grandchild's place: the exit status of the shell is the child's.
            replace_stdio(&file, Stdio::Output).unwrap();
            let arguments = [c"sh", c"-c", c"echo $0 $WORD", c"zero"].map(CStr::to_owned);
            exec_fd(shell.as_fd(), &arguments, &[c"WORD=one".to_owned()]).unwrap();
        });
        let text = std::fs::read_to_string(&output).unwrap();
        std::fs::remove_file(&output).unwrap();
        assert_eq!(text, "zero one\n");
    }
}
