//! Secrets: where each comes from, and where the workload finds it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::profile::values::{
    AbsolutePath, Bounded, Duration, EnvName, FileMode, FileName, HostPath, UserSpec,
};

/// A secret: a file that only the workload sees, on a file system in memory that is never written to a disk.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Secret {
    /// Where its content comes from, taken to the byte.
    pub source: SecretSource,
    /// What it is called in `explain` and in errors. Default: the last part of `target`, or `env`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<FileName>,
    /// The absolute path of the file in the container. Default: `/run/secrets/` and the name; none with `env`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<AbsolutePath>,
    /// The permission bits of the file, octal, in quotes, at most "0777". Default: "0400".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,
    /// Who owns the file, by number or by a name of the image. Default: the workload's user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<UserSpec>,
    /// A variable of the workload's environment that holds the secret. Every process of the workload inherits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<EnvName>,
    /// Whether the workload starts without it where its source is missing. Default: false.
    #[serde(default)]
    pub optional: bool,
}

/// Where the content of a secret comes from: one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretSource {
    /// A file of the host; a relative path is relative to the profile file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<HostPath>,
    /// A variable of nucleus' own environment, which is erased there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<EnvName>,
    /// A descriptor that nucleus inherits, read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fd: Option<Bounded<0, 65_535>>,
    /// A program and its arguments; what it writes to its standard output is the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// How long `command` may take. Default: 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// A credential that systemd gives to the service in which nucleus runs (`LoadCredential=`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<FileName>,
}

impl SecretSource {
    /// The keys that name a source.
    pub fn named(&self) -> Vec<&'static str> {
        let keys = [
            ("file", self.file.is_some()),
            ("env", self.env.is_some()),
            ("fd", self.fd.is_some()),
            ("command", self.command.is_some()),
            ("credential", self.credential.is_some()),
        ];
        keys.into_iter().filter(|(_, is_named)| *is_named).map(|(key, _)| key).collect()
    }
}

impl Secret {
    /// What it is called; `None` if nothing says it.
    pub fn called(&self) -> Option<String> {
        let named = self.name.as_ref().map(FileName::to_string);
        let target = || Some(self.target.as_ref()?.as_path().file_name()?.to_string_lossy().into_owned());
        let variable = || self.env.as_ref().map(EnvName::to_string);
        named.or_else(target).or_else(variable)
    }
}
