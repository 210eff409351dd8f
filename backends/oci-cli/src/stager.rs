//! The staging process: attaches the mounts where nobody else sees them, waits at the gate, and becomes the runtime's
//! `create`.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, Ledger, Result};
use nucleus_linux::fault::{OrFail, system};
use nucleus_sys::mount::{self, Propagation};
use nucleus_sys::socket::Socket;

use crate::bundle::Bundle;
use crate::call::{Command, Handles, hide, seal};
use crate::gate;
use crate::guard::close_host;
use crate::staging::{Staged, attach};

/// What it takes with it.
pub(crate) struct Stager<'a> {
    pub(crate) staged: Vec<Staged>,
    pub(crate) stage: &'a Path,
    pub(crate) hidden: &'a [PathBuf],
    /// Its program, where the engine has to seal it.
    pub(crate) sealed: Option<&'a Path>,
    /// The one directory of the host that can be written to meanwhile; `None`: all.
    pub(crate) only: Option<&'a Path>,
    pub(crate) command: &'a Command,
    pub(crate) handles: Handles<'a>,
    pub(crate) ledger: Ledger,
    /// What `create` gets, and so how what it makes is undone.
    pub(crate) bundle: &'a Bundle,
    /// How many descriptors the container gets beyond the standard three.
    pub(crate) extra: usize,
}

/// The whole life of it. Returns an exit status; on success the runtime has taken its place.
pub(crate) fn run(stager: Stager<'_>, gate: Socket) -> i32 {
    let Ok(gate) = clear_of(gate, stager.extra) else { return FAILED };
    match stager.work(&gate) {
        Ok(()) => 0,
        Err(error) => {
            gate::tell(&gate, &error);
            FAILED
        }
    }
}

const FAILED: i32 = 1;

/// The exec of the runtime closes the gate; the container's descriptors, which come before, must not.
fn clear_of(gate: Socket, extra: usize) -> Result<Socket> {
    let moved = nucleus_sys::process::out_of_the_way(gate.as_fd(), extra);
    drop(gate);
    moved.map(Socket::from).or_fail("move the gate", "the staging process")
}

impl Stager<'_> {
    /// The ledger is written here and not before: whoever undoes it must know the backend, which stands in a record that the
    /// core writes between `sandbox` and `create`.
    fn work(mut self, gate: &Socket) -> Result<()> {
        mount::set_root_propagation(Propagation::Private)
            .or_fail("make the staging mount namespace private", "/")?;
        hide(self.hidden).or_fail("hide a mount from the runtime", format!("{:?}", self.hidden))?;
        self.sealed
            .map_or(Ok(()), seal)
            .or_fail("mount the runtime's program read-only", self.command.program())?;
        self.only
            .map_or(Ok(()), close_host)
            .or_fail("make the host read-only for the runtime", self.command.program())?;
        attach(self.stage, std::mem::take(&mut self.staged))?;
        if gate::hear(gate)? == gate::Heard::End {
            return Ok(());
        }
        let undo = self.bundle.effect();
        self.ledger.record(&undo).or_fail("write the ledger", "the runtime's container")?;
        self.bundle.make()?;
        Err(self.cannot_execute(&self.command.execute(&self.handles)))
    }

    fn cannot_execute(&self, error: &std::io::Error) -> Error {
        system("execute the runtime", error).on(self.command.program())
    }
}
