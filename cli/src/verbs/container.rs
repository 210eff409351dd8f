//! What the verbs of the OCI reading have in common.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use nucleus_abi::Result;
use nucleus_core::bundle::{Document, read};
use nucleus_core::lifecycle::notify::VARIABLE;
use nucleus_core::lifecycle::{Audience, Handed, Handles, Keyring, Terms, consult};
use nucleus_core::plugins::Registry;
use nucleus_core::profile::{Request, SYSTEM_CONFIG, SystemConfig, load};

use super::{container_id, search};
use crate::arguments::Invocation;
use crate::output::{self, Failure};

/// The bundle that was named, as a source of a container: under the profile that was chosen for it, or as it is.
pub(super) fn handed(
    invocation: &Invocation,
    matches: &ArgMatches,
    registry: &Registry,
) -> std::result::Result<Handed, Failure> {
    handed_on(invocation, matches, registry, terms(invocation, matches), Consent::Asked)
}

/// The same for a container whose processes come out of a checkpoint: nothing is added to what they have.
pub(super) fn restored(
    invocation: &Invocation,
    matches: &ArgMatches,
    registry: &Registry,
) -> std::result::Result<Handed, Failure> {
    let terms = Terms { cgroups: invocation.cgroups, ..Terms::default() };
    handed_on(invocation, matches, registry, terms, Consent::Given)
}

/// Whether hooks have a say in what is planned.
#[derive(Debug, Clone, Copy)]
enum Consent {
    Asked,
    /// When the processes were made that now come back.
    Given,
}

fn handed_on(
    invocation: &Invocation,
    matches: &ArgMatches,
    registry: &Registry,
    terms: Terms,
    consent: Consent,
) -> std::result::Result<Handed, Failure> {
    let document = read(path(matches, "bundle").as_deref().unwrap_or(Path::new("."))).map_err(|error| {
        error.hint(
            "a bundle is a directory with a config.json, named by --bundle; a command stands after `--`",
        )
    })?;
    let Some(name) = profile(invocation, &document)? else {
        return Ok(Handed::new(document, registry, terms)?);
    };
    let loaded = load(&Request { profile: Some(&name), search: search(), ..Request::default() })?;
    let consulted = match consent {
        Consent::Asked => consult(&loaded, &container_id(matches)?, &output::warn)?,
        Consent::Given => None,
    };
    let loaded = consulted.map_or(loaded, |consulted| consulted.loaded);
    let handed = Handed::bounded(document, &loaded, registry, terms, &invocation.root)?;
    handed.warnings().iter().for_each(|warning| output::warn(warning));
    Ok(handed)
}

/// The profile: the one that was typed; else the one that the container asks for, if the operator lists it; else the one
/// that the name of the program stands for.
fn profile(invocation: &Invocation, document: &Document) -> std::result::Result<Option<String>, Failure> {
    if let Some(name) = &invocation.profile {
        return Ok(Some(name.clone()));
    }
    let system = SystemConfig::load(Path::new(SYSTEM_CONFIG))?;
    let annotated = system.annotated(&document.annotations)?;
    Ok(annotated.or_else(|| system.handler(&invocation.program)))
}

/// What was said of the container outside of its bundle.
fn terms(invocation: &Invocation, matches: &ArgMatches) -> Terms {
    Terms {
        cgroups: invocation.cgroups,
        keyring: if matches.get_flag("no-new-keyring") { Keyring::Callers } else { Keyring::Own },
        environment: invocation.activation.environment.clone(),
        audience: notify_socket().map_or(Audience::Nobody, |_| Audience::Manager),
    }
}

/// The socket of the service manager that started nucleus.
pub(super) fn notify_socket() -> Option<OsString> {
    std::env::var_os(VARIABLE).filter(|path| !path.is_empty())
}

/// What the caller wants to hold of the container, and gives to it.
pub(super) fn handles(invocation: &Invocation, matches: &ArgMatches) -> Result<Handles> {
    Ok(Handles {
        extra: Handles::inherited(invocation.reserved())?,
        console_socket: path(matches, "console-socket"),
        pidfd_socket: path(matches, "pidfd-socket"),
        pid_file: path(matches, "pid-file"),
        notify: notify_socket(),
    })
}

pub(super) fn path(matches: &ArgMatches, name: &str) -> Option<PathBuf> {
    matches.get_one::<PathBuf>(name).cloned()
}
