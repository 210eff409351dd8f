//! Starting the program: it waits until the ledger knows of it, and it tells when it is ready.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nucleus_abi::{Process, Result};
use nucleus_sys::clone::{self, Clone3};
use rustix::io::{FdFlags, fcntl_setfd};

use super::program::Call;
use crate::lifecycle::process_start_time;
use crate::network::fault::OrFail;

const STEP: &str = "start the program that passes packets on";

/// A program that has not been executed yet.
pub(super) struct Waiting {
    pub(super) process: Process,
    gate: io::PipeWriter,
    ready: io::PipeReader,
    log: PathBuf,
}

/// Makes its process. When we die before it is let go, it ends by itself.
pub(super) fn spawn(call: &Call, namespace: BorrowedFd<'_>, container: &Path) -> Result<Waiting> {
    let subject = call.program.display();
    let log = container.join("network.log");
    let errors = File::create(&log).or_fail(STEP, log.display())?;
    let (waits, gate) = io::pipe().or_fail(STEP, &subject)?;
    let (ready, tells) = io::pipe().or_fail(STEP, &subject)?;
    // Its own copy of the gate's other end would keep the child waiting for ever.
    let gate = Cell::new(Some(gate));
    let child = clone::spawn(Clone3::default(), || {
        drop(gate.take());
        run(call, namespace, (&waits, &tells, &errors))
    });
    let child = child.or_fail(STEP, &subject)?;
    let gate = gate.into_inner().ok_or(io::ErrorKind::NotFound.into()).or_fail(STEP, &subject)?;
    let pid = child.pid.as_raw_nonzero().get().unsigned_abs();
    let start_time = process_start_time(pid).or_fail(STEP, &subject)?;
    Ok(Waiting { process: Process { pid, start_time }, gate, ready, log })
}

/// The child's side.
fn run(
    call: &Call,
    namespace: BorrowedFd<'_>,
    (waits, tells, errors): (&io::PipeReader, &io::PipeWriter, &File),
) -> i32 {
    let become_it = || -> io::Result<io::Error> {
        let mut waits = waits;
        if waits.read(&mut [0])? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // What a terminal sends to the workload is not meant for it.
        rustix::process::setsid()?;
        for kept in [namespace, tells.as_fd()] {
            fcntl_setfd(kept, FdFlags::empty())?;
        }
        Ok(Command::new(&call.program)
            .args(call.arguments(namespace.as_raw_fd(), tells.as_raw_fd()))
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(errors.try_clone()?)
            .stderr(errors.try_clone()?)
            .exec())
    };
    if let Ok(error) = become_it() {
        let _ = writeln!(&mut &*errors, "it cannot be executed: {error}");
    }
    127
}

impl Waiting {
    /// Executes it, and waits until it is ready: it says so by whatever it writes, and its end closes the pipe.
    ///
    /// # Errors
    /// What it said before it ended.
    pub(super) fn let_go(&mut self) -> std::result::Result<(), String> {
        let heard = self.gate.write_all(b"g").and_then(|()| self.ready.read(&mut [0; 64]));
        match heard {
            Ok(1..) => Ok(()),
            Ok(0) => Err(said(&self.log)),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The last lines of its log, without those about a system logger that is not there.
fn said(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains("syslog")).collect();
    let last = lines[lines.len().saturating_sub(3)..].join("; ");
    if last.is_empty() { "it ended without a word".to_owned() } else { last }
}
