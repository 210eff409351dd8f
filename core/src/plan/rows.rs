//! The plan as lines: each effective value, who decided it, and what a backend must be able to do for it.
//!
//! This is the one list. `explain` prints it, and the check against the backend's report goes through it, so nothing
//! can be promised without being shown, or shown without being checked.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use nucleus_abi::{Capability, Init, LandlockAccess, LandlockRule};

use super::decided::Decided;
use super::network::{AttachedPlan, NetworkPlan, Way};
use super::secrets::{Presence, SecretPlan, Swap};
use super::types::{
    Access, AttestationPlan, CapabilitySets, ContextMode, ContextOwner, ContextPlan, DevicePlan, Enforcement,
    EnvPlan, Execution, IdMapping, Identity, OverlayPlan, Plan, RlimitPlan, RootfsPlan, SeccompPlan,
    Submounts, Terminal, TimeOffsets, TmpfsPlan, UpperPlan, UserPlan, VolumeIds, VolumePlan,
};
use crate::profile::Origin;

/// One line of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The profile field, as a path of keys.
    pub field: String,
    /// The effective value as text.
    pub value: String,
    /// Who decided it.
    pub origin: Origin,
    /// What the backend must be able to enforce for it; empty where the core itself sees to it.
    pub needs: Vec<Capability>,
}

/// The plan's lines, in the order of the profile.
pub fn rows(plan: &Plan) -> Vec<Row> {
    let mut rows = Rows(Vec::with_capacity(48));
    head(plan, &mut rows);
    process(plan, &mut rows);
    files(plan, &mut rows);
    namespaces(plan, &mut rows);
    resources(plan, &mut rows);
    security(plan, &mut rows);
    rows.0
}

struct Rows(Vec<Row>);

impl Rows {
    fn push(
        &mut self,
        field: impl Into<String>,
        value: impl Into<String>,
        origin: &Origin,
        needs: &[Capability],
    ) {
        self.0.push(Row {
            field: field.into(),
            value: value.into(),
            origin: origin.clone(),
            needs: needs.to_vec(),
        });
    }
}

fn head(plan: &Plan, rows: &mut Rows) {
    let enforcement = match plan.enforcement.value {
        Enforcement::Strict => "strict",
        Enforcement::Permissive => "permissive",
    };
    rows.push("name", &*plan.profile.value, &plan.profile.origin, &[]);
    rows.push("backend", &*plan.backend.value, &plan.backend.origin, &[Capability::SealedRuntime]);
    rows.push("enforcement", enforcement, &plan.enforcement.origin, &[]);
}

fn process(plan: &Plan, rows: &mut Rows) {
    let process = &plan.process;
    if !process.command.value.is_empty() {
        rows.push("workload.command", command(&process.command.value), &process.command.origin, &[]);
    }
    rows.push("workload.user", user(&process.user.value), &process.user.origin, &[Capability::User]);
    if !process.additional_groups.value.is_empty() {
        let groups = list(process.additional_groups.value.iter());
        rows.push(
            "workload.additionalGroups",
            groups,
            &process.additional_groups.origin,
            &[Capability::User],
        );
    }
    rows.push(
        "workload.umask",
        format!("{:04o}", process.umask.value),
        &process.umask.origin,
        &[Capability::Umask],
    );
    if let Some(name) = &process.hostname {
        rows.push("workload.hostname", &*name.value, &name.origin, &[Capability::Hostname]);
    }
    if let Some(name) = &process.domainname {
        rows.push("workload.domainname", &*name.value, &name.origin, &[Capability::Hostname]);
    }
    for (name, variable) in &process.env {
        let value = match &variable.value {
            EnvPlan::Given(value) => value,
            EnvPlan::Inherited(_) => "(the host's)",
        };
        rows.push(format!("workload.env.{name}"), value, &variable.origin, &[]);
    }
    rows.push("workload.cwd", show(&process.cwd.value), &process.cwd.origin, &[]);
    match process.terminal.value {
        Terminal::Own => {
            rows.push("workload.terminal", "own", &process.terminal.origin, &[Capability::Terminal]);
        }
        Terminal::Inherited => rows.push("workload.terminal", "none", &process.terminal.origin, &[]),
    }
    match process.init.value {
        Init::Reaper => rows.push("workload.init", "true", &process.init.origin, &[Capability::Init]),
        Init::Workload => rows.push("workload.init", "false", &process.init.origin, &[]),
    }
    for (name, limit) in &process.rlimits {
        rows.push(
            format!("workload.rlimits.{name}"),
            rlimit(limit.value),
            &limit.origin,
            &[Capability::Rlimits],
        );
    }
    if let Some(score) = &process.oom_score_adj {
        rows.push("workload.oomScoreAdj", score.value.to_string(), &score.origin, &[Capability::OomScoreAdj]);
    }
}

fn files(plan: &Plan, rows: &mut Rows) {
    let rootfs = match &plan.rootfs.value {
        RootfsPlan::HostRuntime { .. } => "host-runtime".to_owned(),
        RootfsPlan::Directory(path) => show(path),
        RootfsPlan::Overlay(overlay) => overlay_text(overlay),
        // What the joined mount namespace has, and how, is its owner's.
        RootfsPlan::Joined => {
            rows.push("rootfs", "of the joined mount namespace", &plan.rootfs.origin, &[]);
            return secrets(plan, rows);
        }
    };
    rows.push("rootfs", rootfs, &plan.rootfs.origin, &[Capability::Rootfs, Capability::RootfsNodev]);
    if let Some(attestation) = &plan.attestation {
        rows.push("rootfs.attestation", attestation_text(&attestation.value), &attestation.origin, &[]);
    }
    match plan.rootfs_access.value {
        Access::ReadOnly => {
            rows.push("rootfs.readonly", "true", &plan.rootfs_access.origin, &[Capability::RootfsReadonly]);
        }
        Access::ReadWrite => rows.push("rootfs.readonly", "false", &plan.rootfs_access.origin, &[]),
    }
    if let Some(context) = &plan.context {
        context_rows(context, rows);
    }
    for volume in &plan.volumes {
        let field = format!("mounts.volumes[{}]", show(&volume.value.target));
        rows.push(field, volume_text(&volume.value), &volume.origin, &volume_needs(&volume.value));
    }
    for admitted in &plan.admitted {
        let field = format!("mounts.volumes[{}].source", show(&admitted.value.target));
        rows.push(field, &*admitted.value.why, &admitted.origin, &[]);
    }
    for tmpfs in &plan.tmpfs {
        let field = format!("mounts.tmpfs[{}]", show(&tmpfs.value.target));
        rows.push(
            field,
            tmpfs_text(&tmpfs.value),
            &tmpfs.origin,
            &[Capability::Tmpfs, Capability::MountFlags],
        );
    }
    devices(plan, rows);
    rows.push("mounts.shm", plan.shm.value.to_string(), &plan.shm.origin, &[Capability::Tmpfs]);
    secrets(plan, rows);
}

/// Where each comes from and goes. What it is nobody has looked at.
fn secrets(plan: &Plan, rows: &mut Rows) {
    let secrets = &plan.secrets;
    if secrets.list.is_empty() {
        return;
    }
    let swap = match secrets.swap {
        Swap::Never => "never swapped".to_owned(),
        Swap::Possible(reason) => format!("MAY BE SWAPPED OUT: {reason}"),
    };
    rows.push("mounts.secrets", format!("{}, {swap}", secrets.size.value), &secrets.size.origin, &[]);
    for secret in &secrets.list {
        let mut needs = Vec::new();
        needs.extend(secret.value.file.as_ref().map(|_| Capability::Secrets));
        needs.extend(secret.value.variable.as_ref().map(|_| Capability::SecretEnvironment));
        rows.push(
            format!("secrets[{}]", secret.value.name),
            secret_text(&secret.value),
            &secret.origin,
            &needs,
        );
    }
}

fn namespaces(plan: &Plan, rows: &mut Rows) {
    match &plan.network.value {
        // The line below, with the path, is what holds.
        NetworkPlan::None if plan.namespaces.joined.contains_key("network") => {}
        NetworkPlan::None => {
            let needs = [Capability::NamespaceNetwork, Capability::NetworkNone];
            rows.push("network.mode", "none", &plan.network.origin, &needs);
        }
        NetworkPlan::Host => {
            rows.push("network.mode", "host", &plan.network.origin, &[Capability::NetworkHost]);
        }
        NetworkPlan::Attached(attached) => {
            let needs = [Capability::NamespaceNetwork, Capability::NetworkAttached];
            let mode = match attached.way {
                Way::Bridge => "bridge",
                Way::Userspace(_) => "userspace",
            };
            rows.push("network.mode", mode, &plan.network.origin, &needs);
            self::attached(attached, rows);
        }
        NetworkPlan::Container(id) => {
            let needs = [Capability::NamespaceNetwork, Capability::NamespaceJoin];
            rows.push("network.mode", format!("that of {id}"), &plan.network.origin, &needs);
        }
    }
    for (kind, needs) in [
        ("pid", Capability::NamespacePid),
        ("mount", Capability::NamespaceMount),
        ("network", Capability::NamespaceNetwork),
        ("ipc", Capability::NamespaceIpc),
        ("uts", Capability::NamespaceUts),
        ("cgroup", Capability::NamespaceCgroup),
        ("user", Capability::NamespaceUser),
        ("time", Capability::NamespaceTime),
    ] {
        match plan.namespaces.joined.get(kind) {
            Some(path) => {
                let field = format!("namespaces.{kind}.path");
                rows.push(field, show(&path.value), &path.origin, &[needs, Capability::NamespaceJoin]);
            }
            None if matches!(kind, "user" | "network" | "time") => {}
            None => rows.push(format!("namespaces.{kind}"), "own", &Origin::BuiltIn("default"), &[needs]),
        }
    }
    if let Some(user) = &plan.namespaces.user {
        let maps = format!("uid {}; gid {}", id_map(&user.value.uid_map), id_map(&user.value.gid_map));
        rows.push("namespaces.user", maps, &user.origin, &[Capability::NamespaceUser]);
    }
    if let Some(time) = &plan.namespaces.time {
        rows.push("namespaces.time", offsets(time.value), &time.origin, &[Capability::NamespaceTime]);
    }
}

/// What the core itself attaches and enforces.
fn attached(plan: &AttachedPlan, rows: &mut Rows) {
    match &plan.way {
        Way::Bridge => rows.push("network.name", plan.name.value.as_str(), &plan.name.origin, &[]),
        Way::Userspace(program) => {
            let text = format!("{} ({})", show(&program.path), program.version);
            rows.push("network.program", text, &Origin::BuiltIn("found on the host"), &[]);
        }
    }
    if let Some(subnets) = &plan.subnets {
        rows.push("network.subnets", list(subnets.value.iter()), &subnets.origin, &[]);
    }
    if let Some(addresses) = &plan.address {
        rows.push("network.address", list(addresses.value.iter()), &addresses.origin, &[]);
    }
    if let Some(mac) = &plan.mac {
        rows.push("network.mac", mac.value.to_string(), &mac.origin, &[]);
    }
    rows.push("network.mtu", plan.mtu.value.to_string(), &plan.mtu.origin, &[]);
    match &plan.resolver.servers {
        Some(servers) if servers.value.is_empty() => {
            rows.push("network.dns", "none", &servers.origin, &[]);
        }
        Some(servers) => rows.push("network.dns", list(servers.value.iter()), &servers.origin, &[]),
        None => rows.push("network.dns", "the host's", &Origin::BuiltIn("default"), &[]),
    }
    if let Some(search) = &plan.resolver.search {
        rows.push("network.dnsSearch", list(search.value.iter()), &search.origin, &[]);
    }
    for (name, address) in &plan.hosts {
        rows.push(format!("network.hosts.{name}"), address.value.to_string(), &address.origin, &[]);
    }
    for (index, publish) in plan.publish.iter().enumerate() {
        rows.push(format!("network.publish[{index}]"), publish.value.to_string(), &publish.origin, &[]);
    }
    let Some(egress) = &plan.egress else {
        return rows.push("network.egress", "everywhere", &Origin::BuiltIn("default"), &[]);
    };
    rows.push("network.egress.default", egress.value.otherwise.word(), &egress.origin, &[]);
    for rule in &egress.value.rules {
        let ports = rule.ports.map_or_else(|| "all".to_owned(), |ports| ports.to_string());
        let field = format!("network.egress.{}", rule.verdict.word());
        rows.push(field, format!("{}, {ports}", rule.to), &egress.origin, &[]);
    }
}

fn resources(plan: &Plan, rows: &mut Rows) {
    let resources = &plan.resources;
    limit(rows, "memory", Capability::Memory, resources.memory.as_ref(), u64::to_string);
    limit(rows, "swap", Capability::Swap, resources.swap.as_ref(), u64::to_string);
    limit(rows, "cpus", Capability::Cpu, resources.cpu.as_ref(), |cpu| {
        format!("{} of each {} µs", cpu.quota, cpu.period)
    });
    limit(rows, "cpuShares", Capability::CpuShares, resources.cpu_shares.as_ref(), u64::to_string);
    limit(rows, "cpuset", Capability::Cpuset, resources.cpuset_cpus.as_ref(), String::clone);
    limit(rows, "memoryNodes", Capability::Cpuset, resources.cpuset_mems.as_ref(), String::clone);
    limit(rows, "pids", Capability::Pids, resources.pids.as_ref(), i64::to_string);
    limit(rows, "io.weight", Capability::Io, resources.io_weight.as_ref(), u16::to_string);
    for rate in &resources.io_rates {
        rows.push(rate.value.field(), rate.value.rate.to_string(), &rate.origin, &[Capability::Io]);
    }
}

fn limit<T>(
    rows: &mut Rows,
    field: &str,
    needs: Capability,
    decided: Option<&Decided<T>>,
    text: impl FnOnce(&T) -> String,
) {
    if let Some(decided) = decided {
        rows.push(format!("resources.{field}"), text(&decided.value), &decided.origin, &[needs]);
    }
}

fn security(plan: &Plan, rows: &mut Rows) {
    let security = &plan.security;
    let capabilities = &security.capabilities;
    let sets = capability_sets(&capabilities.value);
    rows.push("security.capabilities", sets, &capabilities.origin, &[Capability::Capabilities]);
    match &security.seccomp.value {
        SeccompPlan::Unconfined => rows.push("security.seccomp", "unconfined", &security.seccomp.origin, &[]),
        SeccompPlan::Filter { name, .. } => {
            rows.push("security.seccomp", &**name, &security.seccomp.origin, &[Capability::Seccomp]);
        }
    }
    match &security.landlock.value {
        None => rows.push("security.landlock", "off", &security.landlock.origin, &[]),
        Some(rules) => {
            rows.push(
                "security.landlock",
                landlock(rules),
                &security.landlock.origin,
                &[Capability::Landlock],
            );
        }
    }
    let privileges = &security.no_new_privileges;
    let needs: &[Capability] = if privileges.value { &[Capability::NoNewPrivileges] } else { &[] };
    rows.push("security.noNewPrivileges", privileges.value.to_string(), &privileges.origin, needs);
    for (field, paths, needs) in [
        ("maskedPaths", &security.masked_paths, Capability::MaskedPaths),
        ("readonlyPaths", &security.readonly_paths, Capability::ReadonlyPaths),
    ] {
        if !paths.value.is_empty() {
            rows.push(format!("security.{field}"), path_list(&paths.value), &paths.origin, &[needs]);
        }
    }
    for (name, value) in &security.sysctls {
        rows.push(format!("security.sysctls.{name}"), &*value.value, &value.origin, &[Capability::Sysctls]);
    }
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

fn list<T: std::fmt::Display>(items: impl Iterator<Item = T>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn path_list(paths: &[PathBuf]) -> String {
    list(paths.iter().map(|path| path.display()))
}

fn command(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A word as a shell would read it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn user(plan: &UserPlan) -> String {
    let name = |identity: &Identity| match identity {
        Identity::Id(id) => id.to_string(),
        Identity::Name(name) => format!("{name} (of the image)"),
    };
    match &plan.group {
        Some(group) => format!("{}:{}", name(&plan.user), name(group)),
        None => name(&plan.user),
    }
}

fn rlimit(limit: RlimitPlan) -> String {
    let text = |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |value| value.to_string());
    format!("{}:{}", text(limit.soft), text(limit.hard))
}

/// The backend mounts it; what was copied and proved before, it need not know.
fn context_rows(context: &Decided<ContextPlan>, rows: &mut Rows) {
    let Decided { value: plan, origin } = context;
    let needs = [Capability::Volumes, Capability::MountFlags, Capability::VolumesReadonly];
    let text = format!("{} ro,nosuid,nodev,{}", show(&plan.source), exec(plan.execution));
    rows.push(format!("context[{}]", show(&plan.target)), text, origin, &needs);
    rows.push("context.source", &*plan.admitted.value.why, &plan.admitted.origin, &[]);
    if plan.mode == ContextMode::Bind {
        return rows.push("context.mode", "bind", origin, &[]);
    }
    let owner = match plan.owner {
        ContextOwner::Source => "owners kept",
        ContextOwner::Workload => "the workload's own",
    };
    let mut text = format!("copy of at most {} bytes, {owner}", plan.size);
    if !plan.exclude.is_empty() {
        let _ = write!(text, ", without {}", plan.exclude.join(", "));
    }
    rows.push("context.mode", text, origin, &[]);
    rows.push("context.verify", plan.verify.to_string(), origin, &[]);
}

fn attestation_text(plan: &AttestationPlan) -> String {
    let mut text = "required".to_owned();
    if let Some(manifest) = &plan.manifest {
        let _ = write!(text, ", by {}", show(manifest));
    }
    if let Some(key) = &plan.public_key {
        let _ = write!(text, ", signed by {key}");
    }
    text
}

fn exec(execution: Execution) -> &'static str {
    match execution {
        Execution::Allowed => "exec",
        Execution::Denied => "noexec",
    }
}

fn devices(plan: &Plan, rows: &mut Rows) {
    let needs: &[Capability] = if plan.has_device_rules() { &[Capability::Devices] } else { &[] };
    if plan.devices.is_empty() {
        return rows.push("devices", "the standard ones", &plan.devices_origin, needs);
    }
    for device in &plan.devices {
        let DevicePlan { source, target, number, access, mode, uid, gid } = &device.value;
        let letter = number.kind.letter();
        let text = format!(
            "{} {letter} {}:{} {access},mode={mode:04o},owner={uid}:{gid}",
            show(source),
            number.major,
            number.minor
        );
        rows.push(format!("devices[{}]", show(target)), text, &device.origin, needs);
    }
}

fn overlay_text(overlay: &OverlayPlan) -> String {
    let upper = match &overlay.upper {
        None => String::new(),
        Some(UpperPlan::Memory { size }) => format!("; upper: tmpfs, size={size}"),
        Some(UpperPlan::Directory { path, .. }) => format!("; upper: {}", show(path)),
    };
    format!("overlay of {}{upper}", path_list(&overlay.lower))
}

fn volume_needs(volume: &VolumePlan) -> Vec<Capability> {
    let mut needs = vec![Capability::Volumes, Capability::MountFlags];
    if volume.access == Access::ReadOnly {
        needs.push(Capability::VolumesReadonly);
    }
    if volume.id_map.is_some() {
        needs.push(Capability::VolumesIdmapped);
    }
    needs
}

fn volume_text(volume: &VolumePlan) -> String {
    let access = match volume.access {
        Access::ReadOnly => "ro",
        Access::ReadWrite => "rw",
    };
    let submounts = match volume.submounts {
        Submounts::Included => ",rbind",
        Submounts::LeftOut => "",
    };
    let ids = match &volume.id_map {
        None => String::new(),
        Some(VolumeIds::Container) => ",idmap".to_owned(),
        Some(VolumeIds::Maps(maps)) => {
            format!(",idmap uid {}; gid {}", id_map(&maps.uid_map), id_map(&maps.gid_map))
        }
    };
    format!("{} {access},nosuid,nodev,{}{submounts}{ids}", show(&volume.source), exec(volume.execution))
}

fn secret_text(secret: &SecretPlan) -> String {
    let file = secret.file.as_ref().map(|file| {
        let owner = file.owner.as_ref().map_or_else(|| "the workload's".to_owned(), user);
        format!("{} mode={:04o} owner={owner}", show(&file.target), file.mode)
    });
    let variable = secret.variable.as_ref().map(|name| format!("variable {name}"));
    let optional = match secret.presence {
        Presence::Required => "",
        Presence::Optional => " (optional)",
    };
    format!("{}{optional} → {}", secret.source, list(file.into_iter().chain(variable)))
}

fn tmpfs_text(tmpfs: &TmpfsPlan) -> String {
    let mut text = format!("size={},mode={:04o}", tmpfs.size, tmpfs.mode);
    for (key, value) in tmpfs_numbers(tmpfs) {
        let _ = write!(text, ",{key}={value}");
    }
    format!("{text},nosuid,nodev,{}", exec(tmpfs.execution))
}

/// The options of tmpfs(5) that a plan gives only where the profile does.
pub(crate) fn tmpfs_numbers(tmpfs: &TmpfsPlan) -> impl Iterator<Item = (&'static str, u64)> {
    let ids = [("uid", tmpfs.uid.map(u64::from)), ("gid", tmpfs.gid.map(u64::from))];
    ids.into_iter().chain([("nr_inodes", tmpfs.inodes)]).filter_map(|(key, value)| Some((key, value?)))
}

fn id_map(map: &[IdMapping]) -> String {
    list(map.iter().map(|line| format!("{}→{}+{}", line.container, line.host, line.size)))
}

fn offsets(time: TimeOffsets) -> String {
    let mut text = String::new();
    for (name, offset) in [("monotonic", time.monotonic), ("boottime", time.boottime)] {
        if let Some(offset) = offset {
            let gap = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{gap}{name} +{}s", offset.as_secs_f64());
        }
    }
    text
}

fn capability_sets(sets: &CapabilitySets) -> String {
    let set = |names: &std::collections::BTreeSet<&str>| {
        if names.is_empty() { "none".to_owned() } else { list(names.iter()) }
    };
    if sets.bounding == sets.effective && sets.bounding == sets.permitted && sets.ambient.is_empty() {
        return set(&sets.bounding);
    }
    format!(
        "bounding: {}; permitted: {}; effective: {}; ambient: {}",
        set(&sets.bounding),
        set(&sets.permitted),
        set(&sets.effective),
        set(&sets.ambient)
    )
}

fn landlock(rules: &[LandlockRule]) -> String {
    let access = |access: LandlockAccess| match access {
        LandlockAccess::Read => "r",
        LandlockAccess::ReadExecute => "rx",
        LandlockAccess::ReadWrite => "rw",
        LandlockAccess::ReadWriteExecute => "rwx",
    };
    list(rules.iter().map(|rule| format!("{} {}", rule.path.display(), access(rule.access))))
}
