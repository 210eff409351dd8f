//! The record of a container whose first process lives, for the verbs that make sense for no other.

use std::path::Path;

use nucleus_abi::{ContainerId, Error, ErrorCode, Result};

use crate::fault::OrFail;
use crate::identity;
use crate::record::Record;

/// Reads the record.
///
/// # Errors
/// `wrong-state` when the first process has ended, saying that `step` cannot be done; `record-unreadable`.
pub(crate) fn record(directory: &Path, id: &ContainerId, step: &'static str) -> Result<Record> {
    let ended = || Error::new(ErrorCode::WrongState, step).on(id).because("its first process has ended");
    let record = Record::read(directory)?.ok_or_else(ended)?;
    let first = identity::open(record.process).or_fail("look at the container's first process", id)?;
    first.map(|_| record).ok_or_else(ended)
}
