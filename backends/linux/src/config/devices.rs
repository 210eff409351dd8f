//! `linux.devices`: device nodes beyond the standard ones.

use nucleus_abi::Result;
use nucleus_sys::device::Special;
use nucleus_sys::in_root::InRootPath;

use super::{document, in_root};
use crate::fault::invalid;

/// A device node that the container shall have.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    /// Its place in `linux.devices`.
    pub index: usize,
    /// Where, in the container.
    pub path: InRootPath,
    /// What.
    pub special: Special,
    /// Permission bits.
    pub mode: u32,
    /// Its user and group, as ids of the container.
    pub owner: (u32, u32),
}

/// What a node is given if the document does not say; runc's.
const DEFAULT_MODE: u32 = 0o666;
/// The kernel has 12 bits for the major number and 20 for the minor (`MINORBITS`).
const LARGEST: (u32, u32) = (0xfff, 0xf_ffff);

pub(super) fn read(entries: &[document::Device<'_>]) -> Result<Vec<Node>> {
    entries.iter().enumerate().map(|(index, entry)| node(index, entry)).collect()
}

fn node(index: usize, entry: &document::Device<'_>) -> Result<Node> {
    let field = |key: &str| format!("linux.devices[{index}].{key}");
    let path = in_root(&field("path"), &entry.path)?;
    if path.components().is_empty() {
        return Err(invalid(field("path"), "the root itself is not a place for a device"));
    }
    let number = |key: &str, value: i64, largest: u32| match u32::try_from(value) {
        Ok(number) if number <= largest => Ok(number),
        _ => Err(invalid(field(key), format!("{value} does not lie between 0 and {largest}"))),
    };
    let numbers = || Ok((number("major", entry.major, LARGEST.0)?, number("minor", entry.minor, LARGEST.1)?));
    let special = match &*entry.kind {
        "c" | "u" => numbers().map(|(major, minor)| Special::Char(major, minor))?,
        "b" => numbers().map(|(major, minor)| Special::Block(major, minor))?,
        "p" => Special::Fifo,
        other => {
            return Err(invalid(field("type"), format!("`{other}` is none of c, u, b and p (mknod(1))")));
        }
    };
    // Engines pass the whole st_mode on, with the bits of the file's type.
    let mode = entry.file_mode.unwrap_or(DEFAULT_MODE) & 0o7777;
    Ok(Node { index, path, special, mode, owner: (entry.uid.unwrap_or(0), entry.gid.unwrap_or(0)) })
}
