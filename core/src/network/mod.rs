//! The networks of containers: who is on which, with which address, and what may leave and enter.
//!
//! With a program that passes packets on ([`userspace`]) all of this lies in a namespace between the host's and the container's.
//!
//! What is wanted is decided purely ([`lease`], [`subnet`], [`rules`], [`files`]); the kernel is told through netlink alone.
//!
//! A network is a bridge of the host and a table of the packet filter, both its own; it begins with its first container and
//! ends with its last. Devices reach nobody on the bridge but the host: all that a container sends is routed there, where the
//! workload has no power, and judged. What a frame claims of its sender is compared with the lease at
//! the device itself, before anything else sees it.

mod account;
mod attach;
mod bridge;
mod document;
mod fault;
mod files;
mod forwarding;
mod join;
mod lease;
mod names;
mod namespace;
mod ports;
mod reserve;
mod rules;
mod store;
mod subnet;
mod table;
mod undo;
mod userspace;

pub(crate) use account::state;
pub use account::{Counted, NetworkState};
pub(crate) use attach::attach;
pub(crate) use files::ProvidedFile;
pub(crate) use join::Joined;
pub(crate) use namespace::Prepared;
pub(crate) use reserve::{Places, Reservation, reserve};
pub(crate) use undo::{collect, leave, remove_link, remove_rules};
pub(crate) use userspace::Outlet;
