//! Details of the kernel namespaces.

use std::path::Path;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::profile::values::{AbsolutePath, Bounded, Duration, Id};

/// Details of the kernel namespaces; all but the user namespace are on by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Namespaces {
    /// A user namespace: a map with `uidMap` and `gidMap`, or with the `path` of one to join. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserNamespace>,
    /// Offsets of the clocks. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<TimeOffsets>,
    /// A pid namespace to join. Default: a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<Join>,
    /// A network namespace to join. Default: as `network.mode` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Join>,
    /// An IPC namespace to join. Default: a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipc: Option<Join>,
    /// A UTS namespace to join. Default: a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uts: Option<Join>,
    /// A mount namespace to join. Default: a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount: Option<Join>,
    /// A cgroup namespace to join. Default: a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<Join>,
}

/// A namespace that exists already.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Join {
    /// The namespace's file: `/proc/1234/ns/net`, `/run/netns/blue`.
    pub path: AbsolutePath,
}

/// A user namespace, new or joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum UserNamespace {
    /// One that exists already.
    Join(Join),
    /// A new one.
    New(UserMappings),
}

/// Both forms are maps; the `path` tells them apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserNamespaceForm {
    path: Option<AbsolutePath>,
    uid_map: Option<Vec<IdMapping>>,
    gid_map: Option<Vec<IdMapping>>,
}

impl<'de> Deserialize<'de> for UserNamespace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = UserNamespaceForm::deserialize(deserializer)?;
        match (form.path, form.uid_map, form.gid_map) {
            (Some(path), None, None) => Ok(Self::Join(Join { path })),
            (None, Some(uid_map), Some(gid_map)) => Ok(Self::New(UserMappings { uid_map, gid_map })),
            _ => Err(D::Error::custom("a user namespace has either a `path`, or a `uidMap` and a `gidMap`")),
        }
    }
}

/// The id maps of a new user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub struct UserMappings {
    /// Which user ids of the host stand for those inside.
    pub uid_map: Vec<IdMapping>,
    /// Which group ids of the host stand for those inside.
    pub gid_map: Vec<IdMapping>,
}

/// A range of ids inside and the equally long range on the host that stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdMapping {
    /// The first id inside.
    pub container: Id,
    /// The first id on the host.
    pub host: Id,
    /// How many.
    pub size: Bounded<1, 4_294_967_295>,
}

/// How far the container's clocks are ahead of the host's (`time_namespaces(7)`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeOffsets {
    /// The path of an existing time namespace to join instead, which has its offsets already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<AbsolutePath>,
    /// Offset of `CLOCK_MONOTONIC`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monotonic: Option<Duration>,
    /// Offset of `CLOCK_BOOTTIME`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boottime: Option<Duration>,
}

impl Namespaces {
    /// The namespaces that are joined by path, under the runtime specification's names of their kinds.
    pub fn joined(&self) -> Vec<(&'static str, &Path)> {
        let user = match &self.user {
            Some(UserNamespace::Join(join)) => Some(&join.path),
            Some(UserNamespace::New(_)) | None => None,
        };
        let all = [
            ("user", user),
            ("time", self.time.as_ref().and_then(|time| time.path.as_ref())),
            ("pid", self.pid.as_ref().map(|join| &join.path)),
            ("network", self.network.as_ref().map(|join| &join.path)),
            ("ipc", self.ipc.as_ref().map(|join| &join.path)),
            ("uts", self.uts.as_ref().map(|join| &join.path)),
            ("mount", self.mount.as_ref().map(|join| &join.path)),
            ("cgroup", self.cgroup.as_ref().map(|join| &join.path)),
        ];
        all.into_iter().filter_map(|(kind, path)| Some((kind, path?.as_path()))).collect()
    }
}
