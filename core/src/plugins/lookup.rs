//! From a name in a profile to a plugin that runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nucleus_abi::{Client, Error, ErrorCode, Kind, PluginForm, Result, Surface, linked_plugins};

use super::file::Candidate;
use super::load::load;
use super::process::{self, Code, Program, Terms};
use super::search::{ENVIRONMENT, Privilege, SearchPath, file_name, program_name};
use super::trust::{Pin, Trusted};
use crate::profile::{Plugins, SYSTEM_CONFIG, SystemConfig};

/// What is known of plugins that are not linked in: where their files lie, and which of them the operator trusts.
#[derive(Debug)]
pub struct Lookup {
    search: SearchPath,
    pins: BTreeMap<String, Pin>,
}

impl Lookup {
    /// What the profile says, the system's configuration, and the environment where it counts.
    ///
    /// # Errors
    /// What is wrong with the system's configuration.
    pub fn new(profile: Option<&Plugins>) -> Result<Self> {
        let system = SystemConfig::load(Path::new(SYSTEM_CONFIG)).map_err(Error::from)?.plugins;
        let environment = std::env::var_os(ENVIRONMENT);
        let none = Plugins::default();
        let profile = profile.unwrap_or(&none);
        let search = SearchPath::new(
            &directories(profile),
            &directories(&system),
            environment.as_deref(),
            Privilege::of_this_process(),
        );
        let mut pins = pins_by(&system, SYSTEM_CONFIG);
        // Of two that pin one name, the profile is nearer to the workload.
        pins.extend(pins_by(profile, "the profile"));
        Ok(Self { search, pins })
    }

    /// Where the files lie.
    pub fn search(&self) -> &SearchPath {
        &self.search
    }

    /// What the operator trusts under a name.
    pub fn pin(&self, id: &str) -> Option<&Pin> {
        self.pins.get(id)
    }

    /// The backend of a name: a library is loaded, a program is started. Its file alone is opened.
    ///
    /// # Errors
    /// `backend-not-found` when no file has the name; `plugin-refused` when the file may not be used.
    pub fn backend(&self, id: &str) -> Result<Client> {
        match self.find(Kind::Backend, id)? {
            (PluginForm::Library, path) => load(self.trusted(Kind::Backend, id, &path)?),
            (PluginForm::Program, path) => {
                process::client(id, Code::Program(self.program(id, &path)?), Terms::backend())
            }
        }
    }

    /// The hook of a name, in a process of its own: one that is linked into this program, or one that has a file.
    ///
    /// # Errors
    /// As for [`Lookup::backend`].
    pub fn hook(&self, id: &str, terms: Terms) -> Result<Client> {
        if let Some(surface) = linked_hook(id) {
            return process::client(id, Code::Linked(surface), terms);
        }
        let code = match self.find(Kind::Hook, id)? {
            (PluginForm::Library, path) => Code::Library(self.trusted(Kind::Hook, id, &path)?),
            (PluginForm::Program, path) => Code::Program(self.program(id, &path)?),
        };
        process::client(id, code, terms)
    }

    fn find(&self, kind: Kind, id: &str) -> Result<(PluginForm, PathBuf)> {
        self.search.find(kind, id).ok_or_else(|| self.not_found(kind, id))
    }

    fn trusted(&self, kind: Kind, id: &str, path: &Path) -> Result<Trusted> {
        let candidate = Candidate::open(path)?;
        candidate.expect(kind, id)?;
        Trusted::pinned(candidate, self.pin(id))
    }

    fn program(&self, id: &str, path: &Path) -> Result<Program> {
        Program::open(path)?.pinned(id, self.pin(id))
    }

    fn not_found(&self, kind: Kind, id: &str) -> Error {
        let searched: Vec<String> =
            self.search.directories().iter().map(|directory| directory.display().to_string()).collect();
        Error::new(ErrorCode::BackendNotFound, "find the plugin").on(id).because(format!(
            "no {} and no {} in {}",
            file_name(kind, id),
            program_name(kind, id),
            searched.join(" or ")
        ))
    }
}

fn linked_hook(id: &str) -> Option<Surface> {
    linked_plugins().find(|surface| {
        let client = Client::new(*surface);
        client.is_ok_and(|client| client.description().kind == Kind::Hook && client.description().id == id)
    })
}

fn directories(plugins: &Plugins) -> Vec<PathBuf> {
    plugins.path.iter().map(|path| path.as_path().to_owned()).collect()
}

fn pins_by(plugins: &Plugins, by: &str) -> BTreeMap<String, Pin> {
    let entries = plugins.trust.sha256.iter();
    entries.map(|(id, digest)| (id.to_string(), Pin { digest: digest.clone(), by: by.to_owned() })).collect()
}
