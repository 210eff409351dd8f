//! Plugins that were built beside the tests, put where a profile can name them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Host, Nucleus};

/// The file of a plugin as Cargo built it: beside the test's own directory, or in it.
pub fn built(id: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the test has a file");
    let name = file_name(id);
    let places = own.ancestors().skip(1).take(2).map(|directory| directory.join(&name));
    places.into_iter().find(|path| path.exists()).unwrap_or_else(|| panic!("{name} is built with the tests"))
}

/// What the file of a backend is called.
pub fn file_name(id: &str) -> String {
    format!("libnucleus_backend_{}.so", id.replace('-', "_"))
}

/// A directory of the test with plugins in it.
#[derive(Debug)]
pub struct Plugins<'h> {
    host: &'h Host,
    directory: PathBuf,
}

impl<'h> Plugins<'h> {
    /// An empty directory.
    pub fn new(host: &'h Host) -> Self {
        let directory = host.path("plugins");
        fs::create_dir_all(&directory).expect("make a directory");
        Self { host, directory }
    }

    /// A directory with one plugin.
    pub fn with(host: &'h Host, id: &str) -> Self {
        let plugins = Self::new(host);
        fs::copy(built(id), plugins.file(id)).expect("copy a plugin");
        plugins
    }

    /// Where the plugin of a name lies.
    pub fn file(&self, id: &str) -> PathBuf {
        self.directory.join(file_name(id))
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The SHA-256 of a plugin.
    pub fn sha256(&self, id: &str) -> String {
        let info = self.host.nucleus("plugin").args(["info", "--format", "json"]).arg(self.file(id)).output();
        info.assert_success().json()["sha256"].as_str().expect("a digest").to_owned()
    }

    /// The lines of a profile that names a plugin and trusts it as it is now.
    pub fn yaml(&self, id: &str) -> String {
        format!("backend: {id}\n{}", self.trusting(id))
    }

    /// The lines of a profile that trusts a plugin as it is now.
    pub fn trusting(&self, id: &str) -> String {
        format!(
            "plugins: {{path: [{}], trust: {{sha256: {{{id}: {}}}}}}}",
            self.directory.display(),
            self.sha256(id)
        )
    }

    /// `run` with a plugin as its backend, and a shell script.
    pub fn shell(&self, id: &str, script: &str) -> Nucleus {
        let profile = self.host.profile("configs/dev.yaml", &self.yaml(id));
        self.host.shell(profile, script)
    }
}
