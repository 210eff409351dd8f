//! What a swap gains and loses: two plans, each with what enforces its lines, compared field by field. Pure.
//!
//! A line is *lost* where its left side is kept and its right side is not: nobody enforces it there, it is gone, or it allows
//! more. *Gained* is the reverse. What differs otherwise is *changed*: another value, or the same one by other means. Who
//! wrote a value is shown, and is no difference.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use nucleus_abi::Capability;
use serde::Serialize;

use super::check::{CheckedRow, Enforcer};
use super::types::Plan;

mod reach;

/// A plan and its lines, checked against the report of its backend.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Its lines.
    pub rows: &'a [CheckedRow],
}

/// All that differs, in the order of the profile.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Comparison {
    /// Kept on the left and not on the right.
    pub lost: Vec<Difference>,
    /// Kept on the right and not on the left.
    pub gained: Vec<Difference>,
    /// Kept on both, or on neither, and not the same.
    pub changed: Vec<Difference>,
}

/// A field that differs.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// The profile field.
    pub field: String,
    /// What makes the difference.
    pub why: Why,
    /// The left line, if there is one.
    pub left: Option<Cell>,
    /// The right line, if there is one.
    pub right: Option<Cell>,
}

/// One side of a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// The effective value.
    pub value: String,
    /// Who decided it.
    pub origin: String,
    /// Who enforces it.
    pub enforcer: Enforcer,
}

/// What makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// One side has somebody who enforces it, and the other nobody.
    Enforced,
    /// One side does not speak of it.
    Said,
    /// One side promises less, by its value.
    Promised,
    /// One side allows more, by its value.
    Allowed,
    /// The values differ, and none is more than the other.
    Value,
    /// The value is the same, and other means enforce it.
    Means,
}

/// Compares two sides.
pub fn diff(left: Side<'_>, right: Side<'_>) -> Comparison {
    let (of_left, of_right) = (by_field(left.rows), by_field(right.rows));
    let new = right.rows.iter().filter(|row| !of_left.contains_key(row.field.as_str()));
    let mut seen = BTreeSet::new();
    let mut comparison = Comparison::default();
    for row in left.rows.iter().chain(new).filter(|row| seen.insert(row.field.as_str())) {
        let field = row.field.as_str();
        let pair = (of_left.get(field).copied(), of_right.get(field).copied());
        let Some((group, why)) = judge(pair, || reach::compare(field, left.plan, right.plan)) else {
            continue;
        };
        let (left, right) = (pair.0.map(cell), pair.1.map(cell));
        comparison.group(group).push(Difference { field: field.to_owned(), why, left, right });
    }
    comparison
}

impl Comparison {
    fn group(&mut self, group: Group) -> &mut Vec<Difference> {
        match group {
            Group::Lost => &mut self.lost,
            Group::Gained => &mut self.gained,
            Group::Changed => &mut self.changed,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Lost,
    Gained,
    Changed,
}

fn by_field(rows: &[CheckedRow]) -> BTreeMap<&str, &CheckedRow> {
    rows.iter().map(|row| (row.field.as_str(), row)).collect()
}

fn cell(row: &CheckedRow) -> Cell {
    Cell { value: row.value.clone(), origin: row.origin.clone(), enforcer: row.enforcer.clone() }
}

/// `reach` says how much the right value allows, measured with the left one.
fn judge(
    pair: (Option<&CheckedRow>, Option<&CheckedRow>),
    reach: impl FnOnce() -> Option<Ordering>,
) -> Option<(Group, Why)> {
    match pair {
        (Some(left), Some(right)) => judge_both(left, right, reach),
        (Some(left), None) if is_kept(left) => Some((Group::Lost, Why::Said)),
        (None, Some(right)) if is_kept(right) => Some((Group::Gained, Why::Said)),
        (None, None) => None,
        _ => Some((Group::Changed, Why::Said)),
    }
}

fn judge_both(
    left: &CheckedRow,
    right: &CheckedRow,
    reach: impl FnOnce() -> Option<Ordering>,
) -> Option<(Group, Why)> {
    match (is_kept(left), is_kept(right)) {
        (true, false) => return Some((Group::Lost, Why::Enforced)),
        (false, true) => return Some((Group::Gained, Why::Enforced)),
        _ => {}
    }
    if left.value == right.value {
        return (left.enforcer != right.enforcer).then_some((Group::Changed, Why::Means));
    }
    let (before, after) = (promises(left), promises(right));
    if is_kept(left) {
        if !before.is_subset(&after) {
            return Some((Group::Lost, Why::Promised));
        }
        if !after.is_subset(&before) {
            return Some((Group::Gained, Why::Promised));
        }
        match reach() {
            Some(Ordering::Greater) => return Some((Group::Lost, Why::Allowed)),
            Some(Ordering::Less) => return Some((Group::Gained, Why::Allowed)),
            Some(Ordering::Equal) | None => {}
        }
    }
    Some((Group::Changed, Why::Value))
}

fn is_kept(row: &CheckedRow) -> bool {
    !matches!(row.enforcer, Enforcer::Nobody { .. })
}

/// The host's network is nothing that a profile promises: it lets the workload out.
fn promises(row: &CheckedRow) -> BTreeSet<Capability> {
    row.needs.iter().copied().filter(|need| *need != Capability::NetworkHost).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: &str, needs: &[Capability], enforcer: Enforcer) -> CheckedRow {
        CheckedRow {
            field: "a.field".to_owned(),
            value: value.to_owned(),
            origin: "a.yaml:1".to_owned(),
            needs: needs.to_vec(),
            enforcer,
        }
    }

    fn kept(value: &str, needs: &[Capability]) -> CheckedRow {
        row(value, needs, Enforcer::Backend { by: "means".to_owned() })
    }

    fn nobodys(value: &str, needs: &[Capability]) -> CheckedRow {
        row(value, needs, Enforcer::Nobody { reason: "no means".to_owned() })
    }

    /// Judges a pair both ways round: what is lost one way is gained the other.
    #[track_caller]
    fn assert_loss(left: Option<&CheckedRow>, right: Option<&CheckedRow>, reach: Option<Ordering>, why: Why) {
        assert_eq!(judge((left, right), || reach), Some((Group::Lost, why)));
        assert_eq!(judge((right, left), || reach.map(Ordering::reverse)), Some((Group::Gained, why)));
    }

    #[track_caller]
    fn assert_change(left: Option<&CheckedRow>, right: Option<&CheckedRow>, why: Why) {
        assert_eq!(judge((left, right), || None), Some((Group::Changed, why)));
        assert_eq!(judge((right, left), || None), Some((Group::Changed, why)));
    }

    #[test]
    fn what_nobody_enforces_any_more_is_lost() {
        let needs = [Capability::Landlock];
        assert_loss(Some(&kept("x", &needs)), Some(&nobodys("x", &needs)), None, Why::Enforced);
        assert_loss(Some(&kept("x", &needs)), Some(&nobodys("y", &needs)), None, Why::Enforced);
    }

    #[test]
    fn a_line_that_is_gone_is_lost_unless_nobody_enforced_it() {
        assert_loss(Some(&kept("x", &[])), None, None, Why::Said);
        assert_change(Some(&nobodys("x", &[Capability::Io])), None, Why::Said);
    }

    #[test]
    fn less_promised_and_more_allowed_are_losses() {
        let (on, off) = (kept("default", &[Capability::Landlock]), kept("off", &[]));
        assert_loss(Some(&on), Some(&off), None, Why::Promised);
        let (small, large) = (kept("1", &[Capability::Memory]), kept("2", &[Capability::Memory]));
        assert_loss(Some(&small), Some(&large), Some(Ordering::Greater), Why::Allowed);
    }

    #[test]
    fn the_hosts_network_is_a_loss() {
        let own = kept("none", &[Capability::NamespaceNetwork, Capability::NetworkNone]);
        assert_loss(Some(&own), Some(&kept("host", &[Capability::NetworkHost])), None, Why::Promised);
    }

    #[test]
    fn another_value_and_other_means_are_changes() {
        assert_change(Some(&kept("x", &[])), Some(&kept("y", &[])), Why::Value);
        let other = row("x", &[], Enforcer::Backend { by: "other means".to_owned() });
        assert_change(Some(&kept("x", &[])), Some(&other), Why::Means);
        let (x, y) = (nobodys("x", &[Capability::Io]), nobodys("y", &[]));
        assert_change(Some(&x), Some(&y), Why::Value);
    }

    #[test]
    fn the_same_line_written_elsewhere_is_no_difference() {
        let elsewhere = CheckedRow { origin: "b.yaml:9".to_owned(), ..kept("x", &[]) };
        assert_eq!(judge((Some(&kept("x", &[])), Some(&elsewhere)), || None), None);
    }
}
