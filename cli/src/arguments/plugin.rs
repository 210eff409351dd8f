//! What `plugin` takes.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, ValueHint, value_parser};

use super::output_format;

pub(crate) fn arguments(command: Command) -> Command {
    let file = || {
        Arg::new("file")
            .value_name("FILE")
            .required(true)
            .value_hint(ValueHint::FilePath)
            .value_parser(value_parser!(PathBuf))
            .help("The plugin's file")
    };
    let key = Arg::new("key").long("key").value_name("KEY").help(
        "Pin it only if the owner of this key has signed it: a public key of minisign, or its `.pub` file",
    );
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_hint(ValueHint::FilePath)
        .value_parser(value_parser!(PathBuf))
        .help("Where to pin it [default: /etc/nucleus/config.yaml]");
    let full = Arg::new("full").long("full").action(ArgAction::SetTrue).help(
        "Load it, trusted or not, and put it through the conformance suite; a backend makes containers",
    );
    let only = Arg::new("only")
        .long("only")
        .value_name("TEXT")
        .requires("full")
        .help("Only the cases whose names contain this");
    let options = Arg::new("options")
        .long("options")
        .value_name("JSON")
        .requires("full")
        .help("The options that the backend gets");
    command
        .subcommand_required(true)
        .subcommand(
            Command::new("list")
                .about("List the plugins: those of the program, and every file that is called like one")
                .arg(output_format()),
        )
        .subcommand(
            Command::new("info")
                .about("Print what a file says of itself; nothing of it runs")
                .args([file(), output_format()]),
        )
        .subcommand(
            Command::new("check")
                .about("Say whether a file could be loaded: owner, mode, form, interface, digest")
                .args([file(), output_format(), full, only, options]),
        )
        .subcommand(
            Command::new("trust").about("Pin the digest of a file, so that profiles can name it").args([
                file(),
                key,
                config,
            ]),
        )
        .subcommand(
            Command::new("new")
                .about("Write a small crate that compiles and passes the conformance suite")
                .args(of_new()),
        )
}

fn of_new() -> [Arg; 4] {
    let path = |name: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("DIR")
            .value_hint(ValueHint::DirPath)
            .value_parser(value_parser!(PathBuf))
    };
    [
        Arg::new("kind")
            .value_name("KIND")
            .required(true)
            .value_parser(["backend", "hook"])
            .help("What it shall be"),
        Arg::new("name").value_name("NAME").required(true).help("The name by which profiles choose it"),
        path("directory").help("Where to write it [default: nucleus-KIND-NAME]"),
        path("abi").help(
            "The directory `plugins` of nucleus' sources, to depend on instead of the published crates",
        ),
    ]
}
