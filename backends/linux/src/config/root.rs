//! `root` and `linux.rootfsPropagation`.

use std::path::PathBuf;

use nucleus_abi::Result;
use nucleus_sys::mount::{Propagation, Reach};

use super::{Namespaces, document, host_path};
use crate::fault::invalid;

/// The root file system of the container.
#[derive(Debug)]
pub struct Root {
    /// A directory of the host, relative to the bundle; unused when the root comes as a descriptor.
    pub path: PathBuf,
    /// Whether the workload may write to it.
    pub access: Access,
    /// Propagation of the root, and whether it is that of all its mounts too.
    pub propagation: (Propagation, Reach),
}

/// Whether something may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only read.
    ReadOnly,
    /// Read and written.
    ReadWrite,
}

/// `None` if the mount namespace is joined, which brings its own root.
pub(super) fn read(spec: &document::Spec<'_>, namespaces: &Namespaces) -> Result<Option<Root>> {
    if !namespaces.own_mounts() {
        return Ok(None);
    }
    let root = spec.root.as_ref().ok_or_else(|| invalid("root", "missing"))?;
    let propagation = match spec.linux.rootfs_propagation.as_deref() {
        // Nothing of what the host mounts later is wanted here, where nobody says so.
        None | Some("" | "rprivate") => (Propagation::Private, Reach::Tree),
        Some("private") => (Propagation::Private, Reach::Mount),
        Some("slave") => (Propagation::Slave, Reach::Mount),
        Some("rslave") => (Propagation::Slave, Reach::Tree),
        Some("shared") => (Propagation::Shared, Reach::Mount),
        Some("rshared") => (Propagation::Shared, Reach::Tree),
        Some("unbindable") => (Propagation::Unbindable, Reach::Mount),
        Some("runbindable") => (Propagation::Unbindable, Reach::Tree),
        Some(other) => {
            let cause = format!(
                "`{other}` is none of shared, slave, private and unbindable, with or without an `r` before it"
            );
            return Err(invalid("linux.rootfsPropagation", cause));
        }
    };
    let access = if root.readonly { Access::ReadOnly } else { Access::ReadWrite };
    Ok(Some(Root { path: host_path("root.path", &root.path)?, access, propagation }))
}
