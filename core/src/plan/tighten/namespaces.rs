//! `linux.namespaces`: none of the host's.

use nucleus_abi::Result;
use serde_json::{Value, json};

use super::EngineFacts;
use super::document::Document;
use crate::plan::bounds::{Bounds, NetworkBound};

/// Namespaces that a container must have; without its entry in the list it would have the host's.
const REQUIRED: [&str; 4] = ["mount", "pid", "ipc", "uts"];

pub(super) fn tighten(document: &mut Document<'_>, bounds: &Bounds, facts: &EngineFacts) -> Result<()> {
    let field = "linux.namespaces";
    let list = document.list(field)?.to_vec();
    let entry =
        |kind: &str| list.iter().find(|entry| entry.get("type").and_then(Value::as_str) == Some(kind));
    for kind in REQUIRED {
        match entry(kind) {
            None => host(document, kind, &bounds.held.profile),
            Some(entry) if leads_to_host(entry, facts) => host(document, kind, &bounds.held.profile),
            Some(_) => {}
        }
    }
    network(document, entry("network"), bounds, facts);
    if let Some(bound) = &bounds.egress {
        let asked = "the profile bounds what may be connected to, and the engine makes the network";
        document.refuse(
            field,
            asked,
            bound,
            "let the engine's network hold the policy, and remove `network.egress`",
        );
    }
    let devices =
        document.get("linux.netDevices").and_then(Value::as_object).is_some_and(|map| !map.is_empty());
    if devices && bounds.network.value != NetworkBound::Any {
        let asked = "it takes network devices from the host";
        document.refuse(
            "linux.netDevices",
            asked,
            &bounds.network,
            "let the engine prepare the network namespace",
        );
    }
    let of_host = entry("user").is_none_or(|entry| leads_to_host(entry, facts));
    if let Some(bound) = bounds.user_namespace.as_ref().filter(|_| of_host) {
        let asked = "it asks for none, and the profile demands a user namespace";
        let hint = "let the engine map users (`--userns`, `hostUsers: false`)";
        document.refuse(field, asked, bound, hint);
    }
    for field in ["linux.uidMappings", "linux.gidMappings"] {
        if let Some(bound) = bounds.user_namespace.as_ref().filter(|_| maps_root(document, field)) {
            let asked = "it maps the host's root into the container";
            document.refuse(field, asked, bound, "map ids of the host that nobody else has");
        }
    }
    // A namespace that nothing outside depends on is simply added.
    if entry("cgroup").is_none_or(|entry| leads_to_host(entry, facts)) {
        let mut list: Vec<Value> = list.iter().filter(|entry| entry["type"] != "cgroup").cloned().collect();
        list.push(json!({ "type": "cgroup" }));
        document.set(field, list, &bounds.held.profile.decided)?;
    }
    Ok(())
}

fn host<T>(document: &mut Document<'_>, kind: &str, bound: &crate::plan::bounds::Bound<T>) {
    let asked = format!("it asks for the host's {kind} namespace");
    document.refuse(
        "linux.namespaces",
        asked,
        bound,
        "give the container a namespace of its own, or use another profile",
    );
}

fn network(document: &mut Document<'_>, entry: Option<&Value>, bounds: &Bounds, facts: &EngineFacts) {
    let prepared = entry.and_then(path).is_some();
    let of_host = entry.is_none_or(|entry| leads_to_host(entry, facts));
    match bounds.network.value {
        NetworkBound::Namespace | NetworkBound::New if of_host => host(document, "network", &bounds.network),
        NetworkBound::New if prepared => {
            let asked = "it brings a network namespace that the engine prepared";
            document.refuse(
                "linux.namespaces",
                asked,
                &bounds.network,
                "run it without a network, or say `engineNetwork: keep`",
            );
        }
        NetworkBound::Any | NetworkBound::Namespace | NetworkBound::New => {}
    }
}

fn maps_root(document: &Document<'_>, field: &str) -> bool {
    let of_root = |entry: &Value| entry.get("hostID").and_then(Value::as_u64).unwrap_or_default() == 0;
    document.list(field).unwrap_or_default().iter().any(of_root)
}

fn path(entry: &Value) -> Option<&str> {
    entry.get("path").and_then(Value::as_str).filter(|path| !path.is_empty())
}

fn leads_to_host(entry: &Value, facts: &EngineFacts) -> bool {
    path(entry).is_some() && facts.own_namespaces.iter().any(|kind| entry["type"] == kind.as_str())
}
