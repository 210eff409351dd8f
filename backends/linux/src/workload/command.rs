//! The workload's executable, found in the container with the workload's own rights.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nucleus_abi::{Error, ErrorCode, Result};
use rustix::fs::{Access, AtFlags, CWD, FileType};
use rustix::io::Errno;

use crate::config::Process;
use crate::fault::explain;

/// What is searched where the workload's environment has no `PATH`.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Engines choose the exit status, 127 or 126, by these words in these letters: Docker's `runStartContainerErr` and
/// `translateContainerdStartErr`, Podman's `define.TranslateExecErrorToExitCode`.
const MISSING: &str = "no such file or directory in the container";
/// The same, where a search found nothing.
const SEARCHED: &str = "executable file not found in $PATH";
/// For a program that may not be executed.
const DENIED: &str = "permission denied (EACCES)";

/// Why a file is no program.
enum Unfit {
    Missing,
    Because(String),
}

/// The absolute path of the program that `args[0]` names.
///
/// # Errors
/// `command-not-found` with what was searched; `command-not-executable` with the reason.
pub(super) fn find(process: &Process) -> Result<CString> {
    let name = &process.arguments[0];
    if name.as_bytes().contains(&b'/') {
        let path = join(process.directory.as_bytes(), name.as_bytes());
        return match check(&path) {
            Ok(()) => Ok(path),
            Err(Unfit::Missing) => Err(not_found(name).because(MISSING)),
            Err(Unfit::Because(cause)) => Err(not_executable(&path, &cause)),
        };
    }
    search(name, search_path(&process.environment))
}

fn search(name: &CStr, path: &[u8]) -> Result<CString> {
    let mut unfit = None;
    for directory in path.split(|byte| *byte == b':') {
        // An empty entry means the working directory to a shell; nobody means it here.
        let directory = if directory.is_empty() { b"." } else { directory };
        let candidate = join(directory, name.to_bytes());
        match check(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Unfit::Because(cause)) => {
                unfit.get_or_insert((candidate, cause));
            }
            Err(Unfit::Missing) => {}
        }
    }
    Err(match unfit {
        Some((candidate, cause)) => not_executable(&candidate, &cause),
        None => not_found(name).because(format!("{SEARCHED}, which is {}", String::from_utf8_lossy(path))),
    })
}

fn search_path(environment: &[CString]) -> &[u8] {
    let value = environment.iter().rev().find_map(|entry| entry.as_bytes().strip_prefix(b"PATH="));
    value.filter(|value| !value.is_empty()).unwrap_or(DEFAULT_PATH)
}

/// An absolute `name` replaces the directory, as for the kernel.
fn join(directory: &[u8], name: &[u8]) -> CString {
    let path = PathBuf::from(std::ffi::OsStr::from_bytes(directory)).join(std::ffi::OsStr::from_bytes(name));
    CString::new(path.as_os_str().as_bytes()).expect("both parts came from strings without NUL")
}

/// The reasons are those that execve(2) would give (EACCES); engines look for their words.
fn check(path: &CStr) -> std::result::Result<(), Unfit> {
    let stat = match rustix::fs::stat(path) {
        Ok(stat) => stat,
        Err(Errno::NOENT | Errno::NOTDIR) => return Err(Unfit::Missing),
        Err(error) => return Err(Unfit::Because(explain(&error.into()))),
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(Unfit::Because("permission denied: it is a directory".to_owned())),
        _ => return Err(Unfit::Because("permission denied: it is no regular file".to_owned())),
    }
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::empty()).map_err(|error| match error {
        Errno::ACCESS => Unfit::Because(DENIED.to_owned()),
        error => Unfit::Because(explain(&error.into())),
    })
}

fn not_found(name: &CStr) -> Error {
    Error::new(ErrorCode::CommandNotFound, "find the workload's program").on(name.to_string_lossy())
}

fn not_executable(path: &CStr, cause: &str) -> Error {
    Error::new(ErrorCode::CommandNotExecutable, "execute the workload's program")
        .on(path.to_string_lossy())
        .because(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_path_of_the_environment_counts() {
        let environment = [c"PATH=/a".to_owned(), c"HOME=/".to_owned(), c"PATH=/b".to_owned()];
        assert_eq!(search_path(&environment), b"/b");
        assert_eq!(search_path(&[c"PATH=".to_owned()]), DEFAULT_PATH);
    }

    #[test]
    fn a_program_is_found_along_the_path() {
        assert_eq!(search(c"sh", b"/nowhere:/bin").unwrap().as_c_str(), c"/bin/sh");
    }

    #[test]
    fn what_was_searched_and_what_was_wrong_is_said() {
        let error = search(c"no-such-program", b"/bin:/usr/bin").unwrap_err();
        assert_eq!(error.code, ErrorCode::CommandNotFound);
        assert_eq!(
            error.cause.as_deref(),
            Some("executable file not found in $PATH, which is /bin:/usr/bin")
        );
        let error = search(c"ssl", b"/etc").unwrap_err();
        assert_eq!(error.code, ErrorCode::CommandNotExecutable);
        assert_eq!(error.cause.as_deref(), Some("permission denied: it is a directory"));
    }
}
