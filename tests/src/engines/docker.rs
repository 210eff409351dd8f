//! Docker, with a store and a socket of its own.

use std::ffi::OsString;
use std::fs;
use std::thread;

use serde_json::{Value, json};

use super::server::Server;
use super::{Call, IMAGE, image, remove_cgroups, runtime};
use crate::host::Host;

/// A Docker whose default runtime is nucleus. When it is dropped, it removes its containers and ends.
#[derive(Debug)]
pub struct Docker<'host> {
    host: &'host Host,
    server: Option<Server>,
}

impl<'host> Docker<'host> {
    /// Starts Docker for this test, and loads the image.
    #[track_caller]
    pub fn enter(host: &'host Host) -> Self {
        Self::start(host, &configuration(host))
    }

    /// Starts Docker with flags for the runtime, as `runtimeArgs` of `daemon.json` has them.
    #[track_caller]
    pub fn enter_with_runtime_flags(host: &'host Host, flags: &[&str]) -> Self {
        let mut configuration = configuration(host);
        configuration["runtimes"]["nucleus"]["runtimeArgs"] = json!(flags);
        Self::start(host, &configuration)
    }

    #[track_caller]
    fn start(host: &'host Host, configuration: &Value) -> Self {
        let configuration = host.file("daemon.json", configuration.to_string());
        let words = ["dockerd", "--config-file", configuration.to_str().expect("a plain path")];
        let server = Server::start(host, &words, || call(host, &["version"]));
        let this = Self { host, server: Some(server) };
        let layer = image::layer(host);
        this.call(&["import", layer.to_str().expect("a plain path"), IMAGE]).text();
        this
    }

    /// `docker WORDS…`.
    pub fn call(&self, words: &[&str]) -> Call {
        call(self.host, words)
    }

    /// `docker run --network none FLAGS… IMAGE COMMAND…`.
    pub fn run(&self, flags: &[&str], command: &[&str]) -> Call {
        self.call(&[&["run", "--network", "none"], flags, &[IMAGE], command].concat())
    }

    /// `docker run --rm FLAGS… IMAGE /bin/sh -c SCRIPT`.
    pub fn shell(&self, flags: &[&str], script: &str) -> Call {
        self.run(&[&["--rm"], flags].concat(), &["/bin/sh", "-c", script])
    }

    /// Starts a container in the background that sleeps until it gets a signal.
    #[track_caller]
    pub fn sleeper(&self, name: &str, flags: &[&str]) {
        let script = "trap 'exit 0' TERM; sleep 1000 & wait";
        self.run(&[&["--detach", "--name", name], flags].concat(), &["/bin/sh", "-c", script]).text();
    }

    /// A field of `docker inspect`, as a Go template without braces: `.State.Status`.
    #[track_caller]
    pub fn inspect(&self, name: &str, field: &str) -> String {
        self.call(&["inspect", "--format", &format!("{{{{{field}}}}}"), name]).text()
    }

    /// What the runtime still keeps of containers that Docker has removed.
    fn state(&self) -> Vec<String> {
        let place = self.host.path("exec/runtime-nucleus/moby");
        let entries = fs::read_dir(place).into_iter().flatten().flatten();
        entries.map(|entry| entry.path().display().to_string()).collect()
    }
}

impl Drop for Docker<'_> {
    fn drop(&mut self) {
        let all = self.call(&["ps", "--all", "--quiet"]).output();
        for container in all.text().lines() {
            self.call(&["rm", "--force", container]).output();
        }
        drop(self.server.take());
        remove_cgroups(self.host);
        if !thread::panicking() {
            assert_eq!(self.state(), Vec::<String>::new(), "the runtime kept state");
        }
    }
}

fn call(host: &Host, words: &[&str]) -> Call {
    // Without a directory of its own the client would read the caller's ~/.docker.
    let variables = [
        format!("DOCKER_HOST=unix://{}", host.path("docker.sock").display()),
        format!("DOCKER_CONFIG={}", host.path("docker-client").display()),
    ];
    let prefix = ["env".into()].into_iter().chain(variables.map(OsString::from)).chain(["docker".into()]);
    Call::new(host, prefix.chain(words.iter().map(OsString::from)).collect())
}

/// No network and no firewall rules; cgroups below the test's scope.
fn configuration(host: &Host) -> Value {
    json!({
        "data-root": host.path("docker"),
        "exec-root": host.path("exec"),
        "pidfile": host.path("docker.pid"),
        "hosts": [format!("unix://{}", host.path("docker.sock").display())],
        "group": "root",
        "bridge": "none",
        "iptables": false,
        "ip6tables": false,
        "ip-forward": false,
        "ip-masq": false,
        "storage-driver": "overlay2",
        "cgroup-parent": format!("/{}", host.scope()),
        "runtimes": {"nucleus": {"path": runtime()}},
        "default-runtime": "nucleus",
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
    })
}
