//! Known escapes, tried on every backend: those in which files of an image, names that change under way, and secrets take
//! part. What each is about stands in docs/security-cases.md; the backend of nucleus' own has more tests of them.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nucleus_tests::pty::Terminal;
use nucleus_tests::rootfs::{Rootfs, Trap};
use nucleus_tests::{Nucleus, Output};

use super::table::{Case, run};
use super::{Backend, Subject};
use crate::escapes::{Bait, MANY, Starts, race_of};
use crate::secrets::secrecy::{Canary, assert_none};
use crate::{open_directory, writable};

pub(super) const ESCAPES: &[Case] = &[
    ("links in place of kernel file systems", kernel_places),
    ("links below /dev", links_below_dev),
    ("a terminal over a link", terminal_over_a_link),
    ("mount targets behind links", targets),
    ("a target that is swapped", swapped_target),
    ("a /dev that is swapped", swapped_dev),
    ("a false file of procfs", false_procfs),
    ("a program that is a link to the host's", program),
    ("a working directory through a descriptor", working_directory),
    ("a volume over a kernel file system", volume_over_kernel),
    ("places behind links of the image", places),
    ("the canary of a secret", canary),
];

const OPTIONS: [&str; 2] = ["--read-only", "--writable"];

impl Subject {
    fn in_root(&self, root: &Rootfs, option: &str, script: &str) -> Nucleus {
        self.shell("", script).arg("--rootfs").arg(root.path()).arg(option)
    }

    /// Other runtimes are programs of their own, and gVisor starts a kernel each time.
    fn starts(&self) -> Starts {
        match self.backend {
            Backend::Runsc => Starts { enough: 6, least: 2, patience: Duration::from_secs(30) },
            // One that meets the race in a bad moment may hang until it is killed, after 30 s.
            Backend::Crun | Backend::Runc => Starts { least: 3, patience: Duration::from_secs(40), ..MANY },
            _ => MANY,
        }
    }

    fn image(&self, name: &str) -> Rootfs {
        Rootfs::busybox(self.host.path(name))
    }
}

/// Whether something was refused: by nucleus, or by the runtime that it calls.
#[track_caller]
fn assert_stayed_inside(output: &Output, bait: &Bait) {
    bait.assert_untouched();
    assert!(!output.text().contains("sings"), "the host's file is seen\n{output}");
    assert!(output.text().lines().all(|mount| mount.starts_with('/')), "a mount beside the root\n{output}");
}

fn kernel_places(subject: &Subject) {
    let bait = Bait::lay(&subject.host);
    for (trap, place) in [(Trap::DevIsLink, "/dev"), (Trap::ProcIsLink, "/proc"), (Trap::SysIsLink, "/sys")] {
        let root = subject.image(&format!("{trap:?}"));
        root.trap(trap, &bait.path);
        let inside = subject.image(&format!("{trap:?}-inside"));
        fs::create_dir(inside.path().join("evil")).unwrap();
        inside.link(&place[1..], "evil");
        for option in OPTIONS {
            let output = subject.in_root(&root, option, "cat /proc/file /dev/file /sys/file").output();
            assert_stayed_inside(&output, &bait);
            assert_ne!(output.code(), Some(0), "{place} {option}: {output}");
            subject.in_root(&inside, option, "true").output();
            assert_eq!(fs::read_dir(inside.path().join("evil")).unwrap().count(), 0, "{place} {option}");
        }
    }
}

fn links_below_dev(subject: &Subject) {
    let bait = Bait::lay(&subject.host);
    for trap in [Trap::NullIsLink, Trap::ConsoleIsLink, Trap::PtsIsLink] {
        let root = subject.image(&format!("{trap:?}"));
        let target = if trap == Trap::PtsIsLink { bait.path.clone() } else { bait.file() };
        root.trap(trap, &target);
        let script =
            "echo gone > /dev/null; chmod 777 /dev/null; stat -c %t:%T /dev/null; cat /proc/kcore | wc -c";
        for option in OPTIONS {
            let output = subject.in_root(&root, option, script).output();
            assert_eq!(output.text(), "1:3\n0", "{trap:?} {option}\n{output}");
            bait.assert_untouched();
        }
    }
}

fn terminal_over_a_link(subject: &Subject) {
    let bait = Bait::lay(&subject.host);
    for trap in [Trap::ConsoleIsLink, Trap::PtsIsLink] {
        let root = subject.image(&format!("{trap:?}"));
        let target = if trap == Trap::PtsIsLink { bait.path.clone() } else { bait.file() };
        root.trap(trap, &target);
        let call = subject.host.nucleus("run").profile(subject.profile("")).arg("--tty");
        let call = call.arg("--rootfs").arg(root.path());
        let call = call.command(["/bin/sh", "-c", "echo x > /dev/console; echo done"]);
        let (status, text) = Terminal::start(&call.words(), 24, 80).wait();
        assert!(status.success() && text.contains("done"), "{trap:?}\n{text}");
        bait.assert_untouched();
    }
}

fn targets(subject: &Subject) {
    let bait = Bait::lay(&subject.host);
    let shared = open_directory(&subject.host, "shared");
    let root = subject.image("root");
    root.link("absolute", &bait.path);
    root.link("up", "../../../../../../../../../../../../run");
    root.link("self", "/proc/self/root");
    for target in ["/absolute", "/absolute/file", "/absolute/new", "/up/nucleus-made", "/self/made"] {
        for option in OPTIONS {
            let call = subject.in_root(&root, option, "cut -d' ' -f5 /proc/self/mountinfo");
            let output = call.args(["--volume", &writable(&shared, target)]).output();
            assert_stayed_inside(&output, &bait);
            let made = ["/run/nucleus-made", "/made"].map(|path| PathBuf::from(path).exists());
            assert_eq!(made, [false; 2], "{target} {option}");
        }
    }
}

/// Starts while two names of an image change places all the time, the second of which leads to the bait.
fn start_in_a_race(
    subject: &Subject,
    root: &Rootfs,
    names: [&str; 2],
    bait: &Bait,
    start: impl Fn(&str, usize) -> Output,
) -> Vec<Option<i32>> {
    root.link(names[1], &bait.path);
    let [one, other] = names.map(|name| root.path().join(name));
    let starts = Cell::new(0);
    race_of(subject.starts(), &one, &other, || {
        let number = starts.replace(starts.get() + 1);
        start(OPTIONS[number % 2], number).code()
    })
}

fn swapped_target(subject: &Subject) {
    let (bait, shared) = (Bait::lay(&subject.host), open_directory(&subject.host, "shared"));
    let root = subject.image("root");
    fs::create_dir(root.path().join("way")).unwrap();
    let codes = start_in_a_race(subject, &root, ["way", "trap"], &bait, |option, number| {
        let target = ["/way", "/way/deep", "/way/deep/er", "/way/file"][number / 2 % 4];
        let script = "cat /way/file 2> /dev/null; cut -d' ' -f5 /proc/self/mountinfo";
        let call = subject.in_root(&root, option, script).args(["--volume", &writable(&shared, target)]);
        let output = call.output();
        assert_stayed_inside(&output, &bait);
        output
    });
    assert!(codes.contains(&Some(0)), "some starts win: {codes:?}");
}

/// runc looks at `/dev` so often that it is refused nearly always.
fn swapped_dev(subject: &Subject) {
    let (bait, root) = (Bait::lay(&subject.host), subject.image("root"));
    let codes = start_in_a_race(subject, &root, ["dev", "trap"], &bait, |option, _| {
        let script = "cat /dev/file; cut -d' ' -f5 /proc/self/mountinfo; exit 0";
        let output = subject.in_root(&root, option, script).output();
        assert_stayed_inside(&output, &bait);
        output
    });
    assert!(codes.iter().all(|code| matches!(code, Some(0 | 125))), "{codes:?}");
}

fn false_procfs(subject: &Subject) {
    let root = subject.image("root");
    fs::create_dir_all(root.path().join("proc/sys/kernel")).unwrap();
    let fake = root.file("proc/sys/kernel/msgmax", "fake\n");
    let yaml = format!(
        "{}\nsecurity: {{landlock: off, sysctls: {{kernel.msgmax: \"9000\"}}}}",
        subject.backend.yaml(&subject.host)
    );
    let profile = subject.host.profile(crate::DEV, &yaml);
    for option in OPTIONS {
        let call =
            subject.host.shell(&profile, "cat /proc/sys/kernel/msgmax").arg("--rootfs").arg(root.path());
        assert_eq!(call.arg(option).output().assert_success().text(), "9000", "{option}");
        assert_eq!(fs::read_to_string(&fake).unwrap(), "fake\n", "{option}");
    }
}

/// What lies in the image's `/proc` is not what the workload sees there.
pub(super) fn false_procfs_without_parameters(subject: &Subject) {
    let root = subject.image("root");
    fs::create_dir_all(root.path().join("proc/sys/kernel")).unwrap();
    let fakes = ["proc/sys/kernel/hostname", "proc/version"].map(|name| root.file(name, "fake\n"));
    for option in OPTIONS {
        let script = "cat /proc/sys/kernel/hostname /proc/version; echo gone > /proc/version";
        let output = subject.in_root(&root, option, script).output();
        assert!(output.text().contains("Linux") && !output.text().contains("fake"), "{option}: {output}");
        for fake in &fakes {
            assert_eq!(fs::read_to_string(fake).unwrap(), "fake\n", "{option}");
        }
    }
}

fn program(subject: &Subject) {
    let root = subject.image("root");
    let outside = subject.host.file("outside", "#!/bin/sh\necho escaped\n");
    fs::set_permissions(&outside, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    root.link("bin/tool", &outside);
    let output = subject.run(&["/bin/tool"]).arg("--rootfs").arg(root.path()).output();
    assert_ne!(output.code(), Some(0), "{output}");
    assert!(!output.text().contains("escaped"), "{output}");
}

/// CVE-2024-21626: by a descriptor of the host that is open while the workload is set up.
fn working_directory(subject: &Subject) {
    let root = subject.image("root");
    let leaking = ["/bin/sh", "-c", "exec 9</ && exec \"$@\"", "leak"];
    for number in 3..12 {
        let call = subject.in_root(
            &root,
            "--read-only",
            "cat ../../../../etc/hostname ../../../../etc/debian_version",
        );
        let call = call.through(leaking).args(["--cwd", &format!("/proc/self/fd/{number}")]);
        let output = call.output();
        let host = fs::read_to_string("/etc/debian_version").unwrap_or_else(|_| "no Debian".to_owned());
        assert!(!output.text().contains(host.trim()), "{number}: {output}");
    }
}

fn volume_over_kernel(subject: &Subject) {
    let shared = open_directory(&subject.host, "shared");
    let root = subject.image("root");
    root.link("kernel", "/proc");
    for target in ["/proc", "/proc/self", "/sys", "/dev", "/kernel", "/kernel/self"] {
        let call = subject.in_root(&root, "--read-only", "true");
        call.args(["--volume", &writable(&shared, target)]).output().assert_refused(&[target]);
    }
}

fn places(subject: &Subject) {
    let root = subject.image("root");
    root.link("a", "/run");
    let shared = open_directory(&subject.host, "shared");
    fs::create_dir(shared.join("secrets")).unwrap();
    fs::write(shared.join("secrets/k"), "FAKE").unwrap();
    let key = crate::secrets::secret_file(&subject.host, "key", "real");
    let yaml = format!(
        "mounts: {{volumes: [{{source: {}, target: /a, mode: rw}}]}}\nsecrets: [{}]",
        shared.display(),
        crate::secrets::from_file(&key, "name: k")
    );
    let call = subject.shell(&yaml, "cat /run/secrets/k").arg("--rootfs").arg(root.path());
    call.output().assert_refused(&["/run/secrets/k", "/a is a link to /run"]);
}

/// In what nucleus and the runtime keep, in any process' environment or words, and in the memory of nucleus.
fn canary(subject: &Subject) {
    let host = &subject.host;
    let canary = Canary::of(host);
    let (file, shared) = (canary.file(host, "file"), open_directory(host, "shared"));
    let secrets = [
        crate::secrets::from_file(&file, "name: file"),
        "{source: {env: NUCLEUS_TEST_TOKEN}, name: env}".to_owned(),
    ];
    let (id, log) = (host.fresh_id(), host.path("log"));
    let profile = subject.profile(&format!("secrets: [{}]", secrets.join(", ")));
    let call = host.nucleus("run").profile(profile).args(["--id", &id, "--no-tty"]);
    let call =
        call.global("--debug").global("--log").global(&log).args(["--volume", &writable(&shared, "/shared")]);
    let script = "[ -s /run/secrets/env ] && [ -s /run/secrets/file ] && : > /shared/ready; read line";
    let call = call.command(["/bin/sh", "-c", script]).env("NUCLEUS_TEST_TOKEN", format!("{}env", canary.0));
    let mut running = call.stdin_open().spawn();
    running.wait_for_file(&shared.join("ready"));
    let pid = running.pid().as_raw_nonzero().get();
    assert_none(&canary.in_files_below(&host.root()));
    assert!(!canary.sings_in(&fs::read(&log).unwrap_or_default()), "the log");
    for kept in ["/run/crun", "/run/runc"] {
        assert_none(&canary.in_files_below(Path::new(kept)));
    }
    assert_none(&canary.in_proc("environ"));
    assert_none(&canary.in_proc("cmdline"));
    assert_eq!(canary.in_memory_of(pid), [""; 0], "the memory of nucleus");
    drop(running.stdin());
    running.wait();
    assert_none(&canary.in_files_below(&host.root()));
}

#[test]
fn native_namespace_keeps_them_in() {
    run(Backend::Native, ESCAPES);
}

#[test]
fn oci_runtime_with_crun_keeps_them_in() {
    run(Backend::Crun, ESCAPES);
}

#[test]
fn oci_runtime_with_runc_keeps_them_in() {
    run(Backend::Runc, ESCAPES);
}

/// Cases one by one: it starts a kernel each time, and a test has two minutes.
mod gvisor_runsc {
    use super::super::table::run;
    use super::{Backend, ESCAPES};

    #[track_caller]
    fn keeps_in(name: &str) {
        let case = ESCAPES.iter().find(|(case, _)| *case == name).expect("a case of the list");
        run(Backend::Runsc, std::slice::from_ref(case));
    }

    #[test]
    fn links_in_place_of_kernel_file_systems() {
        keeps_in("links in place of kernel file systems");
    }

    #[test]
    fn links_below_dev() {
        keeps_in("links below /dev");
    }

    #[test]
    fn a_terminal_over_a_link() {
        keeps_in("a terminal over a link");
    }

    #[test]
    fn mount_targets_behind_links() {
        keeps_in("mount targets behind links");
    }

    #[test]
    fn a_target_that_is_swapped() {
        keeps_in("a target that is swapped");
    }

    #[test]
    fn a_dev_that_is_swapped() {
        keeps_in("a /dev that is swapped");
    }

    #[test]
    fn a_false_file_of_procfs() {
        keeps_in("a false file of procfs");
    }

    #[test]
    fn a_program_that_is_a_link() {
        keeps_in("a program that is a link to the host's");
    }

    #[test]
    fn a_working_directory_through_a_descriptor() {
        keeps_in("a working directory through a descriptor");
    }

    #[test]
    fn places() {
        keeps_in("a volume over a kernel file system");
        keeps_in("places behind links of the image");
    }

    #[test]
    fn the_canary_of_a_secret() {
        keeps_in("the canary of a secret");
    }
}
