//! A profile that the operator wrote, checked before anything starts.

use nucleus_abi::{Error, ErrorCode, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

const PROFILE: &[&str] = &[
    "defaultAction",
    "defaultErrnoRet",
    "architectures",
    "flags",
    "listenerPath",
    "listenerMetadata",
    "syscalls",
];
const RULE: &[&str] = &["names", "action", "errnoRet", "args"];
const ARGUMENT: &[&str] = &["index", "value", "valueTwo", "op"];

const ACTIONS: (&str, &[&str]) = (
    "SCMP_ACT_",
    &["KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG", "NOTIFY"],
);
const OPERATORS: (&str, &[&str]) = ("SCMP_CMP_", &["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]);
const FLAGS: (&str, &[&str]) =
    ("SECCOMP_FILTER_FLAG_", &["TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"]);
const ARCHITECTURES: (&str, &[&str]) = (
    "SCMP_ARCH_",
    &[
        "X86",
        "X86_64",
        "X32",
        "ARM",
        "AARCH64",
        "LOONGARCH64",
        "M68K",
        "MIPS",
        "MIPS64",
        "MIPS64N32",
        "MIPSEL",
        "MIPSEL64",
        "MIPSEL64N32",
        "NATIVE",
        "PARISC",
        "PARISC64",
        "PPC",
        "PPC64",
        "PPC64LE",
        "RISCV64",
        "S390",
        "S390X",
        "SH",
        "SHEB",
    ],
);

/// The kernel clamps larger values silently.
const MAX_ERRNO: u32 = 4095;

/// What a runtime could refuse, or the kernel clamp.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    syscalls: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    names: Vec<String>,
    action: String,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Vec<Argument>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u64,
    #[serde(rename = "value")]
    _value: u64,
    #[serde(rename = "valueTwo")]
    _value_two: Option<u64>,
    op: String,
}

/// Reads an OCI `linux.seccomp` object; unchanged, it may go into `config.json`.
///
/// # Errors
/// `profile-invalid` with the place in the text (line and column, or the path of the key): not JSON, a value that the
/// runtime specification does not know, a key that no runtime would look at, or a number out of range. Unknown *call
/// names* are no error (specification, "Seccomp"): the backend reports them.
pub fn from_file(text: &str) -> Result<Box<RawValue>> {
    let profile: Profile = serde_json::from_str(text).map_err(unreadable)?;
    let tree: Value = serde_json::from_str(text).map_err(unreadable)?;
    refuse_unknown_keys(&tree)?;
    check_word("defaultAction", &profile.default_action, ACTIONS)?;
    for (i, name) in profile.architectures.iter().enumerate() {
        check_word(&format!("architectures[{i}]"), name, ARCHITECTURES)?;
    }
    for (i, name) in profile.flags.iter().enumerate() {
        check_word(&format!("flags[{i}]"), name, FLAGS)?;
    }
    for (i, rule) in profile.syscalls.iter().enumerate() {
        check_rule(i, rule)?;
    }
    check_errno("defaultErrnoRet", profile.default_errno_ret)?;
    RawValue::from_string(text.trim().to_owned()).map_err(unreadable)
}

fn check_rule(i: usize, rule: &Rule) -> Result<()> {
    if rule.names.is_empty() {
        return Err(invalid(format!("syscalls[{i}].names"), "a rule must name at least one system call"));
    }
    check_errno(&format!("syscalls[{i}].errnoRet"), rule.errno_ret)?;
    check_word(&format!("syscalls[{i}].action"), &rule.action, ACTIONS)?;
    for (n, argument) in rule.args.iter().enumerate() {
        check_word(&format!("syscalls[{i}].args[{n}].op"), &argument.op, OPERATORS)?;
        if argument.index > 5 {
            let key = format!("syscalls[{i}].args[{n}].index");
            return Err(invalid(key, "a system call has six arguments, 0 to 5"));
        }
    }
    Ok(())
}

/// The enumerations of the specification share a prefix: `known` holds it first, and then what may follow.
fn check_word(key: &str, word: &str, (prefix, known): (&str, &[&str])) -> Result<()> {
    match word.strip_prefix(prefix) {
        Some(rest) if known.contains(&rest) => Ok(()),
        _ => {
            let choices: Vec<_> = known.iter().map(|rest| format!("{prefix}{rest}")).collect();
            Err(invalid(key.to_owned(), &format!("`{word}` is none of {}", choices.join(", "))))
        }
    }
}

fn check_errno(key: &str, errno: Option<u32>) -> Result<()> {
    if errno.is_some_and(|errno| errno > MAX_ERRNO) {
        return Err(invalid(key.to_owned(), "the kernel knows error numbers up to 4095"));
    }
    Ok(())
}

/// A runtime ignores keys that it does not know; here that would be a denial that silently does not happen.
fn refuse_unknown_keys(profile: &Value) -> Result<()> {
    only(profile, PROFILE, "")?;
    for (i, rule) in elements(profile, "syscalls") {
        only(rule, RULE, &format!("syscalls[{i}]."))?;
        for (n, argument) in elements(rule, "args") {
            only(argument, ARGUMENT, &format!("syscalls[{i}].args[{n}]."))?;
        }
    }
    Ok(())
}

fn elements<'v>(object: &'v Value, key: &str) -> impl Iterator<Item = (usize, &'v Value)> {
    object.get(key).and_then(Value::as_array).into_iter().flatten().enumerate()
}

fn only(value: &Value, known: &[&str], place: &str) -> Result<()> {
    let unknown = value
        .as_object()
        .and_then(|object: &Map<String, Value>| object.keys().find(|key| !known.contains(&key.as_str())));
    match unknown {
        Some(key) => Err(unknown_key(place, key)),
        None => Ok(()),
    }
}

fn unknown_key(place: &str, key: &str) -> Error {
    let error =
        invalid(format!("{place}{key}"), "the runtime specification's `linux.seccomp` has no such key");
    match key {
        "archMap" | "includes" | "excludes" | "comment" | "name" | "defaultErrno" | "errno" => error.hint(
            "this is an engine's template (Docker, containers-common), not a profile: take the `linux.seccomp` object \
             that the engine makes of it, or use `seccomp: default`",
        ),
        _ => error,
    }
}

fn invalid(key: String, cause: &str) -> Error {
    Error::new(ErrorCode::ProfileInvalid, STEP).on(key).because(cause)
}

fn unreadable(cause: serde_json::Error) -> Error {
    Error::new(ErrorCode::ProfileInvalid, STEP)
        .because(cause)
        .hint("the file must hold one `linux.seccomp` object of the OCI runtime specification, as JSON")
}

const STEP: &str = "read the seccomp profile";

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Error {
        from_file(text).unwrap_err()
    }

    #[test]
    fn a_profile_of_the_specification_is_taken_as_it_stands() {
        let text = r#" {"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64"],
            "syscalls":[{"names":["read","out_of_cheese"],"action":"SCMP_ACT_ALLOW",
                         "args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]}]}
        "#;
        assert_eq!(from_file(text).unwrap().get(), text.trim());
    }

    #[test]
    fn an_engines_template_is_refused_by_name() {
        let error = refused(r#"{"defaultAction":"SCMP_ACT_ERRNO","archMap":[],"syscalls":[]}"#);
        assert_eq!(error.subject.as_deref(), Some("archMap"));
        assert!(error.hint.unwrap().contains("template"));
        let error = refused(
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["bpf"],"action":"SCMP_ACT_ALLOW",
                "includes":{"caps":["CAP_BPF"]}}]}"#,
        );
        assert_eq!(error.subject.as_deref(), Some("syscalls[0].includes"));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let misspelt = refused(r#"{"defaultAction":"SCMP_ACT_DENY"}"#);
        assert_eq!(misspelt.subject.as_deref(), Some("defaultAction"));
        assert!(misspelt.to_string().contains("`SCMP_ACT_DENY` is none of SCMP_ACT_KILL,"));
        assert!(refused(r#"{"defaultAction":7}"#).to_string().contains("line 1"));
        let rule =
            |body: &str| refused(&format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{body}]}}"#));
        for (body, place) in [
            (r#"{"names":[],"action":"SCMP_ACT_LOG"}"#, "syscalls[0].names"),
            (r#"{"names":["read"],"action":"SCMP_ACT_DENY"}"#, "syscalls[0].action"),
            (
                r#"{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":1,"value":0,"op":"EQ"}]}"#,
                "syscalls[0].args[0].op",
            ),
            (r#"{"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":4096}"#, "syscalls[0].errnoRet"),
            (
                r#"{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}"#,
                "syscalls[0].args[0].index",
            ),
            (
                r#"{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":1,"value":0,"op":"SCMP_CMP_EQ","Mask":1}]}"#,
                "syscalls[0].args[0].Mask",
            ),
        ] {
            assert_eq!(rule(body).subject.as_deref(), Some(place));
        }
    }
}
