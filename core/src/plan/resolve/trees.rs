//! Trees that are compared or copied before the start.

use super::Resolver;
use super::files::execution;
use crate::plan::decided::Decided;
use crate::plan::policy::Policy;
use crate::plan::types::{Admitted, AttestationPlan, ContextPlan};
use crate::profile::values::ByteSize;
use crate::profile::{Attestation, AttestationNamed, Context, Rootfs};

/// How many bytes a copy may hold unless the profile says otherwise: its place is often memory.
const SIZE: u64 = 1 << 30;

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

    pub(super) fn context(&mut self, policy: &Policy) -> Option<Decided<ContextPlan>> {
        let context = self.profile.context.as_ref()?;
        let target = context.target.as_path();
        self.refuse_taken_place("/context", target);
        let admitted = self.admitted_context(policy, target);
        Some(self.decided("/context/source", context_plan(context, admitted)))
    }
}

fn context_plan(context: &Context, admitted: Decided<Admitted>) -> ContextPlan {
    ContextPlan {
        source: context.source.as_path().to_owned(),
        target: context.target.as_path().to_owned(),
        mode: context.mode,
        verify: context.verify,
        exclude: context.exclude.clone(),
        size: context.size.map_or(SIZE, ByteSize::bytes),
        owner: context.owner,
        execution: execution(context.exec),
        admitted,
    }
}
