//! `linux.sysctl`: only parameters that belong to a namespace of the container's own.

use nucleus_abi::Result;
use nucleus_sys::namespace::Namespace;

use super::Namespaces;
use super::document::Linux;
use crate::fault::{invalid, unsupported};

/// One kernel parameter.
#[derive(Debug, PartialEq, Eq)]
pub struct Sysctl {
    /// Its path below `/proc`, beginning with `sys/`.
    pub path: String,
    /// Its value.
    pub value: String,
    /// The kind of namespace that keeps it.
    pub owner: Namespace,
}

/// Parameters outside of `net.` and `fs.mqueue.` that the kernel keeps for each namespace (`ipc_namespaces(7)`,
/// `uts_namespaces(7)`).
const OWNED: [(&str, Namespace); 13] = [
    ("kernel.msgmax", Namespace::Ipc),
    ("kernel.msgmnb", Namespace::Ipc),
    ("kernel.msgmni", Namespace::Ipc),
    ("kernel.msg_next_id", Namespace::Ipc),
    ("kernel.sem", Namespace::Ipc),
    ("kernel.sem_next_id", Namespace::Ipc),
    ("kernel.shmall", Namespace::Ipc),
    ("kernel.shmmax", Namespace::Ipc),
    ("kernel.shmmni", Namespace::Ipc),
    ("kernel.shm_next_id", Namespace::Ipc),
    ("kernel.shm_rmid_forced", Namespace::Ipc),
    ("kernel.domainname", Namespace::Uts),
    ("kernel.hostname", Namespace::Uts),
];

pub(super) fn read(linux: &Linux<'_>, namespaces: &Namespaces) -> Result<Vec<Sysctl>> {
    let entries = linux.sysctl.iter();
    let mut sysctls: Vec<_> =
        entries.map(|(name, value)| sysctl(name, value, namespaces)).collect::<Result<_>>()?;
    sysctls.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(sysctls)
}

fn sysctl(name: &str, value: &str, namespaces: &Namespaces) -> Result<Sysctl> {
    let field = format!("linux.sysctl[{name:?}]");
    // CVE-2022-0811: a `+` or a newline made one parameter into several.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    if name.is_empty() || !name.bytes().all(plain) || name.contains("..") || name.contains("//") {
        return Err(invalid(field, "the name has characters that no kernel parameter has")
            .hint("write one parameter for each entry, as sysctl(8) does: `net.ipv4.ip_forward`"));
    }
    if value.bytes().any(|byte| byte == b'\n' || byte == 0) {
        return Err(invalid(field, "the value holds a newline or NUL")
            .hint("write one line; several numbers are separated by blanks"));
    }
    let path = path(name);
    let dotted = path["sys/".len()..].replace('/', ".");
    match owner(&dotted) {
        Some(owner) if namespaces.owns(owner) => Ok(Sysctl { path, value: value.to_owned(), owner }),
        Some(kind) => {
            let kind = kind.oci_name();
            Err(invalid(
                field,
                format!("without a namespace of its own of the kind {kind} this would be the host's"),
            )
            .hint(format!("add a new `{kind}` namespace to `linux.namespaces`, or remove the parameter")))
        }
        None => Err(unsupported(field, "the parameter belongs to the whole host, and to no namespace")
            .hint("remove it, or have the operator set it on the host")),
    }
}

/// sysctl(8): if the first separator is a slash, slashes separate and dots are literal; otherwise the other way round.
fn path(name: &str) -> String {
    let first = name.find(['.', '/']).map(|at| name.as_bytes()[at]);
    if first == Some(b'/') {
        return format!("sys/{name}");
    }
    let swap = |letter| match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    format!("sys/{}", name.chars().map(swap).collect::<String>())
}

fn owner(dotted: &str) -> Option<Namespace> {
    match dotted {
        name if name.starts_with("net.") => Some(Namespace::Network),
        name if name.starts_with("fs.mqueue.") => Some(Namespace::Ipc),
        name => OWNED.iter().find(|(owned, _)| *owned == name).map(|(_, kind)| *kind),
    }
}
