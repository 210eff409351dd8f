//! The profile, resolved: for each ABI a table from number to verdict. Pure data, no instructions yet.
//!
//! Where the runtime specification is silent, runc with libseccomp decides (docs/seccomp.md, "How a profile is read").

use nucleus_abi::{Error, ErrorCode, Result};

use super::abi::Abi;
use super::condition::Condition;
use super::verdict::Verdict;
use super::{multiplex, syscalls};
use crate::config::document::{Action, Argument, Seccomp, Syscall};

/// A profile, resolved.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) default: Verdict,
    pub(super) tables: Vec<Table>,
    pub(super) unknown_names: Vec<String>,
}

/// The calls of one ABI, indexed by number up to the highest that the profile names.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) abi: Abi,
    pub(super) calls: Vec<Call>,
    /// For calls beyond the table.
    pub(super) beyond: Verdict,
}

/// What happens to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    /// The profile's default.
    Unlisted,
    /// One verdict, whatever the arguments.
    Always(Verdict),
    /// The first clause that matches; the default where none does.
    When(Vec<Clause>),
}

/// A verdict under conditions that must all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) conditions: Vec<Condition>,
    pub(super) verdict: Verdict,
}

/// When a rule applies.
enum Match {
    Every,
    /// One of these groups holds in full.
    AnyOf(Vec<Vec<Condition>>),
}

impl Policy {
    /// Resolves `profile` for a machine whose own ABI is `native`.
    pub(super) fn new(profile: &Seccomp<'_>, native: Abi) -> Result<Self> {
        let rules = &profile.syscalls;
        refuse_unanswerable_notifications(profile, rules)?;
        let default = Verdict::of(profile.default_action, profile.default_errno_ret)
            .map_err(|error| within("", error.on("defaultErrnoRet")))?;
        let opened = Abi::opened(&profile.architectures, native);
        let tables = opened.into_iter().map(|abi| Table::new(abi, default)).collect();
        let mut policy = Self { default, tables, unknown_names: Vec::new() };
        for (index, rule) in rules.iter().enumerate() {
            policy.add(rule).map_err(|error| within(&format!("syscalls[{index}]."), error))?;
        }
        policy.tables.iter_mut().for_each(Table::order_clauses);
        Ok(policy)
    }

    fn add(&mut self, rule: &Syscall<'_>) -> Result<()> {
        let verdict = Verdict::of(rule.action, rule.errno_ret)?;
        let matches =
            self.tables.iter().map(|table| Match::new(&rule.args, table.abi)).collect::<Result<Vec<_>>>()?;
        for name in &rule.names {
            let Some(syscall) = syscalls::find(name) else {
                self.unknown_names.push(name.to_string());
                continue;
            };
            for (table, when) in self.tables.iter_mut().zip(&matches) {
                if let Some(number) = syscall.number(table.abi) {
                    table.add(number, when, verdict, self.default);
                }
                if table.abi == Abi::X86 {
                    table.add_multiplexed(name, when, verdict, self.default);
                }
            }
        }
        Ok(())
    }
}

impl Table {
    fn new(abi: Abi, default: Verdict) -> Self {
        // runc's rule: a call that is newer than everything the profile names does not exist, so that a libc falls
        // back instead of failing. Only where the default is an error anyway: a promise to kill stays one.
        let beyond = if default.is_errno() { Verdict::ENOSYS } else { default };
        Self { abi, calls: Vec::with_capacity(512), beyond }
    }

    fn add(&mut self, number: u16, when: &Match, verdict: Verdict, default: Verdict) {
        let index = usize::from(number);
        if self.calls.len() <= index {
            self.calls.resize(index + 1, Call::Unlisted);
        }
        // A rule that says what the default says is dropped, even beside others on the same call (runc).
        if verdict != default {
            self.calls[index].add(when, verdict);
        }
    }

    /// Arguments of a multiplexed call lie behind a pointer. A rule with conditions therefore covers the whole call
    /// where it is stricter than the default, and nothing of it where it is looser.
    fn add_multiplexed(&mut self, name: &str, when: &Match, verdict: Verdict, default: Verdict) {
        let Some((number, asked)) = multiplex::road(name) else {
            return;
        };
        let stricter = verdict.strictness() < default.strictness();
        if stricter || matches!(when, Match::Every) {
            self.add(number, &Match::AnyOf(vec![vec![asked]]), verdict, default);
        }
    }

    /// Where several clauses of one call match, the strictest wins; equally strict ones stand in the profile's order.
    fn order_clauses(&mut self) {
        for call in &mut self.calls {
            if let Call::When(clauses) = call {
                clauses.sort_by_key(|clause| clause.verdict.strictness());
            }
        }
    }
}

impl Call {
    /// A rule without conditions beats those with; of several without, the first one counts (libseccomp).
    fn add(&mut self, when: &Match, verdict: Verdict) {
        match (when, &mut *self) {
            (_, Self::Always(_)) => {}
            (Match::Every, _) => *self = Self::Always(verdict),
            (Match::AnyOf(groups), Self::When(clauses)) => clauses.extend(clauses_of(groups, verdict)),
            (Match::AnyOf(groups), Self::Unlisted) => {
                *self = Self::When(clauses_of(groups, verdict).collect());
            }
        }
    }
}

fn clauses_of(groups: &[Vec<Condition>], verdict: Verdict) -> impl Iterator<Item = Clause> {
    groups.iter().map(move |conditions| Clause { conditions: conditions.clone(), verdict })
}

impl Match {
    fn new(args: &[Argument], abi: Abi) -> Result<Self> {
        let conditions = args.iter().enumerate().map(|(index, arg)| {
            Condition::new(arg, abi).map_err(|error| error.on(format_args!("args[{index}].index")))
        });
        let conditions = conditions.collect::<Result<Vec<_>>>()?;
        Ok(if conditions.is_empty() {
            Self::Every
        } else if has_repeated_argument(&conditions) {
            // runc's rule, on which published profiles rely: conditions on the *same* argument are alternatives.
            Self::any_of(conditions.into_iter().map(|condition| vec![condition]))
        } else {
            Self::any_of(std::iter::once(conditions))
        })
    }

    fn any_of(groups: impl Iterator<Item = Vec<Condition>>) -> Self {
        let groups: Vec<_> = groups
            .map(|mut group| {
                group.retain(|condition| !condition.is_tautology());
                group
            })
            .collect();
        if groups.iter().any(Vec::is_empty) { Self::Every } else { Self::AnyOf(groups) }
    }
}

/// The error with its field's whole path.
fn within(path: &str, error: Error) -> Error {
    let field = error.subject.clone().unwrap_or_default();
    error.on(format_args!("config.json: linux.seccomp.{path}{field}"))
}

fn has_repeated_argument(conditions: &[Condition]) -> bool {
    let is_repeated =
        |i: usize| conditions[..i].iter().any(|before| before.argument == conditions[i].argument);
    (1..conditions.len()).any(is_repeated)
}

/// `SCMP_ACT_NOTIFY` stops the caller until the agent answers. Before the agent has the descriptor nobody can:
/// the process that loads the filter would wait for itself when it sends the descriptor with `write` or by default.
fn refuse_unanswerable_notifications(profile: &Seccomp<'_>, rules: &[Syscall<'_>]) -> Result<()> {
    let notify = Action::Notify;
    let refuse = |field: &str, cause: &str, hint: &str| {
        let error = Error::new(ErrorCode::ConfigInvalid, "compile the seccomp profile").on(field);
        Err(within("", error.because(cause).hint(hint)))
    };
    let deadlock = "the process would stop before the agent can answer";
    if profile.default_action == notify {
        return refuse("defaultAction", deadlock, "name the calls that the agent is to see");
    }
    if rules.iter().any(|rule| rule.action == notify) && profile.listener_path.is_none() {
        return refuse(
            "listenerPath",
            "is missing, and a rule has SCMP_ACT_NOTIFY",
            "name the agent's socket in `listenerPath`",
        );
    }
    match rules
        .iter()
        .position(|rule| rule.action == notify && rule.names.iter().any(|name| &**name == "write"))
    {
        Some(index) => {
            let field = format!("syscalls[{index}].names");
            refuse(&field, deadlock, "leave `write` out of the rule with SCMP_ACT_NOTIFY")
        }
        None => Ok(()),
    }
}
