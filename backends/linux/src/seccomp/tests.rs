//! The compiler against a naive reading of the same profile, and the rules that are ours.

use proptest::prelude::*;

use super::abi::{Abi, X32_BIT};
use super::interpreter::{Call, run};
use super::{Agent, MAX_INSTRUCTIONS, Program, compile_for, syscalls};
use crate::config::document::{Action, Architecture, Argument, Operator as Op, Seccomp, Syscall};

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const ALLOW: u32 = 0x7fff_0000;
const KILL_THREAD: u32 = 0;
const ENOSYS: u32 = 0x0005_0026;
const EPERM: u32 = 0x0005_0001;

fn arg(index: u32, op: Op, value: u64, second: u64) -> Argument {
    Argument { index, op, value, value_two: second }
}

fn rule(names: &[&str], action: Action, args: Vec<Argument>) -> Syscall<'static> {
    let names = names.iter().map(|name| name.to_string().into()).collect();
    Syscall { names, action, errno_ret: None, args }
}

fn profile(default: Action, rules: Vec<Syscall<'static>>) -> Seccomp<'static> {
    Seccomp {
        default_action: default,
        default_errno_ret: None,
        architectures: vec![Architecture::X86_64, Architecture::X86],
        flags: vec![],
        listener_path: None,
        listener_metadata: None,
        syscalls: rules,
    }
}

fn compiled(profile: &Seccomp<'_>) -> Program {
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
    let program = compiled(&profile(Action::Errno, vec![rule(&["getpid"], Action::Allow, vec![])]));
    assert_eq!(verdict(&program, X86_64, 39, [0; 6]), ALLOW);
    assert_eq!(verdict(&program, I386, 20, [0; 6]), ALLOW);
    assert_eq!(verdict(&program, I386, 39, [0; 6]), ENOSYS, "mkdir's number on i386, beyond the last listed");
    assert_eq!(verdict(&program, X86_64, 20, [0; 6]), EPERM);
    assert_eq!(verdict(&program, 0xc000_00b7, 172, [0; 6]), KILL_THREAD, "arm64 on x86-64");
}

#[test]
fn an_abi_that_is_not_listed_is_closed() {
    let mut native_only = profile(Action::Allow, vec![rule(&["mount"], Action::Errno, vec![])]);
    native_only.architectures.clear();
    let program = compiled(&native_only);
    assert_eq!(verdict(&program, I386, 20, [0; 6]), KILL_THREAD);
    assert_eq!(verdict(&program, X86_64, X32_BIT + 39, [0; 6]), ENOSYS);
    assert_eq!(verdict(&program, X86_64, u32::MAX, [0; 6]), ENOSYS);
    assert_eq!(verdict(&program, X86_64, 39, [0; 6]), ALLOW);
}

#[test]
fn x32_has_its_own_numbers_where_it_is_listed() {
    let mut with_x32 = profile(Action::KillProcess, vec![rule(&["ioctl"], Action::Allow, vec![])]);
    with_x32.architectures = vec![Architecture::X32];
    let program = compiled(&with_x32);
    assert_eq!(verdict(&program, X86_64, 16, [0; 6]), ALLOW);
    assert_eq!(verdict(&program, X86_64, X32_BIT + 514, [0; 6]), ALLOW);
    assert_eq!(verdict(&program, X86_64, X32_BIT + 16, [0; 6]), 0x8000_0000);
    assert_eq!(verdict(&program, X86_64, 514, [0; 6]), 0x8000_0000);
}

#[test]
fn arm64_has_its_own_table() {
    let program =
        compile_for(Abi::Aarch64, &profile(Action::Errno, vec![rule(&["openat"], Action::Allow, vec![])]));
    let program = program.unwrap();
    assert_eq!(verdict(&program, 0xc000_00b7, 56, [0; 6]), ALLOW);
    assert_eq!(verdict(&program, X86_64, 257, [0; 6]), KILL_THREAD);
}

#[test]
fn calls_newer_than_the_profile_do_not_exist() {
    let rules =
        || vec![rule(&["openat2"], Action::Allow, vec![]), rule(&["cachestat"], Action::Errno, vec![])];
    let program = compiled(&profile(Action::Errno, rules()));
    assert_eq!(verdict(&program, X86_64, number("cachestat", Abi::X86_64), [0; 6]), EPERM);
    assert_eq!(verdict(&program, X86_64, number("mseal", Abi::X86_64), [0; 6]), ENOSYS);
    let killing = compiled(&profile(Action::KillProcess, rules()));
    assert_eq!(verdict(&killing, X86_64, number("mseal", Abi::X86_64), [0; 6]), 0x8000_0000);
}

#[test]
fn the_first_rule_without_conditions_wins_over_everything() {
    let conditional = || rule(&["ioctl"], Action::Log, vec![arg(1, Op::Eq, 7, 0)]);
    let program = compiled(&profile(
        Action::Errno,
        vec![
            conditional(),
            rule(&["ioctl"], Action::Trap, vec![]),
            rule(&["ioctl"], Action::Allow, vec![]),
            conditional(),
        ],
    ));
    assert_eq!(verdict(&program, X86_64, 16, [0, 7, 0, 0, 0, 0]), 0x0003_0000);
}

#[test]
fn the_strictest_matching_clause_wins_in_any_order() {
    let mut rules = vec![
        rule(&["ioctl"], Action::Allow, vec![arg(1, Op::Ge, 0, 0)]),
        rule(&["ioctl"], Action::Trap, vec![arg(1, Op::MaskedEq, 0xffff_ffff, 0x5412)]),
    ];
    for _ in 0..2 {
        let program = compiled(&profile(Action::Errno, rules.clone()));
        assert_eq!(verdict(&program, X86_64, 16, [0, 0x5412, 0, 0, 0, 0]), 0x0003_0000);
        assert_eq!(verdict(&program, X86_64, 16, [0, 0xdead_0000_5412, 0, 0, 0, 0]), 0x0003_0000);
        assert_eq!(verdict(&program, X86_64, 16, [0, 0x5413, 0, 0, 0, 0]), ALLOW);
        rules.reverse();
    }
}

#[test]
fn i386_multiplexers_are_the_same_call() {
    let conditional = |action| rule(&["socket"], action, vec![arg(0, Op::Eq, 1, 0)]);
    let (socketcall, ipc) = (number("socketcall", Abi::X86), number("ipc", Abi::X86));

    let allowing = compiled(&profile(
        Action::Errno,
        vec![rule(&["bind", "shmat"], Action::Allow, vec![]), conditional(Action::Allow)],
    ));
    assert_eq!(verdict(&allowing, I386, socketcall, [2, 0, 0, 0, 0, 0]), ALLOW);
    assert_eq!(verdict(&allowing, I386, socketcall, [3, 0, 0, 0, 0, 0]), EPERM);
    assert_eq!(
        verdict(&allowing, I386, socketcall, [1, 0, 0, 0, 0, 0]),
        EPERM,
        "the family can't be checked"
    );
    assert_eq!(verdict(&allowing, I386, ipc, [0x1_0015, 0, 0, 0, 0, 0]), ALLOW, "a version in the high half");

    let denying = compiled(&profile(Action::Allow, vec![conditional(Action::Errno)]));
    assert_eq!(verdict(&denying, I386, socketcall, [1, 0, 0, 0, 0, 0]), EPERM);
    assert_eq!(verdict(&denying, I386, socketcall, [2, 0, 0, 0, 0, 0]), ALLOW);
}

#[test]
fn names_that_no_linux_has_are_collected_and_others_work() {
    let names = &["getpid", "out_of_cheese", "s390_sthyi"];
    let program = compiled(&profile(Action::Errno, vec![rule(names, Action::Allow, vec![])]));
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
    let agent = Agent { path: "/run/agent.sock".into(), metadata: None };
    assert_eq!(program.agent, Some(agent));
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
fn an_agent_that_nobody_asks_is_ignored() {
    let mut profile = profile(Action::Allow, vec![rule(&["mkdir"], Action::Log, vec![])]);
    profile.listener_path = Some("/run/agent.sock".into());
    profile.listener_metadata = Some("who".into());
    assert_eq!(compiled(&profile).agent, None);
    profile.syscalls[0].action = Action::Notify;
    assert_eq!(compiled(&profile).agent.unwrap().metadata.as_deref(), Some("who"));
}

#[test]
fn notifications_that_nobody_can_answer_are_refused() {
    let notify = |names: &[&str]| rule(names, Action::Notify, vec![]);
    let mut with_listener = profile(Action::Allow, vec![notify(&["mkdir", "write"])]);
    with_listener.listener_path = Some("/run/agent.sock".into());
    for (wrong, subject) in [
        (profile(Action::Notify, vec![]), "config.json: linux.seccomp.defaultAction"),
        (profile(Action::Allow, vec![notify(&["mkdir"])]), "config.json: linux.seccomp.listenerPath"),
        (with_listener, "config.json: linux.seccomp.syscalls[0].names"),
    ] {
        assert_eq!(compile_for(Abi::X86_64, &wrong).unwrap_err().subject.as_deref(), Some(subject));
    }
}

#[test]
fn long_programs_jump_far_and_end_at_the_kernels_limit() {
    let conditions = |count: u64| {
        let each = |value| rule(&["ioctl"], Action::Allow, vec![arg(1, Op::Eq, value << 32, 0)]);
        (0..count).map(each).chain([rule(&["mseal", "read"], Action::Allow, vec![])]).collect()
    };
    let program = compiled(&profile(Action::Errno, conditions(300)));
    for value in [0_u64, 1, 150, 299] {
        assert_eq!(verdict(&program, X86_64, 16, [0, value << 32, 0, 0, 0, 0]), ALLOW, "{value}");
    }
    assert_eq!(verdict(&program, X86_64, 16, [0, 300 << 32, 0, 0, 0, 0]), EPERM);
    assert_eq!(verdict(&program, I386, 0, [0; 6]), EPERM);
    assert_eq!(verdict(&program, X86_64, 0, [0; 6]), ALLOW);
    assert_eq!(verdict(&program, X86_64, 462, [0; 6]), ALLOW);

    let error = compile_for(Abi::X86_64, &profile(Action::Errno, conditions(2000))).unwrap_err();
    assert!(error.to_string().contains(&MAX_INSTRUCTIONS.to_string()), "{error}");
}

#[test]
fn an_argument_that_no_call_has_is_refused() {
    let wrong = rule(&["ioctl"], Action::Allow, vec![arg(6, Op::Eq, 0, 0)]);
    let error = compile_for(Abi::X86_64, &profile(Action::Errno, vec![wrong])).unwrap_err();
    assert!(error.to_string().contains("linux.seccomp.syscalls[0].args[0].index: 6:"), "{error}");
}

/// The documented meaning of a profile on x86-64, read off the profile itself: slow, and without our data structures.
fn naive(profile: &Seccomp<'_>, name: &str, args: [u64; 6]) -> u32 {
    let default = returned(profile.default_action);
    let rules = profile.syscalls.iter();
    let mine: Vec<_> = rules
        .filter(|rule| rule.names.iter().any(|n| &**n == name))
        .map(|rule| (returned(rule.action), rule.args.clone()))
        .filter(|(action, _)| *action != default)
        .collect();
    let unconditional = |args: &[Argument]| {
        let vacuous = |a: &Argument| a.op == Op::MaskedEq && a.value == 0;
        if repeats(args) { args.iter().any(vacuous) } else { args.iter().all(vacuous) }
    };
    if let Some((action, _)) = mine.iter().find(|(_, rule)| unconditional(rule)) {
        return *action;
    }
    let holds = |rule: &[Argument]| {
        let mut each = rule.iter().map(|a| satisfied(a, args[a.index as usize]));
        if repeats(rule) { each.any(|held| held) } else { each.all(|held| held) }
    };
    let matching = mine.iter().filter(|(_, rule)| holds(rule)).map(|(action, _)| *action);
    matching.min_by_key(|action| (action & 0xffff_0000).cast_signed()).unwrap_or(default)
}

/// seccomp(2), "Filter return values", with EPERM as the data of those that carry some.
fn returned(action: Action) -> u32 {
    match action {
        Action::KillProcess => 0x8000_0000,
        Action::Kill | Action::KillThread => KILL_THREAD,
        Action::Trap => 0x0003_0000,
        Action::Errno => EPERM,
        Action::Notify => 0x7fc0_0000,
        Action::Trace => 0x7ff0_0001,
        Action::Log => 0x7ffc_0000,
        Action::Allow => ALLOW,
    }
}

fn repeats(args: &[Argument]) -> bool {
    args.iter().enumerate().any(|(i, a)| args[..i].iter().any(|b| b.index == a.index))
}

fn satisfied(a: &Argument, actual: u64) -> bool {
    match a.op {
        Op::Ne => actual != a.value,
        Op::Lt => actual < a.value,
        Op::Le => actual <= a.value,
        Op::Eq => actual == a.value,
        Op::Ge => actual >= a.value,
        Op::Gt => actual > a.value,
        Op::MaskedEq => (actual ^ a.value_two) & a.value == 0,
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
        Action::Allow,
        Action::Errno,
        Action::Trap,
        Action::Log,
        Action::Trace,
        Action::KillThread,
        Action::KillProcess,
    ])
}

fn any_arg() -> impl Strategy<Value = Argument> {
    let ops = vec![Op::Ne, Op::Lt, Op::Le, Op::Eq, Op::Ge, Op::Gt, Op::MaskedEq];
    (0..3_u32, proptest::sample::select(ops), any_value(), any_value())
        .prop_map(|(i, op, v, w)| arg(i, op, v, w))
}

fn any_rule() -> impl Strategy<Value = Syscall<'static>> {
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
        let mut last = vec![rule(&["mseal"], Action::Allow, vec![arg(5, Op::Eq, 99, 0)])];
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
