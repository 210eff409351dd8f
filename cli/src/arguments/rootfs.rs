//! What `rootfs` takes.

use std::path::PathBuf;

use clap::{Arg, Command, ValueHint, value_parser};

use super::output_format;

pub(crate) fn arguments(command: Command) -> Command {
    let path = |name: &'static str, value: &'static str| {
        Arg::new(name).value_name(value).value_hint(ValueHint::AnyPath).value_parser(value_parser!(PathBuf))
    };
    let directory = || path("directory", "DIR").required(true).help("The root file system");
    let output = path("output", "FILE")
        .long("output")
        .short('o')
        .help("Where to write the manifest [default: DIR.nucleus-manifest, beside it]");
    let manifest = path("manifest", "FILE")
        .long("manifest")
        .help("The manifest [default: DIR.nucleus-manifest, beside it]");
    let key = Arg::new("public-key")
        .long("public-key")
        .value_name("KEY")
        .help("Who must have signed the manifest: a public key of minisign");
    command
        .subcommand_required(true)
        .subcommand(
            Command::new("attest")
                .about("Write a manifest: what each file is, whose, and the SHA-256 of what it holds")
                .args([directory(), output, output_format()]),
        )
        .subcommand(
            Command::new("verify")
                .about("Compare a directory with its manifest, as `rootfs.attestation: required` does")
                .args([directory(), manifest, key, output_format()]),
        )
}
