//! Entry, system calls and their numbers on x86-64 (syscall(2); the psABI for the initial stack).

use core::arch::{asm, global_asm};

global_asm!(
    ".globl _start",
    "_start:",
    "xor %ebp, %ebp",
    "mov %rsp, %rdi",
    "and $-16, %rsp",
    "call stage",
    options(att_syntax)
);

pub mod number {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const LSEEK: usize = 8;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const IOCTL: usize = 16;
    pub const GETPID: usize = 39;
    pub const CLONE: usize = 56;
    pub const EXECVE: usize = 59;
    pub const WAIT4: usize = 61;
    pub const KILL: usize = 62;
    pub const FCNTL: usize = 72;
    pub const SETPGID: usize = 109;
    pub const RT_SIGTIMEDWAIT: usize = 128;
    pub const PRCTL: usize = 157;
    pub const EXIT_GROUP: usize = 231;
    pub const PPOLL: usize = 271;
    pub const DUP3: usize = 292;
    pub const PIPE2: usize = 293;
    pub const CLOSE_RANGE: usize = 436;
}

/// # Safety
/// The arguments must be what the system call `number` takes.
pub unsafe fn syscall(number: usize, arguments: [usize; 4]) -> isize {
    let [first, second, third, fourth] = arguments;
    let result;
    // SAFETY: the kernel clobbers rax, rcx and r11 and nothing else; memory is not claimed to be untouched.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") first, in("rsi") second, in("rdx") third,
            in("r10") fourth, in("r8") 0usize, out("rcx") _, out("r11") _, options(nostack));
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
