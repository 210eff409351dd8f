//! From the kernel's errors to ours: what failed, on what, why, and what to do.

use std::borrow::Cow;
use std::fmt::Display;
use std::io;

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::calls::{self, Call};

/// Turns a result of the floor into one that says which step failed on what.
pub trait OrFail<T> {
    /// What fails is [`system`]'s error on `subject`; `step` is a verb phrase that can follow "cannot".
    fn or_fail(self, step: impl Into<Cow<'static, str>>, subject: impl Display) -> Result<T>;
}

impl<T> OrFail<T> for io::Result<T> {
    fn or_fail(self, step: impl Into<Cow<'static, str>>, subject: impl Display) -> Result<T> {
        self.map_err(|error| system(step, &error).on(subject))
    }
}

impl<T> OrFail<T> for rustix::io::Result<T> {
    fn or_fail(self, step: impl Into<Cow<'static, str>>, subject: impl Display) -> Result<T> {
        self.map_err(|errno| system(step, &errno.into()).on(subject))
    }
}

/// The error of a system call.
pub fn system(step: impl Into<Cow<'static, str>>, error: &io::Error) -> Error {
    if let Some(call) = calls::behind(error) {
        return lacks(step, call);
    }
    let fault = Error::new(ErrorCode::SystemCall, step).because(explain(error));
    match hint(error.raw_os_error()) {
        Some(text) => fault.hint(text),
        None => fault,
    }
}

/// What cannot be done on this host, for want of a system call that nothing stands in for.
pub(crate) fn lacks(step: impl Into<Cow<'static, str>>, call: Call) -> Error {
    Error::new(ErrorCode::HostUnfit, step)
        .because(call)
        .hint("a kernel of at least 5.12 is needed, outside of a sandbox that hides its calls")
}

/// A value of `config.json` that makes no sense; `field` is its path of keys.
pub fn invalid(field: impl Display, cause: impl Display) -> Error {
    Error::new(ErrorCode::ConfigInvalid, "use the container's configuration")
        .on(format!("config.json: {field}"))
        .because(cause)
}

/// A value of `config.json` that makes sense, but that this backend does not have.
pub fn unsupported(field: impl Display, cause: impl Display) -> Error {
    Error::new(ErrorCode::NotSupported, "enforce the container's configuration")
        .on(format!("config.json: {field}"))
        .because(cause)
        .hint("remove the field, or choose a backend that has it")
}

/// The kernel's text with the error's name in place of its number: `Permission denied (EACCES)`.
pub fn explain(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error().and_then(name) {
        Some(name) => format!("{} ({name})", text.split(" (os error").next().unwrap_or(&text)),
        None => text,
    }
}

fn hint(errno: Option<i32>) -> Option<&'static str> {
    match errno? {
        libc::EPERM => {
            Some("run nucleus as root with CAP_SYS_ADMIN, outside of a sandbox that forbids the call")
        }
        libc::ENOSYS => Some("a kernel of at least 5.12 is needed, and no filter that hides its calls"),
        libc::ENOSPC => {
            Some("a limit of the kernel is reached: see /proc/sys/user and /proc/sys/fs/mount-max")
        }
        libc::EAGAIN => Some("the host has too many processes: see `pids.max` of nucleus's own cgroup"),
        _ => None,
    }
}

fn name(errno: i32) -> Option<&'static str> {
    const NAMES: &[(i32, &str)] = &[
        (libc::EPERM, "EPERM"),
        (libc::ENOENT, "ENOENT"),
        (libc::ESRCH, "ESRCH"),
        (libc::EIO, "EIO"),
        (libc::ENXIO, "ENXIO"),
        (libc::E2BIG, "E2BIG"),
        (libc::ENOEXEC, "ENOEXEC"),
        (libc::EBADF, "EBADF"),
        (libc::ECHILD, "ECHILD"),
        (libc::EAGAIN, "EAGAIN"),
        (libc::ENOMEM, "ENOMEM"),
        (libc::EACCES, "EACCES"),
        (libc::EBUSY, "EBUSY"),
        (libc::EEXIST, "EEXIST"),
        (libc::EXDEV, "EXDEV"),
        (libc::ENODEV, "ENODEV"),
        (libc::ENOTDIR, "ENOTDIR"),
        (libc::EISDIR, "EISDIR"),
        (libc::EINVAL, "EINVAL"),
        (libc::EMFILE, "EMFILE"),
        (libc::ENOSPC, "ENOSPC"),
        (libc::EROFS, "EROFS"),
        (libc::ERANGE, "ERANGE"),
        (libc::ENOSYS, "ENOSYS"),
        (libc::ELOOP, "ELOOP"),
        (libc::EOVERFLOW, "EOVERFLOW"),
        (libc::EOPNOTSUPP, "EOPNOTSUPP"),
    ];
    NAMES.iter().find(|(number, _)| *number == errno).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_step_subject_cause_and_way_out() {
        let refused: io::Result<()> = Err(io::Error::from_raw_os_error(libc::EPERM));
        let error = refused.or_fail("mount `proc`", "/proc").unwrap_err();
        assert_eq!(error.to_string(), "cannot mount `proc`: /proc: Operation not permitted (EPERM)");
        assert!(error.hint.unwrap().contains("CAP_SYS_ADMIN"));
    }

    #[test]
    fn an_error_without_a_name_keeps_the_kernels_text() {
        let error = io::Error::other("2 other threads are running: a, b");
        assert_eq!(explain(&error), "2 other threads are running: a, b");
    }
}
