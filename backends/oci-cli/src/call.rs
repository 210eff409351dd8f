//! One call of a runtime's program: started, bounded in time, and understood.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_linux::fault::OrFail;
use nucleus_sys::clone::{self, Child, Clone3};
use nucleus_sys::mount::{self, Change, DetachedMount, MountAttrFlags, Propagation, Reach};
use nucleus_sys::namespace::NamespaceSet;
use nucleus_sys::pidfd::{Exit, PidFd};
use nucleus_sys::process::{self, Stdio, replace_stdio};
use nucleus_sys::signal::{self, Signal, SignalSet};
use nucleus_sys::{Mode, OFlags, Pid};
use rustix::fs::MemfdFlags;

use crate::log;
use crate::place::Place;
use crate::record::Record;
use crate::runtime::Runtime;
use crate::staging;

/// What a runtime finds of the environment: nothing of the caller's, such as `NOTIFY_SOCKET`, changes what it does.
const ENVIRONMENT: &CStrSlice = &[c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];
type CStrSlice = [&'static std::ffi::CStr];

/// How long what was killed may take to end.
const LAST_RESPITE: Duration = Duration::from_secs(10);

/// A command line.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    program: CString,
    arguments: Vec<CString>,
}

impl Command {
    /// `PROGRAM WORDS…`.
    pub(crate) fn new<W: AsRef<OsStr>>(program: &Path, words: impl IntoIterator<Item = W>) -> Result<Self> {
        let text = |word: &OsStr| CString::new(word.as_bytes()).map_err(io::Error::from);
        let make = || -> io::Result<Self> {
            let program = text(program.as_os_str())?;
            let words: Vec<CString> =
                words.into_iter().map(|word| text(word.as_ref())).collect::<io::Result<_>>()?;
            Ok(Self { arguments: std::iter::once(program.clone()).chain(words).collect(), program })
        };
        make().or_fail("write a command line", program.display())
    }

    /// `PROGRAM ARGUMENTS --root … --log … VERB WORDS…`: the same global arguments at each verb, for runsc takes them from
    /// nowhere else.
    pub(crate) fn of(
        runtime: &Runtime,
        place: &Place,
        log: &Path,
        verb: &str,
        words: &[OsString],
    ) -> Result<Self> {
        let state = place.state();
        let globals: [&OsStr; 6] = [
            "--root".as_ref(),
            state.as_ref(),
            "--log".as_ref(),
            log.as_ref(),
            "--log-format".as_ref(),
            "json".as_ref(),
        ];
        let own = runtime.arguments.iter().map(OsStr::new);
        let words = words.iter().map(OsString::as_os_str);
        Self::new(&runtime.program, own.chain(globals).chain([OsStr::new(verb)]).chain(words))
    }

    pub(crate) fn program(&self) -> std::borrow::Cow<'_, str> {
        self.program.to_string_lossy()
    }

    /// Becomes it, in a session of its own: keys of the operator's terminal are not meant for it, and all that it starts can
    /// be killed together. Returns only errors.
    pub(crate) fn execute(&self, handles: &Handles<'_>) -> io::Error {
        let run = || -> io::Result<std::convert::Infallible> {
            process::new_session()?;
            signal::reset_dispositions()?;
            signal::set_mask(SignalSet::EMPTY)?;
            rustix::process::chdir("/")?;
            process::close_on_exec_from(3)?;
            let [input, output, error] = handles.standard;
            replace_stdio(input, Stdio::Input)?;
            replace_stdio(output, Stdio::Output)?;
            replace_stdio(error, Stdio::Error)?;
            if !handles.extra.is_empty() {
                process::pass_on(&handles.extra)?;
            }
            handles.kept.iter().try_for_each(|kept| process::set_inheritable(*kept))?;
            let environment: Vec<CString> = ENVIRONMENT.iter().map(|one| (*one).to_owned()).collect();
            process::exec(&self.program, &self.arguments, &environment)
        };
        match run() {
            Err(error) => error,
        }
    }
}

/// The descriptors of a call.
#[derive(Debug, Clone)]
pub(crate) struct Handles<'a> {
    pub(crate) standard: [BorrowedFd<'a>; 3],
    /// Those at 3, 4 and so on, which the runtime passes on.
    pub(crate) extra: Vec<BorrowedFd<'a>>,
    /// Those that its arguments name as `/proc/self/fd/N`.
    pub(crate) kept: Vec<BorrowedFd<'a>>,
}

/// A path by which a process finds what it holds open: it is short enough for a socket, however long the directory's own is.
pub(crate) fn by_descriptor(descriptor: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))
}

/// What a verb's process gets.
pub(crate) enum Streams<'a> {
    /// Nothing to read; what it writes comes back.
    Captured,
    /// A container's process inherits them.
    Given {
        standard: [BorrowedFd<'a>; 3],
        extra: Vec<BorrowedFd<'a>>,
        /// What its arguments name beside the log.
        kept: Vec<BorrowedFd<'a>>,
    },
}

/// A call of a verb.
pub(crate) struct Call<'a> {
    pub(crate) record: &'a Record,
    pub(crate) place: &'a Place,
    pub(crate) verb: &'static str,
    /// Options of the verb, and the container.
    pub(crate) words: Vec<OsString>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(record: &'a Record, place: &'a Place, verb: &'static str) -> Self {
        Self { record, place, verb, words: Vec::new() }
    }

    pub(crate) fn words<W: Into<OsString>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    /// Calls it, and returns what it wrote to standard output.
    pub(crate) fn run(self, id: &str) -> Result<Vec<u8>> {
        let (runtime, verb) = (&self.record.runtime, self.verb);
        let outcome = self.end(&Streams::Captured)?;
        outcome.check(runtime, verb, id)?;
        Ok(outcome.stdout)
    }

    /// Calls it, and says how it ended.
    pub(crate) fn end(self, streams: &Streams<'_>) -> Result<Outcome> {
        let extra = match streams {
            Streams::Captured => 0,
            Streams::Given { extra, .. } => extra.len(),
        };
        let log = memory_file("log", extra)?;
        let command = Command::of(
            &self.record.runtime,
            self.place,
            &by_descriptor(log.as_fd()),
            self.verb,
            &self.words,
        )?;
        let (null, stdout, stderr) = (null()?, memory_file("stdout", extra)?, memory_file("stderr", extra)?);
        let mut handles = Handles {
            standard: [null.as_fd(), stdout.as_fd(), stderr.as_fd()],
            extra: Vec::new(),
            kept: vec![log.as_fd()],
        };
        if let Streams::Given { standard, extra, kept } = streams {
            handles.standard = *standard;
            handles.extra.clone_from(extra);
            handles.kept.extend(kept);
        }
        let runtime = &self.record.runtime;
        let stage = self.record.stage.as_deref();
        let view = View { hidden: &runtime.hidden, stage, sealed: runtime.to_seal() };
        let child = spawn(&command, &handles, view)?;
        let ended = within(&child.pidfd, child.pid, self.record.runtime.patience())?;
        Ok(Outcome { ended, stdout: all_of(stdout)?, stderr: text_of(stderr)?, log: text_of(log)? })
    }
}

/// Asks a program that concerns no container, such as `--version`, and returns what it writes to standard output.
///
/// # Errors
/// `host-unfit` when it cannot be executed, fails, or takes longer than `patience`.
pub fn answer(program: &Path, words: &[&str], patience: Duration) -> Result<String> {
    let command = Command::new(program, words)?;
    let (null, stdout, stderr) = (null()?, memory_file("stdout", 0)?, memory_file("stderr", 0)?);
    let standard = [null.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let child = spawn(&command, &Handles { standard, extra: Vec::new(), kept: Vec::new() }, View::default())?;
    let ended = within(&child.pidfd, child.pid, patience)?;
    let outcome = Outcome { ended, stdout: Vec::new(), stderr: text_of(stderr)?, log: String::new() };
    match outcome.failure(patience.as_secs()) {
        None => text_of(stdout),
        Some(cause) => Err(Error::new(ErrorCode::HostUnfit, format!("ask for `{}`", words.join(" ")))
            .on(program.display())
            .because(cause)),
    }
}

/// What a call sees of the host otherwise than others do.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct View<'a> {
    /// Mounts that it must not see.
    pub(crate) hidden: &'a [PathBuf],
    /// The stage of a container whose root was on top of a directory of the host: runc changes to the root's path before
    /// each `exec`, so there must be one.
    pub(crate) stage: Option<&'a Path>,
    /// A program that it must see read-only.
    pub(crate) sealed: Option<&'a Path>,
}

impl View<'_> {
    fn namespaces(self) -> NamespaceSet {
        let plain = self.hidden.is_empty() && self.stage.is_none() && self.sealed.is_none();
        if plain { NamespaceSet::empty() } else { NamespaceSet::MOUNT }
    }

    /// Takes it, in a mount namespace of the caller's own.
    fn take(self) -> io::Result<()> {
        if self.namespaces().is_empty() {
            return Ok(());
        }
        mount::set_root_propagation(Propagation::Private)?;
        hide(self.hidden)?;
        self.sealed.map_or(Ok(()), seal)?;
        self.stage.map_or(Ok(()), |stage| {
            staging::empty(stage)?;
            std::fs::create_dir(crate::config::root_on(stage))
        })
    }
}

/// Starts it; it dies with this process.
fn spawn(command: &Command, handles: &Handles<'_>, view: View<'_>) -> Result<Child> {
    let namespaces = view.namespaces();
    let child = clone::spawn(Clone3 { namespaces, ..Clone3::default() }, || {
        let ready = process::set_parent_death_signal(Signal::KILL).and_then(|()| view.take());
        let error = ready.err().unwrap_or_else(|| command.execute(handles));
        // Nobody else hears it: it is what its caller reads of standard error.
        let text = format!("it cannot be executed: {}\n", nucleus_linux::fault::explain(&error));
        let _ = rustix::io::write(handles.standard[2], text.as_bytes());
        NOT_EXECUTED
    });
    child.or_fail("start a process", command.program.to_string_lossy())
}

/// As a shell says it.
pub(crate) const NOT_EXECUTED: i32 = 126;

/// Takes mounts out of this process's own mount namespace, which must be private.
pub(crate) fn hide(mounts: &[PathBuf]) -> io::Result<()> {
    mounts.iter().try_for_each(|mount| mount::unmount_detach(mount))
}

/// Puts a program's own file on top of it, read-only, in this process's own mount namespace, which must be private: whatever
/// opens `/proc/PID/exe` for writing gets EROFS, and only who may mount here could change that.
pub(crate) fn seal(program: &Path) -> io::Result<()> {
    let file = rustix::fs::open(program, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let mount = DetachedMount::clone_of(file.as_fd(), Reach::Mount)?;
    let read_only = Change { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Change::default() };
    mount.change(read_only, Reach::Mount)?;
    mount.attach(file.as_fd()).map(drop)
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    ByItself(Exit),
    /// It took too long, and was killed.
    Killed,
    /// Its parent knows how.
    Unseen,
}

/// Waits for a process for so long, and kills its session then.
pub(crate) fn within(process: &PidFd, pid: Pid, patience: Duration) -> Result<Ended> {
    let step = "wait for the runtime";
    if process.wait_over(Some(patience)).or_fail(step, "its process")? {
        return match process.wait() {
            // Another process's child: whether it succeeded is seen by what it left.
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(Ended::Unseen),
            result => result.map(Ended::ByItself).or_fail(step, "its process"),
        };
    }
    kill_session(process, pid)?;
    let _ = process.try_wait();
    Ok(Ended::Killed)
}

/// Kills a process and all that it started, as far as they are in its session's first group.
pub(crate) fn kill_session(leader: &PidFd, pid: Pid) -> Result<()> {
    let step = "end the runtime";
    let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    match leader.send_signal(Signal::KILL) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(()),
        result => result.or_fail(step, "its process")?,
    }
    if leader.wait_over(Some(LAST_RESPITE)).or_fail(step, "its process")? {
        return Ok(());
    }
    Err(Error::new(ErrorCode::Teardown, step).because("it was killed and is stuck in the kernel"))
}

/// What a call left.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) ended: Ended,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) log: String,
}

impl Outcome {
    /// The runtime's own reason, if it failed.
    pub(crate) fn failure(&self, patience: u64) -> Option<String> {
        let said = || log::last_error(&self.log).or_else(|| log::last_words(&self.stderr));
        match self.ended {
            Ended::ByItself(Exit::Exited { code: 0 }) => None,
            Ended::Unseen => log::last_error(&self.log),
            Ended::ByItself(Exit::Exited { code }) => {
                Some(said().unwrap_or_else(|| format!("it ended with status {code} and said nothing")))
            }
            Ended::ByItself(Exit::Signalled { signal, .. }) => {
                let crash = format!("signal {signal} ended it");
                Some(said().map_or(crash.clone(), |said| format!("{crash}: {said}")))
            }
            Ended::Killed => {
                let late = format!("it had not ended after {patience} s and was killed");
                Some(said().map_or(late.clone(), |said| format!("{late}; the last that it said: {said}")))
            }
        }
    }

    pub(crate) fn check(&self, runtime: &Runtime, verb: &str, id: &str) -> Result<()> {
        match self.failure(runtime.patience) {
            None => Ok(()),
            Some(cause) => Err(failed(runtime, verb, ErrorCode::SystemCall).on(id).because(cause)),
        }
    }
}

/// The error of a verb.
pub(crate) fn failed(runtime: &Runtime, verb: &str, code: ErrorCode) -> Error {
    Error::new(code, format!("do `{verb}` with {}", runtime.name))
}

/// A file in memory, out of the way of `extra` descriptors.
pub(crate) fn memory_file(name: &str, extra: usize) -> Result<File> {
    let make = || -> io::Result<File> {
        let file = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?;
        Ok(process::out_of_the_way(file.as_fd(), extra)?.into())
    };
    make().or_fail("make a file in memory", name)
}

pub(crate) fn null() -> Result<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .or_fail("open a file", "/dev/null")
}

/// Longest output that is read, in bytes.
const LONGEST: u64 = 1 << 20;

fn all_of(mut file: File) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.take(LONGEST).read_to_end(&mut bytes));
    read.or_fail("read what the runtime wrote", "a file in memory")?;
    Ok(bytes)
}

pub(crate) fn text_of(file: File) -> Result<String> {
    Ok(String::from_utf8_lossy(&all_of(file)?).into_owned())
}
