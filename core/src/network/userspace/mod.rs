//! Networks without privileges over the host's: a program of the host passes on what comes out of a network namespace.
//!
//! The program's namespace is not the container's. It stands between the two, and is to the container what the host is to
//! one on a bridge: the bridge, the rules and the way out lie in it, and the workload has no power there. So what holds for
//! bridges holds here.

mod program;
mod spawn;

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nucleus_abi::{Effect, Error, ErrorCode, Ledger, Process, Result};

use super::fault::OrFail;
use super::namespace::Prepared;
use super::ports;
use crate::plan::{AttachedPlan, UserspacePlan};
use program::Call;

/// A namespace with a way out, and the program that is it.
#[derive(Debug)]
pub(crate) struct Outlet {
    namespace: Prepared,
    pub(super) keeper: Process,
}

impl Outlet {
    /// Makes one, and waits until the way is open.
    ///
    /// # Errors
    /// `host-unfit`, with what the program says; it is in the ledger before it can do anything.
    pub(crate) fn open(
        program: &UserspacePlan,
        wanted: &AttachedPlan,
        container: &Path,
        ledger: &mut Ledger,
    ) -> Result<Self> {
        // The program would say which port is taken, and not by whom.
        ports::check_host(wanted, &[Ipv4Addr::UNSPECIFIED.into()])?;
        let namespace = Prepared::make()?;
        let call = Call::of(program, wanted, container);
        let mut waiting = spawn::spawn(&call, namespace.as_fd(), container)?;
        ledger
            .record(&Effect::Process(waiting.process))
            .or_fail("write the ledger", program.path.display())?;
        waiting.let_go().map_err(|cause| failed(program, &cause))?;
        call.publish(wanted).map_err(|cause| failed(program, &cause))?;
        Ok(Self { namespace, keeper: waiting.process })
    }
}

impl AsFd for Outlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }
}

fn failed(program: &UserspacePlan, cause: &str) -> Error {
    Error::new(ErrorCode::HostUnfit, "open a way out of the container's network")
        .on(program.path.display())
        .because(cause)
        .hint("the program says why; `network: {mode: bridge}` does without it")
}
