//! The cases, by what they are about.

mod exec;
mod hook;
mod life;
mod operations;
mod order;
mod process;
mod report;
mod trials;

use std::path::Path;

use nucleus_abi::Kind;

use crate::subject::{Subject, Trial, fault};

/// One thing that a plugin must do, or not do.
#[derive(Debug)]
pub struct Case {
    /// What it is about, in words.
    pub name: &'static str,
    /// Whom it concerns.
    pub kind: Kind,
    pub(crate) run: fn(&Subject) -> Trial,
}

const fn backend(name: &'static str, run: fn(&Subject) -> Trial) -> Case {
    Case { name, kind: Kind::Backend, run }
}

const fn hook(name: &'static str, run: fn(&Subject) -> Trial) -> Case {
    Case { name, kind: Kind::Hook, run }
}

/// Every case, in the order in which they are performed.
pub fn cases() -> &'static [Case] {
    CASES
}

const CASES: &[Case] = &[
    backend("it describes itself", process::describes),
    backend("no thread before the fork, no descriptor kept", process::threads_and_descriptors),
    backend("options that it does not know are refused", process::unknown_options),
    backend("a verb of a hook is not supported", process::foreign_verb),
    backend("the report answers what is asked, always the same", report::answers),
    backend("exit codes", life::exit_codes),
    backend("standard input and output", life::streams),
    backend("created, running, stopped", life::states),
    backend("the gate: a sandbox dies with it", life::gate),
    backend("a program that does not exist", life::missing_program),
    backend("delete, twice", life::deleted_twice),
    backend("delete while it runs", life::deleted_running),
    backend("delete before create", life::deleted_half_made),
    backend("delete of what never was", life::deleted_unknown),
    backend("each verb from a process of its own", life::other_processes),
    backend("after SIGKILL of its maker", life::killed_maker),
    backend("two containers at once", life::concurrent),
    backend("nothing is written into the root file system", life::untouched_rootfs),
    backend("start twice, and after the end", order::start_twice),
    backend("verbs about a container that nobody made", order::unknown_container),
    backend("verbs about a container that has ended", order::ended_container),
    backend("signals to the first process", life::signals),
    backend("death by signal", life::killed),
    backend("exec", exec::exec),
    backend("exec of a program that does not exist", exec::missing_program),
    backend("processes", operations::processes),
    backend("pause and resume", operations::pause),
    backend("stats", operations::stats),
    backend("features", operations::features),
    backend("yes to namespaces", trials::namespaces),
    backend("yes to a read-only root", trials::readonly_rootfs),
    backend("yes to volumes", trials::volumes),
    backend("yes to mount flags", trials::mount_flags),
    backend("yes to tmpfs", trials::tmpfs),
    backend("yes to hidden and read-only kernel files", trials::kernel_files),
    backend("yes to user and groups", trials::user),
    backend("yes to the umask", trials::umask),
    backend("yes to resource limits of processes", trials::rlimits),
    backend("yes to the out-of-memory score", trials::oom_score),
    backend("yes to the host name", trials::hostname),
    backend("yes to kernel parameters", trials::sysctls),
    backend("yes to capability sets", trials::capabilities),
    backend("yes to no new privileges", trials::no_new_privileges),
    backend("yes to a system call filter", trials::seccomp),
    backend("yes to a limit on memory", trials::memory),
    backend("yes to a limit on processes", trials::pids),
    backend("yes to no network but its own", trials::network_none),
    backend("yes to the host's network", trials::network_host),
    hook("it describes itself", hook::describes),
    hook("it answers at each point", hook::points),
    hook("it answers twice, and keeps nothing in between", hook::twice),
    hook("a verb of a backend is not supported", hook::foreign_verb),
    hook("it leaves no thread and no descriptor", hook::threads_and_descriptors),
];

/// Goes on with a case in another process.
pub(crate) fn continued(subject: &Subject, step: &str, container: &Path) -> Trial {
    match step {
        "verbs" => life::verbs_elsewhere(subject, container),
        "make" => life::make_and_hang(subject, container),
        other => fault(format!("there is no step {other}")),
    }
}
