//! Rules that tie several fields together; each field by itself is right already.

mod secrets;

use std::collections::BTreeMap;

use super::diagnostic::Diagnostic;
use super::model::{
    Attestation, AttestationNamed, Capabilities, CapabilitySets, ContextMode, ContextOwner, DirectoryRootfs,
    IdMap, IdMapping, NetworkMode, OverlayRootfs, Profile, Rootfs, TimeOffsets, UserNamespace,
};
use super::origins::Origins;
use super::values::{AbsolutePath, CapabilityName, UpperLayer};

/// The mistakes of a profile whose fields don't go together.
pub(super) fn mistakes(profile: &Profile, origins: &Origins) -> Vec<Diagnostic> {
    let rules: [fn(&Profile, &Origins) -> Vec<Diagnostic>; 11] = [
        contexts,
        commands,
        rlimits,
        rootfs,
        attestation,
        times,
        mount_targets,
        networks,
        id_maps,
        capability_sets,
        secrets::mistakes,
    ];
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
    let Rootfs::Directory(rootfs) = &profile.rootfs else { return Vec::new() };
    let mistake = |field: &str, message: &str, label: &str, help: &str| {
        Diagnostic::new(&origins.of(&format!("/rootfs/{field}")), message, label).help(help)
    };
    let writable = rootfs.readonly == Some(false);
    match (&rootfs.path, &rootfs.overlay) {
        (None, None) if writable => vec![mistake(
            "readonly",
            "`rootfs` is the host's programs and libraries, which are always read-only",
            "cannot be written to",
            "name a directory as `rootfs.path`, or mount a tmpfs or a volume where the workload writes",
        )],
        (Some(_), Some(_)) => {
            let path = origins.of("/rootfs/path").precise();
            let help = format!("`rootfs.path` is at {path}; keep one of them");
            vec![mistake("overlay", "`rootfs` is either a directory or an overlay", "a second root", &help)]
        }
        (None, Some(OverlayRootfs { upper: None, .. })) if writable => vec![mistake(
            "readonly",
            "`rootfs.overlay` has no layer that could be written",
            "cannot be written to",
            "add `upper: tmpfs`, or a directory as `upper`",
        )],
        (None, Some(overlay)) => layers(overlay, &mistake),
        _ => Vec::new(),
    }
}

/// What a layer needs beside itself.
fn layers(
    overlay: &OverlayRootfs,
    mistake: &dyn Fn(&str, &str, &str, &str) -> Diagnostic,
) -> Vec<Diagnostic> {
    let mut mistakes = Vec::new();
    if overlay.lower.is_empty() {
        let help = "name one directory at least";
        mistakes.push(mistake("overlay/lower", "`rootfs.overlay.lower` is empty", "no layer", help));
    }
    let on_disk = matches!(overlay.upper, Some(UpperLayer::Directory(_)));
    if on_disk && overlay.work.is_none() {
        let message = "an `upper` directory needs a work directory";
        let help = "add `work`: an empty directory of the same file system, beside `upper` and not in it";
        mistakes.push(mistake("overlay/upper", message, "without `work`", help));
    }
    if overlay.work.is_some() && !on_disk {
        let message = "`rootfs.overlay.work` belongs to an `upper` directory";
        mistakes.push(mistake("overlay/work", message, "there is none", "remove it"));
    }
    if overlay.size.is_some() && overlay.upper != Some(UpperLayer::Tmpfs) {
        let message = "`rootfs.overlay.size` bounds an `upper` of tmpfs";
        let help = "a directory has the bounds of its file system; for a bound of its own say `upper: tmpfs`";
        mistakes.push(mistake("overlay/size", message, "there is none", help));
    }
    mistakes
}

fn attestation(profile: &Profile, origins: &Origins) -> Vec<Diagnostic> {
    let Rootfs::Directory(DirectoryRootfs { path: None, overlay, attestation, .. }) = &profile.rootfs else {
        return Vec::new();
    };
    let mistake = || {
        let message = match overlay {
            None => "`rootfs` is the host's programs and libraries, of which there is no manifest",
            Some(_) => "`rootfs` is an overlay, of which there is no manifest",
        };
        Diagnostic::new(&origins.of("/rootfs/attestation"), message, "cannot be compared")
            .help("name a directory as `rootfs.path`")
    };
    let required = *attestation != Attestation::Named(AttestationNamed::Off);
    required.then(mistake).into_iter().collect()
}

/// The directory itself is shown as it is.
fn contexts(profile: &Profile, origins: &Origins) -> Vec<Diagnostic> {
    let Some(context) = profile.context.as_ref().filter(|context| context.mode == ContextMode::Bind) else {
        return Vec::new();
    };
    let of_copies = [
        ("verify", context.verify),
        ("exclude", !context.exclude.is_empty()),
        ("size", context.size.is_some()),
        ("owner", context.owner != ContextOwner::Source),
    ];
    let mistake = |(field, _)| {
        let message = format!("`context.{field}` is for copies, and `context.mode` is bind");
        Diagnostic::new(&origins.of(&format!("/context/{field}")), message, "nothing is copied")
            .help("use `mode: copy`, or remove it")
    };
    of_copies.into_iter().filter(|(_, is_set)| *is_set).map(mistake).collect()
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
    let devices = profile.devices.iter().flatten().enumerate().map(|(index, device)| {
        let field = if device.target.is_some() { "target" } else { "path" };
        (format!("/devices/{index}/{field}"), device.target())
    });
    let secrets = profile.secrets.iter().enumerate();
    let secrets = secrets
        .filter_map(|(index, secret)| Some((format!("/secrets/{index}/target"), secret.target.as_ref()?)));
    let context = profile.context.iter().map(|context| ("/context/target".to_owned(), &context.target));
    volumes.chain(tmpfs).chain(devices).chain(secrets).chain(context).collect()
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
