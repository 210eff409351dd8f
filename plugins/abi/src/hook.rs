//! The typed face of a hook plugin.

use crate::Result;
use crate::documents::{Description, HookReply, HookRequest};

/// A hook plugin: is told of lifecycle points, may veto, and may propose changes of the profile at
/// [`crate::HookPoint::Plan`].
///
/// **Who calls.** The core, once for each point and container, in the order in which the profile lists its hooks; out of
/// process unless the profile says otherwise. **State, ownership, errors:** as for [`crate::Backend`]; a hook's error
/// counts as a veto under `onFailure: refuse`.
pub trait Hook: Sync {
    /// Who it is. Pure, and cheap.
    fn description(&self) -> Description;

    /// Hears of one point.
    ///
    /// # Errors
    /// What kept the hook from doing its work.
    fn event(&self, request: &HookRequest) -> Result<HookReply>;
}
