//! seccomp: the runtime specification's `linux.seccomp` becomes classic BPF.
//!
//! [`compile`] is pure: profile in, [`Program`] out. Loading belongs to `nucleus_sys::seccomp`, and the default profile
//! to the plan. docs/seccomp.md says how a profile is read where the specification is silent.

mod abi;
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

use libc::c_ulong;
use nucleus_abi::Result;

use crate::config::document::{Action, Flag, Seccomp};
use abi::Abi;
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
    Ok(Program { instructions, flags: flags(profile), unknown_names: policy.unknown_names })
}

/// The flags as the kernel takes them together.
fn flags(profile: &Seccomp<'_>) -> c_ulong {
    let asked = profile.flags.iter().fold(0, |all, flag| all | bit(*flag));
    let notifies = profile.syscalls.iter().any(|rule| rule.action == Action::Notify);
    if !notifies {
        // The flag speaks of waiting for an agent: EINVAL where there is none.
        return asked & !libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    }
    // A listener takes the return value, in which TSYNC would name the thread that stands in its way.
    let esrch =
        if asked & libc::SECCOMP_FILTER_FLAG_TSYNC == 0 { 0 } else { libc::SECCOMP_FILTER_FLAG_TSYNC_ESRCH };
    asked | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | esrch
}

fn bit(flag: Flag) -> c_ulong {
    match flag {
        Flag::Log => libc::SECCOMP_FILTER_FLAG_LOG,
        Flag::Tsync => libc::SECCOMP_FILTER_FLAG_TSYNC,
        Flag::SpecAllow => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
        Flag::WaitKillableRecv => libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
    }
}
