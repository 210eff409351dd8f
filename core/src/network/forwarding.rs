//! Whether the host passes packets on. A host that did not before does it for containers alone (the guard in the network's
//! rules), and no longer when the last network has gone.

use std::fs;
use std::io;
use std::path::Path;

use nucleus_abi::Result;
use nucleus_sys::procfs::{ProcBase, ProcFs};
use serde::{Deserialize, Serialize};

use super::document::{Guarded, Network};
use super::fault::OrFail;

/// The name of the note of what was changed, in the networks' directory.
pub(super) fn note(network: &Network) -> String {
    match network.keeper {
        None => "forwarding".to_owned(),
        Some(_) => format!("forwarding-{}", network.key),
    }
}

const STEP: &str = "let the host route packets of containers";
const V4: &str = "sys/net/ipv4/ip_forward";
const V6: &str = "sys/net/ipv6/conf/all/forwarding";

/// What was changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    guarded: Guarded,
    /// Devices that listened to routers, and would not do so any more on a host that routes (`accept_ra` in the kernel's
    /// ip-sysctl).
    listening: Vec<String>,
}

/// Turns on what a network needs, and says what was off before.
pub(super) fn ensure(network: &Network, note: &Path) -> Result<Guarded> {
    let proc = ProcFs::open().or_fail(STEP, "/proc")?;
    let mut known = read(note).or_fail(STEP, note.display())?;
    let (v4, v6) = families(network);
    let before = known.clone();
    known.guarded.v4 |= v4 && !is_on(&proc, V4).or_fail(STEP, "net.ipv4.ip_forward")?;
    if v6 && !is_on(&proc, V6).or_fail(STEP, "net.ipv6.conf.all.forwarding")? {
        known.guarded.v6 = true;
        known.listening = listening(&proc);
    }
    if known != before {
        // Noted first: what is on without a note would stay on.
        let text = serde_json::to_vec(&known).map_err(io::Error::from);
        text.and_then(|text| fs::write(note, text)).or_fail(STEP, note.display())?;
    }
    if v4 && known.guarded.v4 {
        proc.write(ProcBase::Root, V4, b"1").or_fail(STEP, "net.ipv4.ip_forward")?;
    }
    if v6 && known.guarded.v6 {
        for device in &known.listening {
            accept_routers(&proc, device, b"2");
        }
        proc.write(ProcBase::Root, V6, b"1").or_fail(STEP, "net.ipv6.conf.all.forwarding")?;
    }
    Ok(known.guarded)
}

/// Turns off what was turned on. Networks of another state root may still need it: as long as one of their bridges is there
/// it stays.
pub(super) fn restore(note: &Path, others_remain: bool) -> Result<()> {
    let known = read(note).or_fail("undo the routing of packets", note.display())?;
    if known != Note::default() && !others_remain {
        let proc = ProcFs::open().or_fail("undo the routing of packets", "/proc")?;
        if known.guarded.v4 {
            proc.write(ProcBase::Root, V4, b"0")
                .or_fail("undo the routing of packets", "net.ipv4.ip_forward")?;
        }
        if known.guarded.v6 {
            proc.write(ProcBase::Root, V6, b"0")
                .or_fail("undo the routing of packets", "net.ipv6.conf.all.forwarding")?;
            known.listening.iter().for_each(|device| accept_routers(&proc, device, b"1"));
        }
    }
    match fs::remove_file(note) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).or_fail("undo the routing of packets", note.display())
        }
        _ => Ok(()),
    }
}

fn read(note: &Path) -> io::Result<Note> {
    match fs::read(note) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Note::default()),
        text => Ok(serde_json::from_slice(&text?)?),
    }
}

fn families(network: &Network) -> (bool, bool) {
    let any = |v4| network.subnets.iter().any(|row| row.first().is_ipv4() == v4);
    (any(true), any(false))
}

fn is_on(proc: &ProcFs, path: &str) -> io::Result<bool> {
    Ok(proc.read_to_string(ProcBase::Root, path)?.trim() != "0")
}

fn listening(proc: &ProcFs) -> Vec<String> {
    let devices = fs::read_dir("/proc/sys/net/ipv6/conf").into_iter().flatten().flatten();
    let names = devices.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| !matches!(name.as_str(), "all" | "default" | "lo"))
        .filter(|name| {
            let path = format!("sys/net/ipv6/conf/{name}/accept_ra");
            proc.read_to_string(ProcBase::Root, &path).is_ok_and(|text| text.trim() == "1")
        })
        .collect()
}

/// A device that has gone listens to nobody.
fn accept_routers(proc: &ProcFs, device: &str, value: &[u8]) {
    let path = format!("sys/net/ipv6/conf/{device}/accept_ra");
    if let Err(error) = proc.write(ProcBase::Root, &path, value) {
        tracing::debug!(%error, device, "accept_ra was not changed");
    }
}
