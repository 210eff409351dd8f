//! `SCMP_ACT_NOTIFY` with an agent that really answers.

use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

use nucleus_abi::{ErrorCode, ExitStatus};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};

use crate::exec;
use crate::harness::{Bundle, alone};

/// The answer that lets the call go on (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`).
const CONTINUE: u32 = 1;

/// A process that takes listeners, writes down what it is told, and lets every call go on but `mkdir`.
struct Agent(libc::pid_t);

impl Agent {
    fn start(bundle: &Bundle) -> Self {
        let listener = UnixListener::bind(bundle.directory.join("agent.sock")).unwrap();
        let told = bundle.directory.join("told");
        // SAFETY: libc's fork leaves malloc usable; the child only answers and is killed.
        match unsafe { libc::fork() } {
            0 => {
                let mut given: Vec<OwnedFd> = Vec::new();
                loop {
                    match ready(&listener, &given) {
                        0 => {
                            let (text, descriptor) = receive(&listener);
                            std::fs::write(format!("{}.{}", told.display(), given.len()), text).unwrap();
                            given.push(descriptor);
                        }
                        index => answer(&given[index - 1]),
                    }
                }
            }
            agent => Self(agent),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // SAFETY: ends and reaps the child made above.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

/// Waits for a new connection, 0, or a question to the listener with the number below this one.
fn ready(listener: &UnixListener, given: &[OwnedFd]) -> usize {
    let all = std::iter::once(listener.as_fd()).chain(given.iter().map(AsFd::as_fd));
    let mut watched: Vec<_> = all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    loop {
        poll(&mut watched, None).unwrap();
        // Nobody is left behind a listener that hangs up.
        if let Some(index) = watched.iter().position(|fd| fd.revents() == PollFlags::IN) {
            return index;
        }
        std::thread::yield_now();
    }
}

fn receive(listener: &UnixListener) -> (String, OwnedFd) {
    let (mut connection, _) = listener.accept().unwrap();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 1];
    let parts = &mut [std::io::IoSliceMut::new(&mut bytes)];
    recvmsg(&connection, parts, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let mut descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(rights) => Some(rights),
        _ => None,
    });
    let descriptor = descriptors.next().unwrap().next().unwrap();
    let mut rest = String::new();
    connection.read_to_string(&mut rest).unwrap();
    (String::from_utf8(bytes.to_vec()).unwrap() + &rest, descriptor)
}

fn answer(listener: &OwnedFd) {
    // SAFETY: every bit pattern is a `seccomp_notif`; the kernel wants it zeroed.
    let mut asked: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `seccomp_notif`.
    if unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut asked) } < 0 {
        return;
    }
    let is_mkdir = libc::c_long::from(asked.data.nr) == libc::SYS_mkdir;
    let (error, flags) = if is_mkdir { (-libc::EDOM, 0) } else { (0, CONTINUE) };
    let answer = libc::seccomp_notif_resp { id: asked.id, val: 0, error, flags };
    // SAFETY: the kernel reads one `seccomp_notif_resp`.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const answer) };
}

fn notifying(script: &str) -> Bundle {
    let bundle = Bundle::new(script);
    let filter = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": bundle.directory.join("agent.sock"),
        "listenerMetadata": "for the agent",
        // All but one are calls of our own between the load and the workload's first instruction.
        "syscalls": [{"names": ["mkdir", "recvmsg", "recvfrom", "close", "prctl", "capset", "read", "execve", "execveat",
            "mmap", "brk", "munmap"], "action": "SCMP_ACT_NOTIFY"}]
    });
    let mut bundle = bundle.set("/linux/seccomp", filter);
    bundle.config["annotations"] = json!({"key": "value"});
    bundle
}

#[test]
fn the_agent_is_told_and_answers() {
    alone(|| {
        for no_new_privileges in [true, false] {
            let bundle = notifying("mkdir /made; ls -d /made; echo done")
                .set("/process/noNewPrivileges", json!(no_new_privileges));
            let _agent = Agent::start(&bundle);
            let outcome = bundle.run();
            assert_eq!(outcome.status, ExitStatus::Exited { code: 0 });
            assert_eq!(outcome.stdout, "done\n");
            assert!(outcome.stderr.contains("Numerical argument out of domain"), "{}", outcome.stderr);
            let told = told(&bundle, 0);
            let pid = told["pid"].as_u64().unwrap();
            let expected = json!({
                "ociVersion": "1.2.0", "fds": ["seccompFd"], "pid": pid, "metadata": "for the agent",
                "state": {"ociVersion": "1.2.0", "id": bundle.id(), "status": "creating", "pid": pid,
                    "bundle": bundle.directory, "annotations": {"key": "value"}}
            });
            assert_eq!(told, expected);
            assert!(pid > 1);
        }
    });
}

fn told(bundle: &Bundle, number: usize) -> Value {
    let text = std::fs::read_to_string(bundle.directory.join(format!("told.{number}"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_agent_is_told_of_each_executed_process() {
    alone(|| {
        let bundle = notifying("cat");
        let _agent = Agent::start(&bundle);
        let running = bundle.running();
        let outcome = exec::run(&bundle, "mkdir /made; echo $?");
        assert_eq!(outcome.output(), "1");
        assert!(outcome.stderr.contains("Numerical argument out of domain"), "{}", outcome.stderr);
        let (first, second) = (told(&bundle, 0), told(&bundle, 1));
        assert_eq!(first["pid"], running.container.reply.pid.unwrap());
        assert_eq!(second["state"]["pid"], first["pid"]);
        assert_ne!(second["pid"], first["pid"]);
        assert_eq!(second["state"]["status"], "running");
    });
}

#[test]
fn an_agent_that_is_not_there_is_named() {
    alone(|| {
        let bundle = notifying("true");
        let null = File::open("/dev/null").unwrap();
        let error = bundle.create([null.as_fd(); 3]).err().unwrap();
        assert_eq!(error.code, ErrorCode::HostUnfit, "{error}");
        let subject = error.subject.as_ref().unwrap();
        assert!(subject.contains("linux.seccomp.listenerPath") && subject.contains("agent.sock"), "{error}");
    });
}
