//! Attributes of processes, of the first one and of those that are executed later.

use std::fs;

use nucleus_abi::{Error, ErrorCode, Init};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity};
use serde_json::{Value, json};

use crate::exec::{execute, process, run_process, with_user_namespace};
use crate::harness::{Bundle, alone};

/// Field 18 (nice), 40 (priority in real time) and 41 (policy) of `proc_pid_stat(5)`.
const SCHEDULE: &str = "cut -d' ' -f19,40,41 /proc/self/stat";

/// What a script says of itself with a value in `process`: as the first process and executed.
fn both(pointer: &str, value: &Value, script: &str) -> [String; 2] {
    let first = Bundle::new(script).set(pointer, value.clone()).run().output().to_owned();
    let bundle = Bundle::idle();
    let _running = bundle.running();
    let mut wanted = process(&bundle, script);
    wanted[pointer.strip_prefix("/process/").unwrap()] = value.clone();
    [first, run_process(&bundle, &wanted).output().to_owned()]
}

/// The errors of both.
fn refused_both(pointer: &str, value: &Value) -> [Error; 2] {
    let first = Bundle::new("true").set(pointer, value.clone()).refused();
    let bundle = Bundle::idle();
    let _running = bundle.running();
    let mut wanted = process(&bundle, "true");
    wanted[pointer.strip_prefix("/process/").unwrap()] = value.clone();
    [first, execute(&bundle, &wanted).err().expect("it is refused")]
}

#[test]
fn the_scheduler_is_the_one_asked_for() {
    alone(|| {
        let of = |scheduler: Value| both("/process/scheduler", &scheduler, SCHEDULE);
        assert_eq!(of(json!({"policy": "SCHED_OTHER", "nice": 7})), ["7 0 0", "7 0 0"]);
        assert_eq!(of(json!({"policy": "SCHED_BATCH", "nice": -4})), ["-4 0 3", "-4 0 3"]);
        assert_eq!(of(json!({"policy": "SCHED_IDLE"})), ["0 0 5", "0 0 5"]);
    });
}

/// Without the flag a process with a deadline could not fork, and the shell could not ask.
#[test]
fn real_time_and_deadlines_are_set_and_can_end_with_the_first_fork() {
    alone(|| {
        // The shell itself reads, without a fork: field 40 is the 38th after the name.
        let script = "read line < /proc/self/stat; set -- ${line##*) }; echo ${38} ${39}";
        let bundle = |scheduler: Value| {
            let mut bundle = Bundle::new(script).set("/process/scheduler", scheduler);
            // In a cpu group of cgroup v1 real time has its own limit.
            bundle.config["linux"]["resources"] = json!({});
            bundle
        };
        let fifo = json!({"policy": "SCHED_FIFO", "priority": 5, "flags": ["SCHED_FLAG_RESET_ON_FORK"]});
        assert_eq!(bundle(fifo).run().output(), "5 1");
        let round_robin = json!({"policy": "SCHED_RR", "priority": 2});
        assert_eq!(bundle(round_robin).run().output(), "2 2");
        let deadline = json!({
            "policy": "SCHED_DEADLINE", "runtime": 10_000_000, "deadline": 20_000_000, "period": 20_000_000
        });
        assert_eq!(bundle(deadline).run().output(), "0 6");
    });
}

/// Where a cpu group of cgroup v1 keeps real time of its own, a new one has none.
#[test]
fn real_time_without_time_for_it_is_told_with_the_way_out() {
    alone(|| {
        if !std::path::Path::new("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists() {
            eprintln!("skipped: no cpu group of cgroup v1 with time for real time (CONFIG_RT_GROUP_SCHED)");
            return;
        }
        let fifo = json!({"policy": "SCHED_FIFO", "priority": 5});
        let limited = |bundle: Bundle| bundle.set("/linux/resources", json!({"cpu": {"shares": 512}}));
        let first = limited(Bundle::new("true")).set("/process/scheduler", fifo.clone()).refused();
        let bundle = limited(Bundle::idle());
        let _running = bundle.running();
        let mut wanted = process(&bundle, "true");
        wanted["scheduler"] = fifo;
        let executed = execute(&bundle, &wanted).err().expect("it is refused");
        for error in [first, executed] {
            assert_eq!(error.subject.as_deref(), Some("config.json: process.scheduler"), "{error}");
            assert!(error.hint.unwrap().contains("linux.resources.cpu.realtimeRuntime"));
        }
    });
}

#[test]
fn values_that_the_kernel_refuses_are_told_by_field() {
    alone(|| {
        let deadline = json!({"policy": "SCHED_DEADLINE", "runtime": 2000, "deadline": 1000, "period": 1000});
        for error in refused_both("/process/scheduler", &deadline) {
            assert_eq!(error.subject.as_deref(), Some("config.json: process.scheduler"), "{error}");
            assert!(error.cause.unwrap().contains("EINVAL"));
        }
        let policy = json!({"mode": "MPOL_BIND", "nodes": "77"});
        let error = Bundle::new("true").set("/linux/memoryPolicy", policy).refused();
        assert_eq!(error.subject.as_deref(), Some("config.json: linux.memoryPolicy"), "{error}");
        assert!(error.hint.unwrap().contains("name nodes that exist"));
    });
}

#[test]
fn the_priority_for_disks_is_the_one_asked_for() {
    alone(|| {
        let script = "exec ionice";
        let of = |priority: Value| {
            let bundle = Bundle::new(script).set("/process/ioPriority", priority);
            bundle.applet("ionice");
            bundle.run().output().to_owned()
        };
        assert_eq!(of(json!({"class": "IOPRIO_CLASS_BE", "priority": 6})), "best-effort: prio 6");
        assert_eq!(of(json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0})), "idle");
        assert_eq!(of(json!({"class": "IOPRIO_CLASS_RT", "priority": 1})), "realtime: prio 1");
        let bundle = Bundle::idle();
        bundle.applet("ionice");
        let _running = bundle.running();
        let mut wanted = process(&bundle, script);
        wanted["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 3});
        assert_eq!(run_process(&bundle, &wanted).output(), "best-effort: prio 3");
    });
}

#[test]
fn personality_and_memory_policy_surround_every_process() {
    alone(|| {
        let policy = json!({"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]});
        let script = "uname -m; head -n1 /proc/self/numa_maps | cut -d' ' -f2; read a";
        let bundle = Bundle::new(script)
            .set("/linux/personality", json!({"domain": "LINUX32"}))
            .set("/linux/memoryPolicy", policy);
        bundle.applet("uname");
        let host = String::from_utf8(rustix::system::uname().machine().to_bytes().to_vec()).unwrap();
        let output = bundle.run_with_input("\n").output().to_owned();
        let (machine, memory) = output.split_once('\n').unwrap();
        assert_ne!(machine, host);
        assert_eq!(memory, "interleave=static:0");
        let mut idle = Bundle::idle();
        idle.applet("uname");
        for field in ["personality", "memoryPolicy"] {
            idle.config["linux"][field] = bundle.config["linux"][field].clone();
        }
        let _running = idle.running();
        let wanted = process(&idle, &script.replace("; read a", ""));
        assert_eq!(run_process(&idle, &wanted).output(), output);
    });
}

#[test]
fn processors_are_those_of_an_executed_process() {
    alone(|| {
        let own = sched_getaffinity(None).unwrap();
        let last = (0..CpuSet::MAX_CPU).rfind(|number| own.is_set(*number)).unwrap();
        let bundle = Bundle::idle();
        let _running = bundle.running();
        let mut wanted = process(&bundle, "grep Cpus_allowed_list /proc/self/status | cut -f2");
        let all = run_process(&bundle, &wanted).output().to_owned();
        for affinity in
            [json!({"initial": "0", "final": last.to_string()}), json!({"initial": last.to_string()})]
        {
            wanted["execCPUAffinity"] = affinity;
            assert_eq!(run_process(&bundle, &wanted).output(), last.to_string());
            assert_eq!(sched_getaffinity(None).unwrap(), own, "nucleus has its own back");
        }
        wanted.as_object_mut().unwrap().remove("execCPUAffinity");
        assert_eq!(run_process(&bundle, &wanted).output(), all);
        for (field, affinity) in
            [("initial", json!({"initial": "1000"})), ("final", json!({"final": "1000"}))]
        {
            wanted["execCPUAffinity"] = affinity;
            let error = execute(&bundle, &wanted).err().expect("there is no such processor");
            let expected = format!("config.json: process.execCPUAffinity.{field}");
            assert_eq!(error.subject, Some(expected), "{error}");
        }
    });
}

/// The first process is not "executed" in the words of the specification.
#[test]
fn processors_of_executed_processes_do_not_concern_the_first() {
    alone(|| {
        let script = "grep Cpus_allowed_list /proc/self/status";
        let plain = Bundle::new(script).run().output().to_owned();
        let bundle =
            Bundle::new(script).set("/process/execCPUAffinity", json!({"initial": "0", "final": "0"}));
        assert_eq!(bundle.run().output(), plain);
    });
}

#[test]
fn labels_without_their_module_are_refused_by_field() {
    alone(|| {
        let on = |file: &str, word: &str| fs::read_to_string(file).is_ok_and(|text| text.contains(word));
        let cases = [
            ("apparmorProfile", "AppArmor", on("/sys/module/apparmor/parameters/enabled", "Y")),
            ("selinuxLabel", "SELinux", on("/proc/filesystems", "\tselinuxfs")),
        ];
        for (field, module, is_on) in cases {
            for error in refused_both(&format!("/process/{field}"), &json!("nucleus-no-such-label")) {
                assert_eq!(error.subject, Some(format!("config.json: process.{field}")), "{error}");
                if is_on {
                    assert_eq!(error.code, ErrorCode::SystemCall, "{error}");
                } else {
                    assert_eq!(error.code, ErrorCode::NotSupported, "{error}");
                    assert!(error.cause.unwrap().contains(&format!("without {module}")));
                }
            }
        }
    });
}

#[test]
fn no_profile_is_what_a_process_has_anyway() {
    alone(|| {
        for nothing in ["", "unconfined"] {
            let bundle = Bundle::new("echo ran").set("/process/apparmorProfile", json!(nothing));
            assert_eq!(bundle.run().output(), "ran");
        }
    });
}

#[test]
fn hard_limits_rise_above_nucleus_own_in_a_user_namespace_too() {
    alone(|| {
        setrlimit(Resource::Nofile, Rlimit { current: Some(200), maximum: Some(300) }).unwrap();
        let limits = json!([{"type": "RLIMIT_NOFILE", "soft": 400, "hard": 500}]);
        let script = "ulimit -Sn; ulimit -Hn";
        let bundle = with_user_namespace(Bundle::new(script)).set("/process/rlimits", limits.clone());
        let held = rustix::thread::capabilities(None).unwrap().effective;
        if !held.contains(rustix::thread::CapabilitySet::SYS_RESOURCE) {
            let error = bundle.refused();
            assert!(error.subject.as_ref().unwrap().contains("process.rlimits: Nofile"), "{error}");
            assert!(error.hint.unwrap().contains("CAP_SYS_RESOURCE"));
            return;
        }
        assert_eq!(bundle.run().output(), "400\n500");
        let bundle = with_user_namespace(Bundle::idle());
        let _running = bundle.running();
        let mut wanted = process(&bundle, script);
        wanted["rlimits"] = limits;
        assert_eq!(run_process(&bundle, &wanted).output(), "400\n500");
        let now = getrlimit(Resource::Nofile);
        assert_eq!((now.current, now.maximum), (Some(200), Some(300)));
    });
}

#[test]
fn limits_do_not_keep_nucleus_from_its_own_work() {
    alone(|| {
        let limits = ["RLIMIT_FSIZE", "RLIMIT_CORE", "RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE"];
        let limits = limits.map(|name| json!({"type": name, "soft": 0, "hard": 0}));
        let outputs = both("/process/rlimits", &json!(limits), "ulimit -f; ulimit -l");
        assert_eq!(outputs, ["0\n0", "0\n0"]);
    });
}

#[test]
fn the_mask_for_new_files_is_the_one_asked_for() {
    alone(|| {
        let user = json!({"uid": 0, "gid": 0, "umask": 0o027});
        assert_eq!(both("/process/user", &user, "umask"), ["0027", "0027"]);
    });
}

/// The last stage stays as init and forks: a deadline would keep it from that, but for the flag.
#[test]
fn an_init_lives_with_a_scheduler_that_ends_with_the_fork() {
    alone(|| {
        let deadline = json!({
            "policy": "SCHED_DEADLINE", "runtime": 10_000_000, "deadline": 20_000_000, "period": 20_000_000,
            "flags": ["SCHED_FLAG_RESET_ON_FORK"]
        });
        let mut bundle = Bundle::new(SCHEDULE).set("/process/scheduler", deadline);
        bundle.beyond.init = Init::Reaper;
        assert_eq!(bundle.run().output(), "0 0 0");
    });
}
