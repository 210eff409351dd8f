//! The frozen typed surface: two functions, and nothing that could ever have to change.
//!
//! `abi_stable` refuses a plugin as soon as a host type gains a field, so every type that may grow is a JSON document
//! behind [`Surface::call`]. What stands here is version 1.0 for ever; a golden test holds it.

#![expect(clippy::expl_impl_clone_on_copy, reason = "written by the derive of abi_stable")]

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::package_version_strings;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RSlice, RStr, RVec};
use serde::{Deserialize, Serialize};

/// What a call came to.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, StableAbi, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The document is the verb's reply.
    Done,
    /// The document is an [`crate::Error`].
    Failed,
}

/// The answer to one call.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Answer {
    /// What kind of document it holds.
    pub outcome: Outcome,
    /// A JSON document.
    pub document: RVec<u8>,
    /// Descriptors that now belong to the caller.
    pub descriptors: RVec<i32>,
}

/// `describe()`: the plugin's [`crate::Description`] as JSON. Any thread, any time, no effect.
pub type Describe = extern "C" fn() -> RVec<u8>;

/// `call(verb, document, descriptors)`: the descriptors stay the caller's; the plugin duplicates what it keeps.
pub type Call =
    for<'a> extern "C" fn(verb: RStr<'a>, document: RSlice<'a, u8>, descriptors: RSlice<'a, i32>) -> Answer;

/// The module that a loadable plugin exports.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModuleRef)))]
#[sabi(missing_field(panic))]
pub struct PluginModule {
    // Written out: abi_stable derives layouts from the text of a function type, not through an alias.
    /// Says what the plugin is.
    pub describe: extern "C" fn() -> RVec<u8>,
    /// Does one verb.
    #[sabi(last_prefix_field)]
    pub call: for<'a> extern "C" fn(
        verb: RStr<'a>,
        document: RSlice<'a, u8>,
        descriptors: RSlice<'a, i32>,
    ) -> Answer,
}

impl RootModule for PluginModuleRef {
    abi_stable::declare_root_module_statics! {PluginModuleRef}
    const BASE_NAME: &'static str = "nucleus_plugin";
    const NAME: &'static str = "nucleus plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// The two functions of a plugin, linked in or loaded: one road for both.
#[derive(Debug, Clone, Copy)]
pub struct Surface {
    /// Says what the plugin is.
    pub describe: Describe,
    /// Does one verb.
    pub call: Call,
}

impl From<PluginModuleRef> for Surface {
    fn from(module: PluginModuleRef) -> Self {
        Self { describe: module.describe(), call: module.call() }
    }
}

/// A plugin that is linked into the program; `inventory` collects them.
#[derive(Debug, Clone, Copy)]
pub struct LinkedPlugin {
    /// Its surface.
    pub surface: Surface,
}

inventory::collect!(LinkedPlugin);

/// The plugins that are linked into this program, in no particular order.
pub fn linked_plugins() -> impl Iterator<Item = Surface> {
    inventory::iter::<LinkedPlugin>.into_iter().map(|plugin| plugin.surface)
}
