//! Each case in a process of its own, and the host compared before and after it.

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nucleus_abi::{Client, Kind};
use rustix::process::Pid;
use serde_json::Value;

use crate::cases::{Case, cases, continued};
use crate::subject::{Stop, Subject};
use crate::traces::{Traces, end_descendants};

/// The variable that names the case to a process that performs it.
pub const CASE: &str = "NUCLEUS_KIT_CASE";
/// The variable that holds the backend's options, as JSON.
pub const OPTIONS: &str = "NUCLEUS_KIT_OPTIONS";
const SCRATCH: &str = "NUCLEUS_KIT_SCRATCH";

/// How a case begins its last line.
const MARK: &str = "nucleus-kit: ";
/// How long a case may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long the kernel may take to let go of what has ended.
const SETTLING: Duration = Duration::from_secs(4);

/// What a case came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The contract is kept.
    Passed,
    /// The plugin says that it does not have what the case is about.
    Lacking(String),
    /// The contract is broken.
    Failed(String),
}

/// How many cases came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conducted {
    /// Passed.
    pub passed: usize,
    /// Lacking.
    pub lacking: usize,
    /// Failed.
    pub failed: usize,
}

impl fmt::Display for Conducted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} lacking, {} failed", self.passed, self.lacking, self.failed)
    }
}

/// Starts this program again, with the same arguments, for each case of the plugin's kind whose name contains `only`; that process must call
/// [`perform`] when it finds [`CASE`] in its environment. `tell` hears each verdict.
pub fn conduct(kind: Kind, only: &str, options: &Value, tell: &mut dyn FnMut(&Case, &Verdict)) -> Conducted {
    let _ = rustix::process::set_child_subreaper(Some(Pid::INIT));
    let mut conducted = Conducted::default();
    for case in cases().iter().filter(|case| case.kind == kind && case.name.contains(only)) {
        let verdict = try_one(case, options);
        match &verdict {
            Verdict::Passed => conducted.passed += 1,
            Verdict::Lacking(_) => conducted.lacking += 1,
            Verdict::Failed(_) => conducted.failed += 1,
        }
        tell(case, &verdict);
    }
    conducted
}

fn try_one(case: &Case, options: &Value) -> Verdict {
    let scratch = fresh();
    let name = scratch.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let before = Traces::look(&name);
    let verdict = match run(case, options, &scratch) {
        Ok((output, status)) => read(&output, status),
        Err(error) => Verdict::Failed(format!("it cannot be started: {error}")),
    };
    let left = settle(&before, &name);
    let _ = fs::remove_dir_all(&scratch);
    match verdict {
        Verdict::Passed | Verdict::Lacking(_) if !left.is_empty() => {
            Verdict::Failed(format!("it leaves behind: {}", left.join("; ")))
        }
        verdict => verdict,
    }
}

fn run(case: &Case, options: &Value, scratch: &Path) -> std::io::Result<(String, Option<ExitStatus>)> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(std::env::args_os().skip(1))
        .env(CASE, case.name)
        .env(OPTIONS, options.to_string())
        .env(SCRATCH, scratch);
    let output = scratch.join("output");
    let mut child = command.stdin(Stdio::null()).stdout(fs::File::create(&output)?).spawn()?;
    let status = wait(&mut child);
    let mut text = String::new();
    fs::File::open(&output)?.read_to_string(&mut text)?;
    Ok((text, status))
}

/// `None` for one that took too long, and was ended.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            _ => break,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

fn read(output: &str, status: Option<ExitStatus>) -> Verdict {
    let said = output.lines().rev().find_map(|line| line.strip_prefix(MARK));
    match (said, status) {
        (_, None) => Verdict::Failed(format!("it takes more than {} seconds", PATIENCE.as_secs())),
        (Some("passed"), Some(status)) if status.success() => Verdict::Passed,
        (Some(said), _) if said.starts_with("lacking: ") => {
            Verdict::Lacking(said["lacking: ".len()..].to_owned())
        }
        (Some(said), _) if said.starts_with("failed: ") => {
            Verdict::Failed(said["failed: ".len()..].to_owned())
        }
        (_, Some(status)) => Verdict::Failed(format!("the process ended without a word: {status}")),
    }
}

/// What is left when the kernel has had its time. Processes that the case left are ended, and count.
fn settle(before: &Traces, name: &str) -> Vec<String> {
    let mut left = end_descendants();
    let deadline = Instant::now() + SETTLING;
    loop {
        let traces = Traces::look(name).new_since(before);
        if traces.is_empty() || Instant::now() > deadline {
            left.extend(traces);
            return left;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A directory that nobody has, below one whose path every user can walk.
fn fresh() -> PathBuf {
    (0..10_000)
        .map(|number| std::env::temp_dir().join(format!("nucleus-kit-{}-{number}", std::process::id())))
        .find(|path| fs::create_dir(path).is_ok())
        .unwrap_or_default()
}

/// The options that the environment names; none where it names none.
pub(crate) fn options_of_environment() -> Value {
    std::env::var(OPTIONS).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// Performs the case of a name in this process, says how it went on standard output, and gives the status to exit with.
pub fn perform(name: &str, client: Client) -> u8 {
    let scratch = std::env::var_os(SCRATCH).map(PathBuf::from).unwrap_or_default();
    let subject = Subject::new(client, options_of_environment(), scratch);
    if let Ok(step) = std::env::var("NUCLEUS_KIT_STEP") {
        let container = std::env::var_os("NUCLEUS_KIT_CONTAINER").map(PathBuf::from).unwrap_or_default();
        return match continued(&subject, &step, &container) {
            Ok(()) => 0,
            Err(stop) => {
                eprintln!("{stop:?}");
                1
            }
        };
    }
    let kind = subject.client.description().kind;
    let Some(case) = cases().iter().find(|case| case.name == name && case.kind == kind) else {
        println!("{MARK}failed: there is no such case");
        return 1;
    };
    match (case.run)(&subject) {
        Ok(()) => println!("{MARK}passed"),
        Err(Stop::Lacking(why)) => println!("{MARK}lacking: {}", why.replace('\n', " ")),
        Err(Stop::Fault(why)) => println!("{MARK}failed: {}", why.replace('\n', " ")),
    }
    0
}
