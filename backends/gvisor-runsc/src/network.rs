//! The network of a container: which stack, and whether this runsc can have it on this kernel.

use std::fmt;

use serde_json::Value;

use crate::options::Stack;
use crate::release::Release;

/// A value of runsc's `--network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// Its own stack, with a loopback interface alone.
    None,
    /// Its own stack, on the interfaces of the container's network namespace.
    Sandbox,
    /// The kernel's stack of the namespace that it is in: the container's, or the host's.
    Host,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Sandbox => "sandbox",
            Self::Host => "host",
        })
    }
}

impl Network {
    /// By the document's network namespace: none means the host's; a new one has nothing to reach; a joined one was prepared
    /// by somebody.
    pub(crate) fn of(config: &Value, stack: Stack) -> Self {
        let namespaces = config.pointer("/linux/namespaces").and_then(Value::as_array);
        let own = namespaces.into_iter().flatten().find(|one| one["type"] == "network");
        match (own, stack) {
            (None, _) => Self::Host,
            (Some(own), Stack::Host) if own["path"].is_string() => Self::Host,
            (Some(own), Stack::Sandbox) if own["path"].is_string() => Self::Sandbox,
            (Some(_), _) => Self::None,
        }
    }
}

/// A kernel's version, major and minor.
pub(crate) type Kernel = (u32, u32);

/// Since then `/proc` shows network namespaces in a way that old releases misread.
const KERNEL: Kernel = (6, 11);
/// The first release that reads it (google/gvisor#10704).
const MENDED: Release = Release(20_240_807);

/// This host's kernel.
pub(crate) fn kernel() -> Kernel {
    parse(&rustix::system::uname().release().to_string_lossy())
}

fn parse(release: &str) -> Kernel {
    let mut numbers =
        release.split(|one: char| !one.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Why runsc's own stack cannot be had here, if so: it is known before the start, which would fail.
pub(crate) fn obstacle(release: Option<Release>, kernel: Kernel) -> Option<String> {
    if kernel < KERNEL || release.is_some_and(|release| release >= MENDED) {
        return None;
    }
    let this = release.map_or("a release that names no day".to_owned(), |day| format!("release {day}"));
    let (major, minor) = kernel;
    Some(format!(
        "{this} of runsc refuses its own network stack on kernel {major}.{minor} (\"cannot run with network enabled in \
         root network namespace\", google/gvisor#10704; mended in {MENDED}); by name there is the kernel's stack in the \
         container's own namespace: `backend.options.networkStack: host`, which shows the workload's socket calls to the host"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(namespaces: &Value) -> Value {
        json!({"linux": {"namespaces": namespaces}})
    }

    #[test]
    fn the_documents_namespace_decides() {
        let own = config(&json!([{"type": "pid"}, {"type": "network"}]));
        let prepared = config(&json!([{"type": "network", "path": "/run/netns/x"}]));
        let host = config(&json!([{"type": "pid"}]));
        for (config, stack, network) in [
            (&own, Stack::Sandbox, Network::None),
            (&own, Stack::Host, Network::None),
            (&prepared, Stack::Sandbox, Network::Sandbox),
            (&prepared, Stack::Host, Network::Host),
            (&host, Stack::Sandbox, Network::Host),
        ] {
            assert_eq!(Network::of(config, stack), network, "{config} {stack:?}");
        }
    }

    #[test]
    fn old_releases_on_new_kernels_are_known_before_they_fail() {
        let (old, new) = (Some(Release(20_240_729)), Some(Release(20_240_807)));
        assert!(obstacle(old, (6, 18)).unwrap().contains("google/gvisor#10704"));
        assert!(obstacle(None, (6, 11)).is_some(), "what is not known is a no");
        assert_eq!(obstacle(old, (6, 1)), None);
        assert_eq!(obstacle(new, (6, 18)), None);
    }

    #[test]
    fn kernels_name_themselves_in_many_ways() {
        assert_eq!(parse("6.18.44-fc-v595"), (6, 18));
        assert_eq!(parse("5.10.0-28-amd64"), (5, 10));
        assert_eq!(parse("7"), (7, 0));
    }
}
