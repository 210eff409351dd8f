//! What `profile` takes.

use clap::{Arg, Command};

use super::{output_format, words};
use crate::flags;

pub(crate) fn arguments(command: Command) -> Command {
    let files =
        Arg::new("files").value_name("FILE|NAME").num_args(1..).required(true).help("The profiles to check");
    command
        .subcommand_required(true)
        .subcommand(Command::new("check").about("Report every mistake of the given profiles").arg(files))
        .subcommand(
            Command::new("show")
                .about("Print the effective profile, each value with who decided it")
                .args(flags::arguments())
                .arg(words()),
        )
        .subcommand(diff())
        .subcommand(Command::new("schema").about("Print the JSON Schema of profiles"))
}

fn diff() -> Command {
    let side = |name: &'static str| Arg::new(name).value_name("PROFILE[#WORKLOAD]");
    Command::new("diff")
        .about("Print what is lost and gained on the way from one profile, workload or backend to another")
        .after_help("Exit status: 0 nothing is lost, 1 something is, 2 they cannot be compared.")
        .arg(side("left").required(true).help("A profile: a file, or the name of an installed one"))
        .arg(
            side("right")
                .required_unless_present("backend")
                .help("What it is compared with [default: the same, with --backend]"),
        )
        .arg(flags::workload().help("The named workload, on each side that names none itself"))
        .args(flags::backend().map(|flag| flag.long_help("Holds for the right side")))
        .arg(output_format())
}
