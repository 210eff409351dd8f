//! Containers that run in the background while others are measured.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nucleus_tests::nucleus::Nucleus;

use crate::contestants;

/// A nucleus with a container that runs until its input ends.
#[derive(Debug)]
pub(crate) struct Sleeper {
    child: Child,
}

impl Sleeper {
    /// Starts one, and returns when its workload runs.
    pub(crate) fn start(scratch: &Path) -> io::Result<Self> {
        let call = contestants::limited(Nucleus::new(&contestants::state(scratch), "run"));
        let words = call.command(["/bin/sh", "-c", "echo; read end"]).words();
        let mut child =
            Command::new(&words[0]).args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut sign = [0];
        child.stdout.take().expect("the pipe was asked for").read_exact(&mut sign)?;
        Ok(Self { child })
    }

    /// The process id of nucleus.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the input, and waits.
    pub(crate) fn end(mut self) -> io::Result<()> {
        drop(self.child.stdin.take());
        self.child.wait().map(drop)
    }
}

/// Many of them.
#[derive(Debug)]
pub(crate) struct Crowd {
    sleepers: Vec<Sleeper>,
}

impl Crowd {
    /// Starts `count` containers.
    pub(crate) fn gather(scratch: &Path, count: usize) -> io::Result<Self> {
        let mut crowd = Self { sleepers: Vec::with_capacity(count) };
        for _ in 0..count {
            crowd.sleepers.push(Sleeper::start(scratch)?);
        }
        Ok(crowd)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for sleeper in self.sleepers.drain(..) {
            if let Err(error) = sleeper.end() {
                eprintln!("bench: a container in the background did not end: {error}");
            }
        }
    }
}
