//! Whose the files of a copy are. Pure.

use crate::bundle::tree::IsKept;
use crate::plan::{ContextOwner, IdMapping, UserNamespacePlan};

/// Whose the files of a copy are, by ids of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ownership {
    /// Their own.
    Kept,
    /// The container has a user namespace: the same ids in there.
    Inside(UserNamespacePlan),
    /// One user's and one group's.
    Given { uid: u32, gid: u32 },
}

impl Ownership {
    /// What the plan wants, for a workload with these ids in the container.
    pub(super) fn new(owner: ContextOwner, user: Option<&UserNamespacePlan>, (uid, gid): (u32, u32)) -> Self {
        match (owner, user) {
            (ContextOwner::Source, None) => Self::Kept,
            (ContextOwner::Source, Some(user)) => Self::Inside(user.clone()),
            (ContextOwner::Workload, None) => Self::Given { uid, gid },
            (ContextOwner::Workload, Some(user)) => {
                let inside = Self::Inside(user.clone());
                let (uid, gid) = inside.of(uid, gid);
                Self::Given { uid, gid }
            }
        }
    }

    /// The ids that the copy of a file with these ones gets.
    pub(super) fn of(&self, uid: u32, gid: u32) -> (u32, u32) {
        match self {
            Self::Kept => (uid, gid),
            Self::Inside(user) => (on_host(&user.uid_map, uid), on_host(&user.gid_map, gid)),
            Self::Given { uid, gid } => (*uid, *gid),
        }
    }

    /// The extended attributes that a copy gets. Access lists name ids, so they are right only where those stay. A file's
    /// capabilities are no part of what is given to a workload to read.
    pub(super) fn keeps(&self) -> IsKept {
        match self {
            Self::Kept => |name| name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_"),
            Self::Inside(_) | Self::Given { .. } => |name| name.starts_with(b"user."),
        }
    }
}

/// The id of the host for one of the container; for one that the container does not have, its root's.
fn on_host(map: &[IdMapping], id: u32) -> u32 {
    let find = |id: u32| {
        let line = map.iter().find(|line| id.checked_sub(line.container).is_some_and(|by| by < line.size))?;
        line.host.checked_add(id - line.container)
    };
    find(id).or_else(|| find(0)).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> UserNamespacePlan {
        let map = vec![
            IdMapping { container: 0, host: 100_000, size: 10 },
            IdMapping { container: 1000, host: 5, size: 1 },
        ];
        UserNamespacePlan { uid_map: map.clone(), gid_map: map }
    }

    #[test]
    fn owners_are_the_same_inside() {
        let kept = Ownership::new(ContextOwner::Source, None, (7, 8));
        assert_eq!(kept.of(1, 2), (1, 2));
        let inside = Ownership::new(ContextOwner::Source, Some(&user()), (7, 8));
        assert_eq!(inside.of(3, 1000), (100_003, 5));
        assert_eq!(inside.of(500, 10), (100_000, 100_000), "who is nobody there is its root");
    }

    #[test]
    fn the_workloads_own() {
        assert_eq!(Ownership::new(ContextOwner::Workload, None, (7, 8)).of(1, 2), (7, 8));
        assert_eq!(Ownership::new(ContextOwner::Workload, Some(&user()), (7, 1000)).of(1, 2), (100_007, 5));
    }
}
