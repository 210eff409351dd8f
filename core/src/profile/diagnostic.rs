//! Mistakes in profiles, shown at their place.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use nucleus_abi::{Error, ErrorCode};

use super::origin::Origin;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
    /// Where it was written.
    pub origin: Origin,
    /// A few words under the place itself.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    pub(super) fn new(origin: &Origin, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { message: message.into(), origin: origin.clone(), label: label.into(), help: None }
    }

    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The text of a file that was read, kept so that mistakes can show their line.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) file: Arc<Path>,
    pub(super) text: Arc<str>,
}

/// Whether the terminal gets colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Plain text.
    Never,
    /// ANSI colours.
    Always,
}

/// All mistakes of a profile and its parents, in the order of the files; never empty.
#[derive(Debug, Clone)]
pub struct Diagnostics {
    mistakes: Vec<Diagnostic>,
    sources: Vec<Source>,
}

impl Diagnostics {
    /// Sorts by place and drops what was found twice.
    pub(super) fn new(mut mistakes: Vec<Diagnostic>, sources: Vec<Source>) -> Self {
        let place = |mistake: &Diagnostic| match &mistake.origin {
            Origin::Line { file, line, column } => {
                (sources.iter().position(|source| source.file == *file).unwrap_or(usize::MAX), *line, *column)
            }
            Origin::Flag(_) | Origin::BuiltIn(_) | Origin::Plugin(_) => (usize::MAX, 0, 0),
        };
        mistakes.sort_by_key(place);
        mistakes.dedup();
        Self { mistakes, sources }
    }

    /// The mistakes.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.mistakes.iter()
    }

    /// The mistakes as text for people: each with its file, line, column, the line itself and a suggestion.
    pub fn render(&self, color: Color) -> String {
        let renderer = match color {
            Color::Never => Renderer::plain(),
            Color::Always => Renderer::styled(),
        };
        // Wide enough for any line that people write, and a bound for those that they don't.
        let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(140);
        let reports = self.mistakes.iter().map(|mistake| self.render_one(mistake, &renderer));
        reports.collect::<Vec<_>>().join("\n\n")
    }

    fn render_one(&self, mistake: &Diagnostic, renderer: &Renderer) -> String {
        let title = match mistake.origin.file() {
            Some(_) => mistake.message.clone(),
            None => format!("{}: {}", mistake.origin, mistake.message),
        };
        let mut group = Group::with_title(Level::ERROR.primary_title(title.as_str()));
        let place = self.place(&mistake.origin);
        if let Some(place) = &place {
            let annotation = AnnotationKind::Primary.span(place.span.clone()).label(mistake.label.as_str());
            let snippet = Snippet::source(place.line).line_start(place.number).path(place.file.as_str());
            group = group.element(snippet.annotation(annotation));
        }
        if let Some(help) = &mistake.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }

    /// The line that a mistake stands in; only this line is given to the renderer, whatever the size of the file.
    fn place(&self, origin: &Origin) -> Option<Place<'_>> {
        let Origin::Line { file, line, column } = origin else {
            return None;
        };
        let source = self.sources.iter().find(|source| source.file == *file)?;
        let number = usize::try_from(*line).ok()?;
        let text = source.text.lines().nth(number - 1).unwrap_or("");
        let characters = usize::try_from(*column).ok()?.saturating_sub(1);
        let start = text.char_indices().nth(characters).map_or(text.len(), |(start, _)| start);
        let end = start + token_length(&text[start..]);
        Some(Place { file: file.display().to_string(), number, line: text, span: start..end })
    }

    /// The mistakes as one error: `also` holds one entry for each, with its place as the subject.
    pub fn into_error(self) -> Error {
        let code = if self.mistakes.iter().all(|mistake| matches!(mistake.origin, Origin::Flag(_))) {
            ErrorCode::InvalidArgument
        } else {
            ErrorCode::ProfileInvalid
        };
        let cause = match self.mistakes.as_slice() {
            [only] => only.message.clone(),
            several => format!("{} mistakes", several.len()),
        };
        let error = Error::new(code, "use the profile").because(cause);
        let error = match self.mistakes.first() {
            Some(first) if self.mistakes.len() == 1 => error.on(first.origin.precise()),
            _ => match self.sources.first() {
                Some(source) => error.on(source.file.display()),
                None => error,
            },
        };
        error.and(self.mistakes.into_iter().map(|mistake| entry(code, mistake)))
    }
}

/// One mistake as an error.
fn entry(code: ErrorCode, mistake: Diagnostic) -> Error {
    let error = Error::new(code, "use the profile").on(mistake.origin.precise()).because(mistake.message);
    match mistake.help {
        Some(help) => error.hint(help),
        None => error,
    }
}

struct Place<'a> {
    file: String,
    number: usize,
    line: &'a str,
    span: std::ops::Range<usize>,
}

/// How much of the line to underline: a quoted text, a word, or one bracket.
fn token_length(rest: &str) -> usize {
    let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ']' | '}' | ':');
    match rest.chars().next() {
        None => 0,
        Some(blank) if blank.is_whitespace() => blank.len_utf8(),
        Some(quote @ ('"' | '\'')) => rest[1..].find(quote).map_or(rest.len(), |end| end + 2),
        Some(first @ ('[' | '{')) => first.len_utf8(),
        // A `:` that ends a key is followed by a blank; `10001:10001` is one word.
        Some(first) => {
            let word_end = |(at, c): &(usize, char)| {
                ends(*c) && (*c != ':' || rest[at + 1..].chars().next().is_none_or(char::is_whitespace))
            };
            rest.char_indices().skip(1).find(word_end).map_or(rest.len(), |(at, _)| at).max(first.len_utf8())
        }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Color::Never))
    }
}

impl std::error::Error for Diagnostics {}
