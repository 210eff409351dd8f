//! A profile file and its parents.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nucleus_abi::{Error, ErrorCode};

use super::diagnostic::{Diagnostic, Source};
use super::load::LoadError;
use super::origin::Origin;
use super::parse::{Document, Parsed, parse};
use super::read::{Text, read};
use super::suggest;
use super::tree::{Node, Value};

/// How many files may extend each other.
const LONGEST: usize = 16;
/// The one version of the language that this release reads.
const API_VERSION: &str = "nucleus/v1";

/// The files of a profile, the child first.
#[derive(Default)]
pub(super) struct Chain {
    /// The trees, without `extends`; a file that could not be parsed has none.
    pub(super) layers: Vec<Node>,
    pub(super) sources: Vec<Source>,
    pub(super) mistakes: Vec<Diagnostic>,
    identities: Vec<(u64, u64)>,
}

impl Chain {
    /// Reads a profile and its parents. An `Err` means that the profile itself cannot be read.
    pub(super) fn read(path: &Path) -> Result<Self, LoadError> {
        let mut chain = Self::default();
        let text = read(path).map_err(|error| cannot_read(path, &error))?;
        let mut parent = chain.add(text);
        while let Some(reference) = parent {
            parent = chain.follow(&reference);
        }
        Ok(chain)
    }

    /// Takes a file in and returns the parent that it names.
    fn add(&mut self, text: Text) -> Option<Parent> {
        let file = text.source.file.clone();
        self.identities.push(text.identity);
        self.mistakes.extend(text.mistake.clone());
        let parsed = match text.mistake {
            Some(_) => None,
            None => Some(parse(&text.source.text, &Document(file.clone()))),
        };
        self.sources.push(text.source);
        let Parsed { tree, mistakes } = parsed?;
        self.mistakes.extend(mistakes);
        let mut tree = tree?;
        if let Some(mistake) = wrong_version(&tree, &file) {
            self.mistakes.push(mistake);
            // Said once; the schema's walk would say it again.
            tree.take("apiVersion");
        }
        let parent = tree.take("extends").and_then(|extends| self.parent(extends, &file));
        self.layers.push(tree);
        parent
    }

    fn parent(&mut self, extends: Node, file: &Path) -> Option<Parent> {
        match &extends.value {
            Value::Str(name) if !name.is_empty() => {
                let directory = file.parent().unwrap_or(Path::new(""));
                Some(Parent { path: directory.join(name), name: name.clone(), origin: extends.origin })
            }
            _ => {
                let message =
                    format!("`extends` takes the file name of one parent, not {}", extends.describe());
                self.mistakes.push(Diagnostic::new(&extends.origin, message, "expected a file name"));
                None
            }
        }
    }

    fn follow(&mut self, parent: &Parent) -> Option<Parent> {
        let text = match read(&parent.path) {
            Ok(text) => text,
            Err(error) => {
                self.mistakes.push(missing(parent, &error));
                return None;
            }
        };
        if let Some(start) = self.identities.iter().position(|known| *known == text.identity) {
            self.mistakes.push(self.cycle(parent, start));
            return None;
        }
        if self.identities.len() == LONGEST {
            let message = format!("more than {LONGEST} profiles extend each other");
            self.mistakes.push(Diagnostic::new(&parent.origin, message, "one too many"));
            return None;
        }
        self.add(text)
    }

    fn cycle(&self, parent: &Parent, start: usize) -> Diagnostic {
        let files = self.sources[start..].iter().map(|source| source.file.display().to_string());
        let files: Vec<_> = files.chain([self.sources[start].file.display().to_string()]).collect();
        Diagnostic::new(&parent.origin, "the profiles extend each other in a circle", "closes the circle")
            .help(format!("the circle is {}", files.join(" → ")))
    }
}

/// What an `extends` line refers to.
struct Parent {
    path: PathBuf,
    name: String,
    origin: Origin,
}

fn missing(parent: &Parent, error: &std::io::Error) -> Diagnostic {
    if error.kind() != std::io::ErrorKind::NotFound {
        let message =
            format!("the parent profile {} cannot be read: {}", parent.path.display(), reason(error));
        return Diagnostic::new(&parent.origin, message, "cannot be read");
    }
    let message = format!("the parent profile {} does not exist", parent.path.display());
    let mistake = Diagnostic::new(&parent.origin, message, "no such file");
    let beside = parent.path.parent().filter(|directory| !directory.as_os_str().is_empty());
    let entries = beside.unwrap_or(Path::new(".")).read_dir().into_iter().flatten().flatten();
    let names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let wanted = parent.path.file_name().and_then(|name| name.to_str()).unwrap_or(&parent.name);
    match suggest::nearest(wanted, names.iter().map(String::as_str)) {
        Some(near) => mistake.help(format!("did you mean `{near}`?")),
        None => mistake.help("a parent is named relative to the file that extends it"),
    }
}

fn wrong_version(tree: &Node, file: &Arc<Path>) -> Option<Diagnostic> {
    let help = format!("this release reads `apiVersion: {API_VERSION}`");
    let Some(version) = tree.get("apiVersion") else {
        let start = Document(file.clone()).at(1, 1);
        return Some(
            Diagnostic::new(&start, "the profile does not say its `apiVersion`", "missing").help(help),
        );
    };
    if version.as_str() == Some(API_VERSION) {
        return None;
    }
    let message = format!("{} is not a version of the profile's language that is known", version.describe());
    Some(Diagnostic::new(&version.origin, message, "unknown version").help(help))
}

fn cannot_read(path: &Path, error: &std::io::Error) -> LoadError {
    let failure =
        Error::new(ErrorCode::ProfileNotFound, "read the profile").on(path.display()).because(reason(error));
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound => "give the path of a profile, or the name of an installed one",
        std::io::ErrorKind::IsADirectory => "give the file itself",
        _ => "check the file's owner and mode",
    };
    LoadError::from(failure.hint(hint))
}

/// The system's message without the number that Rust adds.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}
