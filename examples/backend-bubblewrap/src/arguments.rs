//! From `config.json` to the arguments of bwrap. Pure.

use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};
use serde::Deserialize;

/// The part of the runtime specification that this backend knows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config {
    pub(crate) root: Root,
    pub(crate) process: Process,
    #[serde(default)]
    hostname: Option<String>,
    #[serde(default)]
    pub(crate) mounts: Vec<Mount>,
    #[serde(default)]
    linux: Linux,
}

#[derive(Deserialize)]
pub(crate) struct Root {
    pub(crate) path: PathBuf,
    #[serde(default)]
    readonly: bool,
}

#[derive(Deserialize)]
pub(crate) struct Process {
    pub(crate) args: Vec<String>,
    #[serde(default)]
    pub(crate) env: Vec<String>,
    cwd: String,
    #[serde(default)]
    terminal: bool,
    #[serde(default)]
    capabilities: Capabilities,
}

#[derive(Default, Deserialize)]
struct Capabilities {
    #[serde(default)]
    bounding: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Mount {
    pub(crate) destination: PathBuf,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    pub(crate) source: PathBuf,
    #[serde(default)]
    options: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Linux {
    #[serde(default)]
    namespaces: Vec<Namespace>,
}

#[derive(Deserialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    path: Option<PathBuf>,
}

impl Mount {
    pub(crate) fn is_bind(&self) -> bool {
        self.kind == "bind" || self.options.iter().any(|option| option == "bind" || option == "rbind")
    }

    fn has(&self, option: &str) -> bool {
        self.options.iter().any(|known| known == option)
    }
}

/// Reads a configuration, and refuses what this backend does not do.
pub(crate) fn parse(text: &str) -> Result<Config> {
    let config: Config = serde_json::from_str(text)
        .map_err(|error| Error::new(ErrorCode::ConfigInvalid, "read config.json").because(error))?;
    let refuse = |field: &str, cause: &str| {
        Err(Error::new(ErrorCode::NotSupported, "do what config.json says").on(field).because(cause))
    };
    if config.process.terminal {
        return refuse("process.terminal", "this backend has no terminals");
    }
    if config.linux.namespaces.iter().any(|namespace| namespace.path.is_some()) {
        return refuse("linux.namespaces", "bubblewrap joins no namespace");
    }
    Ok(config)
}

/// The arguments: `root` and `source` say where bwrap finds the root and the source of each mount.
pub(crate) fn of(config: &Config, root: &Path, source: impl Fn(usize, &Mount) -> PathBuf) -> Vec<String> {
    let mut arguments: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(ToString::to_string));
    add(&["--die-with-parent", "--as-pid-1", "--clearenv"]);
    for namespace in &config.linux.namespaces {
        match namespace.kind.as_str() {
            "pid" => add(&["--unshare-pid"]),
            "network" => add(&["--unshare-net"]),
            "ipc" => add(&["--unshare-ipc"]),
            "uts" => add(&["--unshare-uts"]),
            "cgroup" => add(&["--unshare-cgroup"]),
            _ => {}
        }
    }
    if let Some(name) = &config.hostname {
        add(&["--hostname", name]);
    }
    add(&["--bind", &text(root), "/"]);
    for (index, mount) in config.mounts.iter().enumerate() {
        let target = text(&mount.destination);
        match mount.kind.as_str() {
            _ if mount.is_bind() => {
                let how = if mount.has("ro") { "--ro-bind" } else { "--bind" };
                add(&[how, &text(&source(index, mount)), &target]);
            }
            "proc" => add(&["--proc", &target]),
            "tmpfs" if target == "/dev" => add(&["--dev", &target]),
            "tmpfs" => {
                if let Some(size) = mount.options.iter().find_map(|option| bytes(option)) {
                    add(&["--size", &size.to_string()]);
                }
                add(&["--tmpfs", &target]);
            }
            // The host's would show the host's network interfaces, and bwrap makes none of its own.
            "sysfs" => add(&["--tmpfs", &target]),
            "mqueue" => add(&["--mqueue", &target]),
            // `--dev` has made a devpts and a shm.
            _ => {}
        }
    }
    if config.root.readonly {
        // Not before: the places of the mounts may have to be made.
        add(&["--remount-ro", "/"]);
    }
    add(&["--cap-drop", "ALL"]);
    for capability in &config.process.capabilities.bounding {
        add(&["--cap-add", capability]);
    }
    for variable in &config.process.env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        add(&["--setenv", name, value]);
    }
    add(&["--chdir", &config.process.cwd, "--"]);
    arguments.extend(config.process.args.iter().cloned());
    arguments
}

/// `size=1m`, in bytes.
fn bytes(option: &str) -> Option<u64> {
    let value = option.strip_prefix("size=")?.to_lowercase();
    let digits = value.trim_end_matches(['k', 'm', 'g']);
    let unit = match value.strip_prefix(digits)? {
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => 1,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes() {
        assert_eq!((bytes("size=64k"), bytes("size=7"), bytes("mode=755")), (Some(65536), Some(7), None));
    }

    #[test]
    fn the_root_is_sealed_after_the_mounts() {
        let config = parse(
            r#"{"root": {"path": "rootfs", "readonly": true}, "process": {"args": ["true"], "cwd": "/"},
                "mounts": [{"destination": "/data", "type": "bind", "source": "/srv", "options": ["ro"]}]}"#,
        )
        .unwrap();
        let arguments = of(&config, Path::new("/r"), |_, mount| mount.source.clone()).join(" ");
        assert!(arguments.contains("--bind /r / --ro-bind /srv /data --remount-ro /"), "{arguments}");
    }
}
