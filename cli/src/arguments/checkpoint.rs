//! What `checkpoint` and `restore` take, as runc names it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use nucleus_abi::{Error, ErrorCode, Extra, Images, ManageCgroups, PageServer, Result};
use nucleus_core::lifecycle::CheckpointPlace;

use super::{container_id, last_wins};

/// Where images lie unless it is said, below the working directory: runc's default.
const IMAGES: &str = "checkpoint";

/// What both take that is a switch, with its line in the help.
const SWITCHES: [(&str, Extra, &str); 6] = [
    ("tcp-established", Extra::TcpEstablished, "Take established TCP connections along"),
    ("ext-unix-sk", Extra::ExternalUnixSockets, "Allow Unix sockets that are connected to the host"),
    ("shell-job", Extra::ShellJob, "Allow a session and a terminal of the host"),
    ("file-locks", Extra::FileLocks, "Take file locks along"),
    ("auto-dedup", Extra::Deduplicate, "Remove pages from images that later ones hold too"),
    ("link-remap", Extra::LinkRemap, "Give open files that have no name one for as long"),
];

pub(crate) fn checkpoint(command: Command) -> Command {
    command
        .args(both())
        .args([
            path("parent-path", "Images of an earlier --pre-dump, relative to these"),
            switch("leave-running", "Let the container go on"),
            switch("tcp-skip-in-flight", "Leave out TCP connections with data on the way"),
            switch("pre-dump", "Write the memory only, and let the container go on"),
            value("page-server", "ADDRESS:PORT", "Send pages there"),
            value("status-fd", "NUMBER", "Refused, as is --lazy-pages").hide(true),
        ])
        .arg(container_id())
        .mut_args(last_wins)
}

pub(crate) fn restore(command: Command) -> Command {
    command
        .args(both())
        .args([
            path("bundle", "The bundle [default: the current directory]").short('b'),
            path("pid-file", "Write the id of the first process to this file"),
            path("console-socket", "A socket that receives the container's terminal"),
            path("pidfd-socket", "A socket that receives a pidfd of the first process"),
            switch("detach", "Return as soon as it runs").short('d'),
            switch("no-subreaper", "Accepted: nucleus is none"),
            switch("no-pivot", "Accepted: criu exchanges the root"),
            value("lsm-profile", "TYPE:NAME", "A label for the processes in place of theirs"),
            value("lsm-mount-context", "CONTEXT", "A label for the mounts in place of theirs"),
            value("preserve-fds", "NUMBER", "Refused: the processes have their descriptors").hide(true),
        ])
        .arg(container_id())
        .mut_args(last_wins)
}

fn both() -> impl Iterator<Item = Arg> {
    let switches = SWITCHES.into_iter().map(|(name, _, help)| switch(name, help));
    switches.chain([
        path("image-path", "Where the images are [default: ./checkpoint]"),
        path("work-path", "Where logs are written [default: beside the images]"),
        value("manage-cgroups-mode", "MODE", "What is kept of the workload's own cgroups")
            .value_parser(["ignore", "soft", "full", "strict"]),
        value("empty-ns", "NAMESPACE", "Leave the network namespace empty").value_parser(["network"]),
        switch("lazy-pages", "Refused").hide(true),
    ])
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn value(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn path(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("PATH").value_parser(value_parser!(PathBuf)).help(help)
}

/// Where the images are, and how they are made or read. `criu` is the program.
///
/// # Errors
/// `not-supported` for `--lazy-pages`.
pub(crate) fn place(matches: &ArgMatches, criu: Option<PathBuf>) -> Result<CheckpointPlace> {
    if matches.get_flag("lazy-pages") {
        return Err(refused("--lazy-pages", "nobody here would serve the pages later"));
    }
    let path = |name: &str| matches.get_one::<PathBuf>(name).cloned();
    Ok(CheckpointPlace {
        images: path("image-path").unwrap_or_else(|| PathBuf::from(IMAGES)),
        work: path("work-path"),
        how: Images {
            program: criu,
            extras: extras(matches),
            cgroups: cgroups(matches),
            ..Images::default()
        },
    })
}

fn extras(matches: &ArgMatches) -> BTreeSet<Extra> {
    let switches = SWITCHES.iter().filter(|(name, ..)| matches.get_flag(name)).map(|(_, extra, _)| *extra);
    switches.chain(matches.contains_id("empty-ns").then_some(Extra::EmptyNetwork)).collect()
}

fn cgroups(matches: &ArgMatches) -> Option<ManageCgroups> {
    match matches.get_one::<String>("manage-cgroups-mode").map(String::as_str) {
        Some("ignore") => Some(ManageCgroups::Ignore),
        Some("soft") => Some(ManageCgroups::Soft),
        Some("full") => Some(ManageCgroups::Full),
        Some("strict") => Some(ManageCgroups::Strict),
        _ => None,
    }
}

/// `--page-server ADDRESS:PORT`.
///
/// # Errors
/// `invalid-argument`.
pub(crate) fn page_server(matches: &ArgMatches) -> Result<Option<PageServer>> {
    let Some(text) = matches.get_one::<String>("page-server") else { return Ok(None) };
    let server = text.rsplit_once(':').and_then(|(address, port)| {
        let address = address.trim_start_matches('[').trim_end_matches(']');
        Some(PageServer { address: address.to_owned(), port: port.parse().ok()? })
    });
    server.filter(|server| !server.address.is_empty()).map(Some).ok_or_else(|| {
        Error::new(ErrorCode::InvalidArgument, "use --page-server").on(text).because("it is no ADDRESS:PORT")
    })
}

/// The error for an option that is understood and cannot be done.
pub(crate) fn refused(option: &'static str, cause: &'static str) -> Error {
    Error::new(ErrorCode::NotSupported, "use an option of runc's").on(option).because(cause)
}
