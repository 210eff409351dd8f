//! From the resolved profile to instructions.
//!
//! The shape: check the ABI, then search the call's number in a balanced tree of ranges, then test arguments.

use libc::sock_filter;
use nucleus_abi::{Error, ErrorCode, Result};

use super::abi::X32_BIT;
use super::assembler::{Assembler, Compare, Label};
use super::condition::{Condition, Test};
use super::policy::{Call, Clause, Policy, Table};
use super::program::MAX_INSTRUCTIONS;
use super::verdict::Verdict;

/// Offsets into `struct seccomp_data`.
const NR: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;

/// All numbers from `start` up to the next range's start are treated alike.
#[derive(Debug, Clone, Copy)]
struct Range<'p> {
    start: u32,
    leaf: Leaf<'p>,
}

#[derive(Debug, Clone, Copy)]
enum Leaf<'p> {
    Return(Verdict),
    Test(&'p [Clause]),
}

/// The instructions for `policy`.
pub(super) fn instructions(policy: &Policy) -> Result<Vec<sock_filter>> {
    let mut asm = Assembler::with_capacity(512);
    let mut next = asm.ret(Verdict::KILL_THREAD);
    // Written backwards: the native ABI comes out first.
    for (audit_arch, ranges) in machines(policy).iter().rev() {
        let found = search(&mut asm, ranges, policy.default);
        asm.continue_at(found);
        let load_number = asm.load(NR);
        next = asm.branch(Compare::Equal, *audit_arch, load_number, next);
    }
    asm.continue_at(next);
    asm.load(ARCH);
    within_limit(asm.finish())
}

fn within_limit(instructions: Vec<sock_filter>) -> Result<Vec<sock_filter>> {
    if instructions.len() <= MAX_INSTRUCTIONS {
        return Ok(instructions);
    }
    Err(Error::new(ErrorCode::ConfigInvalid, "compile the seccomp profile")
        .because(format_args!(
            "it needs {} instructions, the kernel takes at most {MAX_INSTRUCTIONS}",
            instructions.len()
        ))
        .hint("drop rules with `args`, or architectures that the workload does not use"))
}

/// For each value of `seccomp_data.arch`, all numbers in ranges. x86-64 and x32 share one value, and x32's numbers
/// begin at bit 30: an x32 that the profile does not open has no calls at all, as on a kernel without it.
fn machines(policy: &Policy) -> Vec<(u32, Vec<Range<'_>>)> {
    let mut machines: Vec<(u32, Vec<Range<'_>>)> = Vec::with_capacity(2);
    for table in &policy.tables {
        let arch = table.abi.audit_arch();
        match machines.iter_mut().find(|(known, _)| *known == arch) {
            Some((_, ranges)) => append(ranges, table, policy.default),
            None => machines.push((arch, ranges_of(table, policy.default))),
        }
    }
    let x86_64 = super::abi::Abi::X86_64.audit_arch();
    for (_, ranges) in machines.iter_mut().filter(|(arch, _)| *arch == x86_64) {
        if ranges.last().is_some_and(|last| last.start < X32_BIT) {
            extend(ranges, X32_BIT, Leaf::Return(Verdict::ENOSYS));
        }
    }
    machines
}

fn ranges_of(table: &Table, default: Verdict) -> Vec<Range<'_>> {
    let mut ranges = Vec::with_capacity(256);
    append(&mut ranges, table, default);
    ranges
}

fn append<'p>(ranges: &mut Vec<Range<'p>>, table: &'p Table, default: Verdict) {
    let mut number = table.abi.base();
    for call in &table.calls {
        extend(ranges, number, leaf(call, default));
        number += 1;
    }
    extend(ranges, number, Leaf::Return(table.beyond));
}

fn leaf(call: &Call, default: Verdict) -> Leaf<'_> {
    match call {
        Call::Unlisted => Leaf::Return(default),
        Call::Always(verdict) => Leaf::Return(*verdict),
        Call::When(clauses) => Leaf::Test(clauses),
    }
}

/// Adds a range, or lets the last one go on where it says the same.
fn extend<'p>(ranges: &mut Vec<Range<'p>>, start: u32, leaf: Leaf<'p>) {
    match (ranges.last().map(|range| range.leaf), leaf) {
        (Some(Leaf::Return(last)), Leaf::Return(new)) if last == new => {}
        _ => ranges.push(Range { start, leaf }),
    }
}

/// The binary search for the number in the accumulator.
fn search(asm: &mut Assembler, ranges: &[Range<'_>], default: Verdict) -> Label {
    if let [only] = ranges {
        return match only.leaf {
            Leaf::Return(verdict) => asm.ret(verdict),
            Leaf::Test(clauses) => any_clause(asm, clauses, default),
        };
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let at_or_above = search(asm, high, default);
    let below = search(asm, low, default);
    asm.branch(Compare::GreaterOrEqual, high[0].start, at_or_above, below)
}

/// The first clause that matches decides.
fn any_clause(asm: &mut Assembler, clauses: &[Clause], default: Verdict) -> Label {
    let mut miss = asm.ret(default);
    for clause in clauses.iter().rev() {
        miss = all_conditions(asm, clause, miss);
    }
    miss
}

fn all_conditions(asm: &mut Assembler, clause: &Clause, miss: Label) -> Label {
    let mut hit = asm.ret(clause.verdict);
    for condition in clause.conditions.iter().rev() {
        hit = test(asm, *condition, hit, miss);
    }
    hit
}

/// Tests one 64-bit argument; `miss` is where its negation goes.
fn test(asm: &mut Assembler, condition: Condition, hit: Label, miss: Label) -> Label {
    let words = Words::of(condition.argument);
    match condition.test {
        Test::Same { mask, value } => words.same(asm, mask, value, hit, miss),
        Test::Other { mask, value } => words.same(asm, mask, value, miss, hit),
        Test::Above(value) => words.ordered(asm, Compare::Greater, value, hit, miss),
        Test::AtMost(value) => words.ordered(asm, Compare::Greater, value, miss, hit),
        Test::AtLeast(value) => words.ordered(asm, Compare::GreaterOrEqual, value, hit, miss),
        Test::Below(value) => words.ordered(asm, Compare::GreaterOrEqual, value, miss, hit),
    }
}

/// Where the two 32-bit words of an argument lie (all ABIs here are little-endian).
struct Words {
    low: u32,
    high: u32,
}

impl Words {
    fn of(argument: u8) -> Self {
        let low = ARGS + 8 * u32::from(argument);
        Self { low, high: low + 4 }
    }

    fn same(&self, asm: &mut Assembler, mask: u64, value: u64, hit: Label, miss: Label) -> Label {
        let low = masked_word(asm, self.low, low(mask), low(value), hit, miss);
        masked_word(asm, self.high, high(mask), high(value), low, miss)
    }

    /// `argument > value` or `argument >= value`: the high words decide unless they are equal.
    fn ordered(&self, asm: &mut Assembler, compare: Compare, value: u64, hit: Label, miss: Label) -> Label {
        asm.branch(compare, low(value), hit, miss);
        let low = asm.load(self.low);
        let equal = asm.branch(Compare::Equal, high(value), low, miss);
        asm.branch(Compare::Greater, high(value), hit, equal);
        asm.load(self.high)
    }
}

/// `word & mask == value`; nothing at all where the mask leaves nothing to compare.
fn masked_word(asm: &mut Assembler, offset: u32, mask: u32, value: u32, hit: Label, miss: Label) -> Label {
    if mask == 0 {
        return hit;
    }
    asm.branch(Compare::Equal, value, hit, miss);
    if mask != u32::MAX {
        asm.and(mask);
    }
    asm.load(offset)
}

#[expect(clippy::cast_possible_truncation, reason = "the low word is what is asked for")]
fn low(value: u64) -> u32 {
    value as u32
}

fn high(value: u64) -> u32 {
    low(value >> 32)
}
