//! Precedence, origins, lookups, and the shipped configurations.

use std::fs;
use std::path::{Path, PathBuf};

use nucleus_abi::ErrorCode;
use nucleus_core::profile::values::{ByteSize, HostName, Limit};
use nucleus_core::profile::{
    Capabilities, Enforcement, FlagValue, LoadError, Loaded, Origin, Request, Rootfs, SearchPath, Seccomp,
    check, load, schema,
};

use crate::rig::Directory;

fn request(file: &str) -> Request<'_> {
    Request { profile: Some(file), ..Request::default() }
}

fn loaded(request: &Request) -> Loaded {
    load(request).unwrap_or_else(|error| panic!("{}", nucleus_abi::Error::from(error)))
}

fn error_of(result: Result<Loaded, LoadError>) -> nucleus_abi::Error {
    match result {
        Ok(loaded) => panic!("this must not load: {:?}", loaded.files),
        Err(error) => error.into(),
    }
}

fn memory(size: &str) -> Limit<ByteSize> {
    Limit::At(size.parse().unwrap())
}

#[test]
fn without_any_profile_the_built_in_one_holds() {
    let loaded = loaded(&Request::default());
    assert!(loaded.profile.backend.name().is_auto());
    assert_eq!(loaded.profile.enforcement, Enforcement::Strict);
    assert!(matches!(loaded.profile.rootfs, Rootfs::HostRuntime(_)));
    assert_eq!(loaded.profile.security.capabilities, Capabilities::List(Vec::new()));
    assert!(loaded.profile.security.no_new_privileges);
    assert_eq!(loaded.origins.of("/resources/memory").to_string(), "built-in default");
    assert!(loaded.files.is_empty());
}

/// Flags over named workload over profile over parent over built-in default: each layer in turn is the highest.
#[test]
fn precedence() {
    let dir = Directory::new("precedence");
    let built_in = "apiVersion: nucleus/v1\n";
    let parent = "apiVersion: nucleus/v1\nresources:\n  memory: 1M\n";
    let child = "apiVersion: nucleus/v1\nextends: parent.yaml\nresources:\n  memory: 2M\n";
    let named = format!("{child}workloads:\n  batch:\n    resources:\n      memory: 3M\n");
    dir.write("none.yaml", built_in);
    dir.write("parent.yaml", parent);
    dir.write("child.yaml", child);
    dir.write("named.yaml", &named);
    let flag = || vec![FlagValue::set("--memory", "/resources/memory", "4M")];
    for (file, workload, flags, size, origin) in [
        ("none.yaml", None, vec![], "512M", "built-in default".to_owned()),
        ("parent.yaml", None, vec![], "1M", dir.display("parent.yaml:3")),
        ("child.yaml", None, vec![], "2M", dir.display("child.yaml:4")),
        ("named.yaml", None, vec![], "2M", dir.display("named.yaml:4")),
        ("named.yaml", Some("batch"), vec![], "3M", dir.display("named.yaml:8")),
        ("named.yaml", Some("batch"), flag(), "4M", "--memory".to_owned()),
        ("none.yaml", None, flag(), "4M", "--memory".to_owned()),
    ] {
        let path = dir.path(file);
        let loaded = loaded(&Request { workload, flags, ..request(&path) });
        assert_eq!(loaded.profile.resources.memory, Some(memory(size)), "{file} {workload:?}");
        assert_eq!(loaded.origins.of("/resources/memory").to_string(), origin, "{file} {workload:?}");
        assert_eq!(loaded.profile.resources.pids.unwrap().to_string(), "512", "{file}: other fields stay");
    }
}

#[test]
fn maps_merge_and_lists_replace() {
    let dir = Directory::new("merge");
    dir.write(
        "parent.yaml",
        "apiVersion: nucleus/v1\nworkload: {command: [a, b, c], env: {A: '1', B: '1'}}\n",
    );
    let child =
        "apiVersion: nucleus/v1\nextends: parent.yaml\nworkload:\n  command: [x]\n  env: {B: '2', C: '2'}\n";
    let path = dir.write("child.yaml", child);
    let loaded = loaded(&request(&path));
    assert_eq!(loaded.profile.workload.command, ["x"]);
    let env: Vec<_> =
        loaded.profile.workload.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(&env[..3], ["A=1", "B=2", "C=2"]);
    assert!(env[3].starts_with("PATH="));
    assert_eq!(loaded.origins.of("/workload/env/A").to_string(), dir.display("parent.yaml:2"));
    assert_eq!(loaded.origins.of("/workload/env/B").to_string(), dir.display("child.yaml:5"));
    assert_eq!(loaded.origins.of("/workload/env/PATH"), Origin::BuiltIn("default"));
}

#[test]
fn flags_set_merge_and_append() {
    let dir = Directory::new("flags");
    let text = "apiVersion: nucleus/v1\nmounts:\n  tmpfs: [{target: /tmp}]\nworkload: {env: {A: '1'}}\n";
    let path = dir.write("p.yaml", text);
    let flags = vec![
        FlagValue::set("--env", "/workload/env", serde_json::json!({"B": "2"})),
        FlagValue::append("--tmpfs", "/mounts/tmpfs", serde_json::json!({"target": "/run"})),
        FlagValue::append(
            "--volume",
            "/mounts/volumes",
            serde_json::json!({"source": "/srv", "target": "/srv"}),
        ),
        FlagValue::append("--cap-add", "/security/capabilities", "NET_RAW"),
    ];
    let loaded = loaded(&Request { flags, ..request(&path) });
    let targets: Vec<_> = loaded.profile.mounts.tmpfs.iter().map(|tmpfs| tmpfs.target.to_string()).collect();
    assert_eq!(targets, ["/tmp", "/run"]);
    assert_eq!(loaded.profile.mounts.volumes.len(), 1);
    assert_eq!(loaded.profile.workload.env.len(), 3);
    assert_eq!(loaded.origins.of("/mounts/tmpfs/0/target").to_string(), dir.display("p.yaml:3"));
    assert_eq!(loaded.origins.of("/mounts/tmpfs/1/target").to_string(), "--tmpfs");
    assert_eq!(loaded.origins.of("/workload/env/B").to_string(), "--env");
}

#[test]
fn a_wrong_flag_is_an_invalid_argument_that_names_the_flag() {
    let flags = vec![FlagValue::set("--memory", "/resources/memory", "512Q")];
    let error = error_of(load(&Request { flags, ..Request::default() }));
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert_eq!(error.subject.as_deref(), Some("--memory"));
    assert_eq!(
        error.also[0].cause.as_deref(),
        Some("wrong value for `resources.memory`: `512Q`: `Q` is not a unit; use K, M, G or T")
    );
}

#[test]
fn a_list_flag_cannot_add_to_what_is_no_list() {
    let dir = Directory::new("append");
    let path = dir.write("p.yaml", "apiVersion: nucleus/v1\nsecurity: {capabilities: {bounding: [KILL]}}\n");
    let flags = vec![FlagValue::append("--cap-add", "/security/capabilities", "KILL")];
    let error = error_of(load(&Request { flags, ..request(&path) }));
    assert_eq!(error.also[0].subject.as_deref(), Some("--cap-add"));
    assert!(error.also[0].hint.as_deref().is_some_and(|hint| hint.contains("p.yaml:2")));
}

#[test]
fn origins_answer_for_fields_that_nobody_wrote() {
    let dir = Directory::new("origins");
    let path = dir.write("p.yaml", "apiVersion: nucleus/v1\nresources:\n  cpus: 1\n");
    let origins = loaded(&request(&path)).origins;
    assert_eq!(origins.exactly("/resources/swap"), None);
    assert_eq!(origins.of("/resources/swap").to_string(), dir.display("p.yaml:3"));
    assert_eq!(origins.of("/resources/cpus").precise(), dir.display("p.yaml:3:9"));
}

#[test]
fn paths_are_relative_to_the_file_that_wrote_them() {
    let dir = Directory::new("paths");
    fs::create_dir(dir.join("sub")).unwrap();
    dir.write(
        "sub/parent.yaml",
        "apiVersion: nucleus/v1\nrootfs: {path: rootfs}\nsecurity: {seccomp: {file: s.json}}\n",
    );
    let child = "apiVersion: nucleus/v1\nextends: sub/parent.yaml\nmounts: {volumes: [{source: data, target: /data}]}\n";
    let path = dir.write("child.yaml", child);
    let profile = loaded(&request(&path)).profile;
    let Rootfs::Directory(rootfs) = &profile.rootfs else { panic!("{:?}", profile.rootfs) };
    assert_eq!(rootfs.path.as_ref().unwrap().as_path(), dir.join("sub/rootfs"));
    assert_eq!(rootfs.readonly, None);
    let Seccomp::File(seccomp) = &profile.security.seccomp else { panic!("{:?}", profile.security.seccomp) };
    assert_eq!(seccomp.file.as_path(), dir.join("sub/s.json"));
    assert_eq!(profile.mounts.volumes[0].source.as_path(), dir.join("data"));
}

#[test]
fn names_are_looked_up_in_order() {
    let (own, system) = (Directory::new("own"), Directory::new("system"));
    own.write("web.yaml", "apiVersion: nucleus/v1\nname: own web\n");
    system.write("web.yaml", "apiVersion: nucleus/v1\nname: system web\n");
    system.write("default.yaml", "apiVersion: nucleus/v1\nname: operator's default\n");
    let search = SearchPath::of_directories([own.join(""), system.join("")]);
    let name =
        |profile| loaded(&Request { profile, search: search.clone(), ..Request::default() }).profile.name;
    assert_eq!(name(Some("web")).as_deref(), Some("own web"));
    assert_eq!(name(Some("default")).as_deref(), Some("operator's default"));
    assert_eq!(name(None).as_deref(), Some("operator's default"));
    let error = error_of(load(&Request { profile: Some("wep"), search, ..Request::default() }));
    assert_eq!(error.code, ErrorCode::ProfileNotFound);
    assert_eq!(error.hint.as_deref(), Some("did you mean `web`?"));
}

#[test]
fn a_profile_that_does_not_exist_is_not_found() {
    let error = error_of(load(&request("/nonexistent/x.yaml")));
    assert_eq!(error.code, ErrorCode::ProfileNotFound);
    assert_eq!(error.to_string(), "cannot read the profile: /nonexistent/x.yaml: no such file");
    let error = error_of(load(&request("/")));
    assert_eq!(error.to_string(), "cannot read the profile: /: it is a directory");
}

#[test]
fn an_unknown_workload_is_named_with_a_suggestion() {
    let dir = Directory::new("workloads");
    let path = dir.write("p.yaml", "apiVersion: nucleus/v1\nworkloads: {batch: {}, web: {}}\n");
    let error = error_of(load(&Request { workload: Some("bacth"), ..request(&path) }));
    assert_eq!(
        (error.code, error.hint.as_deref()),
        (ErrorCode::InvalidArgument, Some("did you mean `batch`?"))
    );
    assert_eq!(loaded(&request(&path)).workloads, ["batch", "web"]);
}

#[test]
fn a_named_workload_that_is_not_in_force_is_checked_too() {
    let dir = Directory::new("unchosen");
    let text = "apiVersion: nucleus/v1\nworkloads:\n  a: {}\n  b:\n    resources: {memroy: 1G}\n";
    let path = dir.write("p.yaml", text);
    let error = error_of(load(&Request { workload: Some("a"), ..request(&path) }));
    assert_eq!(error.also[0].subject, Some(dir.display("p.yaml:5:17")));
}

#[test]
fn check_finds_mistakes_that_later_layers_hide() {
    let dir = Directory::new("hidden");
    dir.write("parent.yaml", "apiVersion: nucleus/v1\nresources: {memory: [1]}\n");
    let path =
        dir.write("child.yaml", "apiVersion: nucleus/v1\nextends: parent.yaml\nresources: {memory: 1G}\n");
    assert_eq!(loaded(&request(&path)).profile.resources.memory, Some(memory("1G")));
    let error = error_of(check(&request(&path)));
    assert_eq!(error.also[0].subject, Some(dir.display("parent.yaml:2:21")));
}

#[test]
fn a_child_can_say_a_part_of_what_its_parent_says() {
    let dir = Directory::new("partial");
    dir.write("parent.yaml", "apiVersion: nucleus/v1\nrootfs: {path: /srv/rootfs}\n");
    let path =
        dir.write("child.yaml", "apiVersion: nucleus/v1\nextends: parent.yaml\nrootfs: {readonly: false}\n");
    let loaded = check(&request(&path)).unwrap_or_else(|error| panic!("{}", nucleus_abi::Error::from(error)));
    assert!(matches!(loaded.profile.rootfs, Rootfs::Directory(rootfs) if rootfs.readonly == Some(false)));
}

#[test]
fn limits_can_be_lifted() {
    let dir = Directory::new("unlimited");
    let path =
        dir.write("p.yaml", "apiVersion: nucleus/v1\nresources: {memory: unlimited, pids: unlimited}\n");
    let resources = loaded(&request(&path)).profile.resources;
    assert_eq!(resources.memory, Some(Limit::Unlimited));
    assert_eq!(resources.pids, Some(Limit::Unlimited));
}

#[test]
fn windows_line_endings_and_a_byte_order_mark_do_no_harm() {
    let dir = Directory::new("crlf");
    let text =
        "\u{feff}apiVersion: nucleus/v1\r\nresources:\r\n  memory: 1G\r\nworkload:\r\n  hostname: web\r\n";
    let path = dir.write("p.yaml", text);
    let loaded = loaded(&request(&path));
    assert_eq!(loaded.profile.resources.memory, Some(memory("1G")));
    assert_eq!(loaded.profile.workload.hostname.as_ref().map(HostName::as_str), Some("web"));
    assert_eq!(loaded.origins.of("/resources/memory").to_string(), dir.display("p.yaml:3"));
}

#[test]
fn anchors_and_merge_keys_work_within_reason() {
    let dir = Directory::new("anchors");
    let text = "apiVersion: nucleus/v1\nworkload:\n  env: &env {A: x}\nworkloads:\n  w:\n    workload:\n      env:\n        <<: *env\n        B: y\n";
    let path = dir.write("p.yaml", text);
    let loaded = loaded(&Request { workload: Some("w"), ..request(&path) });
    let env: Vec<_> = loaded.profile.workload.env.values().map(String::as_str).collect();
    assert_eq!(&env[..2], ["x", "y"]);
}

#[test]
fn an_unquoted_octal_number_is_the_mode_that_was_meant() {
    let dir = Directory::new("octal");
    let path = dir.write("p.yaml", "apiVersion: nucleus/v1\nworkload: {umask: 0027}\n");
    assert_eq!(loaded(&request(&path)).profile.workload.umask.bits(), 0o027);
}

#[test]
fn the_effective_profile_as_yaml_is_the_same_profile() {
    let dir = Directory::new("show");
    let full = include_str!("full.yaml");
    let path = dir.write("full.yaml", full);
    let flags = vec![FlagValue::append(
        "--tmpfs",
        "/mounts/tmpfs",
        serde_json::json!({"target": "/more", "mode": "0700"}),
    )];
    let first = loaded(&Request { flags, ..request(&path) });
    let again = loaded(&request(&dir.write("again.yaml", first.origins.to_yaml())));
    assert_eq!(again.profile, first.profile);
}

#[test]
fn shown_profiles_name_the_origin_of_each_line() {
    let dir = Directory::new("shown");
    let parent =
        "apiVersion: nucleus/v1\nworkload:\n  user: 10001:10001\n  command: [/bin/sh, -c, 'echo \"$1\"']\n";
    dir.write("parent.yaml", format!("{parent}mounts:\n  tmpfs:\n    - {{target: /tmp, size: 64M}}\n"));
    let child =
        "apiVersion: nucleus/v1\nname: web\nextends: parent.yaml\nresources: {memory: 256M, cpus: 1.5}\n";
    let path = dir.write("child.yaml", child);
    let flags = vec![
        FlagValue::set("--pids", "/resources/pids", 64),
        FlagValue::append("--tmpfs", "/mounts/tmpfs", serde_json::json!({"target": "/run"})),
    ];
    let loaded = loaded(&Request { flags, ..request(&path) });
    insta::assert_snapshot!(loaded.origins.to_yaml().replace(&dir.path(""), ""));
}

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs")
}

fn config(name: &str) -> String {
    configs().join(name).display().to_string()
}

#[test]
fn every_shipped_configuration_is_sound() {
    let mut seen = Vec::new();
    for entry in fs::read_dir(configs()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("# yaml-language-server: $schema="), "{}", path.display());
            let path = path.display().to_string();
            check(&request(&path)).unwrap_or_else(|error| panic!("{}", nucleus_abi::Error::from(error)));
            seen.push(path);
        }
    }
    assert!(seen.len() >= 3, "{seen:?}");
}

#[test]
fn prod_is_strict() {
    let profile = loaded(&request(&config("prod.yaml"))).profile;
    assert_eq!(profile.enforcement, Enforcement::Strict);
    assert_eq!(profile.workload.user.to_string(), "10001:10001");
    assert_eq!(profile.security.capabilities, Capabilities::List(Vec::new()));
    assert_eq!(profile.resources.memory, Some(memory("256M")));
    assert_eq!(profile.resources.swap, Some(memory("0")));
}

/// `nucleus profile schema > configs/profile.schema.json` brings the file up to date; so does
/// `UPDATE_SCHEMA=1 cargo test -p nucleus-core --test profile`.
#[test]
fn the_committed_schema_is_that_of_the_types() {
    let generated = format!("{:#}\n", schema());
    let file = configs().join("profile.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&file, &generated).unwrap();
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), generated);
}

#[test]
fn every_field_of_the_schema_is_described() {
    fn undescribed(schema: &serde_json::Value, path: &str, found: &mut Vec<String>) {
        match schema {
            serde_json::Value::Object(fields) => {
                for (name, field) in
                    fields.get("properties").and_then(|fields| fields.as_object()).into_iter().flatten()
                {
                    if field.get("description").is_none() {
                        found.push(format!("{path}/{name}"));
                    }
                }
                fields.iter().for_each(|(name, field)| undescribed(field, &format!("{path}/{name}"), found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| undescribed(item, path, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    undescribed(&schema(), "", &mut found);
    assert_eq!(found, Vec::<String>::new());
}
