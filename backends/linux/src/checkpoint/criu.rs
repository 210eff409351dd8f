//! criu as a program: found, started as a worker for one request (`criu swrk`), and listened to.
//!
//! Its service's language is `images/rpc.proto` of criu; the numbers below are that file's.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::clone::{Clone3, spawn};
use nucleus_sys::process::{self, Stdio};
use nucleus_sys::signal::{SignalSet, reset_dispositions, set_mask};
use nucleus_sys::socket::{Received, Socket};
use nucleus_sys::{Mode, OFlags, Pid};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, kill_process_group};

use super::protobuf::{Fields, Message};
use crate::fault::{OrFail, explain};
use crate::gate;
use crate::unfinished::Unfinished;

/// The oldest that is used: the first whose mounts are restored by descriptor (mount engine 2, since 3.17).
const OLDEST: (u64, u64) = (3, 17);

/// Where it is looked for. The caller's `PATH` may be anybody's.
const DIRECTORIES: [&str; 4] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];

/// What it calls itself: iptables, tar.
const PATH: &std::ffi::CStr = c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is asked of it (`criu_req_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Verb {
    Dump = 1,
    Restore = 2,
    PreDump = 4,
    Notify = 6,
    Version = 10,
}

/// The program.
#[derive(Debug)]
pub(super) struct Criu {
    program: PathBuf,
}

/// Something that it tells while it works, and waits for our answer.
#[derive(Debug)]
pub(super) struct Notice {
    /// At which point it is: `setup-namespaces`, `post-restore`, …
    pub(super) point: String,
    /// The container's first process, where there is one already.
    pub(super) pid: Option<Pid>,
    /// What comes with it.
    pub(super) descriptors: Vec<OwnedFd>,
}

impl Criu {
    /// Finds it.
    ///
    /// # Errors
    /// `host-unfit` where there is none, or only one that is not trusted.
    pub(super) fn find(named: Option<&Path>) -> Result<Self> {
        let criu = Self { program: locate(named)? };
        check(&criu.program)?;
        Ok(criu)
    }

    /// Whether there is one where it is looked for.
    pub(super) fn is_there() -> bool {
        locate(None).and_then(|program| check(&program)).is_ok()
    }

    /// Starts a worker. It holds `directories` and `descriptors` as its 4, 5 and so on; `prepare` is called in it before the
    /// program is executed, with the inner end of a gate whose outer end is the worker's; `settle`, told of the program, when the
    /// directories have been opened.
    pub(super) fn start(
        &self,
        step: &'static str,
        clone: Clone3<'_>,
        directories: &[BorrowedFd<'_>],
        descriptors: &[BorrowedFd<'_>],
        prepare: impl FnOnce(&Socket) -> Result<()>,
        settle: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Worker> {
        let gates = gate::Ends::make("criu")?;
        let child = spawn(clone, || {
            // Its place is wanted by what the program is given.
            let given = 1 + directories.len() + descriptors.len();
            let Ok(gate) = process::out_of_the_way(gates.inner_only().as_fd(), given) else { return 1 };
            let gate = Socket::from(gate);
            let Err(error) = prepare(&gate)
                .and_then(|()| {
                    directories.iter().map(|directory| reopen(*directory)).collect::<Result<Vec<_>>>()
                })
                .and_then(|opened| {
                    settle(&self.program)?;
                    self.become_worker(step, &gate, &opened, descriptors)
                });
            // If nobody listens any more, nobody is there to tell.
            let _ = gate::send(&gate, &gate::Message::Failed(error), &[]);
            1
        });
        let child = Unfinished::new(child.or_fail(step, "clone3")?);
        let (outer, inner) = gates.both();
        drop(inner);
        Ok(Worker { program: self.program.clone(), gate: outer, child })
    }

    /// Returns only errors.
    fn become_worker(
        &self,
        step: &'static str,
        gate: &Socket,
        directories: &[OwnedFd],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Infallible> {
        // criu looks up the descriptors of directories among those of whoever made the socket, as SO_PEERCRED of unix(7) tells
        // it: that must be itself.
        let (ours, its) = Socket::pair().or_fail(step, "criu")?;
        gate::send(gate, &gate::Message::Ready, &[ours.as_fd()])?;
        drop(ours);
        let directories = directories.iter().map(AsFd::as_fd);
        let all: Vec<_> =
            [its.as_fd()].into_iter().chain(directories).chain(descriptors.iter().copied()).collect();
        let become_it = || -> std::io::Result<_> {
            let path = CString::new(self.program.as_os_str().as_bytes())?;
            let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
            process::close_on_exec_from(3)?;
            process::pass_on(&all)?;
            for place in [Stdio::Input, Stdio::Output, Stdio::Error] {
                process::replace_stdio(&null, place)?;
            }
            // With its helpers, which are ended with it.
            rustix::process::setpgid(None, None)?;
            rustix::process::chdir("/")?;
            process::set_umask(Mode::from(0o077));
            reset_dispositions()?;
            set_mask(SignalSet::EMPTY)?;
            let words = [c"criu", c"swrk", c"3"].map(ToOwned::to_owned);
            process::exec(&path, &words, &[PATH.to_owned()])
        };
        become_it().or_fail("start criu", self.program.display())
    }
}

/// A directory as it is found in the caller's own mount namespace, where criu mounts something in it.
fn reopen(directory: BorrowedFd<'_>) -> Result<OwnedFd> {
    let step = "open the directory of a checkpoint again";
    let identity = |file: BorrowedFd<'_>| {
        let stat = rustix::fs::fstat(file).or_fail(step, "criu")?;
        Ok::<_, Error>((stat.st_dev, stat.st_ino))
    };
    let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
    let path = std::fs::read_link(&link).or_fail(step, &link)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(&path, flags, Mode::empty()).or_fail(step, path.display())?;
    if identity(opened.as_fd())? == identity(directory)? {
        return Ok(opened);
    }
    Err(Error::new(ErrorCode::HostUnfit, step).on(path.display()).because("another one has taken its place"))
}

fn locate(named: Option<&Path>) -> Result<PathBuf> {
    let missing = |cause: String| {
        Error::new(ErrorCode::HostUnfit, "find criu")
            .because(cause)
            .hint("install criu (criu.org), or name it with `--criu PATH`")
    };
    match named {
        Some(path) if path.is_absolute() && path.is_file() => Ok(path.to_owned()),
        Some(path) => Err(missing(format!("{} is not the absolute path of a file", path.display()))),
        None => {
            let mut candidates = DIRECTORIES.iter().map(|directory| Path::new(directory).join("criu"));
            candidates.find(|path| path.is_file()).ok_or_else(|| {
                missing(format!(
                    "containers are frozen into files by criu, and there is none in {}",
                    DIRECTORIES.join(", ")
                ))
            })
        }
    }
}

/// It gets all rights that we have, so nobody else may exchange it: not in its directory, nor in one above, nor by a link.
fn check(program: &Path) -> Result<()> {
    let resolved = std::fs::canonicalize(program).or_fail("look at criu", program.display())?;
    if std::fs::metadata(&resolved).or_fail("look at criu", program.display())?.mode() & 0o111 == 0 {
        return Err(distrusted(
            &resolved,
            "it cannot be executed",
            "install criu, or name it with `--criu PATH`",
        ));
    }
    [program, &resolved].into_iter().flat_map(Path::ancestors).try_for_each(|path| {
        let metadata = std::fs::symlink_metadata(path).or_fail("look at criu", path.display())?;
        if is_trusted(&metadata) {
            return Ok(());
        }
        let hint = "it must belong to root or to the caller, and be writable by its owner alone";
        Err(distrusted(path, "others can write to it", hint))
    })
}

/// In a directory with the sticky bit nobody renames what is another's (inode(7)); a link has no mode (symlink(7)).
fn is_trusted(metadata: &std::fs::Metadata) -> bool {
    let owner = metadata.uid();
    let sticky = metadata.is_dir() && metadata.mode() & 0o1000 != 0;
    let closed = metadata.mode() & 0o022 == 0 || sticky || metadata.is_symlink();
    closed && (owner == 0 || owner == rustix::process::geteuid().as_raw())
}

fn distrusted(path: &Path, cause: &'static str, hint: &'static str) -> Error {
    Error::new(ErrorCode::HostUnfit, "trust criu").on(path.display()).because(cause).hint(hint)
}

/// A criu that is being started. Dropped before it has ended, it is killed.
pub(super) struct Worker {
    program: PathBuf,
    /// Closed by the exec.
    gate: Socket,
    child: Unfinished,
}

/// One that waits for its request.
pub(super) struct Ready {
    program: PathBuf,
    socket: Socket,
    child: Unfinished,
}

impl Worker {
    pub(super) fn pid(&self) -> Pid {
        self.child.get().pid
    }

    /// The outer end of the gate.
    pub(super) fn gate(&self) -> &Socket {
        &self.gate
    }

    /// Waits until the program is executed, and asks for its version.
    ///
    /// # Errors
    /// What kept it from being executed; `host-unfit` for one that is too old.
    pub(super) fn ready(self, step: &'static str) -> Result<Ready> {
        let mut socket = None;
        while let Some((message, descriptors)) = gate::receive(self.gate.as_fd())? {
            match message {
                gate::Message::Ready => socket = descriptors.into_iter().next(),
                gate::Message::Failed(error) => return Err(error),
                _ => return Err(Error::new(ErrorCode::Protocol, step)),
            }
        }
        let socket = socket.ok_or_else(|| ended(step))?;
        let ready = Ready { program: self.program, socket: Socket::from(socket), child: self.child };
        ready.check_version()?;
        Ok(ready)
    }
}

impl Ready {
    /// criu takes another request after this one, where it is asked to (`keep_open`).
    fn check_version(&self) -> Result<()> {
        const KEEP_OPEN: u32 = 4;
        let step = "ask criu for its version";
        let request = Message::default().number(1, Verb::Version as u8).number(KEEP_OPEN, 1_u64);
        self.socket.send(request.as_bytes(), &[]).map_err(|_| ended(step))?;
        let (reply, _) = self.receive().ok_or_else(|| ended(step))?;
        let found = version(&reply).or_fail(step, self.program.display())?;
        if found >= OLDEST {
            return Ok(());
        }
        let ((major, minor), (oldest, and)) = (found, OLDEST);
        Err(Error::new(ErrorCode::HostUnfit, "use criu")
            .on(self.program.display())
            .because(format!("it is criu {major}.{minor}, and {oldest}.{and} is the oldest that will do"))
            .hint("install a later one, or name it with `--criu PATH`"))
    }

    pub(super) fn pid(&self) -> Pid {
        self.child.get().pid
    }

    /// Makes a request and returns the reply that ends it; `hear` is told of all that comes before. An error of `hear` makes
    /// criu undo what it has done.
    ///
    /// # Errors
    /// That of `hear`; `system-call` when criu fails.
    pub(super) fn converse(
        &self,
        step: &'static str,
        verb: Verb,
        options: &Message,
        mut hear: impl FnMut(Notice) -> Result<()>,
    ) -> Result<Vec<u8>> {
        let request = Message::default().number(1, verb as u8).message(2, options);
        self.socket.send(request.as_bytes(), &[]).map_err(|_| ended(step))?;
        let mut refused = None;
        loop {
            let Some((bytes, descriptors)) = self.receive() else {
                return Err(refused.unwrap_or_else(|| ended(step)));
            };
            let reply = Reply::read(&bytes).or_fail(step, "criu's answer")?;
            if reply.verb != Some(Verb::Notify as u8) {
                return match (refused, reply.failure()) {
                    (Some(error), _) => Err(error),
                    (None, None) => Ok(bytes),
                    (None, Some(cause)) => {
                        Err(Error::new(ErrorCode::SystemCall, step).because(format!("criu: {cause}")))
                    }
                };
            }
            let heard = match refused {
                None => hear(Notice { point: reply.point, pid: reply.pid, descriptors }),
                Some(_) => Ok(()),
            };
            let answer = Message::default()
                .number(1, Verb::Notify as u8)
                .number(3, u64::from(heard.is_ok() && refused.is_none()));
            refused = refused.or(heard.err());
            if self.socket.send(answer.as_bytes(), &[]).is_err() {
                return Err(refused.unwrap_or_else(|| ended(step)));
            }
        }
    }

    /// What it says next; `None` when it has ended. Helpers of one that was killed may wait for it for ever, with its socket.
    fn receive(&self) -> Option<(Vec<u8>, Vec<OwnedFd>)> {
        let wait = |limit: Option<&Timespec>| {
            let mut watched = [
                PollFd::new(&self.socket, PollFlags::IN),
                PollFd::from_borrowed_fd(self.child.get().pidfd.as_fd(), PollFlags::IN),
            ];
            let speaks = rustix::io::retry_on_intr(|| poll(&mut watched, limit));
            speaks.is_ok() && !watched[0].revents().is_empty()
        };
        // Its last word may have come between the looks at the one and at the other.
        let speaks = wait(None) || wait(Some(&Timespec::default()));
        if let Some(Ok(Received::Message(bytes, descriptors))) = speaks.then(|| self.socket.recv()) {
            return Some((bytes, descriptors));
        }
        // It has not been waited for, so its group is still its own.
        let _ = kill_process_group(self.child.get().pid, Signal::KILL);
        None
    }

    /// Waits for its end, after a request that worked.
    pub(super) fn end(self, step: &'static str) -> Result<()> {
        drop(self.socket);
        let child = self.child.finish();
        child.pidfd.wait().map(drop).or_fail(step, "criu")
    }
}

/// Major and minor number of a reply to [`Verb::Version`].
fn version(reply: &[u8]) -> std::io::Result<(u64, u64)> {
    let fields = Fields::read(reply)?;
    let version = fields.message(10)?;
    let number = |field| version.as_ref().and_then(|version| version.get(field)?.number());
    Ok((number(1).unwrap_or(0), number(2).unwrap_or(0)))
}

fn ended(step: &'static str) -> Error {
    Error::new(ErrorCode::SystemCall, step).because("criu ended without an answer")
}

/// `criu_resp`, as far as it concerns us.
struct Reply {
    verb: Option<u8>,
    succeeded: bool,
    errno: Option<i32>,
    message: Option<String>,
    point: String,
    pid: Option<Pid>,
}

impl Reply {
    fn read(bytes: &[u8]) -> std::io::Result<Self> {
        let fields = Fields::read(bytes)?;
        let notice = fields.message(5)?;
        let told = |field| notice.as_ref().and_then(|notice| notice.get(field));
        Ok(Self {
            verb: fields.get(1).and_then(|content| content.number()?.try_into().ok()),
            succeeded: fields.get(2).and_then(super::protobuf::Content::number) == Some(1),
            errno: fields.get(7).and_then(|content| content.number()?.try_into().ok()),
            message: fields.get(9).and_then(super::protobuf::Content::text),
            point: told(1).and_then(super::protobuf::Content::text).unwrap_or_default(),
            pid: told(2).and_then(|content| Pid::from_raw(content.number()?.try_into().ok()?)),
        })
    }

    fn failure(&self) -> Option<String> {
        if self.succeeded {
            return None;
        }
        let errno = self.errno.filter(|errno| *errno != 0);
        let errno = errno.map(|errno| explain(&std::io::Error::from_raw_os_error(errno)));
        let message = self.message.clone().filter(|message| !message.is_empty());
        Some(message.or(errno).unwrap_or_else(|| "it failed".to_owned()))
    }
}

/// The process that a reply to `restore` names.
pub(super) fn restored(reply: &[u8]) -> Option<Pid> {
    let fields = Fields::read(reply).ok()?;
    Pid::from_raw(fields.message(4).ok()??.get(1)?.number()?.try_into().ok()?)
}

/// Says what criu wrote into its log, where that says more than its answer.
pub(super) fn quote(error: Error, directory: BorrowedFd<'_>, log: &str) -> Error {
    if error.cause.as_deref().is_none_or(|cause| !cause.starts_with("criu")) {
        return error;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(directory, log, flags, Mode::empty());
    let mut bytes = Vec::new();
    let read = opened.ok().and_then(|file| File::from(file).read_to_end(&mut bytes).ok());
    let text = String::from_utf8_lossy(&bytes);
    let complaints = complaints(&text);
    match read {
        Some(_) if !complaints.is_empty() => {
            error.because(format!("criu: {}", complaints.join("; "))).hint(format!("its log is `{log}`"))
        }
        _ => error,
    }
}

/// What sums up, and what criu finds out about its host and goes on.
const NOISE: [&str; 4] =
    ["FAILED.", "RLIMIT_NOFILE for self", "tun: Unable to create tun", "Unable to detach from"];

/// The first line that tells of an error, which is nearest to its cause, and the last, which is nearest to what was asked for;
/// without the time and place in criu's source, and without what only sums up.
fn complaints(log: &str) -> Vec<&str> {
    let mut told = log
        .lines()
        .filter(|line| line.contains("Error ("))
        .filter_map(|line| Some(line.split_once("): ")?.1.trim()))
        .filter(|text| !NOISE.iter().any(|noise| text.contains(noise)));
    let first = told.next();
    let last = told.next_back().filter(|last| Some(*last) != first);
    first.into_iter().chain(last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_quoted_without_what_says_nothing() {
        let log = "(00.01) Error (criu/util.c:1533): rlimit: Can't setup RLIMIT_NOFILE for self: x\n\
                   (00.02) Warn  (criu/a.c:1): nothing\n\
                   (00.03) Error (criu/mount.c:753): mnt: 82:./proc/x doesn't have a proper root mount\n\
                   (00.04) Error (criu/cr-dump.c:2111): Dumping FAILED.\n";
        assert_eq!(complaints(log), ["mnt: 82:./proc/x doesn't have a proper root mount"]);
    }

    #[test]
    fn the_first_complaint_and_the_last_are_told() {
        let log = "(00.01) Error (criu/util.c:903): Can't connect to server: Connection refused\n\
                   (00.02) Error (criu/page-xfer.c:1): page-xfer: no server\n\
                   (00.03) Error (criu/cr-dump.c:1): Can't open pages\n\
                   (00.04) Error (compel/src/lib/infect.c:1): Unable to detach from 7: No such process\n";
        assert_eq!(complaints(log), ["Can't connect to server: Connection refused", "Can't open pages"]);
    }

    #[test]
    fn a_program_below_a_directory_that_anybody_can_write_to_is_refused() {
        let open = std::env::temp_dir().join(format!("nucleus-criu-open-{}", std::process::id()));
        std::fs::create_dir(&open).unwrap();
        let program = open.join("criu");
        std::fs::write(&program, "").unwrap();
        rustix::fs::chmod(&program, Mode::from(0o755)).unwrap();
        check(&program).unwrap();
        rustix::fs::chmod(&program, Mode::from(0o644)).unwrap();
        assert!(check(&program).unwrap_err().to_string().contains("cannot be executed"));
        rustix::fs::chmod(&program, Mode::from(0o755)).unwrap();
        rustix::fs::chmod(&open, Mode::from(0o777)).unwrap();
        let error = check(&program).unwrap_err();
        std::fs::remove_dir_all(&open).unwrap();
        assert_eq!(error.subject, Some(open.display().to_string()));
    }

    #[test]
    fn a_program_that_is_not_there_or_anybodys_is_refused() {
        let error = Criu::find(Some(Path::new("/nowhere/criu"))).unwrap_err();
        assert_eq!(error.code, ErrorCode::HostUnfit);
        assert!(error.hint.unwrap().contains("--criu"));
        let anybodys = std::env::temp_dir().join(format!("nucleus-criu-{}", std::process::id()));
        std::fs::write(&anybodys, "").unwrap();
        rustix::fs::chmod(&anybodys, Mode::from(0o777)).unwrap();
        let error = Criu::find(Some(&anybodys)).unwrap_err();
        std::fs::remove_file(&anybodys).unwrap();
        assert!(error.to_string().contains("others can write to it"), "{error}");
    }
}
