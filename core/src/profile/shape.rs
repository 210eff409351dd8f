//! Every mistake of a tree at once: a walk over the tree along the schema.
//!
//! Only runs when serde refused a profile, or for `profile check`; a good profile never pays for it.

use serde_json::Value as Json;

use super::diagnostic::Diagnostic;
use super::form::{Kind, expectation, kind, nearest_word, remedy, scalar_text, takes, words};
use super::formats::Format;
use super::suggest;
use super::tree::{Key, Node, Value, shortened};

/// All mistakes of `tree` against `schema`.
pub(super) fn mistakes(schema: &Json, tree: &Node) -> Vec<Diagnostic> {
    let mut walk = Walk { root: schema, path: String::new(), found: Vec::new() };
    walk.visit(schema, tree);
    walk.found
}

struct Walk<'s> {
    root: &'s Json,
    /// The field as people write it: `mounts.volumes[0].mode`.
    path: String,
    found: Vec<Diagnostic>,
}

impl<'s> Walk<'s> {
    fn visit(&mut self, schema: &'s Json, node: &Node) {
        match self.forms(schema).as_slice() {
            [only] => self.form(only, node),
            several => self.choose(several, node),
        }
    }

    /// The forms that a value may take: `anyOf` and `oneOf`, flat, with references resolved.
    fn forms(&self, schema: &'s Json) -> Vec<&'s Json> {
        let referred =
            schema.get("$ref").and_then(Json::as_str).and_then(|name| self.root.pointer(&name[1..]));
        let schema = referred.unwrap_or(schema);
        match schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Json::as_array) {
            Some(forms) => forms.iter().flat_map(|form| self.forms(form)).collect(),
            None => vec![schema],
        }
    }

    fn form(&mut self, form: &'s Json, node: &Node) {
        let mismatch = match (kind(form), &node.value) {
            (Kind::Any, _) | (Kind::Text, Value::Str(_)) | (Kind::Bool, Value::Bool(_)) => None,
            (Kind::Map, Value::Map(entries)) => return self.map(form, node, entries),
            (Kind::List, Value::Seq(items)) => return self.list(form, items),
            (Kind::Integer, Value::Int(int)) => out_of_bounds(form, *int),
            (Kind::Words, Value::Str(text)) => return self.word(&[form], node, text),
            (Kind::Format(format), _) => match scalar_text(format.accepts, &node.value) {
                Some(text) => return self.textual(format, node, &text),
                None => Some(wrong_type(&[form], node)),
            },
            _ => Some(wrong_type(&[form], node)),
        };
        if let Some(mistake) = mismatch {
            self.report(node, mistake);
        }
    }

    fn report(&mut self, node: &Node, mistake: Mistake) {
        let diagnostic =
            Diagnostic::new(&node.origin, mistake.message.replace("{}", &self.field()), mistake.label);
        self.found.push(Diagnostic { help: mistake.help, ..diagnostic });
    }

    fn field(&self) -> String {
        if self.path.is_empty() { "the profile".to_owned() } else { format!("`{}`", self.path) }
    }

    /// Several forms: one that fits is enough; else the nearest one tells what is wrong.
    fn choose(&mut self, forms: &[&'s Json], node: &Node) {
        let same_kind: Vec<_> = forms.iter().copied().filter(|form| takes(form, &node.value)).collect();
        let mut trials: Vec<_> = same_kind.iter().map(|form| (*form, self.trial(form, node))).collect();
        if trials.iter().any(|(_, found)| found.is_empty()) {
            return;
        }
        let all_words: Vec<_> = same_kind.iter().flat_map(|form| words(form)).collect();
        if let Value::Str(text) = &node.value
            && !all_words.is_empty()
            && (trials.iter().all(|(form, _)| !words(form).is_empty())
                || nearest_word(text, &all_words).is_some())
        {
            return self.word(forms, node, text);
        }
        trials.retain(|(form, _)| words(form).is_empty());
        // The form with the most fields of the map in common has the fewest mistakes in it.
        if let Some((_, found)) = trials.into_iter().min_by_key(|(_, found)| found.len()) {
            self.found.extend(found);
        } else {
            self.report(node, wrong_type(forms, node));
        }
    }

    fn trial(&self, form: &'s Json, node: &Node) -> Vec<Diagnostic> {
        let mut walk = Walk { root: self.root, path: self.path.clone(), found: Vec::new() };
        walk.form(form, node);
        walk.found
    }

    fn map(&mut self, form: &'s Json, node: &Node, entries: &[(Key, Node)]) {
        for (key, value) in entries {
            if let Some(names) = form.get("propertyNames") {
                self.key_name(names, key);
            }
            match form["properties"].get(&key.name).or_else(|| form.get("additionalProperties")) {
                Some(Json::Bool(false)) => self.unknown_key(form, key),
                Some(schema @ Json::Object(_)) => {
                    self.within(&format!(".{}", key.name), |walk| walk.visit(schema, value));
                }
                _ => {}
            }
        }
        let required =
            form.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        for field in required.filter(|field| node.get(field).is_none()) {
            let message = format!("{} lacks the field `{field}`", self.field());
            self.found.push(Diagnostic::new(&node.origin, message, format!("needs `{field}`")));
        }
    }

    fn list(&mut self, form: &'s Json, items: &[Node]) {
        let Some(schema) = form.get("items") else { return };
        for (index, item) in items.iter().enumerate() {
            self.within(&format!("[{index}]"), |walk| walk.visit(schema, item));
        }
    }

    fn within(&mut self, step: &str, visit: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        let step = if length == 0 { step.trim_start_matches('.') } else { step };
        self.path.push_str(step);
        visit(self);
        self.path.truncate(length);
    }

    fn key_name(&mut self, names: &'s Json, key: &Key) {
        let forms = self.forms(names);
        let format = forms.iter().find_map(|form| form["format"].as_str()).and_then(Format::named);
        if let Some(Err(reason)) = format.map(|format| (format.check)(&key.name)) {
            let message = format!("wrong key `{}` in {}: {reason}", shortened(&key.name), self.field());
            let label = format!("expected {}", format.map_or("another key", |format| format.expected));
            self.found.push(Diagnostic::new(&key.origin, message, label));
        }
    }

    fn unknown_key(&mut self, form: &'s Json, key: &Key) {
        let fields = || {
            form["properties"].as_object().into_iter().flat_map(|fields| fields.keys().map(String::as_str))
        };
        let place = if self.path.is_empty() { "a profile".to_owned() } else { format!("`{}`", self.path) };
        let mistake = Diagnostic::new(
            &key.origin,
            format!("unknown key `{}`", shortened(&key.name)),
            format!("not a field of {place}"),
        );
        let help = match (suggest::nearest(&key.name, fields()), self.section_with(&key.name)) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some(section)) => format!("did you mean `{section}.{}`?", key.name),
            (None, None) => format!("the fields here are {}", fields().collect::<Vec<_>>().join(", ")),
        };
        self.found.push(mistake.help(help));
    }

    /// The section of a profile that has a field of this name.
    fn section_with(&self, field: &str) -> Option<&'s str> {
        let sections = self.root["properties"].as_object()?;
        let has = |section: &'s Json| {
            self.forms(section).iter().any(|form| form["properties"].get(field).is_some())
        };
        sections.iter().find(|(_, section)| has(section)).map(|(name, _)| name.as_str())
    }

    fn textual(&mut self, format: &Format, node: &Node, text: &str) {
        if let Err(reason) = (format.check)(text) {
            // A line is shown below the message; a flag's value would be nowhere to be seen.
            let shown = match node.origin.file() {
                Some(_) => String::new(),
                None => format!("`{}`: ", shortened(text)),
            };
            let message = format!("wrong value for {}: {shown}{reason}", self.field());
            self.found.push(Diagnostic::new(&node.origin, message, format!("expected {}", format.expected)));
        }
    }

    fn word(&mut self, forms: &[&'s Json], node: &Node, text: &str) {
        let words: Vec<_> = forms.iter().flat_map(|form| words(form)).collect();
        if words.contains(&text) {
            return;
        }
        let message = format!("wrong value for {}: `{}` is not known", self.field(), shortened(text));
        let mistake = Diagnostic::new(&node.origin, message, format!("expected {}", expectation(forms)));
        self.found.push(match nearest_word(text, &words) {
            Some(near) => mistake.help(format!("did you mean `{near}`?")),
            None => mistake,
        });
    }
}

/// A mistake before it knows its field, which stands as `{}` in the message.
struct Mistake {
    message: String,
    label: String,
    help: Option<String>,
}

fn wrong_type(forms: &[&Json], node: &Node) -> Mistake {
    let expected = expectation(forms);
    let message = format!("{{}} takes {expected}, not {}", node.describe());
    Mistake { message, label: format!("expected {expected}"), help: remedy(forms, node) }
}

fn out_of_bounds(form: &Json, int: i64) -> Option<Mistake> {
    let bound = |name: &str| form[name].as_i64();
    let (least, most) = (bound("minimum").unwrap_or(i64::MIN), bound("maximum").unwrap_or(i64::MAX));
    if (least..=most).contains(&int) {
        return None;
    }
    let message = format!("wrong value for {{}}: {int} is not between {least} and {most}");
    Some(Mistake { message, label: format!("expected {}", expectation(&[form])), help: None })
}
