//! `state` and `list`: what is known of containers, without keeping anybody from working on them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nucleus_abi::{ContainerId, Error, ErrorCode, Result, Status};
use serde::Serialize;

use super::found::{Found, name};
use super::gc;
use super::record::Record;
use super::state_root::StateRoot;
use crate::network::{self, NetworkState};
use crate::plugins::Registry;

/// The state of a container as the runtime specification (`runtime.md#state`) and runc write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerState {
    /// The version of the specification that its `config.json` names.
    pub oci_version: String,
    /// The container.
    pub id: ContainerId,
    /// Its first process; 0 when it has ended.
    pub pid: u32,
    /// What it is doing.
    pub status: Status,
    /// The directory of its bundle.
    pub bundle: PathBuf,
    /// Its root file system on the host.
    pub rootfs: PathBuf,
    /// When it was made, as RFC 3339 writes it.
    pub created: String,
    /// Who made it: a name of the host, or `#` and a user id that has none.
    pub owner: String,
    /// The annotations of its `config.json`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The network that nucleus attached it to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkState>,
}

impl ContainerState {
    /// The status as the runtime specification writes it.
    pub fn status_name(&self) -> &'static str {
        name(self.status)
    }
}

/// Says what a container is doing. Takes no lock: the record is replaced as a whole.
///
/// # Errors
/// `container-not-found`; `wrong-state` before it has a record; `record-unreadable`; what the backend reports.
pub fn state(id: &ContainerId, root: &StateRoot, registry: &Registry) -> Result<ContainerState> {
    let found = Found::open(id, root, registry)?;
    let now = found.state()?;
    let owner = name_of(found.record.creator_uid);
    let Record { oci_version, id, bundle, rootfs, created, annotations, .. } = found.record;
    let pid = now.pid.unwrap_or(0);
    let network = network::state(root.path(), &id)?;
    Ok(ContainerState {
        oci_version,
        id,
        pid,
        status: now.status,
        bundle,
        rootfs,
        created,
        owner,
        annotations,
        network,
    })
}

/// All containers.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those that can be read, by id.
    pub containers: Vec<ContainerState>,
    /// Why the others can't.
    pub unreadable: Vec<Error>,
}

/// Lists the containers. One that cannot be read does not keep the others from being listed.
///
/// # Errors
/// `host-unfit` for a state root that others can write to; `system-call` when it cannot be listed.
pub fn list(root: &StateRoot, registry: &Registry) -> Result<Listing> {
    let mut listing = Listing::default();
    if !root.check_existing()? {
        return Ok(listing);
    }
    for id in root.ids()? {
        match state(&id, root, registry) {
            Ok(state) => listing.containers.push(state),
            // Removed while we looked.
            Err(error) if error.code == ErrorCode::ContainerNotFound => {}
            // Somebody is making it. What a crash left is told.
            Err(error) if error.code == ErrorCode::WrongState && !gc::is_abandoned(root, &id) => {}
            Err(error) => listing.unreadable.push(error),
        }
    }
    Ok(listing)
}

/// The name of a user in the host's `/etc/passwd`.
fn name_of(uid: u32) -> String {
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    };
    accounts.lines().find_map(of).unwrap_or_else(|| format!("#{uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_a_name_is_told_by_number() {
        assert_eq!(name_of(0), "root");
        assert_eq!(name_of(4_000_000_007), "#4000000007");
    }

    #[test]
    fn one_container_that_cannot_be_read_does_not_hide_the_others() {
        let root = StateRoot::at(std::env::temp_dir().join(format!("nucleus-list-{}", std::process::id())));
        root.ensure().unwrap();
        let broken: ContainerId = "broken".parse().unwrap();
        std::fs::create_dir(root.container(&broken)).unwrap();
        std::fs::write(root.container(&broken).join("state.json"), "{\"schema\"").unwrap();
        let listing = list(&root, &Registry::of(Vec::new()).unwrap()).unwrap();
        assert!(listing.containers.is_empty());
        let [error] = listing.unreadable.as_slice() else { panic!("{listing:?}") };
        assert_eq!(error.code, ErrorCode::RecordUnreadable);
        std::fs::remove_dir_all(root.path()).unwrap();
    }
}
