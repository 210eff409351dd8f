//! Podman, with a store of its own.

use std::ffi::OsString;
use std::path::Path;

use super::{Call, IMAGE, image, remove_cgroups, runtime_with_root};
use crate::host::Host;

/// A Podman whose runtime is nucleus. When it is dropped, it removes all its pods, containers and mounts.
#[derive(Debug)]
pub struct Podman<'host> {
    host: &'host Host,
    cgroups: Manager,
    /// `env … podman …`: what each call begins with.
    prefix: Vec<OsString>,
}

/// Who makes the containers' cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    /// Podman and the runtime, below a directory that carries the test's scope.
    Cgroupfs,
    /// systemd, in `machine.slice`.
    Systemd,
}

impl<'host> Podman<'host> {
    /// Configures Podman for this test, and loads the image.
    #[track_caller]
    pub fn enter(host: &'host Host) -> Self {
        Self::configured(host, Manager::Cgroupfs)
    }

    /// The same, on a host with systemd, which makes the cgroups.
    #[track_caller]
    pub fn enter_below_systemd(host: &'host Host) -> Self {
        Self::configured(host, Manager::Systemd)
    }

    #[track_caller]
    fn configured(host: &'host Host, cgroups: Manager) -> Self {
        let this = Self { host, cgroups, prefix: prefix(host, cgroups) };
        let archive = image::archive(host);
        this.call(&["load", "--quiet", "--input", archive.to_str().expect("a plain path")]).text();
        this
    }

    /// A flag that Podman passes on to the runtime, without its dashes: `--runtime-flag`.
    pub fn runtime_flag(mut self, flag: &str) -> Self {
        self.prefix.extend(["--runtime-flag", flag].map(OsString::from));
        self
    }

    /// With a criu that is not installed: Podman looks for it in its `PATH`, and nucleus is told where it is.
    pub fn with_criu(mut self, criu: &Path) -> Self {
        let directory = criu.parent().expect("it lies in a directory").display();
        let path = format!("PATH={directory}:{}", std::env::var("PATH").unwrap_or_default());
        self.prefix.insert(1, path.into());
        self.runtime_flag(&format!("criu={}", criu.display()))
    }

    /// `podman WORDS…`.
    pub fn call(&self, words: &[&str]) -> Call {
        Call::new(self.host, self.prefix.iter().cloned().chain(words.iter().map(OsString::from)).collect())
    }

    /// `podman run FLAGS… IMAGE COMMAND…`, without a network.
    pub fn run(&self, flags: &[&str], command: &[&str]) -> Call {
        let parent = self.cgroup_parent();
        let place: &[&str] = match self.cgroups {
            Manager::Cgroupfs => &["--cgroup-parent", &parent],
            Manager::Systemd => &[],
        };
        self.call(&[&["run", "--network", "none"], place, flags, &[IMAGE], command].concat())
    }

    /// `podman run --rm FLAGS… IMAGE /bin/sh -c SCRIPT`.
    pub fn shell(&self, flags: &[&str], script: &str) -> Call {
        self.run(&[&["--rm"], flags].concat(), &["/bin/sh", "-c", script])
    }

    /// Starts a container in the background that sleeps until it gets a signal.
    #[track_caller]
    pub fn sleeper(&self, name: &str, flags: &[&str]) {
        let script = "trap 'exit 0' TERM; sleep 1000 & wait";
        self.run(&[&["--detach", "--name", name], flags].concat(), &["/bin/sh", "-c", script]).text();
    }

    /// A field of `podman inspect`, as a Go template without braces: `.State.Status`.
    #[track_caller]
    pub fn inspect(&self, name: &str, field: &str) -> String {
        self.call(&["inspect", "--format", &format!("{{{{{field}}}}}"), name]).text()
    }

    /// The value of `--cgroup-parent`: the test's scope.
    pub fn cgroup_parent(&self) -> String {
        format!("/{}", self.host.scope())
    }
}

impl Drop for Podman<'_> {
    fn drop(&mut self) {
        for words in [
            &["pod", "rm", "--all", "--force", "--time", "0"][..],
            &["rm", "--all", "--force", "--time", "0"],
        ] {
            let output = self.call(words).output();
            if !std::thread::panicking() {
                output.assert_code(0);
            }
        }
        remove_cgroups(self.host);
    }
}

/// Writes the configuration and returns the words that select it.
fn prefix(host: &Host, cgroups: Manager) -> Vec<OsString> {
    let containers = host.file("containers.conf", containers_conf(host, cgroups));
    let storage = host.file("storage.conf", storage_conf(host));
    let variable = |name: &str, path: &Path| format!("{name}={}", path.display()).into();
    vec![
        "env".into(),
        variable("CONTAINERS_CONF", &containers),
        variable("CONTAINERS_STORAGE_CONF", &storage),
        // There is no systemd here whose timers could run health checks: `podman healthcheck run` does.
        "DISABLE_HC_SYSTEMD=true".into(),
        "podman".into(),
        "--tmpdir".into(),
        host.path("tmp").into(),
    ]
}

fn containers_conf(host: &Host, cgroups: Manager) -> String {
    let manager = match cgroups {
        Manager::Cgroupfs => "cgroupfs",
        Manager::Systemd => "systemd",
    };
    // Podman's own default for open files is beyond what this host may have, where CAP_SYS_RESOURCE is missing.
    // Locks in shared memory would be shared by all tests: /dev/shm/libpod_lock.
    format!(
        r#"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "{manager}"
events_logger = "file"
lock_type = "file"
runtime = "nucleus"
runtime_supports_json = ["nucleus"]
[engine.runtimes]
nucleus = ["{}"]
[network]
network_backend = "cni"
network_config_dir = "{}"
"#,
        runtime_with_root(host).display(),
        host.path("net").display()
    )
}

fn storage_conf(host: &Host) -> String {
    // Without skip_mount_home Podman binds the store onto itself, and leaves that mount behind.
    format!(
        r#"
[storage]
driver = "overlay"
runroot = "{}"
graphroot = "{}"
[storage.options.overlay]
skip_mount_home = "true"
"#,
        host.path("run").display(),
        host.path("store").display()
    )
}
