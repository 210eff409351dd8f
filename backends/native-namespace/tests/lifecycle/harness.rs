//! Bundles and containers for tests, through the same client that the core uses.
//!
//! Each test runs in a forked child: the backend clones, so its process must have one thread.

use std::fs::{self, File};
use std::io::{PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nucleus_abi::{
    Beyond, CgroupManager, CgroupPlacement, Client, ContainerRequest, CreateReply, CreateRequest, Effect,
    Error, ExitStatus, Hierarchies, Result, SCHEMA, SandboxRequest, StateReply, Then, WaitRequest,
    linked_plugins, read_ledger,
};
use nucleus_native_namespace as _;
use serde_json::{Value, json};

pub(crate) fn client() -> Client {
    Client::new(linked_plugins().next().expect("the backend is linked")).unwrap()
}

/// Runs `body` in a child process of one thread and panics with its message if it panics there.
pub(crate) fn alone(body: impl FnOnce()) {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    // SAFETY: libc's fork leaves malloc usable in the child; the child runs the body, reports and exits.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        drop(reader);
        std::panic::set_hook(Box::new(|info| {
            let _ = writeln!(std::io::stderr(), "{info}");
        }));
        let message = catch_unwind(AssertUnwindSafe(body)).err().map(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
        });
        let _ = writer.write_all(message.as_deref().unwrap_or("").as_bytes());
        // SAFETY: leaves without the harness's exit handlers.
        unsafe { libc::_exit(i32::from(message.is_some())) }
    }
    drop(writer);
    let mut message = String::new();
    reader.read_to_string(&mut message).unwrap();
    let mut status = 0;
    // SAFETY: waits for the child made above.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(status, 0, "in the child: {message}");
}

/// A bundle on disk with a small root file system, removed when dropped.
pub(crate) struct Bundle {
    pub(crate) directory: PathBuf,
    pub(crate) config: Value,
    pub(crate) beyond: Beyond,
    pub(crate) cgroup: bool,
    pub(crate) hierarchies: Hierarchies,
    /// Where the groups are to be, instead of at a place of this bundle's own.
    pub(crate) place: Option<PathBuf>,
    pub(crate) rootfs: Option<OwnedFd>,
    /// Namespaces that were opened, by their kinds.
    pub(crate) namespaces: Vec<(&'static str, OwnedFd)>,
    /// Its descriptors from 3 on.
    pub(crate) extra: Vec<OwnedFd>,
}

const APPLETS: [&str; 34] = [
    "sh", "true", "false", "cat", "echo", "id", "ls", "sleep", "hostname", "mount", "mkdir", "touch", "stat",
    "readlink", "grep", "kill", "test", "mknod", "chmod", "rm", "head", "dd", "ps", "tty", "stty", "date",
    "env", "ln", "wc", "umask", "mv", "chown", "sed", "cut",
];

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A directory that nobody has: process ids come back, and a test that was killed leaves its own behind.
fn fresh_directory() -> PathBuf {
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("nucleus-engine-{}-{number}", std::process::id()));
        match fs::create_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| path).unwrap(),
        }
    }
}

impl Bundle {
    /// Runs `sh -c script` unless the test changes it.
    pub(crate) fn new(script: &str) -> Self {
        let directory = fresh_directory();
        let rootfs = directory.join("rootfs");
        for name in ["bin", "proc", "dev", "sys", "tmp", "etc", "data", "root"] {
            fs::create_dir_all(rootfs.join(name)).unwrap();
        }
        fs::copy("/usr/bin/busybox", rootfs.join("bin/busybox"))
            .expect("the package busybox-static is installed");
        for applet in APPLETS {
            symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
        }
        fs::create_dir(directory.join("state")).unwrap();
        Self {
            directory,
            config: config(script),
            beyond: Beyond::default(),
            cgroup: true,
            hierarchies: Hierarchies::Needed,
            place: None,
            rootfs: None,
            namespaces: Vec::new(),
            extra: Vec::new(),
        }
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.directory.join("rootfs")
    }

    /// One more of busybox' programs.
    pub(crate) fn applet(&self, name: &str) {
        symlink("busybox", self.rootfs().join("bin").join(name)).unwrap();
    }

    pub(crate) fn state_directory(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// Replaces a value of the configuration.
    pub(crate) fn set(mut self, pointer: &str, value: Value) -> Self {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        self.config.pointer_mut(parent).expect(parent)[key] = value;
        self
    }

    pub(crate) fn push(mut self, pointer: &str, value: Value) -> Self {
        self.config.pointer_mut(pointer).expect(pointer).as_array_mut().unwrap().push(value);
        self
    }

    pub(crate) fn id(&self) -> String {
        self.directory.file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// `sandbox` and `create`, with the given standard descriptors.
    pub(crate) fn create(&self, stdio: [BorrowedFd<'_>; 3]) -> Result<Container<'_>> {
        let gate = self.sandbox(stdio)?;
        self.build(&gate)
    }

    pub(crate) fn sandbox(&self, stdio: [BorrowedFd<'_>; 3]) -> Result<OwnedFd> {
        let ledger = File::options().create(true).append(true).open(self.directory.join("ledger")).unwrap();
        let mut fds = vec![ledger.as_fd(), stdio[0], stdio[1], stdio[2]];
        fds.extend(self.rootfs.as_ref().map(AsFd::as_fd));
        let first_namespace = fds.len();
        fds.extend(self.namespaces.iter().map(|(_, opened)| opened.as_fd()));
        let first_extra = fds.len();
        fds.extend(self.extra.iter().map(AsFd::as_fd));
        let id = self.id();
        let request = SandboxRequest {
            schema: SCHEMA,
            id: id.parse().unwrap(),
            directory: self.state_directory(),
            bundle: self.directory.clone(),
            config: serde_json::value::to_raw_value(&self.config).unwrap(),
            options: Value::Null,
            cgroup: self.cgroup.then(|| CgroupPlacement {
                path: self.place.clone().unwrap_or_else(|| format!("/nucleus-test/{id}").into()),
                hierarchies: self.hierarchies,
                manager: CgroupManager::Cgroupfs,
            }),
            beyond: self.beyond.clone(),
            memory: None,
            ledger: 0,
            rootfs: self.rootfs.as_ref().map(|_| 4),
            mount_sources: std::collections::BTreeMap::default(),
            namespaces: self
                .namespaces
                .iter()
                .zip(first_namespace..)
                .map(|((kind, _), index)| ((*kind).to_owned(), index))
                .collect(),
            secret_environment: None,
            stdio: [1, 2, 3],
            extra: (first_extra..fds.len()).collect(),
            network: nucleus_abi::NetworkWish::Leave,
        };
        let mut reply = client().sandbox(&request, &fds)?;
        Ok(reply.descriptors.remove(0))
    }

    pub(crate) fn build(&self, gate: &OwnedFd) -> Result<Container<'_>> {
        self.build_then(gate, Then::Wait)
    }

    /// Builds it, and lets the backend start it at once where `then` allows it.
    pub(crate) fn build_then(&self, gate: &OwnedFd, then: Then) -> Result<Container<'_>> {
        let request = CreateRequest {
            schema: SCHEMA,
            id: self.id().parse().unwrap(),
            directory: self.state_directory(),
            gate: 0,
            then,
        };
        let reply = client().create(&request, &[gate.as_fd()])?;
        Ok(Container { bundle: self, reply: reply.document, descriptors: reply.descriptors })
    }

    /// The error of a container that must not come into being.
    pub(crate) fn refused(&self) -> Error {
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let error = self.create([null.as_fd(); 3]).err().expect("the container is refused");
        client().delete(&self.request()).unwrap();
        error
    }

    /// The whole life of a container.
    pub(crate) fn run(&self) -> Outcome {
        self.run_with_input("")
    }

    pub(crate) fn run_with_input(&self, input: &str) -> Outcome {
        let (stdin, mut writer) = std::io::pipe().unwrap();
        let (stdout, out) = std::io::pipe().unwrap();
        let (stderr, err) = std::io::pipe().unwrap();
        let container = self.create([stdin.as_fd(), out.as_fd(), err.as_fd()]).unwrap();
        drop((stdin, out, err));
        writer.write_all(input.as_bytes()).unwrap();
        drop(writer);
        container.start().unwrap();
        let stdout = text(stdout);
        let stderr = text(stderr);
        let status = container.wait().unwrap();
        container.delete();
        Outcome { status, stdout, stderr }
    }

    pub(crate) fn request(&self) -> ContainerRequest {
        ContainerRequest { schema: SCHEMA, id: self.id().parse().unwrap(), directory: self.state_directory() }
    }

    pub(crate) fn effects(&self) -> Vec<Effect> {
        read_ledger(&fs::read_to_string(self.directory.join("ledger")).unwrap_or_default()).unwrap()
    }

    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        let directories = self.effects().into_iter().filter_map(|effect| match effect {
            Effect::Cgroup { directories } => Some(directories),
            _ => None,
        });
        directories.flatten().collect()
    }
}

/// What a test mounted in its own mount namespace keeps the directories below busy for us alone.
fn unmount_below(directory: &Path) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let places = table.lines().rev().filter_map(|line| line.split(' ').nth(4)).map(Path::new);
    for place in places.filter(|place| place.starts_with(directory)) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(place).status();
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = client().delete(&self.request());
        for directory in self.cgroups() {
            // The kernel lets the last process go a moment after it was reaped.
            for _ in 0..200 {
                match fs::remove_dir(&directory) {
                    Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                        std::thread::sleep(std::time::Duration::from_millis(5));
                    }
                    _ => break,
                }
            }
        }
        if fs::remove_dir_all(&self.directory).is_err() {
            unmount_below(&self.directory);
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

fn text(mut pipe: PipeReader) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).unwrap();
    text
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// The output of a run that must succeed.
    #[track_caller]
    pub(crate) fn output(&self) -> &str {
        assert_eq!(self.status, ExitStatus::Exited { code: 0 }, "{self:?}");
        self.stdout.trim_end()
    }
}

/// A created container.
pub(crate) struct Container<'b> {
    pub(crate) bundle: &'b Bundle,
    pub(crate) reply: CreateReply,
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl Container<'_> {
    pub(crate) fn start(&self) -> Result<()> {
        client().start(&self.bundle.request()).map(drop)
    }

    pub(crate) fn wait(&self) -> Result<ExitStatus> {
        let request = WaitRequest {
            schema: SCHEMA,
            id: self.bundle.id().parse().unwrap(),
            directory: self.bundle.state_directory(),
            wait: 0,
            failure: Some(1),
        };
        client().wait(&request, &[self.descriptors[0].as_fd(), self.descriptors[1].as_fd()])
    }

    pub(crate) fn state(&self) -> StateReply {
        client().state(&self.bundle.request()).unwrap()
    }

    pub(crate) fn delete(&self) {
        client().delete(&self.bundle.request()).unwrap();
    }
}

/// A configuration as an engine writes it: all namespaces, Docker's mounts, masks and capabilities.
pub(crate) fn config(script: &str) -> Value {
    let capabilities =
        ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETUID", "CAP_SETGID", "CAP_MKNOD", "CAP_KILL"];
    json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "hostname": "inside",
        "process": {
            "args": ["/bin/sh", "-c", script],
            "env": ["PATH=/bin", "HOME=/root"],
            "cwd": "/",
            "user": {"uid": 0, "gid": 0},
            "noNewPrivileges": true,
            "capabilities": {
                "bounding": capabilities, "permitted": capabilities, "effective": capabilities,
                "inheritable": capabilities
            }
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["nosuid", "noexec", "nodev", "ro"]}
        ],
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "mount"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "cgroup"}
            ],
            "resources": {"memory": {"limit": 256 << 20}, "pids": {"limit": 64}},
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/acpi", "/proc/no-such-file", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}

/// The mount table of this process, to be compared before and after.
pub(crate) fn mountinfo() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
