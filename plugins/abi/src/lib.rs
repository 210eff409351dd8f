//! The protocol between nucleus and its backend and hook plugins.
//!
//! # Shape
//! One typed entry, [`Call`]: a verb, a JSON document and descriptors go in; a JSON document and descriptors, or an
//! [`Error`], come out. The typed surface ([`surface`]) is frozen; documents ([`documents`]) grow by fields and verbs.
//! Authors implement [`Backend`] or [`Hook`] and never see JSON; the core calls a [`Client`] and never sees it either.
//!
//! # A container's life, as a backend sees it
//! ```text
//! report → sandbox → (the core attaches the network) → create → start → … → wait → delete
//! ```
//! `report` may come at any time and changes nothing. `sandbox` makes namespaces, cgroups and a process that waits;
//! it returns the *gate*, a descriptor whose closing ends the sandbox. `create` takes the gate, builds the rest and
//! returns a descriptor to wait on. `start` lets the workload go. `state`, `signal`, `exec`, `pause`, `resume`, `update`,
//! `processes`, `stats`, `watch-oom` and `checkpoint` may come between `create` and `delete`; `restore` takes the place of
//! `sandbox`, `create` and `start`. A backend that lacks one of the verbs after `signal` answers `not-supported`. `delete` may come at any moment, also after a crash, also twice.
//!
//! # Who owns what
//! The core owns the container's directory, its ledger, its cgroup paths and its network. The backend owns the files
//! that it writes into the directory it was given, and the processes. Whatever outlives a call stands in the ledger
//! ([`Effect`]) before it is made.
//!
//! # Stability
//! This crate has a version of its own: 1.x. See `docs/plugins.md` of the project.

pub mod backend;
pub mod capability;
mod checkpoint;
mod client;
pub mod descriptors;
#[doc(hidden)]
pub mod dispatch;
pub mod documents;
mod effect;
mod error;
mod export;
mod hook;
mod id;
#[cfg(feature = "host")]
pub mod library;
pub mod note;
pub mod process;
pub mod stats;
pub mod surface;
mod transport;

#[doc(hidden)]
pub use abi_stable;
#[doc(hidden)]
pub use inventory;

pub use backend::Backend;
pub use capability::{Capability, CapabilityReport, NetworkNamespace, Verdict};
pub use checkpoint::*;
pub use client::Client;
pub use descriptors::{Descriptors, Reply};
pub use documents::*;
pub use effect::{Effect, Inode, Ledger, Process, read_ledger};
pub use error::{Error, ErrorCode, Result};
pub use hook::Hook;
pub use id::ContainerId;
pub use stats::{CpuStats, HugetlbStats, IoStats, MemoryStats, MemoryUsage, PidsStats, Stats};
pub use surface::{
    Answer, Call, Describe, LinkedPlugin, Outcome, PluginModule, PluginModuleRef, Surface, linked_plugins,
};
pub use transport::{LONGEST_ANSWER, PluginFile, PluginForm, RawAnswer, Transport, refuse_long};
