//! `root`, masks and kernel parameters.

use std::path::PathBuf;

use nucleus_abi::Result;

use super::EngineFacts;
use super::document::Document;
use crate::plan::bounds::{Bound, Bounds, NetworkBound};
use crate::plan::defaults::is_namespaced_sysctl;
use crate::plan::network::NetworkPlan;
use crate::plan::policy::Policy;

pub(super) fn tighten(document: &mut Document<'_>, bounds: &Bounds, facts: &EngineFacts) -> Result<()> {
    if let Some(root) = &facts.root
        && let Err(objection) = bounds.held.mounts.known(root, Policy::root)
    {
        document.object("root.path", &objection, &bounds.held.profile);
    }
    if let Some(bound) = &bounds.readonly_root {
        document.set("root.readonly", true, &bound.decided)?;
    }
    if let Some(bound) = &bounds.attested {
        let asked = "the root file system is the engine's, and the profile wants one that a manifest attests";
        document.refuse(
            "root.path",
            asked,
            bound,
            "let the engine verify its images, and drop the attestation here",
        );
    }
    union(document, "linux.maskedPaths", &bounds.masked_paths)?;
    union(document, "linux.readonlyPaths", &bounds.readonly_paths)?;
    if let Some(propagation @ ("shared" | "rshared")) = document.text("linux.rootfsPropagation")? {
        let asked = format!("`{propagation}` lets mounts of the container out to the host");
        document.refuse("linux.rootfsPropagation", asked, &bounds.held.profile, "use `private` or `slave`");
    }
    if document.get("linux.intelRdt.closID").is_some() {
        let asked = "it joins a class of service that others share";
        document.refuse(
            "linux.intelRdt.closID",
            asked,
            &bounds.held.profile,
            "leave it out: the container gets its own",
        );
    }
    sysctls(document, bounds)
}

fn union(document: &mut Document<'_>, field: &str, bound: &Bound<Vec<PathBuf>>) -> Result<()> {
    let mut paths = document.texts(field)?;
    for path in &bound.value {
        let path = path.display().to_string();
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    if paths.is_empty() { Ok(()) } else { document.set(field, paths, &bound.decided) }
}

fn sysctls(document: &mut Document<'_>, bounds: &Bounds) -> Result<()> {
    let names: Vec<String> = match document.get("linux.sysctl") {
        Some(serde_json::Value::Object(map)) => map.keys().cloned().collect(),
        _ => Vec::new(),
    };
    let network = match bounds.network.value {
        NetworkBound::Any => NetworkPlan::Host,
        NetworkBound::Namespace | NetworkBound::New => NetworkPlan::None,
    };
    for name in names {
        if !is_namespaced_sysctl(&name.replace('/', "."), &network) {
            let asked = format!("`{name}` belongs to the host, not to the container");
            document.refuse("linux.sysctl", asked, &bounds.held.profile, "set it on the host");
        }
    }
    if bounds.sysctls.is_empty() {
        return Ok(());
    }
    let mut map = document.get("linux.sysctl").and_then(|it| it.as_object().cloned()).unwrap_or_default();
    for (name, bound) in &bounds.sysctls {
        // Both ways of writing a name mean the same parameter, and the profile's value must be the only one.
        map.retain(|known, _| known.replace('/', ".") != *name);
        map.insert(name.clone(), bound.value.clone().into());
        document.set("linux.sysctl", map.clone(), &bound.decided)?;
    }
    Ok(())
}
