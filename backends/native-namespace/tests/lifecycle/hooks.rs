//! The hooks of `config.json`: when, where, told what, and what follows when one fails.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nucleus_abi::{Done, Error, ErrorCode, ExitStatus, Init, Result, Status};
use serde_json::{Value, json};

use crate::harness::{Bundle, alone, client};

const POINTS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A bundle with a directory that both the host's and the container's programs can write to.
struct Hooked {
    bundle: Bundle,
    log: PathBuf,
}

impl Hooked {
    fn new(script: &str) -> Self {
        let bundle = Bundle::new(script);
        let log = bundle.directory.join("log");
        fs::create_dir(&log).unwrap();
        let bundle = bundle.push(
            "/mounts",
            json!({"destination": "/data", "type": "bind", "source": log, "options": ["bind"]}),
        );
        Self { bundle: bundle.set("/hooks", json!({})), log }
    }

    /// A hook that runs a shell's script, with `$LOG` as the shared directory.
    fn hook(&self, point: &str, script: &str) -> Value {
        let (shell, log) = match point {
            "startContainer" => ("/bin/sh", Path::new("/data")),
            _ => ("/bin/sh", self.log.as_path()),
        };
        json!({"path": shell, "args": ["sh", "-c", script], "env": [format!("LOG={}", log.display()), "PATH=/bin:/usr/bin"]})
    }

    fn with(mut self, point: &str, script: &str) -> Self {
        let hook = self.hook(point, script);
        self.push(point, hook);
        self
    }

    fn push(&mut self, point: &str, hook: Value) {
        let hooks = self.bundle.config["hooks"].as_object_mut().unwrap();
        hooks.entry(point).or_insert_with(|| json!([])).as_array_mut().unwrap().push(hook);
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.log.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn state(&self, point: &str) -> Value {
        serde_json::from_str(&self.read(point)).unwrap()
    }

    /// Up to where it fails; what `delete` says comes with it.
    fn life(&self) -> (Result<ExitStatus>, Done) {
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let life = self.bundle.create([null.as_fd(); 3]).and_then(|container| {
            container.start()?;
            container.wait()
        });
        (life, client().delete(&self.bundle.request()).unwrap())
    }
}

#[test]
fn all_are_called_in_order_and_told_the_state() {
    alone(|| {
        let mut hooked = Hooked::new("echo workload >>/data/order");
        hooked.bundle.config["annotations"] = json!({"org.example.key": "value"});
        for point in POINTS {
            hooked = hooked
                .with(point, &format!("cat >$LOG/{point}; echo {point} >>$LOG/order"))
                .with(point, &format!("cat >$LOG/{point}.2; echo {point} again >>$LOG/order; exit 0"));
        }
        let (status, done) = hooked.life();
        assert_eq!(status.unwrap(), ExitStatus::Exited { code: 0 });
        assert_eq!(done, Done::default());
        // The workload runs beside the poststart hooks.
        let order = hooked.read("order").replace("workload\n", "");
        for point in POINTS {
            assert_eq!(hooked.read(point), hooked.read(&format!("{point}.2")), "each reads it whole");
        }
        let expected = POINTS.map(|point| format!("{point}\n{point} again\n")).concat();
        assert_eq!(order, expected);
        check_states(&hooked);
    });
}

fn check_states(hooked: &Hooked) {
    for (point, status) in [
        ("prestart", "creating"),
        ("createRuntime", "creating"),
        ("createContainer", "creating"),
        ("startContainer", "created"),
        ("poststop", "stopped"),
    ] {
        let state = hooked.state(point);
        assert_eq!(state["status"], status, "{point}: {state}");
        assert_eq!(state["id"], hooked.bundle.id());
        assert_eq!(state["ociVersion"], "1.2.0");
        assert_eq!(state["bundle"], hooked.bundle.directory.to_str().unwrap());
        assert_eq!(state["annotations"], json!({"org.example.key": "value"}));
    }
    // As seen from where the hook runs.
    assert_eq!(hooked.state("createContainer")["pid"], 1);
    assert_eq!(hooked.state("startContainer")["pid"], 1);
    assert!(hooked.state("prestart")["pid"].as_u64().unwrap() > 1);
    assert_eq!(hooked.state("prestart")["pid"], hooked.state("createRuntime")["pid"]);
    assert_eq!(hooked.state("poststop").get("pid"), None);
}

#[test]
fn the_poststart_hooks_find_the_workload_running() {
    alone(|| {
        let hooked = Hooked::new("touch /data/runs; while [ ! -e /data/seen ]; do sleep 0.01; done");
        let script = "cat >$LOG/poststart; while [ ! -e $LOG/runs ]; do sleep 0.01; done; \
            pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/' $LOG/poststart); cat /proc/$pid/comm >$LOG/comm; touch $LOG/seen";
        let hooked = hooked.with("poststart", script);
        assert_eq!(hooked.life().0.unwrap(), ExitStatus::Exited { code: 0 });
        assert_eq!(hooked.state("poststart")["status"], "running");
        assert_eq!(hooked.read("comm"), "sh\n");
    });
}

#[test]
fn each_runs_in_its_namespaces_and_working_directory_with_clean_descriptors_and_signals() {
    alone(|| {
        let kinds = ["mnt", "pid", "net", "uts", "ipc"];
        let look = "for k in mnt pid net uts ipc; do readlink /proc/self/ns/$k; done";
        let mut hooked = Hooked::new(&format!("{{ {look}; }} >/data/workload")).bundle_cwd("/root");
        for point in POINTS {
            // /proc is the host's before the pivot: in another pid namespace it has no `self`.
            let look = if point == "createContainer" {
                "for k in uts ipc net; do readlink /proc/thread-self/ns/$k; done; hostname"
            } else {
                look
            };
            let script = format!(
                "{{ {look}; }} >$LOG/{point}; pwd >$LOG/{point}.cwd; umask >$LOG/{point}.umask; env | sort >$LOG/{point}.env; \
                 grep -E 'Sig(Blk|Ign)' /proc/self/status >$LOG/{point}.signals; \
                 ls /proc/self/fd >$LOG/{point}.fds"
            );
            hooked = hooked.with(point, &script);
        }
        // A descriptor that somebody leaked to us, an ignored signal, a mask of our own.
        let leak = leaked_descriptor();
        // SAFETY: ignoring a signal installs no handler.
        unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) };
        // SAFETY: sets a number.
        unsafe { libc::umask(0o077) };
        assert_eq!(hooked.life().0.unwrap(), ExitStatus::Exited { code: 0 });
        drop(leak);
        let own = |kind| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string() + "\n";
        let own = kinds.map(own).concat();
        for point in ["prestart", "createRuntime", "poststart", "poststop"] {
            assert_eq!(hooked.read(point), own, "{point} runs in the runtime's namespaces");
            let bundle = format!("{}\n", hooked.bundle.directory.display());
            assert_eq!(hooked.read(&format!("{point}.cwd")), bundle);
        }
        assert_eq!(hooked.read("startContainer"), hooked.read("workload"));
        assert_eq!(hooked.read("startContainer.cwd"), "/root\n");
        for point in POINTS {
            if point == "createContainer" {
                continue;
            }
            // 3 is the directory that ls itself reads.
            assert_eq!(hooked.read(&format!("{point}.fds")), "0\n1\n2\n3\n", "{point}");
            assert!(!hooked.read(&format!("{point}.signals")).contains(['1', '2', '4', '8']), "{point}");
            assert_eq!(hooked.read(&format!("{point}.umask")), "0022\n", "{point}");
            let env = hooked.read(&format!("{point}.env"));
            let names: Vec<_> = env.lines().filter_map(|line| line.split('=').next()).collect();
            assert!(
                names.iter().all(|name| ["LOG", "PATH", "PWD", "SHLVL", "_", "OLDPWD"].contains(name)),
                "{env}"
            );
        }
    });
}

#[test]
fn the_create_container_hook_stands_in_the_container_with_the_programs_of_the_host() {
    alone(|| {
        let hooked = Hooked::new("cat /made").set_readonly();
        let script = "hostname >$LOG/name; cat /proc/sys/kernel/hostname >>$LOG/name; ls bin/busybox >$LOG/cwd; \
            echo hook >made; readlink -f /proc/1/root >/dev/null; ls -d $LOG >>$LOG/cwd";
        let hooked = hooked.with("createContainer", script);
        let outcome = hooked.bundle.run();
        assert_eq!(outcome.output(), "hook", "the root becomes read-only after the hooks");
        assert!(hooked.read("name").starts_with("inside\n"), "{}", hooked.read("name"));
        assert_eq!(hooked.read("cwd"), format!("bin/busybox\n{}\n", hooked.log.display()));
    });
}

#[test]
fn a_failing_hook_stops_the_container_and_the_rest_is_cleaned_up() {
    alone(|| {
        for point in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"] {
            let hooked = Hooked::new("touch /data/workload; sleep 1000")
                .with(point, "true")
                .with(point, "echo to the point >&2; exit 3")
                .with(point, "touch $LOG/third")
                .with("poststop", "touch $LOG/poststop");
            let (life, done) = hooked.life();
            let error = life.unwrap_err();
            check_error(&error, &format!("hooks.{point}[1]: /bin/sh"), "status 3, and said: to the point");
            assert!(error.to_string().contains(point), "{error}");
            assert!(!hooked.log.join("third").exists(), "the rest of {point} is not called");
            // A poststart hook runs beside the workload, which may have come to nothing yet.
            assert!(point == "poststart" || !hooked.log.join("workload").exists(), "{point}");
            assert_eq!(done, Done::default());
            assert!(hooked.log.join("poststop").exists(), "after {point}");
            let state = client().state(&hooked.bundle.request()).unwrap();
            assert_eq!(state.status, Status::Stopped);
            assert_eq!(fs::read_dir(hooked.bundle.state_directory()).unwrap().count(), 0);
        }
    });
}

#[track_caller]
fn check_error(error: &Error, subject: &str, cause: &str) {
    assert_eq!(error.code, ErrorCode::HookFailed, "{error}");
    assert!(error.subject.as_ref().unwrap().contains(subject), "{error}");
    assert!(error.cause.as_ref().unwrap().contains(cause), "{error}");
}

#[test]
fn a_failing_start_leaves_a_stopped_container() {
    alone(|| {
        for point in ["startContainer", "poststart"] {
            let hooked = Hooked::new("sleep 1000").with(point, "exit 1");
            let null = File::open("/dev/null").unwrap();
            let container = hooked.bundle.create([null.as_fd(); 3]).unwrap();
            assert_eq!(container.state().status, Status::Created);
            assert_eq!(container.start().unwrap_err().code, ErrorCode::HookFailed);
            assert_eq!(container.state().status, Status::Stopped, "{point}");
            container.delete();
        }
    });
}

#[test]
fn a_failing_poststop_is_a_warning_and_the_next_is_called() {
    alone(|| {
        let hooked = Hooked::new("true")
            .with("poststop", "echo first >&2; exit 4")
            .with("poststop", "touch $LOG/second");
        let (life, done) = hooked.life();
        assert_eq!(life.unwrap(), ExitStatus::Exited { code: 0 });
        assert_eq!(done.warnings.len(), 1);
        assert!(done.warnings[0].contains("hooks.poststop[0]"), "{done:?}");
        assert!(done.warnings[0].contains("status 4, and said: first"), "{done:?}");
        assert!(hooked.log.join("second").exists());
        assert_eq!(client().delete(&hooked.bundle.request()).unwrap(), Done::default(), "once is enough");
    });
}

#[test]
fn a_hook_that_hangs_is_killed_with_its_group_and_named() {
    alone(|| {
        for point in ["createRuntime", "createContainer", "startContainer"] {
            let mut hooked = Hooked::new("true");
            let mut hook = hooked.hook(point, "sleep 1000 & echo $! >$LOG/left; wait");
            hook["timeout"] = json!(1);
            hooked.push(point, hook);
            check_error(
                &hooked.life().0.unwrap_err(),
                &format!("hooks.{point}[0]: /bin/sh"),
                "longer than its timeout of 1 s",
            );
            // In the container its id is another one, and the end of the container ends it too.
            if point == "createRuntime" {
                assert!(is_gone(hooked.read("left").trim()), "the whole group is killed");
            }
        }
    });
}

/// A killed process takes a moment to go; one that was not killed would sleep for a quarter of an hour.
fn is_gone(process: &str) -> bool {
    (0..1000).any(|_| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let gone = stat.is_empty() || stat.contains(") Z ");
        if !gone {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        gone
    })
}

#[test]
fn what_cannot_be_executed_is_told() {
    alone(|| {
        for point in POINTS {
            let mut hooked = Hooked::new("true");
            hooked.push(point, json!({"path": "/no/such/hook"}));
            let (life, done) = hooked.life();
            let text = match life {
                Err(error) => error.to_string(),
                Ok(_) => done.warnings.join("\n"),
            };
            assert!(text.contains(&format!("hooks.{point}[0]: /no/such/hook")), "{text}");
            assert!(text.contains("ENOENT"), "{text}");
        }
    });
}

#[test]
fn a_hook_that_leaves_a_daemon_behind_or_reads_nothing_or_talks_much_holds_nobody_up() {
    alone(|| {
        let talk = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i + 1)); done";
        let mut hooked = Hooked::new("true");
        hooked.bundle.config["annotations"] = json!({"large": "x".repeat(200_000)});
        for point in POINTS {
            hooked = hooked.with(point, "sleep 5 & true").with(point, talk);
        }
        let (life, done) = hooked.life();
        assert_eq!((life.unwrap(), done), (ExitStatus::Exited { code: 0 }, Done::default()));
    });
}

#[test]
fn an_init_calls_the_hooks_too_and_a_program_that_cannot_be_executed_is_the_starts_error() {
    alone(|| {
        let mut hooked = Hooked::new("exit 5").with("startContainer", "touch $LOG/hook");
        hooked.bundle.beyond.init = Init::Reaper;
        assert_eq!(hooked.life().0.unwrap(), ExitStatus::Exited { code: 5 });
        assert!(hooked.log.join("hook").exists());
        let hooked = Hooked::new("").with("poststart", "touch $LOG/poststart");
        fs::write(hooked.bundle.rootfs().join("bin/nonsense"), "\0\0\0\0").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(hooked.bundle.rootfs().join("bin/nonsense"), mode).unwrap();
        let hooked =
            Hooked { bundle: hooked.bundle.set("/process/args", json!(["/bin/nonsense"])), log: hooked.log };
        let error = hooked.life().0.unwrap_err();
        assert_eq!(error.code, ErrorCode::CommandNotExecutable, "{error}");
        assert!(error.to_string().contains("ENOEXEC"), "{error}");
        assert!(!hooked.log.join("poststart").exists());
    });
}

#[test]
fn the_start_container_hook_has_the_workloads_rights_and_descriptors_are_none_of_its() {
    alone(|| {
        let look = "id -u; id -g; grep -E 'Cap(Inh|Prm|Eff|Bnd)|NoNewPrivs|Seccomp:' /proc/self/status";
        let hooked = Hooked::new(&format!("{{ {look}; }} >/data/workload"));
        let hooked = hooked.with("startContainer", &format!("{{ {look}; }} >$LOG/hook"));
        let user = json!({"uid": 1000, "gid": 1001});
        let filter = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["ptrace"], "action": "SCMP_ACT_ERRNO"}]});
        let bundle = hooked.bundle.set("/process/user", user).set("/linux/seccomp", filter);
        let hooked = Hooked { bundle, log: hooked.log };
        fs::set_permissions(&hooked.log, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        assert_eq!(hooked.life().0.unwrap(), ExitStatus::Exited { code: 0 });
        assert_eq!(hooked.read("hook"), hooked.read("workload"));
        assert!(hooked.read("hook").contains("Seccomp:\t2"), "{}", hooked.read("hook"));
    });
}

impl Hooked {
    fn bundle_cwd(self, directory: &str) -> Self {
        Self { bundle: self.bundle.set("/process/cwd", json!(directory)), log: self.log }
    }

    fn set_readonly(self) -> Self {
        Self { bundle: self.bundle.set("/root/readonly", json!(true)), log: self.log }
    }
}

/// A descriptor without close-on-exec, as a careless caller leaves it open.
fn leaked_descriptor() -> std::os::fd::OwnedFd {
    let file = File::open("/etc/passwd").unwrap();
    // SAFETY: dup makes a descriptor that nobody else owns.
    unsafe { std::os::fd::FromRawFd::from_raw_fd(libc::dup(std::os::fd::AsRawFd::as_raw_fd(&file))) }
}
