//! `nucleus run`, in both readings: a positional id means an OCI bundle.

use clap::ArgMatches;
use nucleus_abi::{ContainerId, Error, ErrorCode, ExitStatus};
use nucleus_core::bundle::preview;
use nucleus_core::lifecycle::{self, Afterwards, Deletion, Handles, Reading, StateRoot, consult, examine};
use nucleus_core::plugins::Registry;
use nucleus_sys::program::let_go_of_code;
use rustix::rand::{GetRandomFlags, getrandom};

use super::{container, container_id, effective};
use crate::arguments::Invocation;
use crate::arguments::run::refuse_mixture;
use crate::output::{self, Failure};

pub(super) fn run(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    refuse_mixture(matches)?;
    if matches.contains_id("container") {
        run_bundle(invocation, matches)
    } else {
        run_plan(invocation, matches)
    }
}

/// The operator's reading: profile and options say what runs.
fn run_plan(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let registry = Registry::linked()?;
    let loaded = effective(invocation, matches)?;
    let mut examined = examine(&loaded, &registry, Reading::Operator, &invocation.root)?;
    let id = id(matches, &examined.plan.profile.value)?;
    if matches.get_flag("dry-run") {
        examined.foresee();
    } else if let Some(consulted) = consult(&loaded, &id, &output::warn)? {
        examined = examine(&consulted.loaded, &registry, Reading::Operator, &invocation.root)?;
    }
    examined.allow()?;
    examined.warnings().iter().for_each(|warning| output::warn(warning));
    if matches.get_flag("dry-run") {
        output::answer(&format!("{}\n", preview(&examined.plan, &id)?.get()))?;
        return Ok(0);
    }
    let program = examined.plan.process.command.value.first().cloned().unwrap_or_default();
    let how = (&Handles::default(), Afterwards::Remove);
    // Command line and profile are read: what read them is not needed for as long as the container lives.
    let_go_of_code();
    let status = lifecycle::run(&examined, &id, &invocation.root, &registry, how, &output::warn)?;
    Ok(exit_status(status, &program)?)
}

/// The OCI reading: the bundle says what runs.
fn run_bundle(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let (id, handles) = (container_id(matches)?, container::handles(invocation, matches)?);
    let registry = Registry::linked()?;
    let source = container::handed(invocation, matches, &registry)?;
    let root = &invocation.root;
    if matches.get_flag("detach") {
        handles.check_terminal(source.document().terminal)?;
        lifecycle::create(&source, &id, root, &registry, &handles, &output::warn)?;
        let started = lifecycle::start(&id, root, &registry, handles.notify.as_deref(), &output::warn);
        started.map_err(|error| after_failure(error, &id, root, &registry))?;
        return Ok(0);
    }
    handles.refuse_console_socket()?;
    let afterwards = if matches.get_flag("keep") { Afterwards::Keep } else { Afterwards::Remove };
    let status = lifecycle::run(&source, &id, root, &registry, (&handles, afterwards), &output::warn)?;
    Ok(exit_status(status, &source.document().program)?)
}

/// Nobody will come for a container whose `run` failed.
fn after_failure(error: Error, id: &ContainerId, root: &StateRoot, registry: &Registry) -> Error {
    match lifecycle::delete(id, root, registry, Deletion::Force, &output::warn) {
        Ok(()) => error,
        Err(more) => error.and([more]),
    }
}

/// The id that was asked for, or the profile's name with something new.
fn id(matches: &ArgMatches, profile: &str) -> Result<ContainerId, Error> {
    match matches.get_one::<String>("id") {
        Some(id) => id.parse(),
        None => new_id(profile),
    }
}

fn new_id(profile: &str) -> Result<ContainerId, Error> {
    let mut random = [0_u8; 8];
    getrandom(&mut random, GetRandomFlags::empty())
        .map_err(|errno| Error::new(ErrorCode::SystemCall, "make a container id").because(errno))?;
    let suffix = format!("{:012x}", u64::from_ne_bytes(random) >> 16);
    let name: String = profile.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    format!("{}-{suffix}", name.trim_start_matches('-')).trim_start_matches('-').parse()
}

/// The exit status for the workload's own end.
pub(super) fn exit_status(status: ExitStatus, program: &str) -> Result<u8, Error> {
    match status {
        ExitStatus::Exited { code } => Ok(code),
        ExitStatus::Signalled { signal } => Ok(u8::try_from(signal).unwrap_or(0).wrapping_add(128)),
        ExitStatus::NotExecuted { errno } => Err(not_executed(errno, program)),
        ExitStatus::Unknown => Err(Error::new(ErrorCode::Protocol, "tell how the workload ended")
            .on(program)
            .because("the backend does not know")),
    }
}

fn not_executed(errno: i32, program: &str) -> Error {
    let cause = std::io::Error::from_raw_os_error(errno);
    let error = |code| Error::new(code, "execute the workload's program").on(program).because(&cause);
    match cause.kind() {
        // The program itself was found before; what is missing is what it needs to run.
        std::io::ErrorKind::NotFound => error(ErrorCode::CommandNotFound).hint(
            "its interpreter (the `#!` line, or the dynamic linker) is missing in the root file system",
        ),
        _ => error(ErrorCode::CommandNotExecutable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_exit_statuses() {
        assert_eq!(exit_status(ExitStatus::Exited { code: 3 }, "x"), Ok(3));
        assert_eq!(exit_status(ExitStatus::Signalled { signal: 9 }, "x"), Ok(137));
        let error = exit_status(ExitStatus::NotExecuted { errno: 2 }, "x").unwrap_err();
        assert_eq!(error.code, ErrorCode::CommandNotFound);
        let error = exit_status(ExitStatus::NotExecuted { errno: 13 }, "x").unwrap_err();
        assert_eq!(error.code, ErrorCode::CommandNotExecutable);
    }

    #[test]
    fn a_new_id_carries_the_name_of_the_profile_as_far_as_an_id_can() {
        for profile in ["prod", "-- ../..", "", "ünïcode"] {
            let id = new_id(profile).unwrap();
            assert!(id.as_str().len() >= 12, "{id}");
        }
        assert!(new_id("prod").unwrap().as_str().starts_with("prod-"));
        assert_ne!(new_id("prod").unwrap(), new_id("prod").unwrap());
    }
}
