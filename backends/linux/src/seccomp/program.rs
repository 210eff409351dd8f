//! What comes out: instructions, and the data that goes with them.

use libc::{c_ulong, sock_filter};

use super::{Agent, FLAGS};

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
    /// Who answers `SCMP_ACT_NOTIFY`.
    pub agent: Option<Agent>,
    /// Names that no Linux known to this release has. The runtime specification has them ignored: they warn.
    pub unknown_names: Vec<String>,
}

impl Program {
    /// The instructions, in the form that the loader takes.
    pub fn filter(&self) -> &[sock_filter] {
        &self.instructions
    }

    /// Those of its flags that the running kernel does not know.
    pub(crate) fn unknown_flags(&self) -> Vec<&'static str> {
        let asked = FLAGS.into_iter().filter(|(.., bit)| self.flags & bit != 0);
        asked.filter(|(.., bit)| !nucleus_sys::seccomp::knows_flag(*bit)).map(|(_, name, _)| name).collect()
    }
}
