//! `nucleus exec`: another process in a container that runs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use nucleus_abi::{Error, ErrorCode, WhenPaused};
use nucleus_core::lifecycle::{self, Exec, ExecUser, Executed, ProcessChanges, ProcessSource, Stay};
use nucleus_core::plugins::Registry;
use serde_json::Value;

use super::container::handles;
use super::run::exit_status;
use crate::arguments::Invocation;
use crate::output::{self, Failure};

/// Largest document that is read, in bytes.
const LARGEST: u64 = 16 << 20;

pub(super) fn exec(invocation: &Invocation, matches: &ArgMatches) -> Result<u8, Failure> {
    let mut words = matches.get_many::<String>("words").into_iter().flatten().cloned();
    let id = words.next().unwrap_or_default().parse()?;
    let (cgroup, cgroups) = groups(matches)?;
    let exec = Exec {
        process: process(matches, command(words.collect()))?,
        environment: invocation.activation.environment.clone(),
        cgroup,
        cgroups,
        when_paused: if matches.get_flag("ignore-paused") { WhenPaused::Wait } else { WhenPaused::Refuse },
        stay: if matches.get_flag("detach") { Stay::Detached } else { Stay::Foreground },
        handles: handles(invocation, matches)?,
    };
    match lifecycle::exec(&id, &invocation.root, &Registry::linked()?, &exec, &output::warn)? {
        Executed::Ended { program, status } => Ok(exit_status(status, &program)?),
        Executed::Running => Ok(0),
    }
}

/// The command behind the id, with or without `--` between them.
fn command(mut words: Vec<String>) -> Vec<String> {
    if words.first().is_some_and(|word| word == "--") {
        words.remove(0);
    }
    words
}

fn process(matches: &ArgMatches, args: Vec<String>) -> Result<ProcessSource, Error> {
    match matches.get_one::<PathBuf>("process") {
        None => changes(matches, args).map(|changes| ProcessSource::Changed(Box::new(changes))),
        Some(path) if args.is_empty() => document(path).map(ProcessSource::Document),
        Some(path) => Err(Error::new(ErrorCode::InvalidArgument, "choose the process")
            .on(args.join(" "))
            .because(format!("{} says already what is to run", path.display()))
            .hint("leave out --process, or the command")),
    }
}

fn changes(matches: &ArgMatches, args: Vec<String>) -> Result<ProcessChanges, Error> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let texts = |name: &str| matches.get_many::<String>(name).into_iter().flatten().cloned();
    Ok(ProcessChanges {
        args,
        cwd: text("cwd").filter(|path| !path.is_empty()),
        env: texts("env").map(variable).collect::<Result<_, _>>()?,
        terminal: matches.get_flag("tty"),
        user: matches.get_one::<ExecUser>("user").copied(),
        additional_gids: matches.get_many::<u32>("additional-gids").into_iter().flatten().copied().collect(),
        capabilities: texts("cap").collect(),
        no_new_privileges: matches.get_flag("no-new-privs").then_some(true),
        apparmor_profile: text("apparmor"),
        selinux_label: text("process-label"),
    })
}

/// A name alone never takes the host's value: that has leaked secrets elsewhere (CVE-2026-57231).
fn variable(text: String) -> Result<String, Error> {
    match text.find('=') {
        Some(1..) => Ok(text),
        _ => Err(Error::new(ErrorCode::InvalidArgument, "read --env")
            .on(text)
            .because("a variable is NAME=VALUE")),
    }
}

/// One path for all hierarchies, and some for single controllers.
type Groups = (Option<PathBuf>, BTreeMap<String, PathBuf>);

fn groups(matches: &ArgMatches) -> Result<Groups, Error> {
    let typed = matches.get_many::<String>("cgroup").into_iter().flatten();
    typed.map(String::as_str).try_fold(Groups::default(), group)
}

/// `[CONTROLLER[,CONTROLLER…]:]PATH`, as runc has it.
fn group((mut all, mut single): Groups, text: &str) -> Result<Groups, Error> {
    let refuse = |cause| Err(Error::new(ErrorCode::InvalidArgument, "read --cgroup").on(text).because(cause));
    let (controllers, path) = text.rsplit_once(':').map_or((None, text), |(names, path)| (Some(names), path));
    if path.is_empty() {
        return Err(Error::new(ErrorCode::InvalidArgument, "read --cgroup")
            .on(format!("--cgroup {text:?}"))
            .because("it names no group")
            .hint("`/` is the container's own group"));
    }
    if path.split('/').any(|part| part == "..") {
        return refuse("the group lies below the container's own");
    }
    let Some(controllers) = controllers else {
        return match all.replace(path.into()) {
            None => Ok((all, single)),
            Some(_) => refuse("a path for all controllers is given already"),
        };
    };
    for name in controllers.split(',') {
        if name.is_empty() || single.insert(name.to_owned(), path.into()).is_some() {
            return refuse("each controller has a name, and stands there once");
        }
    }
    Ok((all, single))
}

fn document(path: &Path) -> Result<Value, Error> {
    let failed = |code, cause: &dyn std::fmt::Display| {
        Error::new(code, "read the document of the process").on(path.display()).because(cause)
    };
    let text = File::open(path).and_then(|file| io::read_to_string(file.take(LARGEST)));
    let text = text.map_err(|error| failed(ErrorCode::InvalidArgument, &error))?;
    serde_json::from_str(&text).map_err(|error| failed(ErrorCode::ConfigInvalid, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;

    fn typed(words: &[&str]) -> Result<ProcessChanges, Error> {
        let command_line = crate::arguments::exec::arguments(Command::new("exec"));
        let matches = command_line.try_get_matches_from([&["exec"], words].concat()).map_err(|error| {
            Error::new(ErrorCode::InvalidArgument, "understand the command line").because(error)
        })?;
        let words = matches.get_many::<String>("words").into_iter().flatten().skip(1).cloned().collect();
        changes(&matches, command(words))
    }

    #[test]
    fn a_group_without_a_path_is_refused_as_it_was_typed() {
        for typed in ["", "cpu:"] {
            let error = group(Groups::default(), typed).unwrap_err();
            assert_eq!(error.subject, Some(format!("--cgroup {typed:?}")));
        }
        assert_eq!(group(Groups::default(), "/").unwrap().0, Some(PathBuf::from("/")));
    }

    #[test]
    fn everything_behind_the_id_is_the_command() {
        for (words, args) in [
            (&["web", "ls", "-la", "--cwd", "/"][..], &["ls", "-la", "--cwd", "/"][..]),
            (&["web", "--", "ls", "--", "-t"], &["ls", "--", "-t"]),
            (&["-t", "--user", "1:2", "web", "-u", "7"], &["-u", "7"]),
            (&["web", "sh", "-c", "exit 3", "--debug"], &["sh", "-c", "exit 3", "--debug"]),
        ] {
            assert_eq!(typed(words).unwrap().args, args, "{words:?}");
        }
    }

    #[test]
    fn options_become_changes() {
        let words = [
            "-t",
            "-u",
            "1:2",
            "-g",
            "3",
            "-g",
            "4",
            "-e",
            "A=1",
            "-c",
            "CAP_KILL",
            "--cwd",
            "/x",
            "--no-new-privs",
            "w",
            "id",
        ];
        let expected = ProcessChanges {
            args: vec!["id".into()],
            cwd: Some("/x".into()),
            env: vec!["A=1".into()],
            terminal: true,
            user: Some(ExecUser { uid: 1, gid: Some(2) }),
            additional_gids: vec![3, 4],
            capabilities: vec!["CAP_KILL".into()],
            no_new_privileges: Some(true),
            ..Default::default()
        };
        assert_eq!(typed(&words).unwrap(), expected);
    }

    #[test]
    fn a_mistake_is_refused() {
        for words in [
            &["-e", "A", "w", "id"][..],
            &["-e", "=1", "w", "id"],
            &["-u", "1x", "w", "id"],
            &["-g", "-1", "w"],
        ] {
            assert_eq!(typed(words).unwrap_err().code, ErrorCode::InvalidArgument, "{words:?}");
        }
    }

    fn groups_of(texts: &[&str]) -> Result<Groups, Error> {
        texts.iter().copied().try_fold(Groups::default(), group)
    }

    #[test]
    fn groups_are_for_all_controllers_or_for_single_ones() {
        let (all, single) = groups_of(&["cpu,cpuacct:/a/b", "name=systemd:c", "/d"]).unwrap();
        assert_eq!(all.as_deref(), Some(Path::new("/d")));
        let single: Vec<_> = single.iter().map(|(name, path)| (name.as_str(), path.as_path())).collect();
        let path = Path::new;
        assert_eq!(single, [("cpu", path("/a/b")), ("cpuacct", path("/a/b")), ("name=systemd", path("c"))]);
        for wrong in
            [&["a/../../b"][..], &["cpu:../b"], &["a", "b"], &["cpu:a", "cpu:b"], &[":a"], &["cpu,:a"]]
        {
            assert_eq!(groups_of(wrong).unwrap_err().code, ErrorCode::InvalidArgument, "{wrong:?}");
        }
    }
}
