//! `linux.namespaces`, the id maps and the time offsets.

use std::path::PathBuf;

use nucleus_abi::Result;
use nucleus_sys::id_map::{IdMap, IdMapping};
use nucleus_sys::namespace::{Namespace, NamespaceSet};

use super::document::{self, Linux};
use super::host_path;
use crate::fault::{invalid, unsupported};

/// Which namespaces the container makes and which it joins; all others are the caller's.
#[derive(Debug)]
pub struct Namespaces {
    /// Those to make.
    pub new: NamespaceSet,
    /// Those to join, in the order in which it must be done.
    pub joined: Vec<Joined>,
    /// Maps of the new user namespace.
    pub ids: Option<IdMaps>,
    /// Clock offsets of the new time namespace: the clock's name in `timens_offsets` and its offset.
    pub offsets: Vec<(&'static str, Offset)>,
}

/// A namespace to join.
#[derive(Debug, PartialEq, Eq)]
pub struct Joined {
    /// Its kind.
    pub kind: Namespace,
    /// A path of the host that refers to it.
    pub path: PathBuf,
}

/// How ids of the container appear on the host.
#[derive(Debug, PartialEq, Eq)]
pub struct IdMaps {
    /// `uid_map`, `user_namespaces(7)`.
    pub users: IdMap,
    /// `gid_map`.
    pub groups: IdMap,
}

/// What a clock of the container is ahead of the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    /// Whole seconds, which may be negative.
    pub seconds: i64,
    /// Nanoseconds on top, 0 to 999999999.
    pub nanoseconds: u32,
}

impl Namespaces {
    /// Whether the container builds its own mounts, and does not join a mount namespace that has them.
    pub fn own_mounts(&self) -> bool {
        self.new.contains(NamespaceSet::MOUNT)
    }

    /// Whether the container has a namespace of this kind that is not the caller's.
    pub fn owns(&self, kind: Namespace) -> bool {
        self.new.contains(kind.flag()) || self.joins(kind)
    }

    /// Whether it joins one of this kind.
    pub fn joins(&self, kind: Namespace) -> bool {
        self.joined.iter().any(|joined| joined.kind == kind)
    }

    /// Whether it runs in a user namespace other than the caller's.
    pub fn foreign_user(&self) -> bool {
        self.owns(Namespace::User)
    }
}

pub(super) fn read(linux: &Linux<'_>) -> Result<Namespaces> {
    let mut namespaces =
        Namespaces { new: NamespaceSet::empty(), joined: Vec::new(), ids: None, offsets: Vec::new() };
    for (index, entry) in linux.namespaces.iter().enumerate() {
        let field = format!("linux.namespaces[{index}]");
        let kind = kind(&entry.kind).ok_or_else(|| {
            unsupported(format!("{field}.type"), format!("`{}` is no kind of namespace", entry.kind))
        })?;
        if namespaces.owns(kind) {
            return Err(invalid(field, format!("`{}` is there twice", kind.oci_name())));
        }
        match &entry.path {
            None => namespaces.new |= kind.flag(),
            Some(path) if path.starts_with('/') => {
                let path = host_path(&format!("{field}.path"), path)?;
                namespaces.joined.push(Joined { kind, path });
            }
            Some(path) => {
                return Err(invalid(format!("{field}.path"), format!("{path:?} is not an absolute path")));
            }
        }
    }
    if !namespaces.owns(Namespace::Mount) {
        return Err(invalid("linux.namespaces", "a container has a mount namespace"));
    }
    namespaces.joined.sort_by_key(|joined| Namespace::ALL.iter().position(|kind| *kind == joined.kind));
    namespaces.ids = id_maps(linux, &namespaces)?;
    namespaces.offsets = offsets(linux, &namespaces)?;
    Ok(namespaces)
}

fn kind(name: &str) -> Option<Namespace> {
    Namespace::ALL.into_iter().find(|kind| kind.oci_name() == name)
}

fn id_maps(linux: &Linux<'_>, namespaces: &Namespaces) -> Result<Option<IdMaps>> {
    let (users, groups) = (&linux.uid_mappings, &linux.gid_mappings);
    if namespaces.new.contains(NamespaceSet::USER) {
        let users = id_map("linux.uidMappings", users)?;
        return Ok(Some(IdMaps { users, groups: id_map("linux.gidMappings", groups)? }));
    }
    // Engines leave the maps of a joined namespace in the document: they describe what is there already.
    if users.is_empty() && groups.is_empty() || namespaces.joins(Namespace::User) {
        return Ok(None);
    }
    Err(invalid("linux.uidMappings", "there is no user namespace to map ids in"))
}

pub(super) fn id_map(field: &str, entries: &[document::IdMapping]) -> Result<IdMap> {
    let mapping = |entry: &document::IdMapping| IdMapping {
        container: entry.container,
        host: entry.host,
        size: entry.size,
    };
    IdMap::new(entries.iter().map(mapping).collect()).map_err(|error| invalid(field, error))
}

fn offsets(linux: &Linux<'_>, namespaces: &Namespaces) -> Result<Vec<(&'static str, Offset)>> {
    let entries = &linux.time_offsets;
    if !entries.is_empty() && !namespaces.new.contains(NamespaceSet::TIME) {
        return Err(invalid("linux.timeOffsets", "there is no new time namespace to set them in"));
    }
    entries.iter().map(|(clock, entry)| offset(clock, *entry)).collect()
}

fn offset(clock: &str, entry: document::TimeOffset) -> Result<(&'static str, Offset)> {
    let field = format!("linux.timeOffsets.{clock}");
    let clock = match clock {
        "monotonic" => "monotonic",
        "boottime" => "boottime",
        _ => return Err(unsupported(field, "only `monotonic` and `boottime` can be offset")),
    };
    match entry.nanosecs {
        nanoseconds @ 0..=999_999_999 => Ok((clock, Offset { seconds: entry.secs, nanoseconds })),
        _ => Err(invalid(field, "nanosecs lies between 0 and 999999999")),
    }
}
