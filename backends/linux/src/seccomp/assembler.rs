//! Writes classic BPF from its end to its beginning.
//!
//! Classic BPF only jumps forward, so everything that an instruction can jump to exists when it is written, and its
//! distance is known. Conditional jumps reach 255 instructions (the offset has 8 bits); beyond that a copy of the
//! `ret`, or an unconditional jump (32-bit offset), is put in between.

use libc::sock_filter;

use super::verdict::Verdict;

const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// How far a conditional jump may point when it is planned: one less than the offset's 255, because bringing its other
/// target near may put one more instruction in between.
const REACH: usize = 254;

/// An instruction that was written: its distance from the program's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

/// How the accumulator is compared with a constant (unsigned).
#[derive(Debug, Clone, Copy)]
pub(super) enum Compare {
    Equal,
    Greater,
    GreaterOrEqual,
}

/// The program so far, last instruction first.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    reversed: Vec<sock_filter>,
    /// The nearest `ret` of each verdict.
    returns: Vec<(Verdict, Label)>,
}

impl Assembler {
    pub(super) fn with_capacity(instructions: usize) -> Self {
        Self { reversed: Vec::with_capacity(instructions), returns: Vec::with_capacity(8) }
    }

    /// Ends the filter with `verdict`: an instruction that is near enough, or a new one.
    pub(super) fn ret(&mut self, verdict: Verdict) -> Label {
        let known = self.returns.iter().position(|(returned, _)| *returned == verdict);
        if let Some(label) = known.map(|i| self.returns[i].1).filter(|&label| self.is_near(label)) {
            return label;
        }
        let label = self.push(RETURN, 0, 0, verdict.0);
        match known {
            Some(i) => self.returns[i].1 = label,
            None => self.returns.push((verdict, label)),
        }
        label
    }

    /// Loads the 32-bit word at `offset` of `seccomp_data` and goes on with what was written last.
    pub(super) fn load(&mut self, offset: u32) -> Label {
        self.push(LOAD_WORD, 0, 0, offset)
    }

    /// Masks the accumulator and goes on with what was written last.
    pub(super) fn and(&mut self, mask: u32) -> Label {
        self.push(AND, 0, 0, mask)
    }

    /// Compares the accumulator with `constant` and goes on at `yes` or `no`.
    pub(super) fn branch(&mut self, compare: Compare, constant: u32, yes: Label, no: Label) -> Label {
        let yes = self.within_reach(yes);
        let no = self.within_reach(no);
        let (jt, jf) = (self.distance(yes), self.distance(no));
        let test = match compare {
            Compare::Equal => libc::BPF_JEQ,
            Compare::Greater => libc::BPF_JGT,
            Compare::GreaterOrEqual => libc::BPF_JGE,
        };
        let offset = |distance| u8::try_from(distance).expect("within_reach bounds both distances");
        self.push(libc::BPF_JMP | test | libc::BPF_K, offset(jt), offset(jf), constant)
    }

    /// Makes `target` the next thing to run, whatever was written since.
    pub(super) fn continue_at(&mut self, target: Label) {
        let distance = self.distance(target);
        if distance > 0 {
            self.jump(distance);
        }
    }

    /// The program in the order of execution.
    pub(super) fn finish(mut self) -> Vec<sock_filter> {
        self.reversed.reverse();
        self.reversed
    }

    fn within_reach(&mut self, target: Label) -> Label {
        if self.is_near(target) {
            return target;
        }
        let instruction = self.reversed[target.0];
        if u32::from(instruction.code) == RETURN {
            return self.ret(Verdict(instruction.k));
        }
        self.jump(self.distance(target))
    }

    fn jump(&mut self, distance: usize) -> Label {
        self.push(JUMP, 0, 0, u32::try_from(distance).expect("a program is far shorter than 2^32"))
    }

    fn is_near(&self, target: Label) -> bool {
        self.distance(target) <= REACH
    }

    /// Instructions between the next one to be written and `target`.
    fn distance(&self, target: Label) -> usize {
        self.reversed.len() - 1 - target.0
    }

    fn push(&mut self, code: u32, jt: u8, jf: u8, k: u32) -> Label {
        let code = u16::try_from(code).expect("classic BPF's codes have 16 bits");
        self.reversed.push(sock_filter { code, jt, jf, k });
        Label(self.reversed.len() - 1)
    }
}
