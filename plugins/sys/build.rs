//! Builds the last stage, a static executable without libc, to be embedded in the library.
//!
//! It is a program of its own, so Cargo can't build it as part of a library; rustc with `core` can, for every
//! target whose standard library is installed.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const OPTIONS: [&str; 12] = [
    "panic=abort",
    // Nothing unwinds here; the tables would push the code over into a second page.
    "force-unwind-tables=no",
    "opt-level=s",
    "relocation-model=static",
    "strip=symbols",
    "link-arg=-nostdlib",
    "link-arg=-nostartfiles",
    "link-arg=-static",
    "link-arg=-no-pie",
    // One page-aligned segment less, nothing that differs from build to build, and a stack that can't
    // execute.
    "link-arg=-Wl,-z,noseparate-code",
    "link-arg=-Wl,--build-id=none",
    "link-arg=-Wl,-z,noexecstack",
];

fn main() {
    println!("cargo::rerun-if-changed=last-stage");
    println!("cargo::rerun-if-changed=build.rs");
    let output = PathBuf::from(variable("OUT_DIR")).join("last-stage");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--edition=2024", "--crate-type=bin", "--crate-name=last_stage", "last-stage/main.rs"]);
    rustc.args(["--target", &variable("TARGET")]).arg("-o").arg(output);
    rustc.args(OPTIONS.iter().flat_map(|option| ["-C", option]));
    if variable("TARGET").ends_with("musl") {
        // Else rustc adds its own start-up files, with a second _start.
        rustc.args(["-C", "link-self-contained=no"]);
    }
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    let status = rustc.status().expect("rustc could not be run");
    assert!(status.success(), "the last stage did not compile: see above");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("Cargo sets {name} for build scripts"))
}
