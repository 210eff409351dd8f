//! Device rules as a program of extended BPF (`BPF_PROG_TYPE_CGROUP_DEVICE`, linux/bpf.h).
//!
//! The kernel calls it at each mknod and open with the device and the wanted accesses, and obeys its verdict: 1 or 0. The
//! rules are tried from the last to the first. A rule that allows some of what is wanted takes that off; when nothing is left,
//! all of it is allowed. A rule that denies any of what is left denies all.

use nucleus_sys::bpf::Instruction;

use crate::config::{DeviceAccess, DeviceKind, DeviceRule, Verdict};

/// Registers of the program. `CONTEXT` comes from the kernel, `VERDICT` goes back to it (bpf/standardization/abi.rst).
const VERDICT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
/// The accesses that no rule has allowed yet.
const WANTED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

/// Codes of instructions (bpf/standardization/instruction-set.rst): 32-bit loads, arithmetic and jumps.
pub(super) const LOAD: u8 = 0x61;
pub(super) const AND: u8 = 0x54;
pub(super) const SHIFT_RIGHT: u8 = 0x74;
pub(super) const MOVE: u8 = 0xb4;
pub(super) const MOVE_REGISTER: u8 = 0xbc;
pub(super) const JUMP_UNLESS_EQUAL: u8 = 0x56;
pub(super) const JUMP_IF_EQUAL: u8 = 0x16;
pub(super) const EXIT: u8 = 0x95;

pub(super) fn compile(rules: &[DeviceRule]) -> Vec<Instruction> {
    let mut program = vec![
        // struct bpf_cgroup_dev_ctx: access above, kind below; major; minor.
        Instruction::new(LOAD, KIND, CONTEXT, 0, 0),
        Instruction::new(MOVE_REGISTER, WANTED, KIND, 0, 0),
        Instruction::new(AND, KIND, 0, 0, 0xffff),
        Instruction::new(SHIFT_RIGHT, WANTED, 0, 0, 16),
        Instruction::new(LOAD, MAJOR, CONTEXT, 4, 0),
        Instruction::new(LOAD, MINOR, CONTEXT, 8, 0),
    ];
    for rule in rules.iter().rev() {
        program.extend(one(rule));
        if decides_all(rule) {
            // The verifier refuses what can never be reached.
            return program;
        }
    }
    program.extend(leave(0));
    program
}

/// Whether no access gets past the rule.
fn decides_all(rule: &DeviceRule) -> bool {
    rule.kind.is_none() && rule.access == DeviceAccess::ALL
}

fn leave(verdict: i32) -> [Instruction; 2] {
    [Instruction::new(MOVE, VERDICT, 0, 0, verdict), Instruction::new(EXIT, 0, 0, 0, 0)]
}

fn one(rule: &DeviceRule) -> Vec<Instruction> {
    if decides_all(rule) {
        return leave(i32::from(rule.verdict == Verdict::Allow)).to_vec();
    }
    let body = match rule.verdict {
        Verdict::Allow => allow(rule.access),
        Verdict::Deny => deny(rule.access),
    };
    let conditions = [
        rule.kind.map(|kind| (KIND, kind_number(kind))),
        rule.major.map(|major| (MAJOR, major)),
        rule.minor.map(|minor| (MINOR, minor)),
    ];
    let conditions: Vec<_> = conditions.into_iter().flatten().collect();
    // A condition that does not hold jumps over the rest of the rule.
    let jumps = conditions.iter().enumerate().map(|(index, (register, value))| {
        let over = conditions.len() - index - 1 + body.len();
        let over = i16::try_from(over).expect("a rule has about ten instructions");
        Instruction::new(JUMP_UNLESS_EQUAL, *register, 0, over, value.cast_signed())
    });
    jumps.chain(body.iter().copied()).collect()
}

/// `BPF_DEVCG_DEV_*`
const fn kind_number(kind: DeviceKind) -> u32 {
    match kind {
        DeviceKind::Block => 1,
        DeviceKind::Character => 2,
    }
}

fn allow(access: DeviceAccess) -> Vec<Instruction> {
    let left = i32::from(!access.bits() & DeviceAccess::ALL.bits());
    let [verdict, exit] = leave(1);
    vec![
        Instruction::new(AND, WANTED, 0, 0, left),
        Instruction::new(JUMP_UNLESS_EQUAL, WANTED, 0, 2, 0),
        verdict,
        exit,
    ]
}

fn deny(access: DeviceAccess) -> Vec<Instruction> {
    let [verdict, exit] = leave(0);
    vec![
        Instruction::new(MOVE_REGISTER, SCRATCH, WANTED, 0, 0),
        Instruction::new(AND, SCRATCH, 0, 0, i32::from(access.bits())),
        Instruction::new(JUMP_IF_EQUAL, SCRATCH, 0, 2, 0),
        verdict,
        exit,
    ]
}
