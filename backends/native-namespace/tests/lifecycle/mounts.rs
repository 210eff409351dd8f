//! `mounts` of the configuration, each option observed from inside: in the mount table, and by its effect.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use nucleus_abi::ErrorCode;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use serde_json::{Value, json};

use crate::harness::{Bundle, alone};

/// A mount namespace of the test's own, in which it may make mounts for the container to take.
pub(crate) fn own_mounts(body: impl FnOnce()) {
    alone(|| {
        // SAFETY: the process has one thread and shares no memory.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.unwrap();
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        body();
    });
}

pub(crate) fn tmpfs(at: &Path) {
    fs::create_dir_all(at).unwrap();
    mount("tmpfs", at, "tmpfs", MountFlags::empty(), None::<&std::ffi::CStr>).unwrap();
}

/// The container may mount, and nothing keeps it from it.
pub(crate) fn mounting(bundle: Bundle) -> Bundle {
    let set = json!(["CAP_SYS_ADMIN", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_MKNOD"]);
    bundle.set("/process/capabilities", json!({"bounding": set, "permitted": set, "effective": set}))
}

pub(crate) fn mapped(bundle: Bundle) -> Bundle {
    let maps = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    bundle
        .push("/linux/namespaces", json!({"type": "user"}))
        .set("/linux/uidMappings", maps.clone())
        .set("/linux/gidMappings", maps)
}

/// The directory `name` beside the root file system.
fn directory(bundle: &Bundle, name: &str) -> PathBuf {
    let path = bundle.directory.join(name);
    fs::create_dir(&path).unwrap();
    path
}

fn bind(target: &str, source: &Path, options: &[&str]) -> Value {
    json!({"destination": target, "type": "bind", "source": source, "options": options})
}

const OPTIONS_OF: &str = "grep ' /data ' /proc/self/mountinfo";

/// The mount options and the propagation of `/data`, as mountinfo shows them.
fn shown(line: &str) -> (Vec<&str>, Vec<&str>) {
    let mut fields = line.split(' ').skip(5);
    let options = fields.next().unwrap().split(',').collect();
    (options, fields.take_while(|field| *field != "-").collect())
}

#[test]
fn each_attribute_stands_in_the_mount_table() {
    alone(|| {
        for (word, contrary) in [
            ("ro", "rw"),
            ("nosuid", "suid"),
            ("nodev", "dev"),
            ("noexec", "exec"),
            ("nodiratime", "diratime"),
            ("nosymfollow", "symfollow"),
            ("noatime", "relatime"),
        ] {
            for prefix in ["", "r"] {
                let (word, contrary) = (format!("{prefix}{word}"), format!("{prefix}{contrary}"));
                let plain = word[prefix.len()..].to_owned();
                let options = |words: &[&str], kind| {
                    let bundle = Bundle::new(OPTIONS_OF);
                    let source = directory(&bundle, "volume");
                    let mount = match kind {
                        "bind" => bind("/data", &source, &[&["rbind"], words].concat()),
                        kind => json!({"destination": "/data", "type": kind, "options": words}),
                    };
                    let outcome = bundle.push("/mounts", mount).run();
                    shown(outcome.output()).0.iter().any(|option| *option == plain)
                };
                for kind in ["bind", "tmpfs"] {
                    assert!(options(&[&contrary, &word], kind), "{kind}: {word}");
                    assert!(!options(&[&word, &contrary], kind), "{kind}: {contrary}");
                }
            }
        }
    });
}

#[test]
fn attributes_have_their_effect() {
    alone(|| {
        let script = "/data/true; echo $?; cat /data/link; cat /data/link > /dev/null 2>&1; echo $?";
        let run = |options: &[&str]| {
            let bundle = Bundle::new(script);
            let volume = directory(&bundle, "volume");
            fs::copy("/usr/bin/busybox", volume.join("true")).unwrap();
            fs::write(volume.join("file"), "linked\n").unwrap();
            symlink("file", volume.join("link")).unwrap();
            bundle.push("/mounts", bind("/data", &volume, options)).run().stdout
        };
        assert_eq!(run(&["bind"]), "0\nlinked\n0\n");
        assert_eq!(run(&["bind", "noexec"]), "126\nlinked\n0\n");
        assert_eq!(run(&["bind", "nosymfollow"]), "0\n1\n");
    });
}

#[test]
fn recursive_attributes_reach_the_mounts_below() {
    own_mounts(|| {
        let write = "echo x > /data/file && echo top; echo x > /data/below/file && echo below; true";
        let run = |options: &[&str]| {
            let bundle = Bundle::new(write);
            let volume = directory(&bundle, "volume");
            tmpfs(&volume.join("below"));
            let bundle = bundle.push("/mounts", bind("/data", &volume, options));
            let outcome = bundle.run();
            outcome.output().to_owned()
        };
        assert_eq!(run(&["rbind"]), "top\nbelow");
        assert_eq!(run(&["rbind", "ro"]), "below");
        assert_eq!(run(&["rbind", "rro"]), "");
        assert_eq!(run(&["rbind", "rro", "rw"]), "top");
        assert_eq!(run(&["bind", "rro", "rw"]), "top\nbelow", "there is nothing below but a directory");
    });
}

/// What is not named stays as the source's mount has it.
#[test]
fn attributes_of_the_source_are_kept() {
    own_mounts(|| {
        let bundle = Bundle::new(OPTIONS_OF);
        let volume = bundle.directory.join("volume");
        tmpfs(&volume);
        mount_remount(&volume, MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::RDONLY);
        let bundle = bundle.push("/mounts", bind("/data", &volume, &["bind", "exec"]));
        let outcome = bundle.run();
        let (options, _) = shown(outcome.output());
        for (option, kept) in [("nosuid", true), ("ro", true), ("noexec", false)] {
            assert_eq!(options.contains(&option), kept, "{options:?}");
        }
    });
}

fn mount_remount(at: &Path, flags: MountFlags) {
    rustix::mount::mount_remount(at, MountFlags::BIND | flags, "").unwrap();
}

#[test]
fn a_file_system_gets_its_own_options() {
    alone(|| {
        let script = "grep ' /data ' /proc/self/mountinfo; stat -c '%a %u %g' /data; \
            grep ' /data/pts ' /proc/self/mountinfo; grep ' /data/overlay ' /proc/self/mountinfo; cat /data/overlay/file";
        let bundle = Bundle::new(script);
        let [lower, upper, work] = ["lower", "upper", "work"].map(|name| directory(&bundle, name));
        fs::write(lower.join("file"), "from below\n").unwrap();
        let layers = [("lowerdir", lower), ("upperdir", upper), ("workdir", work)];
        let layers = layers.map(|(key, path)| format!("{key}={}", path.display()));
        let tmpfs = ["size=4m", "mode=1710", "uid=3", "gid=4", "nr_inodes=77", "sync", "lazytime", "silent"];
        let bundle = bundle
            .push("/mounts", json!({"destination": "/data", "type": "tmpfs", "source": "named", "options": tmpfs}))
            .push("/mounts", json!({"destination": "/data/pts", "type": "devpts", "options": ["newinstance", "ptmxmode=0666"]}))
            .push("/mounts", json!({"destination": "/data/overlay", "type": "overlay", "options": layers}))
            .push("/mounts", json!({"destination": "/data/ram", "type": "ramfs", "options": []}));
        let outcome = bundle.run();
        let lines: Vec<_> = outcome.output().lines().collect();
        for option in ["size=4096k", "nr_inodes=77", "sync", "lazytime", "named"] {
            assert!(lines[0].contains(option), "{option}: {}", lines[0]);
        }
        assert_eq!(lines[1], "1710 3 4");
        assert!(lines[2].contains("ptmxmode=666"), "{}", lines[2]);
        assert!(lines[3].contains("- overlay overlay rw,lowerdir="), "{}", lines[3]);
        assert_eq!(lines[4], "from below");
    });
}

/// fsconfig(2) takes values of 255 bytes; engines' layers are longer.
#[test]
fn an_overlay_may_have_long_layers() {
    alone(|| {
        let bundle =
            Bundle::new("cat /data/file; echo above > /data/new; grep ' /data ' /proc/self/mountinfo");
        let deep = bundle.directory.join("d".repeat(200));
        let [one, two, upper, work] = ["one", "two", "upper", "work"].map(|name| {
            fs::create_dir_all(deep.join(name)).unwrap();
            deep.join(name)
        });
        fs::write(two.join("file"), "from below\n").unwrap();
        let lower = format!("lowerdir={}:{}", one.display(), two.display());
        let upper_option = format!("upperdir={}", upper.display());
        let work = format!("workdir={}", work.display());
        let options = [&lower, &upper_option, &work, "nosuid", "noatime"];
        let bundle =
            bundle.push("/mounts", json!({"destination": "/data", "type": "overlay", "options": options}));
        let outcome = bundle.run();
        let (first, table) = outcome.output().split_once('\n').unwrap();
        assert_eq!(first, "from below");
        let (options, _) = shown(table);
        assert!(options.contains(&"nosuid") && options.contains(&"noatime"), "{table}");
        assert_eq!(fs::read_to_string(upper.join("new")).unwrap(), "above\n");
    });
}

#[test]
fn what_a_file_system_does_not_understand_is_named_with_its_place() {
    alone(|| {
        let refused = |kind, options: &[&str]| {
            let mount = json!({"destination": "/data", "type": kind, "options": options});
            let error = Bundle::new("").push("/mounts", mount).refused();
            assert_eq!(error.code, ErrorCode::ConfigInvalid, "{error}");
            error.to_string()
        };
        let error = refused("tmpfs", &["ro", "sparkle"]);
        assert!(
            error.contains("mounts[7].options[1]: `sparkle`: tmpfs: Unknown parameter 'sparkle'"),
            "{error}"
        );
        let error = refused("tmpfs", &["size=lots"]);
        assert!(error.contains("mounts[7].options[0]: `size=lots`: tmpfs: Bad value for 'size'"), "{error}");
        let error = refused("mqueue", &["mode=1"]);
        assert!(error.contains("mounts[7].options[0]: `mode=1`"), "{error}");
    });
}

#[test]
fn a_tmpfs_has_the_mode_of_what_it_covers() {
    alone(|| {
        let bundle = Bundle::new("stat -c %a /data /tmp /new");
        fs::set_permissions(bundle.rootfs().join("data"), PermissionsExt::from_mode(0o1750)).unwrap();
        let tmpfs = |at, options| json!({"destination": at, "type": "tmpfs", "options": options});
        let bundle = bundle
            .push("/mounts", tmpfs("/data", json!([])))
            .push("/mounts", tmpfs("/tmp", json!(["mode=700"])))
            .push("/mounts", tmpfs("/new", json!(["size=1m"])));
        assert_eq!(bundle.run().output(), "1750\n700\n1777");
    });
}

#[test]
fn a_read_only_tmpfs_takes_places_for_other_mounts_first() {
    alone(|| {
        let bundle = Bundle::new("touch /data/x || cat /data/in/side/file; touch /dev/x");
        let volume = directory(&bundle, "volume");
        fs::write(volume.join("file"), "inside\n").unwrap();
        let bundle = bundle
            .set("/mounts/1/options", json!(["nosuid", "mode=755", "ro"]))
            .push("/mounts", json!({"destination": "/data", "type": "tmpfs", "options": ["ro"]}))
            .push("/mounts", bind("/data/in/side", &volume, &["bind"]));
        let outcome = bundle.run();
        assert_eq!(outcome.stdout, "inside\n");
        assert_eq!(outcome.stderr.matches("Read-only file system").count(), 2, "{outcome:?}");
    });
}

#[test]
fn a_tmpfs_is_filled_with_what_it_covers() {
    alone(|| {
        let script = "stat -c '%n %a %u %g %F' /data /data/* /data/deep/*; cat /data/deep/file; readlink /data/link; \
            echo changed > /data/deep/file; grep -c ' /data ro' /proc/self/mountinfo";
        let bundle = Bundle::new(script);
        let data = bundle.rootfs().join("data");
        fs::create_dir(data.join("deep")).unwrap();
        fs::write(data.join("deep/file"), "content\n").unwrap();
        fs::set_permissions(data.join("deep/file"), PermissionsExt::from_mode(0o604)).unwrap();
        chown(data.join("deep/file"), Some(12), Some(13)).unwrap();
        chown(&data, Some(14), Some(15)).unwrap();
        fs::set_permissions(&data, PermissionsExt::from_mode(0o751)).unwrap();
        let canary = bundle.directory.join("canary");
        fs::write(&canary, "host").unwrap();
        symlink(&canary, data.join("link")).unwrap();
        let bundle = bundle.push(
            "/mounts",
            json!({"destination": "/data", "type": "tmpfs", "options": ["tmpcopyup", "size=1m"]}),
        );
        let outcome = bundle.run();
        let expected = format!(
            "/data 751 14 15 directory\n/data/deep 755 0 0 directory\n/data/link 777 0 0 symbolic link\n\
             /data/deep/file 604 12 13 regular file\ncontent\n{}\n0\n",
            canary.display()
        );
        assert_eq!(outcome.stdout, expected);
        assert_eq!(fs::read_to_string(data.join("deep/file")).unwrap(), "content\n");
        let small = Bundle::new("");
        fs::write(small.rootfs().join("data/big"), vec![1; 1 << 20]).unwrap();
        let options = json!(["tmpcopyup", "size=64k"]);
        let error = small
            .push("/mounts", json!({"destination": "/data", "type": "tmpfs", "options": options}))
            .refused();
        assert!(error.to_string().contains("/data: the tmpfs is too small"), "{error}");
    });
}

#[test]
fn what_is_mounted_already_can_be_changed() {
    alone(|| {
        let script = "grep ' /data ' /proc/self/mountinfo";
        let remount = |target, options| json!({"destination": target, "type": "tmpfs", "options": options});
        let bundle = Bundle::new(script)
            .push("/mounts", remount("/data", json!(["size=1m", "nosuid"])))
            .push("/mounts", remount("/data", json!(["remount", "size=2m", "noexec", "suid"])));
        let outcome = bundle.run();
        let (options, _) = shown(outcome.output());
        assert!(options.contains(&"noexec") && !options.contains(&"nosuid"), "{options:?}");
        assert!(outcome.stdout.contains("size=2048k"), "{}", outcome.stdout);
        let error = Bundle::new("").push("/mounts", remount("/etc", json!(["remount", "ro"]))).refused();
        assert!(error.to_string().contains("nothing is mounted there"), "{error}");
    });
}

/// Engines mount over `/etc/resolv.conf`, which in many images is a link to a file that only a running system has.
#[test]
fn a_link_to_nothing_is_completed_inside() {
    alone(|| {
        let bundle = Bundle::new("cat /etc/resolv.conf /run/systemd/stub; ls /var/run/secrets");
        symlink("../run/systemd/stub", bundle.rootfs().join("etc/resolv.conf")).unwrap();
        fs::create_dir(bundle.rootfs().join("var")).unwrap();
        symlink("/run", bundle.rootfs().join("var/run")).unwrap();
        let volume = directory(&bundle, "volume");
        fs::write(volume.join("resolv"), "nameserver\n").unwrap();
        let bundle = bundle
            .push("/mounts", bind("/etc/resolv.conf", &volume.join("resolv"), &["bind"]))
            .push("/mounts", bind("var/run/secrets", &volume, &["bind"]));
        assert_eq!(bundle.run().output(), "nameserver\nnameserver\nresolv");
    });
}

#[test]
fn nothing_false_is_mounted_on_proc() {
    alone(|| {
        let refused = |mount: Value| {
            let bundle = Bundle::new("");
            let source = directory(&bundle, "false");
            let mut mount = mount;
            if mount["type"] == "bind" && mount["source"].is_null() {
                mount["source"] = json!(source);
            }
            bundle.push("/mounts", mount).refused().to_string()
        };
        let error = refused(json!({"destination": "/proc", "type": "tmpfs"}));
        assert!(error.contains("mounts[7].destination: only a procfs"), "{error}");
        let error = refused(json!({"destination": "/proc", "type": "bind", "options": ["bind"]}));
        assert!(error.contains("mounts[7].source") && error.contains("is no procfs"), "{error}");
        let error =
            refused(json!({"destination": "/proc/self/attr", "type": "bind", "source": "/proc/self/sched"}));
        assert!(error.contains("lies inside of /proc"), "{error}");
        for around in ["/dev/../proc", "/../proc", "proc/.", "/sys/./../dev/../proc/"] {
            let error = refused(json!({"destination": around, "type": "tmpfs"}));
            assert!(error.contains("mounts[7].destination: only a procfs"), "{around}: {error}");
        }
        let error = refused(json!({"destination": "/tmp/../proc/1/attr", "type": "tmpfs"}));
        assert!(error.contains("/proc/1/attr lies inside of /proc"), "{error}");
        let emulated = Bundle::new("cat /proc/uptime; readlink /proc/1/root");
        let file = emulated.directory.join("uptime");
        fs::write(&file, "42\n").unwrap();
        assert_eq!(emulated.push("/mounts", bind("/proc/uptime", &file, &["bind"])).run().output(), "42\n/");
    });
}

/// Naming one kernel directory is no leave to reach another by a link of the image.
#[test]
fn a_link_leads_from_no_kernel_directory_to_another() {
    alone(|| {
        for (link, leads_to) in [("sys/away", "/proc"), ("sys/away", "/dev/pts"), ("sys/away", "/dev")] {
            let bundle = Bundle::new("");
            let mounts = bundle.config["mounts"].as_array().unwrap().iter();
            let without_sys: Vec<_> =
                mounts.filter(|mount| mount["destination"] != "/sys").cloned().collect();
            fs::create_dir_all(bundle.rootfs().join("sys")).unwrap();
            symlink(leads_to, bundle.rootfs().join(link)).unwrap();
            let bundle = bundle
                .set("/mounts", json!(without_sys))
                .push("/mounts", json!({"destination": format!("/{link}"), "type": "tmpfs"}));
            let error = bundle.refused().to_string();
            assert!(error.contains("leads it onto a kernel file system"), "{leads_to}: {error}");
        }
    });
}

#[test]
fn owners_are_mapped_by_the_maps_of_the_mount() {
    alone(|| {
        let bundle = Bundle::new("stat -c '%u %g' /data/file; touch /data/new");
        let volume = directory(&bundle, "volume");
        fs::write(volume.join("file"), "").unwrap();
        chown(volume.join("file"), Some(1005), Some(2006)).unwrap();
        let map = |container: u32, host: u32| json!([{"containerID": container, "hostID": host, "size": 10}]);
        let mut mount = bind("/data", &volume, &["bind", "idmap"]);
        mount["uidMappings"] = map(1000, 0);
        mount["gidMappings"] = map(2000, 0);
        chown(&volume, Some(1000), Some(2000)).unwrap();
        let bundle = bundle.push("/mounts", mount);
        assert_eq!(bundle.run().output(), "5 6");
        let made = fs::metadata(volume.join("new")).unwrap();
        assert_eq!((made.uid(), made.gid()), (1000, 2000), "on disk root's file belongs to the mapped id");
    });
}

#[test]
fn owners_are_mapped_by_the_containers_user_namespace() {
    alone(|| {
        let run = |options: &[&str]| {
            let bundle = mapped(Bundle::new("stat -c %u /data/file; touch /data/new"));
            let volume = directory(&bundle, "volume");
            fs::write(volume.join("file"), "").unwrap();
            chown(volume.join("file"), Some(7), None).unwrap();
            let bundle = bundle.push("/mounts", bind("/data", &volume, options));
            let outcome = bundle.run();
            (outcome.stdout, fs::metadata(volume.join("new")).ok().map(|file| file.uid()))
        };
        assert_eq!(run(&["bind"]), ("65534\n".to_owned(), None));
        assert_eq!(run(&["bind", "idmap"]), ("7\n".to_owned(), Some(0)));
        assert_eq!(run(&["rbind", "ridmap", "rw"]), ("7\n".to_owned(), Some(0)));
    });
}

#[test]
fn an_id_mapping_reaches_below_only_where_it_says_so() {
    own_mounts(|| {
        let run = |option: &str| {
            let bundle = mapped(Bundle::new("stat -c %u /data /data/below"));
            let volume = directory(&bundle, "volume");
            tmpfs(&volume.join("below"));
            bundle.push("/mounts", bind("/data", &volume, &["rbind", option])).run().stdout
        };
        assert_eq!(run("idmap"), "0\n65534\n");
        assert_eq!(run("ridmap"), "0\n0\n");
    });
}

#[test]
fn a_file_system_without_id_mapping_is_named() {
    alone(|| {
        let error = mapped(Bundle::new(""))
            .push("/mounts", bind("/data", Path::new("/sys/kernel"), &["bind", "idmap"]))
            .refused();
        assert_eq!(error.code, ErrorCode::NotSupported);
        assert!(
            error.to_string().contains("mounts[7].options: idmap")
                && error.to_string().contains("/sys/kernel"),
            "{error}"
        );
        let error = Bundle::new("")
            .push("/mounts", json!({"destination": "/x", "type": "tmpfs", "options": ["idmap"]}))
            .refused();
        assert!(error.to_string().contains("only bind mounts are id-mapped"), "{error}");
    });
}

/// In a user namespace, with a network namespace of the host's.
#[test]
fn a_sysfs_that_cannot_be_made_is_the_hosts_and_read_only() {
    alone(|| {
        let bundle = mapped(Bundle::new(
            "ls /sys/class/net | head -1; echo x > /sys/kernel/mm/x; touch /sys/kernel/x",
        ));
        let namespaces: Vec<_> = bundle.config["linux"]["namespaces"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["type"] != "network")
            .cloned()
            .collect();
        let outcome = bundle.set("/linux/namespaces", json!(namespaces)).run();
        assert!(!outcome.stdout.trim().is_empty(), "{outcome:?}");
        assert_eq!(outcome.stderr.matches("Read-only file system").count(), 2, "{outcome:?}");
    });
}

/// The configuration's cgroup mount, with other options, in a container that has a group in every hierarchy.
fn cgroups(script: &str, options: &[&str]) -> Bundle {
    let mut bundle = Bundle::new(script);
    bundle.hierarchies = nucleus_abi::Hierarchies::All;
    bundle.config["mounts"][6]["options"] = json!(options);
    bundle
}

#[test]
fn cgroups_are_the_containers_own_and_writable_unless_read_only() {
    alone(|| {
        let script = "cd /sys/fs/cgroup; for d in . */; do [ -e $d/cgroup.procs ] && mkdir $d/sub && rmdir $d/sub && echo made; \
            done | sort -u; find . -name 'nucleus*'; cat */cgroup.procs cgroup.procs 2>/dev/null | sort -u | head -3";
        let outcome = cgroups(script, &["nosuid"]).run();
        assert!(outcome.stdout.starts_with("made\n"), "{outcome:?}");
        assert!(!outcome.stdout.contains("nucleus"), "only its own groups: {outcome:?}");
        let outcome = cgroups(script, &["ro"]).run();
        assert!(!outcome.stdout.contains("made"), "{outcome:?}");
        assert!(outcome.stderr.contains("Read-only file system"), "{outcome:?}");
        let error = cgroups("", &["nsdelegate"]).refused();
        assert!(error.to_string().contains("mounts[6].options[0]: `nsdelegate`"), "{error}");
    });
}

/// A group that the container manages itself is its root's, but not the files that hold its limits.
#[test]
fn a_writable_group_is_given_to_the_user_namespace() {
    alone(|| {
        for (options, owner) in [(["nosuid"], 100_000), (["ro"], 0)] {
            let bundle = mapped(cgroups("true", &options));
            let null = fs::File::options().read(true).write(true).open("/dev/null").unwrap();
            let container = bundle.create([std::os::fd::AsFd::as_fd(&null); 3]).unwrap();
            let unified =
                bundle.cgroups().into_iter().find(|group| group.join("cgroup.controllers").exists()).unwrap();
            let of = |file: &str| fs::metadata(unified.join(file)).unwrap().uid();
            assert_eq!([of(""), of("cgroup.procs"), of("cgroup.subtree_control")], [owner; 3], "{options:?}");
            assert_eq!([of("cgroup.freeze"), of("cgroup.max.depth")], [0; 2]);
            container.start().unwrap();
            container.wait().unwrap();
            container.delete();
        }
    });
}

#[test]
fn what_a_user_namespace_may_not_mount_says_why() {
    alone(|| {
        let bundle = mapped(Bundle::new(""));
        let namespaces: Vec<_> = bundle.config["linux"]["namespaces"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["type"] != "pid")
            .cloned()
            .collect();
        let error = bundle.set("/linux/namespaces", json!(namespaces)).refused();
        assert!(error.to_string().contains("mount `proc`: /proc"), "{error}");
        assert!(error.hint.unwrap().contains("pid namespace of the container's own"));
        let error = mapped(Bundle::new(""))
            .push("/mounts", json!({"destination": "/data", "type": "ext4", "source": "/dev/loop0"}))
            .refused();
        assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("only root of the host")), "{error}");
    });
}

#[test]
fn a_label_is_given_where_the_kernel_has_selinux_and_refused_elsewhere() {
    alone(|| {
        let label = "system_u:object_r:container_file_t:s0";
        let bundle = Bundle::new("grep -c ' /dev/shm .*context=' /proc/self/mountinfo")
            .set("/linux/mountLabel", json!(label));
        if Path::new("/sys/fs/selinux/enforce").exists() {
            assert_eq!(bundle.run().output(), "1");
            return;
        }
        let error = bundle.refused();
        assert_eq!(error.code, ErrorCode::NotSupported);
        assert!(
            error.to_string().contains("linux.mountLabel") && error.to_string().contains("SELinux"),
            "{error}"
        );
    });
}
