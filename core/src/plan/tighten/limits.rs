//! `linux.resources`: of two limits the lower one.

use std::collections::BTreeSet;

use nucleus_abi::Result;
use serde_json::{Value, json};

use super::document::{Document, invalid, whole};
use crate::plan::bounds::{Bound, Held, IoRateBound, ResourceBounds};

/// What is done with a limit above the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    /// It is lowered, and a limit that is missing is added.
    Lowered,
    /// It is refused, and what is missing stays as it is.
    Refused,
}

/// Microseconds: the kernel's period where a document names none.
const PERIOD: u64 = 100_000;

const MEMORY: &str = "linux.resources.memory.limit";
const SWAP: &str = "linux.resources.memory.swap";

pub(super) fn tighten(document: &mut Document<'_>, held: &Held, excess: Excess) -> Result<()> {
    let mut limits = Limits { document, excess };
    limits.all(&held.resources)?;
    unified(document, &held.resources)
}

struct Limits<'d, 'a> {
    document: &'d mut Document<'a>,
    excess: Excess,
}

impl Limits<'_, '_> {
    fn all(&mut self, bounds: &ResourceBounds) -> Result<()> {
        if let Some(bound) = &bounds.memory {
            self.at_most(MEMORY, bound, i128::from(bound.value))?;
            self.follow("linux.resources.memory.reservation", bound)?;
        }
        if let Some(bound) = &bounds.swap {
            self.swap(bound)?;
        }
        let spared = self.document.get("linux.resources.memory.disableOOMKiller") == Some(&Value::Bool(true));
        if let Some(bound) = bounds.memory.as_ref().filter(|_| spared) {
            self.document.set("linux.resources.memory.disableOOMKiller", false, &bound.decided)?;
        }
        if let Some(bound) = &bounds.cpu {
            self.cpu(bound)?;
        }
        if let Some(bound) = &bounds.cpu_shares {
            self.at_most("linux.resources.cpu.shares", bound, i128::from(bound.value))?;
        }
        if let Some(bound) = &bounds.cpus {
            self.within("linux.resources.cpu.cpus", bound)?;
        }
        if let Some(bound) = &bounds.mems {
            self.within("linux.resources.cpu.mems", bound)?;
        }
        if let Some(bound) = &bounds.pids {
            self.at_most("linux.resources.pids.limit", bound, i128::from(bound.value))?;
        }
        if let Some(bound) = &bounds.io_weight {
            self.at_most("linux.resources.blockIO.weight", bound, i128::from(bound.value))?;
        }
        bounds.io_rates.iter().try_for_each(|bound| self.io_rate(bound))
    }

    /// A limit of which nothing, zero and less mean "none" to engines.
    fn at_most<T>(&mut self, field: &str, bound: &Bound<T>, most: i128) -> Result<()> {
        match self.document.number(field)? {
            Some(asked) if (1..=most).contains(&asked) => Ok(()),
            None if self.excess == Excess::Refused => Ok(()),
            asked => self.exceeds(field, asked, bound, most),
        }
    }

    fn exceeds<T>(&mut self, field: &str, asked: Option<i128>, bound: &Bound<T>, most: i128) -> Result<()> {
        match self.excess {
            Excess::Lowered => self.document.set(field, number(most), &bound.decided),
            Excess::Refused => {
                let asked = asked.map_or_else(|| "no limit".to_owned(), |asked| asked.to_string());
                let why = format!("it asks for {asked}, and the profile allows {most}");
                self.document.refuse(
                    field,
                    why,
                    bound,
                    "stay within the profile, or change it and make the container anew",
                );
                Ok(())
            }
        }
    }

    /// A value that makes no sense above the limit that was lowered.
    fn follow(&mut self, field: &str, bound: &Bound<u64>) -> Result<()> {
        match self.document.number(field)? {
            Some(asked) if asked > i128::from(bound.value) => {
                self.exceeds(field, Some(asked), bound, i128::from(bound.value))
            }
            _ => Ok(()),
        }
    }

    /// The specification counts memory and swap together.
    fn swap(&mut self, bound: &Bound<u64>) -> Result<()> {
        match self.document.number(MEMORY)?.filter(|limit| *limit > 0) {
            Some(limit) => self.at_most(SWAP, bound, limit + i128::from(bound.value)),
            // A profile limits swap only where it limits memory too, and that is looked at first.
            None => Ok(()),
        }
    }

    fn cpu(&mut self, bound: &Bound<(i64, u64)>) -> Result<()> {
        self.realtime(bound)?;
        let (quota, period) = (bound.value.0, bound.value.1);
        let asked = self.document.number("linux.resources.cpu.quota")?;
        let per = self.document.number("linux.resources.cpu.period")?.filter(|period| *period > 0);
        if asked.is_none() && per.is_none() && self.excess == Excess::Refused {
            return Ok(());
        }
        let per = per.unwrap_or(i128::from(PERIOD));
        // Compared as fractions: quota / period.
        if asked.is_some_and(|asked| asked > 0 && asked * i128::from(period) <= i128::from(quota) * per) {
            return Ok(());
        }
        let field = "linux.resources.cpu.quota";
        self.exceeds(field, asked, bound, i128::from(quota))?;
        if self.excess == Excess::Lowered {
            self.document.set("linux.resources.cpu.period", period, &bound.decided)?;
            self.document.remove("linux.resources.cpu.burst", &bound.decided)?;
        }
        Ok(())
    }

    /// Realtime tasks are outside of the quota (Documentation/scheduler/sched-rt-group.rst): their time would come on top.
    fn realtime(&mut self, bound: &Bound<(i64, u64)>) -> Result<()> {
        for field in ["linux.resources.cpu.realtimeRuntime", "linux.resources.cpu.realtimePeriod"] {
            if self.document.number(field)?.is_some_and(|asked| asked != 0) {
                let why = "realtime is not counted against the quota of the profile";
                self.document.refuse(field, why, bound, "leave it out");
            }
        }
        Ok(())
    }

    fn within(&mut self, field: &str, bound: &Bound<String>) -> Result<()> {
        let asked = self.document.text(field)?.filter(|text| !text.trim().is_empty()).map(str::to_owned);
        let allowed = members(&bound.value).unwrap_or_default();
        let Some(asked) = asked else {
            return match self.excess {
                Excess::Lowered => self.document.set(field, bound.value.clone(), &bound.decided),
                Excess::Refused => Ok(()),
            };
        };
        let wanted =
            members(&asked).ok_or_else(|| invalid(field, format!("`{asked}` is no list as in cpuset(7)")))?;
        let common: Vec<u32> = wanted.intersection(&allowed).copied().collect();
        if common.len() == wanted.len() {
            return Ok(());
        }
        if common.is_empty() || self.excess == Excess::Refused {
            let why = format!("it asks for {asked}, and the profile allows {}", bound.value);
            self.document.refuse(field, why, bound, "ask for some that the profile allows");
            return Ok(());
        }
        self.document.set(field, listed(&common), &bound.decided)
    }

    fn io_rate(&mut self, bound: &Bound<IoRateBound>) -> Result<()> {
        let field = format!("linux.resources.blockIO.{}", bound.value.list);
        let mut list = self.document.list(&field)?.to_vec();
        let (major, minor, most) = (bound.value.major, bound.value.minor, bound.value.rate);
        let of_device = |entry: &Value| entry["major"] == major && entry["minor"] == minor;
        let asked = list.iter().position(of_device);
        match asked.map(|index| (index, list[index].get("rate").and_then(whole))) {
            Some((_, Some(rate))) if (1..=i128::from(most)).contains(&rate) => return Ok(()),
            None if self.excess == Excess::Refused => return Ok(()),
            Some((_, rate)) if self.excess == Excess::Refused => {
                return self.exceeds(&field, rate, bound, i128::from(most));
            }
            Some((index, _)) => list[index]["rate"] = most.into(),
            None => list.push(json!({ "major": major, "minor": minor, "rate": most })),
        }
        self.document.set(&field, list, &bound.decided)
    }
}

/// Files of cgroup v2 by name would go round the bounds on the same thing.
fn unified(document: &mut Document<'_>, bounds: &ResourceBounds) -> Result<()> {
    let field = "linux.resources.unified";
    let files: Vec<String> = match document.get(field) {
        None => return Ok(()),
        Some(Value::Object(files)) => files.keys().cloned().collect(),
        Some(_) => return Err(invalid(field, "is not an object")),
    };
    let decided = |bound: Option<&str>| bound.map(str::to_owned);
    let bounded = [
        ("memory.max", decided(bounds.memory.as_ref().map(|it| &*it.decided)), "memory.limit"),
        ("memory.swap.max", decided(bounds.swap.as_ref().map(|it| &*it.decided)), "memory.swap"),
        ("pids.max", decided(bounds.pids.as_ref().map(|it| &*it.decided)), "pids.limit"),
        ("cpu.max", decided(bounds.cpu.as_ref().map(|it| &*it.decided)), "cpu.quota"),
        ("cpu.weight", decided(bounds.cpu_shares.as_ref().map(|it| &*it.decided)), "cpu.shares"),
        ("cpu.weight.nice", decided(bounds.cpu_shares.as_ref().map(|it| &*it.decided)), "cpu.shares"),
        ("cpuset.cpus", decided(bounds.cpus.as_ref().map(|it| &*it.decided)), "cpu.cpus"),
        // Both take processors out of the reach of everybody else: the bound says which, not that they are the container's own.
        ("cpuset.cpus.exclusive", decided(bounds.cpus.as_ref().map(|it| &*it.decided)), "cpu.cpus"),
        ("cpuset.cpus.partition", decided(bounds.cpus.as_ref().map(|it| &*it.decided)), "cpu.cpus"),
        ("cpuset.mems", decided(bounds.mems.as_ref().map(|it| &*it.decided)), "cpu.mems"),
        ("io.weight", decided(bounds.io_weight.as_ref().map(|it| &*it.decided)), "blockIO.weight"),
        ("io.bfq.weight", decided(bounds.io_weight.as_ref().map(|it| &*it.decided)), "blockIO.weight"),
        ("io.max", decided(bounds.io_rates.first().map(|it| &*it.decided)), "blockIO"),
    ];
    for (file, decided, instead) in bounded {
        if let Some(decided) = decided.filter(|_| files.iter().any(|name| name == file)) {
            let bound = Bound { value: (), decided };
            let why = "the profile limits the same thing";
            let hint = format!("say it as `linux.resources.{instead}`");
            document.refuse(&format!("{field}[{file:?}]"), why, &bound, &hint);
        }
    }
    Ok(())
}

fn number(value: i128) -> Value {
    i64::try_from(value).map_or_else(|_| u64::try_from(value).unwrap_or(u64::MAX).into(), Value::from)
}

/// The numbers of a list such as `0-1,4`, cpuset(7) "List format".
fn members(list: &str) -> Option<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    for part in list.trim().split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
        // More than the kernel can have is a mistake, and would take long to count.
        if from > to || to > 65_535 {
            return None;
        }
        found.extend(from..=to);
    }
    Some(found)
}

fn listed(indexes: &[u32]) -> String {
    indexes.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}
