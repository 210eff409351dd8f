//! The orchestrator: profiles become plans, plans become bundles, backends run them.
#![forbid(unsafe_code)]

pub mod bundle;
pub mod lifecycle;
mod network;
pub mod plan;
pub mod plugins;
pub mod profile;
