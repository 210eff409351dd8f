//! The context: a tree of the host that the workload may read.
//!
//! A copy is made by descriptor, below the container's own directory, where it is removed with the container. Nobody but root
//! reaches it there until it is mounted, read-only.

mod copy;
mod exclusions;
mod links;
mod owner;
mod pattern;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::{Mode, OFlags};

use self::copy::{Copier, MODE};
use self::exclusions::Exclusions;
use self::links::leading_out;
use self::owner::Ownership;
use self::survey::{Arrived, Offence, Verdict, survey};
use super::interruption;
use super::tree::{
    Attributes, Difference, Entry, Examiner, Progress, TreePath, Trouble, compare, examine, walk,
};
use crate::plan::{ContextMode, ContextPlan, Decided, UserNamespacePlan};

/// How many are named of those that are refused.
const NAMED: usize = 10;

/// For whom a copy is.
pub(super) struct Reader<'a> {
    /// The container's user namespace.
    pub(super) user: Option<&'a UserNamespacePlan>,
    /// The workload's user and group in the container.
    pub(super) ids: (u32, u32),
}

/// What is to be mounted for a context: the source itself, or a copy in `place`, which is made.
///
/// # Errors
/// `host-unfit` for what a context must not hold, for a source that changes, and for a copy that grows too large, naming the
/// files.
pub(super) fn provide(
    context: &Decided<ContextPlan>,
    source: OwnedFd,
    reader: &Reader<'_>,
    place: &Path,
) -> Result<OwnedFd> {
    let task = Task { context, reader };
    match context.value.mode {
        ContextMode::Bind => task.accept(source),
        ContextMode::Copy => task.copy(source.as_fd(), place),
    }
}

struct Task<'a> {
    context: &'a Decided<ContextPlan>,
    reader: &'a Reader<'a>,
}

impl Task<'_> {
    /// The source as it is. Nothing can be left out of it, so a list of what to leave out would be a lie.
    fn accept(&self, source: OwnedFd) -> Result<OwnedFd> {
        let list = exclusions::list(source.as_fd()).map_err(|error| self.bad_list(&error))?;
        if list.is_some() {
            let cause =
                format!("`mode: bind` shows all of it, and {} leaves some of it out", exclusions::LIST);
            return Err(self.failed(cause).hint("use `mode: copy`, or remove the file"));
        }
        let found =
            survey(source.as_fd(), &Exclusions::default()).map_err(|trouble| self.troubled(trouble))?;
        self.judge(found)?;
        Ok(source)
    }

    fn copy(&self, source: BorrowedFd<'_>, place: &Path) -> Result<OwnedFd> {
        let context = &self.context.value;
        let exclusions = Exclusions::of(source, &context.exclude).map_err(|error| self.bad_list(&error))?;
        let ownership = Ownership::new(context.owner, self.reader.user, self.reader.ids);
        let expected = context.verify.then(|| self.digests(source, &exclusions)).transpose()?;
        let copy = make(place).map_err(|error| self.failed(error))?;
        let copier = Copier {
            exclusions: &exclusions,
            ownership: &ownership,
            top: copy.as_fd(),
            limit: context.size,
            copied: AtomicU64::new(0),
            refused: AtomicBool::new(false),
        };
        let found = walk(source, &copier).map_err(|trouble| self.troubled(trouble))?;
        self.judge(found)?;
        if let Some(expected) = expected {
            let arrived = self.digests(copy.as_fd(), &Exclusions::default())?;
            self.prove(expected, arrived, &ownership)?;
        }
        Ok(copy)
    }

    fn digests(&self, tree: BorrowedFd<'_>, exclusions: &Exclusions) -> Result<Vec<Entry>> {
        let examiner = Examiner {
            wants: &|path, kind| exclusions.want(path, kind),
            is_kept: |_| false,
            progress: &Progress::default(),
        };
        examine(tree, &examiner).map_err(|trouble| self.troubled(trouble))
    }

    /// What arrived must be what was there before: the same names, with the same content.
    fn prove(&self, mut expected: Vec<Entry>, mut arrived: Vec<Entry>, ownership: &Ownership) -> Result<()> {
        for entry in &mut expected {
            (entry.uid, entry.gid) = ownership.of(entry.uid, entry.gid);
            entry.mode &= MODE;
        }
        for entry in expected.iter_mut().chain(&mut arrived) {
            entry.attributes = Attributes::new();
        }
        let differences = compare(&expected, &arrived);
        let named = differences.iter().map(|Difference { path, change }| (path, change.to_string()));
        self.refuse(named, "changed while they were copied", "nobody may write to it meanwhile; start again")
    }

    /// Refuses what a context must not hold, all of it at once.
    fn judge(&self, found: Vec<Verdict>) -> Result<()> {
        let mut tree = BTreeMap::<TreePath, Arrived>::new();
        let mut offences = BTreeMap::<TreePath, Offence>::new();
        for (path, verdict) in found {
            match verdict {
                Ok(arrived) => drop(tree.insert(path, arrived)),
                Err(offence) => drop(offences.insert(path, offence)),
            }
        }
        offences.extend(leading_out(&tree).into_iter().map(|path| (path.clone(), Offence::LinkOut)));
        let named = offences.iter().map(|(path, offence)| (path, offence.to_string()));
        let hint = "a context holds files, directories and links that stay inside; leave others out with `context.exclude`";
        self.refuse(named, "cannot be part of it", hint)
    }

    /// Refuses some files, the first of them by name.
    fn refuse<'p>(
        &self,
        mut files: impl ExactSizeIterator<Item = (&'p TreePath, String)>,
        why: &str,
        hint: &str,
    ) -> Result<()> {
        let count = files.len();
        if count == 0 {
            return Ok(());
        }
        let named = files.by_ref().take(NAMED);
        let named: Vec<_> =
            named.map(|(path, why)| Error::new(ErrorCode::HostUnfit, "take").on(path).because(why)).collect();
        let more = match files.len() {
            0 => String::new(),
            more => format!("; the first {NAMED} follow, {more} more do not"),
        };
        let what = if count == 1 { "name" } else { "names" };
        Err(self.failed(format!("{count} {what} {why}{more}")).hint(hint).and(named))
    }

    fn troubled(&self, Trouble { path, cause }: Trouble) -> Error {
        if cause.kind() == io::ErrorKind::FileTooLarge {
            let size = self.context.value.size;
            return self
                .failed(format!("with {path} it is larger than {size} bytes"))
                .hint("raise `context.size`, or leave more out with `context.exclude`");
        }
        Error { code: interruption::code(&cause), ..self.failed(format!("{path}: {cause}")) }
    }

    fn bad_list(&self, error: &io::Error) -> Error {
        self.failed(format!("{}: {error}", exclusions::LIST))
    }

    fn failed(&self, cause: impl std::fmt::Display) -> Error {
        let Decided { value, origin } = self.context;
        let step = match value.mode {
            ContextMode::Copy => "copy the context",
            ContextMode::Bind => "show the context",
        };
        Error::new(ErrorCode::HostUnfit, step)
            .on(format!("{} ({origin})", value.source.display()))
            .because(cause)
    }
}

/// Makes an empty directory and opens it.
fn make(place: &Path) -> io::Result<OwnedFd> {
    DirBuilder::new().mode(0o700).create(place)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(place, flags, Mode::empty())?)
}
