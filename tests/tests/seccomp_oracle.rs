//! Our seccomp compiler against libseccomp: the same verdict for every call, or a listed reason why not.
//!
//! libseccomp is driven as runc drives it. Both programs run in the interpreter; a few verdicts are the real kernel's.
//! The library is opened at run time; where it is missing, each test says on stderr that it was skipped.
#![cfg(target_arch = "x86_64")]

use std::collections::BTreeSet;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _};

use libc::sock_filter;
use libloading::{Library, Symbol};
use nucleus_core::plan::seccomp::default_profile;
use nucleus_linux::seccomp;
use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompArg, LinuxSeccompOperator as Op, LinuxSyscall};

#[path = "../../backends/linux/src/seccomp/interpreter.rs"]
mod interpreter;
use interpreter::{Call, run};

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const X32: u32 = 0x4000_0000;
const ENOSYS: u32 = 0x0005_0026;
const KILL_THREAD: u32 = 0;

/// Values around the borders of the two 32-bit words.
const EDGES: [u64; 14] = [
    0,
    1,
    4,
    5,
    6,
    0x7fff_ffff,
    0xffff_fffe,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0005,
    0x1_0000_0006,
    0x5_0000_0005,
    u64::MAX - 1,
    u64::MAX,
];

// ------------------------------------------------------------------------------------------------ libseccomp

/// `struct scmp_arg_cmp`.
#[repr(C)]
#[derive(Clone, Copy)]
struct ArgCmp {
    arg: c_uint,
    op: c_int,
    datum_a: u64,
    datum_b: u64,
}

type Resolve = unsafe extern "C" fn(*const c_char) -> c_int;
type ResolveArch = unsafe extern "C" fn(u32, *const c_char) -> c_int;
type Init = unsafe extern "C" fn(u32) -> *mut c_void;
type ArchAdd = unsafe extern "C" fn(*mut c_void, u32) -> c_int;
type RuleAdd = unsafe extern "C" fn(*mut c_void, u32, c_int, c_uint, *const ArgCmp) -> c_int;
type Export = unsafe extern "C" fn(*const c_void, c_int) -> c_int;
type Release = unsafe extern "C" fn(*mut c_void);

struct Oracle(Library);

impl Oracle {
    /// The library, or `None` and a line on stderr (past the test harness, which would swallow it).
    fn open(test: &str) -> Option<Self> {
        // SAFETY: libseccomp's initialisers only prepare its own tables.
        match unsafe { Library::new("libseccomp.so.2") } {
            Ok(library) => Some(Self(library)),
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "SKIPPED {test}: no oracle: {error}");
                None
            }
        }
    }

    fn symbol<T>(&self, name: &str) -> Symbol<'_, T> {
        // SAFETY: each caller names the type that <seccomp.h> gives to `name`.
        unsafe { self.0.get(name.as_bytes()) }.expect(name)
    }

    /// The number of `name` on `arch` (`SCMP_ARCH_*`), pseudo-numbers and unknown names left out.
    fn number(&self, arch: Arch, name: &str) -> Option<u32> {
        let name = CString::new(name).unwrap();
        // SAFETY: the string ends with NUL and outlives the call.
        let number = unsafe {
            self.symbol::<ResolveArch>("seccomp_syscall_resolve_name_arch")(arch as u32, name.as_ptr())
        };
        u32::try_from(number).ok()
    }

    /// What runc makes of a profile: architectures are added to the native one, rules equal to the default are
    /// dropped, conditions on the same argument become rules of their own, unknown names are skipped.
    fn compile(&self, profile: &LinuxSeccomp) -> Vec<sock_filter> {
        let default = profile.default_action().as_u32(profile.default_errno_ret());
        // SAFETY: the signatures are <seccomp.h>'s; the context lives until `release`.
        unsafe {
            let context = self.symbol::<Init>("seccomp_init")(default);
            assert!(!context.is_null());
            for arch in profile.architectures().iter().flatten().filter(|arch| **arch != Arch::ScmpArchX86_64)
            {
                assert_eq!(self.symbol::<ArchAdd>("seccomp_arch_add")(context, *arch as u32), 0, "{arch}");
            }
            for rule in profile.syscalls().iter().flatten() {
                self.add(context, rule, default);
            }
            let program = self.export(context);
            self.symbol::<Release>("seccomp_release")(context);
            program
        }
    }

    /// # Safety
    /// `context` comes from `seccomp_init` and was not released.
    unsafe fn add(&self, context: *mut c_void, rule: &LinuxSyscall, default: u32) {
        let action = rule.action().as_u32(rule.errno_ret());
        if action == default {
            return;
        }
        let args: Vec<ArgCmp> = rule.args().iter().flatten().map(comparison).collect();
        let indexes: BTreeSet<c_uint> = args.iter().map(|cmp| cmp.arg).collect();
        let groups: Vec<&[ArgCmp]> =
            if indexes.len() < args.len() { args.chunks(1).collect() } else { vec![&args] };
        for name in rule.names() {
            let text = CString::new(name.as_str()).unwrap();
            // SAFETY: as the caller promises; each slice gives its own length.
            unsafe {
                let number = self.symbol::<Resolve>("seccomp_syscall_resolve_name")(text.as_ptr());
                for group in groups.iter().filter(|_| number != -1) {
                    let len = c_uint::try_from(group.len()).unwrap();
                    let added = self.symbol::<RuleAdd>("seccomp_rule_add_array")(
                        context,
                        action,
                        number,
                        len,
                        group.as_ptr(),
                    );
                    assert_eq!(added, 0, "libseccomp refuses a rule on {name}");
                }
            }
        }
    }

    /// # Safety
    /// As for `add`.
    unsafe fn export(&self, context: *mut c_void) -> Vec<sock_filter> {
        // SAFETY: the descriptor is new and ours.
        let mut file = unsafe { File::from_raw_fd(libc::memfd_create(c"oracle".as_ptr(), 0)) };
        // SAFETY: as the caller promises.
        assert_eq!(unsafe { self.symbol::<Export>("seccomp_export_bpf")(context, file.as_raw_fd()) }, 0);
        file.rewind().unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        bytes.chunks_exact(8).map(instruction).collect()
    }
}

fn instruction(b: &[u8]) -> sock_filter {
    let k = u32::from_ne_bytes([b[4], b[5], b[6], b[7]]);
    sock_filter { code: u16::from_ne_bytes([b[0], b[1]]), jt: b[2], jf: b[3], k }
}

fn comparison(arg: &LinuxSeccompArg) -> ArgCmp {
    let arg_index = c_uint::try_from(arg.index()).unwrap();
    ArgCmp {
        arg: arg_index,
        op: arg.op() as c_int,
        datum_a: arg.value(),
        datum_b: arg.value_two().unwrap_or(0),
    }
}

// --------------------------------------------------------------------------------------------- the comparison

/// What nucleus makes of a profile.
fn compile(json: &str) -> seccomp::Program {
    seccomp::compile(&serde_json::from_str(json).expect(json)).expect(json)
}

/// Both programs of one profile.
struct Pair {
    profile: LinuxSeccomp,
    ours: Vec<sock_filter>,
    theirs: Vec<sock_filter>,
    /// The highest number that the profile names, for x86-64, i386 and x32.
    last: [Option<u32>; 3],
}

impl Pair {
    fn new(oracle: &Oracle, json: &str) -> Self {
        let profile: LinuxSeccomp = serde_json::from_str(json).expect(json);
        let ours = compile(json).instructions;
        let theirs = oracle.compile(&profile);
        let last = ABIS.map(|abi| last(oracle, &profile, abi));
        Self { profile, ours, theirs, last }
    }

    fn opens(&self, arch: Arch) -> bool {
        self.profile.architectures().iter().flatten().any(|listed| *listed == arch)
    }

    /// The verdicts are equal, or ours differs in a way that is listed here.
    fn check(&self, call: Call) {
        let (ours, theirs) = (run(&self.ours, &call), run(&self.theirs, &call));
        let expected = self.deviation(call).unwrap_or(theirs);
        assert_eq!(
            ours,
            expected,
            "{call:x?}: libseccomp says {theirs:#x}\n{}",
            serde_json::to_string(&self.profile).unwrap()
        );
    }

    /// Where we mean to differ, and how.
    fn deviation(&self, call: Call) -> Option<u32> {
        let default = self.profile.default_action().as_u32(self.profile.default_errno_ret());
        let is_x32 = call.arch == X86_64 && call.nr >= X32;
        // An x32 that the profile does not open: libseccomp kills the thread (and lets -1 have the default); we say
        // ENOSYS, as runc's own stub in front of libseccomp's filter does, and as a kernel without x32 does.
        if is_x32 && !self.opens(Arch::ScmpArchX32) {
            return Some(ENOSYS);
        }
        // Calls beyond the last one that the profile names: runc's stub again, for libseccomp has none.
        let abi = match call.arch {
            X86_64 if is_x32 => 2,
            X86_64 => 0,
            I386 if self.opens(Arch::ScmpArchX86) => 1,
            _ => return None,
        };
        let is_error = default & 0xffff_0000 == 0x0005_0000;
        (is_error && self.last[abi].is_none_or(|last| call.nr > last)).then_some(ENOSYS)
    }
}

const ABIS: [Arch; 3] = [Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32];

/// The highest number that the profile names; calls that this libseccomp is too old to know count as well.
fn last(oracle: &Oracle, profile: &LinuxSeccomp, abi: Arch) -> Option<u32> {
    let names = profile.syscalls().iter().flatten().flat_map(LinuxSyscall::names);
    let base = if abi == Arch::ScmpArchX32 { X32 } else { 0 };
    names.filter_map(|name| oracle.number(abi, name).or_else(|| recent(name).map(|nr| nr | base))).max()
}

/// Calls that libseccomp 2.5.4 does not know; their numbers are the same on x86-64 and i386.
const RECENT: [(&str, u32); 17] = [
    ("cachestat", 451),
    ("fchmodat2", 452),
    ("map_shadow_stack", 453),
    ("futex_wake", 454),
    ("futex_wait", 455),
    ("futex_requeue", 456),
    ("statmount", 457),
    ("listmount", 458),
    ("lsm_get_self_attr", 459),
    ("lsm_set_self_attr", 460),
    ("lsm_list_modules", 461),
    ("mseal", 462),
    ("setxattrat", 463),
    ("getxattrat", 464),
    ("listxattrat", 465),
    ("removexattrat", 466),
    ("uretprobe", 335),
];

fn recent(name: &str) -> Option<u32> {
    RECENT.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

fn every_number() -> impl Iterator<Item = (u32, u32)> {
    let numbers = (0..=600).chain([1000, 0x3fff_ffff]);
    let x32 = (X32..=X32 + 600).chain([0x7fff_ffff, 0x8000_0000, u32::MAX]);
    let native = numbers.clone().chain(x32).map(|nr| (X86_64, nr));
    let i386 = numbers.chain([X32, u32::MAX]).map(|nr| (I386, nr));
    native.chain(i386).chain([(0xc000_00b7, 1), (0x4000_0028, 1), (0, 1)])
}

fn profile(default: &str, arches: &str, rules: &str) -> String {
    format!(r#"{{"defaultAction":"{default}","architectures":[{arches}],"syscalls":[{rules}]}}"#)
}

const ARCHES: [&str; 4] =
    ["", r#""SCMP_ARCH_X86""#, r#""SCMP_ARCH_X32""#, r#""SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32""#];

/// Rules on `socket` leave i386's multiplexer alone in these tests: it has one of its own.
fn rule(name: &str, action: &str, args: &[(usize, &str, u64, u64)]) -> String {
    let args: Vec<String> = args
        .iter()
        .map(|(i, op, value, two)| {
            format!(r#"{{"index":{i},"value":{value},"valueTwo":{two},"op":"SCMP_CMP_{op}"}}"#)
        })
        .collect();
    format!(r#"{{"names":["{name}"],"action":"SCMP_ACT_{action}","args":[{}]}}"#, args.join(","))
}

// --------------------------------------------------------------------------------------------------- the tests

#[test]
fn every_number_has_the_same_verdict() {
    let Some(oracle) = Oracle::open("every_number_has_the_same_verdict") else {
        return;
    };
    let names = r#""read","write","openat2","clone","clone3","getpid","ioctl","rt_sigaction","execve","mmap2","stat64",
        "_llseek","futex_time64","arch_prctl","set_mempolicy_home_node","out_of_cheese","s390_sthyi""#;
    let rules = format!(
        r#"{{"names":[{names}],"action":"SCMP_ACT_ALLOW"}},
           {{"names":["mount","unshare","swapon"],"action":"SCMP_ACT_KILL_PROCESS"}},
           {{"names":["keyctl"],"action":"SCMP_ACT_TRACE","errnoRet":7}},
           {{"names":["bpf"],"action":"SCMP_ACT_ERRNO","errnoRet":38}},
           {{"names":["acct"],"action":"SCMP_ACT_ERRNO"}},{{"names":["reboot"],"action":"SCMP_ACT_TRAP"}},
           {{"names":["umask"],"action":"SCMP_ACT_LOG"}},{{"names":["kexec_load"],"action":"SCMP_ACT_KILL"}}"#
    );
    for default in [
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_KILL",
        "SCMP_ACT_KILL_PROCESS",
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_LOG",
        "SCMP_ACT_TRAP",
    ] {
        for arches in ARCHES {
            let pair = Pair::new(&oracle, &profile(default, arches, &rules));
            for (arch, nr) in every_number() {
                pair.check(Call { nr, arch, args: [0; 6] });
            }
        }
    }
}

#[test]
fn every_operator_has_the_same_verdict_at_the_borders() {
    let Some(oracle) = Oracle::open("every_operator_has_the_same_verdict_at_the_borders") else {
        return;
    };
    for op in ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"] {
        for value in EDGES {
            for two in if op == "MASKED_EQ" { &EDGES[..] } else { &[0] } {
                let rules = rule("ioctl", "ALLOW", &[(1, op, value, *two)]);
                let pair = Pair::new(&oracle, &profile("SCMP_ACT_KILL", r#""SCMP_ARCH_X86""#, &rules));
                for actual in EDGES {
                    let args = [0, actual, 0, 0, 0, 0];
                    pair.check(Call { nr: 16, arch: X86_64, args });
                    // The kernel hands i386 arguments over with a high word of zeros. Order against a value that
                    // does not fit: libseccomp cuts the value, so that `> 0x1_0000_0005` holds for 6. We don't.
                    let is_cut = matches!(op, "LT" | "LE" | "GE" | "GT") && value > u64::from(u32::MAX);
                    if u32::try_from(actual).is_ok() && !is_cut {
                        pair.check(Call { nr: 54, arch: I386, args });
                    }
                }
            }
        }
    }
}

#[test]
fn order_on_i386_is_not_cut_to_32_bits() {
    let Some(oracle) = Oracle::open("order_on_i386_is_not_cut_to_32_bits") else {
        return;
    };
    let rules = rule("ioctl", "ALLOW", &[(1, "GT", 0x1_0000_0005, 0)]);
    let pair = Pair::new(&oracle, &profile("SCMP_ACT_KILL", r#""SCMP_ARCH_X86""#, &rules));
    let call = Call { nr: 54, arch: I386, args: [0, 6, 0, 0, 0, 0] };
    assert_eq!(run(&pair.theirs, &call), 0x7fff_0000, "libseccomp changed: drop the deviation");
    assert_eq!(run(&pair.ours, &call), KILL_THREAD);
}

#[test]
fn x32_arguments_are_compared_whole() {
    let Some(oracle) = Oracle::open("x32_arguments_are_compared_whole") else {
        return;
    };
    let rules = rule("lseek", "ALLOW", &[(1, "EQ", 5, 0)]);
    let pair = Pair::new(&oracle, &profile("SCMP_ACT_KILL", r#""SCMP_ARCH_X32""#, &rules));
    let call = |actual| Call { nr: X32 | 8, arch: X86_64, args: [0, actual, 0, 0, 0, 0] };
    // x32 passes 64-bit registers, and the kernel looks at all of them; libseccomp compares half.
    assert_eq!(
        run(&pair.theirs, &call(0x1_0000_0005)),
        0x7fff_0000,
        "libseccomp changed: drop the deviation"
    );
    assert_eq!(run(&pair.ours, &call(0x1_0000_0005)), KILL_THREAD);
    assert_eq!(run(&pair.ours, &call(5)), 0x7fff_0000);
}

#[test]
fn two_and_three_conditions_and_several_rules_have_the_same_verdict() {
    let Some(oracle) = Oracle::open("two_and_three_conditions_and_several_rules_have_the_same_verdict")
    else {
        return;
    };
    let low = 0xffff_ffff;
    let cases = [
        rule("ioctl", "ALLOW", &[(0, "EQ", 5, 0), (1, "NE", 6, 0)]),
        rule("ioctl", "ALLOW", &[(0, "GE", 5, 0), (1, "LT", 6, 0), (2, "MASKED_EQ", 4, 4)]),
        rule("ioctl", "ALLOW", &[(2, "GT", 0xffff_ffff, 0), (0, "MASKED_EQ", low, 1)]),
        [rule("ioctl", "ALLOW", &[(0, "EQ", 5, 0)]), rule("ioctl", "ALLOW", &[(1, "EQ", 6, 0)])].join(","),
        [
            rule("ioctl", "ALLOW", &[(0, "EQ", 1, 0), (1, "EQ", 1, 0)]),
            rule("ioctl", "ALLOW", &[(0, "EQ", 1, 0), (1, "EQ", 4, 0)]),
            rule("ioctl", "ALLOW", &[(2, "GE", 5, 0)]),
        ]
        .join(","),
        // Two conditions on one argument: alternatives, for runc.
        rule("ioctl", "ALLOW", &[(0, "EQ", 5, 0), (0, "EQ", 6, 0)]),
        // A denial among what is allowed: the strictest wins.
        [rule("ioctl", "TRAP", &[(1, "MASKED_EQ", low, 5)]), rule("ioctl", "ALLOW", &[(1, "GE", 0, 0)])]
            .join(","),
        [rule("ioctl", "ALLOW", &[(1, "EQ", 5, 0)]), rule("ioctl", "LOG", &[])].join(","),
        [rule("ioctl", "LOG", &[]), rule("ioctl", "ALLOW", &[(1, "EQ", 5, 0)])].join(","),
        [rule("ioctl", "LOG", &[]), rule("ioctl", "ALLOW", &[])].join(","),
        rule("ioctl", "ALLOW", &[(1, "MASKED_EQ", 0, 7)]),
    ];
    for rules in cases {
        let pair = Pair::new(&oracle, &profile("SCMP_ACT_KILL", r#""SCMP_ARCH_X86""#, &rules));
        for a in EDGES {
            for b in EDGES {
                for c in [0, 4, 5, 0x1_0000_0000] {
                    let args = [a, b, c, 0, 0, 0];
                    pair.check(Call { nr: 16, arch: X86_64, args });
                    if args.iter().all(|value| u32::try_from(*value).is_ok()) && !rules.contains("4294967296")
                    {
                        pair.check(Call { nr: 54, arch: I386, args });
                    }
                }
            }
        }
    }
}

/// What a random profile may hold.
struct Shape {
    rules_at_most: usize,
    conditions_at_most: usize,
    operators: &'static [&'static str],
    values: &'static [u64],
}

const OPERATORS: [&str; 7] = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];

/// Profiles of which libseccomp makes what they say.
const AGREED: [Shape; 3] = [
    Shape { rules_at_most: 1, conditions_at_most: 3, operators: &OPERATORS, values: &EDGES },
    Shape { rules_at_most: 6, conditions_at_most: 3, operators: &["EQ", "MASKED_EQ"], values: &EDGES },
    Shape { rules_at_most: 6, conditions_at_most: 1, operators: &OPERATORS, values: EDGES.split_at(8).0 },
];

#[test]
fn random_profiles_have_the_same_verdict() {
    let Some(oracle) = Oracle::open("random_profiles_have_the_same_verdict") else {
        return;
    };
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for shape in &AGREED {
        for _ in 0..300 {
            let pair = Pair::new(&oracle, &random_profile(&mut dice, shape));
            for _ in 0..200 {
                pair.check(random_call(&mut dice, shape));
            }
        }
    }
}

/// libseccomp 2.5.4 merges several rules of one call into one tree of 32-bit comparisons, and goes wrong where they
/// meet in a high word, or where NE, LT, LE, GE or GT stand in several rules of several conditions (it may not even
/// come to an end). There we stay with what the profile says: the compiler's own tests hold it against a naive reader.
#[test]
fn where_libseccomp_merges_rules_wrongly_the_profile_decides() {
    let Some(oracle) = Oracle::open("where_libseccomp_merges_rules_wrongly_the_profile_decides") else {
        return;
    };
    let high_words =
        [rule("ioctl", "ALLOW", &[(0, "GE", 0x1_0000_0005, 0)]), rule("ioctl", "ALLOW", &[(0, "LT", 5, 0)])];
    let several = [
        rule("ioctl", "ALLOW", &[(0, "NE", 0, 0), (1, "NE", 6, 0), (2, "NE", 0xffff_fffe, 0)]),
        rule("ioctl", "ALLOW", &[(0, "NE", 0xffff_ffff, 0), (2, "NE", 1, 0)]),
    ];
    // Neither rule of either profile holds.
    for (rules, args) in [(high_words, [6, 0, 0, 0, 0, 0]), (several, [0, 1, 1, 0, 0, 0])] {
        let pair = Pair::new(&oracle, &profile("SCMP_ACT_KILL_PROCESS", "", &rules.join(",")));
        let call = Call { nr: 16, arch: X86_64, args };
        assert_eq!(run(&pair.theirs, &call), 0x7fff_0000, "libseccomp changed: drop the deviation");
        assert_eq!(run(&pair.ours, &call), 0x8000_0000);
    }
}

/// At most as many rules as the shape says, for each of two calls.
fn random_profile(dice: &mut Dice, shape: &Shape) -> String {
    let mut rules = Vec::new();
    for name in ["ioctl", "fcntl"] {
        for _ in 0..=dice.below(shape.rules_at_most) {
            rules.push(random_rule(dice, shape, name));
        }
    }
    profile("SCMP_ACT_KILL_PROCESS", "", &rules.join(","))
}

fn random_rule(dice: &mut Dice, shape: &Shape, name: &str) -> String {
    let count = 1 + dice.below(shape.conditions_at_most);
    let first = dice.below(3);
    let args: Vec<_> = (first..first + count)
        .map(|i| (i % 3, *dice.pick(shape.operators), *dice.pick(shape.values), *dice.pick(shape.values)))
        .collect();
    rule(name, "ALLOW", &args)
}

fn random_call(dice: &mut Dice, shape: &Shape) -> Call {
    let args = [*dice.pick(shape.values), *dice.pick(shape.values), *dice.pick(shape.values), 0, 0, 0];
    Call { nr: *dice.pick(&[16, 72]), arch: X86_64, args }
}

/// Xorshift: the same profiles in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn pick<'s, T>(&mut self, from: &'s [T]) -> &'s T {
        &from[self.below(from.len())]
    }
}

#[test]
fn i386_multiplexers_have_the_same_verdict_where_arguments_can_be_checked() {
    let Some(oracle) = Oracle::open("i386_multiplexers_have_the_same_verdict_where_arguments_can_be_checked")
    else {
        return;
    };
    let (socketcall, ipc) = (102, 117);
    let first = |nr, value| Call { nr, arch: I386, args: [value, 0, 0, 0, 0, 0] };
    let free =
        [rule("bind", "ALLOW", &[]), rule("sendmmsg", "ALLOW", &[]), rule("shmat", "ALLOW", &[])].join(",");
    let pair = Pair::new(&oracle, &profile("SCMP_ACT_KILL", r#""SCMP_ARCH_X86""#, &free));
    for value in 0..64 {
        pair.check(first(socketcall, value));
        pair.check(first(ipc, value));
    }
    // The high half of ipc's first argument is a version, which the kernel cuts off, and libseccomp does not.
    assert_eq!(
        run(&pair.theirs, &first(ipc, 0x1_0015)),
        KILL_THREAD,
        "libseccomp changed: drop the deviation"
    );
    assert_eq!(run(&pair.ours, &first(ipc, 0x1_0015)), 0x7fff_0000);

    // libseccomp overwrites the condition on `socket`'s first argument with the multiplexer's own: it allows all.
    let conditional = rule("socket", "ALLOW", &[(0, "EQ", 1, 0)]);
    let pair = Pair::new(&oracle, &profile("SCMP_ACT_KILL", r#""SCMP_ARCH_X86""#, &conditional));
    assert_eq!(
        run(&pair.theirs, &first(socketcall, 1)),
        0x7fff_0000,
        "libseccomp changed: drop the deviation"
    );
    assert_eq!(run(&pair.ours, &first(socketcall, 1)), KILL_THREAD);
}

#[test]
fn the_default_profile_has_the_same_verdict() {
    let Some(oracle) = Oracle::open("the_default_profile_has_the_same_verdict") else {
        return;
    };
    for capabilities in
        [&[][..], &["CAP_SYS_ADMIN"], &["CAP_SYS_PTRACE", "CAP_SYS_CHROOT", "CAP_BPF", "CAP_SYS_NICE"]]
    {
        let capabilities: BTreeSet<&str> = capabilities.iter().copied().collect();
        let pair = Pair::new(&oracle, default_profile(&capabilities).get());
        let unknown: BTreeSet<u32> =
            RECENT.iter().filter(|(name, _)| !knows(&oracle, name)).map(|(_, nr)| *nr).collect();
        for (arch, nr) in every_number().filter(|(_, nr)| !unknown.contains(nr)) {
            for value in [
                0,
                2,
                8,
                16,
                38,
                40,
                64,
                0x5412,
                0x541c,
                0x2_0008,
                0x1000_0000,
                0xffff_ffff,
                0xdead_0000_5412,
            ] {
                let value = if arch == I386 { value & 0xffff_ffff } else { value };
                pair.check(Call { nr, arch, args: [value, value, 0, 0, 0, 0] });
            }
        }
    }
}

fn knows(oracle: &Oracle, name: &str) -> bool {
    oracle.number(Arch::ScmpArchX86_64, name).is_some()
}

#[test]
fn the_default_profile_denies_input_injection_in_any_disguise() {
    let program = compile(default_profile(&BTreeSet::<&str>::new()).get());
    assert_eq!(program.unknown_names, Vec::<String>::new());
    for high in [0, 1, 0xffff_ffff, 0xdead_beef] {
        for (request, verdict) in [(0x5412, 0x0005_0005), (0x541c, 0x0005_0019), (0x5413, 0x7fff_0000)] {
            let args = [0, (high << 32) | request, 0, 0, 0, 0];
            assert_eq!(run(program.filter(), &Call { nr: 16, arch: X86_64, args }), verdict, "{args:x?}");
        }
    }
}

#[test]
fn operators_are_numbered_as_in_seccomp_h() {
    let numbers = [
        Op::ScmpCmpNe,
        Op::ScmpCmpLt,
        Op::ScmpCmpLe,
        Op::ScmpCmpEq,
        Op::ScmpCmpGe,
        Op::ScmpCmpGt,
        Op::ScmpCmpMaskedEq,
    ];
    assert_eq!(numbers.map(|op| op as c_int), [1, 2, 3, 4, 5, 6, 7]);
}

// ------------------------------------------------------------------------------------------------- the kernel

/// How a child ended that loaded `program` and made one call.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The call's error number; 0 for success.
    Errno(i32),
    Signal(i32),
}

/// Forks a child that loads `program` and runs `call`, which returns as system calls do (negative: error number).
fn in_the_kernel(program: &[sock_filter], call: impl FnOnce() -> i64) -> Outcome {
    let fprog =
        libc::sock_fprog { len: u16::try_from(program.len()).unwrap(), filter: program.as_ptr().cast_mut() };
    // SAFETY: the child makes system calls only, and leaves by `_exit`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: `fprog` points to a program that outlives the calls.
        unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            if libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const fprog) != 0 {
                libc::_exit(255);
            }
            let result = call();
            libc::_exit(i32::try_from((-result).clamp(0, 254)).unwrap_or(254));
        }
    }
    let mut status = 0;
    // SAFETY: the child is ours.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    if libc::WIFSIGNALED(status) {
        return Outcome::Signal(libc::WTERMSIG(status));
    }
    assert_ne!(libc::WEXITSTATUS(status), 255, "the kernel refused the program");
    Outcome::Errno(libc::WEXITSTATUS(status))
}

/// A raw call: the result, or the negative error number.
fn raw(number: i64, args: [u64; 3]) -> i64 {
    // SAFETY: the tests' calls pass no pointers but null.
    let result = unsafe { libc::syscall(number, args[0], args[1], args[2]) };
    // SAFETY: errno is the thread's own.
    if result == -1 { -i64::from(unsafe { *libc::__errno_location() }) } else { result }
}

/// A call through i386's gate.
fn int80(number: u32) -> i64 {
    let result: u64;
    // SAFETY: `int 0x80` keeps all registers but rax (and r8 to r11, on old kernels).
    unsafe {
        std::arch::asm!("int 0x80", inlateout("rax") u64::from(number) => result, out("r8") _, out("r9") _,
            out("r10") _, out("r11") _);
    }
    result.cast_signed()
}

#[test]
fn the_kernel_takes_the_default_profile_and_agrees() {
    let program = compile(default_profile(&BTreeSet::<&str>::new()).get()).instructions;
    let errno = |number, args| in_the_kernel(&program, || raw(number, args));
    for (call, number, args, expected) in [
        ("sched_yield", libc::SYS_sched_yield, [0, 0, 0], 0),
        ("mount", libc::SYS_mount, [0, 0, 0], libc::EPERM),
        ("unshare", libc::SYS_unshare, [0, 0, 0], libc::EPERM),
        ("keyctl", libc::SYS_keyctl, [0, 0, 0], libc::EPERM),
        ("clone, new user namespace", libc::SYS_clone, [0x1000_0000, 0, 0], libc::EPERM),
        ("clone3", libc::SYS_clone3, [0, 0, 0], libc::ENOSYS),
        ("TIOCSTI", libc::SYS_ioctl, [99, 0x5412, 0], libc::EIO),
        ("TIOCSTI with high bits", libc::SYS_ioctl, [99, 0xdead_0000_5412, 0], libc::EIO),
        ("TIOCLINUX", libc::SYS_ioctl, [99, 0x541c, 0], libc::ENOTTY),
        ("TIOCGWINSZ on no descriptor", libc::SYS_ioctl, [99, 0x5413, 0], libc::EBADF),
        ("AF_VSOCK", libc::SYS_socket, [40, 1, 0], libc::EPERM),
        ("AF_ALG", libc::SYS_socket, [38, 1, 0], libc::EPERM),
        ("personality: which?", libc::SYS_personality, [0xffff_ffff, 0, 0], 0),
        ("personality: ADDR_NO_RANDOMIZE", libc::SYS_personality, [0x4_0000, 0, 0], libc::EPERM),
        ("a call of the future", 4000, [0, 0, 0], libc::ENOSYS),
        ("x32 getpid", 0x4000_0027, [0, 0, 0], libc::ENOSYS),
    ] {
        assert_eq!(errno(number, args), Outcome::Errno(expected), "{call}");
    }
}

#[test]
fn the_kernel_kills_an_i386_call_that_the_profile_does_not_open() {
    let getpid = 20;
    let open = compile(&profile("SCMP_ACT_ALLOW", r#""SCMP_ARCH_X86""#, ""));
    if let Outcome::Signal(signal) = in_the_kernel(open.filter(), || int80(getpid).min(0)) {
        let _ =
            writeln!(std::io::stderr(), "SKIPPED int 0x80: this kernel has no i386 calls (signal {signal})");
        return;
    }
    let closed = compile(&profile("SCMP_ACT_ALLOW", "", ""));
    assert_eq!(in_the_kernel(closed.filter(), || int80(getpid)), Outcome::Signal(libc::SIGSYS));

    let denied = compile(default_profile(&BTreeSet::<&str>::new()).get());
    let unshare = 310;
    assert_eq!(in_the_kernel(denied.filter(), || int80(unshare)), Outcome::Errno(libc::EPERM));
}

#[test]
fn the_kernel_takes_programs_with_long_jumps() {
    let rules: Vec<String> = (0..300).map(|i| rule("ioctl", "ALLOW", &[(1, "EQ", i << 32, 0)])).collect();
    let rules = format!("{},{}", rules.join(","), rule("exit_group", "ALLOW", &[]));
    let program = compile(&profile("SCMP_ACT_ERRNO", "", &rules)).instructions;
    assert_eq!(
        in_the_kernel(&program, || raw(libc::SYS_ioctl, [99, 299 << 32, 0])),
        Outcome::Errno(libc::EBADF)
    );
    assert_eq!(
        in_the_kernel(&program, || raw(libc::SYS_ioctl, [99, 300 << 32, 0])),
        Outcome::Errno(libc::EPERM)
    );
}
