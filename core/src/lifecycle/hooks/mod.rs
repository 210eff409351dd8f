//! Hook plugins: who is told what of a container's life, and what becomes of their answers.
//!
//! Each is asked in a process of its own that ends with its answer, in the order in which the profile lists them. Before the
//! workload's end a veto or a failure ends the container; after it nothing is left to refuse, and it is a warning.

mod planning;
mod telling;

use nucleus_abi::HookPoint;
use serde::{Deserialize, Serialize};

pub use planning::{Consulted, HookChange, consult};
pub(super) use telling::Telling;

use crate::profile::{Hook, Plugins, Profile};

/// A profile's hooks, and where their plugins are found: kept with each container, for whoever starts and deletes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hooks {
    list: Vec<Hook>,
    plugins: Plugins,
}

impl Hooks {
    /// Those of a profile; `None` where it names none.
    pub fn of(profile: &Profile) -> Option<Self> {
        let (list, plugins) = (profile.hooks.clone(), profile.plugins.clone());
        (!list.is_empty()).then_some(Self { list, plugins })
    }

    /// Whether somebody wants to hear of a point.
    pub(super) fn hear(&self, point: HookPoint) -> bool {
        self.list.iter().any(|hook| hook.hears(point))
    }
}
