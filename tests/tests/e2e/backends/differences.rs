//! What a backend does otherwise, with the reason, and what it does in place of it.

use super::gvisor_cases as gvisor;
use super::{Backend, Subject};

struct Difference {
    backend: Backend,
    case: &'static str,
    /// Why; printed when the case is run.
    reason: &'static str,
    instead: fn(&Subject),
}

const NO_PROGRAM: Difference = Difference {
    backend: Backend::Runc,
    case: "a file that is no program",
    reason: "the runtime finds out after its `start`, and tells nobody but the workload's standard error",
    instead: |subject| {
        let output = super::cases::run_no_program(subject).output();
        assert!(output.code() != Some(0), "{output}");
        assert!(output.stderr.to_lowercase().contains("exec format error"), "{output}");
    },
};

const LATE_SIZE: Difference = Difference {
    backend: Backend::Crun,
    case: "exec on a terminal",
    reason: "crun 1.8 does not apply `consoleSize` in `exec`: the size comes when nucleus has the terminal",
    instead: |subject| {
        let script = "while [ \"$(stty size)\" = '0 0' ]; do sleep 0.02; done; stty size; exit 6";
        super::cases::exec_stty(subject, "", script);
    },
};

const DIFFERENCES: &[Difference] =
    &[NO_PROGRAM, Difference { backend: Backend::Crun, ..NO_PROGRAM }, LATE_SIZE];

/// A case's name, why it differs, and what is tried in its place.
type Otherwise = (&'static str, &'static str, fn(&Subject));

/// What both of Debian's releases of runsc do otherwise.
const OF_GVISOR: &[Otherwise] = &[
    ("umask and rlimits", "its kernel starts every process with 0022", gvisor::umask_and_rlimits),
    ("host and domain name", "its kernel has a domain name of its own", gvisor::names),
    (
        "an image with a device",
        "its gofer does not show device nodes of the image",
        gvisor::device_in_the_image,
    ),
    ("devices by name", "it has devices of its own and no others", gvisor::devices),
    (
        "capabilities and seccomp",
        "its /proc does not tell of no_new_privs, which always holds",
        gvisor::rights,
    ),
    (
        "limit of processes",
        "the limit counts the threads of the sandbox, which has more than the case's",
        gvisor::pids_limit,
    ),
    ("own loopback and no other network", "it has no /sys/class/net", gvisor::network),
    (
        "the host's network, and a joined one",
        "names of namespaces inside are its kernel's own",
        gvisor::host_network,
    ),
    ("user namespace", "its kernel shows no maps of the profile's", gvisor::user_namespace),
    ("kernel parameters and the out-of-memory score", "runsc passes over parameters", gvisor::parameters),
    ("a terminal for an engine", "a terminal's name is not found inside", gvisor::console_socket),
    (
        "the out-of-memory killer is told of",
        "it ends the sandbox itself, and with it the container: the limit holds",
        super::cases::memory_limit,
    ),
    ("terminal", "a terminal's name is not found inside", gvisor::terminal),
    ("exec on a terminal", "the process begins before its terminal has a size", gvisor::exec_on_a_terminal),
    ("exec", "runsc filters no calls of processes that `exec` adds", gvisor::exec),
    ("pause, resume, update, ps, stats", "runsc has no `update`", gvisor::operations),
    (
        "hooks of an engine's document",
        "its `delete` waits until somebody has reaped the sandbox",
        gvisor::hooks,
    ),
    ("descriptors beyond the standard three", "runsc passes none on", gvisor::descriptors),
    (
        "a false file of procfs",
        "runsc passes over parameters",
        super::escapes::false_procfs_without_parameters,
    ),
];

/// What is tried on a backend in place of a case.
pub(super) fn instead(backend: Backend, case: &str) -> Option<fn(&Subject)> {
    if matches!(backend, Backend::Runsc | Backend::LaterRunsc) {
        let (_, reason, instead) = OF_GVISOR.iter().find(|(name, ..)| *name == case)?;
        eprintln!("differs: {reason}");
        return Some(*instead);
    }
    let found = DIFFERENCES.iter().find(|one| one.backend == backend && one.case == case)?;
    eprintln!("differs: {}", found.reason);
    Some(found.instead)
}

#[test]
fn every_difference_belongs_to_a_case() {
    let of_gvisor = OF_GVISOR.iter().map(|(case, ..)| *case);
    for case in DIFFERENCES.iter().map(|difference| difference.case).chain(of_gvisor) {
        let mut cases = super::table::CASES.iter().chain(super::escapes::ESCAPES);
        assert!(cases.any(|(name, _)| *name == case), "{case}");
    }
}
