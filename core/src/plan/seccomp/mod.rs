//! seccomp in a plan: the default profile, and the operator's own.
//!
//! Both are the runtime specification's `linux.seccomp` as JSON text: it goes into `config.json` as it stands, so that
//! every backend enforces the same profile.

mod default_profile;
mod document;
mod families;
mod rule;

pub use default_profile::default_profile;
pub use document::from_file;
