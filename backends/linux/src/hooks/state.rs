//! The container's state as hooks get it on standard input (runtime.md, "State").

use std::collections::BTreeMap;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nucleus_abi::{Result, Status};
use rustix::fs::{MemfdFlags, SealFlags};
use serde::{Deserialize, Serialize};

use super::Moment;
use crate::fault::OrFail;

/// What stays the same over a container's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Subject {
    pub(crate) oci_version: String,
    pub(crate) id: String,
    pub(crate) bundle: PathBuf,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// The document.
#[derive(Debug, Serialize)]
pub(crate) struct State<'a> {
    #[serde(flatten)]
    subject: &'a Subject,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
}

impl<'a> State<'a> {
    /// The version of the specification that it speaks.
    pub(crate) fn oci_version(&self) -> &'a str {
        &self.subject.oci_version
    }
}

impl Subject {
    /// The document at a moment.
    pub(crate) fn at(&self, moment: Moment) -> State<'_> {
        State { subject: self, status: moment.status, pid: moment.pid }
    }

    /// The document in a file that nobody can change: a hook that does not read it, or never ends, stops nobody.
    pub(super) fn state(&self, moment: Moment) -> Result<OwnedFd> {
        let text = serde_json::to_vec(&self.at(moment)).map_err(io::Error::from);
        text.and_then(|text| sealed(&text)).or_fail("write the state for the hooks", &self.id)
    }
}

fn sealed(text: &[u8]) -> io::Result<OwnedFd> {
    let memfd = rustix::fs::memfd_create(c"nucleus-state", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = std::fs::File::from(memfd);
    file.write_all(text)?;
    file.rewind()?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}
