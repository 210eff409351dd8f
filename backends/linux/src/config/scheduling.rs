//! `process.scheduler`, `process.ioPriority` and `process.execCPUAffinity`.

use std::fmt::Display;

use nucleus_abi::Result;
use nucleus_sys::scheduling::{CpuSet, IoClass, Policy, Schedule, ScheduleFlags};

use super::document::{self, Text};
use super::index_list;
use crate::fault::{invalid, unsupported};

/// A priority for block devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoPriority {
    /// The class.
    pub class: IoClass,
    /// 0 (first) to 7.
    pub priority: u8,
}

/// On which processors an executed process runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Affinity {
    /// While it is not yet in the container's groups.
    pub initial: Option<CpuSet>,
    /// From then on.
    pub last: Option<CpuSet>,
}

fn field(name: impl Display) -> String {
    format!("process.scheduler.{name}")
}

/// Each policy has values of its own; one of another policy would have no effect.
pub(super) fn schedule(asked: &document::Scheduler<'_>) -> Result<Schedule> {
    let policy = policy(&asked.policy)?;
    let nice = asked.nice.unwrap_or(0);
    let priority = asked.priority.unwrap_or(0);
    let deadlines = [("runtime", asked.runtime), ("deadline", asked.deadline), ("period", asked.period)];
    let without = |name, of: &str| Err(invalid(field(name), format!("only {of} has it")));
    match policy {
        Policy::Fifo | Policy::RoundRobin if !(1..=99).contains(&priority) => {
            return Err(invalid(field("priority"), "lies between 1 and 99"));
        }
        Policy::Fifo | Policy::RoundRobin => {}
        _ if priority != 0 => return without("priority", "SCHED_FIFO and SCHED_RR"),
        _ => {}
    }
    if !(-20..=19).contains(&nice) {
        return Err(invalid(field("nice"), "lies between -20 and 19"));
    }
    if let Some((name, _)) = deadlines.iter().find(|(_, value)| value.is_some_and(|value| value != 0))
        && policy != Policy::Deadline
    {
        return without(*name, "SCHED_DEADLINE");
    }
    Ok(Schedule {
        policy,
        flags: asked
            .flags
            .iter()
            .enumerate()
            .map(|(index, name)| flag(index, name))
            .collect::<Result<_>>()?,
        nice,
        priority: priority.unsigned_abs(),
        runtime: asked.runtime.unwrap_or(0),
        deadline: asked.deadline.unwrap_or(0),
        period: asked.period.unwrap_or(0),
    })
}

fn policy(name: &str) -> Result<Policy> {
    Ok(match name {
        "SCHED_OTHER" => Policy::Other,
        "SCHED_FIFO" => Policy::Fifo,
        "SCHED_RR" => Policy::RoundRobin,
        "SCHED_BATCH" => Policy::Batch,
        "SCHED_IDLE" => Policy::Idle,
        "SCHED_DEADLINE" => Policy::Deadline,
        "SCHED_ISO" => return Err(unsupported(field("policy"), "no kernel implements SCHED_ISO")),
        _ => return Err(invalid(field("policy"), format!("`{name}` is no scheduling policy"))),
    })
}

fn flag(index: usize, name: &str) -> Result<ScheduleFlags> {
    let short = name.strip_prefix("SCHED_FLAG_").and_then(ScheduleFlags::from_name);
    short.ok_or_else(|| invalid(field(format!("flags[{index}]")), format!("`{name}` is no scheduling flag")))
}

pub(super) fn io_priority(asked: &document::IoPriority<'_>) -> Result<IoPriority> {
    let class = match &*asked.class {
        "IOPRIO_CLASS_RT" => IoClass::RealTime,
        "IOPRIO_CLASS_BE" => IoClass::BestEffort,
        "IOPRIO_CLASS_IDLE" => IoClass::Idle,
        other => return Err(invalid("process.ioPriority.class", format!("`{other}` is no class"))),
    };
    match u8::try_from(asked.priority) {
        Ok(priority @ 0..=7) => Ok(IoPriority { class, priority }),
        _ => Err(invalid("process.ioPriority.priority", "lies between 0 and 7")),
    }
}

pub(super) fn affinity(asked: &document::CpuAffinity<'_>) -> Result<Affinity> {
    let read = |name: &str, text: &Option<Text<'_>>| {
        let text = text.as_ref().filter(|text| !text.is_empty());
        text.map(|text| processors(&format!("process.execCPUAffinity.{name}"), text)).transpose()
    };
    Ok(Affinity { initial: read("initial", &asked.initial)?, last: read("final", &asked.last)? })
}

fn processors(field: &str, text: &str) -> Result<CpuSet> {
    let end = u16::try_from(CpuSet::MAX_CPU).unwrap_or(u16::MAX);
    let mut set = CpuSet::new();
    index_list::read(field, text, end)?.into_iter().for_each(|number| set.set(number.into()));
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(scheduler: &Value) -> Result<Schedule> {
        schedule(&document::read(&scheduler.to_string()).unwrap())
    }

    #[test]
    fn names_are_the_specifications() {
        let deadline = json!({
            "policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_DL_OVERRUN"],
            "runtime": 1, "deadline": 2, "period": 3
        });
        let schedule = read(&deadline).unwrap();
        assert_eq!(schedule.flags, ScheduleFlags::RESET_ON_FORK | ScheduleFlags::DL_OVERRUN);
        assert_eq!((schedule.policy, schedule.period), (Policy::Deadline, 3));
        assert_eq!(read(&json!({"policy": "SCHED_BATCH", "nice": -3})).unwrap().nice, -3);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_field() {
        let wrong = [
            ("policy", json!({"policy": "OTHER"})),
            ("policy", json!({"policy": "SCHED_ISO"})),
            ("priority", json!({"policy": "SCHED_FIFO"})),
            ("priority", json!({"policy": "SCHED_OTHER", "priority": 1})),
            ("nice", json!({"policy": "SCHED_OTHER", "nice": 20})),
            ("deadline", json!({"policy": "SCHED_RR", "priority": 1, "deadline": 5})),
            ("flags[0]", json!({"policy": "SCHED_OTHER", "flags": ["RESET_ON_FORK"]})),
        ];
        for (field, scheduler) in wrong {
            let error = read(&scheduler).unwrap_err();
            let expected = format!("config.json: process.scheduler.{field}");
            assert_eq!(error.subject, Some(expected), "{scheduler}");
        }
    }

    #[test]
    fn priorities_for_disks_lie_in_their_range() {
        let read = |text: &str| io_priority(&document::read(text).unwrap());
        let expected = IoPriority { class: IoClass::BestEffort, priority: 4 };
        assert_eq!(read(r#"{"class": "IOPRIO_CLASS_BE", "priority": 4}"#).unwrap(), expected);
        for text in [
            r#"{"class": "IOPRIO_CLASS_BE", "priority": 8}"#,
            r#"{"class": "IOPRIO_CLASS_RT", "priority": -1}"#,
        ] {
            assert!(read(text).unwrap_err().to_string().contains("ioPriority.priority"), "{text}");
        }
        assert!(read(r#"{"class": "BE"}"#).unwrap_err().to_string().contains("ioPriority.class"));
    }

    #[test]
    fn processors_are_lists() {
        let affinity = affinity(&document::read(r#"{"initial": "0-1", "final": ""}"#).unwrap()).unwrap();
        let initial = affinity.initial.unwrap();
        assert!(initial.is_set(1) && !initial.is_set(2) && affinity.last.is_none());
    }
}
