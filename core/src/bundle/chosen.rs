//! Sources of the host, as they were opened when the plan was made: what the mount policy saw is what is mounted.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nucleus_abi::{Error, ErrorCode, Result};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::rootfs;
use crate::plan::{
    ContextPlan, Decided, Ground, Objection, Plan, Policy, Source, Sources, Submounts, Surroundings,
    VolumePlan, look,
};
use crate::profile::Origin;

/// A plan and what was opened for it.
pub(super) struct Chosen<'a> {
    pub(super) plan: &'a Plan,
    pub(super) sources: &'a Sources,
    /// Where nucleus keeps its containers.
    pub(super) state: &'a Path,
}

impl Chosen<'_> {
    /// The namespaces to join.
    pub(super) fn namespaces(&self) -> Result<BTreeMap<String, OwnedFd>> {
        let opened = self.sources.namespaces.iter();
        let copies = opened.map(|(kind, namespace)| Ok((kind.clone(), namespace.try_clone()?)));
        copies.collect::<io::Result<_>>().map_err(|error| {
            Error::new(ErrorCode::SystemCall, "hold the namespaces to join").on("namespaces").because(error)
        })
    }

    /// The source of a volume.
    ///
    /// # Errors
    /// `host-unfit` if it cannot be opened; `profile-refuses` if the policy does not allow it.
    pub(super) fn volume(&self, volume: &Decided<VolumePlan>) -> Result<OwnedFd> {
        let VolumePlan { source, target, submounts, .. } = &volume.value;
        let number = self.plan.admitted.iter().position(|admitted| admitted.value.target == *target);
        let unfit = || cannot_open(target, source, &volume.origin);
        let opened = self.opened(number, (source, *submounts), &volume.origin, &unfit)?;
        let stat = rustix::fs::fstat(&opened).map_err(|errno| unfit().because(errno))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::CharacterDevice | FileType::BlockDevice => Err(unfit()
                .because("it is a device, and volumes are `nodev`")
                .hint("name it under `devices`")),
            _ => Ok(opened),
        }
    }

    /// The directory of a context; its source stands behind those of the volumes.
    ///
    /// # Errors
    /// As for [`Chosen::volume`].
    pub(super) fn context(&self, context: &Decided<ContextPlan>) -> Result<OwnedFd> {
        let ContextPlan { source, target, .. } = &context.value;
        let unfit = || cannot_open(target, source, &context.origin);
        let number = Some(self.plan.admitted.len());
        let opened = self.opened(number, (source, Submounts::LeftOut), &context.origin, &unfit)?;
        let stat = rustix::fs::fstat(&opened).map_err(|errno| unfit().because(errno))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok(opened),
            _ => Err(unfit().because("it is no directory").hint("a single file is a volume")),
        }
    }

    fn opened(
        &self,
        number: Option<usize>,
        (source, submounts): (&Path, Submounts),
        origin: &Origin,
        unfit: &dyn Fn() -> Error,
    ) -> Result<OwnedFd> {
        match number.and_then(|number| self.sources.opened.get(&number)) {
            Some(opened) => opened.try_clone().map_err(|error| unfit().because(error)),
            None => self
                .judged(source, submounts, Policy::source, origin)?
                .map_err(|why| unfit().because(io::Error::from(why)).hint(remedy(why))),
        }
    }

    /// A directory that is to be the root, or a layer of it.
    ///
    /// # Errors
    /// As for [`Chosen::volume`].
    pub(super) fn root(&self, path: &Path) -> Result<OwnedFd> {
        let opened = match self.sources.opened_roots.get(path) {
            Some(opened) => opened.try_clone().map_err(|error| rootfs::cannot_open(path).because(error))?,
            None => self
                .judged(path, Submounts::Included, Policy::root, &self.plan.rootfs.origin)?
                .map_err(|why| rootfs::cannot_open(path).because(io::Error::from(why)).hint(remedy(why)))?,
        };
        rootfs::directory_of(opened, path)
    }

    /// Opens and judges what could not be opened when the plan was made; the inner error is why it still cannot.
    fn judged(
        &self,
        path: &Path,
        submounts: Submounts,
        judge: fn(&Policy, &crate::plan::Found) -> std::result::Result<Ground, Objection>,
        origin: &Origin,
    ) -> Result<std::result::Result<OwnedFd, Errno>> {
        let (source, opened) = look(path, submounts, &Surroundings::new(self.state));
        let opened = match (&source, opened) {
            (Source::Closed(why), _) => return Ok(Err(*why)),
            (_, None) => return Ok(Err(Errno::NOENT)),
            (_, Some(opened)) => opened,
        };
        match self.plan.mount_policy.known(&source, judge) {
            Ok(_) => Ok(Ok(opened)),
            Err(objection) => Err(Error::new(ErrorCode::ProfileRefuses, "mount a source")
                .on(format!("{} ({origin})", path.display()))
                .because(objection.with_line())
                .hint(objection.hint)),
        }
    }
}

/// What helps where a source cannot be opened.
fn remedy(why: Errno) -> String {
    match why {
        Errno::ACCESS | Errno::PERM => format!(
            "nucleus runs as user {} here: let it enter each directory on the way, or name another source",
            rustix::process::geteuid().as_raw()
        ),
        Errno::LOOP => "its links go in circles: correct them, or name what is meant".to_owned(),
        _ => "make it, or correct the profile".to_owned(),
    }
}

/// A source that cannot be opened, with the line that names it.
pub(super) fn cannot_open(target: &Path, source: &Path, origin: &Origin) -> Error {
    Error::new(ErrorCode::HostUnfit, format!("open the source of the mount at {}", target.display()))
        .on(format!("{} ({origin})", source.display()))
}
