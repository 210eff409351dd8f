//! A place in the cgroup hierarchies for one container alone: a group is removed with all that is below it, so the deletion of one
//! container would end every other in its group or below it.
//!
//! Containers of one state root are compared; those of another are the business of whoever chooses their places. An operator's
//! container needs no comparison: its place is random, and no engine gets the group above it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nucleus_abi::{ContainerId, Effect, Error, ErrorCode, Ledger, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::retry_on_intr;

use super::cgroup_path;
use super::container::effects_at;
use super::state_root::StateRoot;
use super::undo::is_of_another_boot;

/// Notes in the ledger of `id` that its groups are at `path`, if they and those of another container are neither the same nor
/// one below the other. Also the place of a stopped container is taken: its deletion empties it.
///
/// # Errors
/// `config-invalid`, naming the other container; `system-call`.
pub(super) fn occupy(root: &StateRoot, id: &ContainerId, ledger: &mut Ledger, path: &Path) -> Result<()> {
    let fail = |step: &'static str, error: io::Error| {
        Error::new(ErrorCode::SystemCall, step).on(path.display()).because(error)
    };
    // Two that compare at the same time would not see each other. It ends with the note, before anything is made.
    let _alone =
        alone(root).map_err(|error| fail("wait for other containers to choose their cgroups", error))?;
    for other in root.ids()?.iter().filter(|other| *other != id) {
        // A ledger that cannot be read cannot remove anything either.
        let effects = effects_at(&root.container(other)).unwrap_or_default();
        if let Some(taken) = taken(&effects, other).into_iter().find(|taken| meet(taken, path)) {
            return Err(refused(path, other, &taken));
        }
    }
    let note = Effect::CgroupPlace { path: path.to_owned() };
    ledger.record(&note).map_err(|error| fail("write the ledger", error))
}

/// The lock is a flock(2) on the state root, which nothing else locks.
pub(super) fn alone(root: &StateRoot) -> io::Result<File> {
    let lock = File::open(root.path())?;
    retry_on_intr(|| flock(&lock, FlockOperation::LockExclusive))?;
    Ok(lock)
}

/// The places that a ledger names, an engine's or ours.
fn taken(effects: &[Effect], id: &ContainerId) -> Vec<PathBuf> {
    if is_of_another_boot(effects) {
        return Vec::new();
    }
    let places = effects.iter().flat_map(|effect| match effect {
        Effect::CgroupPlace { path } => vec![path.clone()],
        Effect::Cgroup { directories } => {
            directories.iter().filter_map(|directory| cgroup_path::own(directory, id)).collect()
        }
        _ => Vec::new(),
    });
    places.collect()
}

/// Whether they are the same, or one lies below the other.
fn meet(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn refused(path: &Path, other: &ContainerId, taken: &Path) -> Error {
    Error::new(ErrorCode::ConfigInvalid, "choose the container's cgroup")
        .on(format!("config.json: linux.cgroupsPath: {}", path.display()))
        .because(format!(
            "the container `{other}` has its groups at {}, and deleting one would end the other",
            taken.display()
        ))
        .hint("give each container a place that is neither above nor below another's; or delete that container first")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::container::{ContainerDirectory, Taken};
    use crate::lifecycle::owners;

    fn scratch(name: &str) -> StateRoot {
        let path = std::env::temp_dir().join(format!("nucleus-places-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        let root = StateRoot::at(path);
        root.ensure().unwrap();
        root
    }

    fn taken_id(root: &StateRoot, id: &str) -> Taken {
        ContainerDirectory::create(root, &id.parse().unwrap()).unwrap()
    }

    fn ask(root: &StateRoot, id: &str, path: &str) -> Result<()> {
        let Taken { directory, mut ledger, owner } = taken_id(root, id);
        let answer = occupy(root, directory.id(), &mut ledger, Path::new(path));
        owners::forget(root, owner, directory.id());
        directory.remove(root).unwrap();
        answer
    }

    #[test]
    fn beside_a_container_is_room_and_above_below_and_in_its_place_is_none() {
        let root = scratch("room");
        let mut first = taken_id(&root, "first");
        occupy(&root, first.directory.id(), &mut first.ledger, Path::new("/pod/x")).unwrap();
        for free in ["/pod/y", "/pod/xy", "/x", "/other/pod/x"] {
            ask(&root, "second", free).unwrap();
        }
        for taken in ["/pod/x", "/pod/x/b", "/pod/x/b/c", "/pod"] {
            let error = ask(&root, "second", taken).unwrap_err();
            assert_eq!(error.code, ErrorCode::ConfigInvalid);
            assert!(error.cause.unwrap().contains("`first` has its groups at /pod/x"), "{taken}");
        }
        std::fs::remove_dir_all(root.path()).unwrap();
    }

    #[test]
    fn nobody_comes_below_an_operators_container() {
        let root = scratch("own");
        let mut operators = taken_id(&root, "web");
        let directories = vec!["/sys/fs/cgroup/pids/nucleus/web.0badf00d".into()];
        operators.ledger.record(&Effect::Cgroup { directories }).unwrap();
        assert!(ask(&root, "engines", "/nucleus/web.0badf00d/x").is_err());
        ask(&root, "engines", "/nucleus/web").unwrap();
        std::fs::remove_dir_all(root.path()).unwrap();
    }

    #[test]
    fn what_another_boot_left_takes_no_place() {
        let mut effects = vec![Effect::CgroupPlace { path: "/x".into() }];
        let id = "web".parse().unwrap();
        assert_eq!(taken(&effects, &id), [PathBuf::from("/x")]);
        let owner = nucleus_abi::Process { pid: 1, start_time: 1 };
        effects.insert(0, Effect::Container { schema: 1, boot: "another".into(), owner });
        assert_eq!(taken(&effects, &id), Vec::<PathBuf>::new());
    }
}
