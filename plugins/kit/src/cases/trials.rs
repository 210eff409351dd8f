//! Truth of the capability report: each yes is tried from inside.

use std::fs;

use nucleus_abi::{Capability, ExitStatus};
use serde_json::json;

use super::report::only_if;
use crate::bundle::Bundle;
use crate::container::{Container, Ended, bundle};
use crate::subject::{Subject, Trial, must};

/// Runs a script in a bundle of the trial.
fn shell(
    subject: &Subject,
    script: &str,
    change: impl FnOnce(Bundle) -> std::io::Result<Bundle>,
) -> Trial<Ended> {
    Container::run(subject, change(bundle(subject, "trial", script)?)?)
}

/// What a script prints that must end well.
fn prints(
    subject: &Subject,
    script: &str,
    expected: &str,
    change: impl FnOnce(Bundle) -> std::io::Result<Bundle>,
) -> Trial {
    let ended = shell(subject, script, change)?;
    must(
        ended.output == expected,
        format!("`{script}` prints {:?}, not {expected:?} ({:?})", ended.output, ended.status),
    )
}

pub(super) fn namespaces(subject: &Subject) -> Trial {
    let all = [
        (Capability::NamespacePid, "pid"),
        (Capability::NamespaceMount, "mnt"),
        (Capability::NamespaceNetwork, "net"),
        (Capability::NamespaceIpc, "ipc"),
        (Capability::NamespaceUts, "uts"),
    ];
    let ended = shell(subject, "cd /proc/self/ns; for n in pid mnt net ipc uts; do readlink $n; done", Ok)?;
    let inside: Vec<&str> = ended.output.lines().collect();
    must(inside.len() == all.len(), format!("{ended:?}"))?;
    for ((capability, name), inside) in all.into_iter().zip(inside) {
        if only_if(subject, capability).is_ok() {
            let host = fs::read_link(format!("/proc/self/ns/{name}"))?;
            must(host.as_os_str() != inside, format!("`{capability}`: the {name} namespace is the host's"))?;
        }
    }
    Ok(())
}

pub(super) fn readonly_rootfs(subject: &Subject) -> Trial {
    only_if(subject, Capability::RootfsReadonly)?;
    prints(
        subject,
        "touch /x 2>/dev/null || echo refused; touch /etc/x 2>/dev/null || echo refused",
        "refused\nrefused",
        Ok,
    )
}

pub(super) fn volumes(subject: &Subject) -> Trial {
    only_if(subject, Capability::Volumes)?;
    prints(subject, "echo x > /data/file && cat /data/file", "x", |bundle| {
        bundle.with_data(&["rbind", "rw"])
    })?;
    must(
        fs::read(subject.scratch().join("trial/data/file")).is_ok(),
        "what was written did not reach the host",
    )?;
    fs::remove_dir_all(subject.scratch().join("trial"))?;
    only_if(subject, Capability::VolumesReadonly)?;
    prints(subject, "touch /data/file 2>/dev/null || echo refused", "refused", |bundle| {
        bundle.with_data(&["rbind", "ro"])
    })
}

pub(super) fn mount_flags(subject: &Subject) -> Trial {
    only_if(subject, Capability::MountFlags)?;
    let script = "for f in nosuid nodev noexec; do grep ' /data ' /proc/self/mounts | tail -1 | grep -qw $f && echo $f; done";
    prints(subject, script, "nosuid\nnodev\nnoexec", |bundle| {
        bundle.with_data(&["rbind", "nosuid", "nodev", "noexec"])
    })
}

pub(super) fn tmpfs(subject: &Subject) -> Trial {
    only_if(subject, Capability::Tmpfs)?;
    let mount = json!({"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m", "nosuid", "nodev"]});
    prints(subject, "head -c 4000000 /dev/zero > /run/file 2>/dev/null || echo full", "full", |bundle| {
        Ok(bundle.push("/mounts", mount))
    })
}

pub(super) fn kernel_files(subject: &Subject) -> Trial {
    let hidden = only_if(subject, Capability::MaskedPaths);
    if hidden.is_ok() {
        let script = "cat /proc/interrupts 2>/dev/null | wc -l; ls -A /sys/kernel 2>/dev/null | wc -l";
        prints(subject, script, "0\n0", |bundle| {
            Ok(bundle.set("/linux/maskedPaths", json!(["/proc/interrupts", "/sys/kernel"])))
        })?;
        fs::remove_dir_all(subject.scratch().join("trial"))?;
    }
    only_if(subject, Capability::ReadonlyPaths)?;
    prints(subject, "echo 1 2>/dev/null > /proc/sys/kernel/shmall || echo refused", "refused", |bundle| {
        Ok(bundle.set("/linux/readonlyPaths", json!(["/proc/sys"])))
    })?;
    hidden
}

pub(super) fn user(subject: &Subject) -> Trial {
    only_if(subject, Capability::User)?;
    prints(subject, "id -u; id -g; id -G", "1234\n2345\n2345 7 8", |bundle| {
        Ok(bundle.set("/process/user", json!({"uid": 1234, "gid": 2345, "additionalGids": [7, 8]})))
    })
}

pub(super) fn umask(subject: &Subject) -> Trial {
    only_if(subject, Capability::Umask)?;
    prints(subject, "umask", "0027", |bundle| {
        Ok(bundle.set("/process/user", json!({"uid": 0, "gid": 0, "umask": 0o27})))
    })
}

pub(super) fn rlimits(subject: &Subject) -> Trial {
    only_if(subject, Capability::Rlimits)?;
    prints(subject, "ulimit -n", "321", |bundle| {
        Ok(bundle.set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 321, "hard": 321}])))
    })
}

pub(super) fn oom_score(subject: &Subject) -> Trial {
    only_if(subject, Capability::OomScoreAdj)?;
    prints(subject, "cat /proc/self/oom_score_adj", "500", |bundle| {
        Ok(bundle.set("/process/oomScoreAdj", json!(500)))
    })
}

pub(super) fn hostname(subject: &Subject) -> Trial {
    only_if(subject, Capability::Hostname)?;
    prints(subject, "cat /proc/sys/kernel/hostname", "kit", Ok)
}

pub(super) fn sysctls(subject: &Subject) -> Trial {
    only_if(subject, Capability::Sysctls)?;
    prints(subject, "cat /proc/sys/kernel/msgmax", "7000", |bundle| {
        Ok(bundle.set("/linux/sysctl", json!({"kernel.msgmax": "7000"})))
    })
}

pub(super) fn capabilities(subject: &Subject) -> Trial {
    only_if(subject, Capability::Capabilities)?;
    let sets = |names: &[&str]| json!({"bounding": names, "effective": names, "permitted": names});
    let script = "grep -E '^Cap(Eff|Prm|Bnd|Inh|Amb)' /proc/self/status | tr -s '\\t' ' ' | sort";
    let expected = "CapAmb: 0000000000000000\nCapBnd: 0000000000000001\nCapEff: 0000000000000001\nCapInh: 0000000000000000\nCapPrm: 0000000000000001";
    prints(subject, script, expected, |bundle| Ok(bundle.set("/process/capabilities", sets(&["CAP_CHOWN"]))))
}

pub(super) fn no_new_privileges(subject: &Subject) -> Trial {
    only_if(subject, Capability::NoNewPrivileges)?;
    prints(subject, "grep NoNewPrivs /proc/self/status | tr -s '\\t' ' '", "NoNewPrivs: 1", Ok)
}

pub(super) fn seccomp(subject: &Subject) -> Trial {
    only_if(subject, Capability::Seccomp)?;
    let filter = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
    });
    prints(
        subject,
        "mkdir /tmp/x 2>/dev/null || echo refused; touch /tmp/y && echo but this",
        "refused\nbut this",
        |bundle| Ok(bundle.set("/linux/seccomp", filter)),
    )
}

pub(super) fn memory(subject: &Subject) -> Trial {
    only_if(subject, Capability::Memory)?;
    // A line of 200 MB that the shell's own `tail` must hold whole.
    let script = "head -c 200000000 /dev/zero | tail -c 150000000 | wc -c";
    let ended = shell(subject, script, |bundle| {
        Ok(bundle.set("/linux/resources", json!({"memory": {"limit": 64 << 20, "swap": 64 << 20}})))
    })?;
    must(ended.output != "150000000", format!("150 MB fit under a limit of 64 MB: {ended:?}"))
}

pub(super) fn pids(subject: &Subject) -> Trial {
    only_if(subject, Capability::Pids)?;
    let script = "n=0; while [ $n -lt 30 ]; do sleep 5 & n=$((n+1)); done; echo all";
    let ended =
        shell(subject, script, |bundle| Ok(bundle.set("/linux/resources", json!({"pids": {"limit": 10}}))))?;
    must(
        !ended.output.ends_with("all") || ended.status != (ExitStatus::Exited { code: 0 }),
        format!("30 processes under a limit of 10: {ended:?}"),
    )
}

pub(super) fn network_none(subject: &Subject) -> Trial {
    only_if(subject, Capability::NetworkNone)?;
    // sysfs shows the network of whoever mounted it, which must not be the host.
    let script =
        "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; ls /sys/class/net 2>/dev/null | grep -v '^lo$'";
    prints(subject, script, "lo", Ok)
}

pub(super) fn network_host(subject: &Subject) -> Trial {
    only_if(subject, Capability::NetworkHost)?;
    let host = fs::read_link("/proc/self/ns/net")?.display().to_string();
    prints(subject, "readlink /proc/self/ns/net", &host, |bundle| {
        let namespaces = json!([{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}]);
        Ok(bundle.set("/linux/namespaces", namespaces))
    })
}
