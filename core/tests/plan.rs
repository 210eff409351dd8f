//! Profile in, plan out: origins, needs, and every mistake that only a plan can show.

use std::path::PathBuf;

use nucleus_abi::{Capability, Error, ErrorCode};
use nucleus_core::plan::{HostFacts, Plan, look_at_namespaces, needs, resolve, rows};
use nucleus_core::profile::{FlagValue, Loaded, Request, SearchPath, load};

struct Scratch(PathBuf);

impl Scratch {
    fn new(text: &str) -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("nucleus-plan-{}-{number}.yaml", std::process::id()));
        std::fs::write(&path, format!("apiVersion: nucleus/v1\nname: test\n{text}")).unwrap();
        Self(path)
    }

    fn load(&self, flags: Vec<FlagValue>) -> Loaded {
        let request = Request {
            profile: self.0.to_str(),
            workload: None,
            flags,
            search: SearchPath::of_directories([]),
        };
        load(&request).unwrap_or_else(|error| panic!("{}", Error::from(error)))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn plan(text: &str) -> Result<Plan, Error> {
    resolve(&Scratch::new(text).load(vec![]), &HostFacts::default())
}

const COMMAND: &str = "workload: {command: [/bin/true]}\n";

fn mistake(text: &str) -> Error {
    let error = plan(&format!("{COMMAND}{text}")).expect_err(text);
    assert_eq!(error.code, ErrorCode::PlanInvalid, "{error}");
    error
}

fn row(plan: &Plan, field: &str) -> nucleus_core::plan::Row {
    let found = rows(plan).into_iter().find(|row| row.field == field);
    found.unwrap_or_else(|| panic!("{field} is not in the plan"))
}

#[test]
fn a_secret_is_shown_by_where_it_comes_from_and_goes() {
    let text = "secrets:\n  - {source: {file: /etc/key}, target: /etc/web/key, mode: \"0440\", owner: web}\n  \
        - {source: {env: PASS}, name: pass, optional: true}\n  - {source: {fd: 5}, env: FIVE}\n";
    let plan = plan(&format!("{COMMAND}{text}")).unwrap();
    let shown = |name: &str| {
        let row = row(&plan, &format!("secrets[{name}]"));
        (row.value, row.needs)
    };
    let file = "file /etc/key → /etc/web/key mode=0440 owner=web (of the image)";
    assert_eq!(shown("key"), (file.to_owned(), vec![Capability::Secrets]));
    let command = "variable PASS of nucleus (optional) → /run/secrets/pass mode=0400 owner=the workload's";
    assert_eq!(shown("pass"), (command.to_owned(), vec![Capability::Secrets]));
    let variable = "descriptor 5 → variable FIVE";
    assert_eq!(shown("FIVE"), (variable.to_owned(), vec![Capability::SecretEnvironment]));
    assert_eq!(row(&plan, "mounts.secrets").value, "16777216, never swapped");
}

#[test]
fn a_secret_has_no_place_where_no_file_can_be_made() {
    let secret = |target: &str| format!("  - {{source: {{fd: 5}}, name: key, target: {target}}}\n");
    for target in ["/dev/key", "/proc/key", "/sys/key", "/"] {
        let error = mistake(&format!("secrets:\n{}", secret(target)));
        assert!(error.to_string().contains("belongs to the runtime"), "{error}");
        assert!(error.to_string().contains("`secrets.0.target`"), "{error}");
    }
    let volume = "mounts: {volumes: [{source: /srv, target: /data}]}\n";
    let error = mistake(&format!("{volume}secrets:\n{}", secret("/data/deep/key")));
    assert!(error.to_string().contains("it lies in the volume at /data"), "{error}");
    let context = format!("context: {{source: /srv}}\nsecrets:\n{}", secret("/context/key"));
    let error = mistake(&context);
    assert!(error.to_string().contains("it lies in the context at /context"), "{error}");
    let two = "  - {source: {env: A}, name: key, target: /run/a}\n  - {source: {env: B}, target: /run/a/b}\n";
    let error = mistake(&format!("secrets:\n{two}"));
    assert!(error.to_string().contains("the secret `key`"), "{error}");
    let joined = format!("namespaces: {{mount: {{path: /x}}}}\nsecrets:\n{}", secret("/run/key"));
    let error = mistake(&joined);
    assert!(error.to_string().contains("the mount namespace is joined"), "{error}");
}

#[test]
fn each_value_knows_the_line_the_flag_or_the_default_that_decided_it() {
    let scratch = Scratch::new(&format!("{COMMAND}resources:\n  memory: 64M\n  pids: 7\n"));
    let flags = vec![FlagValue::set("--pids", "/resources/pids", 9)];
    let plan = resolve(&scratch.load(flags), &HostFacts::default()).unwrap();
    let memory = row(&plan, "resources.memory");
    assert_eq!(memory.value, "67108864");
    assert_eq!(memory.origin.to_string(), format!("{}:5", scratch.0.display()));
    let pids = row(&plan, "resources.pids");
    assert_eq!((pids.value.as_str(), pids.origin.to_string().as_str()), ("9", "--pids"));
    assert_eq!(row(&plan, "security.seccomp").origin.to_string(), "built-in default");
}

#[test]
fn what_a_profile_promises_is_needed_of_the_backend() {
    let plan =
        plan(&format!("{COMMAND}resources: {{memory: 64M, swap: 0, cpus: 1.5, cpuset: \"0\"}}\n")).unwrap();
    let needed = needs(&rows(&plan));
    for capability in [
        Capability::Memory,
        Capability::Swap,
        Capability::Cpu,
        Capability::Cpuset,
        Capability::Seccomp,
        Capability::Landlock,
        Capability::NetworkNone,
        Capability::RootfsReadonly,
        Capability::SealedRuntime,
    ] {
        assert!(needed.contains(&capability), "{capability}");
    }
    assert!(!needed.contains(&Capability::Io));
    assert!(!needed.contains(&Capability::NamespaceUser));
}

#[test]
fn what_is_switched_off_is_not_needed() {
    let plan = plan(&format!(
        "{COMMAND}security: {{seccomp: unconfined, landlock: off, noNewPrivileges: false, maskedPaths: [], \
         readonlyPaths: []}}\nresources: {{memory: unlimited, pids: unlimited}}\n"
    ))
    .unwrap();
    let needed = needs(&rows(&plan));
    for capability in [
        Capability::Seccomp,
        Capability::Landlock,
        Capability::NoNewPrivileges,
        Capability::MaskedPaths,
        Capability::ReadonlyPaths,
        Capability::Memory,
        Capability::Pids,
    ] {
        assert!(!needed.contains(&capability), "{capability}");
    }
}

#[test]
fn a_plan_without_a_command_can_be_shown() {
    assert!(plan("").unwrap().process.command.value.is_empty());
}

#[test]
fn the_hosts_network_needs_the_profiles_word() {
    let error = mistake("network: {mode: host}\n");
    assert!(error.subject.unwrap().starts_with("`network.mode`"));
    assert!(plan(&format!("{COMMAND}network: {{mode: host, allowHost: true}}\n")).is_ok());
}

#[test]
fn sysctls_of_the_host_are_refused() {
    let error = mistake("security: {sysctls: {kernel.core_pattern: x}}\n");
    assert!(error.cause.unwrap().contains("belongs to the host"));
    assert!(plan(&format!("{COMMAND}security: {{sysctls: {{kernel.shmmax: \"1\"}}}}\n")).is_ok());
}

#[test]
fn the_runtimes_own_places_are_no_targets() {
    for target in ["/", "/proc", "/proc/self", "/sys", "/dev", "/dev/null"] {
        let error = mistake(&format!("mounts: {{tmpfs: [{{target: {target}}}]}}\n"));
        assert!(error.cause.unwrap().contains("belongs to the runtime"), "{target}");
    }
}

#[test]
fn mounts_are_ordered_by_depth() {
    let plan = plan(&format!(
        "{COMMAND}mounts: {{tmpfs: [{{target: /a/b/c}}, {{target: /a}}, {{target: /a/b}}]}}\n"
    ));
    let targets: Vec<String> =
        plan.unwrap().tmpfs.iter().map(|tmpfs| tmpfs.value.target.display().to_string()).collect();
    assert_eq!(targets, ["/a", "/a/b", "/a/b/c"]);
}

#[test]
fn swap_needs_a_limit_of_memory() {
    mistake("resources: {memory: unlimited, swap: 1M}\n");
}

#[test]
fn an_id_map_without_root_cannot_build_a_container() {
    let map = "[{container: 1, host: 100000, size: 10}]";
    let error = mistake(&format!("namespaces: {{user: {{uidMap: {map}, gidMap: {map}}}}}\n"));
    assert_eq!(error.also.len(), 2, "one for each map");
}

#[test]
fn a_variable_of_the_host_is_taken_by_name_only_and_never_shown() {
    let text = "workload: {command: [x], envFrom: [TOKEN]}\n";
    assert!(plan(text).unwrap_err().cause.unwrap().contains("TOKEN"));
    let facts = HostFacts {
        env: [("TOKEN".to_owned(), "hunter2".to_owned()), ("OTHER".to_owned(), "leak".to_owned())].into(),
        ..HostFacts::default()
    };
    let plan = resolve(&Scratch::new(text).load(vec![]), &facts).unwrap();
    assert_eq!(plan.process.env["TOKEN"].value.value(), "hunter2");
    assert!(!plan.process.env.contains_key("OTHER"));
    assert!(!format!("{:?}", rows(&plan)).contains("hunter2"));
}

#[test]
fn all_mistakes_of_a_plan_are_reported_at_once() {
    let error = plan("network: {mode: host}\nresources: {memory: unlimited, swap: 1M}\n").unwrap_err();
    assert_eq!(error.also.len(), 2);
}

#[test]
fn a_joined_namespace_of_our_own_is_the_hosts_and_is_refused() {
    let text = format!("{COMMAND}namespaces: {{network: {{path: /proc/self/ns/net}}}}\n");
    let facts = HostFacts { own_namespaces: ["network"].into(), ..HostFacts::default() };
    let error = resolve(&Scratch::new(&text).load(vec![]), &facts).unwrap_err();
    assert!(error.cause.unwrap().contains("namespace of nucleus itself"));
    assert!(plan(&text).is_ok(), "somebody else's may be joined");
}

#[test]
fn facts_tell_our_own_namespaces_from_others() {
    let text = format!(
        "{COMMAND}namespaces: {{ipc: {{path: /proc/self/ns/ipc}}, uts: {{path: /proc/self/ns/net}}}}\n"
    );
    let loaded = Scratch::new(&text).load(vec![]);
    let facts = nucleus_core::plan::facts_for(&loaded.profile, &look_at_namespaces(&loaded.profile));
    assert_eq!(facts.own_namespaces.into_iter().collect::<Vec<_>>(), ["ipc"]);
}

#[test]
fn nothing_is_set_in_a_namespace_that_belongs_to_somebody_else() {
    let joined = plan(&format!("{COMMAND}namespaces: {{uts: {{path: /x}}, ipc: {{path: /y}}}}\n")).unwrap();
    assert!(joined.process.hostname.is_none());
    let with_name = "workload: {command: [x], hostname: web}\nnamespaces: {uts: {path: /x}}\n";
    assert!(plan(with_name).unwrap_err().cause.unwrap().contains("its owner's"));
    let error = mistake("namespaces: {ipc: {path: /y}}\nsecurity: {sysctls: {kernel.shmmax: \"1\"}}\n");
    assert!(error.cause.unwrap().contains("which is joined"));
}

#[test]
fn a_joined_mount_namespace_promises_nothing_of_ours() {
    let plan = plan(&format!("{COMMAND}namespaces: {{mount: {{path: /x}}}}\n")).unwrap();
    let needed = needs(&rows(&plan));
    for capability in
        [Capability::MaskedPaths, Capability::ReadonlyPaths, Capability::RootfsReadonly, Capability::Rootfs]
    {
        assert!(!needed.contains(&capability), "{capability}");
    }
    mistake("namespaces: {mount: {path: /x}}\nmounts: {tmpfs: [{target: /t}]}\n");
}

#[test]
fn a_workload_that_may_mount_has_no_read_only_promises_without_landlock() {
    use nucleus_abi::{CapabilityReport, Verdict};
    use nucleus_core::plan::without_what_is_undermined;
    let all = || CapabilityReport::of(&Capability::ALL, |_| Verdict::yes("the test"));
    let sets = |landlock: &str| {
        let text = format!("{COMMAND}security: {{capabilities: [SYS_ADMIN], landlock: {landlock}}}\n");
        without_what_is_undermined(&plan(&text).unwrap(), all())
    };
    assert!(matches!(sets("off").verdict(Capability::MaskedPaths), Verdict::No { .. }));
    assert!(matches!(sets("off").verdict(Capability::Pids), Verdict::Yes { .. }));
    assert!(matches!(sets("default").verdict(Capability::MaskedPaths), Verdict::Yes { .. }));
}
