//! `linux.intelRdt` (config-linux.md, "`IntelRdt`").

use nucleus_abi::Result;

use super::document;
use crate::fault::invalid;

/// A class of service of the CPU's caches and memory bandwidth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntelRdt {
    /// An existing or shared class; without it the container gets one of its own.
    pub class: Option<String>,
    /// Lines of the class's `schemata`.
    pub schemata: Vec<String>,
    /// Whether what the container uses is counted apart.
    pub monitoring: Monitoring,
}

/// Whether there is a monitoring group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Monitoring {
    /// None.
    Off,
    /// One of the container's own.
    Own,
}

pub(super) fn read(asked: Option<&document::IntelRdt<'_>>) -> Result<Option<IntelRdt>> {
    let Some(asked) = asked else { return Ok(None) };
    let class = asked.clos_id.as_deref().filter(|class| !class.is_empty()).map(name).transpose()?;
    let schemata = schemata(asked)?;
    let monitored = asked.enable_monitoring || asked.enable_cmt || asked.enable_mbm;
    let monitoring = if monitored { Monitoring::Own } else { Monitoring::Off };
    Ok(Some(IntelRdt { class, schemata, monitoring }))
}

/// The lines of `schemata` that a change asks for.
///
/// # Errors
/// `config-invalid`, naming the field.
pub fn read_schemata(json: &str) -> Result<Vec<String>> {
    schemata(&document::read(json)?)
}

fn schemata(asked: &document::IntelRdt<'_>) -> Result<Vec<String>> {
    let mut schemata = Vec::new();
    // A line for the memory bandwidth in the schema of the cache is passed over (config-linux.md).
    let cache = asked.l3_cache_schema.as_deref().unwrap_or_default().lines();
    schemata.extend(cache.filter(|line| !line.trim_start().starts_with("MB:")).map(str::to_owned));
    schemata.extend(asked.mem_bw_schema.as_deref().unwrap_or_default().lines().map(str::to_owned));
    for (index, line) in asked.schemata.iter().enumerate() {
        if line.contains(['\n', '\0']) {
            return Err(invalid(format!("linux.intelRdt.schemata[{index}]"), "it is more than one line"));
        }
        schemata.push(line.to_string());
    }
    Ok(schemata)
}

/// It becomes a directory below the root of resctrl, beside the kernel's own.
fn name(text: &str) -> Result<String> {
    let refused = |cause: &str| Err(invalid("linux.intelRdt.closID", format!("`{text}` {cause}")));
    match text {
        "." | ".." => refused("is no name of a class"),
        _ if text.contains(['/', '\0', '\n']) => refused("is no name of a class"),
        "info" | "mon_groups" | "mon_data" => refused("is a directory of the kernel's"),
        _ => Ok(text.to_owned()),
    }
}
