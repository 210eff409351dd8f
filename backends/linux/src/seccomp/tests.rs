//! The compiler against a naive reading of the same profile, and the rules that are ours.

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompBuilder, LinuxSeccompOperator as Op, LinuxSyscall, LinuxSyscallBuilder,
};
use proptest::prelude::*;

use super::abi::{Abi, X32_BIT};
use super::interpreter::{Call, run};
use super::{MAX_INSTRUCTIONS, Program, compile_for, syscalls};

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const ALLOW: u32 = 0x7fff_0000;
const KILL_THREAD: u32 = 0;
const ENOSYS: u32 = 0x0005_0026;
const EPERM: u32 = 0x0005_0001;

fn arg(index: usize, op: Op, value: u64, second: u64) -> LinuxSeccompArg {
    LinuxSeccompArgBuilder::default().index(index).op(op).value(value).value_two(second).build().unwrap()
}

fn rule(names: &[&str], action: Action, args: Vec<LinuxSeccompArg>) -> LinuxSyscall {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    LinuxSyscallBuilder::default().names(names).action(action).args(args).build().unwrap()
}

fn profile(default: Action, rules: Vec<LinuxSyscall>) -> LinuxSeccomp {
    LinuxSeccompBuilder::default()
        .default_action(default)
        .architectures(vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86])
        .syscalls(rules)
        .build()
        .unwrap()
}

fn compiled(profile: &LinuxSeccomp) -> Program {
    let program = compile_for(Abi::X86_64, profile).unwrap();
    let end = program.instructions.len();
    for (at, instruction) in program.instructions.iter().enumerate() {
        // The kernel's own check (seccomp_check_filter, bpf_check_classic): no jump leaves the program.
        if instruction.code & 0x07 == 0x05 && instruction.code != 0x05 {
            assert!(at + 1 + usize::from(instruction.jt.max(instruction.jf)) < end);
        }
    }
    program
}

fn verdict(program: &Program, arch: u32, nr: u32, args: [u64; 6]) -> u32 {
    run(program.filter(), &Call { nr, arch, args })
}

fn number(name: &str, abi: Abi) -> u32 {
    syscalls::find(name).unwrap().number(abi).unwrap().into()
}

#[test]
fn the_abi_decides_first() {
    let program =
        compiled(&profile(Action::ScmpActErrno, vec![rule(&["getpid"], Action::ScmpActAllow, vec![])]));
    assert_eq!(verdict(&program, X86_64, 39, [0; 6]), ALLOW);
    assert_eq!(verdict(&program, I386, 20, [0; 6]), ALLOW);
    assert_eq!(verdict(&program, I386, 39, [0; 6]), ENOSYS, "mkdir's number on i386, beyond the last listed");
    assert_eq!(verdict(&program, X86_64, 20, [0; 6]), EPERM);
    assert_eq!(verdict(&program, 0xc000_00b7, 172, [0; 6]), KILL_THREAD, "arm64 on x86-64");
}

#[test]
fn an_abi_that_is_not_listed_is_closed() {
    let mut native_only = profile(Action::ScmpActAllow, vec![rule(&["mount"], Action::ScmpActErrno, vec![])]);
    native_only.set_architectures(None);
    let program = compiled(&native_only);
    assert_eq!(verdict(&program, I386, 20, [0; 6]), KILL_THREAD);
    assert_eq!(verdict(&program, X86_64, X32_BIT + 39, [0; 6]), ENOSYS);
    assert_eq!(verdict(&program, X86_64, u32::MAX, [0; 6]), ENOSYS);
    assert_eq!(verdict(&program, X86_64, 39, [0; 6]), ALLOW);
}

#[test]
fn x32_has_its_own_numbers_where_it_is_listed() {
    let mut with_x32 =
        profile(Action::ScmpActKillProcess, vec![rule(&["ioctl"], Action::ScmpActAllow, vec![])]);
    with_x32.set_architectures(Some(vec![Arch::ScmpArchX32]));
    let program = compiled(&with_x32);
    assert_eq!(verdict(&program, X86_64, 16, [0; 6]), ALLOW);
    assert_eq!(verdict(&program, X86_64, X32_BIT + 514, [0; 6]), ALLOW);
    assert_eq!(verdict(&program, X86_64, X32_BIT + 16, [0; 6]), 0x8000_0000);
    assert_eq!(verdict(&program, X86_64, 514, [0; 6]), 0x8000_0000);
}

#[test]
fn arm64_has_its_own_table() {
    let program = compile_for(
        Abi::Aarch64,
        &profile(Action::ScmpActErrno, vec![rule(&["openat"], Action::ScmpActAllow, vec![])]),
    );
    let program = program.unwrap();
    assert_eq!(verdict(&program, 0xc000_00b7, 56, [0; 6]), ALLOW);
    assert_eq!(verdict(&program, X86_64, 257, [0; 6]), KILL_THREAD);
}

#[test]
fn calls_newer_than_the_profile_do_not_exist() {
    let rules = || {
        vec![
            rule(&["openat2"], Action::ScmpActAllow, vec![]),
            rule(&["cachestat"], Action::ScmpActErrno, vec![]),
        ]
    };
    let program = compiled(&profile(Action::ScmpActErrno, rules()));
    assert_eq!(verdict(&program, X86_64, number("cachestat", Abi::X86_64), [0; 6]), EPERM);
    assert_eq!(verdict(&program, X86_64, number("mseal", Abi::X86_64), [0; 6]), ENOSYS);
    let killing = compiled(&profile(Action::ScmpActKillProcess, rules()));
    assert_eq!(verdict(&killing, X86_64, number("mseal", Abi::X86_64), [0; 6]), 0x8000_0000);
}

#[test]
fn the_first_rule_without_conditions_wins_over_everything() {
    let conditional = || rule(&["ioctl"], Action::ScmpActLog, vec![arg(1, Op::ScmpCmpEq, 7, 0)]);
    let program = compiled(&profile(
        Action::ScmpActErrno,
        vec![
            conditional(),
            rule(&["ioctl"], Action::ScmpActTrap, vec![]),
            rule(&["ioctl"], Action::ScmpActAllow, vec![]),
            conditional(),
        ],
    ));
    assert_eq!(verdict(&program, X86_64, 16, [0, 7, 0, 0, 0, 0]), 0x0003_0000);
}

#[test]
fn the_strictest_matching_clause_wins_in_any_order() {
    let mut rules = vec![
        rule(&["ioctl"], Action::ScmpActAllow, vec![arg(1, Op::ScmpCmpGe, 0, 0)]),
        rule(&["ioctl"], Action::ScmpActTrap, vec![arg(1, Op::ScmpCmpMaskedEq, 0xffff_ffff, 0x5412)]),
    ];
    for _ in 0..2 {
        let program = compiled(&profile(Action::ScmpActErrno, rules.clone()));
        assert_eq!(verdict(&program, X86_64, 16, [0, 0x5412, 0, 0, 0, 0]), 0x0003_0000);
        assert_eq!(verdict(&program, X86_64, 16, [0, 0xdead_0000_5412, 0, 0, 0, 0]), 0x0003_0000);
        assert_eq!(verdict(&program, X86_64, 16, [0, 0x5413, 0, 0, 0, 0]), ALLOW);
        rules.reverse();
    }
}

#[test]
fn i386_multiplexers_are_the_same_call() {
    let conditional = |action| rule(&["socket"], action, vec![arg(0, Op::ScmpCmpEq, 1, 0)]);
    let (socketcall, ipc) = (number("socketcall", Abi::X86), number("ipc", Abi::X86));

    let allowing = compiled(&profile(
        Action::ScmpActErrno,
        vec![rule(&["bind", "shmat"], Action::ScmpActAllow, vec![]), conditional(Action::ScmpActAllow)],
    ));
    assert_eq!(verdict(&allowing, I386, socketcall, [2, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(verdict(&allowing, I386, socketcall, [3, 0, 0, 0, 0, 0]), EPERM);
    assert_eq!(
        verdict(&allowing, I386, socketcall, [1, 0, 0, 0, 0, 0]),
        EPERM,
        "the family can't be checked"
    );
    assert_eq!(verdict(&allowing, I386, ipc, [0x1_0015, 0, 0, 0, 0, 0]), ALLOW, "a version in the high half");

    let denying = compiled(&profile(Action::ScmpActAllow, vec![conditional(Action::ScmpActErrno)]));
    assert_eq!(verdict(&denying, I386, socketcall, [1, 0, 0, 0, 0, 0]), EPERM);
    assert_eq!(verdict(&denying, I386, socketcall, [2, 0, 0, 0, 0, 0]), ALLOW);
}

#[test]
fn names_that_no_linux_has_are_collected_and_others_work() {
    let names = &["getpid", "out_of_cheese", "s390_sthyi"];
    let program = compiled(&profile(Action::ScmpActErrno, vec![rule(names, Action::ScmpActAllow, vec![])]));
    assert_eq!(program.unknown_names, ["out_of_cheese"]);
    assert_eq!(verdict(&program, X86_64, 39, [0; 6]), ALLOW);
}

#[test]
fn flags_and_the_listener_are_handed_over() {
    let json = r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/run/agent.sock",
        "flags":["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        "syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]}"#;
    let program = compiled(&serde_json::from_str(json).unwrap());
    assert_eq!(program.flags, 0b10_1010);
    assert!(program.wants_listener());
    let with = |flags: &str, action: &str| {
        let json = format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/a","flags":[{flags}],
                "syscalls":[{{"names":["mkdir"],"action":"{action}"}}]}}"#
        );
        compiled(&serde_json::from_str(&json).unwrap()).flags
    };
    // Combinations that the kernel refuses as they stand.
    assert_eq!(with(r#""SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV""#, "SCMP_ACT_LOG"), 0);
    assert_eq!(with(r#""SECCOMP_FILTER_FLAG_TSYNC""#, "SCMP_ACT_LOG"), 1);
    assert_eq!(with(r#""SECCOMP_FILTER_FLAG_TSYNC""#, "SCMP_ACT_NOTIFY"), 0b1_1001);
    assert_eq!(verdict(&program, X86_64, number("mkdir", Abi::X86_64), [0; 6]), 0x7fc0_0000);
}

#[test]
fn notifications_that_nobody_can_answer_are_refused() {
    let notify = |names: &[&str]| rule(names, Action::ScmpActNotify, vec![]);
    let mut with_listener = profile(Action::ScmpActAllow, vec![notify(&["mkdir", "write"])]);
    with_listener.set_listener_path(Some("/run/agent.sock".into()));
    for (wrong, subject) in [
        (profile(Action::ScmpActNotify, vec![]), "defaultAction"),
        (profile(Action::ScmpActAllow, vec![notify(&["mkdir"])]), "SCMP_ACT_NOTIFY"),
        (with_listener, "SCMP_ACT_NOTIFY on write"),
    ] {
        assert_eq!(compile_for(Abi::X86_64, &wrong).unwrap_err().subject.as_deref(), Some(subject));
    }
}

#[test]
fn long_programs_jump_far_and_end_at_the_kernels_limit() {
    let conditions = |count: u64| {
        let each =
            |value| rule(&["ioctl"], Action::ScmpActAllow, vec![arg(1, Op::ScmpCmpEq, value << 32, 0)]);
        (0..count).map(each).chain([rule(&["mseal", "read"], Action::ScmpActAllow, vec![])]).collect()
    };
    let program = compiled(&profile(Action::ScmpActErrno, conditions(300)));
    for value in [0_u64, 1, 150, 299] {
        assert_eq!(verdict(&program, X86_64, 16, [0, value << 32, 0, 0, 0, 0]), ALLOW, "{value}");
    }
    assert_eq!(verdict(&program, X86_64, 16, [0, 300 << 32, 0, 0, 0, 0]), EPERM);
    assert_eq!(verdict(&program, I386, 0, [0; 6]), EPERM);
    assert_eq!(verdict(&program, X86_64, 0, [0; 6]), ALLOW);
    assert_eq!(verdict(&program, X86_64, 462, [0; 6]), ALLOW);

    let error = compile_for(Abi::X86_64, &profile(Action::ScmpActErrno, conditions(2000))).unwrap_err();
    assert!(error.to_string().contains(&MAX_INSTRUCTIONS.to_string()), "{error}");
}

#[test]
fn an_argument_that_no_call_has_is_refused() {
    let wrong = rule(&["ioctl"], Action::ScmpActAllow, vec![arg(6, Op::ScmpCmpEq, 0, 0)]);
    let error = compile_for(Abi::X86_64, &profile(Action::ScmpActErrno, vec![wrong])).unwrap_err();
    assert!(error.to_string().contains("argument index 6"), "{error}");
}

/// The documented meaning of a profile on x86-64, read off the profile itself: slow, and without our data structures.
fn naive(profile: &LinuxSeccomp, name: &str, args: [u64; 6]) -> u32 {
    let default = profile.default_action().as_u32(profile.default_errno_ret());
    let rules = profile.syscalls().iter().flatten();
    let mine: Vec<_> = rules
        .filter(|rule| rule.names().iter().any(|n| n == name))
        .map(|rule| (rule.action().as_u32(rule.errno_ret()), rule.args().clone().unwrap_or_default()))
        .filter(|(action, _)| *action != default)
        .collect();
    let unconditional = |args: &[LinuxSeccompArg]| {
        let vacuous = |a: &LinuxSeccompArg| a.op() == Op::ScmpCmpMaskedEq && a.value() == 0;
        if repeats(args) { args.iter().any(vacuous) } else { args.iter().all(vacuous) }
    };
    if let Some((action, _)) = mine.iter().find(|(_, rule)| unconditional(rule)) {
        return *action;
    }
    let holds = |rule: &[LinuxSeccompArg]| {
        let mut each = rule.iter().map(|a| satisfied(a, args[a.index()]));
        if repeats(rule) { each.any(|held| held) } else { each.all(|held| held) }
    };
    let matching = mine.iter().filter(|(_, rule)| holds(rule)).map(|(action, _)| *action);
    matching.min_by_key(|action| (action & 0xffff_0000).cast_signed()).unwrap_or(default)
}

fn repeats(args: &[LinuxSeccompArg]) -> bool {
    args.iter().enumerate().any(|(i, a)| args[..i].iter().any(|b| b.index() == a.index()))
}

fn satisfied(a: &LinuxSeccompArg, actual: u64) -> bool {
    match a.op() {
        Op::ScmpCmpNe => actual != a.value(),
        Op::ScmpCmpLt => actual < a.value(),
        Op::ScmpCmpLe => actual <= a.value(),
        Op::ScmpCmpEq => actual == a.value(),
        Op::ScmpCmpGe => actual >= a.value(),
        Op::ScmpCmpGt => actual > a.value(),
        Op::ScmpCmpMaskedEq => (actual ^ a.value_two().unwrap_or(0)) & a.value() == 0,
    }
}

/// Few names, few values around the words' borders: collisions are what is to be tested.
const NAMES: [&str; 6] = ["read", "write", "ioctl", "socket", "openat2", "mseal"];

fn any_value() -> impl Strategy<Value = u64> {
    let edges = [
        0,
        1,
        2,
        0x7fff_ffff,
        0xffff_fffe,
        0xffff_ffff,
        0x1_0000_0000,
        0x1_0000_0001,
        u64::MAX - 1,
        u64::MAX,
    ];
    prop_oneof![4 => proptest::sample::select(edges.to_vec()), 1 => any::<u64>()]
}

fn any_action() -> impl Strategy<Value = Action> {
    proptest::sample::select(vec![
        Action::ScmpActAllow,
        Action::ScmpActErrno,
        Action::ScmpActTrap,
        Action::ScmpActLog,
        Action::ScmpActTrace,
        Action::ScmpActKillThread,
        Action::ScmpActKillProcess,
    ])
}

fn any_arg() -> impl Strategy<Value = LinuxSeccompArg> {
    let ops = vec![
        Op::ScmpCmpNe,
        Op::ScmpCmpLt,
        Op::ScmpCmpLe,
        Op::ScmpCmpEq,
        Op::ScmpCmpGe,
        Op::ScmpCmpGt,
        Op::ScmpCmpMaskedEq,
    ];
    (0..3_usize, proptest::sample::select(ops), any_value(), any_value())
        .prop_map(|(i, op, v, w)| arg(i, op, v, w))
}

fn any_rule() -> impl Strategy<Value = LinuxSyscall> {
    let names = proptest::sample::subsequence(NAMES.to_vec(), 1..3);
    // Equally strict clauses with other data are ordered by position: kept out here by leaving errnoRet alone.
    (names, any_action(), proptest::collection::vec(any_arg(), 0..4))
        .prop_map(|(n, a, args)| rule(&n, a, args))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_program_decides_as_the_profile_reads(
        default in any_action(),
        rules in proptest::collection::vec(any_rule(), 0..24),
        calls in proptest::collection::vec((proptest::sample::select(NAMES.to_vec()), proptest::array::uniform3(any_value())), 64),
    ) {
        let mut last = vec![rule(&["mseal"], Action::ScmpActAllow, vec![arg(5, Op::ScmpCmpEq, 99, 0)])];
        last.extend(rules);
        let profile = profile(default, last);
        let program = compiled(&profile);
        for (name, [a, b, c]) in calls {
            let args = [a, b, c, 0, 0, 0];
            let got = verdict(&program, X86_64, number(name, Abi::X86_64), args);
            prop_assert_eq!(got, naive(&profile, name, args), "{} {:?}", name, args);
        }
    }
}
