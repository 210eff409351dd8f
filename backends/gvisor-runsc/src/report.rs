//! What runsc can enforce here: what its release has, *and* what this host has. What is not known is a no.

use nucleus_abi::{Capability, CapabilityReport, ReportRequest, Result, Verdict};

use crate::advisories::{self, Reach};
use crate::found::Found;
use crate::network;
use crate::options::{Options, Stack};

/// The report.
///
/// # Errors
/// `host-unfit` without a runsc, or without a platform on which it starts: then nothing can be said, and once is enough.
pub(crate) fn report(request: &ReportRequest) -> Result<CapabilityReport> {
    // Whatever runsc does, it needs root: asking the host comes first, and costs nothing.
    let host = nucleus_linux::report(request);
    if let Some(reason) = nucleus_linux::missing_privileges() {
        let reason = format!("{reason}; runsc has no `create` without root either");
        return Ok(CapabilityReport::of(&request.asked, |_| Verdict::no(reason.clone())));
    }
    if request.memory.is_none() {
        return Ok(in_passing(&request.asked));
    }
    let runsc = Runsc::look(request)?;
    Ok(CapabilityReport::of(&request.asked, |capability| {
        match (runsc.means(capability), host.verdict(capability)) {
            (Err(reason), _) => Verdict::no(reason),
            (Ok(Means::Itself(by)), _) => Verdict::yes(format!("{}, {by}", runsc.name)),
            (Ok(_), no @ Verdict::No { .. }) => no,
            (Ok(Means::Engine), Verdict::Yes { by }) => {
                Verdict::yes(format!("{by}, before {} sees it", runsc.name))
            }
            (Ok(Means::Groups), Verdict::Yes { by }) => {
                Verdict::yes(format!("{}, by {by}: of the sandbox as a whole", runsc.name))
            }
        }
    }))
}

/// Whoever has no memory for the answer asks in passing, as for a hint: a trial of the platforms takes seconds.
fn in_passing(asked: &[Capability]) -> CapabilityReport {
    CapabilityReport::of(asked, |capability| {
        Verdict::no(
            lacks(capability).unwrap_or("nothing was tried: `nucleus explain --backend gvisor-runsc` does"),
        )
    })
}

/// What decides.
struct Runsc {
    name: String,
    options: Options,
    found: Found,
    reach: Reach,
}

/// Who enforces it.
#[derive(Debug, PartialEq, Eq)]
enum Means {
    /// The engine, on the mounts that it makes of our descriptors.
    Engine,
    /// runsc, by the cgroups that it puts the sandbox into.
    Groups,
    /// gVisor's own kernel.
    Itself(&'static str),
}

/// What no release has, on no host.
fn lacks(capability: Capability) -> Option<&'static str> {
    match capability {
        Capability::NamespaceUser => Some("gVisor's kernel shows no id maps of the profile's"),
        Capability::NamespaceTime => Some("gVisor's clock has no offsets"),
        Capability::Devices => Some("gVisor has devices of its own and no others"),
        Capability::SecretEnvironment => Some(
            "runsc takes variables from nowhere but the config.json that lies on disk: give the secret as a file",
        ),
        Capability::Init => Some("runsc makes the workload the first process; it has no init of its own"),
        Capability::Landlock => Some("gVisor's kernel has no Landlock"),
        Capability::Sysctls => Some("runsc passes over `linux.sysctl`"),
        _ => None,
    }
}

impl Runsc {
    fn look(request: &ReportRequest) -> Result<Self> {
        let options = Options::read(&request.options)?;
        let found = Found::look(&options, request.memory.as_deref())?;
        let platform = found.platform(&options)?;
        let none = request.asked.contains(&Capability::NetworkNone);
        let reach = if none { Reach::Nothing } else { Reach::Something };
        Ok(Self { name: format!("{} on {platform}", found.name()), options, found, reach })
    }

    fn means(&self, capability: Capability) -> std::result::Result<Means, String> {
        use Capability as C;
        if let Some(reason) = lacks(capability) {
            return Err(reason.to_owned());
        }
        match capability {
            C::SealedRuntime => self.flaws().map_or(
                Ok(Means::Itself("whose sandbox sees no program of the host's")),
                Err,
            ),
            C::NamespacePid
            | C::NamespaceMount
            | C::NamespaceIpc
            | C::NamespaceUts
            | C::NamespaceCgroup
            | C::NamespaceNetwork => Ok(Means::Itself("whose kernel is the container's own")),
            C::NamespaceJoin | C::NetworkAttached => self.stack().map(|()| match self.options.stack {
                Stack::Sandbox => Means::Itself("which enters a network namespace, and no other"),
                Stack::Host => Means::Itself(
                    "which enters a network namespace, and no other, and passes socket calls on to the kernel",
                ),
            }),
            C::NetworkNone => Ok(Means::Itself("by a loopback interface of its own stack")),
            C::NetworkHost => Ok(Means::Itself("which passes socket calls on to the host's kernel")),
            C::Rootfs | C::Volumes => Ok(Means::Itself("by its gofer")),
            C::RootfsReadonly | C::MountFlags => Ok(Means::Itself("by its own mounts")),
            C::RootfsNodev | C::VolumesReadonly | C::VolumesIdmapped | C::Secrets => Ok(Means::Engine),
            C::Tmpfs => Ok(Means::Itself("by file systems in the sandbox's memory")),
            C::MaskedPaths | C::ReadonlyPaths => {
                Ok(Means::Itself("whose /proc and /sys are its own and show nothing of the host's"))
            }
            C::Umask => Ok(Means::Itself("by its own kernel: 0022, and another one refuses the start")),
            C::User | C::Rlimits | C::Hostname | C::Terminal | C::Capabilities => {
                Ok(Means::Itself("by its own kernel"))
            }
            C::OomScoreAdj => Ok(Means::Itself("on the sandbox's processes")),
            C::NoNewPrivileges => Ok(Means::Itself("by its own kernel")),
            C::Seccomp => Ok(Means::Itself("by its own kernel: a filter of the workload's calls to gVisor; processes that `exec` adds have none")),
            C::Memory | C::Swap | C::Cpu | C::CpuShares | C::Cpuset | C::Pids | C::Io => Ok(Means::Groups),
            // The vocabulary may grow; what this release does not know, it does not promise.
            _ => Err("this release does not know it".to_owned()),
        }
    }

    /// Known flaws of the release: a runtime that can be turned against the host is not sealed.
    fn flaws(&self) -> Option<String> {
        advisories::refusal(self.found.release(), self.reach, &self.options.accepted)
    }

    /// Whether the stack can be had on interfaces that somebody prepared.
    fn stack(&self) -> std::result::Result<(), String> {
        match self.options.stack {
            Stack::Host => Ok(()),
            Stack::Sandbox => network::obstacle(self.found.release(), network::kernel()).map_or(Ok(()), Err),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_in_passing_does_not_wait_for_a_trial() {
        let report = in_passing(&[Capability::Rootfs, Capability::Landlock]);
        let reason = |capability| match report.verdict(capability) {
            Verdict::No { reason } => reason,
            Verdict::Yes { by } => panic!("yes, {by}"),
        };
        assert!(reason(Capability::Rootfs).contains("nothing was tried"));
        assert!(reason(Capability::Landlock).contains("no Landlock"));
    }
}
