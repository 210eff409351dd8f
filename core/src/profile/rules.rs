//! Rules that tie several fields together; each field by itself is right already.

use std::collections::BTreeMap;

use super::diagnostic::Diagnostic;
use super::model::{
    Attestation, AttestationNamed, Capabilities, CapabilitySets, DirectoryRootfs, IdMap, IdMapping,
    NetworkMode, Profile, Rootfs, TimeOffsets, UserNamespace,
};
use super::origins::Origins;
use super::values::{AbsolutePath, CapabilityName};

/// The mistakes of a profile whose fields don't go together.
pub(super) fn mistakes(profile: &Profile, origins: &Origins) -> Vec<Diagnostic> {
    let rules: [fn(&Profile, &Origins) -> Vec<Diagnostic>; 9] =
        [commands, rlimits, rootfs, attestation, times, mount_targets, networks, id_maps, capability_sets];
    rules.iter().flat_map(|rule| rule(profile, origins)).collect()
}

fn commands(profile: &Profile, origins: &Origins) -> Vec<Diagnostic> {
    let empty = profile.workload.command.first().is_some_and(String::is_empty);
    let mistake = || {
        let origin = origins.of("/workload/command/0");
        Diagnostic::new(&origin, "the program of `workload.command` is an empty text", "no program")
    };
    empty.then(mistake).into_iter().collect()
}

fn times(profile: &Profile, origins: &Origins) -> Vec<Diagnostic> {
    let both =
        |time: &&TimeOffsets| time.path.is_some() && (time.monotonic.is_some() || time.boottime.is_some());
    let mistake = |_| {
        let message = "a time namespace that is joined has its offsets already";
        Diagnostic::new(&origins.of("/namespaces/time/path"), message, "a path and offsets")
            .help("keep `path`, or the offsets")
    };
    profile.namespaces.time.as_ref().filter(both).map(mistake).into_iter().collect()
}

fn rootfs(profile: &Profile, origins: &Origins) -> Vec<Diagnostic> {
    let writable =
        matches!(&profile.rootfs, Rootfs::Directory(DirectoryRootfs { path: None, readonly: false, .. }));
    let mistake = || {
        let message = "`rootfs` is the host's programs and libraries, which are always read-only";
        Diagnostic::new(&origins.of("/rootfs/readonly"), message, "cannot be written to")
            .help("name a directory as `rootfs.path`, or mount a tmpfs or a volume where the workload writes")
    };
    writable.then(mistake).into_iter().collect()
}

fn attestation(profile: &Profile, origins: &Origins) -> Vec<Diagnostic> {
    let Rootfs::Directory(DirectoryRootfs { path: None, attestation, .. }) = &profile.rootfs else {
        return Vec::new();
    };
    let mistake = || {
        let message = "`rootfs` is the host's programs and libraries, of which there is no manifest";
        Diagnostic::new(&origins.of("/rootfs/attestation"), message, "cannot be compared")
            .help("name a directory as `rootfs.path`")
    };
    let required = *attestation != Attestation::Named(AttestationNamed::Off);
    required.then(mistake).into_iter().collect()
}

fn rlimits(profile: &Profile, origins: &Origins) -> Vec<Diagnostic> {
    let wrong = profile.workload.rlimits.iter().filter(|(_, limit)| !limit.soft.within(limit.hard));
    let mistake = |name| {
        let origin = origins.of(&format!("/workload/rlimits/{name}/soft"));
        let message = format!("the soft limit of `workload.rlimits.{name}` is above the hard limit");
        Diagnostic::new(&origin, message, "above the hard limit")
    };
    wrong.map(|(name, _)| mistake(name)).collect()
}

fn mount_targets(profile: &Profile, origins: &Origins) -> Vec<Diagnostic> {
    let mut first: BTreeMap<&AbsolutePath, String> = BTreeMap::new();
    let mut mistakes = Vec::new();
    for (pointer, target) in targets(profile) {
        let origin = origins.of(&pointer);
        if let Some(other) = first.get(target) {
            let message = format!("two mounts have the target `{target}`");
            mistakes.push(
                Diagnostic::new(&origin, message, "the second one").help(format!("the first is at {other}")),
            );
        } else {
            first.insert(target, origin.precise());
        }
    }
    mistakes
}

/// Every place of the container at which the profile puts something, and where it says so.
fn targets(profile: &Profile) -> Vec<(String, &AbsolutePath)> {
    let mounts = &profile.mounts;
    let volumes = mounts.volumes.iter().enumerate();
    let tmpfs = mounts.tmpfs.iter().enumerate();
    let volumes = volumes.map(|(index, volume)| (format!("/mounts/volumes/{index}/target"), &volume.target));
    let tmpfs = tmpfs.map(|(index, tmpfs)| (format!("/mounts/tmpfs/{index}/target"), &tmpfs.target));
    volumes.chain(tmpfs).collect()
}

fn networks(profile: &Profile, origins: &Origins) -> Vec<Diagnostic> {
    let both = profile.network.mode == NetworkMode::Host && profile.namespaces.network.is_some();
    let mistake = || {
        let origin = origins.of("/namespaces/network/path");
        let message = "`namespaces.network` joins a namespace, but `network.mode` is host";
        Diagnostic::new(&origin, message, "there are two networks")
            .help(format!("`network.mode` is at {}; keep one of them", origins.of("/network/mode").precise()))
    };
    both.then(mistake).into_iter().collect()
}

fn id_maps(profile: &Profile, origins: &Origins) -> Vec<Diagnostic> {
    let own = match &profile.namespaces.user {
        Some(UserNamespace::New(maps)) => Some(("/namespaces/user".to_owned(), maps)),
        Some(UserNamespace::Join(_)) | None => None,
    };
    let volumes = profile.mounts.volumes.iter().enumerate();
    let of_volumes = volumes.filter_map(|(index, volume)| match &volume.idmap {
        IdMap::Maps(maps) => Some((format!("/mounts/volumes/{index}/idmap"), maps)),
        IdMap::Container(_) => None,
    });
    let each = own.into_iter().chain(of_volumes).flat_map(|(place, maps)| {
        [(format!("{place}/uidMap"), &maps.uid_map), (format!("{place}/gidMap"), &maps.gid_map)]
    });
    each.filter_map(|(pointer, map)| id_map(&pointer, map, origins)).collect()
}

/// `user_namespaces(7)`: a map is not empty, has at most 340 lines, and its ranges don't overlap on either side.
fn id_map(pointer: &str, map: &[IdMapping], origins: &Origins) -> Option<Diagnostic> {
    let place = |index: usize| origins.of(&format!("{pointer}/{index}"));
    let field = format!("`{}`", pointer.trim_start_matches('/').replace('/', "."));
    if map.is_empty() || map.len() > 340 {
        let origin = origins.of(pointer);
        return Some(Diagnostic::new(
            &origin,
            format!("{field} has {} lines", map.len()),
            "1 to 340 are possible",
        ));
    }
    let too_far =
        |entry: &IdMapping| entry.container.get().max(entry.host.get()) + entry.size.get() > 4_294_967_295;
    if let Some(index) = map.iter().position(too_far) {
        return Some(Diagnostic::new(
            &place(index),
            format!("a range of {field} ends above the last id"),
            "too long",
        ));
    }
    let overlap = |one: i64, two: i64, a: &IdMapping, b: &IdMapping| {
        one < two + b.size.get() && two < one + a.size.get()
    };
    let clash = |(at, b): &(usize, &IdMapping)| {
        map[..*at].iter().any(|a| {
            overlap(a.container.get(), b.container.get(), a, b) || overlap(a.host.get(), b.host.get(), a, b)
        })
    };
    map.iter().enumerate().find(clash).map(|(index, _)| {
        Diagnostic::new(
            &place(index),
            format!("two ranges of {field} overlap"),
            "overlaps with an earlier one",
        )
    })
}

fn capability_sets(profile: &Profile, origins: &Origins) -> Vec<Diagnostic> {
    let Capabilities::Sets(sets) = &profile.security.capabilities else {
        return Vec::new();
    };
    let at = |set: &str| origins.of(&format!("/security/capabilities/{set}"));
    let mut mistakes = Vec::new();
    if !sets.inheritable.is_empty() {
        let message = "`security.capabilities.inheritable` must stay empty";
        let help = "programs of the image could regain what was dropped (CVE-2022-24769)";
        mistakes.push(Diagnostic::new(&at("inheritable"), message, "not empty").help(help));
    }
    for (name, set, around, outer) in nested_sets(sets) {
        if let Some(stray) = set.iter().find(|capability| !outer.contains(capability)) {
            let message = format!("{stray} is in the {name} set, but not in the {around} set");
            mistakes.push(Diagnostic::new(
                &at(name),
                message,
                format!("the kernel wants it in {around} too"),
            ));
        }
    }
    mistakes
}

type Nested<'a> = (&'static str, &'a [CapabilityName], &'static str, &'a [CapabilityName]);

/// capabilities(7): which set must lie within which other.
fn nested_sets(sets: &CapabilitySets) -> [Nested<'_>; 3] {
    [
        ("effective", &sets.effective, "permitted", &sets.permitted),
        ("permitted", &sets.permitted, "bounding", &sets.bounding),
        ("ambient", &sets.ambient, "inheritable", &sets.inheritable),
    ]
}
