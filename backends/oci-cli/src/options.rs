//! What the options of these backends have in common.

use nucleus_abi::{Error, ErrorCode, Result};
use serde_json::{Map, Value};

/// How long a call of the runtime may take unless the profile says otherwise, in seconds.
pub const PATIENCE: u64 = 30;
/// The longest that can be asked for, in seconds.
const LONGEST: u64 = 3600;

/// Arguments that the engine gives itself.
const TAKEN: [&str; 4] = ["--root", "--log", "--log-format", "--systemd-cgroup"];

/// The options of a backend, which has no others than `names`.
///
/// # Errors
/// `profile-invalid`, naming the option, and the one that was meant.
pub fn mapping(options: &Value, backend: &str, names: &[&str]) -> Result<Map<String, Value>> {
    let options = match options {
        Value::Object(options) => options.clone(),
        Value::Null => Map::new(),
        other => return Err(invalid("options", format!("`{other}` is no mapping of names to values"))),
    };
    match options.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(unknown(name, backend, names)),
        None => Ok(options),
    }
}

fn unknown(name: &str, backend: &str, names: &[&str]) -> Error {
    let error = invalid(name, format!("`{backend}` has the options {}", names.join(", ")));
    match nearest(name, names) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

/// The one of `names` that was probably meant.
fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let distance = |known: &&str| strsim::damerau_levenshtein(name, known);
    names.iter().copied().min_by_key(distance).filter(|known| distance(known) <= 2)
}

/// The error of an option.
pub fn invalid(option: &str, cause: String) -> Error {
    Error::new(ErrorCode::ProfileInvalid, "use the backend's options")
        .on(format!("backend.options.{option}"))
        .because(cause)
}

/// A text.
///
/// # Errors
/// `profile-invalid`.
pub fn text(option: &'static str) -> impl Fn(&Value) -> Result<String> {
    move |value| {
        let text = value.as_str().map(str::to_owned);
        text.ok_or_else(|| invalid(option, format!("`{value}` is no text")))
    }
}

/// One word of a closed list.
///
/// # Errors
/// `profile-invalid`, naming the word that was meant.
pub fn word<W: Copy>(option: &'static str, words: &[(&'static str, W)]) -> impl Fn(&Value) -> Result<W> {
    move |value| {
        let text = text(option)(value)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*meaning);
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let error = invalid(option, format!("`{text}` is none of {}", names.join(", ")));
        Err(match nearest(&text, &names) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error,
        })
    }
}

/// A list of texts.
///
/// # Errors
/// `profile-invalid`.
pub fn texts(option: &'static str) -> impl Fn(&Value) -> Result<Vec<String>> {
    move |value| {
        let list = value.as_array().ok_or_else(|| invalid(option, format!("`{value}` is no list")))?;
        list.iter().map(text(option)).collect()
    }
}

/// Arguments before each verb: none of those that nucleus gives itself, which are the engine's and `taken`. Go's programs read
/// one dash and two as the same.
///
/// # Errors
/// `profile-invalid`, naming the argument.
pub fn arguments(value: &Value, taken: &[&str]) -> Result<Vec<String>> {
    let arguments = texts("args")(value)?;
    let name = |argument: &str| {
        format!("--{}", argument.split('=').next().unwrap_or_default().trim_start_matches('-'))
    };
    let is_taken = |argument: &&String| {
        let name = name(argument);
        TAKEN.contains(&name.as_str()) || taken.contains(&name.as_str())
    };
    match arguments.iter().find(is_taken) {
        Some(taken) => Err(invalid("args", format!("`{taken}` is given by nucleus itself"))),
        None => Ok(arguments),
    }
}

/// A time in seconds.
///
/// # Errors
/// `profile-invalid`.
pub fn seconds(option: &'static str) -> impl Fn(&Value) -> Result<u64> {
    move |value| {
        let seconds = value.as_u64().filter(|seconds| (1..=LONGEST).contains(seconds));
        let cause = || format!("`{value}` is no number of seconds from 1 to {LONGEST}");
        seconds.ok_or_else(|| invalid(option, cause()))
    }
}
