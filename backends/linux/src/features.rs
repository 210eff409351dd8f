//! `features`: what of the runtime specification this engine implements (features.md, features-linux.md).
//!
//! Every list comes from the table that the engine itself works with.

use nucleus_abi::FeaturesReply;
use nucleus_sys::capability::Capability;
use nucleus_sys::memory_policy::ModeFlags;
use nucleus_sys::namespace::Namespace;
use serde_json::{Value, json};

use crate::checkpoint;
use crate::config::document::{Action, Operator, names};
use crate::config::{self, Point};
use crate::seccomp;

pub(crate) fn features() -> FeaturesReply {
    let (oldest, newest) = config::VERSIONS;
    FeaturesReply {
        features: json!({
            "ociVersionMin": oldest,
            "ociVersionMax": newest,
            "hooks": Point::ALL.map(Point::name),
            "mountOptions": sorted(config::known_options()),
            "linux": linux(),
            "annotations": {
                "nucleus.version": env!("CARGO_PKG_VERSION"),
                // The name by which engines ask runc; it takes criu.
                "org.opencontainers.runc.checkpoint.enabled": checkpoint::is_possible().to_string(),
            },
            // Annotations are passed on to hooks and obeyed by nobody.
            "potentiallyUnsafeConfigAnnotations": [],
        }),
    }
}

fn linux() -> Value {
    json!({
        "namespaces": sorted(Namespace::ALL.into_iter().map(|kind| kind.oci_name().to_owned())),
        "capabilities": Capability::ALL.map(Capability::name).as_slice(),
        "cgroup": {"v1": true, "v2": true, "systemd": true, "systemdUser": false, "rdma": true},
        "seccomp": {
            "enabled": true,
            "actions": names::<Action>(),
            "operators": names::<Operator>(),
            "archs": seccomp::architectures(),
            "knownFlags": seccomp::known_flags(),
            "supportedFlags": seccomp::supported_flags(),
        },
        "apparmor": {"enabled": true},
        "selinux": {"enabled": true},
        "intelRdt": {"enabled": true, "schemata": true, "monitoring": true},
        "memoryPolicy": {"modes": config::MODES.map(|(name, _)| name), "flags": memory_policy_flags()},
        "mountExtensions": {"idmap": {"enabled": true}},
        "netDevices": {"enabled": true},
    })
}

fn memory_policy_flags() -> Vec<String> {
    ModeFlags::all().iter_names().map(|(name, _)| format!("MPOL_F_{name}")).collect()
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        features().features
    }

    fn texts(list: &Value) -> Vec<&str> {
        list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
    }

    #[test]
    fn the_lists_are_those_of_the_specification() {
        let features = document();
        let hooks =
            ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
        assert_eq!(texts(&features["hooks"]), hooks);
        let linux = &features["linux"];
        let namespaces = ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"];
        assert_eq!(texts(&linux["namespaces"]), namespaces);
        assert_eq!(texts(&linux["capabilities"]).len(), 41);
        for (list, name) in [
            (&features["mountOptions"], "rro"),
            (&linux["capabilities"], "CAP_CHECKPOINT_RESTORE"),
            (&linux["seccomp"]["actions"], "SCMP_ACT_NOTIFY"),
            (&linux["seccomp"]["operators"], "SCMP_CMP_MASKED_EQ"),
            (&linux["seccomp"]["archs"], "SCMP_ARCH_X86_64"),
            (&linux["seccomp"]["knownFlags"], "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"),
            (&linux["seccomp"]["supportedFlags"], "SECCOMP_FILTER_FLAG_LOG"),
            (&linux["memoryPolicy"]["modes"], "MPOL_INTERLEAVE"),
            (&linux["memoryPolicy"]["flags"], "MPOL_F_STATIC_NODES"),
        ] {
            assert!(texts(list).contains(&name), "{name}: {list}");
        }
    }
}
