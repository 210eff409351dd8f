//! Statuses, standard descriptors, states, ends.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

use nucleus_abi::{Effect, ErrorCode, ExitStatus, Init, SCHEMA, SignalRequest, SignalTarget, Status, Then};
use serde_json::json;

use crate::harness::{Bundle, alone, client, exists, mountinfo};

#[test]
fn exit_statuses_come_back() {
    alone(|| {
        assert_eq!(Bundle::new("exit 0").run().status, ExitStatus::Exited { code: 0 });
        assert_eq!(Bundle::new("exit 7").run().status, ExitStatus::Exited { code: 7 });
        // The first process of a pid namespace ignores what it has no handler for, so a child is killed instead.
        let killed = Bundle::new("sh -c 'kill -9 $$'; exit $?").run();
        assert_eq!(killed.status, ExitStatus::Exited { code: 137 });
    });
}

#[test]
fn standard_descriptors_pass_through() {
    alone(|| {
        let outcome = Bundle::new("cat; echo problem >&2").run_with_input("one\ntwo\n");
        assert_eq!(outcome.stdout, "one\ntwo\n");
        assert_eq!(outcome.stderr, "problem\n");
    });
}

#[test]
fn state_goes_from_created_to_running_to_stopped() {
    alone(|| {
        let bundle = Bundle::new("cat");
        let (stdin, writer) = std::io::pipe().unwrap();
        let container = bundle.create([stdin.as_fd(), stdin.as_fd(), stdin.as_fd()]).unwrap();
        drop(stdin);
        assert_eq!(container.state().status, Status::Created);
        assert_eq!(container.state().pid, container.reply.pid);
        container.start().unwrap();
        assert_eq!(container.start().unwrap_err().code, ErrorCode::WrongState);
        assert_eq!(container.state().status, Status::Running);
        drop(writer);
        assert_eq!(container.wait().unwrap(), ExitStatus::Exited { code: 0 });
        assert_eq!(container.state().status, Status::Stopped);
        container.delete();
        container.delete();
    });
}

#[test]
fn a_workload_for_which_nobody_waits_starts_at_once_unless_hooks_follow_its_start() {
    alone(|| {
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let started = |bundle: &Bundle| {
            let gate = bundle.sandbox([null.as_fd(); 3]).unwrap();
            let container = bundle.build_then(&gate, Then::Start).unwrap();
            drop(gate);
            let started = container.reply.started;
            if started {
                assert_eq!(container.start().unwrap_err().code, ErrorCode::WrongState);
            } else {
                assert_eq!(container.state().status, Status::Created);
                container.start().unwrap();
            }
            assert_eq!(container.wait().unwrap(), ExitStatus::Exited { code: 3 });
            assert_eq!(container.state().status, Status::Stopped);
            container.delete();
            started
        };
        assert!(started(&Bundle::new("exit 3")));
        let mut hooked = Bundle::new("exit 3");
        hooked.config["hooks"] = json!({"poststart": [{"path": "/bin/true"}]});
        assert!(!started(&hooked), "`start` calls the hooks");
    });
}

#[test]
fn nothing_of_it_stays_on_the_host() {
    alone(|| {
        let before = mountinfo();
        let bundle = Bundle::new("echo ok");
        assert_eq!(bundle.run().output(), "ok");
        assert_eq!(mountinfo(), before);
        assert!(bundle.cgroups().iter().any(|path| exists(path)), "the core removes them");
        assert_eq!(std::fs::read_dir(bundle.state_directory()).unwrap().count(), 0);
        let kinds: Vec<_> = bundle.effects().iter().map(std::mem::discriminant).collect();
        let process = Effect::Process(nucleus_abi::Process { pid: 1, start_time: 1 });
        assert_eq!(kinds.last(), Some(&std::mem::discriminant(&process)));
    });
}

#[test]
fn a_sandbox_dies_when_its_gate_closes() {
    alone(|| {
        let bundle = Bundle::new("true");
        let null = File::open("/dev/null").unwrap();
        let gate = bundle.sandbox([null.as_fd(); 3]).unwrap();
        let Some(Effect::Process(process)) = bundle.effects().last().cloned() else {
            panic!("no process recorded")
        };
        drop(gate);
        let mut status = 0;
        // SAFETY: waits for the sandbox's process, a child of this one.
        let pid = unsafe { libc::waitpid(process.pid.cast_signed(), &raw mut status, 0) };
        assert_eq!(pid, process.pid.cast_signed());
    });
}

#[test]
fn a_missing_program_is_not_found_and_a_directory_is_not_executable() {
    alone(|| {
        let error = Bundle::new("").set("/process/args", json!(["no-such-program"])).refused();
        assert_eq!(error.code, ErrorCode::CommandNotFound);
        assert_eq!(error.cause.as_deref(), Some("executable file not found in $PATH, which is /bin"));
        let error = Bundle::new("").set("/process/args", json!(["/etc"])).refused();
        assert_eq!(error.code, ErrorCode::CommandNotExecutable);
        let error = Bundle::new("").set("/process/args", json!(["./bin/none"])).refused();
        assert_eq!(error.code, ErrorCode::CommandNotFound);
    });
}

#[test]
fn a_program_that_the_kernel_refuses_is_not_executed() {
    alone(|| {
        let bundle = Bundle::new("").set("/process/args", json!(["/bin/garbage"]));
        let path = bundle.rootfs().join("bin/garbage");
        std::fs::write(&path, [0, 1, 2]).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(bundle.run().status, ExitStatus::NotExecuted { errno: libc::ENOEXEC });
    });
}

#[test]
fn signals_reach_the_first_process_and_all() {
    alone(|| {
        let bundle = Bundle::new("trap 'exit 42' TERM; echo ready; while :; do sleep 0.01; done");
        let (mut ready, out) = std::io::pipe().unwrap();
        let null = File::open("/dev/null").unwrap();
        let container = bundle.create([null.as_fd(), out.as_fd(), null.as_fd()]).unwrap();
        drop(out);
        container.start().unwrap();
        ready.read_exact(&mut [0; 6]).unwrap();
        let mut request = SignalRequest {
            schema: SCHEMA,
            id: bundle.id().parse().unwrap(),
            directory: bundle.state_directory(),
            signal: libc::SIGTERM,
            target: SignalTarget::First,
        };
        client().signal(&request).unwrap();
        assert_eq!(container.wait().unwrap(), ExitStatus::Exited { code: 42 });
        assert_eq!(client().signal(&request).unwrap_err().code, ErrorCode::WrongState);
        request.target = SignalTarget::All;
        client().signal(&request).unwrap();
    });
}

#[test]
fn delete_ends_what_runs() {
    alone(|| {
        let bundle = Bundle::new("sleep 1000 & sleep 1000");
        let null = File::open("/dev/null").unwrap();
        let container = bundle.create([null.as_fd(); 3]).unwrap();
        container.start().unwrap();
        container.delete();
        assert_eq!(container.state().status, Status::Stopped);
    });
}

#[test]
fn a_shared_pid_namespace_is_cleared_through_the_cgroup() {
    alone(|| {
        let namespaces = json!([{"type": "mount"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}]);
        let bundle = Bundle::new("sleep 1000 & sleep 1000 & exit 0").set("/linux/namespaces", namespaces);
        let null = File::open("/dev/null").unwrap();
        let container = bundle.create([null.as_fd(); 3]).unwrap();
        container.start().unwrap();
        assert_eq!(container.wait().unwrap(), ExitStatus::Exited { code: 0 });
        let procs = bundle.cgroups()[0].join("cgroup.procs");
        assert_eq!(std::fs::read_to_string(&procs).unwrap().lines().count(), 2);
        container.delete();
        assert_eq!(std::fs::read_to_string(&procs).unwrap(), "");
    });
}

#[test]
fn an_init_reaps_and_passes_the_status_on() {
    alone(|| {
        let mut bundle =
            Bundle::new("(sleep 0.01 &); sleep 0.1; ps -o pid,stat | grep -c Z; echo $$; exit 9");
        bundle.beyond.init = Init::Reaper;
        let outcome = bundle.run();
        assert_eq!(outcome.status, ExitStatus::Exited { code: 9 });
        assert_eq!(outcome.stdout, "0\n2\n");
    });
}

#[test]
fn a_terminal_of_its_own_has_the_size_asked_for() {
    alone(|| {
        let bundle = Bundle::new("tty; stty size; echo there > /dev/console")
            .set("/process/terminal", json!(true))
            .set("/process/consoleSize", json!({"height": 33, "width": 99}));
        let null = File::open("/dev/null").unwrap();
        let mut container = bundle.create([null.as_fd(); 3]).unwrap();
        container.start().unwrap();
        let mut console = File::from(container.descriptors.remove(container.reply.console.unwrap()));
        let mut text = Vec::new();
        // The controller of a pty reports EIO when the last program has closed it.
        let error = console.read_to_end(&mut text).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EIO));
        assert_eq!(String::from_utf8(text).unwrap(), "/dev/pts/0\r\n33 99\r\nthere\r\n");
        assert_eq!(container.wait().unwrap(), ExitStatus::Exited { code: 0 });
        console.flush().unwrap();
    });
}

#[test]
fn host_and_domain_name_are_the_containers_own() {
    alone(|| {
        let bundle = Bundle::new("hostname; cat /proc/sys/kernel/domainname")
            .set("/hostname", json!("web"))
            .set("/domainname", json!("example.org"));
        let before = std::fs::read_to_string("/proc/sys/kernel/domainname").unwrap();
        assert_eq!(bundle.run().output(), "web\nexample.org");
        assert_eq!(std::fs::read_to_string("/proc/sys/kernel/domainname").unwrap(), before);
    });
}
