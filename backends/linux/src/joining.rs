//! Joining namespaces that exist: which the container's process joins itself, and which must be its parent's for the
//! moment of the clone.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use nucleus_abi::Result;
use nucleus_sys::namespace::{self, Namespace, NamespaceSet};
use nucleus_sys::procfs::{ProcBase, ProcFs};
use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};

use crate::config::Namespaces;
use crate::fault::OrFail;

/// A namespace to join.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) kind: Namespace,
    pub(crate) file: OwnedFd,
    pub(crate) path: PathBuf,
}

impl Target {
    pub(crate) fn join(&self) -> Result<()> {
        let step = format!("join the {} namespace", self.kind.oci_name());
        let joined = namespace::join(self.file.as_fd(), self.kind);
        let errno = joined.as_ref().err().and_then(std::io::Error::raw_os_error);
        joined.or_fail(step, self.path.display()).map_err(|error| match errno {
            // setns(2): CAP_SYS_ADMIN is asked for in the user namespace that owns the target.
            Some(libc::EPERM) => {
                error.because("nucleus lacks CAP_SYS_ADMIN in the user namespace that owns it (EPERM)").hint(
                    "run nucleus as root, and join the user namespace that owns it too, if that is another",
                )
            }
            _ => error,
        })
    }
}

/// Whether the parent must be in the namespace when it clones. Pid and time namespaces concern only children
/// (setns(2)); a process in another user namespace has no rights over namespaces of the host; and there is no way back
/// from a user namespace, which is therefore left to [`crate::intermediate`].
pub(crate) fn is_for_parent(kind: Namespace, namespaces: &Namespaces) -> bool {
    match kind {
        Namespace::Pid | Namespace::Time | Namespace::User => true,
        Namespace::Mount => false,
        _ => namespaces.foreign_user(),
    }
}

/// The caller's namespaces as they will be for its next child. Dropping it goes back to the caller's own.
#[derive(Debug)]
pub(crate) struct ForTheChild {
    own: Vec<(Namespace, OwnedFd)>,
    dumpable: Option<DumpableBehavior>,
}

impl ForTheChild {
    fn unchanged() -> Self {
        Self { own: Vec::new(), dumpable: None }
    }

    /// Only hidden: see [`Self::hide`].
    pub(crate) fn hidden() -> Result<Self> {
        let mut hidden = Self::unchanged();
        hidden.hide()?;
        Ok(hidden)
    }

    /// Enters a pid namespace, which concerns only children, in the way that `join` does.
    pub(crate) fn pid_namespace(&mut self, proc: &ProcFs, join: impl FnOnce() -> Result<()>) -> Result<()> {
        self.remember(proc, Namespace::Pid)?;
        join()
    }

    pub(crate) fn enter(targets: &[Target], namespaces: &Namespaces) -> Result<Self> {
        let mut entered = Self::unchanged();
        let has_offsets = !namespaces.offsets.is_empty();
        let can_return =
            |target: &&Target| target.kind != Namespace::User && is_for_parent(target.kind, namespaces);
        let mut joined = targets.iter().filter(can_return).peekable();
        if joined.peek().is_none() && !has_offsets {
            return Ok(entered);
        }
        let proc = ProcFs::open().or_fail("open the host's procfs", "/proc")?;
        for target in joined {
            if target.kind == Namespace::Pid {
                entered.hide()?;
            }
            entered.remember(&proc, target.kind)?;
            target.join()?;
        }
        if has_offsets {
            entered.remember(&proc, Namespace::Time)?;
            set_offsets(&proc, namespaces)?;
        }
        Ok(entered)
    }

    /// Processes of a foreign pid namespace see our child from its first instant, when it still holds all of our memory
    /// and descriptors: it must be born non-dumpable (CVE-2016-9962).
    fn hide(&mut self) -> Result<()> {
        let before = dumpable_behavior().or_fail("read the dumpable flag", "nucleus")?;
        set_dumpable_behavior(DumpableBehavior::NotDumpable).or_fail("become non-dumpable", "nucleus")?;
        self.dumpable = Some(before);
        Ok(())
    }

    fn remember(&mut self, proc: &ProcFs, kind: Namespace) -> Result<()> {
        let own = namespace::open(proc, ProcBase::Itself, kind)
            .or_fail("open our own namespace", kind.proc_name())?;
        self.own.push((kind, own));
        Ok(())
    }
}

impl Drop for ForTheChild {
    fn drop(&mut self) {
        for (kind, own) in &self.own {
            // Going on in the container's namespaces would put our next child there: better not to go on at all.
            namespace::join(own.as_fd(), *kind).expect("a process can return to its own namespace");
        }
        if let Some(before) = self.dumpable {
            let _ = set_dumpable_behavior(before);
        }
    }
}

/// Offsets can be set only while nobody is in the namespace (`time_namespaces(7)`), so clone3 can't make it.
fn set_offsets(proc: &ProcFs, namespaces: &Namespaces) -> Result<()> {
    namespace::unshare(NamespaceSet::TIME).or_fail("make a time namespace", "the container's")?;
    for (clock, offset) in &namespaces.offsets {
        let line = format!("{clock} {} {}\n", offset.seconds, offset.nanoseconds);
        proc.write(ProcBase::Itself, "timens_offsets", line.as_bytes())
            .or_fail("set the offset of a clock", line.trim_end())?;
    }
    Ok(())
}
