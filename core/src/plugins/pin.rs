//! Writing a digest into a file of configuration, as somebody would do it by hand: what stands in the file otherwise, comments
//! too, stays as it is.
//!
//! The text is edited as text; whether the result says what it shall is read from the result, before it replaces the file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nucleus_abi::{Error, ErrorCode, Result};

use super::file::Candidate;
use crate::profile::SystemConfig;

/// Pins a candidate in the system's configuration at `config`, which is made where it does not exist.
///
/// # Errors
/// `plugin-refused` with the lines to write by hand, where the file has a form that nobody but a person should edit;
/// `system-call` when it cannot be written.
pub fn pin(candidate: &Candidate, config: &Path) -> Result<()> {
    let (id, digest) = (candidate.note().id.as_str(), candidate.sha256());
    let failed = |error: io::Error| {
        Error::new(ErrorCode::SystemCall, "pin the plugin").on(config.display()).because(error)
    };
    let text = match std::fs::read_to_string(config) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => "apiVersion: nucleus/v1\n".to_owned(),
        text => text.map_err(failed)?,
    };
    let mut beside = config.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    for edited in edits(&text, id, &digest) {
        write(beside, &edited).map_err(failed)?;
        if says(beside, id, &digest) {
            return std::fs::rename(beside, config).map_err(failed);
        }
    }
    let _ = std::fs::remove_file(beside);
    Err(Error::new(ErrorCode::PluginRefused, "pin the plugin")
        .on(config.display())
        .because("it has a form that is better edited by hand")
        .hint(format!("write into it:\n{}", block(id, &digest))))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let _ = std::fs::remove_file(path);
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn says(path: &Path, id: &str, digest: &str) -> bool {
    let config = SystemConfig::load(path).ok();
    config.is_some_and(|config| {
        let mut pins = config.plugins.trust.sha256.iter();
        pins.any(|(name, pinned)| name.as_str() == id && pinned.as_str() == digest)
    })
}

/// What the text could become, the least change first.
fn edits(text: &str, id: &str, digest: &str) -> Vec<String> {
    let line = |indent: &str| format!("{indent}{id}: \"{digest}\"");
    let mut edits = Vec::new();
    let of_id = |line: &str| {
        line.trim_start().strip_prefix(id).is_some_and(|rest| rest.trim_start().starts_with(':'))
    };
    if let Some(old) = text.lines().find(|line| of_id(line)) {
        edits.push(with_line(text, old, &[line(indent_of(old))]));
    }
    for (key, more) in [("sha256:", &[][..]), ("trust:", &["sha256:"]), ("plugins:", &["trust:", "sha256:"])]
    {
        let Some(head) = text.lines().find(|line| line.trim() == key) else { continue };
        let mut lines = vec![head.to_owned()];
        let mut indent = format!("{}  ", indent_of(head));
        for key in more {
            lines.push(format!("{indent}{key}"));
            indent.push_str("  ");
        }
        lines.push(line(&indent));
        edits.push(with_line(text, head, &lines));
    }
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    edits.push(format!("{text}{end}{}", block(id, digest)));
    edits
}

fn block(id: &str, digest: &str) -> String {
    format!("plugins:\n  trust:\n    sha256:\n      {id}: \"{digest}\"\n")
}

fn indent_of(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

fn with_line(text: &str, old: &str, new: &[String]) -> String {
    let mut replaced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line == old && !replaced {
            lines.extend(new.iter().map(String::as_str));
            replaced = true;
        } else {
            lines.push(line);
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    /// What becomes of a file.
    fn pinned(text: &str) -> Option<String> {
        let path =
            std::env::temp_dir().join(format!("nucleus-pin-{}-{}.yaml", std::process::id(), text.len()));
        let found = edits(text, "acme", DIGEST).into_iter().find(|edited| {
            write(&path, edited).unwrap();
            says(&path, "acme", DIGEST)
        });
        let _ = std::fs::remove_file(path);
        found
    }

    #[test]
    fn a_file_that_knows_no_plugins_gets_a_block() {
        let text = "# ours\napiVersion: nucleus/v1\n";
        assert_eq!(pinned(text).unwrap(), format!("{text}{}", block("acme", DIGEST)));
    }

    #[test]
    fn one_line_is_added_to_a_block_and_comments_stay() {
        let text = "plugins:\n  trust: # see the wiki\n    sha256:\n      # the old one\n      other: \"0000000000000000000000000000000000000000000000000000000000000000\"\n";
        let new = pinned(text).unwrap();
        assert_eq!(new.lines().count(), text.lines().count() + 1);
        assert!(
            new.contains("# see the wiki") && new.contains("# the old one") && new.contains("other:"),
            "{new}"
        );
    }

    #[test]
    fn an_old_digest_is_replaced() {
        let old = "1111111111111111111111111111111111111111111111111111111111111111";
        let text = format!("plugins:\n  trust:\n    sha256:\n      acme: \"{old}\"\n");
        assert_eq!(pinned(&text).unwrap(), text.replace(old, DIGEST));
    }

    #[test]
    fn a_path_without_trust_gets_it() {
        let new = pinned("plugins:\n  path: [/opt/p]\nengines: {}\n").unwrap();
        assert!(
            new.contains("path: [/opt/p]") && new.contains("  trust:\n    sha256:\n      acme: "),
            "{new}"
        );
    }

    #[test]
    fn what_is_better_edited_by_hand_is_left_alone() {
        assert_eq!(pinned("plugins: {path: [/opt/p]}\n"), None);
    }
}
