//! Profile and host facts become a plan. Pure: nothing is asked, nothing is touched, every mistake is reported.

use nucleus_abi::{Error, ErrorCode, Result};

pub(crate) use self::files::belongs_to_runtime;
use super::decided::Decided;
use super::host::HostFacts;
use super::policy::Policy;
use super::types::{Enforcement, Plan};
use crate::profile::{self, Loaded, Profile};

mod devices;
mod files;
mod namespaces;
mod network;
mod policy;
mod process;
mod resources;
mod secrets;
mod security;
mod trees;

/// Resolves a profile to a plan.
///
/// # Errors
/// `plan-invalid`, naming the line; several mistakes stand in `also`.
pub fn resolve(loaded: &Loaded, facts: &HostFacts) -> Result<Plan> {
    let mut resolver = Resolver { profile: &loaded.profile, loaded, facts, mistakes: Vec::new() };
    let plan = resolver.plan();
    combine(resolver.mistakes).map_or(Ok(plan), Err)
}

struct Resolver<'a> {
    profile: &'a Profile,
    loaded: &'a Loaded,
    facts: &'a HostFacts,
    mistakes: Vec<Error>,
}

impl Resolver<'_> {
    fn plan(&mut self) -> Plan {
        let network = self.network();
        let (volumes, tmpfs) = (self.volumes(), self.tmpfs());
        let mount_policy = Policy::of(self.loaded, self.facts);
        let admitted = self.admitted(&mount_policy);
        let (devices, devices_origin) = self.devices();
        let secrets = self.secrets(&mount_policy);
        let context = self.context(&mount_policy);
        let rootfs_access = self.rootfs_access();
        let security = self.security(&network.value, rootfs_access.value, &volumes, &tmpfs);
        Plan {
            profile: self.decided("/name", self.profile.name.clone().unwrap_or_else(|| "default".to_owned())),
            backend: self.decided("/backend", self.profile.backend.name().as_str().to_owned()),
            options: self.options(),
            enforcement: self.decided("/enforcement", self.enforcement()),
            process: self.process(),
            rootfs: self.rootfs(),
            attestation: self.attestation(),
            context,
            rootfs_access,
            volumes,
            tmpfs,
            mount_policy,
            admitted,
            devices,
            devices_origin,
            shm: self.shm(),
            secrets,
            network,
            namespaces: self.namespaces(),
            resources: self.resources(),
            security,
        }
    }

    fn decided<T>(&self, pointer: &str, value: T) -> Decided<T> {
        Decided::new(value, self.loaded.origins.of(pointer))
    }

    /// A mistake at a place of the profile.
    fn mistake(&mut self, pointer: &str, cause: impl std::fmt::Display, hint: impl std::fmt::Display) {
        let field = pointer.trim_start_matches('/').replace('/', ".");
        let subject = format!("`{field}` ({})", self.loaded.origins.of(pointer));
        self.mistakes.push(
            Error::new(ErrorCode::PlanInvalid, "make a plan of the profile")
                .on(subject)
                .because(cause)
                .hint(hint),
        );
    }

    fn options(&self) -> serde_json::Value {
        self.profile.backend.options().map_or(serde_json::Value::Null, |options| {
            serde_json::Value::Object(
                options.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            )
        })
    }

    fn enforcement(&self) -> Enforcement {
        match self.profile.enforcement {
            profile::Enforcement::Strict => Enforcement::Strict,
            profile::Enforcement::Permissive => Enforcement::Permissive,
        }
    }
}

fn combine(mut mistakes: Vec<Error>) -> Option<Error> {
    if mistakes.len() < 2 {
        return mistakes.pop();
    }
    let cause = format!("it has {} mistakes", mistakes.len());
    Some(Error::new(ErrorCode::PlanInvalid, "make a plan of the profile").because(cause).and(mistakes))
}
