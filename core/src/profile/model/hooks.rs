//! Hook plugins: who is told of a container's life.

use std::collections::BTreeMap;

use nucleus_abi::HookPoint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::profile::values::{Duration, EnvName, FieldName, PluginName};

/// A plugin that is called at points of the container's life, in a process of its own.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline)]
pub struct Hook {
    /// The plugin's name.
    pub plugin: PluginName,
    /// Options that the plugin itself checks. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, serde_json::Value>,
    /// When it is called. Default: created, started, stopped and deleted; plan too where it may change fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<Event>>,
    /// The fields of the profile that it may change at plan, like `resources.memory`; what lies below them too. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<FieldName>,
    /// What happens when it fails. Default: refuse.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// How long it may take each time. Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Variables of nucleus' own environment that it is told. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<EnvName>,
}

/// A point of a container's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum Event {
    /// Before the plan is made.
    Plan,
    /// The container is made, its program does not run yet.
    Created,
    /// The program runs.
    Started,
    /// The program has ended.
    Stopped,
    /// Nothing is left of the container.
    Deleted,
}

/// What happens when a hook fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum OnFailure {
    /// The container is not made, or ended. Where it has ended already, a warning is all that is left.
    #[default]
    Refuse,
    /// A warning.
    Warn,
}

impl Hook {
    /// How long it may take where nobody says.
    const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

    /// Whether it is called at a point.
    pub fn hears(&self, point: HookPoint) -> bool {
        match &self.events {
            Some(events) => events.iter().any(|event| event.point() == point),
            None => point != HookPoint::Plan || !self.grants.is_empty(),
        }
    }

    /// How long it may take.
    pub fn patience(&self) -> std::time::Duration {
        self.timeout.map_or(Self::TIMEOUT, Duration::as_std)
    }
}

impl Event {
    fn point(self) -> HookPoint {
        match self {
            Self::Plan => HookPoint::Plan,
            Self::Created => HookPoint::Created,
            Self::Started => HookPoint::Started,
            Self::Stopped => HookPoint::Stopped,
            Self::Deleted => HookPoint::Deleted,
        }
    }
}
