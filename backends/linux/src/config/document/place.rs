//! Where in the document an error of serde stands: the path of the field, found again from line and column.
//!
//! A good document pays nothing for this, and no second set of readers is compiled in.

use serde_json::error::Category;

/// The path of keys to the place of `error`, such as `linux.resources.memory.limit`.
pub(super) fn of(json: &str, error: &serde_json::Error) -> String {
    if error.classify() != Category::Data {
        return "the document".to_owned();
    }
    let message = error.to_string();
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let mut trail = Trail::to(before(json, error));
    if let (Some(field), Some(Level::Object { key, .. })) = (missing, trail.levels.last_mut()) {
        *key = field;
    }
    // A list in place of an object is too short as a whole.
    if message.starts_with("invalid length") {
        trail.levels.pop();
    }
    trail.joined()
}

/// The text up to the value that serde dislikes. The reader stops behind it, which may be behind the bracket that closes
/// or the comma that follows it, or at the bracket that opens it; lines count from 1, columns are bytes.
fn before<'j>(json: &'j str, error: &serde_json::Error) -> &'j str {
    let lines = json.split_inclusive('\n').take(error.line().saturating_sub(1));
    let end = lines.map(str::len).sum::<usize>() + error.column();
    let read = json.get(..end).unwrap_or(json).trim_end();
    read.strip_suffix(['{', '[', '}', ']', ',']).unwrap_or(read)
}

/// One container on the way, and where in it we are.
enum Level<'j> {
    Object { key: &'j str, key_comes: bool },
    Array { index: usize },
}

/// The way from the outermost object to the end of a text.
#[derive(Default)]
struct Trail<'j> {
    levels: Vec<Level<'j>>,
}

impl<'j> Trail<'j> {
    fn to(text: &'j str) -> Self {
        let mut trail = Self::default();
        let mut rest = text;
        while let Some(at) = rest.find(['"', '{', '[', '}', ']', ',']) {
            let (mark, behind) = (rest.as_bytes()[at], &rest[at + 1..]);
            rest = if mark == b'"' { trail.string(behind) } else { behind };
            trail.mark(mark);
        }
        trail
    }

    /// Takes a string, which is a key where one is due, and gives what follows it.
    fn string(&mut self, text: &'j str) -> &'j str {
        let mut escaped = false;
        let ends = |letter| {
            let end = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            end
        };
        let (content, behind) = text.split_once(ends).unwrap_or((text, ""));
        if let Some(Level::Object { key, key_comes: comes @ true }) = self.levels.last_mut() {
            (*key, *comes) = (content, false);
        }
        behind
    }

    fn mark(&mut self, mark: u8) {
        match (mark, self.levels.last_mut()) {
            (b'{', _) => self.levels.push(Level::Object { key: "", key_comes: true }),
            (b'[', _) => self.levels.push(Level::Array { index: 0 }),
            (b'}' | b']', _) => drop(self.levels.pop()),
            (b',', Some(Level::Object { key_comes, .. })) => *key_comes = true,
            (b',', Some(Level::Array { index })) => *index += 1,
            _ => {}
        }
    }

    fn joined(&self) -> String {
        let mut path = String::new();
        for level in &self.levels {
            match level {
                Level::Object { key: "", .. } => {}
                Level::Object { key, .. } if path.is_empty() => path.push_str(key),
                Level::Object { key, .. } => path.extend([".", key]),
                Level::Array { index } => path.extend(["[", &index.to_string(), "]"]),
            }
        }
        if path.is_empty() { "the document".to_owned() } else { path }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Spec, read};

    #[test]
    fn the_path_leads_to_the_value_whatever_its_kind_and_layout() {
        let cases = [
            (r#"{"ociVersion": 7}"#, "ociVersion"),
            (r#"{"ociVersion": "1", "process": {"args": ["a\"]}", 7]}}"#, "process.args[1]"),
            (r#"{"ociVersion": "1", "process": {"user": {"uid": -1}}}"#, "process.user.uid"),
            (r#"{"ociVersion": "1", "process": {"user": {}}}"#, "process.cwd"),
            (r#"{"ociVersion": "1", "process": {"cwd": {}, "args": []}}"#, "process.cwd"),
            (r#"{"ociVersion": "1", "process": {"cwd": [ ], "args": []}}"#, "process.cwd"),
            (
                "{\"ociVersion\": \"1\",\n \"mounts\": [{\"destination\": \"/a\"},\n {}\n ]}",
                "mounts[1].destination",
            ),
            ("{\"ociVersion\": \"é\",\n\"hostname\": {\"ü\": 1}}", "hostname"),
            (r#"{"ociVersion": "1", "linux": {"sysctl": {"a.b": 1}}}"#, "linux.sysctl.a.b"),
            (
                r#"{"ociVersion": "1", "linux": {"seccomp": {"defaultAction": "X" , "flags": []}}}"#,
                "linux.seccomp.defaultAction",
            ),
            (
                r#"{"ociVersion": "1", "linux": {"seccomp": {"defaultAction":"X"}}}"#,
                "linux.seccomp.defaultAction",
            ),
            (
                "{\"ociVersion\": \"1\", \"linux\": {\"seccomp\": {\"architectures\": [\"SCMP_ARCH_X86\", \"X\" ,\n \"Y\"]}}}",
                "linux.seccomp.architectures[1]",
            ),
            (r#"{"ociVersion": "1", "linux": {"resources": {}, "resources": {}}}"#, "linux.resources"),
            ("[]", "the document"),
            ("7", "the document"),
            ("{", "the document"),
            ("{}", "ociVersion"),
        ];
        for (json, path) in cases {
            let error = read::<Spec<'_>>(json).unwrap_err();
            assert_eq!(
                error.subject.as_deref(),
                Some(format!("config.json: {path}").as_str()),
                "{json}\n{error}"
            );
        }
    }

    #[test]
    fn null_says_nothing() {
        let json = r#"{"ociVersion": "1", "mounts": null, "process": {"cwd": "/", "args": null, "user": null},
            "hooks": null, "linux": {"resources": {"devices": null, "cpu": null}, "namespaces": null}}"#;
        let spec = read::<Spec<'_>>(json).unwrap();
        assert!(spec.mounts.is_empty() && spec.linux.resources.cpu.is_none());
    }
}
