//! What a runtime says in its log (`--log-format json`) and on standard error.

use serde::Deserialize;

/// Longest part of somebody else's text that goes into an error, in characters.
const LONGEST: usize = 600;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    level: String,
    /// youki calls it `message`.
    #[serde(default, alias = "message")]
    msg: String,
}

/// The last error of a log. Lines that are no JSON are passed over: a crash of the runtime may have torn one.
pub(crate) fn last_error(log: &str) -> Option<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    let mut errors =
        lines.filter(|line| ["error", "fatal", "panic"].contains(&line.level.to_lowercase().as_str()));
    // A trace may follow it.
    errors.next_back().map(|line| short(line.msg.lines().next().unwrap_or_default()))
}

/// What counts of standard error: the line that begins a Go panic, for what follows is its trace; else the last one.
pub(crate) fn last_words(stderr: &str) -> Option<String> {
    let lines = || stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    lines().find(|line| line.starts_with("panic: ")).or_else(|| lines().next_back()).map(short)
}

/// A text that may be of any length and hold anything, for an error of one line.
pub(crate) fn short(text: &str) -> String {
    let clean = text.trim().chars().map(|one| if one.is_control() { ' ' } else { one });
    let mut short: String = clean.take(LONGEST).collect();
    if text.trim().chars().count() > LONGEST {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_counts_whatever_the_order_of_the_fields() {
        let log = concat!(
            "{\"msg\":\"first\",\"level\":\"error\",\"time\":\"t\"}\n",
            "{\"level\":\"warning\",\"msg\":\"only a warning\"}\n",
            "{\"level\":\"error\",\"msg\":\"runc create failed: why\"}\n",
            "{\"level\":\"err",
        );
        assert_eq!(last_error(log).as_deref(), Some("runc create failed: why"));
        assert_eq!(last_error("no json\n"), None);
        let youkis = r#"{"level":"ERROR","message":"no such thing\n\nStack backtrace:\n 0: x","target":"y"}"#;
        assert_eq!(last_error(youkis).as_deref(), Some("no such thing"));
    }

    #[test]
    fn a_panic_is_told_by_its_first_line() {
        let trace = "warning\npanic: runtime error: index\n\ngoroutine 1 [running]:\nmain.main()\n";
        assert_eq!(last_words(trace).as_deref(), Some("panic: runtime error: index"));
        assert_eq!(last_words("one\n two \n\n").as_deref(), Some("two"));
        assert_eq!(last_words("\n"), None);
    }

    #[test]
    fn nothing_of_it_can_write_to_the_operators_terminal() {
        assert_eq!(short("a\x1b[2Jb\n"), "a [2Jb");
        assert_eq!(short(&"x".repeat(1000)).chars().count(), LONGEST + 1);
    }
}
