//! From YAML text to a positioned tree.
//!
//! Driven by the events of the parser, not through serde: serde stops at the first mistake and loses positions, and
//! going through it costs two and a half times as much.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput};

use super::diagnostic::Diagnostic;
use super::origin::Origin;
use super::scalar;
use super::syntax::{empty, syntax};
use super::tree::{Key, Node, Value};

/// How many values a document may hold with its aliases expanded; a bomb of nested aliases ends here.
const MOST_VALUES: usize = 10_000;
/// How deep lists and maps may nest.
pub(super) const DEEPEST: usize = 32;

/// The file that is being read; makes the origins of its values.
#[derive(Debug, Clone)]
pub(super) struct Document(pub(super) Arc<Path>);

impl Document {
    pub(super) fn at(&self, line: usize, column: usize) -> Origin {
        let bounded = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Origin::Line { file: self.0.clone(), line: bounded(line), column: bounded(column) }
    }

    pub(super) fn mark(&self, marker: &Marker) -> Origin {
        // The parser counts columns from 0, and puts the end of a text one line below the last.
        self.at(marker.line().max(1), marker.col() + 1)
    }
}

/// A tree as far as the text could be read, and the mistakes on the way.
pub(super) struct Parsed {
    pub(super) tree: Option<Node>,
    pub(super) mistakes: Vec<Diagnostic>,
}

/// Parses a document. Duplicate keys and the like don't end the reading; wrong syntax does.
pub(super) fn parse(text: &str, document: &Document) -> Parsed {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = granit_parser::options! { flow_nesting_limit: DEEPEST, block_nesting_limit: DEEPEST };
    let mut builder = Builder {
        events: Parser::new_from_str_with_options(text, options),
        text,
        document,
        anchors: HashMap::new(),
        values: 0,
        mistakes: Vec::new(),
    };
    let tree = builder.document().ok();
    Parsed { tree, mistakes: builder.mistakes }
}

/// The reading ended; the mistake that ended it is recorded.
struct Ended;

struct Builder<'t> {
    events: Parser<'t, StrInput<'t>>,
    text: &'t str,
    document: &'t Document,
    /// Finished anchors by the parser's id; an alias to one that is missing stands inside of it.
    anchors: HashMap<usize, Node>,
    values: usize,
    mistakes: Vec<Diagnostic>,
}

impl<'t> Builder<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Ended> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.end(syntax(&error, self.text, self.document))),
            None => Err(Ended),
        }
    }

    fn end(&mut self, mistake: Diagnostic) -> Ended {
        self.mistakes.push(mistake);
        Ended
    }

    fn document(&mut self) -> Result<Node, Ended> {
        let tree = loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (Event::StreamEnd, _) => return Err(self.end(empty(self.document))),
                (event, span) => break self.node(event, span)?,
            }
        };
        self.nothing_follows()?;
        match &tree.value {
            Value::Map(_) => Ok(tree),
            Value::Null => Err(self.end(empty(self.document))),
            _ => {
                let message = format!("a profile is a map of fields, not {}", tree.describe());
                let mistake = Diagnostic::new(&tree.origin, message, "expected `key: value`");
                Err(self.end(mistake))
            }
        }
    }

    fn nothing_follows(&mut self) -> Result<(), Ended> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentEnd, _) => {}
                (_, span) => {
                    let origin = self.document.mark(&span.start);
                    let mistake =
                        Diagnostic::new(&origin, "a profile is one document", "a second one starts here");
                    return Err(self.end(mistake.help("several workloads of one file go under `workloads`")));
                }
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span) -> Result<Node, Ended> {
        let origin = self.document.mark(&span.start);
        self.count(1, &origin)?;
        let (value, anchor, tagged) = match event {
            Event::Alias(anchor) => return self.alias(anchor, &origin),
            Event::Scalar(text, style, anchor, tag) => {
                (self.scalar(&text, style, &origin), anchor, tag.is_some())
            }
            Event::SequenceStart(_, anchor, tag) => (self.list()?, anchor, tag.is_some()),
            Event::MappingStart(_, anchor, tag) => (self.map()?, anchor, tag.is_some()),
            other => {
                let message = format!("the document cannot be read: {other:?}");
                return Err(self.end(Diagnostic::new(&origin, message, "here")));
            }
        };
        if tagged {
            let mistake = Diagnostic::new(&origin, "tags are not used in profiles", "this value has a tag");
            self.mistakes.push(mistake.help("remove the `!…` before the value"));
        }
        let node = Node::new(value, origin);
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn count(&mut self, values: usize, origin: &Origin) -> Result<(), Ended> {
        self.values += values;
        if self.values <= MOST_VALUES {
            return Ok(());
        }
        let message =
            format!("the document has more than {MOST_VALUES} values once its aliases are expanded");
        Err(self.end(Diagnostic::new(origin, message, "the limit is reached here")))
    }

    fn alias(&mut self, anchor: usize, origin: &Origin) -> Result<Node, Ended> {
        let Some(node) = self.anchors.get(&anchor) else {
            let mistake =
                Diagnostic::new(origin, "an alias refers to the value that contains it", "refers to itself");
            return Err(self.end(mistake));
        };
        // Counted before the copy is made: the copy is what a bomb is after.
        let size = node.size();
        self.count(size - 1, origin)?;
        let mut copy = self.anchors[&anchor].clone();
        copy.origin = origin.clone();
        Ok(copy)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, origin: &Origin) -> Value {
        if text.contains('\0') {
            let mistake =
                Diagnostic::new(origin, "a text contains a NUL character", "no such text reaches a program");
            self.mistakes.push(mistake);
        }
        match style {
            ScalarStyle::Plain => scalar::plain(text),
            _ => Value::Str(text.to_owned()),
        }
    }

    fn list(&mut self) -> Result<Value, Ended> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Seq(items)),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn map(&mut self) -> Result<Value, Ended> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = match self.next()? {
                (Event::MappingEnd, _) => break,
                key => key,
            };
            let key = self.key(event, &span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            match key {
                MapKey::Merge => merged.push(value),
                MapKey::Name(key) => self.insert(&mut entries, key, value),
            }
        }
        for node in merged {
            self.merge(&mut entries, node);
        }
        Ok(Value::Map(entries))
    }

    fn key(&mut self, event: Event<'t>, span: &Span) -> Result<MapKey, Ended> {
        let origin = self.document.mark(&span.start);
        match event {
            Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<" => Ok(MapKey::Merge),
            Event::Scalar(text, _, _, None) if !text.is_empty() => Ok(MapKey::Name(Key::new(text, origin))),
            _ => {
                let mistake = Diagnostic::new(&origin, "the key of a map is a plain word", "not a word");
                Err(self.end(mistake))
            }
        }
    }

    fn insert(&mut self, entries: &mut Vec<(Key, Node)>, key: Key, value: Node) {
        let Some((first, _)) = entries.iter().find(|(known, _)| known.name == key.name) else {
            return entries.push((key, value));
        };
        let message = format!("the key `{}` is written twice", key.name);
        let mistake = Diagnostic::new(&key.origin, message, "the second time");
        self.mistakes
            .push(mistake.help(format!("the first is at {}; remove one of them", first.origin.precise())));
    }

    /// A merge key (`<<: *defaults`): adds what the map does not say itself; earlier maps win over later ones.
    fn merge(&mut self, entries: &mut Vec<(Key, Node)>, node: Node) {
        match node.value {
            Value::Map(more) => {
                for (key, value) in more {
                    if entries.iter().all(|(known, _)| known.name != key.name) {
                        entries.push((key, value));
                    }
                }
            }
            Value::Seq(items) if items.iter().all(|item| matches!(item.value, Value::Map(_))) => {
                for item in items {
                    self.merge(entries, item);
                }
            }
            _ => {
                let message = format!("`<<` merges a map or a list of maps, not {}", node.describe());
                self.mistakes.push(Diagnostic::new(&node.origin, message, "not a map"));
            }
        }
    }
}

enum MapKey {
    Merge,
    Name(Key),
}
