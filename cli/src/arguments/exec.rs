//! What `exec` takes.

use clap::{Arg, ArgAction, Command, value_parser};
use nucleus_core::lifecycle::ExecUser;

use super::{container, last_wins};

/// What changes the container's own process, which a document of its own takes the place of.
const CHANGES: [&str; 9] =
    ["cwd", "env", "user", "additional-gids", "process-label", "apparmor", "no-new-privs", "cap", "tty"];

pub(crate) fn arguments(command: Command) -> Command {
    let process =
        path("process", "The process, in the form of the specification's `process`; takes no command")
            .short('p')
            // Engines name the terminal twice, here and in the document.
            .conflicts_with_all(CHANGES.iter().filter(|change| **change != "tty"));
    command
        .args([
            process,
            text("cwd", "PATH", "Working directory in the container"),
            many("env", "NAME=VALUE", "Set a variable; can be repeated").short('e'),
            switch("tty", "Give the process a terminal of its own").short('t'),
            text("user", "UID[:GID]", "User and group, by number")
                .short('u')
                .value_parser(value_parser!(ExecUser)),
            many("additional-gids", "GID", "Add a group; can be repeated")
                .short('g')
                .value_parser(value_parser!(u32)),
            text("process-label", "LABEL", "SELinux label of the process"),
            text("apparmor", "PROFILE", "AppArmor profile of the process"),
            switch("no-new-privs", "Keep the process from gaining privileges by executing a program"),
            many("cap", "CAPABILITY", "Add a capability, as far as the plan allows; can be repeated")
                .short('c'),
        ])
        .args([
            switch("detach", "Return when the process runs").short('d'),
            path("pid-file", "Write the process's id to this file"),
            path("console-socket", "A socket that receives the outer side of a detached process's terminal"),
            path("pidfd-socket", "A socket that receives a pidfd of a detached process"),
            number("preserve-fds", "How many descriptors from 3 on the process gets"),
            many("cgroup", "[CONTROLLER:]PATH", "A group below the container's own to put the process into"),
            switch("ignore-paused", "Wait in a paused container instead of refusing"),
            words("The container's id, then the program and its arguments"),
        ])
        .mut_args(last_wins)
}

/// The id, and everything behind it: none of that is an option of ours.
fn words(help: &'static str) -> Arg {
    Arg::new("words")
        .value_names(["ID", "COMMAND"])
        .num_args(1..)
        .required(true)
        .trailing_var_arg(true)
        .allow_hyphen_values(true)
        .help(help)
}

fn text(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn many(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    text(name, value, help).action(ArgAction::Append)
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn number(name: &'static str, help: &'static str) -> Arg {
    text(name, "NUMBER", help).value_parser(value_parser!(u16)).default_value("0")
}

fn path(name: &'static str, help: &'static str) -> Arg {
    container::path(name).help(help)
}
