//! `process`: who it is and what it may do.

use nucleus_abi::Result;
use serde_json::{Value, json};

use super::document::{Document, invalid, whole};
use crate::plan::bounds::{Bound, Held, Rlimit};

const SETS: [&str; 5] = ["bounding", "effective", "inheritable", "permitted", "ambient"];

pub(super) fn process(document: &mut Document<'_>, held: &Held) -> Result<()> {
    not_root(document, held)?;
    capabilities(document, held)?;
    if let Some(bound) = &held.no_new_privileges {
        document.set("process.noNewPrivileges", true, &bound.decided)?;
    }
    if let Some(bound) = &held.oom_score_adj {
        let asked = document.number("process.oomScoreAdj")?;
        if asked.is_none_or(|asked| asked < i128::from(bound.value)) {
            document.set("process.oomScoreAdj", bound.value, &bound.decided)?;
        }
    }
    real_time(document, held)?;
    rlimits(document, held)
}

/// What runs in real time starves the host: no limit of processor time holds for it, sched(7).
fn real_time(document: &mut Document<'_>, held: &Held) -> Result<()> {
    let hint = "leave it to the kernel's ordinary scheduling";
    if let Some(policy @ ("SCHED_FIFO" | "SCHED_RR" | "SCHED_DEADLINE")) =
        document.text("process.scheduler.policy")?
    {
        let asked = format!("`{policy}` comes before everything on the host");
        document.refuse("process.scheduler.policy", asked, &held.profile, hint);
    }
    if document.text("process.ioPriority.class")? == Some("IOPRIO_CLASS_RT") {
        let asked = "`IOPRIO_CLASS_RT` comes before everything on the host";
        document.refuse("process.ioPriority.class", asked, &held.profile, hint);
    }
    Ok(())
}

/// Another user cannot be put in the engine's place: files of the image belong to the one it chose.
fn not_root(document: &mut Document<'_>, held: &Held) -> Result<()> {
    let Some(bound) = &held.not_root else { return Ok(()) };
    let uid = document.number("process.user.uid")?.unwrap_or(0);
    if uid == 0 {
        let asked = format!("it asks for root, and the profile's user is {}", bound.value);
        document.refuse("process.user.uid", asked, bound, "let the engine run the container as another user");
    }
    Ok(())
}

fn capabilities(document: &mut Document<'_>, held: &Held) -> Result<()> {
    for set in SETS {
        let field = format!("process.capabilities.{set}");
        let asked = document.texts(&field)?;
        let allowed = |name: &String| held.capabilities.value.iter().any(|known| known == name);
        let kept: Vec<String> = asked.iter().filter(|name| allowed(name)).cloned().collect();
        if kept.len() < asked.len() {
            document.set(&field, kept, &held.capabilities.decided)?;
        }
    }
    Ok(())
}

fn rlimits(document: &mut Document<'_>, held: &Held) -> Result<()> {
    for (name, bound) in &held.rlimits {
        rlimit(document, name, bound)?;
    }
    Ok(())
}

fn rlimit(document: &mut Document<'_>, name: &str, bound: &Bound<Rlimit>) -> Result<()> {
    let field = "process.rlimits";
    let mut list = document.list(field)?.to_vec();
    let of_name = |entry: &Value| entry.get("type").and_then(Value::as_str) == Some(name);
    let unlimited = i128::from(u64::MAX);
    let lowest = |asked: Option<i128>, bound: Option<u64>| {
        asked.unwrap_or(unlimited).min(bound.map_or(unlimited, i128::from))
    };
    let asked = |entry: &Value, key: &str| match entry.get(key) {
        None => Ok(None),
        Some(value) => {
            whole(value).map(Some).ok_or_else(|| invalid(format!("{field}.{key}"), "is not a whole number"))
        }
    };
    let known = list.iter().position(of_name);
    let index = known.unwrap_or_else(|| {
        list.push(json!({ "type": name }));
        list.len() - 1
    });
    let entry = &mut list[index];
    let hard = lowest(asked(entry, "hard")?, bound.value.hard);
    let soft = lowest(asked(entry, "soft")?, bound.value.soft).min(hard);
    let number = |value: i128| u64::try_from(value).unwrap_or(0);
    entry["soft"] = number(soft).into();
    entry["hard"] = number(hard).into();
    document.set(field, list, &bound.decided)
}
