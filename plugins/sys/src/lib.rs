//! The floor of nucleus: the kernel's interfaces, typed, and nothing that knows what a container is.
//!
//! Every raw system call of the project lives here, so that `unsafe` is read and argued in one place. The
//! crate decides nothing: it does what it is told or returns the kernel's own error, and where a kernel
//! lacks a call it falls back to something equally strict or says so. It starts no thread and keeps no
//! state, so that it can be used on both sides of a `clone`.
//!
//! | to | use |
//! |---|---|
//! | start a process in new namespaces | [`clone`], [`pidfd`], [`namespace`], [`id_map`] |
//! | build a root file system by descriptor | [`mount`], [`in_root`], [`device`] |
//! | write to `/proc` without being lied to | [`procfs`] |
//! | decide about devices | [`bpf`] |
//! | give up rights | [`capability`], [`seccomp`], [`landlock`], [`process`] |
//! | talk to the process and its terminal | [`socket`], [`signal`], [`terminal`] |
//! | give it a network device | [`netlink`], [`loopback`] |
//! | say how a process is run | [`scheduling`], [`memory_policy`], [`rlimit`] |
//! | leave nothing of nucleus inside | [`last_stage`] |
//! | hold something secret for a moment | [`secrecy`] |
//! | let code run that is not ours | [`mapping`], [`surroundings`] |
//! | begin soon | [`program`], [`arena`] |

pub mod arena;
pub mod bpf;
pub mod calls;
pub mod capability;
pub mod clone;
pub mod device;
pub mod id_map;
pub mod in_root;
pub mod keyring;
pub mod landlock;
pub mod last_stage;
pub mod loopback;
pub mod mapping;
pub mod memory_policy;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod overlay;
pub mod pidfd;
pub mod process;
pub mod procfs;
pub mod program;
pub mod rlimit;
pub mod scheduling;
pub mod seccomp;
pub mod secrecy;
pub mod signal;
pub mod socket;
pub mod surroundings;
mod syscall;
pub mod terminal;
#[cfg(test)]
mod testing;

pub use rustix::fs::{Mode, OFlags};
pub use rustix::process::Pid;
