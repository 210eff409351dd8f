//! End-to-end tests: the real binary, real kernels, real programs. One module per theme.

mod attestation;
mod backends;
mod cgroups;
mod comparison;
mod context;
mod crash;
mod devices;
mod disk;
mod engines;
mod errors;
mod escapes;
mod exit;
mod explain;
mod filesystem;
mod hooks;
mod identity;
mod kernel_files;
mod missing_calls;
mod mount_points;
mod mount_policy;
mod mounts;
mod namespaces;
mod network;
mod oci;
mod overlays;
mod plugins;
mod privileges;
mod programs;
mod seccomp;
mod secrets;
mod signals;
mod sockets;
mod stdio;
mod terminal;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nucleus_tests::Host;

const DEV: &str = "configs/dev.yaml";

/// Names no host and mounts nothing of its own: for namespaces that belong to others.
const BASE: &str = "configs/base.yaml";
const PROD: &str = "configs/prod.yaml";
const PROFILES: [&str; 2] = [DEV, PROD];

/// A directory of the test that every user may write to, for `--volume`.
fn open_directory(host: &Host, name: &str) -> PathBuf {
    let path = host.path(name);
    fs::create_dir_all(&path).expect("make a directory");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("open the directory");
    path
}

/// `--volume` for a directory that the workload writes to.
fn writable(source: &Path, target: &str) -> String {
    format!("{}:{target}:rw", source.display())
}

/// A profile in which `/probe/probe` can be run, with more YAML.
fn profile_with_probe(host: &Host, parent: &str, yaml: &str) -> PathBuf {
    let directory = open_directory(host, "probe");
    fs::copy(env!("CARGO_BIN_EXE_probe"), directory.join("probe")).expect("copy the probe");
    let volume = format!("{{source: {}, target: /probe, mode: ro, exec: true}}", directory.display());
    host.profile(parent, &format!("mounts: {{volumes: [{volume}]}}\n{yaml}"))
}

/// The value of a field of `/proc/<pid>/status`.
fn status_field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in:\n{status}")).trim()
}
