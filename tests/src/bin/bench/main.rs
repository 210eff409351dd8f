//! `tests/bench/run [--runs N] [--crowd N] [--quick] [--lifecycle | --overhead | --network]`: start-up times, measured in turns in one run.
//!
//! Every contestant starts the same container: six new namespaces, the host's `/usr` on a fresh root, memory and pids
//! limits (but the floor and bubblewrap, which have no cgroups), and ends as soon as `/bin/true` has run. Nothing here
//! asserts on time: what counts are the ratios, for they hold on another machine and under another load.
//! The same lines are measured again while other containers run.
//!
//! With `--lifecycle` it measures `create`, `start` and `delete` instead, as engines call them: see `lifecycle.rs`. With
//! `--overhead` it measures other runtimes alone and through nucleus: see `overhead.rs`. With `--network` it measures networks: see
//! `network.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

mod bundle;
mod contestants;
mod crowd;
mod lane;
mod lifecycle;
mod memory;
mod network;
mod overhead;
mod statistics;

use contestants::Contestant;
use crowd::Crowd;
use lane::{Lane, View};
use statistics::Summary;

struct Options {
    runs: usize,
    crowd: usize,
    what: What,
}

/// What is measured.
enum What {
    Starts,
    Lifecycle,
    Overhead,
    Network,
}

fn main() -> io::Result<()> {
    let options = options(std::env::args().skip(1))?;
    let scratch = memory_backed().join(format!("nucleus-bench-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let result = match options.what {
        What::Starts => report(&options, &scratch),
        What::Lifecycle => lifecycle::report(options.runs, &scratch),
        What::Overhead => overhead::report(options.runs, &scratch),
        What::Network => networks(options.runs, &scratch),
    };
    fs::remove_dir_all(&scratch)?;
    result
}

/// Where state lies on a real host: `/run` is a tmpfs there. In a container it may be a part of a disk, whose journal
/// would be measured instead.
fn memory_backed() -> &'static Path {
    let is_tmpfs = |path: &&Path| rustix::fs::statfs(*path).is_ok_and(|fs| fs.f_type == TMPFS_MAGIC);
    ["/run", "/dev/shm"].map(Path::new).into_iter().find(is_tmpfs).unwrap_or(Path::new("/run"))
}

/// statfs(2).
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;

fn options(mut words: impl Iterator<Item = String>) -> io::Result<Options> {
    let mut options = Options { runs: 100, crowd: 200, what: What::Starts };
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|text| text.parse().ok());
        let usage = || {
            io::Error::other(
                "usage: tests/bench/run [--runs N] [--crowd N] [--quick] [--lifecycle | --overhead | --network]",
            )
        };
        match word.as_str() {
            "--quick" => options = Options { runs: 15, crowd: 20, ..options },
            "--lifecycle" => options.what = What::Lifecycle,
            "--overhead" => options.what = What::Overhead,
            "--network" => options.what = What::Network,
            "--runs" => options.runs = number().ok_or_else(usage)?,
            "--crowd" => options.crowd = number().ok_or_else(usage)?,
            _ => return Err(usage()),
        }
    }
    Ok(options)
}

fn report(options: &Options, scratch: &Path) -> io::Result<()> {
    contestants::warn_about_debug_builds();
    println!("starting and ending a container, {} runs each, in turns", options.runs);
    print_table(&measure(contestants::all(scratch)?, options.runs));
    print_memory("alone", scratch);

    if options.crowd > 0 {
        let crowd = Crowd::gather(scratch, options.crowd)?;
        println!("\nthe same while {} containers run", options.crowd);
        print_table(&measure(contestants::ours(scratch)?, options.runs));
        print_memory("in the crowd", scratch);
        drop(crowd);
    }
    Ok(())
}

fn networks(runs: usize, scratch: &Path) -> io::Result<()> {
    contestants::warn_about_debug_builds();
    println!("networks: set up and torn down, {runs} runs each, in turns");
    let mut keeper = network::keep(scratch)?;
    print_table(&measure(network::contestants(scratch), runs));
    keeper.kill()?;
    keeper.wait().map(drop)
}

type Results = Vec<(&'static str, Summary)>;

/// Runs all contestants in turns; one that fails is named and left out.
fn measure(contestants: Vec<Contestant>, runs: usize) -> Results {
    let lanes = [Lane::open(View::Host), Lane::open(View::WithoutUnified)];
    let lane = |contestant: &Contestant| &lanes[usize::from(contestant.view == View::WithoutUnified)];
    let mut racing = contestants;
    racing.retain(|contestant| {
        // The first runs fill caches and are not counted.
        let warm = (0..3).try_for_each(|_| lane(contestant).time(&contestant.words).map(drop));
        warm.inspect_err(|error| println!("{}: not measured: {error}", contestant.name)).is_ok()
    });
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for round in 0..runs {
        let count = racing.len().max(1);
        // Each round begins with another one, so that nobody always runs in the wake of the same neighbour.
        for contestant in racing.iter().cycle().skip(round % count).take(racing.len()) {
            match lane(contestant).time(&contestant.words) {
                Ok(time) => times.entry(contestant.name).or_default().push(time),
                Err(error) => println!("{}: a run failed: {error}", contestant.name),
            }
        }
    }
    let summary = |name| times.get(name).and_then(|times| Summary::of(times));
    racing.iter().filter_map(|contestant| Some((contestant.name, summary(contestant.name)?))).collect()
}

fn print_table(results: &Results) {
    let find = |wanted| results.iter().find(|(name, _)| *name == wanted).map(|(_, summary)| *summary);
    let ratio = |summary: &Summary, other: Option<Summary>| {
        other.map_or_else(|| "-".to_owned(), |other| format!("{:.2}", summary.ratio(other)))
    };
    println!("{:20} {:>10} {:>10} {:>9} {:>15}", "", "median µs", "least µs", "/ floor", "/ crun, seccomp");
    for (name, summary) in results {
        let (median, least) = (summary.median.as_micros(), summary.least.as_micros());
        let floor = ratio(summary, find(contestants::FLOOR));
        let crun = ratio(summary, find(contestants::CRUN));
        println!("{name:20} {median:>10} {least:>10} {floor:>9} {crun:>15}");
    }
}

fn print_memory(when: &str, scratch: &Path) {
    match memory::measure(scratch) {
        Ok(memory) => println!(
            "memory of nucleus itself, {when}: {} KiB resident at most (VmHWM), {} KiB Pss while the workload runs",
            memory.peak, memory.share
        ),
        Err(error) => println!("memory of nucleus: not measured: {error}"),
    }
}
