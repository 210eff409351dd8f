//! What `plugin` takes.

use std::path::PathBuf;

use clap::{Arg, Command, ValueHint, value_parser};

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
                .args([file(), output_format()]),
        )
        .subcommand(
            Command::new("trust").about("Pin the digest of a file, so that profiles can name it").args([
                file(),
                key,
                config,
            ]),
        )
}
