//! Options that override the profile: one table from flag to profile field.

use clap::{Arg, ArgAction, ArgMatches};
use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_core::profile::FlagValue;
use serde_json::{Value, json};

/// What becomes of a flag's value.
#[derive(Clone, Copy)]
enum Meaning {
    /// It is the field's value, as text.
    Text,
    /// It is the field's value, a number.
    Number,
    /// The flag takes no value and means this.
    Fixed(&'static str),
    /// It is parsed first; the flag can be given several times.
    Parsed(fn(&str) -> Result<FlagValue>),
}

struct Flag {
    name: &'static str,
    short: Option<char>,
    value: &'static str,
    pointer: &'static str,
    meaning: Meaning,
    help: &'static str,
}

const fn text(name: &'static str, value: &'static str, pointer: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, value, pointer, meaning: Meaning::Text, help }
}

const fn number(name: &'static str, pointer: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, value: "NUMBER", pointer, meaning: Meaning::Number, help }
}

const fn fixed(name: &'static str, pointer: &'static str, json: &'static str, help: &'static str) -> Flag {
    Flag { name, short: None, value: "", pointer, meaning: Meaning::Fixed(json), help }
}

const fn parsed(
    name: &'static str,
    value: &'static str,
    parse: fn(&str) -> Result<FlagValue>,
    help: &'static str,
) -> Flag {
    Flag { name, short: None, value, pointer: "", meaning: Meaning::Parsed(parse), help }
}

const fn short(mut flag: Flag, letter: char) -> Flag {
    flag.short = Some(letter);
    flag
}

/// Every option that overrides the profile.
const FLAGS: [Flag; 24] = [
    text("backend", "NAME", "/backend", "The backend that isolates the workload"),
    text("memory", "SIZE", "/resources/memory", "Limit of memory, such as 512M"),
    text("swap", "SIZE", "/resources/swap", "Limit of swap on top of memory"),
    text("cpus", "NUMBER", "/resources/cpus", "Limit of processor time, such as 1.5"),
    number("pids", "/resources/pids", "Limit of processes"),
    short(
        text("user", "UID[:GID]", "/workload/user", "User and group, by number or by a name of the image"),
        'u',
    ),
    text("hostname", "NAME", "/workload/hostname", "Host name"),
    text("cwd", "PATH", "/workload/cwd", "Working directory in the container"),
    text("network", "MODE", "/network/mode", "none, bridge, or host where the profile allows it"),
    text("network-name", "NAME", "/network/name", "The network that bridge joins"),
    text(
        "context",
        "DIRECTORY",
        "/context/source",
        "A directory that the workload may read, copied to /context",
    ),
    text("rootfs", "DIRECTORY", "/rootfs/path", "Root file system, read-only unless said otherwise"),
    fixed("read-only", "/rootfs/readonly", "true", "Keep the workload from writing to the root file system"),
    fixed("writable", "/rootfs/readonly", "false", "Let the workload write to the root file system"),
    fixed("init", "/workload/init", "true", "Put an init before the workload that reaps zombies"),
    short(fixed("tty", "/workload/terminal", "\"always\"", "Give the workload a terminal of its own"), 't'),
    fixed("no-tty", "/workload/terminal", "\"never\"", "Give the workload no terminal"),
    fixed(
        "permissive",
        "/enforcement",
        "\"permissive\"",
        "Warn of what cannot be enforced, and start all the same",
    ),
    short(parsed("env", "NAME=VALUE", env, "Set a variable; can be repeated"), 'e'),
    parsed("env-from", "NAME", env_from, "Take a variable from the environment of nucleus; can be repeated"),
    short(
        parsed(
            "volume",
            "SOURCE:TARGET[:OPTIONS]",
            volume,
            "Show a host path in the container (options: ro,rw,exec,recursive,idmap); can be repeated",
        ),
        'v',
    ),
    parsed(
        "device",
        "PATH[:TARGET][:ACCESS]",
        device,
        "Give the container a device of the host, with access such as rw; can be repeated",
    ),
    short(
        parsed(
            "publish",
            "[ADDRESS:]PORT:PORT[/PROTOCOL]",
            publish,
            "Lead ports of the host into the container; can be repeated",
        ),
        'p',
    ),
    parsed("tmpfs", "TARGET[:SIZE|:OPTIONS]", tmpfs, "Mount an in-memory file system; can be repeated"),
];

/// The options as clap knows them, and `--workload`.
pub(crate) fn arguments() -> Vec<Arg> {
    let [_, option] = backend();
    FLAGS.iter().map(argument).chain([option, workload()]).collect()
}

/// `--workload`.
pub(crate) fn workload() -> Arg {
    Arg::new("workload")
        .long("workload")
        .value_name("NAME")
        .help("The named workload of the profile that overrides the rest of it")
}

/// `--backend` and `--backend-option`.
pub(crate) fn backend() -> [Arg; 2] {
    let option = Arg::new(BACKEND_OPTION)
        .long(BACKEND_OPTION)
        .value_name("NAME=VALUE")
        .action(ArgAction::Append)
        .requires("backend")
        .help("An option of that backend, such as path=/usr/bin/crun; can be repeated");
    [argument(&FLAGS[0]), option]
}

/// Options of a backend belong to one that is named beside them: others would not understand them.
const BACKEND_OPTION: &str = "backend-option";

/// Flags that fix the same field to another value: one would silently undo the other.
fn contrary(flag: &Flag) -> Vec<&'static str> {
    let fixed = |flag: &Flag| match flag.meaning {
        Meaning::Fixed(json) => Some((flag.pointer, json)),
        _ => None,
    };
    let Some((pointer, json)) = fixed(flag) else { return Vec::new() };
    let others = FLAGS.iter().filter_map(|other| Some((other.name, fixed(other)?)));
    others.filter(|(_, (same, other))| *same == pointer && *other != json).map(|(name, _)| name).collect()
}

/// The names of [`arguments`].
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FLAGS.iter().map(|flag| flag.name).chain([BACKEND_OPTION, "workload"])
}

fn argument(flag: &Flag) -> Arg {
    let mut argument = Arg::new(flag.name).long(flag.name).help(flag.help).conflicts_with_all(contrary(flag));
    if let Some(letter) = flag.short {
        argument = argument.short(letter);
    }
    match flag.meaning {
        Meaning::Text | Meaning::Number => argument.value_name(flag.value),
        Meaning::Fixed(_) => argument.action(ArgAction::SetTrue),
        Meaning::Parsed(_) => argument.value_name(flag.value).action(ArgAction::Append),
    }
}

/// What was typed, as values of profile fields.
///
/// # Errors
/// `invalid-argument`, naming the flag.
pub(crate) fn values(matches: &ArgMatches) -> Result<Vec<FlagValue>> {
    let mut values = Vec::new();
    for flag in &FLAGS {
        read(flag, matches, &mut values)?;
    }
    backend_options(matches, &mut values)?;
    let words: Vec<String> =
        matches.get_many::<String>("command").into_iter().flatten().map(ToOwned::to_owned).collect();
    if !words.is_empty() {
        values.push(FlagValue::set("command line", "/workload/command", words));
    }
    Ok(values)
}

/// What `--backend` and `--backend-option` say.
///
/// # Errors
/// `invalid-argument`, naming the flag.
pub(crate) fn backend_values(matches: &ArgMatches) -> Result<Vec<FlagValue>> {
    let mut values = Vec::new();
    read(&FLAGS[0], matches, &mut values)?;
    backend_options(matches, &mut values)?;
    Ok(values)
}

fn backend_options(matches: &ArgMatches, values: &mut Vec<FlagValue>) -> Result<()> {
    let Some(options) = matches.get_many::<String>(BACKEND_OPTION) else { return Ok(()) };
    let name = matches.get_one::<String>("backend").map(String::as_str).unwrap_or_default();
    values.push(FlagValue::set("--backend", "/backend/name", name));
    for option in options {
        let (name, value) = option
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| wrong("--backend-option", option, "an option is NAME=VALUE"))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        let pointer = format!("/backend/options/{}", name.replace('~', "~0").replace('/', "~1"));
        values.push(FlagValue::set("--backend-option", &pointer, value));
    }
    Ok(())
}

fn read(flag: &Flag, matches: &ArgMatches, values: &mut Vec<FlagValue>) -> Result<()> {
    let name = format!("--{}", flag.name);
    match flag.meaning {
        Meaning::Text => {
            if let Some(value) = matches.get_one::<String>(flag.name) {
                values.push(FlagValue::set(&name, flag.pointer, value.as_str()));
            }
        }
        Meaning::Number => {
            if let Some(value) = matches.get_one::<String>(flag.name) {
                values.push(FlagValue::set(&name, flag.pointer, number_or_text(value)));
            }
        }
        Meaning::Fixed(json) => {
            if matches.get_flag(flag.name) {
                let value: Value = serde_json::from_str(json).unwrap_or_default();
                values.push(FlagValue::set(&name, flag.pointer, value));
            }
        }
        Meaning::Parsed(parse) => {
            for value in matches.get_many::<String>(flag.name).into_iter().flatten() {
                values.push(parse(value)?);
            }
        }
    }
    Ok(())
}

fn env(text: &str) -> Result<FlagValue> {
    let pointer = |name: &str| format!("/workload/env/{}", name.replace('~', "~0").replace('/', "~1"));
    match text.split_once('=') {
        Some(("", _)) => Err(wrong("--env", text, "the variable has no name")),
        Some((name, value)) => Ok(FlagValue::set("--env", &pointer(name), value)),
        // A name alone never takes the host's value: that has leaked secrets elsewhere (CVE-2026-57231).
        None => Err(wrong("--env", text, "the variable has no value").hint(format!(
            "write `--env {text}=VALUE`, or `--env-from {text}` for the value that nucleus itself sees"
        ))),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "every parser of the table has the same form")]
fn publish(text: &str) -> Result<FlagValue> {
    Ok(FlagValue::append("--publish", "/network/publish", text))
}

#[expect(clippy::unnecessary_wraps, reason = "every parser of the table has the same form")]
fn env_from(text: &str) -> Result<FlagValue> {
    Ok(FlagValue::append("--env-from", "/workload/envFrom", text))
}

fn volume(text: &str) -> Result<FlagValue> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, words) = match parts.as_slice() {
        [source, target] => (source, target, ""),
        [source, target, words] => (source, target, *words),
        _ => {
            return Err(wrong("--volume", text, "a volume is SOURCE:TARGET or SOURCE:TARGET:OPTIONS").hint(
                "a path with a colon can only stand in a profile: `mounts: {volumes: [{source: \"/a:b\", target: \"/c\", mode: rw}]}`",
            ));
        }
    };
    let mut volume = json!({"source": source, "target": target, "mode": "rw"});
    for word in words.split(',').filter(|_| !words.is_empty()) {
        let (field, value) = match word {
            "ro" | "rw" => ("mode", json!(word)),
            "exec" => ("exec", json!(true)),
            "noexec" => ("exec", json!(false)),
            "recursive" => ("recursive", json!(true)),
            "idmap" => ("idmap", json!(true)),
            _ => {
                return Err(wrong("--volume", text, format!("`{word}` is not known"))
                    .hint("the options are ro, rw, exec, noexec, recursive and idmap, joined by commas"));
            }
        };
        volume[field] = value;
    }
    Ok(FlagValue::append("--volume", "/mounts/volumes", volume))
}

/// A size alone, or options as mount(8) writes them.
fn tmpfs(text: &str) -> Result<FlagValue> {
    let (target, words) = text.split_once(':').unwrap_or((text, ""));
    let mut tmpfs = json!({"target": target});
    for word in words.split(',').filter(|_| !words.is_empty()) {
        let (field, value) = match word.split_once('=') {
            Some(("size", size)) => ("size", json!(size)),
            Some(("mode", mode)) => ("mode", json!(mode)),
            Some((field @ ("uid" | "gid"), id)) => (field, number_or_text(id)),
            Some(("inodes" | "nr_inodes", count)) => ("inodes", number_or_text(count)),
            None if word == "exec" => ("exec", json!(true)),
            None if word == "noexec" => ("exec", json!(false)),
            None if word.starts_with(|first: char| first.is_ascii_digit()) => ("size", json!(word)),
            _ => {
                return Err(wrong("--tmpfs", text, format!("`{word}` is not known")).hint(
                    "a tmpfs is TARGET, TARGET:SIZE or TARGET:OPTIONS, with options such as size=64M,mode=0700,uid=1000,gid=1000,inodes=1000,exec",
                ));
            }
        };
        tmpfs[field] = value;
    }
    Ok(FlagValue::append("--tmpfs", "/mounts/tmpfs", tmpfs))
}

/// What follows the path is a place in the container if it begins with a slash, and else what may be done.
fn device(text: &str) -> Result<FlagValue> {
    let mut device = json!({});
    for (index, part) in text.split(':').enumerate() {
        let field = match (index, part.starts_with('/')) {
            (0, _) => "path",
            (_, true) => "target",
            (_, false) => "access",
        };
        if device.get(field).is_some() || (index > 0 && device.get("access").is_some()) {
            return Err(wrong(
                "--device",
                text,
                "a device is PATH, PATH:TARGET, PATH:ACCESS or PATH:TARGET:ACCESS",
            ));
        }
        device[field] = json!(part);
    }
    Ok(FlagValue::append("--device", "/devices", device))
}

/// What is no number stays text: the profile's own check says what is wrong with it.
fn number_or_text(text: &str) -> Value {
    text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from)
}

fn wrong(flag: &str, text: &str, cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::InvalidArgument, format!("read {flag}")).on(text).because(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_meaning_is_json() {
        for flag in &FLAGS {
            if let Meaning::Fixed(json) = flag.meaning {
                serde_json::from_str::<Value>(json).unwrap();
            }
        }
    }

    #[test]
    fn of_two_flags_that_contradict_each_other_none_wins() {
        let flag = |name: &str| FLAGS.iter().find(|flag| flag.name == name).unwrap();
        assert_eq!(contrary(flag("read-only")), ["writable"]);
        assert_eq!(contrary(flag("writable")), ["read-only"]);
        assert!(contrary(flag("memory")).is_empty());
    }

    #[test]
    fn a_volume_is_read_as_a_whole() {
        assert!(volume("/a:/b").is_ok());
        assert!(volume("/a:/b:ro").is_ok());
        let whole = volume("/a:/b:ro,exec,recursive,idmap").unwrap().value;
        let wanted = json!([{"source": "/a", "target": "/b", "mode": "ro", "exec": true, "recursive": true, "idmap": true}]);
        assert_eq!(whole, wanted);
        for wrong in ["/a", "/a:/b:rx", "/a:/b:ro:z", "", "/a:/b:ro,", "/a:/b:ro,suid", "/a:/b:dev"] {
            assert_eq!(volume(wrong).unwrap_err().code, ErrorCode::InvalidArgument, "{wrong}");
        }
    }

    #[test]
    fn a_device_has_a_place_and_an_access_or_neither() {
        let value = |text| device(text).unwrap().value;
        assert_eq!(value("/dev/fuse"), json!([{"path": "/dev/fuse"}]));
        assert_eq!(value("/dev/fuse:rw"), json!([{"path": "/dev/fuse", "access": "rw"}]));
        assert_eq!(
            value("/dev/fuse:/dev/x:r"),
            json!([{"path": "/dev/fuse", "target": "/dev/x", "access": "r"}])
        );
        for wrong in ["/dev/a:/dev/b:/dev/c", "/dev/a:r:/dev/b", "/dev/a:r:w"] {
            assert_eq!(device(wrong).unwrap_err().code, ErrorCode::InvalidArgument, "{wrong}");
        }
    }

    #[test]
    fn a_tmpfs_has_a_size_or_options() {
        assert_eq!(tmpfs("/t").unwrap().value, json!([{"target": "/t"}]));
        assert_eq!(tmpfs("/t:64M").unwrap().value, json!([{"target": "/t", "size": "64M"}]));
        let whole = tmpfs("/t:size=1M,mode=0700,uid=5,gid=6,nr_inodes=7,exec").unwrap().value;
        let wanted = json!([{"target": "/t", "size": "1M", "mode": "0700", "uid": 5, "gid": 6, "inodes": 7, "exec": true}]);
        assert_eq!(whole, wanted);
        for wrong in ["/t:suid", "/t:rw=1", "/t:x=1M", "/t:,"] {
            assert_eq!(tmpfs(wrong).unwrap_err().code, ErrorCode::InvalidArgument, "{wrong}");
        }
    }

    #[test]
    fn a_variable_of_the_host_is_taken_by_its_own_flag_only() {
        assert_eq!(env_from("LANG").unwrap().pointer, "/workload/envFrom");
        assert!(env("LANG").is_err());
        assert_eq!(env("LANG=C").unwrap().pointer, "/workload/env/LANG");
        assert_eq!(env("LANG=C").unwrap().value, json!("C"));
        assert!(env("=C").is_err());
    }
}
