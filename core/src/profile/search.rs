//! Where profiles are looked up by name.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode};

use super::load::LoadError;
use super::suggest;

/// The profile that holds when none is named.
const DEFAULT: &str = "default";

/// The directories in which a profile's name is looked up, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchPath {
    directories: Vec<PathBuf>,
}

impl SearchPath {
    /// The directories of a user: `$XDG_CONFIG_HOME/nucleus/profiles` (or below `$HOME/.config`), then
    /// `/etc/nucleus/profiles`. For root only the latter: the environment of a root process may be someone else's.
    pub fn of_user(effective_uid: u32, xdg_config_home: Option<&OsStr>, home: Option<&OsStr>) -> Self {
        let absolute = |value: Option<&OsStr>| value.map(PathBuf::from).filter(|path| path.is_absolute());
        let config = absolute(xdg_config_home).or_else(|| absolute(home).map(|home| home.join(".config")));
        let own = config.filter(|_| effective_uid != 0).map(|config| config.join("nucleus/profiles"));
        Self::of_directories(own.into_iter().chain([PathBuf::from("/etc/nucleus/profiles")]))
    }

    /// These directories, in this order.
    pub fn of_directories(directories: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { directories: directories.into_iter().collect() }
    }

    /// The file of what `--profile` says; `None` where nothing is said and the operator has no `default`.
    pub(super) fn find(&self, profile: Option<&str>) -> Result<Option<PathBuf>, LoadError> {
        match profile {
            None => Ok(self.named(DEFAULT)),
            Some(text) if is_path(text) => Ok(Some(PathBuf::from(text))),
            Some(name) => match self.named(name) {
                Some(file) => Ok(Some(file)),
                None if Path::new(name).exists() => Ok(Some(PathBuf::from(name))),
                None => Err(self.not_found(name).into()),
            },
        }
    }

    fn named(&self, name: &str) -> Option<PathBuf> {
        self.directories
            .iter()
            .map(|directory| directory.join(format!("{name}.yaml")))
            .find(|file| file.exists())
    }

    fn not_found(&self, name: &str) -> Error {
        let searched: Vec<_> =
            self.directories.iter().map(|directory| directory.display().to_string()).collect();
        let known = self.names();
        let error = Error::new(ErrorCode::ProfileNotFound, "find the profile").on(name);
        let error = error.because(format!("no {name}.yaml in {}", searched.join(" or ")));
        match suggest::nearest(name, known.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => {
                error.hint("give the path of a profile (one with a `/`, or that ends in .yaml), or a name")
            }
        }
    }

    fn names(&self) -> Vec<String> {
        let files =
            self.directories.iter().filter_map(|directory| directory.read_dir().ok()).flatten().flatten();
        let names = files.filter_map(|file| file.file_name().into_string().ok());
        names.filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned)).collect()
    }
}

fn is_path(text: &str) -> bool {
    let extension = Path::new(text).extension();
    text.contains('/') || extension.is_some_and(|extension| extension == "yaml" || extension == "yml")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directories(uid: u32, xdg: Option<&str>, home: Option<&str>) -> Vec<PathBuf> {
        SearchPath::of_user(uid, xdg.map(OsStr::new), home.map(OsStr::new)).directories
    }

    #[test]
    fn root_never_searches_what_the_environment_says() {
        assert_eq!(directories(0, Some("/x"), Some("/home/eve")), [PathBuf::from("/etc/nucleus/profiles")]);
    }

    #[test]
    fn users_search_their_own_directory_first() {
        let etc = PathBuf::from("/etc/nucleus/profiles");
        assert_eq!(directories(1000, Some("/x"), None), [PathBuf::from("/x/nucleus/profiles"), etc.clone()]);
        let own = PathBuf::from("/home/a/.config/nucleus/profiles");
        assert_eq!(directories(1000, Some("relative"), Some("/home/a")), [own, etc]);
    }
}
