//! Where the plan's mounts go: a target of the profile is text, and links of the image can lead it elsewhere. What was
//! checked of the text is checked once more of the place, and the place is what is mounted on.

use std::os::fd::BorrowedFd;
use std::path::Path;

use nucleus_abi::{Error, ErrorCode, Result};

use super::mounts::{Mount, MountOrigin, sort};
use crate::plan::places::{Lead, Tree};
use crate::plan::{Plan, belongs_to_runtime};
use crate::profile::Origin;

/// Puts each of the plan's own mounts to the place to which its target leads in the root, and all in their order.
///
/// # Errors
/// `plan-invalid` for a place that two mounts would have, that is the runtime's, or in which no secret can be;
/// `profile-refuses` for one that the mount policy does not allow; each with the lines and the link.
pub(super) fn place(plan: &Plan, tree: &Tree<'_>, mounts: &mut [Mount]) -> Result<()> {
    let own = |mount: &Mount| mount.origin.is_own();
    let leads = mounts.iter().filter(|mount| own(mount)).map(|mount| led(plan, tree, mount));
    let leads = leads.collect::<Result<Vec<Lead>>>()?;
    if leads.iter().all(|lead| lead.link.is_none()) {
        return Ok(());
    }
    let placed: Vec<_> = mounts.iter().filter(|mount| own(mount)).zip(&leads).collect();
    check(plan, &placed)?;
    for (mount, lead) in mounts.iter_mut().filter(|mount| own(mount)).zip(leads) {
        mount.destination = lead.place;
    }
    sort(mounts);
    Ok(())
}

/// Refuses a mount that lies behind a link of what is mounted before it: who writes there would choose its place.
///
/// # Errors
/// `plan-invalid`, with the line and the link; `host-unfit` where nobody can look.
pub(super) fn refuse_links_of_mounts<'a>(
    plan: &Plan,
    mounts: &[Mount],
    source: &dyn Fn(usize) -> Option<BorrowedFd<'a>>,
) -> Result<()> {
    let mut tree = Tree::default();
    for (index, mount) in mounts.iter().enumerate() {
        if mount.origin.is_own() {
            let lead = led(plan, &tree, mount)?;
            if lead.link.is_some() {
                return Err(refused(
                    ErrorCode::PlanInvalid,
                    plan,
                    mount,
                    &lead,
                    "what lies there has a link",
                ));
            }
        }
        tree.mount(mount.destination.clone(), source(index));
    }
    Ok(())
}

/// Whose line a mount is.
pub(super) fn origin<'p>(plan: &'p Plan, mount: &Mount) -> &'p Origin {
    match mount.origin {
        MountOrigin::Volume(index) => &plan.volumes[index].origin,
        MountOrigin::Tmpfs(index) => &plan.tmpfs[index].origin,
        MountOrigin::Secret(index) => &plan.secrets.list[index].origin,
        MountOrigin::Context => plan.context.as_ref().map_or(&plan.rootfs.origin, |context| &context.origin),
        MountOrigin::Provided(_) => &plan.network.origin,
        MountOrigin::Kernel | MountOrigin::Host => &plan.rootfs.origin,
    }
}

fn led(plan: &Plan, tree: &Tree<'_>, mount: &Mount) -> Result<Lead> {
    tree.lead(&mount.destination).map_err(|error| {
        Error::new(ErrorCode::HostUnfit, "find the place of a mount")
            .on(format!("{} ({})", mount.destination.display(), origin(plan, mount)))
            .because(error)
            .hint("mount somewhere else, or correct the image")
    })
}

/// What holds for targets as they are written has been seen to before.
fn check(plan: &Plan, placed: &[(&Mount, &Lead)]) -> Result<()> {
    for (index, (mount, lead)) in placed.iter().enumerate() {
        if lead.link.is_some() {
            check_place(plan, mount, lead)?;
        }
        for (other, elsewhere) in &placed[..index] {
            let Some(by_link) = [lead, elsewhere].into_iter().find(|lead| lead.link.is_some()) else {
                continue;
            };
            let Some(what) = conflict((mount.origin, &lead.place), (other.origin, &elsewhere.place)) else {
                continue;
            };
            let cause = format!("{what} {} ({})", other.destination.display(), origin(plan, other));
            return Err(refused(ErrorCode::PlanInvalid, plan, mount, by_link, &cause));
        }
    }
    Ok(())
}

fn check_place(plan: &Plan, mount: &Mount, lead: &Lead) -> Result<()> {
    if belongs_to_runtime(&lead.place) {
        return Err(refused(ErrorCode::PlanInvalid, plan, mount, lead, "its place belongs to the runtime"));
    }
    plan.mount_policy.target(&lead.place).map_err(|objection| {
        refused(ErrorCode::ProfileRefuses, plan, mount, lead, &objection.with_line()).hint(objection.hint)
    })
}

/// Why two mounts cannot be where they are led to.
fn conflict(one: (MountOrigin, &Path), other: (MountOrigin, &Path)) -> Option<&'static str> {
    let secret = |origin| matches!(origin, MountOrigin::Secret(_));
    let of_host = |origin| matches!(origin, MountOrigin::Volume(_) | MountOrigin::Context);
    let lies_in = |(inner, place): (MountOrigin, &Path), (outer, around): (MountOrigin, &Path)| {
        secret(inner) && (of_host(outer) || secret(outer)) && place.starts_with(around)
    };
    if one.1 == other.1 {
        Some("it has the same place as")
    } else if lies_in(one, other) {
        Some("no file can be made for it in")
    } else if lies_in(other, one) {
        Some("it would hold the secret at")
    } else {
        None
    }
}

fn refused(code: ErrorCode, plan: &Plan, mount: &Mount, lead: &Lead, cause: &str) -> Error {
    let (at, text) = lead.link.clone().unwrap_or_default();
    let link = format!("{} is a link to {}", at.display(), text.display());
    Error::new(code, "find the place of a mount")
        .on(format!("{} ({})", mount.destination.display(), origin(plan, mount)))
        .because(format!("{cause}: {link}, which leads to {}", lead.place.display()))
        .hint("name the place itself as the target, and another one where it is taken")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_takes_one_mount_and_secrets_lie_in_nothing_of_the_hosts() {
        use MountOrigin::{Context, Secret, Tmpfs, Volume};
        let conflicts = |one: (MountOrigin, &str), other: (MountOrigin, &str)| {
            conflict((one.0, one.1.as_ref()), (other.0, other.1.as_ref())).is_some()
        };
        let secret = (Secret(0), "/run/secrets/k");
        for (other, expected) in [
            ((Volume(0), "/run"), true),
            ((Context, "/run/secrets"), true),
            ((Secret(1), "/run/secrets"), true),
            ((Tmpfs(0), "/run"), false),
            ((Tmpfs(0), "/run/secrets/k"), true),
            ((Volume(0), "/run/sec"), false),
        ] {
            assert_eq!(conflicts(secret, other), expected, "{other:?}");
            assert_eq!(conflicts(other, secret), expected, "{other:?}");
        }
        assert!(conflicts((Tmpfs(0), "/run"), (Volume(0), "/run")));
        assert!(!conflicts((Tmpfs(0), "/run"), (Volume(0), "/run/x")));
    }
}
