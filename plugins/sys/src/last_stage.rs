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

/// A program to be run before the workload, in its place and with its rights (config.md, "`StartContainer` Hooks").
#[derive(Debug, Clone)]
pub struct Hook {
    /// Absolute path inside the container.
    pub executable: CString,
    /// Its `argv`, with the name at the front.
    pub argv: Vec<CString>,
    /// Its environment.
    pub environment: Vec<CString>,
    /// Seconds until it is killed with its process group; 0 for as long as it takes.
    pub timeout: u32,
}

/// The hooks, in order. The first that fails ends it all: the process exits with [`FAILED`].
#[derive(Debug, Clone, Copy)]
pub struct Hooks<'a> {
    /// Which.
    pub list: &'a [Hook],
    /// A file that each gets as standard input, from its beginning.
    pub state: BorrowedFd<'a>,
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
    /// A pipe for a [`Report`] of what kept the workload from starting; all that its reader sees otherwise is the end.
    pub report: Option<BorrowedFd<'a>>,
    /// What runs between the start and the workload.
    pub hooks: Option<Hooks<'a>>,
    /// Whether an init stays.
    pub role: Role,
    /// Absolute path of the workload's executable inside the container.
    pub executable: &'a CStr,
    /// The workload's own `argv`, with the name at the front; must not be empty.
    pub argv: &'a [CString],
}

impl<'a> Arguments<'a> {
    /// The workload alone: no gate, nobody listens, no init.
    pub const fn new(executable: &'a CStr, argv: &'a [CString]) -> Self {
        Self { gate: None, errors: None, report: None, hooks: None, role: Role::Workload, executable, argv }
    }

    /// The `argv` for the exec of the last stage. EINVAL if the workload's is empty.
    pub fn to_argv(&self) -> io::Result<Vec<CString>> {
        if self.argv.is_empty() {
            return Err(Errno::INVAL.into());
        }
        let own = [c"nucleus-init".to_owned(), self.control_word(), self.executable.to_owned()];
        let hooks = self.hooks.iter().flat_map(|hooks| hooks.list).flat_map(Hook::words);
        Ok(own.into_iter().chain(hooks).chain(self.argv.iter().cloned()).collect())
    }

    fn control_word(&self) -> CString {
        let mut word = String::new();
        let state = self.hooks.map(|hooks| hooks.state);
        for (letter, descriptor) in [('g', self.gate), ('e', self.errors), ('r', self.report), ('s', state)] {
            if let Some(descriptor) = descriptor {
                write!(word, "{letter}{},", descriptor.as_raw_fd()).expect("writing to a string");
            }
        }
        if let Some(hooks) = self.hooks {
            write!(word, "h{},", hooks.list.len()).expect("writing to a string");
        }
        if self.role == Role::Init {
            word.push('i');
        }
        CString::new(word).expect("letters and digits hold no NUL")
    }
}

impl Hook {
    /// How many arguments and variables, and the timeout; the path; both lists, each with a word behind it that the
    /// last stage replaces by a null pointer, as execve(2) wants it.
    fn words(&self) -> impl Iterator<Item = CString> {
        let numbers = format!("{},{},{}", self.argv.len(), self.environment.len(), self.timeout);
        let numbers = CString::new(numbers).expect("digits hold no NUL");
        [numbers, self.executable.clone()]
            .into_iter()
            .chain(self.argv.iter().cloned().chain([c"".to_owned()]))
            .chain(self.environment.iter().cloned().chain([c"".to_owned()]))
    }
}

/// Why there is no workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// A hook failed.
    Hook {
        /// Its number, from 0.
        index: usize,
        /// How.
        failure: HookFailure,
        /// The last bytes that it wrote to its standard output and error.
        output: Vec<u8>,
    },
    /// The workload could not be executed.
    NotExecuted {
        /// The error number of execve(2).
        errno: i32,
    },
}

/// How a hook failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookFailure {
    /// It left with this status.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
    /// It took longer than it may.
    TimedOut,
    /// It could not be run: this error number.
    NotRun(i32),
}

impl Report {
    /// Reads what came through the pipe; `None` if nothing did: the workload has been executed.
    ///
    /// # Errors
    /// EBADMSG.
    pub fn read(bytes: &[u8]) -> io::Result<Option<Self>> {
        if bytes.is_empty() {
            return Ok(None);
        }
        Self::parse(bytes).map(Some).ok_or_else(|| Errno::BADMSG.into())
    }

    /// Four numbers: kind, hook, value, length of what follows (`last-stage/report.rs`).
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(16)?;
        let number = |at: usize| header[4 * at..4 * at + 4].try_into().ok().map(u32::from_le_bytes);
        let value = i32::try_from(number(2)?).ok()?;
        let failure = match number(0)? {
            1 => HookFailure::Exited(value),
            2 => HookFailure::Signalled(value),
            3 => HookFailure::TimedOut,
            4 => HookFailure::NotRun(value),
            5 => return Some(Self::NotExecuted { errno: value }),
            _ => return None,
        };
        let output = rest.get(..usize::try_from(number(3)?).ok()?)?.to_vec();
        Some(Self::Hook { index: usize::try_from(number(1)?).ok()?, failure, output })
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
        let plain = Arguments::new(c"/bin/sh", &argv);
        let words = plain.to_argv().unwrap();
        assert_eq!(words, [c"nucleus-init", c"", c"/bin/sh", c"sh", c"-c"].map(CStr::to_owned));
        let full = Arguments { gate: Some(input.as_fd()), errors: Some(input), role: Role::Init, ..plain };
        assert_eq!(full.to_argv().unwrap()[1].as_c_str(), c"g0,e0,i");
        assert!(Arguments { argv: &[], ..plain }.to_argv().is_err());
    }

    #[test]
    fn the_words_of_hooks_stand_before_the_workloads() {
        let hook = Hook {
            executable: c"/hook".to_owned(),
            argv: vec![c"hook".to_owned(), c"a".to_owned()],
            environment: vec![c"A=b".to_owned()],
            timeout: 9,
        };
        let hooks = Hooks { list: &[hook], state: rustix::stdio::stdin() };
        let argv = [c"true".to_owned()];
        let words = Arguments { hooks: Some(hooks), ..Arguments::new(c"/true", &argv) }.to_argv().unwrap();
        let expected = [c"s0,h1,", c"/true", c"2,1,9", c"/hook", c"hook", c"a", c"", c"A=b", c"", c"true"];
        assert_eq!(words[1..], expected.map(CStr::to_owned));
    }

    #[test]
    fn a_report_is_read_whole_or_not_at_all() {
        let numbers = |numbers: [u32; 4]| numbers.map(u32::to_le_bytes).concat();
        let failure = HookFailure::Exited(3);
        let hook = Report::Hook { index: 2, failure, output: b"bad".to_vec() };
        assert_eq!(Report::read(&[&numbers([1, 2, 3, 3]), &b"bad"[..]].concat()).unwrap(), Some(hook));
        let missing = Report::NotExecuted { errno: 2 };
        assert_eq!(Report::read(&numbers([5, 0, 2, 0])).unwrap(), Some(missing));
        assert_eq!(Report::read(b"").unwrap(), None);
        for wrong in [numbers([1, 2, 3, 4]), numbers([9, 0, 0, 0]), vec![1; 15], numbers([1, 0, u32::MAX, 0])]
        {
            assert!(Report::read(&wrong).is_err(), "{wrong:?}");
        }
    }
}
