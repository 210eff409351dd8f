//! netlink(7): what the kernel is asked about networks, and told.
//!
//! Messages are built and read through checked lengths only (CVE-2021-43784).

pub mod conntrack;
mod message;
pub mod nftables;
mod route;
mod socket;

pub use route::{Address, Attachment, Bridge, Destination, Hop, Link, Port, Route, Veth};
