//! What can be typed: what holds for every verb. What each verb takes stands in a file of its own, and the table of verbs
//! ([`VERBS`]) names it.

pub(crate) mod backend;
pub(crate) mod checkpoint;
pub(crate) mod container;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod explain;
pub(crate) mod gc;
pub(crate) mod kill;
pub(crate) mod list;
pub(crate) mod pause;
pub(crate) mod plugin;
pub(crate) mod profile;
pub(crate) mod ps;
pub(crate) mod rootfs;
pub(crate) mod run;
pub(crate) mod spec;
pub(crate) mod update;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::slice;

use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};

use crate::verbs::{Statuses, VERBS, Verb};
use nucleus_core::lifecycle::{Activation, CgroupDriver, StateRoot};

/// How errors are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorFormat {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// What holds for every verb.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// `--root`, or its default.
    pub root: StateRoot,
    /// `--profile`.
    pub profile: Option<String>,
    /// The name under which nucleus was called.
    pub program: String,
    /// `--error-format`.
    pub error_format: ErrorFormat,
    /// `--log`.
    pub log: Option<PathBuf>,
    /// `--log-format json`.
    pub log_format: ErrorFormat,
    /// `--debug`.
    pub debug: bool,
    /// `--systemd-cgroup`.
    pub cgroups: CgroupDriver,
    /// `--criu`.
    pub criu: Option<PathBuf>,
    /// What a service manager opened for the workload.
    pub activation: Activation,
    /// `--preserve-fds`: so many descriptors behind those are the workload's too.
    pub preserved: u16,
    /// The statuses of the verb that was typed.
    pub statuses: Statuses,
}

impl Invocation {
    /// Reads the global options.
    ///
    /// # Errors
    /// `invalid-argument` for variables of a service manager that make no sense.
    pub(crate) fn of(matches: &ArgMatches) -> nucleus_abi::Result<Self> {
        let format = |name: &str| match matches.get_one::<String>(name).map(String::as_str) {
            Some("json") => ErrorFormat::Json,
            _ => ErrorFormat::Text,
        };
        Ok(Self {
            root: matches
                .get_one::<PathBuf>("root")
                .map_or_else(default_root, |path| StateRoot::at(absolute(path))),
            profile: matches.get_one::<String>("profile").cloned(),
            program: program(),
            error_format: format("error-format"),
            log: matches.get_one::<PathBuf>("log").cloned(),
            log_format: format("log-format"),
            debug: matches.get_flag("debug"),
            cgroups: if matches.get_flag("systemd-cgroup") {
                CgroupDriver::Systemd
            } else {
                CgroupDriver::Cgroupfs
            },
            criu: matches.get_one::<PathBuf>("criu").cloned(),
            activation: Activation::of_this_process()?,
            preserved: matches.subcommand().map_or(0, |(_, matches)| preserved(matches)),
            statuses: Statuses::of_verb(matches.subcommand_name().unwrap_or_default()),
        })
    }

    /// How many descriptors from 3 on are the workload's.
    pub(crate) fn reserved(&self) -> u16 {
        self.activation.descriptors.saturating_add(self.preserved)
    }
}

/// The last part of `argv[0]`: engines that cannot pass flags choose a profile by it.
fn program() -> String {
    let path = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned()
}

fn preserved(matches: &ArgMatches) -> u16 {
    matches.try_get_one::<u16>("preserve-fds").ok().flatten().copied().unwrap_or_default()
}

/// What lies below it is named to others, who may stand elsewhere: mounts, and hooks.
fn absolute(path: &Path) -> PathBuf {
    // It fails for an empty path, which is then refused where it is used.
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// `/run/nucleus` for root, `$XDG_RUNTIME_DIR/nucleus` for others.
fn default_root() -> StateRoot {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|_| !rustix::process::geteuid().is_root());
    StateRoot::at(runtime.map_or_else(|| PathBuf::from("/run"), PathBuf::from).join("nucleus"))
}

/// Parses a command line.
///
/// # Errors
/// What clap says: a mistake, or the help and version texts that were asked for.
pub(crate) fn parse(arguments: &[OsString]) -> Result<ArgMatches, clap::Error> {
    // Every verb costs what its `Command` costs, so only the one that was typed is made. Where that does not parse, the
    // words mean something else, or the answer is a text in which all verbs stand.
    let alone = |words: &[OsString]| {
        verb_of(words).and_then(|verb| command(slice::from_ref(verb)).try_get_matches_from(words).ok())
    };
    let typed = alone(arguments).or_else(|| alone(&as_runc_says(arguments)?));
    typed.map_or_else(|| command(VERBS).try_get_matches_from(arguments), Ok)
}

/// runc takes its long options with one dash too (containerd's shim says `-no-subreaper`), and its switches with a value
/// (`--force=true`). `None` where words of a workload may be among them.
fn as_runc_says(arguments: &[OsString]) -> Option<Vec<OsString>> {
    let verb = verb_of(arguments).filter(|verb| !["run", "exec", "ps"].contains(&verb.name))?;
    let options = (verb.arguments)(Command::new(verb.name).args(global()));
    let option = |name: &str| options.get_arguments().find(|option| option.get_long() == Some(name));
    let word = |word: &OsString| {
        let typed = word.to_str().and_then(|text| text.strip_prefix('-'));
        let text = typed.map(|text| text.strip_prefix('-').unwrap_or(text)).unwrap_or_default();
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let Some(known) = option(name).filter(|_| name.len() > 1) else { return Some(word.clone()) };
        match (known.get_action(), value) {
            (ArgAction::SetTrue, Some("false")) => None,
            (ArgAction::SetTrue, Some("true")) => Some(format!("--{name}").into()),
            _ => Some(format!("--{text}").into()),
        }
    };
    Some(arguments.iter().filter_map(word).collect())
}

/// The first word that is a verb.
fn verb_of(arguments: &[OsString]) -> Option<&'static Verb> {
    let words = arguments.iter().skip(1).filter_map(|word| word.to_str());
    words.into_iter().find_map(|word| VERBS.iter().find(|verb| verb.name == word))
}

/// The statuses of the verb in a command line that cannot be parsed.
pub(crate) fn statuses_of(arguments: &[OsString]) -> Statuses {
    Statuses::of_verb(verb_of(arguments).map_or("", |verb| verb.name))
}

/// How errors are to be printed, for a command line that cannot be parsed.
pub(crate) fn error_format_of(arguments: &[OsString]) -> ErrorFormat {
    let ours = || arguments.iter().take_while(|word| *word != "--");
    let joined = ours().any(|word| word == "--error-format=json");
    let apart = ours().zip(ours().skip(1)).any(|(flag, value)| flag == "--error-format" && value == "json");
    if joined || apart { ErrorFormat::Json } else { ErrorFormat::Text }
}

/// The version, and that of the runtime specification, in the form that engines read.
const VERSION: &str = concat!("version ", env!("CARGO_PKG_VERSION"), "\nspec: 1.2.0");

fn command(verbs: &'static [Verb]) -> Command {
    Command::new("nucleus")
        .version(VERSION)
        .disable_version_flag(true)
        .about("A container runtime whose isolation is a plugin")
        .after_help(
            "Exit status of `run`: the workload's; 125 nucleus failed, 126 the program cannot be executed, \
             127 it was not found, 128+N signal N ended it. Of every other verb: 0, or 1 when it failed.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args(global())
        .subcommands(verbs.iter().map(|verb| Command::new(verb.name).about(verb.about).defer(verb.arguments)))
}

fn global() -> [Arg; 10] {
    [
        Arg::new("profile").long("profile").global(true).value_name("FILE|NAME").help(
            "The profile: a file, or the name of an installed one [default: `default`, else a built-in one]",
        ),
        path("root").help("Where containers are kept [default: /run/nucleus, or $XDG_RUNTIME_DIR/nucleus]"),
        format("error-format").help("How errors are printed"),
        path("log").help("Write a log to this file"),
        format("log-format").help("How the log is written"),
        Arg::new("debug").long("debug").global(true).action(ArgAction::SetTrue).help("Log more"),
        // Below, what engines say before the verb: `spec` has a `--rootless` of its own.
        Arg::new("systemd-cgroup")
            .long("systemd-cgroup")
            .action(ArgAction::SetTrue)
            .help("Let systemd make the cgroups of engines' containers: cgroupsPath is slice:prefix:name"),
        Arg::new("rootless")
            .long("rootless")
            .value_name("WHETHER")
            .value_parser(["auto", "true", "false"])
            .help("Accepted for engines that say it; nucleus sees by itself who calls it"),
        Arg::new("criu")
            .long("criu")
            .value_name("PATH")
            .value_parser(value_parser!(PathBuf))
            .help("The criu that checkpoint and restore use"),
        Arg::new("version").long("version").short('v').action(ArgAction::Version).help("Print the version"),
    ]
}

fn path(name: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .global(true)
        .value_name("PATH")
        .value_hint(ValueHint::AnyPath)
        .value_parser(value_parser!(PathBuf))
}

fn format(name: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .global(true)
        .value_name("FORMAT")
        .value_parser(["text", "json"])
        .default_value("text")
}

/// The workload's command, after `--`.
fn words() -> Arg {
    Arg::new("command")
        .value_name("COMMAND")
        .num_args(0..)
        .last(true)
        .help("The program and its arguments, after `--`")
}

/// What a verb takes that takes nothing but an id.
pub(crate) fn only_id(command: Command) -> Command {
    command.arg(container_id())
}

/// The container's id, where a verb takes nothing but one.
fn container_id() -> Arg {
    Arg::new("container").value_name("ID").required(true).help("The container's id")
}

/// Of an option that engines repeat (Podman 4.3: `--leave-running --leave-running`), the last holds, as with runc.
fn last_wins(option: Arg) -> Arg {
    match option.get_action() {
        ArgAction::Set | ArgAction::SetTrue if !option.is_positional() => {
            let id = option.get_id().clone();
            option.overrides_with(id)
        }
        _ => option,
    }
}

/// `--format table|json`.
fn output_format() -> Arg {
    Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .value_parser(["table", "json"])
        .default_value("table")
        .help("How the answer is printed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_of_errors_is_known_even_where_the_rest_is_not() {
        let words = |text: &str| -> Vec<OsString> { text.split(' ').map(OsString::from).collect() };
        assert_eq!(error_format_of(&words("nucleus --error-format json --nonsense")), ErrorFormat::Json);
        assert_eq!(error_format_of(&words("nucleus --error-format=json")), ErrorFormat::Json);
        assert_eq!(error_format_of(&words("nucleus run -- x --error-format json")), ErrorFormat::Text);
    }

    #[test]
    fn an_option_may_be_repeated_where_engines_speak() {
        let parsed = |text: &str| {
            let words: Vec<OsString> = text.split(' ').map(OsString::from).collect();
            let matches = parse(&words).unwrap();
            matches.subcommand().unwrap().1.clone()
        };
        assert!(parsed("nucleus checkpoint --leave-running --leave-running x").get_flag("leave-running"));
        let created = parsed("nucleus create --bundle a --bundle=b x");
        assert_eq!(created.get_one::<PathBuf>("bundle"), Some(&PathBuf::from("b")));
        let executed = parsed("nucleus exec -t -t --cwd /a --cwd /b -e A=1 -e B=2 x sh");
        assert_eq!(executed.get_many::<String>("env").unwrap().collect::<Vec<_>>(), ["A=1", "B=2"]);
    }

    #[test]
    fn one_dash_is_enough_where_engines_speak() {
        let words = |text: &str| -> Vec<OsString> { text.split(' ').map(OsString::from).collect() };
        let restored = parse(&words("nucleus restore -detach -no-subreaper -bundle=b x")).unwrap();
        let restored = restored.subcommand().unwrap().1;
        assert!(restored.get_flag("no-subreaper") && restored.get_flag("detach"));
        assert_eq!(restored.get_one::<PathBuf>("bundle"), Some(&PathBuf::from("b")));
        let deleted = parse(&words("nucleus -root /r --debug=false delete --force=true x")).unwrap();
        assert!(deleted.subcommand().unwrap().1.get_flag("force") && !deleted.get_flag("debug"));
        assert_eq!(deleted.get_one::<PathBuf>("root"), Some(&PathBuf::from("/r")));
        assert!(parse(&words("nucleus delete --force=maybe x")).is_err());
        assert!(parse(&words("nucleus restore -nonsense x")).is_err());
        assert!(parse(&words("nucleus run -no-subreaper x")).is_err());
    }

    #[test]
    fn the_table_of_commands_is_sound() {
        command(VERBS).debug_assert();
    }
}
