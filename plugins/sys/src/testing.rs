//! Tests that change their own process do it in a forked child, so that the others stay unharmed.

use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::process::{Pid, WaitOptions, waitpid};

/// Runs `body` in a child process and panics with its message if it panics there.
pub(crate) fn in_child(body: impl FnOnce()) {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    // SAFETY: libc's fork leaves malloc usable in the child of a threaded process; the child only runs the
    // body, reports through the pipe and exits.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        drop(reader);
        // No set_hook here: another test's thread may have held its lock at the fork.
        let message = catch_unwind(AssertUnwindSafe(body)).err().map(|panic| text_of(panic.as_ref()));
        let _ = writer.write_all(message.as_deref().unwrap_or("").as_bytes());
        // SAFETY: leaves without running the test harness's exit handlers.
        unsafe { libc::_exit(i32::from(message.is_some())) }
    }
    drop(writer);
    let mut message = String::new();
    reader.read_to_string(&mut message).unwrap();
    let status = waitpid(Pid::from_raw(pid), WaitOptions::empty()).unwrap().unwrap().1;
    assert_eq!(status.exit_status(), Some(0), "in the child: {message}");
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

/// Makes system calls fail with ENOSYS from now on, as on a kernel that lacks them; only for [`in_child`].
pub(crate) fn without(numbers: &[libc::c_long]) {
    crate::process::set_no_new_privs().unwrap();
    for number in numbers {
        crate::seccomp::load(&refusing(*number, libc::ENOSYS), 0).unwrap();
    }
}

/// A filter that refuses one system call with an error and allows the rest.
pub(crate) fn refusing(number: libc::c_long, errno: i32) -> [libc::sock_filter; 4] {
    let refuse = libc::SECCOMP_RET_ERRNO | errno.cast_unsigned();
    [
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, u32::try_from(number).unwrap(), 0, 1),
        instruction(libc::BPF_RET | libc::BPF_K, refuse, 0, 0),
        instruction(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ]
}

fn instruction(code: u32, value: u32, on_true: u8, on_false: u8) -> libc::sock_filter {
    libc::sock_filter { code: u16::try_from(code).unwrap(), jt: on_true, jf: on_false, k: value }
}
