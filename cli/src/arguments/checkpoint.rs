//! What `checkpoint` and `restore` take, as runc names it.

use clap::{Arg, ArgAction, Command};

use super::container_id;

/// What both take: a value's name, or none for a switch.
const BOTH: [(&str, Option<&str>); 11] = [
    ("image-path", Some("PATH")),
    ("work-path", Some("PATH")),
    ("tcp-established", None),
    ("ext-unix-sk", None),
    ("shell-job", None),
    ("lazy-pages", None),
    ("file-locks", None),
    ("manage-cgroups-mode", Some("MODE")),
    ("empty-ns", Some("NAMESPACE")),
    ("auto-dedup", None),
    ("link-remap", None),
];

const CHECKPOINT: [(&str, Option<&str>); 5] = [
    ("parent-path", Some("PATH")),
    ("leave-running", None),
    ("status-fd", Some("NUMBER")),
    ("page-server", Some("ADDRESS:PORT")),
    ("pre-dump", None),
];

const RESTORE: [(&str, Option<&str>); 9] = [
    ("bundle", Some("PATH")),
    ("pid-file", Some("PATH")),
    ("console-socket", Some("PATH")),
    ("detach", None),
    ("no-subreaper", None),
    ("no-pivot", None),
    ("lsm-profile", Some("TYPE:NAME")),
    ("lsm-mount-context", Some("CONTEXT")),
    ("preserve-fds", Some("NUMBER")),
];

pub(crate) fn checkpoint(command: Command) -> Command {
    command.args(BOTH.iter().chain(&CHECKPOINT).map(option)).arg(container_id())
}

pub(crate) fn restore(command: Command) -> Command {
    let short = |argument: Arg| match argument.get_id().as_str() {
        "bundle" => argument.short('b'),
        "detach" => argument.short('d'),
        _ => argument,
    };
    command.args(BOTH.iter().chain(&RESTORE).map(option).map(short)).arg(container_id())
}

fn option((name, value): &(&'static str, Option<&'static str>)) -> Arg {
    match value {
        Some(value) => Arg::new(*name).long(*name).value_name(*value).action(ArgAction::Append),
        None => Arg::new(*name).long(*name).action(ArgAction::SetTrue),
    }
}
