//! `linux.personality` and `linux.memoryPolicy`: what each process of the container is given.

use nucleus_abi::Result;
use nucleus_sys::memory_policy::{Mode, ModeFlags};
use nucleus_sys::process::Domain;

use super::document::{self, Linux};
use super::index_list;
use crate::fault::{invalid, unsupported};

/// What each process of the container is given.
#[derive(Debug, Default)]
pub struct EachProcess {
    /// The execution domain.
    pub domain: Option<Domain>,
    /// Where memory comes from.
    pub memory: Option<MemoryPolicy>,
}

/// From which NUMA nodes memory comes.
#[derive(Debug, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// How.
    pub mode: Mode,
    /// Flags.
    pub flags: ModeFlags,
    /// Nodes.
    pub nodes: Vec<u16>,
}

pub(super) fn read(linux: &Linux<'_>) -> Result<EachProcess> {
    Ok(EachProcess {
        domain: linux.personality.as_ref().map(domain).transpose()?,
        memory: linux.memory_policy.as_ref().map(memory).transpose()?,
    })
}

/// config-linux.md, "Personality": no flags are defined.
fn domain(asked: &document::Personality<'_>) -> Result<Domain> {
    if let Some(flag) = asked.flags.first() {
        return Err(unsupported("linux.personality.flags", format!("`{flag}`: no flag is defined")));
    }
    match &*asked.domain {
        "LINUX" => Ok(Domain::Linux),
        "LINUX32" => Ok(Domain::Linux32),
        other => Err(invalid("linux.personality.domain", format!("`{other}` is no execution domain"))),
    }
}

fn memory(asked: &document::MemoryPolicy<'_>) -> Result<MemoryPolicy> {
    const NODES: &str = "linux.memoryPolicy.nodes";
    /// Beyond what any kernel is built for (`NODES_SHIFT`).
    const END: u16 = 4096;
    let mode = mode(&asked.mode)?;
    let flags = asked.flags.iter().map(|name| flag(name)).collect::<Result<ModeFlags>>()?;
    let nodes = index_list::read(NODES, asked.nodes.as_deref().unwrap_or_default(), END)?;
    // The kernel's rules (`mpol_new`), told by field.
    match mode {
        Mode::Default | Mode::Local if !nodes.is_empty() => {
            return Err(invalid(NODES, format!("{} takes no nodes", asked.mode)));
        }
        Mode::Default | Mode::Local | Mode::Preferred => {}
        _ if nodes.is_empty() => return Err(invalid(NODES, format!("{} needs nodes", asked.mode))),
        _ => {}
    }
    if flags.contains(ModeFlags::STATIC_NODES | ModeFlags::RELATIVE_NODES) {
        return Err(invalid("linux.memoryPolicy.flags", "static and relative nodes exclude each other"));
    }
    Ok(MemoryPolicy { mode, flags, nodes: nodes.into_iter().collect() })
}

/// Every mode, with its name.
pub(crate) const MODES: [(&str, Mode); 7] = [
    ("MPOL_DEFAULT", Mode::Default),
    ("MPOL_PREFERRED", Mode::Preferred),
    ("MPOL_BIND", Mode::Bind),
    ("MPOL_INTERLEAVE", Mode::Interleave),
    ("MPOL_LOCAL", Mode::Local),
    ("MPOL_PREFERRED_MANY", Mode::PreferredMany),
    ("MPOL_WEIGHTED_INTERLEAVE", Mode::WeightedInterleave),
];

fn mode(name: &str) -> Result<Mode> {
    let found = MODES.into_iter().find(|(known, _)| *known == name);
    found
        .map(|(_, mode)| mode)
        .ok_or_else(|| invalid("linux.memoryPolicy.mode", format!("`{name}` is no mode")))
}

fn flag(name: &str) -> Result<ModeFlags> {
    let short = name.strip_prefix("MPOL_F_").and_then(ModeFlags::from_name);
    short.ok_or_else(|| invalid("linux.memoryPolicy.flags", format!("`{name}` is no flag")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(linux: &Value) -> Result<EachProcess> {
        read(&document::read(&linux.to_string()).unwrap())
    }

    #[test]
    fn names_are_the_specifications() {
        let policy = json!({"mode": "MPOL_BIND", "nodes": "0,2-3", "flags": ["MPOL_F_STATIC_NODES"]});
        let given = of(&json!({"personality": {"domain": "LINUX32"}, "memoryPolicy": policy})).unwrap();
        assert_eq!(given.domain, Some(Domain::Linux32));
        let expected =
            MemoryPolicy { mode: Mode::Bind, flags: ModeFlags::STATIC_NODES, nodes: vec![0, 2, 3] };
        assert_eq!(given.memory, Some(expected));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_field() {
        let wrong = [
            ("personality.domain", json!({"personality": {"domain": "SOLARIS"}})),
            (
                "personality.flags",
                json!({"personality": {"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}}),
            ),
            ("memoryPolicy.mode", json!({"memoryPolicy": {"mode": "BIND", "nodes": "0"}})),
            ("memoryPolicy.nodes", json!({"memoryPolicy": {"mode": "MPOL_BIND"}})),
            ("memoryPolicy.nodes", json!({"memoryPolicy": {"mode": "MPOL_LOCAL", "nodes": "0"}})),
            ("memoryPolicy.flags", json!({"memoryPolicy": {"mode": "MPOL_DEFAULT", "flags": ["STATIC"]}})),
        ];
        for (field, linux) in wrong {
            let error = of(&linux).unwrap_err();
            assert_eq!(error.subject, Some(format!("config.json: linux.{field}")), "{linux}");
        }
    }
}
