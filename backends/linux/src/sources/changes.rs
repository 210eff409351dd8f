//! In which calls a clone of the host's mounts gets its attributes and its propagation: as few as can say it.

use nucleus_sys::mount::{Change, Propagation, Reach};

use crate::config::{Attributes, Mount, Namespaces, Source};

/// One call of `mount_setattr(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    attributes: Attributes,
    propagation: Option<Propagation>,
    pub(super) reach: Reach,
}

impl Call {
    pub(super) fn change(self) -> Change<'static> {
        let Attributes { set, clear } = self.attributes;
        Change { set, clear, propagation: self.propagation, id_mapped: None }
    }
}

/// Whether mounts of the container may be peers of the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peers {
    /// They may: what is mounted in the container appears on the host, where `shared` says so.
    OfTheHost,
    /// In a user namespace they get from the host and give nothing back, as the kernel has it for mounts that are copied
    /// into one (`mount_namespaces(7)`, "Restrictions on mount namespaces").
    OfTheContainer,
}

impl Peers {
    pub(super) fn of(namespaces: &Namespaces) -> Self {
        if namespaces.foreign_user() { Self::OfTheContainer } else { Self::OfTheHost }
    }
}

/// The calls for a clone of `source` that reaches as far as `clone` does.
pub(super) fn calls(mount: &Mount, source: Source, clone: Reach, peers: Peers) -> Vec<Call> {
    let tree = mount.tree.then(mount.devices.attributes(source));
    let mut propagation = propagation(&mount.propagation, clone, peers).into_iter().peekable();
    let call = |attributes, propagation, reach| Call { attributes, propagation, reach };
    let mut calls = Vec::with_capacity(2);
    if clone == Reach::Mount {
        let first = propagation.next().map(|(mode, _)| mode);
        calls.push(call(tree.then(mount.own), first, Reach::Mount));
    } else {
        for (attributes, reach) in [(tree, Reach::Tree), (mount.own, Reach::Mount)] {
            let mode = propagation.next_if(|(_, found)| *found == reach).map(|(mode, _)| mode);
            calls.push(call(attributes, mode, reach));
        }
    }
    calls.extend(propagation.map(|(mode, reach)| call(Attributes::NONE, Some(mode), reach)));
    calls.retain(|call| !(call.attributes.is_none() && call.propagation.is_none()));
    calls
}

/// The mounts below never stay peers of the host's by oversight: what is said of the top alone leaves them private, or,
/// where the top takes part in the host's propagation, lets them take part too.
fn propagation(asked: &[(Propagation, Reach)], clone: Reach, peers: Peers) -> Vec<(Propagation, Reach)> {
    let is_private = |mode| matches!(mode, Propagation::Private | Propagation::Unbindable);
    let mut list = Vec::with_capacity(asked.len());
    let shares = asked.iter().any(|(mode, _)| *mode == Propagation::Shared);
    if shares && peers == Peers::OfTheContainer {
        list.push((Propagation::Slave, Reach::Tree));
    } else if asked.first().is_some_and(|(mode, reach)| is_private(*mode) && *reach == Reach::Mount) {
        list.push((Propagation::Private, Reach::Tree));
    }
    list.extend(
        asked.iter().map(|(mode, reach)| (*mode, if is_private(*mode) { *reach } else { Reach::Tree })),
    );
    if clone == Reach::Mount {
        for (_, reach) in &mut list {
            *reach = Reach::Mount;
        }
        list.dedup();
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Configuration;
    use Propagation::{Private, Shared, Slave, Unbindable};
    use nucleus_sys::mount::MountAttrFlags;
    use serde_json::json;

    fn mount(words: &[&str]) -> Mount {
        let document = json!({
            "ociVersion": "1.2.0", "root": {"path": "rootfs"}, "process": {"args": ["x"], "cwd": "/"},
            "mounts": [{"destination": "/data", "source": "/srv", "options": words}],
            "linux": {"namespaces": [{"type": "mount"}]}
        });
        Configuration::parse(&document.to_string(), &nucleus_abi::Beyond::default()).unwrap().mounts.remove(0)
    }

    fn of(words: &[&str], peers: Peers) -> Vec<(Option<Propagation>, Reach)> {
        let clone = if words.contains(&"rbind") { Reach::Tree } else { Reach::Mount };
        calls(&mount(words), Source::Other, clone, peers)
            .iter()
            .map(|call| (call.propagation, call.reach))
            .collect()
    }

    #[test]
    fn one_call_where_one_is_enough() {
        let attributes = |words| {
            let calls = calls(&mount(words), Source::Other, Reach::Mount, Peers::OfTheHost);
            assert_eq!((calls.len(), calls[0].propagation, calls[0].reach), (1, Some(Private), Reach::Mount));
            calls[0].attributes
        };
        let read_only = attributes(&["bind", "rro", "nosuid"]);
        assert!(
            read_only.set.contains(MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID)
        );
        let own_counts = attributes(&["bind", "rro", "rw"]);
        assert!(!own_counts.set.contains(MountAttrFlags::MOUNT_ATTR_RDONLY));
        assert_eq!(
            calls(&mount(&["rbind", "rro", "rnodev"]), Source::Other, Reach::Tree, Peers::OfTheHost).len(),
            1
        );
        assert_eq!(
            calls(&mount(&["rbind", "rro", "exec", "dev"]), Source::Other, Reach::Tree, Peers::OfTheHost)
                .len(),
            2
        );
    }

    #[test]
    fn the_host_is_shared_with_only_where_it_is_asked_for() {
        use Reach::{Mount, Tree};
        let host = |words| of(words, Peers::OfTheHost);
        assert_eq!(host(&["rbind"]), [(Some(Private), Tree)]);
        assert_eq!(host(&["rbind", "private"])[..], [(Some(Private), Tree), (Some(Private), Mount)]);
        assert_eq!(host(&["rbind", "unbindable"])[..], [(Some(Private), Tree), (Some(Unbindable), Mount)]);
        assert_eq!(host(&["rbind", "slave"]), [(Some(Slave), Tree)]);
        assert_eq!(host(&["rbind", "shared"]), [(Some(Shared), Tree)]);
        assert_eq!(host(&["rbind", "rslave", "shared"]), [(Some(Slave), Tree), (Some(Shared), Tree)]);
        assert_eq!(host(&["bind", "slave", "shared"]), [(Some(Slave), Mount), (Some(Shared), Mount)]);
        assert_eq!(host(&["bind", "shared"]), [(Some(Shared), Mount)]);
    }

    #[test]
    fn a_user_namespace_gives_nothing_back_to_the_host() {
        use Reach::{Mount, Tree};
        let container = |words| of(words, Peers::OfTheContainer);
        assert_eq!(container(&["bind", "shared"]), [(Some(Slave), Mount), (Some(Shared), Mount)]);
        assert_eq!(container(&["rbind", "rshared"])[0], (Some(Slave), Tree));
        assert_eq!(container(&["rbind"]), of(&["rbind"], Peers::OfTheHost));
    }
}
