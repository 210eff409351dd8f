//! `linux.netDevices`: devices of the host's network that become the container's (config-linux.md, "Network Devices").

use nucleus_abi::Result;
use nucleus_sys::namespace::Namespace;

use super::Namespaces;
use super::document::Linux;
use crate::fault::invalid;

/// `IFNAMSIZ` with the NUL, netdevice(7).
const LONGEST_NAME: usize = 15;

/// A device to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetDevice {
    /// Its name on the host.
    pub host_name: String,
    /// Its name in the container; the kernel replaces a `%d` by a number.
    pub name: String,
}

pub(super) fn read(linux: &Linux<'_>, namespaces: &Namespaces) -> Result<Vec<NetDevice>> {
    if !linux.net_devices.is_empty() && !namespaces.owns(Namespace::Network) {
        return Err(invalid("linux.netDevices", "the container has no network namespace to move them to"));
    }
    let devices = linux.net_devices.iter().map(|(host_name, device)| {
        let field = format!("linux.netDevices.{host_name}");
        let host_name = valid(&field, host_name)?;
        let name = match device.name.as_deref() {
            None | Some("") => host_name.clone(),
            Some(name) => valid(&format!("{field}.name"), name)?,
        };
        Ok(NetDevice { host_name, name })
    });
    devices.collect()
}

/// What the kernel takes (`dev_valid_name`).
fn valid(field: &str, name: &str) -> Result<String> {
    let is_valid = !matches!(name, "" | "." | "..")
        && name.len() <= LONGEST_NAME
        && !name.contains(|c: char| matches!(c, '/' | ':' | '\0') || c.is_ascii_whitespace());
    if is_valid {
        Ok(name.to_owned())
    } else {
        Err(invalid(field, format!("`{name}` is no name of a device")))
    }
}
