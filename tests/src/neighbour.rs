//! A process in namespaces of its own, to be joined.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Who owns root's files in a neighbour's user namespace: container id 0 is this id of the host.
pub const FIRST_ID: u32 = 100_000;

/// A sleeping process in a new namespace of each of the eight kinds. It ends when this is dropped.
#[derive(Debug)]
pub struct Neighbour {
    unshare: Child,
    pid: u32,
}

impl Neighbour {
    /// Starts it; its host name is `neighbour`.
    pub fn start() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "--ipc", "--uts", "--cgroup", "--mount", "--time", "--pid", "--fork"]).args([
            "--kill-child",
            "sh",
            "-c",
            "hostname neighbour; echo; exec sleep 60",
        ]);
        let mut unshare = command.stdout(Stdio::piped()).spawn().expect("start unshare");
        wait_for_line(&mut unshare);
        let pid = child_of(unshare.id());
        Self { unshare, pid }
    }

    /// Starts one whose user namespace maps container ids `0..65536` to [`FIRST_ID`]`..`.
    pub fn start_with_users() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--user", "sh", "-c", "echo; exec sleep 60"]);
        let mut unshare = command.stdout(Stdio::piped()).spawn().expect("start unshare");
        wait_for_line(&mut unshare);
        let pid = unshare.id();
        for map in ["uid_map", "gid_map"] {
            fs::write(format!("/proc/{pid}/{map}"), format!("0 {FIRST_ID} 65536"))
                .expect("root maps the neighbour's users");
        }
        Self { unshare, pid }
    }

    /// The file that names its namespace of a kind, as `/proc/<pid>/ns` calls it.
    pub fn path(&self, kind: &str) -> String {
        format!("/proc/{}/ns/{kind}", self.pid)
    }

    /// The namespace itself, such as `net:[4026531840]`.
    pub fn namespace(&self, kind: &str) -> PathBuf {
        fs::read_link(self.path(kind)).expect("the neighbour lives")
    }
}

fn wait_for_line(child: &mut Child) {
    let output = child.stdout.take().expect("the pipe was asked for");
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).expect("the neighbour says that it is there");
    assert_eq!(line, "\n", "the neighbour could not start");
}

/// The first process that `pid` has started.
pub fn child_of(pid: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("read the children");
    let first = children.split(' ').next().and_then(|child| child.parse().ok());
    first.unwrap_or_else(|| panic!("process {pid} has no child"))
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}
