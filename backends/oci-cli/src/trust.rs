//! Whether a program that runs as root can be exchanged by somebody else.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};

/// The program at a path, with all links resolved.
///
/// # Errors
/// `host-unfit` when it is not absolute, not there, no program, or when somebody beside root could write to it or to a
/// directory above it.
pub fn program(path: &str) -> Result<PathBuf> {
    let refuse = |cause: String| Error::new(ErrorCode::HostUnfit, "use the runtime").on(path).because(cause);
    if !path.starts_with('/') {
        return Err(refuse("its path is not absolute".to_owned())
            .hint("nothing but the profile decides which program runs as root: `$PATH` does not"));
    }
    let real = fs::canonicalize(path).map_err(|error| refuse(error.to_string()))?;
    let metadata = fs::metadata(&real).map_err(|error| refuse(error.to_string()))?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Err(refuse("it is no program: not a file, or not executable".to_owned()));
    }
    // The directories of the link that was named count too: they decide where it leads.
    check(Path::new(path).ancestors().skip(1).chain(real.ancestors())).map_err(|cause| {
        refuse(cause).hint("what runs as root must be root's alone: `chown root:root` and `chmod go-w`")
    })?;
    Ok(real)
}

/// The first of several programs that is there and can be trusted.
///
/// # Errors
/// `host-unfit`, with what is wrong with each that is there.
pub fn first_of(paths: &[&str]) -> Result<PathBuf> {
    let mut faults = Vec::new();
    for path in paths {
        match program(path) {
            Ok(program) => return Ok(program),
            Err(error) if Path::new(path).exists() => faults.push(error),
            Err(_) => {}
        }
    }
    Err(Error::new(ErrorCode::HostUnfit, "find the runtime")
        .because(format!("there is none that only root can write to among {}", paths.join(", ")))
        .and(faults))
}

/// A directory in which root makes what others must not exchange, with all links resolved.
///
/// # Errors
/// `host-unfit`, as for [`program`].
pub fn directory(path: &Path) -> Result<PathBuf> {
    let refuse = |cause: String| {
        Error::new(ErrorCode::HostUnfit, "use the directory").on(path.display()).because(cause)
    };
    if !path.is_absolute() {
        return Err(refuse("its path is not absolute".to_owned()));
    }
    let real = fs::canonicalize(path).map_err(|error| refuse(error.to_string()))?;
    if !real.is_dir() {
        return Err(refuse("it is no directory".to_owned()));
    }
    check(path.ancestors().skip(1).chain(real.ancestors())).map_err(refuse)?;
    Ok(real)
}

fn check<'a>(mut above: impl Iterator<Item = &'a Path>) -> std::result::Result<(), String> {
    above.try_for_each(|one| {
        let metadata = fs::metadata(one).map_err(|error| format!("{}: {error}", one.display()))?;
        match fault(metadata.uid(), metadata.gid(), metadata.mode()) {
            Some(fault) => Err(format!("{} {fault}", one.display())),
            None => Ok(()),
        }
    })
}

fn fault(uid: u32, gid: u32, mode: u32) -> Option<String> {
    if uid != 0 {
        return Some(format!("belongs to the user {uid}, not to root"));
    }
    if mode & 0o002 != 0 {
        return Some("can be written by everybody".to_owned());
    }
    (mode & 0o020 != 0 && gid != 0).then(|| format!("can be written by the group {gid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_roots_own_is_trusted() {
        assert_eq!(fault(0, 0, 0o100_755), None);
        assert_eq!(fault(0, 0, 0o100_775), None);
        assert!(fault(7, 0, 0o755).unwrap().contains("user 7"));
        assert!(fault(0, 50, 0o40_775).unwrap().contains("group 50"));
        // The sticky bit keeps others from removing what is there, not from making what is not.
        assert!(fault(0, 0, 0o41_777).unwrap().contains("everybody"));
    }

    #[test]
    fn a_link_leads_to_the_program_itself() {
        assert_eq!(program("/bin/sh").unwrap(), fs::canonicalize("/bin/sh").unwrap());
    }

    #[test]
    fn what_is_no_program_of_roots_is_refused() {
        for (path, word) in [
            ("crun", "not absolute"),
            ("/no/such/crun", "No such file"),
            ("/etc/passwd", "not executable"),
            ("/usr", "not a file"),
        ] {
            let error = program(path).unwrap_err();
            assert_eq!(error.code, ErrorCode::HostUnfit);
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn the_first_that_can_be_trusted_is_taken() {
        let open = std::env::temp_dir().join(format!("nucleus-first-{}", std::process::id()));
        fs::copy("/bin/true", &open).unwrap();
        let open_path = open.to_str().unwrap();
        let found = first_of(&["/no/such", open_path, "/bin/sh"]).unwrap();
        let error = first_of(&["/no/such", open_path]).unwrap_err();
        fs::remove_file(&open).unwrap();
        assert_eq!(found, fs::canonicalize("/bin/sh").unwrap());
        assert!(error.to_string().contains("/no/such"), "{error}");
        assert_eq!(error.also.len(), 1, "what is not there is no fault");
        assert!(error.also[0].to_string().contains("can be written by everybody"), "{error:?}");
    }

    #[test]
    fn a_program_in_a_directory_of_everybodys_is_refused() {
        let path = std::env::temp_dir().join(format!("nucleus-runtime-{}", std::process::id()));
        fs::copy("/bin/true", &path).unwrap();
        let error = program(path.to_str().unwrap()).unwrap_err();
        fs::remove_file(&path).unwrap();
        assert!(error.to_string().contains("can be written by everybody"), "{error}");
    }
}
