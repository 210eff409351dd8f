//! The conformance suite for plugins of nucleus: does a backend, or a hook, keep the contract of the protocol?
//!
//! Each case runs in a process of its own, so that a plugin that crashes or hangs fails one case and no more; after each, the
//! host is compared with what it was before. A case ends *passed*, *failed*, or *lacking*: the plugin says, as it may, that it does
//! not have what the case is about.
//!
//! `nucleus plugin check --full FILE` runs it for any file. A plugin's own crate runs it as a test without a harness:
//!
//! ```no_run
//! // tests/conformance.rs, with `harness = false` and, in the library, `nucleus_abi::link_backend!(Acme)`
//! fn main() -> std::process::ExitCode {
//!     nucleus_kit::main(|| nucleus_abi::Client::new(nucleus_abi::linked_plugins().next().expect("the plugin is linked")))
//! }
//! ```
//!
//! A backend's cases make containers: they need the rights that the backend needs, for most root.
#![forbid(unsafe_code)]

mod bundle;
mod cases;
mod conductor;
mod container;
mod subject;
mod traces;

use std::process::ExitCode;

use nucleus_abi::{Client, Result};

pub use cases::{Case, cases};
pub use conductor::{CASE, Conducted, OPTIONS, Verdict, conduct, perform};
pub use subject::{Stop, Subject};

/// Runs the suite for a plugin, as a program: prints a line for each case, and fails if one does.
///
/// It starts itself again for each case. Its first argument, if there is one, is a part of the names of the cases to perform. The variable `NUCLEUS_KIT_OPTIONS` holds the options that the backend gets, as JSON.
pub fn main(client: impl Fn() -> Result<Client>) -> ExitCode {
    let client = match client() {
        Ok(client) => client,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if let Ok(case) = std::env::var(CASE) {
        return ExitCode::from(perform(&case, client));
    }
    let only = std::env::args().nth(1).filter(|word| !word.starts_with('-')).unwrap_or_default();
    let tell = &mut |case: &Case, verdict: &Verdict| println!("{}", line(case, verdict));
    let conducted = conduct(client.description().kind, &only, &conductor::options_of_environment(), tell);
    println!("{conducted}");
    if conducted.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A case and its verdict, in a line.
pub fn line(case: &Case, verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed => format!("passed   {}", case.name),
        Verdict::Lacking(why) => format!("lacking  {}: {why}", case.name),
        Verdict::Failed(why) => format!("FAILED   {}: {why}", case.name),
    }
}
