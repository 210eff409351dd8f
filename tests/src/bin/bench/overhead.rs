//! `--overhead`: what it costs to run a bundle by an OCI runtime through nucleus, and not by that runtime alone.
//!
//! Both sides of a pair run the same bundle with the same filter, in turns: `RUNTIME run ID` and `nucleus run ID` under a
//! profile that names the runtime's backend. nucleus calls `create`, `start` and `delete`, each a process of the runtime's,
//! where `run` is one.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use nucleus_tests::nucleus;

use crate::contestants::{self, state};
use crate::lane::{Lane, View};
use crate::statistics::Summary;

/// What nucleus may cost beside a runtime: so many milliseconds, or this part of the runtime's own time if that is more.
const ALLOWED: (f64, f64) = (5.0, 0.05);

/// A runtime alone, and the same through nucleus.
struct Pair {
    name: &'static str,
    /// How the bare runtime sees the host. nucleus always sees it as it is.
    view: View,
    bare: Vec<OsString>,
    ours: Vec<OsString>,
}

/// Measures all runtimes that are installed, and prints medians, differences and ratios.
pub(crate) fn report(runs: usize, scratch: &Path) -> io::Result<()> {
    contestants::warn_about_debug_builds();
    println!("one bundle, by the runtime alone and through nucleus, {runs} runs each, in turns");
    println!(
        "{:8} {:>12} {:>12} {:>10} {:>8}  within",
        "median", "alone ms", "nucleus ms", "more ms", "more"
    );
    let lanes = [Lane::open(View::Host), Lane::open(View::WithoutUnified)];
    for pair in pairs(scratch)? {
        match measure(&pair, &lanes, runs) {
            Ok([bare, ours]) => print(pair.name, bare, ours),
            Err(error) => println!("{}: not measured: {error}", pair.name),
        }
    }
    Ok(())
}

fn measure(pair: &Pair, lanes: &[Lane; 2], runs: usize) -> io::Result<[Summary; 2]> {
    let lane = |view| &lanes[usize::from(view == View::WithoutUnified)];
    let bare = || lane(pair.view).time(&pair.bare);
    let ours = || lane(View::Host).time(&pair.ours);
    // The first runs fill caches and are not counted.
    for _ in 0..2 {
        bare()?;
        ours()?;
    }
    let mut times: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
    for round in 0..runs {
        // Each round begins with the other one, so that neither always runs in the wake of its neighbour.
        if round % 2 == 0 {
            times[0].push(bare()?);
            times[1].push(ours()?);
        } else {
            times[1].push(ours()?);
            times[0].push(bare()?);
        }
    }
    let summary = |times: &[Duration]| Summary::of(times).ok_or_else(|| io::Error::other("no runs"));
    Ok([summary(&times[0])?, summary(&times[1])?])
}

fn print(name: &str, bare: Summary, ours: Summary) {
    let milliseconds = |summary: Summary| summary.median.as_secs_f64() * 1e3;
    let (alone, through) = (milliseconds(bare), milliseconds(ours));
    let (more, part) = (through - alone, ours.ratio(bare) - 1.0);
    let within = if more <= ALLOWED.0.max(ALLOWED.1 * alone) { "yes" } else { "NO" };
    println!("{name:8} {alone:>12.2} {through:>12.2} {more:>10.2} {:>7.1}%  {within}", part * 100.0);
}

fn pairs(scratch: &Path) -> io::Result<Vec<Pair>> {
    let filter = contestants::default_filter(scratch);
    let mut pairs = Vec::new();
    for (name, view, flags, backend) in [
        ("crun", View::WithoutUnified, &[][..], "oci-runtime"),
        ("runc", View::Host, &[], "oci-runtime"),
        // gVisor filters by itself and ignores the bundle's filter.
        ("runsc", View::Host, &["--network=none", "--platform=ptrace"], "gvisor-runsc"),
    ] {
        let Some(program) = contestants::find(name) else {
            println!("{name} is not installed");
            continue;
        };
        let id = format!("bench-{}-{name}-over", std::process::id());
        let bundle = crate::bundle::lay(scratch.join(&id), &format!("/{id}"), filter.as_ref())?;
        let root = scratch.join(format!("{name}-over-state"));
        let mut bare: Vec<OsString> = vec![program.clone().into(), "--root".into(), root.into()];
        bare.extend(flags.iter().map(OsString::from));
        bare.extend(["run".into(), "--bundle".into(), bundle.clone().into(), id.clone().into()]);
        let profile = scratch.join(format!("{id}.yaml"));
        fs::write(&profile, self::profile(backend, &program))?;
        let call = nucleus::Nucleus::new(&state(scratch), "run").profile(&profile);
        let ours = call.arg("--bundle").arg(&bundle).arg(&id).words();
        pairs.push(Pair { name, view, bare, ours });
    }
    Ok(pairs)
}

/// Landlock is beyond every OCI runtime. The rest is left to the bundle.
fn profile(backend: &str, program: &Path) -> String {
    format!(
        "apiVersion: nucleus/v1\nbackend: {{name: {backend}, options: {{path: {}}}}}\nenforcement: permissive\n\
         security: {{landlock: 'off'}}\n",
        program.display()
    )
}
