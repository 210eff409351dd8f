//! Addresses, ports and what else networks are described by.

mod address;
mod cidr;
mod name;
mod ports;
mod publish;

pub use address::{IpAddress, MacAddress};
pub use cidr::Cidr;
pub use name::{ContainerName, NetworkName};
pub use ports::{PortRange, Ports, Protocol};
pub use publish::Publish;

use super::{Accepts, BadValue, Textual, textual};
