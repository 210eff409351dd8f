//! `ps`: the processes of a container, and of nobody else.

use std::fs;

use nucleus_tests::{Bundle, Container, Host, Output};

use super::Operated;

/// A workload of three processes.
const FAMILY: &str = "sleep 1000 & sleep 1000 & : > /files/ready; wait";

fn pids(output: &Output) -> Vec<i64> {
    let list = output.json();
    list.as_array().expect("a list").iter().map(|pid| pid.as_i64().expect("a number")).collect()
}

/// The pid namespace of a process.
fn namespace(pid: i64) -> String {
    let link = fs::read_link(format!("/proc/{pid}/ns/pid")).expect("the process lives");
    link.to_string_lossy().into_owned()
}

#[test]
fn each_process_of_an_engines_container_is_listed_and_no_other() {
    let host = Host::enter();
    let files = crate::open_directory(&host, "files");
    let bundle = Bundle::shell(&host, "family", FAMILY).bind(&files, "/files").write();
    let container = Container::create(&host, &bundle);
    container.start();
    host.wait_for_file(&files.join("ready"));
    let listed = pids(&host.nucleus("ps").args(["-f", "json", &container.id]).output().assert_success());
    assert_eq!(listed.len(), 3, "{listed:?}");
    assert!(listed.contains(&i64::from(container.pid())), "{listed:?}");
    assert!(listed.iter().all(|pid| namespace(*pid) == namespace(listed[0])), "{listed:?}");
    let inside = host.nucleus("exec").args([&container.id, "ls", "/proc"]).output().assert_success();
    let inside = inside.text().lines().filter(|name| name.parse::<u32>().is_ok()).count();
    assert_eq!(inside, 4, "three of the workload, and ls");
    container.delete_by_force();
}

#[test]
fn the_table_is_the_hosts_with_the_containers_rows() {
    let host = Host::enter();
    let container = Container::create(&host, &Bundle::new(&host, "sleeper", &["sleep", "1234"]).write());
    container.start();
    container.wait_for("running");
    let pid = container.pid().to_string();
    for (options, column) in [(&[][..], 1), (&["-eo", "pid,args"], 0)] {
        let output = container.verb("ps").args(options).output().assert_success();
        let rows: Vec<&str> = output.text().lines().skip(1).collect();
        let [row] = rows.as_slice() else { panic!("one row: {output}") };
        assert_eq!(row.split_whitespace().nth(column), Some(pid.as_str()), "{output}");
        assert!(row.contains("sleep 1234"), "{output}");
    }
    let nameless = container.verb("ps").args(["-eo", "args"]).output().assert_code(1);
    assert!(nameless.stderr.contains("PID"), "{nameless}");
    container.delete_by_force();
}

#[test]
fn one_that_has_ended_has_none() {
    let host = Host::enter();
    let container = Container::create(&host, &Bundle::new(&host, "short", &["true"]).write());
    container.start();
    container.wait_for("stopped");
    let output = host.nucleus("ps").args(["--format", "json", &container.id]).output().assert_success();
    assert_eq!(output.text(), "[]");
    container.delete();
}

#[test]
fn an_operators_container_is_listed_too_and_an_unknown_one_is_named() {
    let host = Host::enter();
    let Operated { id, running, .. } = Operated::run(&host, FAMILY, "ready");
    let listed = pids(&host.nucleus("ps").args(["-f", "json", &id]).output().assert_success());
    assert!(listed.len() >= 3, "{listed:?}");
    running.signal(rustix::process::Signal::KILL);
    drop(running);
    host.nucleus("gc").output().assert_code(0);
    let unknown = host.nucleus("ps").arg(&id).output().assert_code(1);
    assert!(unknown.stderr.contains("container does not exist"), "{unknown}");
}

#[test]
fn without_an_id_the_containers_are_listed() {
    let host = Host::enter();
    let container = Container::create(&host, &Bundle::new(&host, "sleeper", &["sleep", "1234"]).write());
    let table = host.nucleus("ps").output().assert_success();
    assert!(table.text().lines().any(|line| line.starts_with(&container.id)), "{table}");
    let json = host.nucleus("ps").args(["--format", "json"]).output().assert_success().json();
    assert_eq!(json[0]["id"], serde_json::json!(container.id));
    container.delete_by_force();
}
