//! Mounts that lie on other mounts of the host: their places must be there already where nobody may make them.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::OFlags;
use nucleus_sys::in_root::{InRootPath, Root};
use rustix::io::Errno;

use super::mounts::{Mount, MountOrigin};
use super::placing::origin;
use crate::plan::Plan;

/// Refuses a mount for which a read-only one has no place.
///
/// # Errors
/// `host-unfit`, naming both and their lines.
pub(super) fn refuse_without_place(
    plan: &Plan,
    mounts: &[Mount],
    sources: &BTreeMap<usize, OwnedFd>,
) -> Result<()> {
    for (index, mount) in mounts.iter().enumerate() {
        let Some((outer, source)) = around(index, mounts, sources) else { continue };
        let Ok(inner) = mount.destination.strip_prefix(&outer.destination) else { continue };
        let Ok(path) = InRootPath::new(inner) else { continue };
        let found = Root::new(source.as_fd()).open(&path, OFlags::PATH);
        if found.is_err_and(|error| error.raw_os_error() == Some(Errno::NOENT.raw_os_error())) {
            return Err(Error::new(ErrorCode::HostUnfit, "find the place for a mount")
                .on(format!("{} ({})", mount.destination.display(), origin(plan, mount)))
                .because(format!(
                    "what is mounted read-only at {} ({}) has no {}",
                    outer.destination.display(),
                    origin(plan, outer),
                    inner.display()
                ))
                .hint(hint(plan, outer, inner)));
        }
    }
    Ok(())
}

/// The innermost mount that another lies on, if it is a read-only one of the host's or the context, which always is.
fn around<'a>(
    index: usize,
    mounts: &'a [Mount],
    sources: &'a BTreeMap<usize, OwnedFd>,
) -> Option<(&'a Mount, &'a OwnedFd)> {
    let destination = &mounts[index].destination;
    let earlier = mounts[..index].iter().enumerate();
    let (outer, mount) = earlier
        .filter(|(_, outer)| is_below(destination, &outer.destination))
        .max_by_key(|(_, outer)| outer.destination.as_os_str().len())?;
    let read_only = mount.options.iter().any(|option| matches!(&**option, "ro" | "rro"));
    let of_host = matches!(mount.origin, MountOrigin::Host | MountOrigin::Volume(_) | MountOrigin::Context);
    (of_host && read_only).then_some((mount, sources.get(&outer)?))
}

/// Compares as text: the plan's paths are normal, and every start compares all of them.
fn is_below(inner: &Path, outer: &Path) -> bool {
    let rest = inner.as_os_str().as_bytes().strip_prefix(outer.as_os_str().as_bytes());
    rest.is_some_and(|rest| rest.starts_with(b"/"))
}

fn hint(plan: &Plan, outer: &Mount, inner: &Path) -> String {
    match plan.context.as_ref().filter(|_| outer.origin == MountOrigin::Context) {
        Some(context) => format!(
            "make it on the host, as {}, where no line of `context.exclude` leaves it out, or mount somewhere else",
            context.value.source.join(inner).display()
        ),
        None => {
            format!("make it on the host, as {}, or mount somewhere else", outer.source.join(inner).display())
        }
    }
}
