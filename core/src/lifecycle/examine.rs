//! From an effective profile to a checked plan: what `run` starts from, and where `explain` and `--dry-run` stop.

use std::path::PathBuf;

use nucleus_abi::{
    Capability, CheckOptionsRequest, Client, Error, ErrorCode, NetworkNamespace, ReportRequest, Result,
    SCHEMA,
};

use super::hooks::Hooks;
use super::state_root::StateRoot;
use crate::bundle::survey;
use crate::plan::{
    CheckedRow, Decided, Enforcement, Plan, Row, Side, Sources, can_enforce, check, facts_for,
    look_at_namespaces, look_at_profile, needs, refusals, resolve, rows, without_what_is_undermined,
};
use crate::plugins::Registry;
use crate::profile::{Loaded, Origin, Plugins};

/// The name under which a profile leaves the choice of the backend to the core.
const AUTO: &str = "auto";

/// Whose command line it is (DESIGN: two readings, never mixed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The operator's: the profile says all.
    Operator,
    /// An engine's: its `config.json` says what is to run, and the profile bounds it.
    Engine,
}

/// A plan, compared line by line with what its backend can enforce here.
#[derive(Debug)]
pub struct Examined {
    /// The plan; its backend is a real one, never `auto`.
    pub plan: Plan,
    /// The backend.
    pub client: Client,
    /// The plan's lines and what enforces each.
    pub rows: Vec<CheckedRow>,
    /// Whose command line it is.
    pub reading: Reading,
    /// The sources of the profile's mounts: what was looked at is what will be mounted.
    pub sources: Sources,
    /// Where nucleus keeps its containers.
    pub state: PathBuf,
    /// Who makes a network namespace that is attached.
    pub network: NetworkNamespace,
    /// Who is told of the container's life.
    pub hooks: Option<Hooks>,
    /// What nobody enforces. Under `enforcement: strict` it refuses the start.
    pub refusals: Vec<Error>,
}

impl Examined {
    /// Whether the container may start.
    ///
    /// # Errors
    /// `plan-invalid` when there is nothing to run; `capability-missing` under `strict`; several refusals stand in `also`.
    pub fn allow(&self) -> Result<()> {
        if self.reading == Reading::Operator && self.plan.process.command.value.is_empty() {
            return Err(no_command(&self.plan.process.command.origin));
        }
        if self.refusals.is_empty() || self.plan.enforcement.value == Enforcement::Permissive {
            return Ok(());
        }
        if let [one] = self.refusals.as_slice() {
            return Err(one.clone());
        }
        Err(Error::new(ErrorCode::CapabilityMissing, "enforce the profile")
            .on(&self.plan.profile.value)
            .because(format!("{} of its lines cannot be enforced here", self.refusals.len()))
            .and(self.refusals.clone()))
    }

    /// Adds what a look at the sources of secrets tells: a start finds out for itself, when it opens them.
    pub fn foresee(&mut self) {
        self.refusals.extend(survey(&self.plan));
    }

    /// What it is, for a comparison with another.
    pub fn side(&self) -> Side<'_> {
        Side { plan: &self.plan, rows: &self.rows }
    }

    /// What `enforcement: permissive` lets pass, in words.
    pub fn warnings(&self) -> Vec<String> {
        self.refusals.iter().map(ToString::to_string).collect()
    }
}

/// Resolves a profile, chooses its backend and checks the plan against the backend's report. Changes nothing.
///
/// # Errors
/// `plan-invalid`, `backend-not-found`, and what the backend says of its options.
pub fn examine(loaded: &Loaded, registry: &Registry, reading: Reading, root: &StateRoot) -> Result<Examined> {
    // An engine's container gets none of the profile's own mounts.
    let sources = match reading {
        Reading::Operator => look_at_profile(&loaded.profile, root.path()),
        Reading::Engine => look_at_namespaces(&loaded.profile),
    };
    let mut plan = resolve(loaded, &facts_for(&loaded.profile, &sources))?;
    let mut promised = lines(&plan, reading);
    let asked = needs(&promised);
    let memory = Some(root.memory());
    let request = ReportRequest { schema: SCHEMA, asked, options: plan.options.clone(), memory };
    let client = choose(&plan, &loaded.profile.plugins, registry, &request)?;
    client.check_options(&CheckOptionsRequest { schema: SCHEMA, options: plan.options.clone() })?;
    if plan.backend.value == AUTO {
        plan.backend = Decided::new(client.description().id.clone(), Origin::BuiltIn("choice by rank"));
        promised = lines(&plan, reading);
    }
    let report = client.report(&request)?;
    let network = report.network;
    let checked = check(promised, &without_what_is_undermined(&plan, report));
    let name = client.description().id.clone();
    let mut refused = refusals(&checked, &name, &[]);
    if !refused.is_empty() {
        // Only a refusal needs to know who else could do it.
        refused = refusals(&checked, &name, &able(registry, &request.asked, &name));
    }
    let state = root.path().to_owned();
    let hooks = Hooks::of(&loaded.profile);
    Ok(Examined { plan, client, rows: checked, reading, sources, state, network, hooks, refusals: refused })
}

/// The lines that concern a container: of an engine's, what the profile bounds and not what it would have run itself.
fn lines(plan: &Plan, reading: Reading) -> Vec<Row> {
    let mut lines = rows(plan);
    if reading == Reading::Engine {
        let others = ["workload.", "rootfs", "context", "mounts.", "secrets[", "namespaces."];
        let bounding = ["workload.rlimits.", "workload.oomScoreAdj", "rootfs.readonly"];
        let begins = |row: &Row, names: &[&str]| names.iter().any(|name| row.field.starts_with(name));
        // The network is the engine's.
        if plan.network.value.attached().is_some() {
            lines.retain(|row| !row.field.starts_with("network."));
        }
        lines.retain(|row| !begins(row, &others) || begins(row, &bounding) || row.value == "own");
    }
    lines
}

fn no_command(origin: &Origin) -> Error {
    Error::new(ErrorCode::PlanInvalid, "make a plan of the profile")
        .on(format!("`workload.command` ({origin})"))
        .because("there is no command to run")
        .hint("put it behind `--` on the command line, or name it in the profile as `workload.command`")
}

/// The backend that the plan names; under `auto` the best by rank that can enforce it all, or else the best.
fn choose(plan: &Plan, plugins: &Plugins, registry: &Registry, request: &ReportRequest) -> Result<Client> {
    if plan.backend.value != AUTO {
        let missing = |error: Error| match error.code {
            ErrorCode::BackendNotFound => {
                error.on(format!("{} ({})", plan.backend.value, plan.backend.origin))
            }
            _ => error,
        };
        return registry.named(&plan.backend.value, plugins).map_err(missing);
    }
    let mut candidates = registry.backends().iter().filter(|client| client.description().rank >= 0);
    let first = candidates.clone().next();
    // With a single candidate there is nothing to compare, and the report is asked once, for the check.
    if candidates.clone().count() == 1 {
        return first.cloned().ok_or_else(no_backend);
    }
    candidates.find(|client| enforces(client, request)).or(first).cloned().ok_or_else(no_backend)
}

fn no_backend() -> Error {
    Error::new(ErrorCode::BackendNotFound, "choose a backend").because("this program was built without any")
}

fn enforces(client: &Client, request: &ReportRequest) -> bool {
    client.report(request).is_ok_and(|report| can_enforce(&request.asked, &report))
}

/// Options are those of the backend that the plan names: the others are asked as they are without any.
fn able(registry: &Registry, asked: &[Capability], except: &str) -> Vec<String> {
    let options = serde_json::Value::Null;
    let request = ReportRequest { schema: SCHEMA, asked: asked.to_vec(), options, memory: None };
    let others = registry.backends().iter().filter(|client| client.description().id != except);
    others.filter(|client| enforces(client, &request)).map(|client| client.description().id.clone()).collect()
}
