//! `nucleus plugin new`: a small crate that compiles and passes the conformance suite.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use nucleus_abi::{Error, ErrorCode};
use nucleus_core::profile::values::PluginName;

use crate::output;

const MANIFEST: &str = include_str!("../../../templates/plugin/Cargo.toml.in");
const CONFORMANCE: &str = include_str!("../../../templates/plugin/conformance.rs.in");
const BACKEND: &str = include_str!("../../../templates/plugin/backend.rs.in");
const HOOK: &str = include_str!("../../../templates/plugin/hook.rs.in");

/// What is written where.
type Files = [(&'static str, String); 3];

pub(super) fn new(matches: &ArgMatches) -> Result<(), Error> {
    let text = |name: &str| matches.get_one::<String>(name).map(String::as_str).unwrap_or_default();
    let name: PluginName = text("name").parse().map_err(|wrong| {
        Error::new(ErrorCode::InvalidArgument, "make a plugin").on(text("name")).because(wrong)
    })?;
    let kind = text("kind");
    let directory = matches
        .get_one::<PathBuf>("directory")
        .cloned()
        .unwrap_or_else(|| PathBuf::from(format!("nucleus-{kind}-{}", name.as_str())));
    write(&directory, &files(kind, name.as_str(), matches.get_one::<PathBuf>("abi").map(PathBuf::as_path)))?;
    output::answer(&format!("{}\n", directory.display()))
}

fn files(kind: &str, name: &str, abi: Option<&Path>) -> Files {
    let dependency = |crate_name: &str| match abi {
        Some(plugins) => {
            let path =
                std::path::absolute(plugins.join(crate_name)).unwrap_or_else(|_| plugins.join(crate_name));
            format!("{{ path = {:?} }}", path.display().to_string())
        }
        None => "\"1.0\"".to_owned(),
    };
    let filled = |template: &str| {
        template
            .replace("NAME", name)
            .replace("KIND", kind)
            .replace("CRATE", &name.replace('-', "_"))
            .replace("TYPE", &type_name(name))
            .replace("ABI", &dependency("abi"))
            .replace("KIT", &dependency("kit"))
    };
    let library = if kind == "hook" { HOOK } else { BACKEND };
    [
        ("Cargo.toml", filled(MANIFEST)),
        ("src/lib.rs", filled(library)),
        ("tests/conformance.rs", filled(CONFORMANCE)),
    ]
}

/// `acme-vm` becomes `AcmeVm`.
fn type_name(name: &str) -> String {
    let capital = |part: &str| {
        let (first, rest) = part.split_at(part.len().min(1));
        first.to_uppercase() + rest
    };
    name.split('-').map(capital).collect()
}

fn write(directory: &Path, files: &Files) -> Result<(), Error> {
    let failed = |path: &Path, error: std::io::Error| {
        Error::new(ErrorCode::SystemCall, "make a plugin").on(path.display()).because(error)
    };
    fs::create_dir(directory).map_err(|error| failed(directory, error))?;
    for (name, text) in files {
        let path = directory.join(name);
        let parent = path.parent().unwrap_or(directory);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_type() {
        assert_eq!(type_name("acme-vm-2"), "AcmeVm2");
    }

    #[test]
    fn nothing_of_the_template_is_left() {
        for kind in ["backend", "hook"] {
            for (file, text) in files(kind, "acme-vm", Some(Path::new("/src/plugins"))) {
                for word in ["NAME", "KIND", "CRATE", "TYPE", "ABI", "KIT"] {
                    assert!(!text.contains(word), "{word} in {file}:\n{text}");
                }
            }
        }
    }
}
