//! Profile and host facts become a plan: what exactly will be, who decided each value, and what enforces it.

mod bounds;
mod check;
mod decided;
mod defaults;
mod diff;
mod host;
mod joined;
mod landlock;
mod network;
pub(crate) mod places;
mod policy;
mod resolve;
mod rows;
pub mod seccomp;
mod secrets;
mod sources;
pub mod tighten;
mod types;

pub use bounds::{
    Bound, Bounds, DeviceBound, Held, IoRateBound, LandlockBound, NetworkBound, ResourceBounds, Rlimit,
};
pub use check::{CheckedRow, Enforcer, can_enforce, check, needs, refusals, without_what_is_undermined};
pub use decided::Decided;
pub use diff::{Cell, Comparison, Difference, Side, Why, diff};
pub use host::{DeviceFact, HostFacts, RuntimeEntry, RuntimeKind, engine_facts, facts_for};
pub use network::{
    AttachedPlan, Egress, EgressPlan, EgressRule, NetworkPlan, ResolverPlan, UserspaceKind, UserspacePlan,
    Way,
};
pub use policy::{Denial, Found, Ground, Objection, Policy, Reach, Shape, Source};
pub(crate) use resolve::belongs_to_runtime;
pub use resolve::resolve;
pub(crate) use rows::tmpfs_numbers;
pub use rows::{Row, rows};
pub use secrets::{Presence, SecretFile, SecretPlan, SecretSource, SecretsPlan, Swap};
pub use sources::{Sources, look_at_document, look_at_namespaces, look_at_profile};
pub(crate) use sources::{Surroundings, look};
pub use types::*;
