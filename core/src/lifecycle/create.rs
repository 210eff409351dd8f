//! `create`: makes a container that somebody else will start and delete.

use nucleus_abi::{ContainerId, Error, HookPoint, Result, Then};

use super::handles::Handles;
use super::hooks::Telling;
use super::making::{Beginning, Making, take_id, tear_down};
use super::record::Supervision;
use super::state_root::StateRoot;
use super::workload::Source;
use crate::plugins::Registry;

/// Makes a container as far as only its start is missing, and leaves it.
///
/// # Errors
/// What kept it from being made; nothing of it is left then. `container-exists` for an id that is taken.
///
/// `warn` hears of what was asked for and is left out.
pub fn create(
    source: &dyn Source,
    id: &ContainerId,
    root: &StateRoot,
    registry: &Registry,
    handles: &Handles,
    warn: &dyn Fn(&str),
) -> Result<()> {
    create_from(Beginning::Program, source, id, root, registry, handles, warn)
}

/// As [`create`], with processes that come from anywhere.
pub(super) fn create_from(
    beginning: Beginning<'_>,
    source: &dyn Source,
    id: &ContainerId,
    root: &StateRoot,
    registry: &Registry,
    handles: &Handles,
    warn: &dyn Fn(&str),
) -> Result<()> {
    root.ensure()?;
    let mut taken = take_id(id, root, registry)?;
    let making = Making {
        source,
        taken: &mut taken,
        root,
        extra: &handles.extra,
        supervision: Supervision::Nobody,
        then: Then::Wait,
        beginning,
        warn,
    };
    let made = making.make().and_then(|made| {
        if source.hooks().is_some()
            && let Some(telling) = Telling::at(taken.directory.path())?
        {
            telling.ask(HookPoint::Created, warn)?;
        }
        handles.hand_out(&made)
    });
    match made {
        Ok(()) => {
            taken.leave(root);
            Ok(())
        }
        Err(error) => {
            let teardown = tear_down(source.client(), taken.directory, root);
            Err(after_failure(error, teardown, warn))
        }
    }
}

/// What could not be removed after a failure is told with it.
pub(super) fn after_failure(error: Error, teardown: Result<Vec<String>>, warn: &dyn Fn(&str)) -> Error {
    match teardown {
        Ok(warnings) => {
            for warning in &warnings {
                warn(warning);
            }
            error
        }
        Err(more) => error.and([more]),
    }
}
