//! The test house: everything that the end-to-end tests of nucleus share.
//!
//! # How tests stay apart
//! Tests run in parallel and look at one kernel. Each enters a [`Host`]: a *scope* with a name that no other test
//! has (`e2e-<pid>-<n>`), which stands in each container id and in the `--root` directory of the test.
//! - **What carries a name** (cgroups, mounts, state, files) is compared before and after; what names a foreign scope
//!   belongs to a test that runs beside this one and is left out. So a leak without any scope in its name is seen too.
//! - **Processes** are found by descent: the test process is a subreaper, so whatever a dead nucleus leaves behind
//!   becomes its child. nextest gives each test a process of its own; under `cargo test` a lock lets one
//!   [`Host`] at a time live in a process.
//! - **Namespaces** live by a process, a descriptor or a mount; descriptors die with their process, and mounts and
//!   processes are both compared, so nothing is counted for namespaces themselves.
#![forbid(unsafe_code)]
#![expect(
    clippy::missing_panics_doc,
    reason = "a test fails by a panic: that is what these functions are for"
)]
#![expect(clippy::return_self_not_must_use, reason = "an assertion may end a chain of calls")]

pub mod bundle;
pub mod canary;
pub mod criu;
pub mod descriptor_socket;
pub mod engines;
pub mod host;
pub mod leak;
pub mod neighbour;
pub mod nucleus;
pub mod oci;
pub mod plugins;
pub mod pty;
pub mod racer;
pub mod rootfs;
pub mod skip;
pub mod town;

pub use bundle::{Bundle, Container};
pub use criu::criu;
pub use host::Host;
pub use nucleus::{Nucleus, Output, Running};
pub use skip::skip;
pub use town::Town;

use std::path::{Path, PathBuf};

/// The checkout's top directory: profiles are named from here.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}
