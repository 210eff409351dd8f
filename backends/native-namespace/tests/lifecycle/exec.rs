//! Another process in a container that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nucleus_abi::{
    ErrorCode, ExecReply, ExecRequest, ExitStatus, Hierarchies, LandlockAccess, LandlockRule, Result, SCHEMA,
    WaitRequest, WhenPaused,
};
use serde_json::{Value, json, value::to_raw_value};

use crate::harness::{Bundle, Container, Outcome, alone, client, exists};

/// A container that runs until its input ends.
pub(crate) struct Running<'b> {
    pub(crate) container: Container<'b>,
    input: PipeWriter,
}

impl Bundle {
    pub(crate) fn running(&self) -> Running<'_> {
        let (input, writer) = std::io::pipe().unwrap();
        let null = null();
        let container = self.create([input.as_fd(), null.as_fd(), null.as_fd()]).unwrap();
        container.start().unwrap();
        Running { container, input: writer }
    }

    /// A container that does nothing until the test has ended.
    pub(crate) fn idle() -> Self {
        Self::new("cat")
    }
}

/// The container's groups; the ledger names also one that may be made later.
fn groups(bundle: &Bundle) -> Vec<PathBuf> {
    bundle.cgroups().into_iter().filter(|directory| exists(directory)).collect()
}

/// A process as `exec` gets it: the script with the container's own attributes, unless the test changes them.
pub(crate) fn process(bundle: &Bundle, script: &str) -> Value {
    let mut process = bundle.config["process"].clone();
    process["args"] = json!(["/bin/sh", "-c", script]);
    process
}

/// A process that was executed.
pub(crate) struct Executed {
    reply: ExecReply,
    descriptors: Vec<OwnedFd>,
}

/// A container can't end before each of its processes was waited for: one that a failing test forgets would block it.
impl Drop for Executed {
    fn drop(&mut self) {
        let _ = rustix::process::pidfd_send_signal(&self.descriptors[0], rustix::process::Signal::KILL);
        let _ = rustix::process::waitid(
            rustix::process::WaitId::PidFd(self.descriptors[0].as_fd()),
            rustix::process::WaitIdOptions::EXITED,
        );
    }
}

/// What is asked of `exec` beside the process.
#[derive(Default)]
struct Asked<'a> {
    extra: &'a [BorrowedFd<'a>],
    cgroup: Option<&'a str>,
    when_paused: WhenPaused,
}

fn execute_with(
    bundle: &Bundle,
    process: &Value,
    stdio: [BorrowedFd<'_>; 3],
    asked: &Asked<'_>,
) -> Result<Executed> {
    let fds: Vec<_> = stdio.into_iter().chain(asked.extra.iter().copied()).collect();
    let request = ExecRequest {
        schema: SCHEMA,
        id: bundle.id().parse().unwrap(),
        directory: bundle.state_directory(),
        config: to_raw_value(&bundle.config).unwrap(),
        beyond: bundle.beyond.clone(),
        process: to_raw_value(process).unwrap(),
        cgroup: asked.cgroup.map(Into::into),
        cgroups: BTreeMap::new(),
        stdio: [0, 1, 2],
        extra: (3..fds.len()).collect(),
        when_paused: asked.when_paused,
        shortfall: nucleus_abi::Shortfall::Refuse,
    };
    let reply = client().exec(&request, &fds)?;
    Ok(Executed { reply: reply.document, descriptors: reply.descriptors })
}

fn null() -> File {
    File::options().read(true).write(true).open("/dev/null").unwrap()
}

pub(crate) fn execute(bundle: &Bundle, process: &Value) -> Result<Executed> {
    execute_with(bundle, process, [null().as_fd(); 3], &Asked::default())
}

fn wait(bundle: &Bundle, executed: &Executed) -> ExitStatus {
    let request = WaitRequest {
        schema: SCHEMA,
        id: bundle.id().parse().unwrap(),
        directory: bundle.state_directory(),
        wait: executed.reply.wait,
        failure: executed.reply.failure,
    };
    let fds: Vec<_> = executed.descriptors.iter().map(AsFd::as_fd).collect();
    client().wait(&request, &fds).unwrap()
}

fn text(mut pipe: PipeReader) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).unwrap();
    text
}

/// The whole life of an executed process.
pub(crate) fn run_process(bundle: &Bundle, process: &Value) -> Outcome {
    let null = File::open("/dev/null").unwrap();
    let (stdout, out) = std::io::pipe().unwrap();
    let (stderr, err) = std::io::pipe().unwrap();
    let stdio = [null.as_fd(), out.as_fd(), err.as_fd()];
    let executed = execute_with(bundle, process, stdio, &Asked::default()).unwrap();
    drop((out, err));
    let (stdout, stderr) = (text(stdout), text(stderr));
    Outcome { status: wait(bundle, &executed), stdout, stderr }
}

pub(crate) fn run(bundle: &Bundle, script: &str) -> Outcome {
    run_process(bundle, &process(bundle, script))
}

const NAMESPACES: &str = "cd /proc/$0/ns; for n in *; do echo $n $(readlink $n); done";

/// The namespaces of the container's first process, as the host sees them. `time_for_children` and its like may differ.
fn namespaces_of_first(container: &Container<'_>) -> BTreeSet<String> {
    let directory = format!("/proc/{}/ns", container.reply.pid.unwrap());
    let names = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name());
    names
        .map(|name| {
            let link = fs::read_link(format!("{directory}/{}", name.display())).unwrap();
            format!("{} {}", name.display(), link.display())
        })
        .collect()
}

#[track_caller]
fn assert_same_namespaces(bundle: &Bundle) {
    let running = bundle.running();
    let outcome = run(bundle, &NAMESPACES.replace("$0", "self"));
    let found: BTreeSet<_> = outcome.output().lines().map(str::to_owned).collect();
    assert_eq!(found, namespaces_of_first(&running.container));
    let own = fs::read_link("/proc/self/ns/pid_for_children").unwrap();
    assert_eq!(own, fs::read_link("/proc/self/ns/pid").unwrap(), "we are back in our own");
}

pub(crate) fn with_user_namespace(bundle: Bundle) -> Bundle {
    let maps = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let bundle = bundle.push("/linux/namespaces", json!({"type": "user"}));
    let bundle = bundle.set("/linux/uidMappings", maps.clone()).set("/linux/gidMappings", maps);
    for name in ["", "rootfs", "rootfs/bin"] {
        let path = bundle.directory.join(name);
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    bundle
}

#[test]
fn it_stands_in_the_namespaces_of_the_first_process() {
    alone(|| {
        let bundle = Bundle::idle().push("/linux/namespaces", json!({"type": "time"}));
        assert_same_namespaces(&bundle.set("/linux/timeOffsets", json!({"boottime": {"secs": 1_000_000}})));
    });
}

#[test]
fn it_stands_in_namespaces_that_the_container_shares_with_the_host() {
    alone(|| {
        let shared = json!([{"type": "mount"}, {"type": "uts"}]);
        assert_same_namespaces(&Bundle::idle().set("/linux/namespaces", shared));
    });
}

#[test]
fn it_stands_in_the_containers_own_user_namespace() {
    alone(|| {
        let bundle = with_user_namespace(Bundle::idle());
        assert_same_namespaces(&bundle);
        let bundle = with_user_namespace(Bundle::idle());
        let _running = bundle.running();
        let outcome = run(&bundle, "id -u; cat /proc/self/uid_map; grep CapEff /proc/self/status");
        let words: Vec<_> = outcome.output().split_whitespace().collect();
        assert_eq!(words, ["0", "0", "100000", "65536", "CapEff:", "00000000080000eb"]);
    });
}

#[test]
fn it_stands_in_a_joined_user_namespace_with_namespaces_of_others() {
    alone(|| {
        let owner = with_user_namespace(Bundle::idle());
        let owning = owner.running();
        let user = format!("/proc/{}/ns/user", owning.container.reply.pid.unwrap());
        let bundle = Bundle::idle().push("/linux/namespaces", json!({"type": "user", "path": user}));
        assert_same_namespaces(&bundle);
        // A network namespace that belongs to the host's user namespace: nobody inside has rights over it.
        let other = Bundle::idle();
        let others = other.running();
        let network = format!("/proc/{}/ns/net", others.container.reply.pid.unwrap());
        let namespaces = json!([
            {"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "ipc"}, {"type": "user", "path": user},
            {"type": "network", "path": network}
        ]);
        let mut bundle = Bundle::idle().set("/linux/namespaces", namespaces);
        bundle.config["mounts"].as_array_mut().unwrap().retain(|mount| mount["type"] != "sysfs");
        bundle.config["mounts"].as_array_mut().unwrap().retain(|mount| mount["type"] != "cgroup");
        assert_same_namespaces(&bundle);
    });
}

#[test]
fn it_stands_in_the_containers_groups() {
    alone(|| {
        let bundle = Bundle::idle();
        let _running = bundle.running();
        let executed = execute(&bundle, &process(&bundle, "cat /proc/self/cgroup; sleep 1000")).unwrap();
        let pid = executed.reply.pid.unwrap().to_string();
        for directory in groups(&bundle) {
            let members = fs::read_to_string(directory.join("cgroup.procs")).unwrap();
            assert!(members.lines().any(|member| member == pid), "{}: {members}", directory.display());
        }
    });
}

#[test]
fn it_can_stand_in_a_group_below_but_in_none_above() {
    alone(|| {
        let bundle = Bundle::idle();
        let _running = bundle.running();
        let groups = groups(&bundle);
        let below: Vec<_> = groups.iter().map(|group| group.join("below")).collect();
        for group in &below {
            fs::create_dir(group).unwrap();
        }
        let null = null();
        let sleep = process(&bundle, "sleep 1000");
        let execute_in = |place| {
            execute_with(
                &bundle,
                &sleep,
                [null.as_fd(); 3],
                &Asked { cgroup: Some(place), ..Asked::default() },
            )
        };
        let executed = execute_in("below").unwrap();
        let members = fs::read_to_string(below[0].join("cgroup.procs")).unwrap();
        assert_eq!(members.trim(), executed.reply.pid.unwrap().to_string());
        let outside = groups[0].parent().unwrap().join("nucleus-test-outside");
        fs::create_dir(&outside).unwrap();
        let refused = [execute_in("missing"), execute_in("../nucleus-test-outside")];
        fs::remove_dir(&outside).unwrap();
        for result in refused {
            let error = result.err().expect("there is no such group below");
            assert_eq!(error.code, ErrorCode::InvalidArgument, "{error}");
        }
        end(&bundle, &executed);
        for group in &below {
            remove(group);
        }
    });
}

/// On cgroup v2 a group that hands controllers down holds no processes itself (cgroups(7), "no internal processes"): an
/// init that manages groups of its own has moved into one of them, and so does what is executed.
#[test]
fn it_stands_beside_an_init_that_has_moved_into_a_group_of_its_own() {
    alone(|| {
        let pages = json!([{"pageSize": "2MB", "limit": 1 << 30}]);
        let bundle = Bundle::idle().set("/linux/resources", json!({"hugepageLimits": pages}));
        let running = bundle.running();
        let group = groups(&bundle).into_iter().find(|group| group.join("cgroup.subtree_control").exists());
        let Some(group) = group else {
            return println!("SKIPPED: huge pages are counted by cgroup v1 here");
        };
        let own = group.join("init.scope");
        fs::create_dir(&own).unwrap();
        let first = running.container.reply.pid.unwrap().to_string();
        fs::write(own.join("cgroup.procs"), first).unwrap();
        fs::write(group.join("cgroup.subtree_control"), "+hugetlb").unwrap();
        let executed = execute(&bundle, &process(&bundle, "sleep 1000")).unwrap();
        let members = fs::read_to_string(own.join("cgroup.procs")).unwrap();
        assert!(members.lines().any(|pid| pid == executed.reply.pid.unwrap().to_string()), "{members}");
        end(&bundle, &executed);
        client().delete(&bundle.request()).unwrap();
        if exists(&own) {
            remove(&own);
        }
    });
}

/// Kills an executed process and waits for it.
fn end(bundle: &Bundle, executed: &Executed) {
    rustix::process::pidfd_send_signal(&executed.descriptors[0], rustix::process::Signal::KILL).unwrap();
    assert_eq!(wait(bundle, executed), ExitStatus::Signalled { signal: libc::SIGKILL });
}

/// The kernel lets the last process go a moment after it was reaped.
fn remove(group: &Path) {
    while let Err(error) = fs::remove_dir(group) {
        assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn rights_are_those_of_the_process_and_the_inheritable_set_is_empty() {
    alone(|| {
        let bundle = Bundle::idle();
        let _running = bundle.running();
        let mut wanted = process(&bundle, "grep -E 'Cap|NoNewPrivs|Groups|Uid|Gid|Umask' /proc/self/status");
        wanted["user"] = json!({"uid": 1000, "gid": 1001, "additionalGids": [7, 8], "umask": 0o027});
        let capabilities = json!(["CAP_KILL", "CAP_CHOWN"]);
        wanted["capabilities"] = json!({
            "bounding": capabilities, "permitted": capabilities, "effective": ["CAP_KILL"],
            "inheritable": capabilities, "ambient": ["CAP_KILL"]
        });
        let outcome = run_process(&bundle, &wanted);
        let lines: Vec<_> = outcome.output().lines().map(|line| line.replace('\t', " ")).collect();
        let kill = "0000000000000020";
        let expected = [
            "Umask: 0027".to_owned(),
            "Uid: 1000 1000 1000 1000".to_owned(),
            "Gid: 1001 1001 1001 1001".to_owned(),
            "Groups: 7 8 ".to_owned(),
            // What the kernel demands for the ambient set, and nothing else.
            format!("CapInh: {kill}"),
            format!("CapPrm: {kill}"),
            format!("CapEff: {kill}"),
            "CapBnd: 0000000000000021".to_owned(),
            format!("CapAmb: {kill}"),
            "NoNewPrivs: 1".to_owned(),
        ];
        assert_eq!(lines, expected);
        let inheritable = run(&bundle, "grep CapInh /proc/self/status");
        assert_eq!(inheritable.output(), "CapInh:\t0000000000000000");
    });
}

#[test]
fn the_containers_filter_and_landlock_rules_hold_for_it() {
    alone(|| {
        let filter = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]
        });
        let mut bundle = Bundle::idle().set("/linux/seccomp", filter);
        let rule = |path: &str, access| LandlockRule { path: path.into(), access };
        bundle.beyond.landlock = Some(vec![
            rule("/", LandlockAccess::ReadExecute),
            rule("/tmp", LandlockAccess::ReadWrite),
            rule("/dev", LandlockAccess::ReadWrite),
        ]);
        let _running = bundle.running();
        let outcome = run(&bundle, "mkdir /tmp/x; touch /tmp/y && echo allowed; touch /data/z");
        assert_eq!(outcome.stdout, "allowed\n");
        assert!(outcome.stderr.contains("No space left"), "{outcome:?}");
        assert!(outcome.stderr.contains("/data/z: Permission denied"), "{outcome:?}");
    });
}

#[test]
fn directory_environment_limits_and_status_are_its_own() {
    alone(|| {
        let bundle = Bundle::idle();
        let running = bundle.running();
        let mut wanted = process(&bundle, "pwd; echo $WORD; ulimit -n; cat /proc/self/oom_score_adj; exit 7");
        wanted["cwd"] = json!("/data");
        wanted["env"] = json!(["PATH=/bin", "WORD=one"]);
        wanted["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}]);
        wanted["oomScoreAdj"] = json!(321);
        let outcome = run_process(&bundle, &wanted);
        assert_eq!(outcome.status, ExitStatus::Exited { code: 7 });
        assert_eq!(outcome.stdout, "/data\none\n50\n321\n");
        let first = format!("/proc/{}/oom_score_adj", running.container.reply.pid.unwrap());
        assert_ne!(fs::read_to_string(first).unwrap(), "321\n");
    });
}

/// CVE-2024-21626: a working directory on the host, by a descriptor that the caller leaked.
#[test]
fn no_descriptor_leads_to_the_host() {
    alone(|| {
        let bundle = Bundle::idle();
        let _running = bundle.running();
        let leaked: Vec<_> =
            (0..20).map(|_| rustix::io::fcntl_dupfd_cloexec(File::open("/").unwrap(), 3)).collect();
        for leaked in leaked.iter().flatten() {
            rustix::io::fcntl_setfd(leaked, rustix::io::FdFlags::empty()).unwrap();
        }
        let outcome = run(&bundle, "ls /proc/self/fd");
        // The fourth is of `ls` itself.
        assert_eq!(outcome.output().split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
        for number in 3..64 {
            let mut wanted = process(&bundle, "ls; pwd");
            wanted["cwd"] = json!(format!("/proc/self/fd/{number}"));
            let error = execute(&bundle, &wanted).err().expect("the directory is refused");
            assert!(error.to_string().contains("enter the working directory"), "{error}");
        }
    });
}

#[test]
fn descriptors_are_passed_on_from_three_on() {
    alone(|| {
        let bundle = Bundle::idle();
        let _running = bundle.running();
        let null = null();
        let (reader, writer) = std::io::pipe().unwrap();
        let (input, mut inputs) = std::io::pipe().unwrap();
        inputs.write_all(b"from four").unwrap();
        drop(inputs);
        let script = "ls /proc/self/fd >&3; cat <&4 >&3; echo >&5 2>&3 && echo five >&3";
        let copies = [high(&writer), high(&input), high(&null)];
        let extra = copies.each_ref().map(AsFd::as_fd);
        let stdio = [null.as_fd(); 3];
        let asked = Asked { extra: &extra, ..Asked::default() };
        let executed = execute_with(&bundle, &process(&bundle, script), stdio, &asked).unwrap();
        drop(writer);
        drop(copies);
        assert_eq!(
            text(reader).split_whitespace().collect::<Vec<_>>(),
            ["0", "1", "2", "3", "4", "5", "6", "from", "fourfive"]
        );
        wait(&bundle, &executed);
    });
}

/// A copy with a high number: what nucleus opens for itself then gets the numbers that the workload's shall have.
fn high(file: impl AsFd) -> OwnedFd {
    rustix::io::fcntl_dupfd_cloexec(file, 200).unwrap()
}

#[test]
fn a_first_process_gets_its_descriptors_from_three_on() {
    alone(|| {
        let mut bundle = Bundle::new("ls /proc/self/fd; cat <&7");
        for number in 0..5 {
            let (reader, mut writer) = std::io::pipe().unwrap();
            writer.write_all(format!("number {number}").as_bytes()).unwrap();
            bundle.extra.push(high(reader));
        }
        let outcome = bundle.run();
        let expected = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "number", "4"];
        assert_eq!(outcome.output().split_whitespace().collect::<Vec<_>>(), expected);
    });
}

/// The gate and the failure pipe stood where the workload's descriptors are by then.
#[test]
fn a_failure_is_told_after_room_was_made() {
    alone(|| {
        let filter = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["execveat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]
        });
        let mut bundle = Bundle::new("").set("/linux/seccomp", filter);
        bundle.extra = (0..40).map(|_| high(null())).collect();
        let error = bundle.refused();
        assert!(error.to_string().contains("execute the last stage"), "{error}");
        let mut bundle = Bundle::new("").set("/process/args", json!(["/bin/garbage"]));
        garbage(&bundle);
        bundle.extra = (0..40).map(|_| high(null())).collect();
        assert_eq!(bundle.run().status, ExitStatus::NotExecuted { errno: libc::ENOEXEC });
    });
}

/// A program that the kernel refuses.
fn garbage(bundle: &Bundle) {
    let path = bundle.rootfs().join("bin/garbage");
    fs::write(&path, [0, 1, 2]).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_terminal_of_its_own_has_the_size_asked_for() {
    alone(|| {
        let bundle = Bundle::idle();
        let _running = bundle.running();
        let mut wanted = process(&bundle, "tty; stty size; stat -c %u $(tty); echo into > /dev/tty");
        wanted["terminal"] = json!(true);
        wanted["consoleSize"] = json!({"height": 22, "width": 88});
        wanted["user"] = json!({"uid": 1000, "gid": 1000});
        let mut executed = execute(&bundle, &wanted).unwrap();
        let mut console = File::from(executed.descriptors.remove(executed.reply.console.unwrap()));
        let mut text = Vec::new();
        // The controller of a pty reports EIO when the last program has closed it.
        assert_eq!(console.read_to_end(&mut text).unwrap_err().raw_os_error(), Some(libc::EIO));
        assert_eq!(String::from_utf8(text).unwrap(), "/dev/pts/0\r\n22 88\r\n1000\r\ninto\r\n");
        assert_eq!(wait(&bundle, &executed), ExitStatus::Exited { code: 0 });
    });
}

#[test]
fn a_missing_program_is_not_found_and_leaves_nothing() {
    alone(|| {
        let bundle = Bundle::idle();
        let _running = bundle.running();
        let mut wanted = process(&bundle, "");
        wanted["args"] = json!(["no-such-program"]);
        assert_eq!(execute(&bundle, &wanted).err().unwrap().code, ErrorCode::CommandNotFound);
        wanted["args"] = json!(["/etc"]);
        assert_eq!(execute(&bundle, &wanted).err().unwrap().code, ErrorCode::CommandNotExecutable);
        garbage(&bundle);
        wanted["args"] = json!(["garbage"]);
        let executed = execute(&bundle, &wanted).unwrap();
        assert_eq!(wait(&bundle, &executed), ExitStatus::NotExecuted { errno: libc::ENOEXEC });
        let members = fs::read_to_string(groups(&bundle)[0].join("cgroup.procs")).unwrap();
        assert_eq!(members.lines().count(), 1, "the first process alone: {members}");
        // SAFETY: asks for any child of this process; there is only the container's first.
        let other = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
        assert_eq!(other, 0, "a child that failed was not reaped");
    });
}

#[test]
fn a_container_that_does_not_run_is_refused() {
    alone(|| {
        let mut bundle = Bundle::idle();
        bundle.hierarchies = Hierarchies::All;
        let wanted = process(&bundle, "true");
        assert_eq!(execute(&bundle, &wanted).err().unwrap().code, ErrorCode::WrongState);
        let Running { container, input } = bundle.running();
        client().pause(&bundle.request()).unwrap();
        let error = execute(&bundle, &wanted).err().unwrap();
        assert_eq!(error.code, ErrorCode::WrongState);
        assert_eq!(error.cause.as_deref(), Some("it is paused"));
        let waiting = forked(|| {
            let asked = Asked { when_paused: WhenPaused::Wait, ..Asked::default() };
            let executed = execute_with(&bundle, &wanted, [null().as_fd(); 3], &asked).unwrap();
            wait(&bundle, &executed) == ExitStatus::Exited { code: 0 }
        });
        client().resume(&bundle.request()).unwrap();
        assert!(succeeded(waiting));
        assert_eq!(run(&bundle, "echo again").output(), "again");
        drop(input);
        container.wait().unwrap();
        let error = execute(&bundle, &wanted).err().unwrap();
        assert_eq!(error.code, ErrorCode::WrongState);
    });
}

/// Starts a worker of one thread, since the engine clones.
fn forked(body: impl FnOnce() -> bool) -> libc::pid_t {
    // SAFETY: libc's fork leaves malloc usable in the child, which runs the body and exits.
    match unsafe { libc::fork() } {
        // SAFETY: leaves without the harness's exit handlers.
        0 => unsafe { libc::_exit(i32::from(!body())) },
        pid => pid,
    }
}

fn succeeded(worker: libc::pid_t) -> bool {
    let mut status = 0;
    // SAFETY: waits for a worker made above.
    unsafe { libc::waitpid(worker, &raw mut status, 0) };
    status == 0
}

#[test]
fn of_two_hundred_at_once_none_is_lost() {
    alone(|| {
        let bundle = Bundle::idle().set("/linux/resources", json!({"memory": {"limit": 1 << 30}}));
        let _running = bundle.running();
        let workers: Vec<_> = (0..200u8)
            .map(|number| {
                let script = format!("echo {number} > /tmp/{number}; exit {}", number % 100);
                forked(|| run(&bundle, &script).status == ExitStatus::Exited { code: number % 100 })
            })
            .collect();
        assert_eq!(workers.into_iter().filter(|worker| succeeded(*worker)).count(), 200);
        let written = (0..200).filter(|number| bundle.rootfs().join(format!("tmp/{number}")).exists());
        assert_eq!(written.count(), 200);
    });
}

#[test]
fn in_a_container_that_ends_meanwhile_it_succeeds_or_says_why() {
    alone(|| {
        for round in 0..20 {
            let bundle = Bundle::idle();
            let Running { container, .. } = &bundle.running();
            let workers: Vec<_> = (0..4)
                .map(|_| {
                    forked(|| {
                        loop {
                            match execute(&bundle, &process(&bundle, "true")) {
                                Ok(executed) => drop(wait(&bundle, &executed)),
                                Err(error) if error.code == ErrorCode::WrongState => return true,
                                Err(error) => {
                                    eprintln!("{error:?}");
                                    return false;
                                }
                            }
                        }
                    })
                })
                .collect();
            std::thread::sleep(std::time::Duration::from_millis(round));
            rustix::process::pidfd_send_signal(&container.descriptors[0], rustix::process::Signal::KILL)
                .unwrap();
            container.wait().unwrap();
            assert!(workers.into_iter().all(succeeded));
        }
    });
}

/// What stands in the container beside its first process.
fn others(running: &Running<'_>) -> usize {
    let first = running.container.reply.pid.unwrap();
    let pids = client().processes(&running.container.bundle.request()).unwrap().pids;
    pids.into_iter().filter(|pid| *pid != first).count()
}

fn await_others(running: &Running<'_>, number: usize) {
    let patience = std::time::Instant::now();
    while others(running) != number {
        assert!(patience.elapsed().as_secs() < 20, "{} others, not {number}", others(running));
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// What it had made by then dies of the closed gate. A paused container holds the new process back half way.
#[test]
fn a_caller_that_is_killed_half_way_leaves_nothing() {
    alone(|| {
        let mut bundle = Bundle::idle();
        bundle.hierarchies = Hierarchies::All;
        let running = bundle.running();
        client().pause(&bundle.request()).unwrap();
        let asked = Asked { when_paused: WhenPaused::Wait, ..Asked::default() };
        let sleep = process(&bundle, "sleep 1000");
        let caller = forked(|| execute_with(&bundle, &sleep, [null().as_fd(); 3], &asked).is_ok());
        await_others(&running, 1);
        // SAFETY: takes two numbers; the worker was not waited for.
        unsafe { libc::kill(caller, libc::SIGKILL) };
        assert!(!succeeded(caller));
        client().resume(&bundle.request()).unwrap();
        await_others(&running, 0);
    });
}

#[test]
fn a_container_that_is_created_takes_a_process_too() {
    alone(|| {
        let bundle = Bundle::idle();
        let null = null();
        let container = bundle.create([null.as_fd(); 3]).unwrap();
        assert_eq!(run(&bundle, "echo before").output(), "before");
        assert_eq!(container.state().status, nucleus_abi::Status::Created);
        container.start().unwrap();
    });
}

/// CVE-2016-9962: while it still holds what is the host's, nobody in the container can look into it; CVE-2019-5736: nor find
/// the host's program by its link.
#[test]
fn nobody_inside_sees_what_it_holds_on_the_way() {
    alone(|| {
        // The sealed last stage may be seen: it is a copy of no file of the host.
        let spy = "while :; do for p in /proc/[0-9]*; do n=${p#/proc/}; [ $n -gt $$ ] || continue; \
                   for f in $p/exe $p/fd/*; do t=$(readlink $f) && case $f:$t in */exe:/memfd:*) ;; \
                   *nucleus*|*lifecycle*|*:socket:*|*cgroup*|*/ns/*) echo $t >> /tmp/seen;; esac; \
                   done; done; done";
        let bundle = Bundle::new(spy);
        let _running = bundle.running();
        for _ in 0..200 {
            let executed = execute(&bundle, &process(&bundle, "true")).unwrap();
            wait(&bundle, &executed);
        }
        let seen = fs::read_to_string(bundle.rootfs().join("tmp/seen")).unwrap_or_default();
        assert_eq!(seen, "");
    });
}
