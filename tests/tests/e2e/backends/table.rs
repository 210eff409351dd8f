//! The table: every case on every backend.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::cases::*;
use super::differences::instead;
use super::{Backend, Subject, named};

/// A name, and what is tried under it.
pub(super) type Case = (&'static str, fn(&Subject));

pub(super) const CASES: &[Case] = &[
    ("exit codes", exit_codes),
    ("missing programs", missing_programs),
    ("a file that is no program", no_program),
    ("environment", environment),
    ("user and groups", user),
    ("working directory", working_directory),
    ("host and domain name", names),
    ("umask and rlimits", umask_and_rlimits),
    ("read-only root", read_only_root),
    ("an image with a device", device_in_the_image),
    ("volumes, read-only and writable", volumes),
    ("a mount below a read-only volume", submount),
    ("an id-mapped volume", id_mapped_volume),
    ("tmpfs", tmpfs),
    ("secrets as files", secrets),
    ("devices by name", devices),
    ("context, copied and bound", context),
    ("capabilities and seccomp", rights),
    ("masked and read-only kernel files", kernel_files),
    ("memory limit", memory_limit),
    ("limit of processes", pids_limit),
    ("own loopback and no other network", network),
    ("the host's network, and a joined one", other_networks),
    ("user namespace", user_namespace),
    ("kernel parameters and the out-of-memory score", parameters),
    ("signals are forwarded", signals),
    ("death by signal", death_by_signal),
    ("terminal", terminal),
    ("exec", exec),
    ("exec on a terminal", exec_on_a_terminal),
    ("pause, resume, update, ps, stats", operations),
    ("standard streams stay apart", streams),
    ("standard input ends", input_ends),
    ("10 MB through a pipe", ten_megabytes),
    ("a container that an engine makes", made_for_an_engine),
    ("a terminal for an engine", console_socket),
    ("the out-of-memory killer is told of", out_of_memory),
    ("hooks of an engine's document", hooks),
    ("descriptors beyond the standard three", descriptors),
    ("kill -9 of nucleus", killed_nucleus),
];

/// Goes on after a failure, and names all that failed.
pub(super) fn run(backend: Backend, cases: &[Case]) {
    let failed: Vec<&str> = cases
        .iter()
        .filter(|(name, case)| {
            let case = instead(backend, name).unwrap_or(*case);
            eprintln!("--- {backend:?}: {name}");
            catch_unwind(AssertUnwindSafe(|| case(&Subject::new(backend)))).is_err()
        })
        .map(|(name, _)| *name)
        .collect();
    assert!(failed.is_empty(), "{backend:?} fails at: {failed:?}");
}

#[test]
fn native_namespace() {
    run(Backend::Native, CASES);
}

#[test]
fn native_namespace_from_its_file() {
    run(Backend::Loaded, CASES);
}

#[test]
fn oci_runtime_with_crun() {
    run(Backend::Crun, CASES);
}

#[test]
fn oci_runtime_with_runc() {
    run(Backend::Runc, CASES);
}

#[test]
fn oci_runtime_with_another() {
    match named() {
        Some(_) => run(Backend::Named, CASES),
        None => nucleus_tests::skip("NUCLEUS_TEST_OCI_RUNTIME names no runtime beside crun and runc"),
    }
}

/// Every case whose number has the remainder `part`: a start under gVisor takes a while, and a test has two minutes.
fn run_quarter(backend: Backend, part: usize) {
    let cases: Vec<Case> = CASES.iter().skip(part).step_by(4).copied().collect();
    run(backend, &cases);
}

#[test]
fn gvisor_runsc_one_of_four() {
    run_quarter(Backend::Runsc, 0);
}

#[test]
fn gvisor_runsc_two_of_four() {
    run_quarter(Backend::Runsc, 1);
}

#[test]
fn gvisor_runsc_three_of_four() {
    run_quarter(Backend::Runsc, 2);
}

#[test]
fn gvisor_runsc_four_of_four() {
    run_quarter(Backend::Runsc, 3);
}

#[test]
fn gvisor_runsc_of_the_backports_one_of_four() {
    run_quarter(Backend::LaterRunsc, 0);
}

#[test]
fn gvisor_runsc_of_the_backports_two_of_four() {
    run_quarter(Backend::LaterRunsc, 1);
}

#[test]
fn gvisor_runsc_of_the_backports_three_of_four() {
    run_quarter(Backend::LaterRunsc, 2);
}

#[test]
fn gvisor_runsc_of_the_backports_four_of_four() {
    run_quarter(Backend::LaterRunsc, 3);
}
