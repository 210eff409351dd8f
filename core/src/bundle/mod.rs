//! A plan becomes an OCI bundle: `config.json`, a root file system, and descriptors of what was opened and checked.

pub mod attestation;
mod chosen;
mod config;
mod context;
mod document;
mod identity;
mod interruption;
mod layers;
mod materialise;
mod mount_points;
mod mounts;
mod nested;
mod placing;
mod provided;
mod rootfs;
mod secrets;
mod skeleton;
mod template;
mod tree;

pub use config::OCI_VERSION;
pub use document::{Document, Terminal, read};
pub use interruption::interrupting;
pub use materialise::{Bundle, GivenNetwork, materialise, preview};
pub use mount_points::MountPoints;
pub(crate) use mount_points::identity;
pub(crate) use rootfs::home;
pub use secrets::survey;
pub use template::{Caller, write_template};
pub use tree::Progress;
pub(crate) use tree::digest::Digest;
