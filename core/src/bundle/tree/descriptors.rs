//! How many files may be open at once: a walk holds a directory open until all of its entries have been visited.

use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// While it lives, the soft limit of open files is the hard one; getrlimit(2). The soft one is that of programs that use
/// select(2), and the workload gets it.
#[derive(Debug)]
pub(super) struct Room(Option<Rlimit>);

impl Room {
    pub(super) fn make() -> Self {
        let before = getrlimit(Resource::Nofile);
        let raised = before.current != before.maximum
            && setrlimit(Resource::Nofile, Rlimit { current: before.maximum, ..before }).is_ok();
        Self(raised.then_some(before))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(before) = self.0.take() {
            // It was so before: nothing can be wrong with it.
            let _ = setrlimit(Resource::Nofile, before);
        }
    }
}

/// Says which limit it is that was met, and why.
pub(super) fn explained(error: io::Error) -> io::Error {
    if Errno::from_io_error(&error) != Some(Errno::MFILE) {
        return error;
    }
    let limit = getrlimit(Resource::Nofile).current.map_or("infinity".to_owned(), |limit| limit.to_string());
    io::Error::other(format!(
        "so many directories lie in each other that no more files can be open (RLIMIT_NOFILE is {limit})"
    ))
}
