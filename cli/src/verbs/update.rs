//! `nucleus update`: other limits for a container.

use std::fs;
use std::io::{self, Read};

use clap::ArgMatches;
use nucleus_abi::{Error, ErrorCode};
use nucleus_core::lifecycle::{self, Change};
use nucleus_core::plugins::Registry;
use nucleus_core::profile::values::ByteSize;
use serde_json::{Map, Value, json};

use super::container_id;
use crate::arguments::Invocation;
use crate::arguments::update::{CACHES, IGNORED, LIMITS, Limit, Unit};
use crate::output::{self, Failure};

/// Largest document that is read, in bytes.
const LARGEST: u64 = 4 << 20;

pub(super) fn update(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let id = container_id(matches)?;
    let resources = match matches.get_one::<String>("resources") {
        Some(file) => without_kernel_memory(read(file)?),
        None => limits(matches)?,
    };
    let change = Change { resources, intel_rdt: caches(matches) };
    let warnings = lifecycle::update(&id, &invocation.root, &Registry::linked()?, &change)?;
    for warning in &warnings {
        output::warn(warning);
    }
    Ok(0)
}

/// What the single options say, in the form of `linux.resources`.
fn limits(matches: &ArgMatches) -> Result<Value, Error> {
    if IGNORED.iter().any(|name| matches.contains_id(name)) {
        warn_of_kernel_memory();
    }
    let mut resources = Map::new();
    for limit in &LIMITS {
        // As with runc, an empty value says nothing.
        let Some(text) = matches.get_one::<String>(limit.name).filter(|text| !text.is_empty()) else {
            continue;
        };
        let [group, field] = limit.field;
        resources.entry(group).or_insert_with(|| json!({}))[field] = value(limit, text)?;
    }
    Ok(Value::Object(resources))
}

fn value(limit: &Limit, text: &str) -> Result<Value, Error> {
    let read: Result<Value, String> = match limit.unit {
        Unit::Text => Ok(json!(text)),
        Unit::Signed => text.parse::<i64>().map(Value::from).map_err(|error| error.to_string()),
        Unit::Unsigned => text.parse::<u64>().map(Value::from).map_err(|error| error.to_string()),
        Unit::Bytes if text == "-1" => Ok(json!(-1)),
        Unit::Bytes => {
            text.parse::<ByteSize>().map(|size| json!(size.bytes())).map_err(|error| error.to_string())
        }
    };
    read.map_err(|cause| {
        Error::new(ErrorCode::InvalidArgument, format!("read --{}", limit.name)).on(text).because(cause)
    })
}

/// Reads a document from a file, or from standard input.
fn read(file: &str) -> Result<Value, Error> {
    let text = if file == "-" { bounded(io::stdin().lock()) } else { fs::File::open(file).and_then(bounded) };
    let failed = |code, cause: &dyn std::fmt::Display| {
        Error::new(code, "read the new limits")
            .on(if file == "-" { "standard input" } else { file })
            .because(cause)
    };
    let text = text.map_err(|error| failed(ErrorCode::InvalidArgument, &error))?;
    match serde_json::from_str(&text) {
        Ok(resources @ Value::Object(_)) => Ok(resources),
        Ok(_) => Err(failed(ErrorCode::ConfigInvalid, &"it is no object, as `linux.resources` is")),
        Err(error) => Err(failed(ErrorCode::ConfigInvalid, &error)),
    }
}

fn bounded(from: impl Read) -> io::Result<String> {
    io::read_to_string(from.take(LARGEST))
}

/// runc takes limits of the kernel's memory and does nothing, since the kernel has none any more; engines still send them.
fn without_kernel_memory(mut resources: Value) -> Value {
    let Some(memory) = resources.get_mut("memory").and_then(Value::as_object_mut) else { return resources };
    let mut remove = |field| memory.remove(field).is_some_and(|value| !value.is_null());
    if remove("kernel") | remove("kernelTCP") {
        warn_of_kernel_memory();
    }
    resources
}

fn warn_of_kernel_memory() {
    output::warn("limits of the kernel's own memory are ignored: the kernel has none any more");
}

/// What they say of caches and memory bandwidth, in the form of `linux.intelRdt`.
fn caches(matches: &ArgMatches) -> Option<Value> {
    let typed = CACHES.iter().filter_map(|(name, field)| {
        let schema = matches.get_one::<String>(name).filter(|text| !text.is_empty())?;
        Some(((*field).to_owned(), json!(schema)))
    });
    let fields: Map<String, Value> = typed.collect();
    (!fields.is_empty()).then_some(Value::Object(fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;

    fn typed(words: &[&str]) -> Result<Value, Error> {
        let command = crate::arguments::update::arguments(Command::new("update"));
        limits(&command.get_matches_from([&["update"], words, &["web"]].concat()))
    }

    #[test]
    fn options_become_fields() {
        let resources =
            typed(&["--memory", "512m", "--memory-swap=-1", "--cpu-quota", "-1", "--cpuset-cpus", "0-1"]);
        assert_eq!(
            resources.unwrap(),
            json!({"memory": {"limit": 512 << 20, "swap": -1}, "cpu": {"quota": -1, "cpus": "0-1"}})
        );
        assert_eq!(typed(&["--cpu-share", "0", "--pids-limit", ""]).unwrap(), json!({"cpu": {"shares": 0}}));
        assert_eq!(typed(&[]).unwrap(), json!({}));
    }

    #[test]
    fn schemata_are_told_apart_from_limits() {
        let command = crate::arguments::update::arguments(Command::new("update"));
        let words = ["update", "--l3-cache-schema", "L3:0=f", "--mem-bw-schema", "", "web"];
        let matches = command.get_matches_from(words);
        assert_eq!(caches(&matches), Some(json!({"l3CacheSchema": "L3:0=f"})));
        assert_eq!(limits(&matches).unwrap(), json!({}));
    }

    #[test]
    fn what_is_no_number_is_refused_by_the_name_of_the_option() {
        for (option, text) in
            [("--memory", "much"), ("--cpu-share", "-1"), ("--pids-limit", "1k"), ("--memory", "-2")]
        {
            let error = typed(&[option, text]).unwrap_err();
            assert_eq!(
                (error.code, error.step.as_ref()),
                (ErrorCode::InvalidArgument, format!("read {option}").as_ref())
            );
        }
    }

    #[test]
    fn limits_of_the_kernels_memory_are_dropped() {
        let resources = json!({"memory": {"limit": 1, "kernel": 2, "kernelTCP": null}, "pids": {"limit": 3}});
        assert_eq!(without_kernel_memory(resources), json!({"memory": {"limit": 1}, "pids": {"limit": 3}}));
    }
}
