//! The system call filter, loaded as late as can be.

use std::os::fd::{AsFd, AsRawFd};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::seccomp;
use nucleus_sys::socket::Socket;

use crate::fault::OrFail;
use crate::gate::{self, Message, Word};
use crate::seccomp::{Agent, Program};

/// Loads it; with an agent, waits until that has the listener.
pub(super) fn load(program: &Program, gate: &Socket) -> Result<()> {
    match &program.agent {
        Some(agent) => load_with_agent(program, agent, gate),
        None => load_alone(program).map(drop),
    }
}

fn load_alone(program: &Program) -> Result<Option<std::os::fd::OwnedFd>> {
    seccomp::load(program.filter(), program.flags)
        .or_fail("load the system call filter", "linux.seccomp")
        .map_err(|error| match program.unknown_flags().as_slice() {
            [] => error,
            flags => error
                .on(format!("config.json: linux.seccomp.flags: {}", flags.join(", ")))
                .because("this kernel does not know it")
                .hint("remove the flag, or use a newer kernel"),
        })
}

/// From the load on every call but write(2) may wait for the agent, also those of the allocator: the message is written
/// before.
fn load_with_agent(program: &Program, agent: &Agent, gate: &Socket) -> Result<()> {
    // The kernel takes the lowest number that is free.
    let step = "find out the number of the seccomp listener";
    let number = rustix::io::fcntl_dupfd_cloexec(gate, 0).or_fail(step, "fcntl")?.as_raw_fd();
    let message = gate::encode(&Message::Listener { number, agent: agent.clone() })?;
    let listener = load_alone(program)?;
    if listener.as_ref().map(AsRawFd::as_raw_fd) != Some(number) {
        return Err(Error::new(ErrorCode::SystemCall, step).because("it has another one"));
    }
    rustix::io::write(gate.as_fd(), &message).or_fail("tell of the seccomp listener", "the gate")?;
    match gate::hear(gate, Word::Listened)? {
        Some(_) => Ok(()),
        None => Err(Error::new(ErrorCode::Protocol, "wait for the seccomp agent")),
    }
}
