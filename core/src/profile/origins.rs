//! Who decided what, for the whole profile.

use std::fmt::Write as _;

use super::merge::find;
use super::origin::Origin;
use super::tree::{Node, Value, pointer_tokens};

/// The origin of every value of an effective profile.
#[derive(Debug, Clone)]
pub struct Origins {
    pub(super) tree: Node,
}

impl Origins {
    /// Who decided the field at a JSON pointer (`/resources/memory`); for one that nobody wrote, who decided the
    /// nearest field around it.
    pub fn of(&self, pointer: &str) -> Origin {
        let mut node = &self.tree;
        for token in pointer_tokens(pointer) {
            match node.step(&token) {
                Some(next) => node = next,
                None => break,
            }
        }
        node.origin.clone()
    }

    /// Who decided the field, if somebody wrote it.
    pub fn exactly(&self, pointer: &str) -> Option<Origin> {
        find(&self.tree, pointer).map(|node| node.origin.clone())
    }

    /// The effective profile as YAML, each value with its origin as a comment. It is a profile itself.
    pub fn to_yaml(&self) -> String {
        let mut lines = Vec::new();
        let mut tree = self.tree.clone();
        if let Value::Map(entries) = &mut tree.value {
            // People look for the name first, wherever it was written.
            entries
                .sort_by_key(|(key, _)| !["apiVersion", "name", "description"].contains(&key.name.as_str()));
        }
        write_map(&tree, 0, &mut lines);
        let widest = lines.iter().filter(|line| line.origin.is_some()).map(|line| line.text.chars().count());
        // Comments stand in one column, but one long line does not push them all away.
        let column = widest.filter(|width| *width <= 60).max().unwrap_or(0);
        lines.iter().fold(String::new(), |mut yaml, line| {
            let _ = match &line.origin {
                Some(origin) => writeln!(yaml, "{:column$}  # {origin}", line.text),
                None => writeln!(yaml, "{}", line.text),
            };
            yaml
        })
    }
}

struct Line {
    text: String,
    origin: Option<String>,
}

fn write_map(map: &Node, indent: usize, lines: &mut Vec<Line>) {
    for (key, value) in map.entries() {
        let start = format!("{:indent$}{}:", "", text(&key.name));
        write_value(start, value, indent + 2, lines);
    }
}

fn write_value(start: String, node: &Node, indent: usize, lines: &mut Vec<Line>) {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            lines.push(Line { text: start, origin: None });
            write_map(node, indent, lines);
        }
        Value::Seq(items) if !fits_one_line(node, items) => {
            lines.push(Line { text: start, origin: None });
            for item in items {
                write_item(item, indent, lines);
            }
        }
        _ => lines
            .push(Line { text: format!("{start} {}", flow(node)), origin: Some(node.origin.to_string()) }),
    }
}

fn write_item(item: &Node, indent: usize, lines: &mut Vec<Line>) {
    lines.push(Line {
        text: format!("{:indent$}- {}", "", flow(item)),
        origin: Some(item.origin.to_string()),
    });
}

/// A list of words from one document.
fn fits_one_line(list: &Node, items: &[Node]) -> bool {
    items.iter().all(|item| {
        !matches!(item.value, Value::Map(_) | Value::Seq(_)) && item.origin.same_document(&list.origin)
    })
}

fn flow(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(yes) => yes.to_string(),
        Value::Int(int) => int.to_string(),
        Value::Float(float) => format!("{float:?}"),
        Value::Str(content) => text(content),
        Value::Seq(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let entry =
                |(key, value): &(super::tree::Key, Node)| format!("{}: {}", text(&key.name), flow(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

/// A text as it stands in YAML: bare if nothing can be misread, else in double quotes, which YAML shares with JSON.
fn text(content: &str) -> String {
    if is_bare(content) { content.to_owned() } else { serde_json::Value::from(content).to_string() }
}

fn is_bare(content: &str) -> bool {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "/._-:".contains(c);
    let word = content.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && content.chars().all(harmless)
        && !content.ends_with(':');
    let size = content.trim_start_matches(|c: char| c.is_ascii_digit());
    let reads_as_text = matches!(super::scalar::plain(content), Value::Str(_));
    reads_as_text && (word || ["K", "M", "G", "T"].contains(&size))
}
