//! `nucleus rootfs attest|verify`.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use clap::ArgMatches;
use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_core::bundle::Progress;
use nucleus_core::bundle::attestation::{Attested, attest, verify_directory};
use nucleus_core::plan::AttestationPlan;
use nucleus_core::profile::values::PublicKey;
use serde_json::json;

use super::{print_json, wants_json};
use crate::arguments::Invocation;
use crate::output::{self, Failure};

/// How often a person is told.
const STEP: Duration = Duration::from_millis(200);

pub(super) fn rootfs(_: &Invocation, matches: &ArgMatches) -> std::result::Result<u8, Failure> {
    let Some((verb, matches)) = matches.subcommand() else { return Ok(output::FAILED) };
    let path = |name: &str| matches.get_one::<PathBuf>(name).map(PathBuf::as_path);
    let directory = path("directory").unwrap_or(Path::new("."));
    let attested = if verb == "attest" {
        watched(|progress| attest(directory, path("output"), progress))
    } else {
        let attestation = AttestationPlan {
            manifest: path("manifest").map(Path::to_owned),
            public_key: public_key(matches)?,
        };
        watched(|progress| verify_directory(directory, &attestation, progress))
    }?;
    answer(&attested, matches)?;
    Ok(0)
}

fn public_key(matches: &ArgMatches) -> Result<Option<String>> {
    let Some(key) = matches.get_one::<String>("public-key") else { return Ok(None) };
    match key.parse::<PublicKey>() {
        Ok(_) => Ok(Some(key.clone())),
        Err(wrong) => Err(Error::new(ErrorCode::InvalidArgument, "read --public-key")
            .on(key)
            .because(wrong)
            .hint("it is the second line of the `.pub` file")),
    }
}

fn answer(attested: &Attested, matches: &ArgMatches) -> Result<()> {
    if wants_json(matches) {
        return print_json(&json!({ "manifest": attested.manifest, "entries": attested.entries }));
    }
    output::answer(&format!("{}: {} entries\n", attested.manifest.display(), attested.entries))
}

/// Does some work, and tells a person at a terminal how far it is.
fn watched<T>(work: impl FnOnce(&Progress) -> Result<T>) -> Result<T> {
    let progress = Progress::default();
    if !io::stderr().is_terminal() {
        return work(&progress);
    }
    thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        scope.spawn({
            let progress = &progress;
            move || tell(progress, &is_done)
        });
        let result = work(&progress);
        drop(done);
        result
    })
}

/// One line, written over and over, and wiped at the end.
fn tell(progress: &Progress, is_done: &mpsc::Receiver<()>) {
    // A terminal that has gone away is no reason to stop.
    while is_done.recv_timeout(STEP) == Err(RecvTimeoutError::Timeout) {
        let _ = write!(io::stderr(), "\r{} files, {} MiB\x1b[K", progress.files(), progress.bytes() >> 20);
    }
    let _ = write!(io::stderr(), "\r\x1b[K");
}
