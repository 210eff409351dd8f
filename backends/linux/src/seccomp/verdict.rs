//! What a filter returns for a call.

use nucleus_abi::{Error, ErrorCode, Result};

use crate::config::document::Action;

/// The kernel clamps larger values silently (`MAX_ERRNO`); we refuse them.
const MAX_ERRNO: u32 = 4095;

/// A filter's return value: `SECCOMP_RET_*` with its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Verdict(pub(super) u32);

impl Verdict {
    /// For an ABI that the profile does not open; libseccomp's "bad architecture" action.
    pub(super) const KILL_THREAD: Self = Self(libc::SECCOMP_RET_KILL_THREAD);
    /// "There is no such call", as a kernel without it answers.
    pub(super) const ENOSYS: Self = Self(libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs());

    /// The verdict of `action`. ERRNO and TRACE carry `data`, which is EPERM where the profile gives none; the others
    /// must not have it (runtime specification, `errnoRet`).
    pub(super) fn of(action: Action, data: Option<u32>) -> Result<Self> {
        if data.is_some() && !matches!(action, Action::Errno | Action::Trace) {
            return Err(Error::new(ErrorCode::ConfigInvalid, "compile the seccomp profile")
                .on("errnoRet")
                .because("only SCMP_ACT_ERRNO and SCMP_ACT_TRACE return a number")
                .hint("remove `errnoRet` beside the other actions"));
        }
        let data = data.unwrap_or(libc::EPERM.unsigned_abs());
        Ok(Self(match action {
            Action::Kill | Action::KillThread => libc::SECCOMP_RET_KILL_THREAD,
            Action::KillProcess => libc::SECCOMP_RET_KILL_PROCESS,
            Action::Trap => libc::SECCOMP_RET_TRAP,
            Action::Errno => libc::SECCOMP_RET_ERRNO | at_most(MAX_ERRNO, data)?,
            Action::Notify => libc::SECCOMP_RET_USER_NOTIF,
            Action::Trace => libc::SECCOMP_RET_TRACE | at_most(libc::SECCOMP_RET_DATA, data)?,
            Action::Log => libc::SECCOMP_RET_LOG,
            Action::Allow => libc::SECCOMP_RET_ALLOW,
        }))
    }

    /// Orders by strictness, strictest first: the kernel's own rule when several filters disagree
    /// (seccomp(2): the action as a *signed* number).
    pub(super) fn strictness(self) -> i32 {
        (self.0 & libc::SECCOMP_RET_ACTION_FULL).cast_signed()
    }

    /// Whether the call fails with an error number.
    pub(super) fn is_errno(self) -> bool {
        self.0 & libc::SECCOMP_RET_ACTION_FULL == libc::SECCOMP_RET_ERRNO
    }
}

fn at_most(limit: u32, data: u32) -> Result<u32> {
    if data <= limit {
        return Ok(data);
    }
    Err(Error::new(ErrorCode::ConfigInvalid, "compile the seccomp profile")
        .on("errnoRet")
        .because(format_args!("{data}: the kernel takes at most {limit}"))
        .hint("use an error number of errno(3)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strictness_is_the_kernels_order() {
        let order = [
            Action::KillProcess,
            Action::KillThread,
            Action::Trap,
            Action::Errno,
            Action::Notify,
            Action::Trace,
            Action::Log,
            Action::Allow,
        ];
        assert!(
            order.map(|action| Verdict::of(action, None).unwrap().strictness()).is_sorted_by(|a, b| a < b)
        );
    }

    #[test]
    fn an_error_number_that_the_kernel_would_clamp_is_refused() {
        assert!(Verdict::of(Action::Errno, Some(4095)).is_ok());
        let error = Verdict::of(Action::Errno, Some(4096)).unwrap_err();
        assert!(error.to_string().contains("4096"), "{error}");
        assert!(Verdict::of(Action::Trace, Some(0x1_0000)).is_err());
    }
}
