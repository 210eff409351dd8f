//! Where the files of plugins are looked up, and what they are called.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use nucleus_abi::{Kind, PluginForm};

/// The variable that adds directories, separated by `:`, for users without privilege.
pub const ENVIRONMENT: &str = "NUCLEUS_PLUGIN_PATH";

/// The directories of every host, after those that anybody names.
const OF_THE_SYSTEM: [&str; 2] = ["/usr/lib/nucleus/plugins", "/usr/local/lib/nucleus/plugins"];

/// The directories in which plugins are looked up, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPath {
    directories: Vec<PathBuf>,
}

/// A file that has the right name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it lies.
    pub path: PathBuf,
    /// What its name says that it is.
    pub kind: Kind,
    /// The part of its name that is the plugin's, with `_` where the plugin's id may have `-`.
    pub stem: String,
}

impl SearchPath {
    /// The profile's directories, the system's configuration's, the environment's, and the host's.
    ///
    /// `environment` counts only for a user without privilege: for root it may be someone else's.
    pub fn new(
        profile: &[PathBuf],
        system: &[PathBuf],
        environment: Option<&OsStr>,
        privilege: Privilege,
    ) -> Self {
        let named = environment.filter(|_| privilege == Privilege::None).map(std::env::split_paths);
        let named = named.into_iter().flatten().filter(|path| path.is_absolute());
        let host = OF_THE_SYSTEM.iter().map(PathBuf::from);
        let all = profile.iter().cloned().chain(system.iter().cloned()).chain(named).chain(host);
        let mut directories: Vec<PathBuf> = Vec::new();
        for directory in all {
            if !directories.contains(&directory) {
                directories.push(directory);
            }
        }
        Self { directories }
    }

    /// The directories.
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// The first file of a plugin's name; in one directory a library comes before a program. Only looked for, not opened; a link
    /// counts, so that it can be refused.
    pub fn find(&self, kind: Kind, id: &str) -> Option<(PluginForm, PathBuf)> {
        let names =
            [(PluginForm::Library, file_name(kind, id)), (PluginForm::Program, program_name(kind, id))];
        let files = self
            .directories
            .iter()
            .flat_map(|directory| names.iter().map(move |(form, name)| (*form, directory.join(name))));
        files.into_iter().find(|(_, file)| file.symlink_metadata().is_ok())
    }

    /// Every file that is called like a plugin, in the order of the directories and of names.
    pub fn all(&self) -> Vec<Found> {
        self.directories.iter().flat_map(|directory| files_in(directory)).collect()
    }
}

/// Whether the caller's environment may name files that are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// The caller can do no more than whoever made the environment.
    None,
    /// The process is root, or has been given rights that its caller lacks.
    Some,
}

impl Privilege {
    /// Of this process.
    pub fn of_this_process() -> Self {
        let (real, effective) = (rustix::process::getuid(), rustix::process::geteuid());
        if effective.is_root() || real != effective { Self::Some } else { Self::None }
    }
}

/// The name of a plugin's file: `libnucleus_backend_NAME.so` or `libnucleus_hook_NAME.so`, with `_` for each `-`, as Cargo names
/// the library of the crate `nucleus-backend-NAME`.
pub fn file_name(kind: Kind, id: &str) -> String {
    format!("{}{}.so", prefix(kind), id.replace('-', "_"))
}

/// The name of a plugin that is a program: `nucleus-backend-NAME` or `nucleus-hook-NAME`.
pub fn program_name(kind: Kind, id: &str) -> String {
    format!("{}{id}", program_prefix(kind))
}

/// What a file is that is called like a program of a plugin: kind and name.
pub fn program_of(path: &Path) -> Option<(Kind, &str)> {
    let name = path.file_name()?.to_str()?;
    [Kind::Backend, Kind::Hook]
        .into_iter()
        .find_map(|kind| Some((kind, name.strip_prefix(program_prefix(kind)).filter(|id| !id.is_empty())?)))
}

fn program_prefix(kind: Kind) -> &'static str {
    match kind {
        Kind::Backend => "nucleus-backend-",
        Kind::Hook => "nucleus-hook-",
    }
}

fn prefix(kind: Kind) -> &'static str {
    match kind {
        Kind::Backend => "libnucleus_backend_",
        Kind::Hook => "libnucleus_hook_",
    }
}

fn files_in(directory: &Path) -> Vec<Found> {
    let entries = directory.read_dir().into_iter().flatten().flatten();
    let mut found: Vec<Found> = entries.filter_map(|entry| named(&entry.path())).collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn named(path: &Path) -> Option<Found> {
    let name = path.file_name()?.to_str()?.strip_suffix(".so")?;
    [Kind::Backend, Kind::Hook].into_iter().find_map(|kind| {
        let stem = name.strip_prefix(prefix(kind))?.to_owned();
        Some(Found { path: path.to_owned(), kind, stem })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(paths: &[&str]) -> Vec<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn the_order_is_profile_system_environment_host() {
        let environment = Some(OsStr::new("/env:relative:/profile"));
        let search =
            SearchPath::new(&paths(&["/profile"]), &paths(&["/system"]), environment, Privilege::None);
        let host = ["/usr/lib/nucleus/plugins", "/usr/local/lib/nucleus/plugins"];
        assert_eq!(search.directories(), paths(&[&["/profile", "/system", "/env"], &host[..]].concat()));
    }

    #[test]
    fn the_environment_is_nothing_to_root() {
        let search = SearchPath::new(&[], &[], Some(OsStr::new("/env")), Privilege::Some);
        assert_eq!(search.directories(), paths(&OF_THE_SYSTEM));
    }

    #[test]
    fn programs_are_named_by_kind_and_id() {
        let name = program_name(Kind::Hook, "audit");
        assert_eq!(program_of(&Path::new("/p").join(name)), Some((Kind::Hook, "audit")));
        assert_eq!(program_of(Path::new("/p/nucleus-hook-")), None);
    }

    #[test]
    fn files_are_named_as_cargo_names_them() {
        assert_eq!(file_name(Kind::Backend, "acme-vm"), "libnucleus_backend_acme_vm.so");
        let found = named(Path::new("/p/libnucleus_hook_audit.so")).unwrap();
        assert_eq!((found.kind, found.stem.as_str()), (Kind::Hook, "audit"));
        for other in ["libnucleus_core.so", "libnucleus_backend_x.so.1", "nucleus_backend_x.so"] {
            assert_eq!(named(Path::new(other)), None, "{other}");
        }
    }
}
