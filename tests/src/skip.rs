//! Saying aloud that a test could not run here.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::panic::Location;

/// Names the file to which each skipped test adds a line; `tests/run` counts and lists them.
pub const SKIPS: &str = "NUCLEUS_TEST_SKIPS";

/// Records that the calling test cannot run on this host. The test returns right after:
/// `return skip("the kernel has no Landlock");`
///
/// # Panics
/// When the record cannot be written: a skip that nobody sees would be a test that silently passes.
#[track_caller]
pub fn skip(reason: &str) {
    let line = format!("SKIPPED {}: {reason}\n", Location::caller());
    print!("{line}");
    let Some(path) = env::var_os(SKIPS) else { return };
    let file = OpenOptions::new().create(true).append(true).open(&path);
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("the list of skipped tests takes a line");
}
