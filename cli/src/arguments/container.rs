//! What several verbs of the OCI reading take, as runc names it.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ValueHint, value_parser};

/// The names of [`making`].
pub(crate) const MAKING: [&str; 7] =
    ["bundle", "console-socket", "pid-file", "pidfd-socket", "no-pivot", "no-new-keyring", "preserve-fds"];

/// What is said of a container that is to be made.
pub(super) fn making() -> [Arg; 7] {
    let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    [
        path("bundle").short('b').help("The bundle's directory [default: the current one]"),
        path("console-socket").help("A socket that receives the outer side of the container's terminal"),
        path("pid-file").help("A file that the id of the container's first process is written to"),
        path("pidfd-socket").help("A socket that receives a pidfd of the container's first process"),
        flag("no-pivot")
            .help("Accepted for engines that say it; the root is always changed by pivot_root(2)"),
        flag("no-new-keyring").help("Let the container keep the session keyring of whoever calls nucleus"),
        Arg::new("preserve-fds")
            .long("preserve-fds")
            .value_name("NUMBER")
            .value_parser(value_parser!(u16))
            .default_value("0")
            .help("Pass so many more descriptors on, from 3"),
    ]
}

/// An option that takes a path.
pub(super) fn path(name: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("PATH")
        .value_hint(ValueHint::AnyPath)
        .value_parser(value_parser!(PathBuf))
}
