//! Descriptors of the container's processes whose other side is outside: each gets criu's own name for it, and is given anew.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use nucleus_abi::{ContainerId, Error, ErrorCode, Result};
use nucleus_sys::Pid;
use serde::{Deserialize, Serialize};

use super::mounts::mount_id;
use crate::fault::OrFail;

const STEP: &str = "look at the descriptors of the container's processes";

/// What is given in a descriptor's place when the container is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Giver {
    /// A new opening of `/dev/null`.
    Null,
    /// The caller's standard descriptor of this number.
    Standard(u8),
}

/// criu's names, and what is given under each.
pub(super) type Given = BTreeMap<String, Giver>;

/// Lists them. `mounts` are those of the container. What the first process has as a standard descriptor, others may have too.
pub(super) fn foreign(first: Pid, processes: &[Pid], mounts: &[u64]) -> Result<Given> {
    let mut given = Given::new();
    let others = processes.iter().filter(|process| **process != first);
    for process in [&first].into_iter().chain(others) {
        for descriptor in descriptors(*process)? {
            let standard = u8::try_from(descriptor.number).ok();
            let standard = standard.filter(|number| *process == first && *number < 3);
            if !given.contains_key(&descriptor.name())
                && let Some(giver) = descriptor.giver(standard, mounts)?
            {
                given.insert(descriptor.name(), giver);
            }
        }
    }
    Ok(given)
}

/// Those of one process; none of one that has ended.
fn descriptors(process: Pid) -> Result<Vec<Descriptor>> {
    let directory = format!("/proc/{}/fd", process.as_raw_nonzero());
    let mut found = Vec::new();
    let entries = match fs::read_dir(&directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        entries => entries.or_fail(STEP, &directory)?,
    };
    for entry in entries {
        let Ok(entry) = entry else { break };
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(number) = number else { continue };
        found.extend(Descriptor::read(process, number)?);
    }
    found.sort_unstable_by_key(|descriptor| descriptor.number);
    Ok(found)
}

/// One descriptor of a process.
#[derive(Debug)]
struct Descriptor {
    process: Pid,
    number: u32,
    /// What its link in `/proc` says.
    link: String,
    mount: u64,
    inode: u64,
    /// The device, for a device node.
    device: Option<(u32, u32)>,
}

impl Descriptor {
    /// `None` for one that is closed while we look.
    fn read(process: Pid, number: u32) -> Result<Option<Self>> {
        let base = format!("/proc/{}", process.as_raw_nonzero());
        let path = format!("{base}/fd/{number}");
        let read = || -> std::io::Result<_> {
            let link = fs::read_link(&path)?.to_string_lossy().into_owned();
            let fdinfo = fs::read_to_string(format!("{base}/fdinfo/{number}"))?;
            let metadata = fs::metadata(&path)?;
            let is_device = metadata.mode() & 0o170_000 == 0o020_000;
            let rdev = metadata.rdev();
            Ok(Self {
                process,
                number,
                link,
                mount: mount_id(&fdinfo).unwrap_or(0),
                inode: metadata.ino(),
                device: is_device.then(|| (rustix::fs::major(rdev), rustix::fs::minor(rdev))),
            })
        };
        match read() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            result => result.or_fail(STEP, &path).map(Some),
        }
    }

    /// criu's name for it.
    fn name(&self) -> String {
        if self.is_pipe() { self.link.clone() } else { format!("file[{:x}:{:x}]", self.mount, self.inode) }
    }

    fn is_pipe(&self) -> bool {
        self.link.starts_with("pipe:[")
    }

    /// Who gives it; `None` for one that criu deals with itself.
    fn giver(&self, standard: Option<u8>, mounts: &[u64]) -> Result<Option<Giver>> {
        if self.is_pipe() {
            // Whoever is at the other end of a standard pipe is outside; other pipes are the container's own.
            return Ok(standard.map(Giver::Standard));
        }
        if !self.link.starts_with('/') || mounts.contains(&self.mount) {
            return Ok(None);
        }
        match (self.device, standard) {
            (Some((1, 3)), _) => Ok(Some(Giver::Null)),
            // A terminal: whether it may be the host's is said by `--shell-job`, and told by criu.
            (Some((136..=143 | 5, _)), _) => Ok(None),
            (_, Some(number)) => Ok(Some(Giver::Standard(number))),
            (_, None) => Err(Error::new(ErrorCode::NotSupported, STEP)
                .on(format!("descriptor {} of process {}", self.number, self.process.as_raw_nonzero()))
                .because(format!("it is {} of the host, and nobody could give it again", self.link))
                .hint("only standard descriptors of the first process may be files of the host")),
        }
    }
}

/// Refuses a process that is not below the first one, as those of `exec`: criu follows the tree.
///
/// # Errors
/// `wrong-state`, naming it.
pub(super) fn refuse_strangers(first: Pid, processes: &[Pid], id: &ContainerId) -> Result<()> {
    let parents: BTreeMap<i32, i32> =
        processes.iter().filter_map(|pid| Some((raw(*pid), parent(raw(*pid))?))).collect();
    match parents.keys().find(|pid| !is_below(**pid, raw(first), &parents)) {
        None => Ok(()),
        Some(pid) => Err(Error::new(ErrorCode::WrongState, "write the container's processes into files")
            .on(id)
            .because(format!("process {pid} came into it by `exec`, and is no child of the first one"))
            .hint("end it first")),
    }
}

fn raw(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

fn parent(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

fn is_below(pid: i32, first: i32, parents: &BTreeMap<i32, i32>) -> bool {
    let mut here = pid;
    for _ in 0..=parents.len() {
        if here == first {
            return true;
        }
        let Some(above) = parents.get(&here) else { return false };
        here = *above;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(link: &str, device: Option<(u32, u32)>) -> Descriptor {
        Descriptor {
            process: Pid::from_raw(7).unwrap(),
            number: 4,
            link: link.to_owned(),
            mount: 24,
            inode: 255,
            device,
        }
    }

    #[test]
    fn what_is_the_hosts_is_given_anew_or_refused() {
        let giver = |link: &str, device, standard| descriptor(link, device).giver(standard, &[43]);
        assert_eq!(giver("/dev/null", Some((1, 3)), None).unwrap(), Some(Giver::Null));
        assert_eq!(giver("/log", None, Some(2)).unwrap(), Some(Giver::Standard(2)));
        assert_eq!(giver("/dev/pts/0", Some((136, 0)), Some(2)).unwrap(), None);
        assert_eq!(giver("socket:[5]", None, Some(2)).unwrap(), None);
        assert_eq!(giver("pipe:[5]", None, None).unwrap(), None);
        assert_eq!(giver("pipe:[5]", None, Some(1)).unwrap(), Some(Giver::Standard(1)));
        assert_eq!(descriptor("pipe:[5]", None).name(), "pipe:[5]");
        assert_eq!(descriptor("/log", None).name(), "file[18:ff]");
        let error = giver("/etc/shadow", None, None).unwrap_err();
        assert!(error.to_string().contains("descriptor 4 of process 7: it is /etc/shadow"), "{error}");
        assert_eq!(descriptor("/etc/shadow", None).giver(None, &[24]).unwrap(), None);
    }

    #[test]
    fn only_what_is_below_the_first_process_belongs_to_its_tree() {
        let parents = BTreeMap::from([(10, 1), (11, 10), (12, 11), (20, 1), (30, 31), (31, 30)]);
        assert!([10, 11, 12].into_iter().all(|pid| is_below(pid, 10, &parents)));
        assert!(![20, 30, 99].into_iter().any(|pid| is_below(pid, 10, &parents)));
    }
}
