//! The process of a plugin: what it is given, and its end.

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nucleus_abi::process::{SOCKET, serve, serve_failure};
use nucleus_abi::{Kind, Result};
use nucleus_sys::clone::{Child, Clone3, spawn};
use nucleus_sys::namespace::NamespaceSet;
use nucleus_sys::process::{self, Stdio};
use nucleus_sys::rlimit;
use nucleus_sys::signal::{Signal, SignalSet, reset_dispositions, set_mask};
use nucleus_sys::{Mode, OFlags};
use rustix::io::Errno;

use super::{Code, Terms};
use crate::plugins::load::load;

const PATH: &CStr = c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a hook may hold in memory of its own, in bytes (`RLIMIT_DATA`, getrlimit(2)).
const DATA: u64 = 512 << 20;
/// How many descriptors a hook may have open.
const DESCRIPTORS: u64 = 256;
/// How long a backend has for its end after nucleus has closed the socket.
const FAREWELL: Duration = Duration::from_secs(2);

/// A process that runs a plugin. It ends with this value.
#[derive(Debug)]
pub(super) struct PluginProcess {
    child: Child,
    kind: Kind,
}

/// The outer ends of what a new process was given.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) socket: OwnedFd,
    pub(super) error: OwnedFd,
}

impl PluginProcess {
    /// Starts it.
    pub(super) fn start(code: &Code, terms: &Terms) -> io::Result<(Self, Ends)> {
        let (outer, inner) = nucleus_sys::socket::stream_pair()?;
        let (error, said) = io::pipe()?;
        let (error, said) = (OwnedFd::from(error), OwnedFd::from(said));
        rustix::io::ioctl_fionbio(&error, true)?;
        let run = || match become_plugin(code, terms, &inner, &said) {
            Ok(()) => 0,
            Err(error) => {
                // Standard error is the pipe already, or nobody hears it.
                eprintln!("{error}");
                1
            }
        };
        let child = match spawn(clone(terms.kind), run) {
            // Without the right to make a pid namespace its process group must do.
            Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
                spawn(Clone3::default(), run)?
            }
            child => child?,
        };
        Ok((Self { child, kind: terms.kind }, Ends { socket: outer, error }))
    }

    /// How it ended, in words; `None` while it runs.
    pub(super) fn end(&self) -> Option<String> {
        use nucleus_sys::pidfd::Exit;
        // Its end of the socket is closed a moment before it can be waited for.
        let over = self.child.pidfd.wait_over(Some(Duration::from_millis(200))).ok()?;
        if !over {
            return None;
        }
        Some(match self.child.pidfd.try_wait().ok()?? {
            Exit::Exited { code } => format!("it ended with status {code}"),
            Exit::Signalled { signal, .. } => {
                let name =
                    Signal::from_number(signal).map_or_else(|| signal.to_string(), |it| it.to_string());
                format!("{name} ended it")
            }
        })
    }
}

/// With the first process of a pid namespace the kernel kills all others (`pid_namespaces(7)`): a hook leaves nothing behind. A
/// backend starts what outlives it.
fn clone(kind: Kind) -> Clone3<'static> {
    match kind {
        Kind::Hook => Clone3 { namespaces: NamespaceSet::PID, ..Clone3::default() },
        Kind::Backend => Clone3::default(),
    }
}

impl Drop for PluginProcess {
    fn drop(&mut self) {
        let patience = match self.kind {
            Kind::Hook => Duration::ZERO,
            Kind::Backend => FAREWELL,
        };
        if !self.child.pidfd.wait_over(Some(patience)).unwrap_or(false) {
            let _ = self.child.pidfd.send_signal(Signal::KILL);
        }
        if self.kind == Kind::Hook {
            // Its group, where it could have no pid namespace. The number cannot be anybody else's before we have waited for it.
            let _ = rustix::process::kill_process_group(self.child.pid, rustix::process::Signal::KILL);
        }
        let _ = self.child.pidfd.wait();
    }
}

/// In the new process. Returns when a plugin that is no program has answered all questions.
fn become_plugin(code: &Code, terms: &Terms, socket: &OwnedFd, said: &OwnedFd) -> Result<()> {
    let failed = |error: io::Error| {
        nucleus_abi::Error::new(nucleus_abi::ErrorCode::SystemCall, "start the plugin's process")
            .because(error)
    };
    match code {
        Code::Program(program) => {
            let execute = || -> io::Result<Infallible> {
                settle(&[socket, &program.file().try_clone()?.into()], terms, said)?;
                // A script's interpreter opens it again, by this name.
                let path = CString::new(format!("/proc/self/fd/{}", SOCKET + 1))?;
                let name = CString::new(program.path().as_os_str().as_encoded_bytes())?;
                process::exec(&path, &[name], &[PATH.to_owned()])
            };
            execute().map(|_| ()).map_err(|error| failed(error).on(program.path().display()))
        }
        Code::Linked(surface) => {
            settle(&[socket], terms, said).map_err(failed)?;
            process::close_from(SOCKET + 1).map_err(failed)?;
            serve(surface, stream()?)
        }
        Code::Library(trusted) => {
            // It holds descriptors that are closed behind its back.
            let loaded = ManuallyDrop::new(load(trusted.again().map_err(failed)?));
            settle(&[socket], terms, said).map_err(failed)?;
            process::close_from(SOCKET + 1).map_err(failed)?;
            match &*loaded {
                Ok(client) => serve(client.transport(), stream()?),
                Err(error) => serve_failure(error.clone(), stream()?),
            }
        }
    }
}

fn stream() -> Result<UnixStream> {
    process::inherited(SOCKET).map(UnixStream::from).map_err(|error| {
        nucleus_abi::Error::new(nucleus_abi::ErrorCode::SystemCall, "find the plugin's socket").because(error)
    })
}

/// Nothing of nucleus but the given descriptors, at 3 and so on.
fn settle(given: &[&OwnedFd], terms: &Terms, said: &OwnedFd) -> io::Result<()> {
    process::set_parent_death_signal(Signal::KILL)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    process::replace_stdio(&null, Stdio::Input)?;
    process::replace_stdio(&null, Stdio::Output)?;
    process::replace_stdio(said, Stdio::Error)?;
    process::close_on_exec_from(3)?;
    let given: Vec<_> = given.iter().map(|one| one.as_fd()).collect();
    process::pass_on(&given)?;
    process::new_session()?;
    rustix::process::chdir("/")?;
    process::set_umask(Mode::from(0o077));
    reset_dispositions()?;
    set_mask(SignalSet::EMPTY)?;
    rlimit::set(None, rustix::process::Resource::Core, 0, 0)?;
    if terms.kind == Kind::Hook {
        process::set_no_new_privs()?;
        rlimit::set(None, rustix::process::Resource::Data, DATA, DATA)?;
        rlimit::set(None, rustix::process::Resource::Nofile, DESCRIPTORS, DESCRIPTORS)?;
    }
    Ok(())
}
