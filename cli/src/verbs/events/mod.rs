//! `nucleus events`: one line of JSON for each event, in runc's shape.

mod shape;

use std::io::{self, ErrorKind, Write};
use std::ops::ControlFlow;

use clap::ArgMatches;
use nucleus_abi::{ContainerId, Error, ErrorCode};
use nucleus_core::lifecycle::{self, Event};
use nucleus_core::plugins::Registry;
use serde_json::{Value, json};

use super::container_id;
use crate::arguments::Invocation;
use crate::interval::Interval;
use crate::output::{self, Failure};

pub(super) fn events(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let (id, registry) = (container_id(matches)?, Registry::linked()?);
    if matches.get_flag("stats") {
        let stats = lifecycle::stats(&id, &invocation.root, &registry)?;
        let _ = print(&document(&id, &Event::Stats(Box::new(stats))))?;
        return Ok(0);
    }
    let interval =
        matches.get_one::<Interval>("interval").map_or(std::time::Duration::from_secs(5), |it| it.0);
    let mut tell = |event| print(&document(&id, &event));
    lifecycle::events(&id, &invocation.root, &registry, interval, &output::warn, &mut tell)?;
    Ok(0)
}

fn document(id: &ContainerId, event: &Event) -> Value {
    match event {
        Event::Stats(stats) => json!({"type": "stats", "id": id, "data": shape::stats(stats)}),
        Event::Oom => json!({"type": "oom", "id": id}),
    }
}

/// Prints a line at once. A reader that has gone has read enough.
fn print(document: &Value) -> Result<ControlFlow<()>, Error> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{document}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(Error::new(ErrorCode::SystemCall, "write to standard output").because(error)),
    }
}
