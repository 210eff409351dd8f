//! A `config.json` to begin with, as `spec` writes it.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use nucleus_abi::{Error, ErrorCode, Result};
use rustix::process::{getegid, geteuid};
use serde_json::{Value, json};

const TEMPLATE: &str = include_str!("template.json");

/// For whom a template is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// For root.
    Root,
    /// For the user who asks, who becomes root of a user namespace.
    Unprivileged,
}

/// Writes a template as `config.json` into a bundle's directory. One that is there stays.
///
/// # Errors
/// `config-invalid`, naming the file.
pub fn write_template(bundle: &Path, caller: Caller) -> Result<()> {
    let path = bundle.join("config.json");
    let fail = |cause: &dyn std::fmt::Display| {
        Error::new(ErrorCode::ConfigInvalid, "write a config.json").on(path.display()).because(cause)
    };
    let text = format!("{:#}\n", template(caller));
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(&path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => fail(&"the file exists").hint("remove it first"),
            _ => fail(&error),
        })?;
    file.write_all(text.as_bytes()).map_err(|error| fail(&error))
}

fn template(caller: Caller) -> Value {
    let mut config: Value = serde_json::from_str(TEMPLATE).unwrap_or_default();
    if caller == Caller::Unprivileged {
        let map = |id: u32| json!([{"containerID": 0, "hostID": id, "size": 1}]);
        let linux = &mut config["linux"];
        // Limits and groups are root's to give, and so is a network that leads anywhere.
        linux["namespaces"] = ["pid", "ipc", "uts", "mount", "cgroup", "user"]
            .iter()
            .map(|kind| json!({"type": kind}))
            .collect();
        linux["uidMappings"] = map(geteuid().as_raw());
        linux["gidMappings"] = map(getegid().as_raw());
        retain(linux, |key, _| key != "resources");
        let mounts = config["mounts"].as_array_mut().map(std::mem::take).unwrap_or_default();
        config["mounts"] = mounts.into_iter().filter_map(unprivileged).collect();
    }
    config
}

fn retain(object: &mut Value, keep: impl Fn(&str, &Value) -> bool) {
    if let Some(object) = object.as_object_mut() {
        object.retain(|key, value| keep(key, value));
    }
}

/// The same mount for a user: without groups that he has not, sysfs as the host's, and no groups of the kernel's.
fn unprivileged(mut mount: Value) -> Option<Value> {
    match mount["destination"].as_str() {
        Some("/sys/fs/cgroup") => return None,
        Some("/sys") => {
            let options = ["rbind", "nosuid", "noexec", "nodev", "ro"];
            return Some(
                json!({"destination": "/sys", "type": "none", "source": "/sys", "options": options}),
            );
        }
        _ => {}
    }
    if let Some(options) = mount["options"].as_array_mut() {
        options.retain(|option| !option.as_str().is_some_and(|option| option.starts_with("gid=")));
    }
    Some(mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_a_document_and_the_users_has_a_user_namespace() {
        let root = template(Caller::Root);
        assert_eq!(root["process"]["args"], json!(["sh"]));
        let user = template(Caller::Unprivileged);
        assert_eq!(user["linux"]["uidMappings"][0]["hostID"], json!(geteuid().as_raw()));
        assert!(user["linux"].get("resources").is_none() && !user.to_string().contains("gid="));
        assert!(!user.to_string().contains("network") && user.to_string().contains("rbind"));
    }
}
