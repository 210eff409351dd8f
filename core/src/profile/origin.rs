//! Who decided a value.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a value of the profile was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of a profile file.
    Line {
        /// The file, as the operator named it.
        file: Arc<Path>,
        /// Line, counted from 1.
        line: u32,
        /// Column in characters, counted from 1.
        column: u32,
    },
    /// A flag of the command line, with its dashes: `--memory`.
    Flag(Arc<str>),
    /// A built-in document, by its name: `default`.
    BuiltIn(&'static str),
    /// A hook plugin that was granted the field, by its id.
    Plugin(Arc<str>),
}

impl Origin {
    /// The file that holds the value, if a file does.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Line { file, .. } => Some(file),
            Self::Flag(_) | Self::BuiltIn(_) | Self::Plugin(_) => None,
        }
    }

    /// Like `Display`, with the column: `configs/prod.yaml:12:5`.
    pub fn precise(&self) -> String {
        match self {
            Self::Line { column, .. } => format!("{self}:{column}"),
            Self::Flag(_) | Self::BuiltIn(_) | Self::Plugin(_) => self.to_string(),
        }
    }

    /// Whether both stand in the same document, whatever the line.
    pub(super) fn same_document(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Line { file: one, .. }, Self::Line { file: two, .. }) => one == two,
            _ => self == other,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line, .. } => write!(f, "{}:{line}", file.display()),
            Self::Flag(flag) => f.write_str(flag),
            Self::BuiltIn(name) => write!(f, "built-in {name}"),
            Self::Plugin(id) => write!(f, "plugin {id}"),
        }
    }
}
