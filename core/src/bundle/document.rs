//! The `config.json` of a bundle that an engine hands over: kept as it is, and read only as far as the core itself must
//! know it. Whether its fields are right is the backend's to say, which knows what it can do with them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};
use nucleus_sys::{Mode, OFlags};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

const FILE: &str = "config.json";

/// Largest document that is read, in bytes. Engines write some ten KiB.
const LARGEST: u64 = 16 << 20;

/// A bundle's document.
#[derive(Debug)]
pub struct Document {
    /// The bundle's directory, absolute.
    pub bundle: PathBuf,
    /// The document as it was read.
    pub json: Box<RawValue>,
    /// `ociVersion`.
    pub oci_version: String,
    /// `annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `root.path`, absolute; the bundle itself where there is none.
    pub rootfs: PathBuf,
    /// `process.args[0]`.
    pub program: String,
    /// `process.terminal`.
    pub terminal: Terminal,
    /// `linux.cgroupsPath`, where it says something.
    pub cgroups_path: Option<String>,
}

impl Document {
    /// The document, with more variables and mounts than it has. Without any it is the text that was read.
    ///
    /// # Errors
    /// `config-invalid` where `process.env` or `mounts` is no list.
    pub fn with(&self, environment: &[String], mounts: Vec<Value>) -> Result<Box<RawValue>> {
        if environment.is_empty() && mounts.is_empty() {
            return Ok(self.json.clone());
        }
        let path = self.bundle.join(FILE);
        let mut document: Value =
            serde_json::from_str(self.json.get()).map_err(|error| invalid(&path, error))?;
        let no_list = |field| invalid(&path, format!("{field}: it is no list"));
        let environment = environment.iter().cloned().map(Value::from).collect();
        append(document.get_mut("process"), "env", environment).ok_or_else(|| no_list("process.env"))?;
        append(Some(&mut document), "mounts", mounts).ok_or_else(|| no_list("mounts"))?;
        serde_json::value::to_raw_value(&document).map_err(|error| invalid(&path, error))
    }
}

/// Appends to a list of an object, which is made where it is missing; `None` for what is none.
fn append(object: Option<&mut Value>, key: &str, more: Vec<Value>) -> Option<()> {
    let list = object?.as_object_mut()?.entry(key).or_insert(Value::Null);
    if list.is_null() {
        *list = Value::Array(Vec::new());
    }
    list.as_array_mut()?.extend(more);
    Some(())
}

/// Whether the workload gets a terminal of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// It gets one.
    Own,
    /// It gets none.
    None,
}

/// Reads a bundle's document.
///
/// # Errors
/// `config-invalid`, naming the file: it is missing, no regular file, too large, or no JSON object.
pub fn read(bundle: &Path) -> Result<Document> {
    let unfit = |cause: std::io::Error| {
        Error::new(ErrorCode::ConfigInvalid, "read the bundle")
            .on(bundle.display())
            .because(cause)
            .hint("a bundle is a directory with a config.json; name it with --bundle")
    };
    let bundle = std::fs::canonicalize(bundle).map_err(unfit)?;
    let path = bundle.join(FILE);
    let text = text(&path).map_err(|error| invalid(&path, error))?;
    let json: Box<RawValue> = serde_json::from_str(&text).map_err(|error| invalid(&path, error))?;
    let parts: Parts<'_> = serde_json::from_str(json.get()).map_err(|error| invalid(&path, error))?;
    let document = Document {
        oci_version: leaf(parts.oci_version),
        annotations: leaf(parts.annotations),
        rootfs: bundle.join(leaf::<Root>(parts.root).path),
        program: leaf::<Process>(parts.process).args.into_iter().next().unwrap_or_default(),
        terminal: if leaf::<Process>(parts.process).terminal { Terminal::Own } else { Terminal::None },
        cgroups_path: Some(leaf::<Linux>(parts.linux).cgroups_path).filter(|path| !path.is_empty()),
        json: json.clone(),
        bundle,
    };
    Ok(document)
}

/// The document's members that concern the core. They are not read further here: a mistake in one of them is the backend's
/// to report, with the path of the field.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a JSON object")]
struct Parts<'a> {
    #[serde(borrow, default)]
    oci_version: Option<&'a RawValue>,
    #[serde(borrow, default)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow, default)]
    root: Option<&'a RawValue>,
    #[serde(borrow, default)]
    process: Option<&'a RawValue>,
    #[serde(borrow, default)]
    linux: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Root {
    path: PathBuf,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Process {
    terminal: bool,
    args: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Linux {
    cgroups_path: String,
}

fn leaf<T: Default + DeserializeOwned>(part: Option<&RawValue>) -> T {
    part.and_then(|part| serde_json::from_str(part.get()).ok()).unwrap_or_default()
}

/// Reads a file that a stranger may have put there: a fifo must not hold us, nor an endless file fill our memory.
fn text(path: &Path) -> std::io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    if metadata.len() > LARGEST {
        return Err(std::io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    let mut text = String::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    file.take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

fn invalid(path: &Path, cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::ConfigInvalid, "read the bundle's config.json").on(path.display()).because(cause)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bundle(name: &str, json: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("nucleus-document-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join(FILE), json).unwrap();
        path
    }

    #[test]
    fn what_the_core_must_know_is_read_and_the_rest_is_kept_as_it_is() {
        let json = r#"{ "x": 1e3, "ociVersion": "1.2.1", "process": {"terminal": true, "args": ["sh"]},
            "root": {"path": "fs"}, "annotations": {"a": "b"}, "linux": {"cgroupsPath": "/pod/web"} }"#;
        let path = bundle("known", json);
        let document = read(&path).unwrap();
        assert_eq!(document.json.get(), json);
        assert_eq!((document.oci_version.as_str(), document.program.as_str()), ("1.2.1", "sh"));
        assert_eq!(document.terminal, Terminal::Own);
        assert_eq!(document.rootfs, document.bundle.join("fs"));
        assert_eq!(document.annotations["a"], "b");
        assert_eq!(document.cgroups_path.as_deref(), Some("/pod/web"));
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_field_of_the_wrong_type_is_left_to_whoever_reads_them_all() {
        let path = bundle("types", r#"{"ociVersion": 7, "process": [], "linux": {"cgroupsPath": {}}}"#);
        let document = read(&path).unwrap();
        assert_eq!((document.oci_version.as_str(), document.cgroups_path), ("", None));
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn what_is_added_stands_behind_what_was_there() {
        let path = bundle("more", r#"{"process": {"env": ["A=1"]}, "x": 1}"#);
        let document = read(&path).unwrap();
        assert_eq!(document.with(&[], Vec::new()).unwrap().get(), document.json.get());
        let more = document.with(&["B=2".to_owned()], vec![json!({"destination": "/n"})]).unwrap();
        let more: Value = serde_json::from_str(more.get()).unwrap();
        let wanted = json!({"process": {"env": ["A=1", "B=2"]}, "x": 1, "mounts": [{"destination": "/n"}]});
        assert_eq!(more, wanted);
        std::fs::remove_dir_all(&path).unwrap();
        let wrong = read(&bundle("wrong", r#"{"process": {}, "mounts": 7}"#)).unwrap();
        assert!(wrong.with(&["B=2".to_owned()], Vec::new()).unwrap_err().to_string().contains("mounts"));
        std::fs::remove_dir_all(wrong.bundle).unwrap();
    }

    #[test]
    fn what_is_no_document_is_refused_by_its_path() {
        for (name, json) in [("torn", "{\"ociVersion\": "), ("word", "\"text\""), ("empty", "")] {
            let path = bundle(name, json);
            let error = read(&path).unwrap_err();
            assert_eq!(error.code, ErrorCode::ConfigInvalid);
            assert!(error.subject.as_deref().unwrap().ends_with(FILE), "{error}");
            std::fs::remove_dir_all(path).unwrap();
        }
    }

    #[test]
    fn a_fifo_in_place_of_the_document_holds_nobody() {
        let path = bundle("fifo", "");
        std::fs::remove_file(path.join(FILE)).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, path.join(FILE), fifo, Mode::from(0o600), 0).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("no regular file"));
        assert!(read(&path.join("missing")).unwrap_err().to_string().contains("No such file"));
        std::fs::remove_dir_all(path).unwrap();
    }
}
