//! The user namespaces by which mounts are id-mapped.

use std::os::fd::OwnedFd;

use nucleus_abi::Result;
use nucleus_sys::id_map;
use nucleus_sys::namespace::Namespace;

use crate::config::{IdMaps, IdSource, Namespaces};
use crate::fault::{OrFail, invalid};
use crate::joining::Target;

/// Makes each namespace once.
pub(super) struct IdMapper<'a> {
    container: Option<&'a IdMaps>,
    joined: Option<&'a Target>,
    made: Vec<(&'a IdMaps, OwnedFd)>,
}

impl<'a> IdMapper<'a> {
    pub(super) fn new(namespaces: &'a Namespaces, joins: &'a [Target]) -> Self {
        let joined = joins.iter().find(|target| target.kind == Namespace::User);
        Self { container: namespaces.ids.as_ref(), joined, made: Vec::new() }
    }

    /// The namespace for `mounts[index]`. The container's own does not exist yet: one with the same maps does as well.
    pub(super) fn namespace(&mut self, index: usize, from: &'a IdSource) -> Result<&OwnedFd> {
        match (from, self.joined, self.container) {
            (IdSource::Container, Some(target), _) => Ok(&target.file),
            (IdSource::Maps(maps), _, _) | (IdSource::Container, None, Some(maps)) => self.with_maps(maps),
            (IdSource::Container, None, None) => Err(invalid(
                format!("mounts[{index}].options"),
                "there is no user namespace whose ids could be used",
            )),
        }
    }

    fn with_maps(&mut self, maps: &'a IdMaps) -> Result<&OwnedFd> {
        let known = self.made.iter().position(|(known, _)| *known == maps);
        let place = if let Some(place) = known {
            place
        } else {
            let step = "make a user namespace to map the ids of a mount by";
            let made = id_map::user_namespace(&maps.users, &maps.groups);
            self.made.push((maps, made.or_fail(step, "uidMappings, gidMappings")?));
            self.made.len() - 1
        };
        Ok(&self.made[place].1)
    }
}
