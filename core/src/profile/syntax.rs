//! Texts that are no YAML, or none at all: what the parser says, with what it means for people.

use granit_parser::{ErrorKind, ScanError};

use super::diagnostic::Diagnostic;
use super::parse::{DEEPEST, Document};

pub(super) fn empty(document: &Document) -> Diagnostic {
    Diagnostic::new(&document.at(1, 1), "the profile is empty", "nothing here")
        .help("a profile starts with `apiVersion: nucleus/v1`")
}

/// What the parser says, with what it means for people.
pub(super) fn syntax(error: &ScanError, text: &str, document: &Document) -> Diagnostic {
    let origin = document.mark(error.marker());
    match error.kind() {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar
        | ErrorKind::TabAtBlockScalarStart => tab(error.marker().line(), text, document),
        ErrorKind::RecursionLimitExceeded => {
            Diagnostic::new(&origin, format!("lists and maps nest deeper than {DEEPEST} levels"), "too deep")
        }
        ErrorKind::UnknownAnchor => Diagnostic::new(
            &origin,
            "an alias refers to an anchor that does not exist",
            "no such anchor before this line",
        )
        .help("define it with `&name`; a text that starts with `*` needs quotes"),
        _ => Diagnostic::new(&origin, format!("this is not YAML: {}", error.info()), "here"),
    }
}

/// The parser complains behind the tab; people look for the tab itself.
fn tab(line: usize, text: &str, document: &Document) -> Diagnostic {
    let content = text.lines().nth(line.saturating_sub(1)).unwrap_or("");
    let column = 1 + content.chars().take_while(|c| *c != '\t').count();
    Diagnostic::new(&document.at(line, column), "a tab is used for indentation", "a tab")
        .help("indent with spaces; YAML does not allow tabs (section 6.1)")
}
