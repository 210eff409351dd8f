//! `--lifecycle`: what an engine pays for a container, `create`, `start` and `delete`, each a call of its own.
//!
//! Every runtime gets the same bundle, with the same seccomp filter. Between `start` and `delete` the container runs to
//! its end, which is not counted. All take turns, as everywhere in this benchmark.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nucleus_tests::nucleus;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, set_child_subreaper, waitpid};

use crate::contestants;
use crate::lane::{Lane, View};
use crate::statistics::Summary;

/// How long the workload, `/bin/true`, may take to end.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

const VERBS: [&str; 3] = ["create", "start", "delete"];

/// A runtime and its bundle.
struct Runtime {
    name: &'static str,
    view: View,
    /// Program and global flags.
    words: Vec<OsString>,
    id: String,
    bundle: PathBuf,
    pid_file: PathBuf,
}

/// Measures all runtimes that are installed, and prints medians and ratios.
pub(crate) fn report(runs: usize, scratch: &Path) -> io::Result<()> {
    // What a runtime leaves running when it exits becomes our child, whose end we take.
    set_child_subreaper(Some(Pid::INIT))?;
    println!("create, start and delete with the same filter, {runs} runs each, in turns");
    let lanes = [Lane::open(View::Host), Lane::open(View::WithoutUnified)];
    let mut racing = runtimes(scratch)?;
    racing.retain(|runtime| {
        // The first runs fill caches and are not counted.
        let warm = (0..3).try_for_each(|_| runtime.cycle(&lanes).map(drop));
        warm.inspect_err(|error| println!("{}: not measured: {error}", runtime.name)).is_ok()
    });
    let mut times: BTreeMap<&str, Vec<[Duration; 3]>> = BTreeMap::new();
    for round in 0..runs {
        let count = racing.len().max(1);
        for runtime in racing.iter().cycle().skip(round % count).take(racing.len()) {
            times.entry(runtime.name).or_default().push(runtime.cycle(&lanes)?);
        }
    }
    print_table(&racing, &times);
    Ok(())
}

fn runtimes(scratch: &Path) -> io::Result<Vec<Runtime>> {
    let filter = contestants::default_filter(scratch);
    let nucleus = nucleus::binary().to_owned();
    let programs = [
        ("nucleus", Some(nucleus), View::Host),
        ("crun", contestants::find("crun"), View::WithoutUnified),
        ("runc", contestants::find("runc"), View::Host),
        ("youki", contestants::find("youki"), View::Host),
    ];
    let mut runtimes = Vec::new();
    for (name, program, view) in programs {
        let Some(program) = program else {
            println!("{name} is not installed");
            continue;
        };
        let id = format!("bench-{}-{name}-cycle", std::process::id());
        let state = scratch.join(format!("{name}-cycle-state"));
        let bundle = crate::bundle::lay(scratch.join(&id), &format!("/{id}"), filter.as_ref())?;
        let pid_file = scratch.join(format!("{name}.pid"));
        let words = vec![program.into(), "--root".into(), state.into()];
        runtimes.push(Runtime { name, view, words, id, bundle, pid_file });
    }
    Ok(runtimes)
}

impl Runtime {
    /// One container's life: the times of [`VERBS`].
    fn cycle(&self, lanes: &[Lane; 2]) -> io::Result<[Duration; 3]> {
        let lane = &lanes[usize::from(self.view == View::WithoutUnified)];
        let create = lane.time(&self.call(
            "create",
            &["--bundle".as_ref(), self.bundle.as_ref(), "--pid-file".as_ref(), self.pid_file.as_ref()],
        ))?;
        let pid = fs::read_to_string(&self.pid_file)?.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other(format!("{}: no pid in its file", self.name)))?;
        let start = lane.time(&self.call("start", &[]))?;
        wait_for_end(pid)?;
        let delete = lane.time(&self.call("delete", &[]))?;
        Ok([create, start, delete])
    }

    fn call(&self, verb: &str, flags: &[&std::ffi::OsStr]) -> Vec<OsString> {
        let mut words = self.words.clone();
        words.push(verb.into());
        words.extend(flags.iter().map(OsString::from));
        words.push(self.id.clone().into());
        words
    }
}

/// Waits until the workload has ended, and takes its status, as an engine's monitor does.
fn wait_for_end(pid: Pid) -> io::Result<()> {
    let end = pidfd_open(pid, PidfdFlags::empty())?;
    if poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&PATIENCE))? == 0 {
        return Err(io::Error::other("the workload does not end"));
    }
    // A runtime that waits for it itself has taken the status already (ECHILD).
    let _ = waitpid(Some(pid), WaitOptions::empty());
    Ok(())
}

fn print_table(racing: &[Runtime], times: &BTreeMap<&str, Vec<[Duration; 3]>>) {
    let summary = |name: &str, of: &dyn Fn(&[Duration; 3]) -> Duration| {
        Summary::of(&times.get(name).into_iter().flatten().map(of).collect::<Vec<_>>())
    };
    let total = |cycle: &[Duration; 3]| cycle.iter().sum();
    let ours = summary("nucleus", &total);
    print!("{:20} {:>10}", "median µs", "all three");
    println!("{} {:>10}", VERBS.map(|verb| format!(" {verb:>9}")).concat(), "/ nucleus");
    for runtime in racing {
        let Some(all) = summary(runtime.name, &total) else { continue };
        print!("{:20} {:>10}", runtime.name, all.median.as_micros());
        for verb in 0..VERBS.len() {
            let part = summary(runtime.name, &|cycle| cycle[verb]);
            print!(" {:>9}", part.map_or(0, |part| part.median.as_micros()));
        }
        println!(" {:>10}", ours.map_or_else(|| "-".into(), |ours| format!("{:.2}", all.ratio(ours))));
    }
}
