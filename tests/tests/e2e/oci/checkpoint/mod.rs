//! `checkpoint` and `restore`, by criu.

mod confinement;
mod crash;
mod refusals;
mod round_trip;
mod switches;

use std::fs;
use std::path::{Path, PathBuf};

use nucleus_tests::{Bundle, Container, Host, Nucleus};

/// Counts in a file as fast as it can, under a name that only this one process knows.
const COUNTER: &str = "name=$(cat /proc/sys/kernel/random/uuid); i=0; \
     while :; do i=$((i+1)); echo $name $i > /files/next; mv /files/next /files/count; done";

/// A host with criu, and containers that are frozen and thawed.
struct Checkpoints {
    host: Host,
    criu: PathBuf,
}

impl Checkpoints {
    /// `None` where criu does not work: the calling test is recorded as skipped.
    #[track_caller]
    fn enter() -> Option<Self> {
        let criu = nucleus_tests::criu()?;
        Some(Self { host: Host::enter(), criu })
    }

    fn files(&self) -> PathBuf {
        let files = self.host.path("files");
        if !files.exists() {
            crate::open_directory(&self.host, "files");
        }
        files
    }

    fn images(&self) -> PathBuf {
        self.host.path("images")
    }

    /// A bundle that counts.
    fn counter(&self) -> Bundle {
        Bundle::shell(&self.host, "counter", COUNTER).bind(&self.files(), "/files")
    }

    /// Made, started, and counting.
    #[track_caller]
    fn counting(&self, bundle: &Bundle) -> Container<'_> {
        let container = Container::create(&self.host, bundle);
        container.start();
        self.goes_on();
        container
    }

    /// What the counter has written last.
    fn count(&self) -> (String, u64) {
        let text = fs::read_to_string(self.files().join("count")).unwrap_or_default();
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default().to_owned();
        (name, words.next().and_then(|count| count.parse().ok()).unwrap_or(0))
    }

    /// Waits until the same counter has gone on.
    #[track_caller]
    fn goes_on(&self) {
        let before = self.count();
        self.host.wait_until("the counter goes on", || self.count().1 > before.1);
        assert!(before.0.is_empty() || self.count().0 == before.0, "another counter began");
    }

    /// `nucleus --criu … VERB --image-path …`.
    fn verb(&self, verb: &str) -> Nucleus {
        let call =
            self.host.nucleus(verb).global("--criu").global(self.criu.to_str().expect("a path is text"));
        call.arg("--image-path").arg(self.images()).detached()
    }

    fn checkpoint(&self, container: &Container<'_>) -> Nucleus {
        self.verb("checkpoint").arg(&container.id)
    }

    fn restore(&self, bundle: &Bundle, id: &str) -> Nucleus {
        self.verb("restore").arg("--bundle").arg(bundle.path()).arg("--detach").arg(id)
    }

    /// Restored under a new id.
    #[track_caller]
    fn restored(&self, bundle: &Bundle) -> Container<'_> {
        let container = Container::fresh(&self.host);
        self.restore(bundle, &container.id).output().assert_success();
        container
    }
}

/// Lines of `/proc/<pid>/<name>`.
fn lines(pid: i32, name: &str, wanted: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let text = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join(name)).expect("it lives");
    text.lines().filter_map(wanted).collect()
}
