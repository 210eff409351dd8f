//! Trees that are compared or copied before the start.

use super::Resolver;
use crate::plan::decided::Decided;
use crate::plan::types::AttestationPlan;
use crate::profile::{Attestation, AttestationNamed, Rootfs};

impl Resolver<'_> {
    /// The root of a joined mount namespace is its owner's, and nobody's to open.
    pub(super) fn attestation(&mut self) -> Option<Decided<AttestationPlan>> {
        let Rootfs::Directory(directory) = &self.profile.rootfs else { return None };
        let plan = match &directory.attestation {
            Attestation::Named(AttestationNamed::Off) => return None,
            Attestation::Named(AttestationNamed::Required) => AttestationPlan::default(),
            Attestation::Required(required) => AttestationPlan {
                manifest: required.manifest.as_ref().map(|path| path.as_path().to_owned()),
                public_key: required.public_key.as_ref().map(|key| key.as_str().to_owned()),
            },
        };
        if self.profile.namespaces.mount.is_some() {
            let cause = "the mount namespace is joined, and its root is its owner's";
            self.mistake("/rootfs/attestation", cause, "remove it, or `namespaces.mount`");
        }
        Some(self.decided("/rootfs/attestation", plan))
    }
}
