//! `root` and `mounts` (config.md, "Root" and "Mounts").

use serde::Deserialize;

use super::{Text, nullable};

#[derive(Debug, Deserialize)]
pub struct Root<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    #[serde(default, deserialize_with = "nullable")]
    pub readonly: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount<'a> {
    #[serde(borrow)]
    pub destination: Text<'a>,
    #[serde(default, deserialize_with = "nullable", rename = "type")]
    pub kind: Text<'a>,
    #[serde(default, deserialize_with = "nullable")]
    pub source: Text<'a>,
    #[serde(default, deserialize_with = "nullable")]
    pub options: Vec<Text<'a>>,
    #[serde(default, deserialize_with = "nullable")]
    pub uid_mappings: Vec<IdMapping>,
    #[serde(default, deserialize_with = "nullable")]
    pub gid_mappings: Vec<IdMapping>,
}

/// A range of ids; of `linux.uidMappings` and of a mount's.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct IdMapping {
    #[serde(rename = "containerID")]
    pub container: u32,
    #[serde(rename = "hostID")]
    pub host: u32,
    pub size: u32,
}
