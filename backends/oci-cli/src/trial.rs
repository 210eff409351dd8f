//! A trial: a runtime runs a container of its own choice, out of everybody's sight, to see whether it can here at all.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use nucleus_abi::Result;
use nucleus_linux::fault::{OrFail, explain};
use nucleus_sys::clone::{self, Child, Clone3};
use nucleus_sys::mount::{self, FsContext, MountAttrFlags, Propagation};
use nucleus_sys::namespace::NamespaceSet;
use nucleus_sys::process;
use nucleus_sys::signal::Signal;
use nucleus_sys::{Mode, OFlags};

use crate::call::{
    Command, Handles, NOT_EXECUTED, Outcome, by_descriptor, memory_file, null, text_of, within,
};
use crate::staging;

/// Where the trial's bundle is, for the runtime alone.
const BUNDLE: &str = "/tmp";

/// Runs `PROGRAM ARGUMENTS run ID` on a bundle with this `config.json`, and says why it failed if it did. It happens in a mount,
/// a pid and a network namespace of its own, on a file system in memory: whatever it leaves goes with its first process, also when nucleus is
/// killed.
///
/// # Errors
/// What the host refuses to nucleus itself.
pub fn trial(
    program: &Path,
    arguments: &[String],
    config: &str,
    patience: Duration,
) -> Result<Option<String>> {
    let (null, stdout, stderr) = (null()?, memory_file("stdout", 0)?, memory_file("stderr", 0)?);
    let log = memory_file("log", 0)?;
    let mut words: Vec<OsString> = arguments.iter().map(Into::into).collect();
    words.extend([
        "--root".into(),
        Path::new(BUNDLE).join("state").into(),
        "--log".into(),
        by_descriptor(log.as_fd()).into(),
        "--log-format".into(),
        "json".into(),
        "run".into(),
        "--bundle".into(),
        BUNDLE.into(),
        "trial".into(),
    ]);
    let command = Command::new(program, words)?;
    let standard = [null.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let handles = Handles { standard, extra: Vec::new(), kept: vec![log.as_fd()] };
    let child = spawn(&command, &handles, config)?;
    let ended = within(&child.pidfd, child.pid, patience)?;
    let outcome = Outcome { ended, stdout: Vec::new(), stderr: text_of(stderr)?, log: text_of(log)? };
    Ok(outcome.failure(patience.as_secs()))
}

fn spawn(command: &Command, handles: &Handles<'_>, config: &str) -> Result<Child> {
    // Old releases of runsc listen on a socket without a file, whose name is the container's: it belongs to the network
    // namespace, and two trials at the same time would meet there (unix(7), "abstract").
    let namespaces = NamespaceSet::MOUNT | NamespaceSet::PID | NamespaceSet::NETWORK;
    let child = clone::spawn(Clone3 { namespaces, ..Clone3::default() }, || {
        let ready = process::set_parent_death_signal(Signal::KILL).and_then(|()| prepare(config));
        let error = ready.err().unwrap_or_else(|| command.execute(handles));
        let text = format!("the trial cannot begin: {}\n", explain(&error));
        let _ = rustix::io::write(handles.standard[2], text.as_bytes());
        NOT_EXECUTED
    });
    child.or_fail("start a process", command.program())
}

/// A procfs of its own pid namespace, and the bundle.
fn prepare(config: &str) -> io::Result<()> {
    mount::set_root_propagation(Propagation::Private)?;
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let proc = FsContext::open("proc")?.mount(flags)?;
    let target = rustix::fs::open("/proc", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    proc.attach(target.as_fd())?;
    staging::empty(Path::new(BUNDLE))?;
    fs::write(Path::new(BUNDLE).join("config.json"), config)
}
