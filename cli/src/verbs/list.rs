//! `nucleus list`.

use clap::ArgMatches;
use nucleus_core::lifecycle::{self, ContainerState};
use nucleus_core::plugins::Registry;

use super::{print_json, wants_json};
use crate::arguments::Invocation;
use crate::output::{self, Failure};
use crate::table::layout;

/// What is printed of the containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A table for people.
    Table,
    /// JSON.
    Json,
    /// Their ids, one a line.
    Ids,
}

pub(super) fn list(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let ids = matches.get_flag("quiet").then_some(Shape::Ids);
    show(invocation, ids.unwrap_or_else(|| shape(matches)))
}

/// The shape that `--format` asks for.
pub(super) fn shape(matches: &ArgMatches) -> Shape {
    if wants_json(matches) { Shape::Json } else { Shape::Table }
}

/// A container that cannot be read is warned of; the list goes on.
pub(super) fn show(invocation: &Invocation, shape: Shape) -> Result<u8, Failure> {
    let listing = lifecycle::list(&invocation.root, &Registry::linked()?)?;
    listing.unreadable.iter().for_each(|error| output::warn(&error.to_string()));
    let containers = &listing.containers;
    match shape {
        Shape::Ids => {
            let lines: Vec<&str> = containers.iter().flat_map(|one| [one.id.as_str(), "\n"]).collect();
            output::answer(&lines.concat())?;
        }
        Shape::Json => print_json(containers)?,
        Shape::Table => {
            let rows: Vec<[String; 6]> = containers.iter().map(row).collect();
            output::answer(&layout(["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"], &rows))?;
        }
    }
    Ok(0)
}

fn row(one: &ContainerState) -> [String; 6] {
    [
        one.id.to_string(),
        one.pid.to_string(),
        one.status_name().to_owned(),
        one.bundle.display().to_string(),
        one.created.clone(),
        one.owner.clone(),
    ]
}
