//! One file for each verb.

mod backend;
mod checkpoint;
mod comparison;
mod container;
mod create;
mod delete;
mod events;
mod exec;
mod explain;
mod features;
mod gc;
mod kill;
mod list;
mod pause;
mod plugin;
mod profile;
mod ps;
mod rootfs;
mod run;
mod spec;
mod start;
mod state;
mod update;

use std::path::Path;

use clap::{ArgMatches, Command};
use nucleus_abi::{ContainerId, Error, ErrorCode};
use nucleus_core::lifecycle::{Examined, Reading, examine};
use nucleus_core::plugins::Registry;
use nucleus_core::profile::{FlagValue, Loaded, Request, SYSTEM_CONFIG, SearchPath, SystemConfig, load};

use crate::arguments::{self, Invocation};
use crate::flags;
use crate::output::{self, Failure};

/// What the exit status of a verb says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Statuses {
    /// How the workload ended; so a failure of our own takes a number that workloads seldom have.
    Workload,
    /// Whether the verb worked.
    Plain,
}

impl Statuses {
    /// Those of a verb; `Workload` where there is none, for nobody knows what was meant.
    pub(crate) fn of_verb(name: &str) -> Self {
        VERBS.iter().find(|verb| verb.name == name).map_or(Self::Workload, |verb| verb.statuses)
    }
}

/// One verb: what can be typed after it, and what it does.
pub(crate) struct Verb {
    /// As it is typed.
    pub(crate) name: &'static str,
    /// Its line in the help.
    pub(crate) about: &'static str,
    /// Adds what it takes.
    pub(crate) arguments: fn(Command) -> Command,
    /// What its exit status says.
    pub(crate) statuses: Statuses,
    /// Does it, and gives the exit status.
    act: fn(&Invocation, &ArgMatches) -> Result<u8, Failure>,
}

/// Every verb, in the order of the help.
pub(crate) const VERBS: &[Verb] = &[
    Verb {
        name: "run",
        about: "Run a workload, or an OCI bundle by its id, and remove the container when it has ended",
        arguments: arguments::run::arguments,
        statuses: Statuses::Workload,
        act: run::run,
    },
    Verb {
        name: "create",
        about: "Make a container of an OCI bundle; `start` lets it go",
        arguments: arguments::create::arguments,
        statuses: Statuses::Plain,
        act: create::create,
    },
    Verb {
        name: "start",
        about: "Start a container that was created",
        arguments: arguments::only_id,
        statuses: Statuses::Plain,
        act: start::start,
    },
    Verb {
        name: "state",
        about: "Print the state of a container as JSON",
        arguments: arguments::only_id,
        statuses: Statuses::Plain,
        act: state::state,
    },
    Verb {
        name: "kill",
        about: "Send a signal to a container",
        arguments: arguments::kill::arguments,
        statuses: Statuses::Plain,
        act: kill::kill,
    },
    Verb {
        name: "delete",
        about: "Remove a container that has ended",
        arguments: arguments::delete::arguments,
        statuses: Statuses::Plain,
        act: delete::delete,
    },
    Verb {
        name: "list",
        about: "List the containers",
        arguments: arguments::list::arguments,
        statuses: Statuses::Plain,
        act: list::list,
    },
    Verb {
        name: "exec",
        about: "Run another process in a container",
        arguments: arguments::exec::arguments,
        statuses: Statuses::Workload,
        act: exec::exec,
    },
    Verb {
        name: "ps",
        about: "List the processes of a container, or the containers",
        arguments: arguments::ps::arguments,
        statuses: Statuses::Plain,
        act: ps::ps,
    },
    Verb {
        name: "pause",
        about: "Stop all processes of a container, until `resume`",
        arguments: arguments::pause::arguments,
        statuses: Statuses::Plain,
        act: pause::pause,
    },
    Verb {
        name: "resume",
        about: "Let the processes of a paused container go on",
        arguments: arguments::pause::arguments,
        statuses: Statuses::Plain,
        act: pause::resume,
    },
    Verb {
        name: "update",
        about: "Change the limits of a container",
        arguments: arguments::update::arguments,
        statuses: Statuses::Plain,
        act: update::update,
    },
    Verb {
        name: "events",
        about: "Print what a container uses, and when the out-of-memory killer strikes",
        arguments: arguments::events::arguments,
        statuses: Statuses::Plain,
        act: events::events,
    },
    Verb {
        name: "features",
        about: "Print as JSON what of the runtime specification is implemented",
        arguments: |command| command,
        statuses: Statuses::Plain,
        act: features::features,
    },
    Verb {
        name: "spec",
        about: "Write a config.json to begin with",
        arguments: arguments::spec::arguments,
        statuses: Statuses::Plain,
        act: spec::spec,
    },
    Verb {
        name: "checkpoint",
        about: "Write the processes of a container into files, by criu",
        arguments: arguments::checkpoint::checkpoint,
        statuses: Statuses::Plain,
        act: checkpoint::checkpoint,
    },
    Verb {
        name: "restore",
        about: "Make a container of such files",
        arguments: arguments::checkpoint::restore,
        statuses: Statuses::Workload,
        act: checkpoint::restore,
    },
    Verb {
        name: "explain",
        about: "Print what would be enforced, who decided it, and by what means; start nothing",
        arguments: arguments::explain::arguments,
        statuses: Statuses::Plain,
        act: explain::explain,
    },
    Verb {
        name: "profile",
        about: "Check, show, compare and describe profiles",
        arguments: arguments::profile::arguments,
        statuses: Statuses::Plain,
        act: profile::profile,
    },
    Verb {
        name: "rootfs",
        about: "Attest root file systems, and verify them",
        arguments: arguments::rootfs::arguments,
        statuses: Statuses::Plain,
        act: rootfs::rootfs,
    },
    Verb {
        name: "backend",
        about: "Look at the backends",
        arguments: arguments::backend::arguments,
        statuses: Statuses::Plain,
        act: backend::backend,
    },
    Verb {
        name: "plugin",
        about: "Look at plugins, check them, and trust them",
        arguments: arguments::plugin::arguments,
        statuses: Statuses::Plain,
        act: plugin::plugin,
    },
    Verb {
        name: "gc",
        about: "Remove what crashes left behind",
        arguments: arguments::gc::arguments,
        statuses: Statuses::Plain,
        act: gc::gc,
    },
];

/// Does what was typed and gives the exit status.
///
/// # Errors
/// What the verb says.
pub(crate) fn dispatch(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let typed = matches.subcommand();
    let verb =
        typed.and_then(|(name, matches)| Some((VERBS.iter().find(|verb| verb.name == name)?, matches)));
    match verb {
        Some((verb, matches)) => (verb.act)(invocation, matches),
        // clap refuses everything else before it gets here.
        None => Ok(crate::output::FAILED),
    }
}

/// The id that was typed, where a verb takes nothing but one.
fn container_id(matches: &ArgMatches) -> Result<ContainerId, Error> {
    matches.get_one::<String>("container").map(String::as_str).unwrap_or_default().parse()
}

/// Where profiles are looked up by name.
fn search() -> SearchPath {
    let uid = rustix::process::geteuid().as_raw();
    SearchPath::of_user(
        uid,
        std::env::var_os("XDG_CONFIG_HOME").as_deref(),
        std::env::var_os("HOME").as_deref(),
    )
}

/// The effective profile of a verb that takes the overriding options.
fn effective(invocation: &Invocation, matches: &ArgMatches) -> Result<Loaded, Failure> {
    effective_with(invocation, matches, flags::values(matches)?)
}

/// The effective profile under these values of the command line.
fn effective_with(
    invocation: &Invocation,
    matches: &ArgMatches,
    flags: Vec<FlagValue>,
) -> Result<Loaded, Failure> {
    let profile = match &invocation.profile {
        // Only a link can stand for a profile, so that the ordinary start does not look for the file.
        None if invocation.program != "nucleus" => {
            SystemConfig::load(Path::new(SYSTEM_CONFIG))?.handler(&invocation.program)
        }
        named => named.clone(),
    };
    let request = Request {
        profile: profile.as_deref(),
        workload: matches.get_one::<String>("workload").map(String::as_str),
        flags,
        search: search(),
    };
    Ok(load(&request)?)
}

/// The checked plan of a verb that takes the overriding options.
fn examined(invocation: &Invocation, matches: &ArgMatches, registry: &Registry) -> Result<Examined, Failure> {
    Ok(examine(&effective(invocation, matches)?, registry, Reading::Operator, &invocation.root)?)
}

/// Prints a JSON document.
fn print_json(document: &impl serde::Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|error| Error::new(ErrorCode::Protocol, "write the answer as JSON").because(error))?;
    output::answer(&format!("{text}\n"))
}

/// Whether `--format json` was asked for.
fn wants_json(matches: &ArgMatches) -> bool {
    matches.get_one::<String>("format").is_some_and(|format| format == "json")
}
