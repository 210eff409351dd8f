//! Both forms of the rules against what the rules mean.

use nucleus_sys::bpf::Instruction;
use proptest::prelude::*;

use super::{complete, list, program};
use crate::config::{DeviceAccess, DeviceKind, DeviceRule, Verdict};

/// What the kernel asks.
#[derive(Debug, Clone, Copy)]
struct Question {
    kind: DeviceKind,
    major: u32,
    minor: u32,
    access: u8,
}

fn concerns(rule: &DeviceRule, question: Question) -> bool {
    rule.kind.is_none_or(|kind| kind == question.kind)
        && rule.major.is_none_or(|major| major == question.major)
        && rule.minor.is_none_or(|minor| minor == question.minor)
}

/// Each access by itself: the last rule that speaks of it decides, and none means no.
fn meant(rules: &[DeviceRule], question: Question) -> bool {
    let bits = [1, 2, 4].into_iter().filter(|bit| question.access & bit != 0);
    bits.fold(true, |all, bit| {
        let speaks = |rule: &&DeviceRule| rule.access.bits() & bit != 0 && concerns(rule, question);
        all && rules.iter().rev().find(speaks).is_some_and(|rule| rule.verdict == Verdict::Allow)
    })
}

/// Runs a program as the kernel would; panics at an instruction that the compiler does not use.
fn run(program: &[Instruction], question: Question) -> bool {
    let kind = if question.kind == DeviceKind::Block { 1 } else { 2 };
    let context = [u32::from(question.access) << 16 | kind, question.major, question.minor];
    let mut registers = [0_u32; 11];
    let mut at = 0;
    loop {
        let Instruction { code, offset, immediate, .. } = program[at];
        let (to, from) = (usize::from(program[at].destination()), usize::from(program[at].source()));
        let value = immediate.cast_unsigned();
        at += 1;
        let mut jump = |taken: bool| at += if taken { usize::try_from(offset).unwrap() } else { 0 };
        match code {
            program::LOAD => registers[to] = context[usize::try_from(offset).unwrap() / 4],
            program::AND => registers[to] &= value,
            program::SHIFT_RIGHT => registers[to] >>= value,
            program::MOVE => registers[to] = value,
            program::MOVE_REGISTER => registers[to] = registers[from],
            program::JUMP_UNLESS_EQUAL => jump(registers[to] != value),
            program::JUMP_IF_EQUAL => jump(registers[to] == value),
            program::EXIT => return registers[0] == 1,
            other => panic!("instruction {other:#x} at {}", at - 1),
        }
    }
}

/// What the kernel makes of the lists (`security/device_cgroup.c`): a default, and exceptions from it.
fn of_list(writes: &[(&str, String)], question: Question) -> bool {
    let by_default = writes[0] == ("devices.allow", "a".to_owned());
    let letter = if question.kind == DeviceKind::Block { "b" } else { "c" };
    let accesses = |text: &str| {
        text.chars().fold(0_u8, |bits, letter| {
            bits | match letter {
                'm' => 1,
                'r' => 2,
                'w' => 4,
                other => panic!("{other}"),
            }
        })
    };
    let matching = writes[1..].iter().filter_map(|(file, line)| {
        assert_eq!(*file == "devices.deny", by_default);
        let [kind, numbers, access] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let (major, minor) = numbers.split_once(':').unwrap();
        let number = |text: &str, number: u32| text == "*" || text == number.to_string();
        let concerned = kind == letter && number(major, question.major) && number(minor, question.minor);
        concerned.then(|| accesses(access))
    });
    if by_default {
        // match_exception_partial: one of the wanted accesses is enough to be denied.
        matching.into_iter().all(|access| access & question.access == 0)
    } else {
        // match_exception: one exception has to hold all of them. That two together would is not seen: the kernel is stricter
        // than the rules then.
        matching.into_iter().any(|access| question.access & !access == 0)
    }
}

fn rule() -> impl Strategy<Value = DeviceRule> {
    let kind = prop_oneof![Just(None), Just(Some(DeviceKind::Block)), Just(Some(DeviceKind::Character))];
    let number = || prop::option::of(0..3_u32);
    (any::<bool>(), kind, number(), number(), 1..8_u8).prop_map(|(allow, kind, major, minor, access)| {
        DeviceRule {
            verdict: if allow { Verdict::Allow } else { Verdict::Deny },
            kind,
            major: major.filter(|_| kind.is_some()),
            minor: minor.filter(|_| kind.is_some()),
            access: DeviceAccess::of_bits(access),
        }
    })
}

fn question() -> impl Strategy<Value = Question> {
    let kind = prop_oneof![Just(DeviceKind::Block), Just(DeviceKind::Character)];
    (kind, 0..4_u32, 0..4_u32, 1..8_u8).prop_map(|(kind, major, minor, access)| Question {
        kind,
        major,
        minor,
        access,
    })
}

proptest! {
    #[test]
    fn the_program_says_what_the_rules_mean(rules in prop::collection::vec(rule(), 0..8), question in question()) {
        prop_assert_eq!(run(&program::compile(&rules), question), meant(&rules, question));
    }

    #[test]
    fn the_lists_allow_no_more_than_the_rules(rules in prop::collection::vec(rule(), 0..8), question in question()) {
        if let Ok(writes) = list::writes(&rules) {
            let allowed = of_list(&writes, question);
            prop_assert!(!allowed || meant(&rules, question));
            if question.access.is_power_of_two() {
                prop_assert_eq!(allowed, meant(&rules, question));
            }
        }
    }
}

const DENY_ALL: DeviceRule =
    DeviceRule { verdict: Verdict::Deny, kind: None, major: None, minor: None, access: DeviceAccess::ALL };

#[test]
fn without_rules_only_the_default_devices_are_there() {
    let program = program::compile(&complete(&[DENY_ALL]));
    let asks = |kind, major, minor, access| run(&program, Question { kind, major, minor, access });
    assert!(asks(DeviceKind::Character, 1, 3, 6), "null");
    assert!(asks(DeviceKind::Character, 136, 7, 6), "a terminal");
    assert!(!asks(DeviceKind::Character, 1, 1, 2), "mem");
    assert!(!asks(DeviceKind::Block, 8, 0, 2), "a disk");
    assert!(asks(DeviceKind::Block, 8, 0, 1), "its node may be made");
    assert!(!asks(DeviceKind::Block, 8, 0, 3), "but not read");
}

#[test]
fn what_v1_cannot_say_is_named() {
    let all = DeviceRule { verdict: Verdict::Allow, kind: Some(DeviceKind::Character), ..DENY_ALL };
    let hole = DeviceRule { kind: Some(DeviceKind::Character), major: Some(1), minor: Some(1), ..DENY_ALL };
    let error = list::writes(&[all, hole]).unwrap_err();
    assert!(error.to_string().contains("c 1:1 rwm"), "{error}");
    assert!(!run(
        &program::compile(&[all, hole]),
        Question { kind: DeviceKind::Character, major: 1, minor: 1, access: 2 }
    ));
}

#[test]
fn a_privileged_container_gets_one_line() {
    let all = DeviceRule { verdict: Verdict::Allow, ..DENY_ALL };
    assert_eq!(list::writes(&complete(&[DENY_ALL, all])).unwrap(), [("devices.allow", "a".to_owned())]);
}

#[test]
fn the_kernel_takes_the_programs() {
    let all = DeviceRule { verdict: Verdict::Allow, ..DENY_ALL };
    let some = DeviceRule { access: DeviceAccess::MAKE, ..DENY_ALL };
    let one = DeviceRule { kind: Some(DeviceKind::Block), minor: Some(u32::MAX), ..all };
    for rules in
        [vec![], vec![DENY_ALL], vec![all], complete(&[]), complete(&[all, some, one]), vec![one, some]]
    {
        match nucleus_sys::bpf::load_device_program(&program::compile(&rules)) {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                eprintln!("skipped: bpf(2) needs CAP_BPF");
            }
            loaded => drop(loaded.unwrap()),
        }
    }
}
