//! What the fields of a secret say together.

use std::collections::BTreeMap;

use crate::profile::diagnostic::Diagnostic;
use crate::profile::model::{Profile, Secret};
use crate::profile::origins::Origins;
use crate::profile::values::{Bounded, EnvName};

/// A mistake of one secret: the key below it, what is wrong, and what to do.
type Mistake = (&'static str, String, &'static str);

pub(super) fn mistakes(profile: &Profile, origins: &Origins) -> Vec<Diagnostic> {
    let secrets = profile.secrets.iter().enumerate();
    let own = secrets.flat_map(|(index, secret)| {
        let found = [
            source(secret),
            timeout(secret),
            command(secret),
            optional(secret),
            descriptor(secret),
            name(secret),
            mode(secret),
        ];
        found.into_iter().flatten().map(move |mistake| diagnostic(index, mistake, origins))
    });
    own.chain(read_twice(profile, origins))
        .chain(variables(profile, origins))
        .chain(in_the_clear(profile, origins))
        .collect()
}

fn diagnostic(index: usize, (key, message, help): Mistake, origins: &Origins) -> Diagnostic {
    let origin = origins.of(&format!("/secrets/{index}{key}"));
    Diagnostic::new(&origin, format!("`secrets[{index}]` {message}"), "here").help(help)
}

fn source(secret: &Secret) -> Option<Mistake> {
    const HELP: &str = "`source` has one of `file`, `env`, `fd`, `command` and `credential`";
    match secret.source.named().as_slice() {
        [_] => None,
        [] => Some(("/source", "names no source".to_owned(), HELP)),
        several => Some(("/source", format!("names several sources: {}", several.join(", ")), HELP)),
    }
}

fn timeout(secret: &Secret) -> Option<Mistake> {
    let source = &secret.source;
    let timeout = source.timeout?;
    if source.command.is_none() {
        let message = "has a timeout, which is for `command` alone".to_owned();
        return Some(("/source/timeout", message, "remove `timeout`"));
    }
    let message = || "leaves its command no time".to_owned();
    timeout.as_std().is_zero().then(|| ("/source/timeout", message(), "write a duration such as 10s"))
}

/// With a cleared environment there is no search path.
fn command(secret: &Secret) -> Option<Mistake> {
    let command = secret.source.command.as_ref()?;
    let program = command.first().map(String::as_str).unwrap_or_default();
    if command.iter().any(|word| word.contains('\0')) {
        let message = "has a command with a NUL character".to_owned();
        return Some(("/source/command", message, "no program can take one"));
    }
    let message = || format!("has the command `{program}`, which is no absolute path");
    (!program.starts_with('/')).then(|| {
        ("/source/command", message(), "name the program with its directory; no shell reads the command")
    })
}

/// Whether a command delivers is known when it has run, and then it has failed.
fn optional(secret: &Secret) -> Option<Mistake> {
    let odd = secret.optional && secret.source.command.is_some();
    let message = || "is a command's, which may fail but is never missing".to_owned();
    odd.then(|| {
        ("/optional", message(), "remove `optional`; the command may write what the workload can do with")
    })
}

fn descriptor(secret: &Secret) -> Option<Mistake> {
    let number = secret.source.fd.map(Bounded::get).filter(|number| matches!(number, 1 | 2))?;
    let message = format!("reads descriptor {number}, to which nucleus writes");
    Some(("/source/fd", message, "use standard input, 0, or one from 3 on"))
}

fn name(secret: &Secret) -> Option<Mistake> {
    let nameless = secret.called().is_none();
    nameless.then(|| ("", "has no name".to_owned(), "give it a `name`, a `target` or an `env`"))
}

fn mode(secret: &Secret) -> Option<Mistake> {
    let odd = secret.mode.filter(|mode| mode.bits() > 0o777)?;
    let message = format!("has the mode {odd}, with bits that mean nothing for it");
    Some(("/mode", message, "give the owner, the group and others their bits, such as \"0440\""))
}

/// A descriptor has been read to its end by the first.
fn read_twice(profile: &Profile, origins: &Origins) -> Vec<Diagnostic> {
    let read = profile.secrets.iter().enumerate();
    let read = read.filter_map(|(index, secret)| Some((secret.source.fd?.get(), index)));
    let mut first = BTreeMap::new();
    let mut mistakes = Vec::new();
    for (number, index) in read {
        if let Some(other) = first.insert(number, index) {
            let message = format!("reads descriptor {number}, which `secrets[{other}]` has read to its end");
            mistakes.push(diagnostic(index, ("/source/fd", message, "give each its own"), origins));
        }
    }
    mistakes
}

/// Two values for one variable would be read differently by a shell and by getenv(3).
fn variables(profile: &Profile, origins: &Origins) -> Vec<Diagnostic> {
    let workload = &profile.workload;
    let plain = workload.env.keys().map(|name| (name.as_str(), "`workload.env`".to_owned()));
    let inherited = workload.env_from.iter().map(|name| (name.as_str(), "`workload.envFrom`".to_owned()));
    let mut first: BTreeMap<&str, String> = plain.chain(inherited).collect();
    let mut mistakes = Vec::new();
    for (index, secret) in profile.secrets.iter().enumerate() {
        let Some(name) = secret.env.as_ref().map(EnvName::as_str) else { continue };
        if let Some(other) = first.insert(name, format!("`secrets[{index}]`")) {
            let message = format!("sets the variable {name}, which {other} sets too");
            mistakes.push(diagnostic(index, ("/env", message, "keep one of them"), origins));
        }
    }
    mistakes
}

/// A variable that is a secret's source would reach the workload beside the secret, for all to see.
fn in_the_clear(profile: &Profile, origins: &Origins) -> Vec<Diagnostic> {
    let inherited = profile.workload.env_from.iter().enumerate();
    let told = inherited.filter_map(|(place, name)| {
        let is_source = |secret: &Secret| secret.source.env.as_ref() == Some(name);
        let index = profile.secrets.iter().position(is_source)?;
        let origin = origins.of(&format!("/workload/envFrom/{place}"));
        let source = origins.of(&format!("/secrets/{index}/source/env"));
        let message = format!(
            "`workload.envFrom` passes {}, which `secrets[{index}]` reads, in the clear",
            name.as_str()
        );
        let help = format!(
            "remove it, or the secret at {source}; a secret's `env` gives the workload a variable of any name"
        );
        Some(Diagnostic::new(&origin, message, "here").help(help))
    });
    told.collect()
}
