//! How much the value of a field allows, measured with another's: where more than one value keeps the same promise, the
//! promise says nothing about which of them is the wider one.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::path::Path;

use nucleus_abi::{LandlockAccess, LandlockRule};

use crate::plan::decided::Decided;
use crate::plan::types::{CpuQuota, Enforcement, Execution, Identity, Plan, TmpfsPlan, UserPlan, VolumePlan};

/// `Greater` where the right plan's value of a field allows something that the left one's does not; `Less` where it only
/// takes away. `None` where values of this field cannot be measured.
pub(super) fn compare(field: &str, left: &Plan, right: &Plan) -> Option<Ordering> {
    let (own, other) = (&left.resources, &right.resources);
    match field {
        "enforcement" => Some(right.enforcement.value.leniency().cmp(&left.enforcement.value.leniency())),
        "workload.user" => Some(is_root(&right.process.user.value).cmp(&is_root(&left.process.user.value))),
        "resources.memory" => numbers(own.memory.as_ref(), other.memory.as_ref()),
        "resources.swap" => numbers(own.swap.as_ref(), other.swap.as_ref()),
        "resources.pids" => numbers(own.pids.as_ref(), other.pids.as_ref()),
        "resources.cpus" => {
            Some(processors(other.cpu.as_ref()?.value).total_cmp(&processors(own.cpu.as_ref()?.value)))
        }
        "mounts.shm" => Some(right.shm.value.cmp(&left.shm.value)),
        "security.capabilities" => Some(sets(
            &left.security.capabilities.value.bounding,
            &right.security.capabilities.value.bounding,
        )),
        // Here it is what is on the list that is taken away.
        "security.maskedPaths" => {
            let paths = |plan: &Plan| plan.security.masked_paths.value.iter().cloned().collect();
            Some(sets(&paths(right), &paths(left)))
        }
        "security.readonlyPaths" => {
            let paths = |plan: &Plan| plan.security.readonly_paths.value.iter().cloned().collect();
            Some(sets(&paths(right), &paths(left)))
        }
        "security.landlock" => Some(rules(&own_rules(left)?, &own_rules(right)?)),
        _ => of_one(field, left, right),
    }
}

/// Fields of which there may be several, each with a name.
fn of_one(field: &str, left: &Plan, right: &Plan) -> Option<Ordering> {
    let (list, name) = field.strip_suffix(']').and_then(|field| field.split_once('[')).unwrap_or((field, ""));
    match list {
        "mounts.volumes" => {
            let of =
                |plan: &Plan| plan.volumes.iter().find(|it| it.value.target == Path::new(name)).map(freedom);
            Some(of(right)?.cmp(&of(left)?))
        }
        "mounts.tmpfs" => {
            let find = |plan: &Plan| {
                plan.tmpfs.iter().map(|it| &it.value).find(|it| it.target == Path::new(name)).cloned()
            };
            Some(room(&find(left)?, &find(right)?))
        }
        _ if list.starts_with("resources.io.") => {
            let rate = |plan: &Plan| {
                let mut rates = plan.resources.io_rates.iter().map(|it| &it.value);
                rates.find(|rate| rate.field() == field).map(|rate| rate.rate)
            };
            Some(rate(right)?.cmp(&rate(left)?))
        }
        _ => {
            let name = field.strip_prefix("workload.rlimits.")?;
            let hard =
                |plan: &Plan| plan.process.rlimits.get(name).map(|it| it.value.hard.unwrap_or(u64::MAX));
            Some(hard(right)?.cmp(&hard(left)?))
        }
    }
}

impl Enforcement {
    /// How much of a loss it lets pass.
    fn leniency(self) -> u8 {
        match self {
            Self::Strict => 0,
            Self::Permissive => 1,
        }
    }
}

fn is_root(user: &UserPlan) -> bool {
    match &user.user {
        Identity::Id(id) => *id == 0,
        Identity::Name(name) => name == "root",
    }
}

fn numbers<T: Ord>(left: Option<&Decided<T>>, right: Option<&Decided<T>>) -> Option<Ordering> {
    Some(right?.value.cmp(&left?.value))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "microseconds of a period of at most a second: far below 2^52"
)]
fn processors(cpu: CpuQuota) -> f64 {
    cpu.quota as f64 / cpu.period as f64
}

/// Whatever the right one has that the left one has not makes it the wider one.
fn sets<T: Ord>(left: &BTreeSet<T>, right: &BTreeSet<T>) -> Ordering {
    match (right.is_subset(left), left.is_subset(right)) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, _) => Ordering::Greater,
    }
}

/// What the promises of a volume leave open: whether programs may be executed.
fn freedom(volume: &Decided<VolumePlan>) -> bool {
    volume.value.execution == Execution::Allowed
}

fn room(left: &TmpfsPlan, right: &TmpfsPlan) -> Ordering {
    let executes = |tmpfs: &TmpfsPlan| tmpfs.execution == Execution::Allowed;
    match (executes(right).cmp(&executes(left)), right.size.cmp(&left.size)) {
        (Ordering::Greater, _) | (_, Ordering::Greater) => Ordering::Greater,
        (Ordering::Less, _) | (_, Ordering::Less) => Ordering::Less,
        (Ordering::Equal, Ordering::Equal) => Ordering::Equal,
    }
}

/// The rules but those that only let the workload at what is mounted for it: each mount has a line of its own.
fn own_rules(plan: &Plan) -> Option<Vec<LandlockRule>> {
    let rules = plan.security.landlock.value.as_ref()?;
    let volumes = plan.volumes.iter().map(|it| &it.value.target);
    let targets: BTreeSet<_> = volumes.chain(plan.tmpfs.iter().map(|it| &it.value.target)).collect();
    let context = plan.context.as_ref().map(|it| &it.value.target);
    let is_own = |rule: &&LandlockRule| !targets.contains(&rule.path) && context != Some(&rule.path);
    Some(rules.iter().filter(is_own).cloned().collect())
}

fn rules(left: &[LandlockRule], right: &[LandlockRule]) -> Ordering {
    let covers =
        |wide: &[LandlockRule], narrow: &[LandlockRule]| narrow.iter().all(|rule| covered(rule, wide));
    match (covers(left, right), covers(right, left)) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, _) => Ordering::Greater,
    }
}

/// A rule holds below its path too, and those of one place add up (landlock(7)).
fn covered(rule: &LandlockRule, by: &[LandlockRule]) -> bool {
    let above = by.iter().filter(|other| rule.path.starts_with(&other.path));
    let granted = above.fold((false, false), |sum, other| {
        let (write, execute) = rights(other.access);
        (sum.0 || write, sum.1 || execute)
    });
    let wanted = rights(rule.access);
    by.iter().any(|other| rule.path.starts_with(&other.path))
        && (!wanted.0 || granted.0)
        && (!wanted.1 || granted.1)
}

/// Whether it lets write, and execute; all let read.
fn rights(access: LandlockAccess) -> (bool, bool) {
    match access {
        LandlockAccess::Read => (false, false),
        LandlockAccess::ReadExecute => (false, true),
        LandlockAccess::ReadWrite => (true, false),
        LandlockAccess::ReadWriteExecute => (true, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(path: &str, access: LandlockAccess) -> LandlockRule {
        LandlockRule { path: path.into(), access }
    }

    #[test]
    fn one_more_element_is_wider_whatever_is_missing() {
        let set = |words: &[&'static str]| words.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(sets(&set(&["a", "b"]), &set(&["a"])), Ordering::Less);
        assert_eq!(sets(&set(&["a", "b"]), &set(&["c"])), Ordering::Greater);
        assert_eq!(sets(&set(&["a"]), &set(&["a"])), Ordering::Equal);
    }

    #[test]
    fn rules_are_measured_by_what_they_grant_and_not_by_their_text() {
        let left = [rule("/", LandlockAccess::ReadExecute), rule("/tmp", LandlockAccess::ReadWrite)];
        let narrower = [rule("/usr", LandlockAccess::Read), rule("/tmp/x", LandlockAccess::ReadWriteExecute)];
        assert_eq!(rules(&left, &narrower), Ordering::Less);
        assert_eq!(rules(&left, &left), Ordering::Equal);
        assert_eq!(rules(&left, &[rule("/etc", LandlockAccess::ReadWrite)]), Ordering::Greater);
        assert_eq!(rules(&narrower, &left), Ordering::Greater);
    }

    #[test]
    fn half_a_processor_is_less_in_whatever_period() {
        let half = CpuQuota { quota: 50_000, period: 100_000 };
        let most = CpuQuota { quota: 9_000, period: 10_000 };
        assert!(processors(half) < processors(most));
    }
}
