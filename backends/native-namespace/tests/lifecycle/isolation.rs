//! What the workload sees, what it may do, and what it is refused.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;

use nucleus_abi::{ErrorCode, ExitStatus, LandlockAccess, LandlockRule};
use serde_json::json;

use crate::harness::{Bundle, alone};

fn own(kind: &str) -> String {
    fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string()
}

#[test]
fn each_namespace_is_its_own() {
    alone(|| {
        let script = "for ns in pid mnt net ipc uts cgroup time; do readlink /proc/self/ns/$ns; done; hostname; echo $$";
        let bundle = Bundle::new(script)
            .push("/linux/namespaces", json!({"type": "time"}))
            .set("/linux/timeOffsets", json!({"boottime": {"secs": 1_000_000}}));
        let outcome = bundle.run();
        let lines: Vec<_> = outcome.output().lines().collect();
        for (kind, seen) in ["pid", "mnt", "net", "ipc", "uts", "cgroup", "time"].iter().zip(&lines) {
            assert!(seen.starts_with(kind), "{seen}");
            assert_ne!(*seen, own(kind));
        }
        assert_eq!(lines[7..], ["inside", "1"]);
    });
}

#[test]
fn clocks_are_offset() {
    alone(|| {
        let bundle = Bundle::new("cut -d. -f1 /proc/uptime")
            .push("/linux/namespaces", json!({"type": "time"}))
            .set("/linux/timeOffsets", json!({"boottime": {"secs": 1_000_000}}));
        let uptime: u64 = bundle.run().output().parse().unwrap();
        assert!(uptime > 1_000_000, "{uptime}");
        let own_after = fs::read_link("/proc/self/ns/time_for_children").unwrap().display().to_string();
        assert_eq!(own_after.replace("time_for_children", "time"), own("time"));
    });
}

#[test]
fn namespaces_are_joined_by_path() {
    alone(|| {
        let other = Bundle::new("cat");
        let (stdin, writer) = std::io::pipe().unwrap();
        let null = fs::File::open("/dev/null").unwrap();
        let container = other.create([stdin.as_fd(), null.as_fd(), null.as_fd()]).unwrap();
        let pid = container.reply.pid.unwrap();
        let path = |kind: &str| format!("/proc/{pid}/ns/{kind}");
        let namespaces = json!([
            {"type": "mount"},
            {"type": "pid", "path": path("pid")}, {"type": "network", "path": path("net")},
            {"type": "ipc", "path": path("ipc")}, {"type": "uts", "path": path("uts")},
            {"type": "cgroup", "path": path("cgroup")}
        ]);
        let script = "for ns in pid net ipc uts cgroup; do readlink /proc/self/ns/$ns; done";
        let bundle = Bundle::new(script).set("/linux/namespaces", namespaces);
        let expected: Vec<_> = ["pid", "net", "ipc", "uts", "cgroup"]
            .map(|kind| fs::read_link(path(kind)).unwrap().display().to_string())
            .into();
        let outcome = bundle.run();
        assert_eq!(outcome.output().lines().collect::<Vec<_>>(), expected);
        assert_eq!(
            own("pid"),
            fs::read_link("/proc/self/ns/pid_for_children").unwrap().display().to_string()
        );
        drop(writer);
    });
}

#[test]
fn a_joined_namespace_of_another_kind_is_refused() {
    alone(|| {
        let namespaces = json!([{"type": "mount"}, {"type": "network", "path": "/proc/self/ns/uts"}]);
        let error = Bundle::new("")
            .set("/linux/namespaces", namespaces.clone())
            .set("/hostname", json!(""))
            .refused();
        assert!(error.to_string().contains("it is a uts namespace, not network"), "{error}");
        let namespaces = json!([{"type": "mount"}, {"type": "network", "path": "/etc/passwd"}]);
        let error =
            Bundle::new("").set("/linux/namespaces", namespaces).set("/hostname", json!("")).refused();
        assert!(error.to_string().contains("it is no namespace"), "{error}");
    });
}

#[test]
fn a_user_namespace_maps_ids() {
    alone(|| {
        let maps = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        let bundle = Bundle::new("cat /proc/self/uid_map; id -u; touch /tmp/mine && stat -c %u /tmp/mine; ls /dev; echo > /dev/null")
            .push("/linux/namespaces", json!({"type": "user"}))
            .push("/mounts", json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]}))
            .set("/linux/uidMappings", maps.clone())
            .set("/linux/gidMappings", maps);
        let outcome = bundle.run();
        let lines: Vec<_> = outcome.output().lines().collect();
        assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"]);
        assert_eq!(lines[1..3], ["0", "0"]);
        assert!(lines.contains(&"urandom"));
    });
}

#[test]
fn a_user_namespace_is_joined_by_path() {
    alone(|| {
        let maps = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        let other = Bundle::new("cat")
            .push("/linux/namespaces", json!({"type": "user"}))
            .set("/linux/uidMappings", maps.clone())
            .set("/linux/gidMappings", maps);
        let (stdin, writer) = std::io::pipe().unwrap();
        let null = fs::File::open("/dev/null").unwrap();
        let container = other.create([stdin.as_fd(), null.as_fd(), null.as_fd()]).unwrap();
        let path = format!("/proc/{}/ns/user", container.reply.pid.unwrap());
        let expected = fs::read_link(&path).unwrap().display().to_string();
        let bundle = Bundle::new("readlink /proc/self/ns/user; id -u; echo $$")
            .push("/linux/namespaces", json!({"type": "user", "path": path}));
        let outcome = bundle.run();
        let lines: Vec<_> = outcome.output().lines().map(str::trim).collect();
        assert_eq!(lines, [expected.as_str(), "0", "1"]);
        drop(writer);
    });
}

#[test]
fn dev_has_the_standard_nodes_and_nothing_can_be_added() {
    alone(|| {
        let script = "cat /dev/null; head -c 4 /dev/zero | wc -c; echo x > /dev/null; head -c 1 /dev/urandom | wc -c; \
            ls /dev; readlink /dev/ptmx; mknod /dev/mem2 c 1 1 && cat /dev/mem2 2>&1 >/dev/null; \
            mknod /root/mem c 1 1 && cat /root/mem 2>&1 > /dev/null; chmod 600 /dev/null 2>&1; ls -ld /dev/full";
        let outcome = Bundle::new(script).run();
        let text = &outcome.stdout;
        assert!(text.starts_with("4\n1\n"), "{text}");
        for name in [
            "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout",
            "tty", "urandom", "zero",
        ] {
            assert!(text.lines().any(|line| line == name), "{name} in {text}");
        }
        assert!(text.contains("pts/ptmx\n"));
        assert!(text.contains("can't open '/dev/mem2': Permission denied"), "{text}");
        assert!(text.contains("can't open '/root/mem': Permission denied"), "{text}");
        assert!(text.contains("/dev/null: Read-only file system"), "{text}");
        let mode = fs::metadata("/dev/null").unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o666);
    });
}

#[test]
fn masked_paths_are_empty_and_readonly_paths_cannot_be_written() {
    alone(|| {
        let script = "cat /proc/keys /proc/cpuinfo; ls /sys/firmware /sys/kernel | grep -v : ; \
            echo 1 > /proc/sys/kernel/printk; touch /sys/x; mkdir /sys/fs/cgroup/x";
        let masked =
            json!(["/proc/keys", "/proc/cpuinfo", "/proc/no-such-file", "/sys/firmware", "/sys/kernel"]);
        let outcome = Bundle::new(script).set("/linux/maskedPaths", masked).run();
        assert_eq!(outcome.stdout.trim(), "", "{outcome:?}");
        assert_eq!(outcome.stderr.matches("Read-only file system").count(), 3, "{outcome:?}");
    });
}

#[test]
fn a_readonly_root_is_readonly_and_its_tmpfs_is_not() {
    alone(|| {
        let bundle = Bundle::new("touch /x; touch /tmp/x && echo tmp; touch /data/x")
            .set("/root/readonly", json!(true))
            .push(
                "/mounts",
                json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["size=1M"]}),
            );
        let outcome = bundle.run();
        assert_eq!(outcome.stdout, "tmp\n");
        assert_eq!(outcome.stderr.matches("Read-only file system").count(), 2, "{outcome:?}");
    });
}

#[test]
fn volumes_are_bound_with_their_attributes() {
    alone(|| {
        let bundle = Bundle::new(
            "cat /data/file; echo no > /data/file; echo yes > /rw/file; cp /bin/busybox /rw/true; /rw/true; echo $?",
        );
        let volume = bundle.directory.join("volume");
        let other = bundle.directory.join("other");
        fs::create_dir(&volume).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(volume.join("file"), "content\n").unwrap();
        fs::copy("/usr/bin/busybox", other.join("true")).unwrap();
        let bundle = bundle
            .push("/mounts", json!({"destination": "/data", "type": "bind", "source": volume, "options": ["rbind", "rro", "nosuid"]}))
            .push("/mounts", json!({"destination": "/rw", "type": "bind", "source": other, "options": ["bind", "noexec"]}));
        let outcome = bundle.run();
        assert_eq!(outcome.stdout, "content\n126\n", "{outcome:?}");
        assert!(outcome.stderr.contains("/data/file: Read-only file system"), "{outcome:?}");
        assert_eq!(fs::read_to_string(other.join("file")).unwrap(), "yes\n");
    });
}

#[test]
fn links_in_place_of_kernel_directories_are_refused() {
    alone(|| {
        for name in ["dev", "proc", "sys"] {
            let bundle = Bundle::new("true");
            let place = bundle.rootfs().join(name);
            fs::remove_dir(&place).unwrap();
            symlink("/etc", &place).unwrap();
            let error = bundle.refused();
            assert_eq!(error.code, ErrorCode::HostileImage, "{name}: {error}");
            assert_eq!(error.subject.as_deref(), Some(format!("/{name}").as_str()));
        }
    });
}

#[test]
fn links_at_targets_stay_inside() {
    alone(|| {
        let bundle = Bundle::new("cat /etc/inner/file");
        let canary = bundle.directory.join("canary");
        fs::create_dir(&canary).unwrap();
        symlink(&canary, bundle.rootfs().join("out")).unwrap();
        symlink("../../../../../../etc/inner", bundle.rootfs().join("up")).unwrap();
        fs::create_dir(bundle.rootfs().join("etc/inner")).unwrap();
        let volume = bundle.directory.join("volume");
        fs::create_dir(&volume).unwrap();
        fs::write(volume.join("file"), "inside\n").unwrap();
        let bundle = bundle.push(
            "/mounts",
            json!({"destination": "/up", "type": "bind", "source": volume, "options": ["bind"]}),
        );
        assert_eq!(bundle.run().output(), "inside");
        assert_eq!(fs::read_dir(&canary).unwrap().count(), 0);
    });
}

#[test]
fn user_groups_umask_and_limits_are_set() {
    alone(|| {
        let bundle = Bundle::new("id -u; id -g; id -G; umask; ulimit -n; grep -E 'NoNewPrivs|CapInh|CapEff|CapBnd' /proc/self/status")
            .set("/process/user", json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 6], "umask": 0o77}))
            .set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]));
        let outcome = bundle.run();
        let lines: Vec<_> = outcome.output().lines().collect();
        assert_eq!(lines[..5], ["1000", "1001", "1001 5 6", "0077", "100"]);
        assert_eq!(lines[5], "CapInh:\t0000000000000000");
        assert_eq!(lines[6], "CapEff:\t0000000000000000");
        assert_eq!(lines[7], "CapBnd:\t00000000080000eb");
        assert_eq!(lines[8], "NoNewPrivs:\t1");
    });
}

#[test]
fn ambient_capabilities_reach_another_user() {
    alone(|| {
        let set = json!(["CAP_NET_BIND_SERVICE"]);
        let sets = json!({"bounding": set, "permitted": set, "effective": set, "ambient": set});
        let bundle = Bundle::new("grep CapEff /proc/self/status")
            .set("/process/user", json!({"uid": 1000, "gid": 1000}))
            .set("/process/capabilities", sets);
        assert_eq!(bundle.run().output(), "CapEff:\t0000000000000400");
    });
}

#[test]
fn capabilities_of_root_are_what_was_given() {
    alone(|| {
        let bundle = Bundle::new("grep -E 'CapPrm|CapInh|CapAmb' /proc/self/status");
        let expected = "CapInh:\t0000000000000000\nCapPrm:\t00000000080000eb\nCapAmb:\t0000000000000000";
        assert_eq!(bundle.run().output(), expected);
        let escalation = Bundle::new("grep -E 'CapPrm|NoNew' /proc/self/status")
            .set("/process/noNewPrivileges", json!(false));
        assert_eq!(escalation.run().output(), "CapPrm:\t00000000080000eb\nNoNewPrivs:\t0");
    });
}

#[test]
fn seccomp_refuses_what_the_filter_refuses() {
    alone(|| {
        let filter = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["mkdir", "mkdirat", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]
        });
        for no_new_privs in [true, false] {
            let bundle = Bundle::new("mkdir /tmp/x; grep Seccomp: /proc/self/status")
                .set("/linux/seccomp", filter.clone())
                .set("/process/noNewPrivileges", json!(no_new_privs));
            let outcome = bundle.run();
            assert_eq!(outcome.output(), "Seccomp:\t2");
            assert!(outcome.stderr.contains("Function not implemented"), "{outcome:?}");
        }
    });
}

#[test]
fn landlock_denies_what_no_rule_allows() {
    alone(|| {
        let mut bundle =
            Bundle::new("cat /etc/open; cat /root/closed; touch /etc/new; echo > /dev/null && echo fine");
        fs::write(bundle.rootfs().join("etc/open"), "open\n").unwrap();
        fs::write(bundle.rootfs().join("root/closed"), "closed\n").unwrap();
        let rule = |path: &str, access| LandlockRule { path: path.into(), access };
        bundle.beyond.landlock = Some(vec![
            rule("/bin", LandlockAccess::ReadExecute),
            rule("/etc", LandlockAccess::Read),
            rule("/dev", LandlockAccess::ReadWrite),
            rule("/no/such/path", LandlockAccess::Read),
        ]);
        let outcome = bundle.run();
        assert_eq!(outcome.stdout, "open\nfine\n", "{outcome:?}");
        assert_eq!(outcome.stderr.matches("Permission denied").count(), 2, "{outcome:?}");
    });
}

#[test]
fn pids_and_memory_are_limited() {
    alone(|| {
        let storm =
            Bundle::new("i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); done 2>&1 | head -1").run();
        assert!(storm.stdout.contains("can't fork") || storm.stderr.contains("can't fork"), "{storm:?}");
        let hog = Bundle::new("head -c 209715200 /dev/zero > /dev/shm/hog; echo survived")
            .set("/linux/resources/memory", json!({"limit": 32 << 20}))
            .push(
                "/mounts",
                json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["size=1G"]}),
            )
            .run();
        assert_ne!(hog.status, ExitStatus::Exited { code: 0 }, "{hog:?}");
    });
}

#[test]
fn cpu_limits_stand_in_the_cgroup() {
    alone(|| {
        let bundle = Bundle::new("true").set(
            "/linux/resources/cpu",
            json!({"quota": 150_000, "period": 100_000, "shares": 512, "cpus": "0"}),
        );
        assert_eq!(bundle.run().output(), "");
        let read = |file: &str| {
            let mut paths = bundle.cgroups().into_iter().map(|directory| directory.join(file));
            let text = paths.find_map(|path| fs::read_to_string(path).ok());
            text.map(|text| text.trim().to_owned())
        };
        let quota = read("cpu.cfs_quota_us").or_else(|| read("cpu.max"));
        assert!(quota.is_some_and(|text| text.starts_with("150000")));
        assert_eq!(read("cpuset.cpus").as_deref(), Some("0"));
    });
}

#[test]
fn sysctls_of_own_namespaces_are_written_and_others_refused() {
    alone(|| {
        let bundle = Bundle::new("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced")
            .set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"}));
        assert_eq!(bundle.run().output(), "1\n1");
        for name in
            ["kernel.core_pattern", "vm.swappiness", "kernel.shm+x", "net.ipv4/../../kernel/core_pattern"]
        {
            let error = Bundle::new("").set("/linux/sysctl", json!({ name: "1" })).refused();
            assert!(matches!(error.code, ErrorCode::NotSupported | ErrorCode::ConfigInvalid), "{error}");
            assert!(error.subject.unwrap().contains("linux.sysctl"));
        }
    });
}

#[test]
fn the_working_directory_must_exist_inside() {
    alone(|| {
        let bundle =
            Bundle::new("cat /proc/self/cwd/x; readlink /proc/self/cwd").set("/process/cwd", json!("/data"));
        assert!(bundle.run().stdout.ends_with("/data\n"));
        let error = Bundle::new("").set("/process/cwd", json!("/none")).refused();
        assert_eq!(error.step, "enter the working directory");
    });
}

/// CVE-2024-21626: a descriptor of the host as working directory.
#[test]
fn a_working_directory_through_a_descriptor_never_leads_out() {
    alone(|| {
        let leaked: Vec<_> =
            (0..20).map(|_| rustix::io::dup(fs::File::open("/etc").unwrap()).unwrap()).collect();
        let null = fs::File::open("/dev/null").unwrap();
        let mut refused = 0;
        for number in 3..60 {
            let bundle = Bundle::new("ls -d ../../../usr")
                .set("/process/cwd", json!(format!("/proc/self/fd/{number}")));
            match bundle.create([null.as_fd(); 3]) {
                Err(error) => {
                    assert_eq!(error.step, "enter the working directory");
                    refused += usize::from(error.cause.unwrap().contains("CVE-2024-21626"));
                }
                Ok(container) => {
                    container.start().unwrap();
                    assert_ne!(
                        container.wait().unwrap(),
                        ExitStatus::Exited { code: 0 },
                        "the host's /usr was reached"
                    );
                }
            }
        }
        assert!(refused >= leaked.len(), "only {refused} were refused as lying outside");
    });
}

#[test]
fn no_descriptor_leaks() {
    alone(|| {
        let leaked: Vec<_> =
            (0..20).map(|_| rustix::io::dup(fs::File::open("/etc").unwrap()).unwrap()).collect();
        let outcome = Bundle::new("ls /proc/self/fd").run();
        assert_eq!(outcome.output().lines().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
        drop(leaked);
    });
}

#[test]
fn the_hosts_executable_is_out_of_reach() {
    alone(|| {
        let bundle = Bundle::new("").set("/process/args", json!(["/bin/script"]));
        let path = bundle.rootfs().join("bin/script");
        fs::write(&path, "#!/proc/self/exe\n").unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let status = bundle.run().status;
        assert_ne!(status, ExitStatus::Exited { code: 0 });
    });
}

#[test]
fn a_missing_place_on_a_readonly_image_is_named() {
    alone(|| {
        // SAFETY: the process has one thread and shares no memory.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.unwrap();
        let private =
            rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).unwrap();
        let bundle = Bundle::new("true").push(
            "/mounts",
            json!({"destination": "/no/place", "type": "tmpfs", "source": "x", "options": []}),
        );
        rustix::mount::mount_bind(bundle.rootfs(), bundle.rootfs()).unwrap();
        rustix::mount::mount_remount(
            bundle.rootfs(),
            rustix::mount::MountFlags::BIND | rustix::mount::MountFlags::RDONLY,
            "",
        )
        .unwrap();
        let error = bundle.refused();
        rustix::mount::unmount(bundle.rootfs(), rustix::mount::UnmountFlags::DETACH).unwrap();
        assert_eq!(error.subject.as_deref(), Some("/no/place"));
        assert!(error.cause.unwrap().contains("read-only"));
    });
}

#[test]
fn wrong_options_are_named() {
    alone(|| {
        let refused = |mount| Bundle::new("").push("/mounts", mount).refused();
        let error = refused(
            json!({"destination": "/data", "type": "bind", "source": "/tmp", "options": ["bind", "sparkle"]}),
        );
        assert!(error.to_string().contains("sparkle"), "{error}");
        let error = refused(
            json!({"destination": "/data", "type": "tmpfs", "source": "x", "options": ["size=lots"]}),
        );
        assert!(error.to_string().contains("size"), "{error}");
        let error =
            refused(json!({"destination": "/data", "type": "nofs", "source": "/dev/sda", "options": []}));
        assert_eq!(error.code, ErrorCode::NotSupported);
        assert!(error.to_string().contains("this kernel has no file system `nofs`"), "{error}");
        let error = refused(
            json!({"destination": "/data", "type": "bind", "source": "/no/such/source", "options": ["bind"]}),
        );
        assert!(error.to_string().contains("/no/such/source"), "{error}");
        let error = refused(
            json!({"destination": "/dev/kmsg", "type": "bind", "source": "/dev/kmsg", "options": ["bind"]}),
        );
        assert!(error.hint.unwrap().contains("dev"));
    });
}

#[test]
fn the_root_may_come_as_a_directory_or_as_a_mount_that_hangs_nowhere() {
    use rustix::fs::{CWD, Mode, OFlags};
    use rustix::mount::OpenTreeFlags;
    alone(|| {
        for detached in [false, true] {
            let mut bundle = Bundle::new("cat /etc/here; mknod /tmp/null c 1 3 && cat /tmp/null")
                .set("/root/path", json!("unused"));
            fs::write(bundle.rootfs().join("etc/here"), "here\n").unwrap();
            let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            bundle.rootfs = Some(if detached {
                rustix::mount::open_tree(CWD, bundle.rootfs(), clone).unwrap()
            } else {
                rustix::fs::open(bundle.rootfs(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
            });
            let outcome = bundle.run();
            assert_eq!(outcome.stdout, "here\n", "{outcome:?}");
            assert!(
                outcome.stderr.contains("Permission denied"),
                "devices of the root are none: {outcome:?}"
            );
        }
    });
}
