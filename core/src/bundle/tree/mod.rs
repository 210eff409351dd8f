//! Trees of files, walked by descriptor: what attestation compares and what a context copies.
//!
//! A tree may change, and its owner may be hostile. Each name is opened once, relative to the descriptor of its directory and
//! never through a link; all that is said of it comes from what was opened. So no exchange of names can lead the walk out of
//! the tree.

mod attributes;
mod compare;
mod descriptors;
pub(crate) mod digest;
mod entry;
mod examine;
mod path;
#[cfg(test)]
pub(super) mod testing;
mod walk;

pub(super) use attributes::{Attributes, IsKept, attributes};
pub(super) use compare::{Difference, compare};
pub(super) use entry::{Entry, Kind};
pub use examine::Progress;
pub(super) use examine::{Examiner, examine};
pub(super) use path::{TreePath, escaped, unescaped};
pub(super) use walk::{Found, Hands, Mounted, Trouble, Visitor, changed, walk};
