//! seccomp: the runtime specification's `linux.seccomp` becomes classic BPF.
//!
//! [`compile`] is pure: profile in, [`Program`] out. Loading belongs to `nucleus_sys::seccomp`, and the default profile
//! to the plan. docs/seccomp.md says how a profile is read where the specification is silent.

mod abi;
mod agent;
mod assembler;
mod codegen;
mod condition;
#[cfg(test)]
mod interpreter;
mod multiplex;
mod policy;
mod program;
mod syscalls;
#[cfg(test)]
mod tests;
mod verdict;

use std::path::PathBuf;

use libc::c_ulong;
use nucleus_abi::Result;

use crate::config::document::{Action, Flag, Seccomp};
use crate::fault::invalid;
use abi::Abi;
pub use agent::Agent;
use policy::Policy;
pub use program::{MAX_INSTRUCTIONS, Program};

/// Compiles `profile` for this machine.
///
/// # Errors
/// `config-invalid` where the kernel could not take the profile: an argument index above 5, an error number above
/// 4095, more than [`MAX_INSTRUCTIONS`], or a notification that nobody could answer.
pub fn compile(profile: &Seccomp<'_>) -> Result<Program> {
    compile_for(Abi::native(), profile)
}

fn compile_for(native: Abi, profile: &Seccomp<'_>) -> Result<Program> {
    let policy = Policy::new(profile, native)?;
    let instructions = codegen::instructions(&policy)?;
    let (flags, agent) = (flags(profile), agent(profile)?);
    Ok(Program { instructions, flags, agent, unknown_names: policy.unknown_names })
}

/// The agent, where there is something to ask it; without that `listenerPath` is ignored (config-linux.md, "Seccomp").
fn agent(profile: &Seccomp<'_>) -> Result<Option<Agent>> {
    let metadata = profile.listener_metadata.as_ref().map(ToString::to_string);
    let Some(path) = &profile.listener_path else {
        return match metadata {
            Some(_) => Err(invalid("linux.seccomp.listenerMetadata", "`listenerPath` is missing")),
            None => Ok(None),
        };
    };
    if !path.starts_with('/') {
        return Err(invalid("linux.seccomp.listenerPath", format!("{path} is not an absolute path")));
    }
    let agent = Agent { path: PathBuf::from(&**path), metadata };
    Ok(notifies(profile).then_some(agent))
}

fn notifies(profile: &Seccomp<'_>) -> bool {
    profile.syscalls.iter().any(|rule| rule.action == Action::Notify)
}

/// The flags as the kernel takes them together.
fn flags(profile: &Seccomp<'_>) -> c_ulong {
    let asked = profile.flags.iter().fold(0, |all, flag| all | bit(*flag));
    if !notifies(profile) {
        // The flag speaks of waiting for an agent: EINVAL where there is none.
        return asked & !libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    }
    // A listener takes the return value, in which TSYNC would name the thread that stands in its way.
    let esrch =
        if asked & libc::SECCOMP_FILTER_FLAG_TSYNC == 0 { 0 } else { libc::SECCOMP_FILTER_FLAG_TSYNC_ESRCH };
    asked | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | esrch
}

/// Every flag of the specification, with its name and the kernel's bit.
const FLAGS: [(Flag, &str, c_ulong); 4] = [
    (Flag::Tsync, "SECCOMP_FILTER_FLAG_TSYNC", libc::SECCOMP_FILTER_FLAG_TSYNC),
    (Flag::Log, "SECCOMP_FILTER_FLAG_LOG", libc::SECCOMP_FILTER_FLAG_LOG),
    (Flag::SpecAllow, "SECCOMP_FILTER_FLAG_SPEC_ALLOW", libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW),
    (
        Flag::WaitKillableRecv,
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
    ),
];

/// The names of all flags.
pub(crate) fn known_flags() -> Vec<&'static str> {
    FLAGS.iter().map(|(_, name, _)| *name).collect()
}

/// The names of those that the running kernel knows too.
pub(crate) fn supported_flags() -> Vec<&'static str> {
    let supported = FLAGS.iter().filter(|(.., bit)| nucleus_sys::seccomp::knows_flag(*bit));
    supported.map(|(_, name, _)| *name).collect()
}

/// The names of the architectures for which there are tables.
pub(crate) fn architectures() -> [&'static str; 4] {
    Abi::ALL.map(Abi::name)
}

fn bit(flag: Flag) -> c_ulong {
    FLAGS.iter().filter(|(known, ..)| *known == flag).fold(0, |bits, (.., bit)| bits | bit)
}
