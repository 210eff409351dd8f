//! What comes out: instructions, and the data that goes with them.

use libc::{c_ulong, sock_filter};

/// Instructions that the kernel accepts at most (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// A compiled profile, ready for `seccomp(SECCOMP_SET_MODE_FILTER)`.
#[derive(Debug, Clone)]
pub struct Program {
    /// Classic BPF over `struct seccomp_data`.
    pub instructions: Vec<sock_filter>,
    /// `SECCOMP_FILTER_FLAG_*` as the profile asks. With `SCMP_ACT_NOTIFY` in it,
    /// `SECCOMP_FILTER_FLAG_NEW_LISTENER` is among them: loading then returns the listener's descriptor.
    pub flags: c_ulong,
    /// Names that no Linux known to this release has. The runtime specification has them ignored: they warn.
    pub unknown_names: Vec<String>,
}

impl Program {
    /// The instructions, in the form that the loader takes.
    pub fn filter(&self) -> &[sock_filter] {
        &self.instructions
    }

    /// Whether loading returns a descriptor for `SCMP_ACT_NOTIFY`.
    pub fn wants_listener(&self) -> bool {
        self.flags & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER != 0
    }
}
