//! The document of the process that `exec` runs: a document of its own, or the container's `process` with changes.

use nucleus_abi::{Error, ErrorCode, Result};
use serde_json::{Map, Value, json};

use super::ExecUser;

/// Where the process is described.
#[derive(Debug, Clone, PartialEq)]
pub enum ProcessSource {
    /// In a document of its own, in the form of the specification's `process`.
    Document(Value),
    /// In the container's own `config.json`, but for these changes.
    Changed(Box<ProcessChanges>),
}

/// What is different from the container's own process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessChanges {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Working directory.
    pub cwd: Option<String>,
    /// Further variables, `NAME=VALUE`; each replaces an earlier one of its name.
    pub env: Vec<String>,
    /// Whether it has a terminal: the container's own terminal says nothing about it.
    pub terminal: bool,
    /// Another user.
    pub user: Option<ExecUser>,
    /// Further groups.
    pub additional_gids: Vec<u32>,
    /// Further capabilities.
    pub capabilities: Vec<String>,
    /// Another `noNewPrivileges`.
    pub no_new_privileges: Option<bool>,
    /// Another `apparmorProfile`.
    pub apparmor_profile: Option<String>,
    /// Another `selinuxLabel`.
    pub selinux_label: Option<String>,
}

/// The document of the process.
///
/// # Errors
/// `config-invalid`, naming the field, for what no process can do without.
pub(super) fn document(source: &ProcessSource, config: &Value) -> Result<Value> {
    let process = match source {
        ProcessSource::Document(document) => document.clone(),
        ProcessSource::Changed(changes) => changes.apply(config.get("process"))?,
    };
    check(&process)?;
    Ok(process)
}

impl ProcessChanges {
    /// The container's own process, changed.
    fn apply(&self, own: Option<&Value>) -> Result<Value> {
        let mut process = match own {
            Some(Value::Object(process)) => process.clone(),
            None => {
                Map::from_iter([("cwd".into(), json!("/")), ("user".into(), json!({"uid": 0, "gid": 0}))])
            }
            Some(_) => return Err(wrong("process", "it is no object")),
        };
        process.insert("args".into(), json!(self.args));
        process.insert("terminal".into(), json!(self.terminal));
        let texts = [
            ("cwd", &self.cwd),
            ("apparmorProfile", &self.apparmor_profile),
            ("selinuxLabel", &self.selinux_label),
        ];
        for (field, value) in texts {
            if let Some(value) = value {
                process.insert(field.into(), json!(value));
            }
        }
        if let Some(value) = self.no_new_privileges {
            process.insert("noNewPrivileges".into(), json!(value));
        }
        self.change_user(object(&mut process, "user")?)?;
        self.add_capabilities(&mut process)?;
        let mut process = Value::Object(process);
        add_variables(&mut process, &self.env)?;
        Ok(process)
    }

    fn change_user(&self, user: &mut Map<String, Value>) -> Result<()> {
        if let Some(wanted) = self.user {
            user.insert("uid".into(), json!(wanted.uid));
            if let Some(gid) = wanted.gid {
                user.insert("gid".into(), json!(gid));
            }
        }
        add_new(list(user, "additionalGids")?, self.additional_gids.iter().map(|gid| json!(gid)));
        Ok(())
    }

    /// As runc: the ambient set only where the document has an inheritable one, without which the kernel allows none. The
    /// inheritable set itself never grows (CVE-2022-24769).
    fn add_capabilities(&self, process: &mut Map<String, Value>) -> Result<()> {
        if self.capabilities.is_empty() {
            return Ok(());
        }
        let sets = object(process, "capabilities")?;
        let ambient = sets.contains_key("inheritable").then_some("ambient");
        for set in ["bounding", "effective", "permitted"].into_iter().chain(ambient) {
            add_new(list(sets, set)?, self.capabilities.iter().map(|name| json!(name)));
        }
        Ok(())
    }
}

/// Adds variables. Two of one name would be read differently by a shell and by getenv(3).
///
/// # Errors
/// `config-invalid`, naming the field.
pub(super) fn add_variables(process: &mut Value, more: &[String]) -> Result<()> {
    let (Some(process), false) = (process.as_object_mut(), more.is_empty()) else { return Ok(()) };
    let env = list(process, "env")?;
    let name = |text: &str| text.split('=').next().map(str::to_owned);
    for variable in more {
        env.retain(|known| known.as_str().and_then(name) != name(variable));
        env.push(json!(variable));
    }
    Ok(())
}

/// The variables that the process needs and nobody has set: programs expect `HOME`, and runc sets it.
pub(super) fn with_home(mut process: Value, home: impl FnOnce(u32) -> String) -> Result<Value> {
    let uid =
        process.pointer("/user/uid").and_then(Value::as_u64).and_then(|uid| uid.try_into().ok()).unwrap_or(0);
    let Some(process_map) = process.as_object_mut() else { return Ok(process) };
    let env = list(process_map, "env")?;
    let is_set = |variable: &Value| {
        variable.as_str().and_then(|text| text.strip_prefix("HOME=")).is_some_and(|home| !home.is_empty())
    };
    if !env.iter().any(is_set) {
        env.retain(|variable| variable.as_str() != Some("HOME="));
        env.push(json!(format!("HOME={}", home(uid))));
    }
    Ok(process)
}

fn check(process: &Value) -> Result<()> {
    if !process.is_object() {
        return Err(wrong("process", "it is no object"));
    }
    let cwd = process.get("cwd").and_then(Value::as_str).unwrap_or_default();
    if cwd.is_empty() {
        return Err(wrong("process.cwd", "it is missing"));
    }
    if !cwd.starts_with('/') {
        return Err(wrong("process.cwd", format!("{cwd} is not an absolute path")));
    }
    match process.get("args").and_then(Value::as_array) {
        Some(args) if !args.is_empty() => Ok(()),
        _ => {
            Err(wrong("process.args", "there is no program to run").hint("name one after the container's id"))
        }
    }
}

/// A list of the document, made where it is missing.
fn list<'a>(object: &'a mut Map<String, Value>, field: &str) -> Result<&'a mut Vec<Value>> {
    let value = object.entry(field).or_insert(Value::Null);
    if value.is_null() {
        *value = json!([]);
    }
    value.as_array_mut().ok_or_else(|| wrong(&format!("process.{field}"), "it is no list"))
}

/// An object of the document, made where it is missing.
fn object<'a>(object: &'a mut Map<String, Value>, field: &str) -> Result<&'a mut Map<String, Value>> {
    let value = object.entry(field).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut().ok_or_else(|| wrong(&format!("process.{field}"), "it is no object"))
}

fn add_new(list: &mut Vec<Value>, more: impl Iterator<Item = Value>) {
    for value in more {
        if !list.contains(&value) {
            list.push(value);
        }
    }
}

fn wrong(field: &str, cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::ConfigInvalid, "use the document of the process").on(field).because(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Value {
        json!({"process": {
            "terminal": true, "cwd": "/srv", "args": ["/bin/web"], "env": ["PATH=/bin", "A=1"],
            "user": {"uid": 7, "gid": 8, "additionalGids": [9]},
            "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
            "oomScoreAdj": 100,
        }})
    }

    fn changed(changes: ProcessChanges) -> Value {
        let changes = ProcessChanges { args: vec!["id".into()], ..changes };
        document(&ProcessSource::Changed(Box::new(changes)), &config()).unwrap()
    }

    #[test]
    fn without_changes_only_program_and_terminal_differ() {
        let mut expected = config()["process"].clone();
        expected["args"] = json!(["id"]);
        expected["terminal"] = json!(false);
        assert_eq!(changed(ProcessChanges::default()), expected);
    }

    #[test]
    fn a_later_variable_replaces_an_earlier_one_of_its_name_only() {
        let env = vec!["A=2".into(), "AB=3".into(), "A=4".into()];
        assert_eq!(
            changed(ProcessChanges { env, ..Default::default() })["env"],
            json!(["PATH=/bin", "AB=3", "A=4"])
        );
    }

    #[test]
    fn a_user_without_a_group_keeps_the_group() {
        let with =
            |gid| changed(ProcessChanges { user: Some(ExecUser { uid: 1, gid }), ..Default::default() });
        assert_eq!(with(None)["user"], json!({"uid": 1, "gid": 8, "additionalGids": [9]}));
        assert_eq!(with(Some(2))["user"]["gid"], json!(2));
        let more = changed(ProcessChanges { additional_gids: vec![9, 10], ..Default::default() });
        assert_eq!(more["user"]["additionalGids"], json!([9, 10]));
    }

    #[test]
    fn a_capability_is_added_to_all_sets_but_the_inheritable_one() {
        let capabilities = vec!["CAP_KILL".into(), "CAP_CHOWN".into()];
        let sets = &changed(ProcessChanges { capabilities: capabilities.clone(), ..Default::default() })["capabilities"];
        for set in ["bounding", "effective", "permitted"] {
            assert_eq!(sets[set], json!(["CAP_KILL", "CAP_CHOWN"]), "{set}");
        }
        assert_eq!((sets.get("ambient"), sets.get("inheritable")), (None, None));

        let own = json!({"cwd": "/", "capabilities": {"inheritable": []}});
        let changes = ProcessChanges { args: vec!["id".into()], capabilities, ..Default::default() };
        let sets = &changes.apply(Some(&own)).unwrap()["capabilities"];
        assert_eq!(sets["ambient"], json!(["CAP_KILL", "CAP_CHOWN"]));
        assert_eq!(sets["inheritable"], json!([]));
    }

    #[test]
    fn what_a_process_needs_is_demanded_by_field() {
        for (document, field) in [
            (json!([]), "process"),
            (json!({"args": ["x"]}), "process.cwd"),
            (json!({"args": ["x"], "cwd": "srv"}), "process.cwd"),
            (json!({"args": [], "cwd": "/"}), "process.args"),
            (json!({"cwd": "/"}), "process.args"),
        ] {
            let error = super::document(&ProcessSource::Document(document.clone()), &config()).unwrap_err();
            assert_eq!(error.subject.as_deref(), Some(field), "{document}");
        }
    }

    #[test]
    fn a_home_is_set_where_there_is_none() {
        let home = |env: Value| {
            let process = json!({"user": {"uid": 7}, "env": env});
            with_home(process, |uid| format!("/home/{uid}")).unwrap()["env"].clone()
        };
        assert_eq!(home(json!(["A=1"])), json!(["A=1", "HOME=/home/7"]));
        assert_eq!(home(json!(["HOME="])), json!(["HOME=/home/7"]));
        assert_eq!(home(json!(["HOME=/x"])), json!(["HOME=/x"]));
        assert_eq!(home(Value::Null), json!(["HOME=/home/7"]));
    }
}
