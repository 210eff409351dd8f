//! How the program is linked, for what happens before `main`. Without any of it the program is the same, slower.
//!
//! - The unwinder (`libgcc_eh`) is linked in, where the C compiler has it as an archive: the shared one is a library more to find,
//!   map and relocate at each start, 5 % of the time until `main`.
//! - Relocations are packed (`DT_RELR`), where this C library knows them: 4,000 of them take a hundredth of the room.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("TARGET") != std::env::var("HOST") {
        return;
    }
    if knows_packed_relocations() {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    if let Some(directory) = archive().as_deref().and_then(Path::parent) {
        println!("cargo::rustc-link-search=native={}", directory.display());
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}

/// Where the C compiler keeps the archive; it answers with the bare name when it has none.
fn archive() -> Option<PathBuf> {
    let output = Command::new("cc").arg("-print-file-name=libgcc_eh.a").output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    path.is_absolute().then_some(path)
}

/// The GNU C library does from 2.36 on; an older one refuses to start the program.
fn knows_packed_relocations() -> bool {
    let version = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let version =
        version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let numbers = version.trim().strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    let parsed =
        numbers.and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    parsed.is_some_and(|version| version >= (2, 36))
}
