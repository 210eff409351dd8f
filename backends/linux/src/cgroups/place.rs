//! Where an engine may want its container's groups.

use std::path::{Component, Path};

use nucleus_abi::Result;

use super::layout::Layout;
use super::{Controller, Group, Version};
use crate::fault::invalid;

/// A path that leads out of the hierarchies, or is their root, would make the container's end the end of others.
pub(super) fn check(path: &Path) -> Result<()> {
    let mut parts = path.components();
    let absolute = parts.next() == Some(Component::RootDir);
    if absolute && path.file_name().is_some() && parts.all(|part| matches!(part, Component::Normal(_))) {
        return Ok(());
    }
    Err(invalid(
        "linux.cgroupsPath",
        format!("`{}` is no path below the root of a hierarchy", path.display()),
    ))
}

/// A group in every hierarchy of the host. Engines look for what a container uses where they asked for it to be.
pub(super) fn everywhere(layout: &Layout, path: &Path) -> Vec<Group> {
    let group = |(hierarchy, controllers): &(super::layout::Hierarchy, Vec<String>)| {
        let has = |controller: &Controller| {
            controllers.iter().any(|name| name == controller.name_in(hierarchy.version))
        };
        let offered = Controller::ALL.into_iter().filter(has);
        let mut group = Group::new(hierarchy.clone(), path, None);
        match hierarchy.version {
            Version::V1 => offered.for_each(|controller| group.add(controller)),
            Version::V2 => group.welcome(offered.collect()),
        }
        (controllers.iter().any(|name| name == "freezer"), group)
    };
    let mut groups: Vec<_> = layout.all().iter().map(group).collect();
    // Whoever undoes the ledger goes through it backwards: what is frozen does not die, so the freezer comes first.
    groups.sort_by_key(|(freezes, _)| *freezes);
    groups.into_iter().map(|(_, group)| group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_lies_below_the_root() {
        for path in ["/machine/web", "/a"] {
            check(Path::new(path)).unwrap();
        }
        for path in ["/", "", "web", "/..", "/a/../..", "../a"] {
            assert!(check(Path::new(path)).unwrap_err().to_string().contains("linux.cgroupsPath"), "{path}");
        }
    }
}
