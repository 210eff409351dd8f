//! The log, in the form of runc's: engines read the last error from there.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use nucleus_abi::Error;
use nucleus_core::lifecycle::timestamp;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::arguments::{ErrorFormat, Invocation};
use crate::output::{Failure, warn};

/// Starts the log where one is asked for; otherwise logging costs nothing.
pub(crate) fn start(invocation: &Invocation) {
    let Some(path) = &invocation.log else { return };
    let file = match open(path, invocation.reserved()) {
        Ok(file) => file,
        Err(error) => return warn(&format!("no log is written: {}: {error}", path.display())),
    };
    let level = if invocation.debug { Level::DEBUG } else { Level::INFO };
    let builder = tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(file);
    builder.event_format(Form(invocation.log_format)).init();
}

/// Opens the log beyond the descriptors that are the workload's: one of them that is not open must stay so, or it would
/// get the log.
fn open(path: &Path, reserved: u16) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    Ok(rustix::io::fcntl_dupfd_cloexec(file, 3 + i32::from(reserved))?.into())
}

/// Logs why a verb failed.
pub(crate) fn failure(failure: &Failure) {
    tracing::error!("{}", message(&Error::from(failure)));
}

/// An error with all that belongs to it, on one line.
fn message(error: &Error) -> String {
    let mut text = error.to_string();
    for other in &error.also {
        let _ = write!(text, "; {}", message(other));
    }
    if let Some(hint) = error.hint.as_deref().filter(|hint| !hint.is_empty()) {
        let _ = write!(text, " ({hint})");
    }
    text
}

/// One line for each event: `{"level":…,"msg":…,"time":…}`, or `time=… level=… msg=…`.
struct Form(ErrorFormat);

impl<S, N> FormatEvent<S, N> for Form
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = Text::default();
        event.record(&mut text);
        let (level, time) = (name(*event.metadata().level()), timestamp::now());
        match self.0 {
            ErrorFormat::Json => writeln!(writer, "{}", json!({"level": level, "msg": text.0, "time": time})),
            ErrorFormat::Text => writeln!(writer, "time={time:?} level={level} msg={:?}", text.0),
        }
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        _ => "debug",
    }
}

/// The message, and behind it every other field.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use nucleus_abi::ErrorCode;

    use super::*;

    #[test]
    fn all_of_an_error_stands_on_one_line() {
        let error = Error::new(ErrorCode::Teardown, "remove it").because("busy").hint("wait");
        let whole = Error::new(ErrorCode::HostUnfit, "go on").on("web").and([error]);
        assert_eq!(message(&whole), "cannot go on: web; cannot remove it: busy (wait)");
    }
}
