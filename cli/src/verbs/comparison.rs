//! A comparison of two plans, as `profile diff` and `explain --backend` print it.

use std::fmt::Write as _;

use nucleus_core::lifecycle::Examined;
use nucleus_core::plan::{Cell, Comparison, Difference, Enforcer, Why, diff};
use serde_json::{Value, json};

use crate::table::layout;

/// Two plans and what differs between them.
pub(super) struct Compared<'a> {
    pub(super) left: &'a Examined,
    right: &'a Examined,
    /// The heads of the columns.
    heads: [String; 2],
    pub(super) comparison: Comparison,
}

impl<'a> Compared<'a> {
    pub(super) fn new(left: &'a Examined, right: &'a Examined, heads: [String; 2]) -> Self {
        Self { left, right, heads, comparison: diff(left.side(), right.side()) }
    }

    /// What is lost and gained, each with its sides.
    pub(super) fn lost_and_gained(&self) -> String {
        let Comparison { lost, gained, .. } = &self.comparison;
        let mut text = String::new();
        if lost.is_empty() {
            text.push_str("Nothing is lost.\n");
        }
        self.group(("LOST", ["promises less", "allows more"]), lost, &mut text);
        self.group(("GAINED", ["promises more", "allows less"]), gained, &mut text);
        text
    }

    /// All of it.
    pub(super) fn text(&self) -> String {
        let mut text = self.lost_and_gained();
        self.group(("CHANGED", [""; 2]), &self.comparison.changed, &mut text);
        text
    }

    /// `whys` are the words for [`Why::Promised`] and [`Why::Allowed`].
    fn group(&self, (title, whys): (&str, [&str; 2]), differences: &[Difference], text: &mut String) {
        if differences.is_empty() {
            return;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        let rows: Vec<[String; 3]> = differences.iter().map(|difference| row(difference, whys)).collect();
        let head = format!("{title} ({})", differences.len());
        text.push_str(&layout([&head, &self.heads[0], &self.heads[1]], &rows));
    }

    pub(super) fn json(&self) -> Value {
        let side = |examined: &Examined| {
            json!({
                "profile": examined.plan.profile.value,
                "backend": examined.plan.backend.value,
                "decided": examined.plan.backend.origin.to_string(),
                "starts": examined.allow().is_ok(),
            })
        };
        json!({
            "left": side(self.left),
            "right": side(self.right),
            "lost": self.comparison.lost,
            "gained": self.comparison.gained,
            "changed": self.comparison.changed,
        })
    }
}

fn row(difference: &Difference, [promises, allows]: [&str; 2]) -> [String; 3] {
    let Difference { field, why, left, right } = difference;
    let field = match why {
        Why::Promised => format!("{field}\n({promises})"),
        Why::Allowed => format!("{field}\n({allows})"),
        Why::Enforced | Why::Said | Why::Value | Why::Means => field.clone(),
    };
    [field, cell(left.as_ref()), cell(right.as_ref())]
}

fn cell(cell: Option<&Cell>) -> String {
    let Some(Cell { value, origin, enforcer }) = cell else { return "-".to_owned() };
    let mut text = value.clone();
    let _ = write!(text, "\n  {origin}\n  {}", self::enforcer(enforcer));
    text
}

/// Who enforces a line, in words.
pub(super) fn enforcer(enforcer: &Enforcer) -> String {
    match enforcer {
        Enforcer::Core => "nucleus".to_owned(),
        Enforcer::Backend { by } => by.clone(),
        Enforcer::Nobody { reason } => format!("NOBODY: {reason}"),
    }
}
