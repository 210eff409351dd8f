//! Known flaws of runsc's releases, as data. A release below the floor is refused under `enforcement: strict`, unless the profile
//! accepts the flaw by name or nucleus itself closes it.
//!
//! The days of CVE-2025-2713 and CVE-2026-96812 are the advisories' own. The others name a change of the source; their days are a
//! conservative choice, of a release after it.

use crate::release::Release;

/// One of them.
#[derive(Debug)]
pub(crate) struct Advisory {
    /// Its public name.
    pub(crate) name: &'static str,
    /// The first release that surely has the remedy.
    pub(crate) fixed: Release,
    /// What an attacker gains.
    pub(crate) flaw: &'static str,
    /// What stands in its way here, whatever the release.
    closed: Closed,
}

/// What stands in the way of a flaw.
#[derive(Debug, PartialEq, Eq)]
enum Closed {
    /// Nothing of ours.
    Open,
    /// What nucleus always does.
    Always,
    /// That nothing reaches gVisor's network stack from outside.
    WithoutNetwork,
}

const KNOWN: [Advisory; 6] = [
    Advisory {
        name: "CVE-2018-16359",
        fixed: Release(20_180_823),
        flaw: "the sandbox may call renameat(2) on the host",
        closed: Closed::Open,
    },
    Advisory {
        name: "CVE-2023-7258",
        fixed: Release(20_231_218),
        flaw: "who may mount inside can make the sandbox panic",
        closed: Closed::Open,
    },
    Advisory {
        name: "CVE-2024-10026",
        fixed: Release(20_241_028),
        flaw: "a remote attacker learns a local address and an identifier of the boot from a weak hash",
        closed: Closed::WithoutNetwork,
    },
    Advisory {
        name: "CVE-2024-10603",
        fixed: Release(20_241_028),
        flaw: "a remote attacker predicts source ports and other values of headers",
        closed: Closed::WithoutNetwork,
    },
    Advisory {
        name: "CVE-2025-2713",
        fixed: Release(20_250_319),
        flaw: "the workload has more rights to files than its user until its first fork",
        closed: Closed::Open,
    },
    // Device nodes of images, such as /dev/cuse: every mount that the gofer gets from the engine is `nodev`.
    Advisory {
        name: "CVE-2026-96812",
        fixed: Release(20_260_824),
        flaw: "a device node in the image is opened on the host",
        closed: Closed::Always,
    },
];

/// What of the network reaches the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Its own loopback interface.
    Nothing,
    /// More.
    Something,
}

/// The advisories that are open in a release and not accepted. Of a release that names no day, all are.
pub(crate) fn open(
    release: Option<Release>,
    reach: Reach,
    accepted: &[String],
) -> impl Iterator<Item = &'static Advisory> {
    let concerns = move |one: &&Advisory| release.is_none_or(|release| release < one.fixed);
    let is_open = move |one: &&Advisory| match one.closed {
        Closed::Open => true,
        Closed::Always => false,
        Closed::WithoutNetwork => reach == Reach::Something,
    };
    KNOWN.iter().filter(concerns).filter(is_open).filter(|one| !accepted.iter().any(|name| name == one.name))
}

/// Why a release cannot be trusted, if so.
pub(crate) fn refusal(release: Option<Release>, reach: Reach, accepted: &[String]) -> Option<String> {
    let open: Vec<&Advisory> = open(release, reach, accepted).collect();
    if open.is_empty() {
        return None;
    }
    let this = release.map_or("this release, which names no day".to_owned(), |day| format!("release {day}"));
    let flaws: Vec<String> =
        open.iter().map(|one| format!("{}: {} (mended in {})", one.name, one.flaw, one.fixed)).collect();
    let names: Vec<&str> = open.iter().map(|one| one.name).collect();
    Some(format!(
        "{this} of runsc has known flaws: {}; install a later one, or accept them by name: `acceptAdvisories: [{}]`",
        flaws.join("; "),
        names.join(", ")
    ))
}

/// Whether there is an advisory of this name.
pub(crate) fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|one| one.name == name)
}

/// All names.
pub(crate) fn names() -> String {
    KNOWN.map(|one| one.name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(day: u32, reach: Reach, accepted: &[&str]) -> Vec<&'static str> {
        let accepted: Vec<String> = accepted.iter().map(|&name| name.to_owned()).collect();
        open(Some(Release(day)), reach, &accepted).map(|one| one.name).collect()
    }

    /// Each floor, on its own day and on the day before.
    #[test]
    fn a_release_is_refused_below_each_floor_and_not_at_it() {
        for one in KNOWN.iter().filter(|one| one.closed != Closed::Always) {
            assert!(names_of(one.fixed.0 - 1, Reach::Something, &[]).contains(&one.name), "{}", one.name);
            assert!(!names_of(one.fixed.0, Reach::Something, &[]).contains(&one.name), "{}", one.name);
        }
    }

    #[test]
    fn what_nucleus_closes_is_open_in_no_release() {
        assert!(!names_of(20_180_101, Reach::Something, &[]).contains(&"CVE-2026-96812"));
    }

    #[test]
    fn flaws_of_the_network_stack_need_a_network() {
        let debian = |reach| names_of(20_240_729, reach, &[]);
        assert_eq!(debian(Reach::Nothing), ["CVE-2025-2713"]);
        assert_eq!(debian(Reach::Something), ["CVE-2024-10026", "CVE-2024-10603", "CVE-2025-2713"]);
    }

    #[test]
    fn what_is_accepted_by_name_is_no_reason() {
        assert_eq!(names_of(20_240_729, Reach::Nothing, &["CVE-2025-2713"]), [""; 0]);
        assert_eq!(names_of(20_221_219, Reach::Nothing, &["CVE-2025-2713"]), ["CVE-2023-7258"]);
    }

    #[test]
    fn a_release_that_names_no_day_has_them_all() {
        let text = refusal(None, Reach::Something, &[]).unwrap();
        assert!(text.contains("CVE-2018-16359") && text.contains("names no day"), "{text}");
        assert_eq!(refusal(Some(Release(20_260_824)), Reach::Something, &[]), None);
    }
}
