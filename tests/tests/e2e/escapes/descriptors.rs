//! CVE-2024-21626: a descriptor of a host directory stays open, and the working directory `/proc/self/fd/N` leads
//! through it out of the container. Defence: only the plan's descriptors are open at exec, and the working directory must
//! lie inside.

use nucleus_tests::rootfs::Rootfs;
use nucleus_tests::{Host, Nucleus};

use super::{Bait, stand_in};
use crate::{DEV, PROFILES};

/// Opens a directory as each of the descriptors 3 to 22, and leaves them to what comes then.
const LEAK: &str = r#"for n in {3..22}; do eval "exec $n< \"$1\""; done; shift; exec "$@""#;

fn leaky(call: Nucleus, bait: &Bait) -> Nucleus {
    call.through(["/bin/bash".as_ref(), "-c".as_ref(), LEAK.as_ref(), "leak".as_ref(), bait.path.as_os_str()])
}

#[test]
fn the_callers_descriptors_are_closed() {
    let host = Host::enter();
    let bait = Bait::lay(&host);
    for profile in PROFILES {
        for option in [None, Some("--init")] {
            // `ls` opens the directory itself, as 3.
            let call = host.shell(profile, "exec ls /proc/$$/fd").args(option);
            assert_eq!(leaky(call, &bait).output().assert_success().text(), "0\n1\n2\n3", "{profile}");
        }
    }
}

#[test]
fn a_working_directory_behind_a_descriptor_is_refused_or_inside() {
    let host = Host::enter();
    let bait = Bait::lay(&host);
    for number in 0..32 {
        let script = "cat file; cat ../bait/file; echo x > file; pwd -P; true";
        let call = host.shell(DEV, script).args(["--cwd", &format!("/proc/self/fd/{number}")]);
        let output = leaky(call, &bait).output().assert_code(125);
        assert_eq!(output.text(), "", "nothing ran");
        bait.assert_untouched();
    }
}

/// The same, where the image hides the way in a link.
#[test]
fn a_working_directory_that_is_a_link_to_a_descriptor_is_refused() {
    let host = Host::enter();
    let bait = Bait::lay(&host);
    let root = Rootfs::busybox(host.path("root"));
    for number in [3, 7, 10, 22] {
        root.link("work", format!("/proc/self/fd/{number}"));
        for option in ["--read-only", "--writable"] {
            let call =
                host.shell(DEV, "cat file").arg("--rootfs").arg(root.path()).args([option, "--cwd", "/work"]);
            let output = leaky(call, &bait).output().assert_code(125);
            assert_eq!(output.text(), "", "nothing ran");
        }
    }
    bait.assert_untouched();
}

#[test]
fn the_trap_works_on_a_runtime_that_leaks() {
    let host = Host::enter();
    let bait = Bait::lay(&host);
    let root = Rootfs::busybox(host.path("root"));
    let script = r#"mount -t proc proc "$1/proc"; exec 9< "$2"; exec chroot "$1" /bin/sh -c 'cd /proc/self/fd/9 && echo fallen > file'"#;
    assert!(stand_in(script, &[root.path(), &bait.path]).status.success());
    assert!(!bait.is_untouched());
}
