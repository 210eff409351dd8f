//! `hooks`: programs that are called at points of the container's life (config.md, "POSIX-platform Hooks").

use std::fmt;

use nucleus_abi::Result;
use serde::{Deserialize, Serialize};

use super::document;
use crate::fault::invalid;

/// When hooks are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// While the container is created, by the runtime, in its namespaces. Deprecated, and the same as the next.
    Prestart,
    /// While the container is created, by the runtime, in its namespaces.
    CreateRuntime,
    /// While the container is created, in the container's namespaces, before the root is exchanged.
    CreateContainer,
    /// Between the start and the workload, in the container.
    StartContainer,
    /// After the workload was executed, by the runtime.
    Poststart,
    /// After the container was deleted, by the runtime.
    Poststop,
}

impl Point {
    /// All, in the order of a container's life.
    pub const ALL: [Self; 6] = [
        Self::Prestart,
        Self::CreateRuntime,
        Self::CreateContainer,
        Self::StartContainer,
        Self::Poststart,
        Self::Poststop,
    ];

    /// The property of `hooks`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::CreateContainer => "createContainer",
            Self::StartContainer => "startContainer",
            Self::Poststart => "poststart",
            Self::Poststop => "poststop",
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A program to be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Absolute path of the program.
    pub path: String,
    /// Its arguments, the name at the front; never empty.
    pub arguments: Vec<String>,
    /// Its whole environment, `NAME=value`.
    pub environment: Vec<String>,
    /// Seconds after which it is killed.
    pub timeout: Option<u32>,
}

/// All hooks of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hooks {
    /// [`Point::Prestart`]
    pub prestart: Vec<Hook>,
    /// [`Point::CreateRuntime`]
    pub create_runtime: Vec<Hook>,
    /// [`Point::CreateContainer`]
    pub create_container: Vec<Hook>,
    /// [`Point::StartContainer`]
    pub start_container: Vec<Hook>,
    /// [`Point::Poststart`]
    pub poststart: Vec<Hook>,
    /// [`Point::Poststop`]
    pub poststop: Vec<Hook>,
}

impl Hooks {
    /// The hooks of one point.
    pub fn at(&self, point: Point) -> &[Hook] {
        match point {
            Point::Prestart => &self.prestart,
            Point::CreateRuntime => &self.create_runtime,
            Point::CreateContainer => &self.create_container,
            Point::StartContainer => &self.start_container,
            Point::Poststart => &self.poststart,
            Point::Poststop => &self.poststop,
        }
    }

    /// Whether there are none at all.
    pub fn are_none(&self) -> bool {
        Point::ALL.into_iter().all(|point| self.at(point).is_empty())
    }
}

pub(super) fn read(hooks: &document::Hooks<'_>) -> Result<Hooks> {
    Ok(Hooks {
        prestart: list(Point::Prestart, &hooks.prestart)?,
        create_runtime: list(Point::CreateRuntime, &hooks.create_runtime)?,
        create_container: list(Point::CreateContainer, &hooks.create_container)?,
        start_container: list(Point::StartContainer, &hooks.start_container)?,
        poststart: list(Point::Poststart, &hooks.poststart)?,
        poststop: list(Point::Poststop, &hooks.poststop)?,
    })
}

fn list(point: Point, hooks: &[document::Hook<'_>]) -> Result<Vec<Hook>> {
    hooks.iter().enumerate().map(|(index, hook)| read_hook(point, index, hook)).collect()
}

fn read_hook(point: Point, index: usize, hook: &document::Hook<'_>) -> Result<Hook> {
    let field = |key: &str| format!("hooks.{point}[{index}].{key}");
    let path = hook.path.to_string();
    if !path.starts_with('/') {
        return Err(invalid(field("path"), format!("{path} is not an absolute path")));
    }
    let arguments = match hook.args.as_slice() {
        [] => vec![path.clone()],
        given => given.iter().map(ToString::to_string).collect(),
    };
    let environment: Vec<_> = hook.env.iter().map(ToString::to_string).collect();
    let texts = [("path", std::slice::from_ref(&path)), ("args", &arguments), ("env", &environment)];
    for (key, list) in texts {
        if list.iter().any(|text| text.contains('\0')) {
            return Err(invalid(field(key), "holds a NUL character"));
        }
    }
    let timeout = hook.timeout.map(|seconds| {
        u32::try_from(seconds)
            .ok()
            .filter(|seconds| *seconds > 0)
            .ok_or_else(|| invalid(field("timeout"), format!("{seconds} is no number of seconds above 0")))
    });
    Ok(Hook { path, arguments, environment, timeout: timeout.transpose()? })
}
