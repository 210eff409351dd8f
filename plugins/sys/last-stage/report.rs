//! What whoever starts the workload is told when it comes to nothing.

use core::mem::MaybeUninit;

use crate::{call, number};

/// As much of a hook's output as fits, with the header, into one atomic write to a pipe (PIPE_BUF, pipe(7)).
const TAIL: usize = 2048;
const HEADER: usize = 16;

/// What went wrong.
#[derive(Clone, Copy)]
pub enum Kind {
    /// A hook left with this status.
    Exited = 1,
    /// This signal ended a hook.
    Signalled = 2,
    /// A hook took too long.
    TimedOut = 3,
    /// A hook could not be run: this error number.
    NotRun = 4,
    /// The workload could not be executed: this error number.
    Workload = 5,
}

/// A failure: `nucleus_sys::last_stage::Report` reads it again.
#[derive(Clone, Copy)]
pub struct Failure {
    pub kind: Kind,
    /// The number of the hook.
    pub hook: usize,
    pub value: usize,
}

impl Failure {
    /// Tells it, with the hook's last words, by one write(2).
    pub fn tell(&self, report: Option<usize>, tail: &Tail) {
        let Some(report) = report else { return };
        let mut message = MaybeUninit::<[u8; HEADER + TAIL]>::uninit();
        let start = message.as_mut_ptr().cast::<u8>();
        let mut length = 0;
        let mut push = |byte: u8| {
            // SAFETY: the header and at most TAIL bytes are pushed.
            unsafe { start.add(length).write(byte) };
            length += 1;
        };
        for number in [self.kind as usize, self.hook, self.value, tail.kept()] {
            (number as u32).to_le_bytes().into_iter().for_each(&mut push);
        }
        (0..tail.kept()).for_each(|index| push(tail.at(index)));
        call(number::WRITE, [report, start as usize, length, 0]);
    }
}

/// The last bytes of a hook's output: a ring. It is never initialised or moved as a whole, for there is no memset and
/// no memcpy here.
pub struct Tail {
    bytes: MaybeUninit<[u8; TAIL]>,
    /// How many bytes ever came.
    count: usize,
}

impl Tail {
    pub const fn new() -> Self {
        Self { bytes: MaybeUninit::uninit(), count: 0 }
    }

    pub fn clear(&mut self) {
        self.count = 0;
    }

    pub fn push(&mut self, byte: u8) {
        // SAFETY: the index is below TAIL.
        unsafe { self.bytes.as_mut_ptr().cast::<u8>().add(self.count % TAIL).write(byte) };
        self.count += 1;
    }

    fn kept(&self) -> usize {
        if self.count < TAIL { self.count } else { TAIL }
    }

    /// A byte of those kept, oldest first.
    fn at(&self, index: usize) -> u8 {
        let first = if self.count < TAIL { 0 } else { self.count };
        // SAFETY: the index is below TAIL, and `index` below `kept`: that byte was written.
        unsafe { self.bytes.as_ptr().cast::<u8>().add((first + index) % TAIL).read() }
    }
}
