//! `nucleus checkpoint` and `nucleus restore`.

use clap::ArgMatches;
use nucleus_abi::Afterwards;
use nucleus_core::lifecycle::{self, Checkpoint, Handles, Restoration};
use nucleus_core::plugins::Registry;

use super::container::{path, restored};
use super::container_id;
use super::run::exit_status;
use crate::arguments::Invocation;
use crate::arguments::checkpoint::{page_server, place, refused};
use crate::output::{self, Failure};

pub(super) fn checkpoint(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let id = container_id(matches)?;
    if matches.contains_id("status-fd") {
        return Err(refused("--status-fd", "it belongs to --lazy-pages, which is refused too").into());
    }
    let wanted = Checkpoint {
        place: place(matches, invocation.criu.clone())?,
        afterwards: match (matches.get_flag("pre-dump"), matches.get_flag("leave-running")) {
            (true, _) => Afterwards::GoOnAfterMemory,
            (false, true) => Afterwards::GoOn,
            (false, false) => Afterwards::Stop,
        },
        parent: path(matches, "parent-path"),
        page_server: page_server(matches)?,
        skip_in_flight: matches.get_flag("tcp-skip-in-flight"),
    };
    lifecycle::checkpoint(&id, &invocation.root, &Registry::linked()?, &wanted, &output::warn)?;
    Ok(0)
}

pub(super) fn restore(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let id = container_id(matches)?;
    if matches.contains_id("preserve-fds") {
        return Err(refused("--preserve-fds", "restored processes have the descriptors that they had").into());
    }
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let restoration = Restoration {
        place: place(matches, invocation.criu.clone())?,
        lsm_profile: text("lsm-profile"),
        lsm_mount_context: text("lsm-mount-context"),
    };
    let handles = Handles {
        console_socket: path(matches, "console-socket"),
        pidfd_socket: path(matches, "pidfd-socket"),
        pid_file: path(matches, "pid-file"),
        ..Handles::default()
    };
    let registry = Registry::linked()?;
    let source = restored(invocation, matches, &registry)?;
    let root = &invocation.root;
    if matches.get_flag("detach") {
        handles.check_terminal(source.document().terminal)?;
        lifecycle::restore(&restoration, &source, &id, root, &registry, &handles, &output::warn)?;
        return Ok(0);
    }
    handles.refuse_console_socket()?;
    let status =
        lifecycle::run_restored(&restoration, &source, &id, root, &registry, &handles, &output::warn)?;
    Ok(exit_status(status, &source.document().program)?)
}
