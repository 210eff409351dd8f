//! The namespaces that the configuration joins: opened once, of the kind it says, and with nothing to change in them that
//! is the host's.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nucleus_abi::{Descriptors, Error, ErrorCode, Result, SandboxRequest};
use nucleus_sys::namespace::{self, Namespace};
use nucleus_sys::procfs::{ProcBase, ProcFs};
use nucleus_sys::{Mode, OFlags};

use crate::config::{Configuration, Joined};
use crate::fault::{OrFail, explain, invalid, system};
use crate::joining::Target;

const STEP: &str = "open a namespace to join";

/// Opens all of them.
///
/// # Errors
/// `config-invalid` if one is of another kind, or nucleus' own where the configuration would change it; `system-call`.
pub(crate) fn open(
    configuration: &Configuration,
    request: &SandboxRequest,
    descriptors: Descriptors<'_>,
) -> Result<Vec<Target>> {
    let joined = &configuration.namespaces.joined;
    if joined.is_empty() {
        return Ok(Vec::new());
    }
    let proc = ProcFs::open().or_fail("open the host's procfs", "/proc")?;
    let given = |joined: &Joined| request.namespaces.get(joined.kind.oci_name());
    let open = |joined| match given(joined) {
        Some(index) => reopen(&proc, descriptors.get(*index)?).map_err(|error| cannot_open(joined, &error)),
        None => open_file(joined),
    };
    let targets = joined.iter().map(|joined| target(joined, open(joined)?)).collect::<Result<Vec<_>>>()?;
    for target in &targets {
        if is_own(&proc, target)? {
            refuse_changes(target, configuration)?;
        }
    }
    Ok(targets)
}

fn target(joined: &Joined, file: OwnedFd) -> Result<Target> {
    let wrong =
        |cause: String| Error::new(ErrorCode::ConfigInvalid, STEP).on(joined.path.display()).because(cause);
    match namespace::kind_of(file.as_fd()) {
        Ok(kind) if kind == joined.kind => Ok(Target { kind, file, path: joined.path.clone() }),
        Ok(other) => {
            Err(wrong(format!("it is a {} namespace, not {}", other.oci_name(), joined.kind.oci_name())))
        }
        Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => {
            Err(wrong("it is no namespace".to_owned()))
        }
        Err(error) => Err(system(STEP, &error).on(joined.path.display())),
    }
}

/// What was checked as an `O_PATH` descriptor: setns(2) wants an open file, and the path may lead elsewhere by now.
fn reopen(proc: &ProcFs, checked: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let number = checked.as_raw_fd().to_string();
    proc.open_magic_link(ProcBase::Thread, "fd", &number, OFlags::RDONLY)
}

fn open_file(joined: &Joined) -> Result<OwnedFd> {
    let opened = rustix::fs::open(&joined.path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    opened.map_err(|errno| cannot_open(joined, &errno.into()))
}

fn cannot_open(joined: &Joined, error: &io::Error) -> Error {
    let failed = system(STEP, error).on(joined.path.display());
    match error.raw_os_error() {
        // ptrace(2), "Ptrace access mode checking": what /proc/<pid>/ns asks for.
        Some(libc::EACCES | libc::EPERM) => failed
            .because(format!("nucleus may not look at whose namespace it is: {}", explain(error)))
            .hint("run nucleus as root with CAP_SYS_PTRACE, outside of a security module's confinement"),
        Some(libc::ENOENT) => failed
            .hint("the process or the pinned namespace is gone: name one that exists in `linux.namespaces`"),
        _ => failed,
    }
}

/// Two files refer to the same namespace if device and inode are the same (`namespaces(7)`).
fn is_own(proc: &ProcFs, target: &Target) -> Result<bool> {
    let step = "compare a namespace to join with our own";
    let own = namespace::open(proc, ProcBase::Itself, target.kind).or_fail(step, target.path.display())?;
    let identity = |file: &OwnedFd| {
        let stat = rustix::fs::fstat(file).or_fail(step, target.path.display())?;
        Ok::<_, Error>((stat.st_dev, stat.st_ino))
    };
    Ok(identity(&own)? == identity(&target.file)?)
}

/// What the configuration would set in a namespace that is nucleus' own would be set on the host.
fn refuse_changes(target: &Target, configuration: &Configuration) -> Result<()> {
    let kind = target.kind.oci_name();
    let path = target.path.display();
    if target.kind == Namespace::User {
        return Err(invalid(
            "linux.namespaces",
            format!("{path} is nucleus' own user namespace, which nobody can enter again (setns(2), EINVAL)"),
        )
        .hint("leave the `user` entry out: the container then stays in that namespace"));
    }
    let is_uts = target.kind == Namespace::Uts;
    let names = [("hostname", &configuration.hostname), ("domainname", &configuration.domainname)];
    let name =
        names.into_iter().find(|(_, value)| is_uts && value.is_some()).map(|(name, _)| name.to_owned());
    let sysctl = configuration.sysctls.iter().find(|sysctl| sysctl.owner == target.kind);
    match name.or_else(|| sysctl.map(|sysctl| format!("linux.sysctl: {}", sysctl.path))) {
        Some(field) => Err(invalid(
            field,
            format!("it would be set on the host, for {path} is nucleus' own {kind} namespace"),
        )
        .hint(format!("let the container have a new `{kind}` namespace, or remove the field"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_opening_says_why_and_what_to_do() {
        let joined = Joined { kind: Namespace::Network, path: "/proc/1/ns/net".into() };
        for errno in [libc::EACCES, libc::EPERM] {
            let error = cannot_open(&joined, &io::Error::from_raw_os_error(errno));
            assert!(error.to_string().contains("/proc/1/ns/net: nucleus may not look"), "{error}");
            assert!(error.hint.unwrap().contains("CAP_SYS_PTRACE"));
        }
    }
}
