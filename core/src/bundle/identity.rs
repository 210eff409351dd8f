//! Names of users and groups, resolved in the image's own files.

use nucleus_abi::{Error, ErrorCode, Result};

use crate::plan::{Identity, UserPlan};

/// A user and groups, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ResolvedUser {
    /// User id in the container.
    pub uid: u32,
    /// Group id in the container.
    pub gid: u32,
    /// Supplementary group ids in the container.
    pub additional_gids: Vec<u32>,
}

/// The text of the image's account files; what the image lacks is empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    pub(super) passwd: String,
    pub(super) group: String,
}

/// Whether any name must be looked up, so that the image's files must be read.
pub(super) fn needs_accounts(user: &UserPlan) -> bool {
    user.group.is_none()
        || [Some(&user.user), user.group.as_ref()].iter().any(|part| matches!(part, Some(Identity::Name(_))))
}

/// Resolves a user. Without a group, the user's own from `passwd` counts, or 0 where it is not listed.
///
/// # Errors
/// `plan-invalid`, naming the user or group that the image does not know.
pub(super) fn resolve(user: &UserPlan, additional_gids: &[u32], accounts: &Accounts) -> Result<ResolvedUser> {
    let (uid, own_gid) = match &user.user {
        Identity::Id(uid) => (*uid, own_group(accounts, *uid).unwrap_or(0)),
        Identity::Name(name) => {
            passwd_by_name(accounts, name).ok_or_else(|| unknown("user", name, "/etc/passwd"))?
        }
    };
    let gid = match &user.group {
        None => own_gid,
        Some(Identity::Id(gid)) => *gid,
        Some(Identity::Name(name)) => {
            group_by_name(accounts, name).ok_or_else(|| unknown("group", name, "/etc/group"))?
        }
    };
    Ok(ResolvedUser { uid, gid, additional_gids: additional_gids.to_vec() })
}

fn unknown(what: &str, name: &str, file: &str) -> Error {
    Error::new(ErrorCode::PlanInvalid, format!("find the {what} of the workload"))
        .on(name)
        .because(format!("{file} of the root file system does not list it"))
        .hint("give numbers, such as `user: 10001:10001`")
}

/// passwd(5): name, password, uid, gid. Lines that do not parse as a whole are passed over, never half understood
/// (CVE-2026-30892).
fn passwd(accounts: &Accounts) -> impl Iterator<Item = (&str, u32, u32)> {
    accounts.passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some((name, uid, gid))
    })
}

/// The home directory of a user, the sixth field of passwd(5). What is no absolute path is none.
pub(super) fn home(accounts: &Accounts, uid: u32) -> Option<&str> {
    let line = accounts
        .passwd
        .lines()
        .find(|line| line.split(':').nth(2).and_then(|id| id.parse().ok()) == Some(uid))?;
    line.split(':').nth(5).filter(|home| home.starts_with('/'))
}

fn passwd_by_name(accounts: &Accounts, name: &str) -> Option<(u32, u32)> {
    passwd(accounts).find(|(known, ..)| *known == name).map(|(_, uid, gid)| (uid, gid))
}

fn own_group(accounts: &Accounts, uid: u32) -> Option<u32> {
    passwd(accounts).find(|(_, known, _)| *known == uid).map(|(.., gid)| gid)
}

/// group(5): name, password, gid.
fn group_by_name(accounts: &Accounts, name: &str) -> Option<u32> {
    accounts.group.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\nweb:x:33:44::/srv:/bin/sh\nbad:x:1000abc:0::/:\n".into(),
            group: "root:x:0:\nstaff:x:50:web\n".into(),
        }
    }

    fn named(user: &str, group: Option<&str>) -> UserPlan {
        UserPlan { user: Identity::Name(user.into()), group: group.map(|group| Identity::Name(group.into())) }
    }

    #[test]
    fn names_come_from_the_image() {
        let user = resolve(&named("web", Some("staff")), &[7], &accounts()).unwrap();
        assert_eq!(user, ResolvedUser { uid: 33, gid: 50, additional_gids: vec![7] });
        assert_eq!(resolve(&named("web", None), &[], &accounts()).unwrap().gid, 44);
    }

    #[test]
    fn a_home_is_an_absolute_path_of_a_listed_user() {
        assert_eq!(home(&accounts(), 33), Some("/srv"));
        assert_eq!(home(&accounts(), 4711), None);
        let relative = Accounts { passwd: "x:x:5:5::srv:/bin/sh\n".into(), ..Accounts::default() };
        assert_eq!(home(&relative, 5), None);
    }

    #[test]
    fn an_unlisted_number_gets_group_0() {
        let user = UserPlan { user: Identity::Id(4711), group: None };
        assert_eq!(
            resolve(&user, &[], &accounts()).unwrap(),
            ResolvedUser { uid: 4711, gid: 0, ..Default::default() }
        );
    }

    #[test]
    fn what_is_not_listed_or_not_a_number_is_refused() {
        for name in ["nobody", "bad", ""] {
            assert_eq!(
                resolve(&named(name, None), &[], &accounts()).unwrap_err().code,
                ErrorCode::PlanInvalid,
                "{name}"
            );
        }
        assert!(resolve(&named("web", Some("wheel")), &[], &accounts()).is_err());
    }
}
