//! `/etc/nucleus/config.yaml`: what the operator of a host says once for all engines.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nucleus_abi::{Error, ErrorCode};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Deserialize;

use super::de::from_node;
use super::diagnostic::{Diagnostic, Source};
use super::load::{LoadError, invalid};
use super::model::{ApiVersion, Plugins};
use super::parse::{Document, Parsed, parse};
use super::read::read;
use super::{shape, suggest};

/// Where the file lies.
pub const SYSTEM_CONFIG: &str = "/etc/nucleus/config.yaml";

/// The annotation by which a container may ask for a profile, unless the file names another.
pub const ANNOTATION: &str = "dev.nucleus.profile";

/// The name of the program without a profile in it.
const PROGRAM: &str = "nucleus";

/// The file's content; the default is that of a host without the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SystemConfig {
    /// The version of the file's language.
    #[serde(default)]
    pub api_version: Option<ApiVersion>,
    /// What holds for engines.
    #[serde(default)]
    pub engines: Engines,
    /// Where plugins lie that are not part of the program, and which of them are trusted, whatever the profile.
    #[serde(default)]
    pub plugins: Plugins,
}

/// How engines that cannot pass flags choose a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub struct Engines {
    /// Names under which engines call nucleus (links to it), and the profile of each.
    #[serde(default)]
    pub handlers: BTreeMap<String, String>,
    /// The choice that a container's annotation has. Default: none.
    #[serde(default)]
    pub annotation: Option<AnnotationChoice>,
}

/// The choice that a container's annotation has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub struct AnnotationChoice {
    /// The annotation's key. Default: dev.nucleus.profile.
    #[serde(default)]
    pub key: Option<String>,
    /// The profiles that it may name.
    pub profiles: Vec<String>,
}

impl SystemConfig {
    /// Reads the file; a host without one has the default.
    ///
    /// # Errors
    /// `host-unfit` for a file that others than its reader's user (or root) could have written; every mistake in it, with
    /// its line.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let text = match read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(unreadable(path, &error).into()),
        };
        refuse_foreign(path)?;
        let document = Document(text.source.file.clone());
        let Parsed { tree, mut mistakes } = parse(&text.source.text, &document);
        mistakes.extend(text.mistake);
        let Some(tree) = tree.filter(|_| mistakes.is_empty()) else {
            return Err(rejected(mistakes, text.source));
        };
        let mut config: Self = from_node(&tree).map_err(|misfit| {
            let schema =
                SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Self>().to_value();
            let mut mistakes = shape::mistakes(&schema, &tree);
            if mistakes.is_empty() {
                let origin = misfit.origin.unwrap_or_else(|| tree.origin.clone());
                mistakes.push(Diagnostic::new(&origin, misfit.message, "here"));
            }
            rejected(mistakes, text.source)
        })?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        config.plugins.path.iter_mut().for_each(|path| path.resolve_in(directory));
        Ok(config)
    }

    /// The profile that the name of the program stands for: by the table, or by what follows `nucleus-`.
    pub fn handler(&self, program: &str) -> Option<String> {
        let listed = self.engines.handlers.get(program).cloned();
        let named = || {
            program
                .strip_prefix(PROGRAM)?
                .strip_prefix('-')
                .filter(|rest| !rest.is_empty())
                .map(str::to_owned)
        };
        listed.or_else(named)
    }

    /// The profile that a container's annotations ask for.
    ///
    /// # Errors
    /// `profile-refuses` for a profile that the file does not list.
    pub fn annotated(&self, annotations: &BTreeMap<String, String>) -> Result<Option<String>, Error> {
        let choice = self.engines.annotation.as_ref();
        let key = choice.and_then(|choice| choice.key.as_deref()).unwrap_or(ANNOTATION);
        let Some(wanted) = annotations.get(key) else { return Ok(None) };
        let listed = choice.map(|choice| choice.profiles.as_slice()).unwrap_or_default();
        if listed.contains(wanted) {
            return Ok(Some(wanted.clone()));
        }
        let error = Error::new(ErrorCode::ProfileRefuses, "take the profile that an annotation asks for")
            .on(format!("config.json: annotations[{key:?}] = {wanted:?}"))
            .because(format!("{SYSTEM_CONFIG} does not list it under `engines.annotation.profiles`"));
        Err(match suggest::nearest(wanted, listed.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("let the operator list it there, or drop the annotation"),
        })
    }
}

/// Who writes this file decides what every container may have.
fn refuse_foreign(path: &Path) -> Result<(), Error> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    let own = rustix::process::geteuid().as_raw();
    let refuse = |cause: String, hint: String| {
        Err(Error::new(ErrorCode::HostUnfit, "trust the system's configuration")
            .on(path.display())
            .because(cause)
            .hint(hint))
    };
    match (metadata.uid(), metadata.mode() & 0o022) {
        (0, 0) => Ok(()),
        (uid, 0) if uid == own => Ok(()),
        (0, _) => {
            refuse("others than root can write to it".to_owned(), format!("chmod 0644 {}", path.display()))
        }
        (uid, _) => refuse(format!("it belongs to uid {uid}"), format!("chown root {}", path.display())),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorCode::HostUnfit, "read the system's configuration").on(path.display()).because(error)
}

fn rejected(mistakes: Vec<Diagnostic>, source: Source) -> LoadError {
    invalid(mistakes, vec![source])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<SystemConfig, Error> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("nucleus-system-{}-{number}.yaml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let loaded = SystemConfig::load(&path).map_err(Error::from);
        std::fs::remove_file(&path).unwrap();
        loaded
    }

    const FILE: &str = "apiVersion: nucleus/v1\nengines:\n  handlers: {nucleus-tight: prod}\n  annotation: {profiles: [prod, gvisor]}\n";

    fn annotations(value: &str) -> BTreeMap<String, String> {
        [(ANNOTATION.to_owned(), value.into())].into_iter().collect()
    }

    #[test]
    fn a_host_without_the_file_has_only_names() {
        let none = SystemConfig::load(Path::new("/nonexistent/config.yaml")).unwrap();
        assert_eq!(none, SystemConfig::default());
        assert_eq!(none.handler("nucleus-prod").as_deref(), Some("prod"));
        assert_eq!(
            (none.handler("nucleus"), none.handler("nucleus-"), none.handler("runc")),
            (None, None, None)
        );
        assert_eq!(none.annotated(&BTreeMap::new()).unwrap(), None);
    }

    #[test]
    fn the_table_of_handlers_comes_before_the_name_itself() {
        let system = load(FILE).unwrap();
        assert_eq!(system.handler("nucleus-tight").as_deref(), Some("prod"));
    }

    #[test]
    fn an_annotation_picks_from_the_operators_list_only() {
        let system = load(FILE).unwrap();
        assert_eq!(system.annotated(&annotations("gvisor")).unwrap().as_deref(), Some("gvisor"));
        let error = system.annotated(&annotations("gvizor")).unwrap_err();
        assert_eq!(
            (error.code, error.hint.as_deref()),
            (ErrorCode::ProfileRefuses, Some("did you mean `gvisor`?"))
        );
        assert!(SystemConfig::default().annotated(&annotations("prod")).is_err());
    }

    #[test]
    fn a_mistake_has_its_line() {
        let error = load("engines:\n  handlerz: {}\n").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("handlerz") && text.contains(":2"), "{text}");
    }

    #[test]
    fn a_file_that_others_can_write_is_not_trusted() {
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("nucleus-system-open-{}.yaml", std::process::id()));
        std::fs::write(&path, FILE).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        let error = Error::from(SystemConfig::load(&path).unwrap_err());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(error.code, ErrorCode::HostUnfit);
    }
}
