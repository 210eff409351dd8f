//! `hooks` (config.md, "POSIX-platform Hooks").

use serde::Deserialize;

use super::{Text, nullable};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Hooks<'a> {
    #[serde(borrow, deserialize_with = "nullable")]
    pub prestart: Vec<Hook<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub create_runtime: Vec<Hook<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub create_container: Vec<Hook<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub start_container: Vec<Hook<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub poststart: Vec<Hook<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub poststop: Vec<Hook<'a>>,
}

#[derive(Debug, Deserialize)]
pub struct Hook<'a> {
    #[serde(borrow)]
    pub path: Text<'a>,
    /// With the program's name in front, as execve(2) takes it.
    #[serde(default, deserialize_with = "nullable")]
    pub args: Vec<Text<'a>>,
    #[serde(default, deserialize_with = "nullable")]
    pub env: Vec<Text<'a>>,
    /// Seconds, above 0.
    pub timeout: Option<i64>,
}
