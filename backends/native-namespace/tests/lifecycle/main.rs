//! Containers through the whole protocol: sandbox, create, start, wait, delete.

mod attributes;
mod cgroups;
mod exec;
mod harness;
mod hooks;
mod isolation;
mod joining;
mod life;
mod mounts;
mod net_devices;
mod nodes;
mod propagation;
mod resctrl;
mod seccomp;
