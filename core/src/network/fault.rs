//! Failures of the kernel's, with what they mean for a network.

use std::fmt::Display;
use std::io;

use nucleus_abi::{Error, ErrorCode, Result};

/// Adds step and subject to what a system call reports.
pub(super) trait OrFail<T> {
    /// # Errors
    /// `system-call`; `host-unfit` where the kernel lacks what is needed.
    fn or_fail(self, step: &'static str, subject: impl Display) -> Result<T>;
}

impl<T> OrFail<T> for io::Result<T> {
    fn or_fail(self, step: &'static str, subject: impl Display) -> Result<T> {
        self.map_err(|error| {
            let known = error.raw_os_error().and_then(explain);
            let code = if known.is_some() { ErrorCode::HostUnfit } else { ErrorCode::SystemCall };
            let failed = Error::new(code, step).on(subject);
            match known {
                Some((cause, hint)) => failed.because(format!("{cause} ({error})")).hint(hint),
                None => failed.because(error),
            }
        })
    }
}

fn explain(errno: i32) -> Option<(&'static str, &'static str)> {
    let errno = rustix::io::Errno::from_raw_os_error(errno);
    match errno {
        rustix::io::Errno::PERM => Some((
            "nucleus lacks CAP_NET_ADMIN in the network namespace that it runs in",
            "run nucleus as root, or use `network: {mode: none}`",
        )),
        rustix::io::Errno::PROTONOSUPPORT | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::AFNOSUPPORT => {
            Some((
                "the kernel lacks bridges, veth devices or nf_tables (iptables alone is not enough)",
                "load the modules bridge, veth and nf_tables, or use another network mode",
            ))
        }
        _ => None,
    }
}
