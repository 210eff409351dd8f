//! Every kind of wrong profile: one clear text each, held by snapshots.

use std::fmt::Write as _;

use nucleus_abi::ErrorCode;
use nucleus_core::profile::{Color, Diagnostics, LoadError, Request, check, load};
use proptest::prelude::*;

use crate::rig::Directory;

const V1: &str = "apiVersion: nucleus/v1\n";

fn diagnostics_of(path: &str) -> Diagnostics {
    match load(&Request { profile: Some(path), ..Request::default() }) {
        Ok(loaded) => panic!("this must not load: {:?}", loaded.files),
        Err(LoadError::Failed(error)) => panic!("{error}"),
        Err(LoadError::Invalid(diagnostics)) => *diagnostics,
    }
}

/// What the operator sees, with the test's directory cut from the names of files.
fn rendered(dir: &Directory, path: &str) -> String {
    diagnostics_of(path).render(Color::Never).replace(&dir.path(""), "")
}

fn rendered_text(name: &str, text: impl AsRef<[u8]>) -> String {
    let dir = Directory::new(name);
    let path = dir.write("profile.yaml", text);
    rendered(&dir, &path)
}

#[test]
fn unknown_keys() {
    let text = "enforcment: strict\nmemory: 1G\nresources:\n  memroy: 512M\n  io: {wieght: 10}\nmounts:\n  volumes:\n    - {source: a, target: /a, colour: red}\n";
    insta::assert_snapshot!(rendered_text("unknown", format!("{V1}{text}")));
}

#[test]
fn wrong_types() {
    let text = "\
workload:
  command: /bin/sh
  user: {uid: 1}
  env: {PORT: 8080}
  cwd: true
  init: \"yes\"
  umask: 22
resources: [memory]
rootfs: 5
mounts:
network: none
";
    insta::assert_snapshot!(rendered_text("types", format!("{V1}{text}")));
}

#[test]
fn attestations() {
    let text = "rootfs: {attestation: {manifest: m}}\n";
    insta::assert_snapshot!("attestation_of_nothing", rendered_text("attest", format!("{V1}{text}")));
    let text = "rootfs:\n  path: x\n  attestation: {publicKey: RWQ, manifets: m}\n";
    insta::assert_snapshot!("attestation_by_nobody", rendered_text("attest", format!("{V1}{text}")));
    let text = "rootfs: {path: x, attestation: yes}\n";
    insta::assert_snapshot!("attestation_maybe", rendered_text("attest", format!("{V1}{text}")));
}

#[test]
fn contexts() {
    let text = "context: {source: x, mode: bind, verify: true, exclude: [a], size: 1G, owner: workload}\n";
    insta::assert_snapshot!("context_bound", rendered_text("context", format!("{V1}{text}")));
    let text = "context: {mode: link, target: ../x}\n";
    insta::assert_snapshot!("context_of_nothing", rendered_text("context", format!("{V1}{text}")));
    let text = "context: {source: x}\nmounts: {tmpfs: [{target: /context}]}\n";
    insta::assert_snapshot!("context_below_a_tmpfs", rendered_text("context", format!("{V1}{text}")));
}

#[test]
fn wrong_values() {
    let text = "\
backend: Native
enforcement: permisive
workload:
  user: 1000abc
  hostname: -web-
  cwd: srv
  rlimits: {nofiles: 5, core: lots}
  oomScoreAdj: 2000
  env: {A=B: x}
rootfs: host_runtime
resources: {memory: 512Q, cpus: 0, pids: none, cpuset: 3-1}
security:
  capabilities: [NET_RAWW]
  seccomp: off
  sysctls: {kernel.shm+core_pattern: 1}
namespaces:
  time: {boottime: 1w}
";
    insta::assert_snapshot!(rendered_text("values", format!("{V1}{text}")));
}

#[test]
fn missing_fields() {
    let text = "rootfs: {readonly: true}\nnamespaces: {pid: {}}\n";
    let whole = rendered_text("missing", format!("{V1}{text}"));
    let item = rendered_text("missing-item", format!("{V1}mounts:\n  volumes:\n    - source: /a\n"));
    insta::assert_snapshot!(format!("{whole}\n\n{item}"));
}

#[test]
fn fields_that_do_not_go_together() {
    let text = "\
workload:
  command: ['']
  rlimits: {nofile: {soft: 2000, hard: 1000}}
mounts:
  volumes: [{source: /a, target: /x}]
  tmpfs: [{target: /x/}]
network: {mode: host, allowHost: true}
namespaces:
  network: {path: /run/netns/blue}
  user:
    uidMap: [{container: 0, host: 1000, size: 10}, {container: 5, host: 2000, size: 1}]
    gidMap: []
security:
  capabilities: {inheritable: [KILL], effective: [KILL], ambient: [CHOWN]}
";
    insta::assert_snapshot!(rendered_text("rules", format!("{V1}{text}")));
}

#[test]
fn secrets_whose_fields_do_not_go_together() {
    let text = "\
workload: {env: {TOKEN: x}, envFrom: [LANG]}
mounts: {tmpfs: [{target: /run/a}]}
secrets:
  - {source: {}, name: none}
  - {source: {file: a, env: B}, name: two}
  - {source: {env: B, timeout: 5s}, name: late}
  - {source: {command: [pass, show], timeout: 0s}, name: found, optional: true}
  - {source: {fd: 5}, env: TOKEN}
  - {source: {fd: 5}, env: LANG}
  - {source: {fd: 2}, env: LANG}
  - {source: {env: B}}
  - {source: {env: B}, target: /run/a, mode: \"4755\"}
  - {source: {env: B}, name: ../x}
  - {source: {credential: a/b}, name: x}
";
    insta::assert_snapshot!(rendered_text("secrets", format!("{V1}{text}")));
    // Wrong values hide the rules, which need values.
    let rules: Vec<&str> = text.lines().take(12).collect();
    insta::assert_snapshot!(rendered_text("secrets-rules", format!("{V1}{}\n", rules.join("\n"))));
}

#[test]
fn a_variable_that_is_a_secrets_source_is_not_passed_in_the_clear() {
    let text = "\
workload: {envFrom: [LANG, TOKEN]}
secrets:
  - {source: {env: TOKEN}, target: /run/token}
";
    insta::assert_snapshot!(rendered_text("clear", format!("{V1}{text}")));
}

#[test]
fn duplicate_keys() {
    let text = "resources:\n  memory: 1G\n  pids: 5\n  memory: 2G\nresources: {}\n";
    insta::assert_snapshot!(rendered_text("duplicate", format!("{V1}{text}")));
}

#[test]
fn a_missing_parent() {
    let dir = Directory::new("orphan");
    dir.write("base.yaml", V1);
    let path = dir.write("child.yaml", format!("{V1}extends: bsae.yaml\n"));
    insta::assert_snapshot!(rendered(&dir, &path));
}

#[test]
fn a_circle_of_parents() {
    let dir = Directory::new("circle");
    dir.write("a.yaml", format!("{V1}extends: b.yaml\n"));
    dir.write("b.yaml", format!("{V1}extends: c.yaml\n"));
    dir.write("c.yaml", format!("{V1}extends: ./b.yaml\n"));
    insta::assert_snapshot!(rendered(&dir, &dir.path("a.yaml")));
}

#[test]
fn a_profile_that_extends_itself() {
    let dir = Directory::new("self");
    let path = dir.write("a.yaml", format!("{V1}extends: a.yaml\n"));
    insta::assert_snapshot!(rendered(&dir, &path));
}

#[test]
fn too_many_parents() {
    let dir = Directory::new("deep");
    for level in 0..20 {
        dir.write(&format!("{level}.yaml"), format!("{V1}extends: {}.yaml\n", level + 1));
    }
    insta::assert_snapshot!(rendered(&dir, &dir.path("0.yaml")));
}

#[test]
fn a_parent_that_is_no_name() {
    insta::assert_snapshot!(rendered_text("parents", format!("{V1}extends: [a.yaml, b.yaml]\n")));
}

#[test]
fn a_bomb_of_aliases() {
    let mut text = format!("{V1}a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        writeln!(text, "a{level}: &a{level} [{}]", vec![below; 10].join(", ")).unwrap();
    }
    let started = std::time::Instant::now();
    insta::assert_snapshot!(rendered_text("bomb", text));
    assert!(started.elapsed().as_secs() < 5, "the bomb must not be expanded");
}

#[test]
fn aliases_that_lead_nowhere() {
    let own = rendered_text("alias-self", format!("{V1}workload: {{env: &e {{A: *e}}}}\n"));
    let none = rendered_text("alias-none", format!("{V1}mounts: *nothing\n"));
    insta::assert_snapshot!(format!("{own}\n\n{none}"));
}

#[test]
fn nesting_without_end() {
    insta::assert_snapshot!(rendered_text("nesting", format!("{V1}a: {}\n", "[".repeat(1000))));
}

#[test]
fn a_file_of_ten_megabytes() {
    insta::assert_snapshot!(rendered_text("large", "a: b\n".repeat(2 << 20)));
}

#[test]
fn not_utf8() {
    insta::assert_snapshot!(rendered_text("latin1", b"apiVersion: nucleus/v1\nname: caf\xe9 au lait\n"));
}

#[test]
fn tab_indentation() {
    insta::assert_snapshot!(rendered_text("tab", format!("{V1}resources:\n\tmemory: 1G\n")));
}

#[test]
fn empty_files() {
    let nothing = rendered_text("empty", "");
    let comments = rendered_text("comments", "# to do\n");
    let marker = rendered_text("marker", "---\n");
    assert!(comments.contains("the profile is empty"), "{comments}");
    assert!(marker.contains("the profile is empty"), "{marker}");
    insta::assert_snapshot!(nothing);
}

#[test]
fn not_a_map() {
    insta::assert_snapshot!(rendered_text("list", "- apiVersion\n- nucleus/v1\n"));
}

#[test]
fn broken_syntax() {
    let bracket = rendered_text("bracket", format!("{V1}workload: {{command: [a, b}}\n"));
    let quote = rendered_text("quote", format!("{V1}name: \"no end\nresources: {{}}\n"));
    let documents = rendered_text("documents", format!("{V1}---\n{V1}"));
    let tag = rendered_text("tag", format!("{V1}name: !include x\n"));
    insta::assert_snapshot!([bracket, quote, documents, tag].join("\n\n"));
}

#[test]
fn versions() {
    let missing = rendered_text("unversioned", "name: x\n");
    let future = rendered_text("version", "apiVersion: nucleus/v2\n");
    insta::assert_snapshot!(format!("{missing}\n\n{future}"));
}

#[test]
fn a_workload_says_what_only_a_file_may_say() {
    let extends = rendered_text("w-extends", format!("{V1}workloads:\n  a: {{extends: b.yaml}}\n"));
    let version = rendered_text("w-version", format!("{V1}workloads:\n  a: {{apiVersion: nucleus/v1}}\n"));
    insta::assert_snapshot!(format!("{extends}\n\n{version}"));
}

#[test]
fn several_mistakes_in_two_files() {
    let dir = Directory::new("several");
    dir.write("parent.yaml", format!("{V1}resources:\n  memory: much\n  memory: more\nhostname: x\n"));
    let path =
        dir.write("child.yaml", format!("{V1}extends: parent.yaml\nworkload: {{usr: 0}}\nbackend: [a]\n"));
    insta::assert_snapshot!(rendered(&dir, &path));
}

#[test]
fn the_same_mistakes_as_data() {
    let dir = Directory::new("data");
    dir.write("parent.yaml", format!("{V1}resources: {{memory: much}}\n"));
    let path = dir.write("child.yaml", format!("{V1}extends: parent.yaml\nworkload: {{usr: 0}}\n"));
    let error = diagnostics_of(&path).into_error();
    assert_eq!((error.code, error.cause.as_deref()), (ErrorCode::ProfileInvalid, Some("2 mistakes")));
    assert_eq!(error.subject, Some(path));
    let entries: Vec<_> =
        error.also.iter().map(|entry| (entry.subject.clone().unwrap(), entry.hint.as_deref())).collect();
    let child = (dir.display("child.yaml:3:12"), Some("did you mean `user`?"));
    assert_eq!(entries, [child, (dir.display("parent.yaml:2:21"), None)]);
}

#[test]
fn very_long_lines_are_cut() {
    let text = rendered_text("long", format!("{V1}name: [{}]\n", "x, ".repeat(3_000)));
    assert!(text.contains("profile.yaml:2:7"), "{text}");
    assert!(text.len() < 1000, "{} bytes", text.len());
}

#[test]
fn colours_only_where_asked_for() {
    let dir = Directory::new("colours");
    let diagnostics = diagnostics_of(&dir.write("p.yaml", "nothing: here\n"));
    assert!(!diagnostics.render(Color::Never).contains('\x1b'));
    assert!(diagnostics.render(Color::Always).contains('\x1b'));
}

#[test]
fn a_text_with_terminal_controls_does_not_reach_the_terminal() {
    let text = rendered_text("controls", format!("{V1}\"\\e[31mred\": 1\nbackend: \"\\e]0;title\\a\"\n"));
    assert!(!text.contains(['\x1b', '\x07']), "{text:?}");
}

/// The schema's walk must find a mistake wherever serde finds one: else the operator sees serde's own words.
fn yaml_value() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "1",
        "-1",
        "1.5",
        "true",
        "512M",
        "1h",
        "''",
        "default",
        "host-runtime",
        "none",
        "/a",
        "a",
        "0:0",
        "unlimited",
        "\"0022\"",
        "KILL",
        "[]",
        "{}",
    ]);
    let leaf = word.prop_map(str::to_owned).boxed();
    leaf.prop_recursive(3, 12, 3, |inner| {
        let keys = prop::sample::select(vec![
            "path",
            "readonly",
            "name",
            "options",
            "file",
            "soft",
            "hard",
            "source",
            "target",
            "size",
            "mode",
            "uidMap",
            "gidMap",
            "container",
            "host",
            "bounding",
            "A",
            "/dev/vda",
            "nofile",
            "x",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::btree_map(keys, inner, 0..4).prop_map(|entries| {
                let entries: Vec<_> = entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", entries.join(", "))
            }),
        ]
    })
}

const FIELDS: &[&str] = &[
    "name",
    "backend",
    "enforcement",
    "workload.command",
    "workload.user",
    "workload.env",
    "workload.umask",
    "workload.rlimits",
    "workload.init",
    "workload.oomScoreAdj",
    "rootfs",
    "mounts",
    "mounts.volumes",
    "mounts.tmpfs",
    "mounts.shm",
    "network.mode",
    "namespaces.user",
    "namespaces.time",
    "namespaces.pid",
    "resources.memory",
    "resources.cpus",
    "resources.cpuset",
    "resources.pids",
    "resources.io",
    "resources.io.readBps",
    "security.capabilities",
    "security.seccomp",
    "security.landlock",
    "security.maskedPaths",
    "security.sysctls",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn types_and_schema_agree_on_what_is_wrong(field in prop::sample::select(FIELDS), value in yaml_value()) {
        let dir = Directory::new("agree");
        let (mut text, mut depth) = (V1.to_owned(), 0);
        let parts: Vec<_> = field.split('.').collect();
        for part in &parts[..parts.len() - 1] {
            writeln!(text, "{:depth$}{part}:", "").unwrap();
            depth += 1;
        }
        writeln!(text, "{:depth$}{}: {value}", "", parts[parts.len() - 1]).unwrap();
        let path = dir.write("p.yaml", &text);
        let request = Request { profile: Some(&path), ..Request::default() };
        let (fast, thorough) = (load(&request), check(&request));
        prop_assert_eq!(fast.is_ok(), thorough.is_ok(), "{}", text);
        if let Err(LoadError::Invalid(diagnostics)) = fast {
            // `here` alone labels what only serde noticed.
            prop_assert!(diagnostics.iter().all(|mistake| mistake.label != "here"), "{}\n{}", text, diagnostics);
        }
    }
}
