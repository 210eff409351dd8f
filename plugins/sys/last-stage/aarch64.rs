//! Entry, system calls and their numbers on AArch64 (syscall(2); asm-generic/unistd.h).

use core::arch::{asm, global_asm};

global_asm!(".globl _start", "_start:", "mov x29, xzr", "mov x30, xzr", "mov x0, sp", "bl stage");

pub mod number {
    pub const DUP3: usize = 24;
    pub const FCNTL: usize = 25;
    pub const IOCTL: usize = 29;
    pub const CLOSE: usize = 57;
    pub const PIPE2: usize = 59;
    pub const LSEEK: usize = 62;
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const PPOLL: usize = 73;
    pub const EXIT_GROUP: usize = 94;
    pub const KILL: usize = 129;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const RT_SIGTIMEDWAIT: usize = 137;
    pub const SETPGID: usize = 154;
    pub const PRCTL: usize = 167;
    pub const GETPID: usize = 172;
    pub const CLONE: usize = 220;
    pub const EXECVE: usize = 221;
    pub const WAIT4: usize = 260;
    pub const CLOSE_RANGE: usize = 436;
}

/// # Safety
/// The arguments must be what the system call `number` takes.
pub unsafe fn syscall(number: usize, arguments: [usize; 4]) -> isize {
    let [first, second, third, fourth] = arguments;
    let result;
    // SAFETY: the kernel returns in x0 and keeps the other registers; memory is not claimed to be untouched.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") first => result, in("x1") second, in("x2") third,
            in("x3") fourth, in("x4") 0usize, options(nostack));
    }
    result
}

/// A copy of this process, as fork(2) makes it.
pub fn fork() -> isize {
    const SIGCHLD: usize = 17;
    // SAFETY: without CLONE_VM the child goes on with a copy of this stack.
    unsafe { syscall(number::CLONE, [SIGCHLD, 0, 0, 0]) }
}

/// As [`fork`]; the copy's descriptor is stored for the caller.
pub fn fork_with_descriptor(descriptor: &mut i32) -> isize {
    const SIGCHLD: usize = 17;
    const CLONE_PIDFD: usize = 0x1000;
    // SAFETY: as in `fork`; the kernel writes four bytes through the third argument.
    unsafe { syscall(number::CLONE, [SIGCHLD | CLONE_PIDFD, 0, (&raw mut *descriptor) as usize, 0]) }
}
