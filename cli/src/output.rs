//! What goes to standard error, and the exit status that goes with it.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, IsTerminal, Write};

use nucleus_abi::{Error, ErrorCode};
use nucleus_core::bundle::interrupting;
use nucleus_core::profile::{Color, LoadError};
use serde_json::json;

use crate::arguments::ErrorFormat;
use crate::verbs::Statuses;

/// Exit status when what was asked for is done.
const SUCCEEDED: u8 = 0;

/// Exit status of a verb that runs nothing when it failed.
const FAILED_PLAINLY: u8 = 1;

/// Exit status when nucleus itself failed to run a workload.
pub(crate) const FAILED: u8 = 125;

/// Exit status when the workload's program cannot be executed.
pub(crate) const NOT_EXECUTABLE: u8 = 126;

/// Exit status when the workload's program does not exist.
pub(crate) const NOT_FOUND: u8 = 127;

/// Why a verb failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// For a reason with a code.
    Error(Box<Error>),
    /// For mistakes in a profile, which can be shown in their lines.
    Profile(LoadError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(Box::new(error))
    }
}

impl From<&Failure> for Error {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Error(error) => (**error).clone(),
            Failure::Profile(error) => Self::from(error.clone()),
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Failed(error) => Self::Error(error),
            LoadError::Invalid(_) => Self::Profile(error),
        }
    }
}

/// Prints a failure and gives its exit status.
pub(crate) fn report(failure: &Failure, format: ErrorFormat, statuses: Statuses) -> u8 {
    match (failure, format) {
        (Failure::Error(error), ErrorFormat::Text) => eprint!("{}", text(error)),
        (Failure::Error(error), ErrorFormat::Json) => eprintln!("{}", json!({"error": error})),
        (Failure::Profile(LoadError::Invalid(diagnostics)), ErrorFormat::Text) => {
            eprintln!("{}", named(diagnostics.render(color()).trim_end()));
        }
        (Failure::Profile(error), _) => eprintln!("{}", json!({"error": Error::from(error.clone())})),
    }
    status(failure, statuses)
}

/// Prints the answer that was asked for. A reader that has gone has read enough.
///
/// # Errors
/// `system-call`, if standard output does not take it.
pub(crate) fn answer(text: &str) -> Result<(), Error> {
    write_answer(text, io::stdout().lock())
}

fn write_answer(text: &str, mut to: impl Write) -> Result<(), Error> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::new(ErrorCode::SystemCall, "write to standard output").because(error))
        }
        _ => Ok(()),
    }
}

/// Puts our name before each report; a blank line parts them.
fn named(reports: &str) -> String {
    reports.split("\n\n").map(|report| format!("nucleus: {report}")).collect::<Vec<_>>().join("\n\n")
}

fn status(failure: &Failure, statuses: Statuses) -> u8 {
    let code = match failure {
        Failure::Error(error) => error.code,
        Failure::Profile(_) => ErrorCode::ProfileInvalid,
    };
    match (statuses, code) {
        (Statuses::Plain, _) => FAILED_PLAINLY,
        (Statuses::Workload, ErrorCode::CommandNotFound) => NOT_FOUND,
        (Statuses::Workload, ErrorCode::CommandNotExecutable) => NOT_EXECUTABLE,
        (Statuses::Workload, ErrorCode::Interrupted) => interrupted(),
        (Statuses::Workload, _) => FAILED,
    }
}

/// As a shell has it of a process that a signal ended: the one that interrupted us still waits.
fn interrupted() -> u8 {
    let signal = interrupting().ok().flatten();
    signal.and_then(|signal| u8::try_from(128 + signal.number()).ok()).unwrap_or(FAILED)
}

/// An error as a person reads it: what failed, on what and why on one line, then what to do.
fn text(error: &Error) -> String {
    let mut text = format!("nucleus: error: {error}\n");
    for other in &error.also {
        let _ = writeln!(text, "  - {other}");
        hint(other, "    ", &mut text);
    }
    hint(error, "  ", &mut text);
    text
}

fn hint(error: &Error, indent: &str, text: &mut String) {
    if let Some(hint) = error.hint.as_deref().filter(|hint| !hint.is_empty()) {
        let _ = writeln!(text, "{indent}hint: {hint}");
    }
}

/// Prints a warning.
pub(crate) fn warn(message: &str) {
    tracing::warn!("{message}");
    eprintln!("nucleus: warning: {message}");
}

/// Prints what clap says. Help and version are answers; the rest are mistakes, with the status of a failed nucleus, so
/// that no caller takes it for the workload's.
pub(crate) fn usage(usage: &clap::Error, format: ErrorFormat, statuses: Statuses) -> u8 {
    if !usage.use_stderr() {
        // A closed standard output is the reader's choice.
        let _ = usage.print();
        return SUCCEEDED;
    }
    match format {
        ErrorFormat::Text => eprint!("nucleus: {}", usage.render()),
        ErrorFormat::Json => eprintln!("{}", json!({"error": usage_error(usage)})),
    }
    match statuses {
        Statuses::Workload => FAILED,
        Statuses::Plain => FAILED_PLAINLY,
    }
}

fn usage_error(usage: &clap::Error) -> Error {
    let text = usage.render().to_string();
    let cause = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    Error::new(ErrorCode::InvalidArgument, "understand the command line")
        .because(cause)
        .hint("see `nucleus --help`")
}

fn color() -> Color {
    let wanted =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted { Color::Always } else { Color::Never }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_is_no_error_but_a_full_disk_is() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        assert_eq!(write_answer("text", writer), Ok(()));
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert_eq!(write_answer("text", full).unwrap_err().code, ErrorCode::SystemCall);
    }

    #[test]
    fn each_report_carries_our_name() {
        assert_eq!(named("error: a\n 1 | b\n\nerror: c"), "nucleus: error: a\n 1 | b\n\nnucleus: error: c");
    }
}
