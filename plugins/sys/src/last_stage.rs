//! The last stage: a static executable of a few KiB, embedded here, that the engine executes from a sealed
//! memfd.
//!
//! After the exec nothing of nucleus is in the process: no memory, no mapping, no link to the host's
//! executable (CVE-2019-5736, also by an entry point `#!/proc/self/exe`). It waits for the start in one page
//! of stack, may stay as the container's init (`--init`), and executes the workload. Its source is
//! `last-stage/main.rs`. (Copying all of nucleus into a memfd instead takes 6 ms.)
//!
//! What the engine must have done before: every descriptor but the gate, the error channel and the workload's
//! own marked close-on-exec ([`crate::process::close_on_exec_from`]), the two freed from it
//! ([`crate::process::set_inheritable`]), signal mask empty and dispositions default, user and rights as the
//! workload's.

use std::ffi::{CStr, CString};
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

/// The executable itself.
pub const EXECUTABLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/last-stage"));
/// The status of a workload that was found but could not be executed; the error channel tells why.
pub const NOT_EXECUTABLE: u8 = 126;
/// The status of a workload that does not exist.
pub const NOT_FOUND: u8 = 127;
/// The status when the gate was closed instead of opened.
pub const FAILED: u8 = 125;

/// `F_SEAL_EXEC` (Linux 6.3): the mode's execute bits can't change any more.
const SEAL_EXEC: SealFlags = SealFlags::from_bits_retain(0x20);

/// The last stage in a memfd that nobody can write to any more, close-on-exec: execute it with
/// [`crate::process::exec_fd`].
///
/// Errors: EACCES where the host forbids executable memfds (sysctl `vm.memfd_noexec=2`).
pub fn sealed() -> io::Result<OwnedFd> {
    let file = executable_memfd()?;
    let mut rest = EXECUTABLE;
    while !rest.is_empty() {
        rest = &rest[rustix::io::write(&file, rest)?..];
    }
    seal(&file)?;
    Ok(file)
}

fn executable_memfd() -> io::Result<OwnedFd> {
    let plain = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create(c"nucleus-init", plain | MemfdFlags::EXEC) {
        // Before Linux 6.3 there is no MFD_EXEC and every memfd is executable.
        Err(Errno::INVAL) => Ok(memfd_create(c"nucleus-init", plain)?),
        result => Ok(result?),
    }
}

fn seal(file: &OwnedFd) -> io::Result<()> {
    let content = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK;
    match fcntl_add_seals(file, content | SEAL_EXEC | SealFlags::SEAL) {
        Err(Errno::INVAL) => Ok(fcntl_add_seals(file, content | SealFlags::SEAL)?),
        result => Ok(result?),
    }
}

/// What the process does while the workload runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It becomes the workload.
    Workload,
    /// It stays as init: reaps orphans, passes signals on, and ends with the workload's status, or 128 plus
    /// the number of the signal that ended it. With a controlling terminal the workload gets the foreground.
    Init,
}

/// What the last stage is to do.
#[derive(Debug, Clone, Copy)]
pub struct Arguments<'a> {
    /// A FIFO or socket from which one byte means "start"; if it ends instead, the process exits with
    /// [`FAILED`]. Without it the workload starts at once.
    pub gate: Option<BorrowedFd<'a>>,
    /// A pipe or socket for the number of the error, four bytes little-endian, if the workload can't be
    /// executed; if it can, all that the reader sees is the end.
    pub errors: Option<BorrowedFd<'a>>,
    /// Whether an init stays.
    pub role: Role,
    /// Absolute path of the workload's executable inside the container.
    pub executable: &'a CStr,
    /// The workload's own `argv`, with the name at the front; must not be empty.
    pub argv: &'a [CString],
}

impl Arguments<'_> {
    /// The `argv` for the exec of the last stage. EINVAL if the workload's is empty.
    pub fn to_argv(&self) -> io::Result<Vec<CString>> {
        if self.argv.is_empty() {
            return Err(Errno::INVAL.into());
        }
        let own = [c"nucleus-init".to_owned(), self.control_word(), self.executable.to_owned()];
        Ok(own.into_iter().chain(self.argv.iter().cloned()).collect())
    }

    fn control_word(&self) -> CString {
        let mut word = String::new();
        for (letter, descriptor) in [('g', self.gate), ('e', self.errors)] {
            if let Some(descriptor) = descriptor {
                write!(word, "{letter}{},", descriptor.as_raw_fd()).expect("writing to a string");
            }
        }
        if self.role == Role::Init {
            word.push('i');
        }
        CString::new(word).expect("letters and digits hold no NUL")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::fcntl_get_seals;
    use std::os::fd::AsFd;

    #[test]
    fn it_is_small_and_static() {
        assert_eq!(&EXECUTABLE[..4], b"\x7fELF");
        assert!(EXECUTABLE.len() < 8192, "{} bytes", EXECUTABLE.len());
        // Program headers: a PT_INTERP (3) would mean that a loader of the image's choice runs first.
        let (start, count) = (64, usize::from(u16::from_le_bytes([EXECUTABLE[56], EXECUTABLE[57]])));
        let kinds = (0..count).map(|index| EXECUTABLE[start + 56 * index]);
        assert!(kinds.clone().any(|kind| kind == 1) && kinds.clone().all(|kind| kind != 3));
    }

    #[test]
    fn nobody_can_change_it() {
        let file = sealed().unwrap();
        let seals = fcntl_get_seals(&file).unwrap();
        assert!(seals.contains(SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL));
        assert_eq!(rustix::io::write(&file, b"x"), Err(Errno::PERM));
    }

    #[test]
    fn arguments_become_argv() {
        let argv = [c"sh".to_owned(), c"-c".to_owned()];
        let input = rustix::stdio::stdin();
        let plain =
            Arguments { gate: None, errors: None, role: Role::Workload, executable: c"/bin/sh", argv: &argv };
        let words = plain.to_argv().unwrap();
        assert_eq!(words, [c"nucleus-init", c"", c"/bin/sh", c"sh", c"-c"].map(CStr::to_owned));
        let full = Arguments { gate: Some(input.as_fd()), errors: Some(input), role: Role::Init, ..plain };
        assert_eq!(full.to_argv().unwrap()[1].as_c_str(), c"g0,e0,i");
        assert!(Arguments { argv: &[], ..plain }.to_argv().is_err());
    }
}
