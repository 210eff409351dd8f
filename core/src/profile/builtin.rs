//! The built-in profile, under which everything else lies.
//!
//! It is a constant: every start needs it, and parsing it as YAML took a tenth of the time before the clone.

use super::origin::Origin;
use super::tree::{Key, Node, Value};

/// The name of the built-in document, as origins show it.
pub(super) const BUILT_IN: &str = "default";

/// A value of the built-in document.
enum Constant {
    Bool(bool),
    Int(i64),
    Text(&'static str),
    Empty,
    Map(&'static [(&'static str, Self)]),
}

use Constant::{Bool, Empty, Int, Map, Text};

const DEFAULT: Constant = Map(&[
    ("apiVersion", Text("nucleus/v1")),
    ("backend", Text("auto")),
    ("enforcement", Text("strict")),
    (
        "workload",
        Map(&[
            ("user", Text("0:0")),
            ("umask", Text("0022")),
            ("env", Map(&[("PATH", Text("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"))])),
            ("cwd", Text("/")),
            ("terminal", Text("auto")),
            ("init", Bool(false)),
        ]),
    ),
    ("rootfs", Text("host-runtime")),
    ("network", Map(&[("mode", Text("none")), ("allowHost", Bool(false)), ("engineNetwork", Text("keep"))])),
    ("resources", Map(&[("memory", Text("512M")), ("pids", Int(512))])),
    (
        "security",
        Map(&[
            ("capabilities", Empty),
            ("seccomp", Text("default")),
            ("landlock", Text("default")),
            ("noNewPrivileges", Bool(true)),
        ]),
    ),
]);

/// The tree of the built-in profile.
pub(super) fn built_in() -> Node {
    node(&DEFAULT)
}

fn node(constant: &Constant) -> Node {
    let origin = Origin::BuiltIn(BUILT_IN);
    let value = match constant {
        Bool(yes) => Value::Bool(*yes),
        Int(number) => Value::Int(*number),
        Text(text) => Value::Str((*text).to_owned()),
        Empty => Value::Seq(Vec::new()),
        Map(entries) => {
            let entry = |(name, value): &(&str, Constant)| (Key::new(*name, origin.clone()), node(value));
            Value::Map(entries.iter().map(entry).collect())
        }
    };
    Node::new(value, origin)
}
