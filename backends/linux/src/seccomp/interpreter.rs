//! Runs classic BPF over `seccomp_data`, as the kernel would. For tests only: this module, and by its path the tests
//! that compare our programs with libseccomp's.

use libc::sock_filter;

/// What a filter sees of a call (`struct seccomp_data`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    /// The system call's number.
    pub(super) nr: u32,
    /// `AUDIT_ARCH_*`.
    pub(super) arch: u32,
    /// The six arguments.
    pub(super) args: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> u32 {
        let index = (offset as usize / 8).checked_sub(2);
        match offset {
            0 => self.nr,
            4 => self.arch,
            // The instruction pointer; no profile can speak of it.
            8 | 12 => 0,
            _ if offset.is_multiple_of(8) => (self.args[index.unwrap()] & 0xffff_ffff) as u32,
            _ => (self.args[index.unwrap()] >> 32) as u32,
        }
    }
}

/// The program's verdict on `call`.
///
/// # Panics
/// Panics where the kernel would refuse the program: an unknown instruction, or a jump out of it.
pub(super) fn run(program: &[sock_filter], call: &Call) -> u32 {
    let mut accumulator = 0_u32;
    let mut at = 0;
    loop {
        let instruction = program[at];
        let k = instruction.k;
        at += 1;
        let jump = |taken: bool| usize::from(if taken { instruction.jt } else { instruction.jf });
        match instruction.code {
            0x20 => accumulator = call.word(k),
            0x54 => accumulator &= k,
            0x05 => at += k as usize,
            0x15 => at += jump(accumulator == k),
            0x25 => at += jump(accumulator > k),
            0x35 => at += jump(accumulator >= k),
            0x45 => at += jump(accumulator & k != 0),
            0x06 => return k,
            other => panic!("instruction {other:#x} at {}", at - 1),
        }
    }
}
