//! Running the binary under test.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process};

use crate::workspace;

/// Names the binary under test.
pub const BINARY: &str = "NUCLEUS_BIN";

/// The binary under test: `$NUCLEUS_BIN`, else the release build, else the debug build of this checkout.
pub fn binary() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let target =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
        let built = ["release", "debug"].map(|profile| target.join(profile).join("nucleus"));
        let candidates = env::var_os(BINARY).map(PathBuf::from).into_iter().chain(built);
        candidates.into_iter().find(|path| path.is_file()).unwrap_or_else(|| {
            panic!("no nucleus binary: run `cargo build --release` or name one with {BINARY}")
        })
    })
}

/// Names a program, with its arguments, through which every nucleus is started: `…/without openat2` makes a whole batch of
/// tests run on a kernel that lacks a call.
pub const THROUGH: &str = "NUCLEUS_THROUGH";

fn wrapper() -> Vec<OsString> {
    let words = env::var(THROUGH).unwrap_or_default();
    words.split_whitespace().map(OsString::from).collect()
}

/// What nucleus gets on its standard input.
#[derive(Debug)]
pub(crate) enum Input {
    /// Nothing: `/dev/null`.
    Empty,
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// A pipe that the test writes to by [`Running::stdin`].
    Pipe,
}

/// A call of nucleus that is being put together.
#[derive(Debug)]
#[must_use = "a call does nothing until it is run"]
pub struct Nucleus {
    wrapper: Vec<OsString>,
    globals: Vec<OsString>,
    verb: String,
    arguments: Vec<OsString>,
    command: Option<Vec<OsString>>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    input: Input,
    output: Sink,
    patience: Duration,
}

/// Where nucleus's standard output goes.
#[derive(Debug)]
pub(crate) enum Sink {
    /// To the test, which reads to its end.
    Pipe,
    /// Nowhere: a workload that outlives its nucleus would keep a pipe open.
    Null,
    /// Into a file.
    File(PathBuf),
}

impl Nucleus {
    /// `nucleus --root ROOT VERB`.
    pub fn new(root: &Path, verb: &str) -> Self {
        Self {
            wrapper: wrapper(),
            globals: vec!["--root".into(), root.into()],
            verb: verb.to_owned(),
            arguments: Vec::new(),
            command: None,
            environment: Vec::new(),
            directory: None,
            input: Input::Empty,
            output: Sink::Pipe,
            patience: Duration::from_mins(1),
        }
    }

    /// `--profile PATH`; a relative path is one in the checkout.
    pub fn profile(self, path: impl AsRef<Path>) -> Self {
        let path = workspace().join(path);
        self.global("--profile").global(path)
    }

    /// An argument that stands before the verb.
    pub fn global(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.globals.push(argument.as_ref().to_owned());
        self
    }

    /// An argument of the verb.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Arguments of the verb.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// `-- COMMAND…`.
    pub fn command<A: AsRef<OsStr>>(mut self, command: impl IntoIterator<Item = A>) -> Self {
        self.command = Some(command.into_iter().map(|word| word.as_ref().to_owned()).collect());
        self
    }

    /// Starts nucleus through another program: `WRAPPER… nucleus …`.
    pub fn through<A: AsRef<OsStr>>(mut self, wrapper: impl IntoIterator<Item = A>) -> Self {
        self.wrapper = wrapper.into_iter().map(|word| word.as_ref().to_owned()).collect();
        self
    }

    /// A variable in nucleus's own environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// The directory that nucleus is called in.
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Bytes for standard input, which ends after them.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(bytes.into());
        self
    }

    /// Leaves standard input open: the test writes to it by [`Running::stdin`].
    pub fn stdin_open(mut self) -> Self {
        self.input = Input::Pipe;
        self
    }

    /// Standard output goes nowhere, for a workload that outlives its nucleus: it would keep the pipe open.
    pub fn detached(mut self) -> Self {
        self.output = Sink::Null;
        self
    }

    /// Standard output goes into a file.
    pub fn output_to(mut self, path: impl Into<PathBuf>) -> Self {
        self.output = Sink::File(path.into());
        self
    }

    /// How long the call may take (a minute unless said) before the test fails.
    pub fn timeout(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The words of the whole call, program first.
    pub fn words(&self) -> Vec<OsString> {
        let mut words = self.wrapper.clone();
        words.push(binary().into());
        words.extend(self.globals.iter().cloned());
        words.push((&self.verb).into());
        words.extend(self.arguments.iter().cloned());
        if let Some(command) = &self.command {
            words.push("--".into());
            words.extend(command.iter().cloned());
        }
        words
    }

    /// Runs to the end.
    #[track_caller]
    pub fn output(self) -> Output {
        self.spawn().wait()
    }

    /// Starts, and hands over the running process.
    #[track_caller]
    pub fn spawn(self) -> Running {
        let words = self.words();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).envs(self.environment);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        Running::start(command, self.input, &self.output, self.patience)
    }
}

impl Sink {
    fn stdio(&self) -> Stdio {
        match self {
            Self::Pipe => Stdio::piped(),
            Self::Null => Stdio::null(),
            Self::File(path) => File::create(path).expect("make a file for the output").into(),
        }
    }
}

/// What was called, for messages.
fn call_text(command: &Command) -> String {
    let words: Vec<&OsStr> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    words.join(OsStr::new(" ")).to_string_lossy().into_owned()
}

fn memory_file() -> File {
    memfd_create("standard error", MemfdFlags::CLOEXEC).expect("make a file in memory").into()
}

fn copy(file: &File) -> File {
    file.try_clone().expect("copy a descriptor")
}

/// Writes bytes and closes the pipe, beside the test. A workload that does not read to the end is no failure.
fn feed(mut pipe: ChildStdin, bytes: Vec<u8>) -> Option<ChildStdin> {
    thread::spawn(move || drop(pipe.write_all(&bytes)));
    None
}

/// What was read from a pipe so far.
#[derive(Debug)]
struct Drain {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Drain {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                sink.lock().expect("no reader panics").extend_from_slice(&buffer[..count]);
            }
        });
        Self { bytes, reader }
    }

    /// All bytes up to the pipe's end, or up to `deadline`: a workload that outlives its nucleus keeps the pipe open.
    fn take(&self, deadline: Instant) -> Vec<u8> {
        while !self.reader.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        std::mem::take(&mut self.bytes.lock().expect("no reader panics"))
    }
}

/// A nucleus that runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    call: String,
    stdin: Option<ChildStdin>,
    stdout: Option<Drain>,
    stderr: Option<Drain>,
    /// Standard error, where it is no pipe.
    errors: Option<File>,
    deadline: Instant,
}

impl Running {
    /// Starts any program.
    #[track_caller]
    pub(crate) fn start(mut command: Command, input: Input, output: &Sink, patience: Duration) -> Self {
        let call = call_text(&command);
        // A workload that outlives its nucleus holds on to its standard error: a file ends whoever has it open.
        let errors = match output {
            Sink::Pipe => None,
            Sink::Null | Sink::File(_) => Some(memory_file()),
        };
        command.stdout(output.stdio());
        command.stderr(errors.as_ref().map_or_else(Stdio::piped, |file| copy(file).into()));
        command.stdin(if matches!(input, Input::Empty) { Stdio::null() } else { Stdio::piped() });
        let mut child = command.spawn().unwrap_or_else(|error| panic!("start {call}: {error}"));
        let stdin = child.stdin.take();
        let stdin = match input {
            Input::Bytes(bytes) => stdin.and_then(|pipe| feed(pipe, bytes)),
            Input::Empty | Input::Pipe => stdin,
        };
        let stdout = child.stdout.take().map(Drain::of);
        let stderr = child.stderr.take().map(Drain::of);
        Self { child, call, stdin, stdout, stderr, errors, deadline: Instant::now() + patience }
    }

    /// The process id of nucleus (of the wrapper, where there is one).
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Whether nucleus sleeps in a function of the kernel whose name holds `name` (`/proc/<pid>/wchan`, proc(5)).
    pub fn sleeps_in(&self, name: &str) -> bool {
        let path = format!("/proc/{}/wchan", self.pid().as_raw_nonzero());
        std::fs::read_to_string(path).is_ok_and(|function| function.contains(name))
    }

    /// Sends a signal to nucleus.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("nucleus is there to be signalled");
    }

    /// The pipe to standard input, after [`Nucleus::stdin_open`]. Taking and dropping it ends the input.
    #[track_caller]
    pub fn stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("standard input was left open")
    }

    /// Waits until a file exists that the workload makes when it is ready.
    #[track_caller]
    pub fn wait_for_file(&mut self, path: &Path) {
        while !path.exists() {
            if let Some(status) = self.child.try_wait().expect("wait for nucleus") {
                panic!("ended before it was ready\n{}", self.collect(status));
            }
            self.check_time();
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end.
    #[track_caller]
    pub fn wait(mut self) -> Output {
        drop(self.stdin.take());
        loop {
            if let Some(status) = self.child.try_wait().expect("wait for nucleus") {
                return self.collect(status);
            }
            self.check_time();
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[track_caller]
    fn check_time(&mut self) {
        if Instant::now() > self.deadline {
            let _ = self.child.kill();
            let status = self.child.wait().expect("wait for nucleus");
            panic!("took too long: {}\n{status}", self.call);
        }
    }

    fn collect(&mut self, status: ExitStatus) -> Output {
        let patience =
            if status.code().is_some() { Duration::from_secs(5) } else { Duration::from_millis(50) };
        let deadline = Instant::now() + patience;
        let take = |pipe: &Option<Drain>| pipe.as_ref().map(|pipe| pipe.take(deadline)).unwrap_or_default();
        let (stdout, mut stderr) = (take(&self.stdout), take(&self.stderr));
        if let Some(errors) = &mut self.errors {
            errors.rewind().and_then(|()| errors.read_to_end(&mut stderr)).expect("read standard error");
        }
        Output {
            call: self.call.clone(),
            status,
            stdout,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a call ended, and what it wrote.
#[derive(Debug)]
pub struct Output {
    /// The whole call, for messages.
    pub call: String,
    /// How nucleus itself ended.
    pub status: ExitStatus,
    /// What stood on standard output.
    pub stdout: Vec<u8>,
    /// What stood on standard error.
    pub stderr: String,
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        writeln!(f, "call: {}\nended with: {}", self.call, self.status)?;
        write!(f, "--- stdout\n{}\n--- stderr\n{}", stdout.trim_end(), self.stderr.trim_end())
    }
}

impl Output {
    /// The exit code; `None` when a signal killed nucleus.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that killed nucleus.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Standard output as text, without space at its end.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("standard output is text").trim_end()
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("no JSON: {error}\n{self}"))
    }

    /// Fails unless the exit code is `code`.
    #[track_caller]
    pub fn assert_code(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "exit code\n{self}");
        self
    }

    /// Fails unless the code is 0 and standard error is silent, as it must be on success.
    #[track_caller]
    pub fn assert_success(self) -> Self {
        let this = self.assert_code(0);
        assert_eq!(this.stderr, "", "silent on success\n{this}");
        this
    }

    /// Fails unless nucleus refused: code 125, with every one of `words` in the message.
    #[track_caller]
    pub fn assert_refused(self, words: &[&str]) -> Self {
        self.assert_code(125).assert_says(words)
    }

    /// Fails unless standard error holds the words.
    #[track_caller]
    pub fn assert_says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "the message says `{word}`\n{self}");
        }
        self
    }
}
