//! What a runtime can enforce here: what is known of it, *and* what this host has. What is not known is a no.

use nucleus_abi::{Capability, CapabilityReport, Error, ReportRequest, SCHEMA, Verdict};

use nucleus_oci_cli::{Fault, RootMount, Seal};

use crate::features::lists;
use crate::known::{Known, Make};

/// Every entry is a no, for there is no runtime.
pub(crate) fn without_runtime(asked: &[Capability], why: &Error) -> CapabilityReport {
    CapabilityReport::of(asked, |_| Verdict::no(why.to_string()))
}

/// The report for a runtime.
pub(crate) fn report(asked: &[Capability], known: &Known) -> CapabilityReport {
    let request = ReportRequest {
        schema: SCHEMA,
        asked: asked.to_vec(),
        options: serde_json::Value::Null,
        memory: None,
    };
    let host = nucleus_linux::report(&request);
    let means =
        |capability| refuse_foreign_network(capability, asked, known).and_then(|()| means(capability, known));
    CapabilityReport::of(asked, |capability| match (means(capability), host.verdict(capability)) {
        (Err(reason), _) => Verdict::no(reason),
        (Ok(_), no @ Verdict::No { .. }) => no,
        (Ok(Means::Engine), Verdict::Yes { by }) => {
            Verdict::yes(format!("{by}, before {} sees it", known.name))
        }
        (Ok(Means::Runtime), Verdict::Yes { by }) => Verdict::yes(format!("{}, by {by}", known.name)),
        (Ok(Means::Itself(by)), Verdict::Yes { .. }) => Verdict::yes(by),
    })
}

/// A network namespace that is made before the container belongs to the host's user namespace. Only who owns it may mount a
/// sysfs that shows it (`user_namespaces(7)`): runc 1.1 fails, and crun 1.8 shows the host's.
fn refuse_foreign_network(capability: Capability, asked: &[Capability], known: &Known) -> Result<(), String> {
    if capability != Capability::NetworkAttached || !asked.contains(&Capability::NamespaceUser) {
        return Ok(());
    }
    Err(format!(
        "{} would show /sys of the host: with `namespaces.user` the container does not own a network namespace that was made \
         before it",
        known.name
    ))
}

/// Who enforces it.
#[derive(Debug, PartialEq, Eq)]
enum Means {
    /// The engine, on the mounts that it makes of our descriptors.
    Engine,
    /// The runtime, by what the host has for it.
    Runtime,
    /// The runtime, in its own way.
    Itself(String),
}

fn means(capability: Capability, known: &Known) -> Result<Means, String> {
    let name = &known.name;
    base(known)?;
    match capability {
        Capability::Landlock => {
            Err(format!("{name} has no Landlock: the runtime specification has no word for it"))
        }
        Capability::Init => {
            Err(format!("{name} makes the workload the first process; it has no init of its own"))
        }
        Capability::SecretEnvironment => Err(format!(
            "{name} takes variables from nowhere but the config.json that lies on disk: give the secret as a file"
        )),
        Capability::VolumesReadonly | Capability::VolumesIdmapped | Capability::Secrets => Ok(Means::Engine),
        Capability::RootfsReadonly if known.root() == RootMount::Kept => Ok(Means::Engine),
        Capability::RootfsNodev => Ok(match known.root() {
            RootMount::Kept => Means::Engine,
            RootMount::Remounted => Means::Itself(format!(
                "{name}, by its device cgroup: all but the default devices (null, zero, full, random, urandom, tty, console, \
                 ptmx, pts) are denied"
            )),
        }),
        Capability::Rootfs
        | Capability::RootfsReadonly
        | Capability::Volumes
        | Capability::MountFlags
        | Capability::Tmpfs
        | Capability::MaskedPaths
        | Capability::ReadonlyPaths => Ok(Means::Itself(format!("{name}, by mount(2)"))),
        Capability::SealedRuntime => Ok(Means::Itself(match known.seal() {
            Seal::Own => format!("{name} runs from a copy of itself that cannot be written"),
            Seal::Mount => format!("{name} is executed from a read-only mount of itself"),
        })),
        Capability::NamespaceTime => {
            match known.features().and_then(|it| lists(it, "/linux/namespaces", "time")) {
                Some(true) => Ok(Means::Runtime),
                Some(false) => Err(format!("{name} has no time namespaces (`features`)")),
                None => Err(format!("{name} does not say that it has time namespaces: it has no `features`")),
            }
        }
        Capability::Seccomp => seccomp(known),
        Capability::Terminal if known.make == Make::Youki => {
            Err(format!("programs on a terminal of {name} cannot read its settings (measured with 0.7.0)"))
        }
        _ => Ok(Means::Runtime),
    }
}

/// A runtime can be built without it.
fn seccomp(known: &Known) -> Result<Means, String> {
    let says = known.version.contains("+SECCOMP") || known.version.contains("libseccomp");
    let enabled = || known.features().and_then(|it| it.pointer("/linux/seccomp/enabled")?.as_bool());
    if says || enabled() == Some(true) {
        let name = &known.name;
        return Ok(if known.faults().contains(&Fault::ExecUnfiltered) {
            Means::Itself(format!(
                "{name}, by seccomp(2); `exec` is refused, for it is not known to apply the filter there"
            ))
        } else {
            Means::Runtime
        });
    }
    Err(format!("{} does not say that it was built with libseccomp", known.name))
}

/// What the specification has had since 1.0. One that is not known must say that it implements it.
fn base(known: &Known) -> Result<(), String> {
    match known.make {
        Make::Crun | Make::Runc | Make::Youki => Ok(()),
        Make::Other if known.features().is_some_and(|it| it["ociVersionMax"].is_string()) => Ok(()),
        Make::Other => Err(format!("it is not known what {} does, and it has no `features`", known.name)),
    }
}
