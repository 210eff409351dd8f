//! Plugins that are not part of the program.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Keyed;
use crate::profile::values::{HostPath, PluginName, Sha256};

/// Where plugins lie that are not part of the program, and which of them are trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub struct Plugins {
    /// Directories in which plugins are looked up first. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<HostPath>,
    /// What may be loaded. Default: nothing.
    #[serde(default, skip_serializing_if = "PluginTrust::is_default")]
    pub trust: PluginTrust,
}

impl Plugins {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which plugins may be loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub struct PluginTrust {
    /// The SHA-256 of the file of each plugin, by the plugin's name. `nucleus plugin trust` writes it. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Keyed<PluginName, Sha256>")]
    pub sha256: BTreeMap<PluginName, Sha256>,
}

impl PluginTrust {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
