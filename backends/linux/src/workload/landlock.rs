//! Landlock rules of the plan (landlock(7)).

use std::os::fd::AsFd;

use nucleus_abi::{Error, ErrorCode, LandlockAccess, LandlockRule, Result};
use nucleus_sys::landlock::{AccessFs, AccessNet, Handled, Ruleset, Scope, abi_version};
use nucleus_sys::{Mode, OFlags};

use crate::fault::{OrFail, explain};
use crate::sources::{Shape, shape};

/// Builds the ruleset. It handles every access to files that this kernel knows, so what no rule allows is denied; it
/// scopes neither signals nor sockets, since processes that join later form a sibling domain.
pub(super) fn ruleset(rules: &[LandlockRule]) -> Result<Ruleset> {
    let step = "restrict the workload with Landlock";
    let abi = abi_version().map_err(|error| {
        Error::new(ErrorCode::HostUnfit, step)
            .because(explain(&error))
            .hint("boot with `lsm=landlock,…`, or set `security.landlock: off`")
    })?;
    let files = Handled::by_abi(abi).files;
    let handled = Handled { files, network: AccessNet::empty(), scope: Scope::empty() };
    let ruleset = Ruleset::new(handled).or_fail(step, format!("ABI {abi}"))?;
    rules.iter().try_for_each(|rule| allow(&ruleset, rule, files))?;
    Ok(ruleset)
}

fn allow(ruleset: &Ruleset, rule: &LandlockRule, handled: AccessFs) -> Result<()> {
    let step = "allow a path in Landlock";
    let subject = rule.path.display();
    // We are behind the pivot: links lead to places of the container, as the workload will follow them.
    let file = match rustix::fs::open(&rule.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(()),
        result => result.or_fail(step, &subject)?,
    };
    let sensible = match shape(file.as_fd())? {
        Shape::Directory => AccessFs::all(),
        Shape::File => AccessFs::ON_FILES,
    };
    ruleset.allow_beneath(file.as_fd(), accesses(rule.access) & handled & sensible).or_fail(step, subject)
}

fn accesses(access: LandlockAccess) -> AccessFs {
    // ioctl on what can be opened at all: a terminal would be none without it.
    let read = AccessFs::READ_FILE | AccessFs::READ_DIR | AccessFs::IOCTL_DEV;
    match access {
        LandlockAccess::Read => read,
        LandlockAccess::ReadExecute => read | AccessFs::EXECUTE,
        LandlockAccess::ReadWrite => AccessFs::all() - AccessFs::EXECUTE,
        LandlockAccess::ReadWriteExecute => AccessFs::all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_write_may_rename_between_directories() {
        assert!(accesses(LandlockAccess::ReadWrite).contains(AccessFs::REFER | AccessFs::TRUNCATE));
        assert!(!accesses(LandlockAccess::ReadWrite).contains(AccessFs::EXECUTE));
        assert!(
            !accesses(LandlockAccess::ReadExecute).intersects(AccessFs::WRITE_FILE | AccessFs::REMOVE_FILE)
        );
    }
}
