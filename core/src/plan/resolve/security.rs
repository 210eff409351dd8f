//! What the workload may ask of the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use nucleus_abi::{LandlockAccess, LandlockRule};
use serde_json::value::RawValue;

use super::Resolver;
use crate::plan::decided::Decided;
use crate::plan::defaults::{MASKED_PATHS, READONLY_PATHS, is_namespaced_sysctl};
use crate::plan::landlock::default_rules;
use crate::plan::network::NetworkPlan;
use crate::plan::seccomp;
use crate::plan::types::{Access, CapabilitySets, SeccompPlan, SecurityPlan, TmpfsPlan, VolumePlan};
use crate::profile::values::{AbsolutePath, CapabilityName};
use crate::profile::{Capabilities, Landlock, LandlockDefault, LandlockPaths, Origin, Seccomp, SeccompNamed};

impl Resolver<'_> {
    pub(super) fn security(
        &mut self,
        network: &NetworkPlan,
        rootfs: Access,
        volumes: &[Decided<VolumePlan>],
        tmpfs: &[Decided<TmpfsPlan>],
    ) -> SecurityPlan {
        let capabilities = self.capabilities();
        SecurityPlan {
            seccomp: self.seccomp(&capabilities.bounding),
            capabilities: self.decided("/security/capabilities", capabilities),
            landlock: self.landlock(rootfs, volumes, tmpfs),
            no_new_privileges: self
                .decided("/security/noNewPrivileges", self.profile.security.no_new_privileges),
            masked_paths: self.paths(
                "maskedPaths",
                self.profile.security.masked_paths.as_ref(),
                &MASKED_PATHS,
            ),
            readonly_paths: self.paths(
                "readonlyPaths",
                self.profile.security.readonly_paths.as_ref(),
                &READONLY_PATHS,
            ),
            sysctls: self.sysctls(network),
        }
    }

    /// That the sets lie within each other, and that none is inheritable, the profile's own rules have seen to.
    fn capabilities(&self) -> CapabilitySets {
        match &self.profile.security.capabilities {
            Capabilities::List(list) => {
                let all = names(list);
                let ambient = BTreeSet::new();
                CapabilitySets { bounding: all.clone(), effective: all.clone(), permitted: all, ambient }
            }
            Capabilities::Sets(sets) => CapabilitySets {
                bounding: names(&sets.bounding),
                effective: names(&sets.effective),
                permitted: names(&sets.permitted),
                ambient: names(&sets.ambient),
            },
        }
    }

    fn seccomp(&mut self, bounding: &BTreeSet<&'static str>) -> Decided<SeccompPlan> {
        let plan = match &self.profile.security.seccomp {
            Seccomp::Named(SeccompNamed::Unconfined) => SeccompPlan::Unconfined,
            Seccomp::Named(SeccompNamed::Default) => filter("default", seccomp::default_profile(bounding)),
            Seccomp::File(file) => {
                let name = file.file.as_path().display().to_string();
                match self.facts.seccomp.as_deref().map(seccomp::from_file) {
                    Some(Ok(document)) => filter(&name, document),
                    Some(Err(error)) => {
                        self.mistake(
                            "/security/seccomp/file",
                            &error,
                            error.hint.clone().unwrap_or_default(),
                        );
                        SeccompPlan::Unconfined
                    }
                    None => {
                        self.mistake(
                            "/security/seccomp/file",
                            format!("{name} cannot be read"),
                            "name a file with the runtime specification's `linux.seccomp` as JSON",
                        );
                        SeccompPlan::Unconfined
                    }
                }
            }
        };
        self.decided("/security/seccomp", plan)
    }

    fn landlock(
        &self,
        rootfs: Access,
        volumes: &[Decided<VolumePlan>],
        tmpfs: &[Decided<TmpfsPlan>],
    ) -> Decided<Option<Vec<LandlockRule>>> {
        let rules = match &self.profile.security.landlock {
            Landlock::Named(LandlockDefault::Off) => None,
            Landlock::Named(LandlockDefault::Default) => Some(default_rules(
                rootfs,
                volumes.iter().map(|volume| &volume.value),
                tmpfs.iter().map(|tmpfs| &tmpfs.value),
            )),
            Landlock::Paths(paths) => Some(listed_rules(paths)),
        };
        self.decided("/security/landlock", rules)
    }

    fn paths(
        &self,
        key: &str,
        listed: Option<&Vec<AbsolutePath>>,
        default: &[&str],
    ) -> Decided<Vec<PathBuf>> {
        match listed {
            _ if self.profile.namespaces.mount.is_some() => {
                self.decided("/namespaces/mount/path", Vec::new())
            }
            Some(paths) => {
                let paths = paths.iter().map(|path| path.as_path().to_owned()).collect();
                self.decided(&format!("/security/{key}"), paths)
            }
            None => Decided::new(default.iter().map(PathBuf::from).collect(), Origin::BuiltIn("default")),
        }
    }

    /// The namespace that a kernel parameter belongs to, if it is one that the profile joins.
    fn joined_owner(&self, name: &str) -> Option<&'static str> {
        let owner = match name {
            "kernel.hostname" | "kernel.domainname" => "uts",
            name if name.starts_with("net.") => "network",
            _ => "ipc",
        };
        self.profile.namespaces.joined().iter().any(|(kind, _)| *kind == owner).then_some(owner)
    }

    fn sysctls(&mut self, network: &NetworkPlan) -> BTreeMap<String, Decided<String>> {
        let mut sysctls = BTreeMap::new();
        for (name, value) in &self.profile.security.sysctls {
            let pointer = format!("/security/sysctls/{name}");
            let dotted = name.as_str().replace('/', ".");
            if let Some(kind) = self.joined_owner(&dotted) {
                self.mistake(
                    &pointer,
                    format!("`{dotted}` belongs to the {kind} namespace, which is joined: it is its owner's"),
                    format!("remove it, or `namespaces.{kind}`"),
                );
            } else if !is_namespaced_sysctl(&dotted, network) {
                self.mistake(
                    &pointer,
                    format!("`{dotted}` belongs to the host, not to the container (CVE-2022-0811)"),
                    "set it on the host; docs/profile.md lists the parameters that a container owns",
                );
            }
            sysctls.insert(dotted, self.decided(&pointer, value.as_str().to_owned()));
        }
        sysctls
    }
}

fn filter(name: &str, document: Box<RawValue>) -> SeccompPlan {
    SeccompPlan::Filter { name: name.to_owned(), document }
}

fn names(list: &[CapabilityName]) -> BTreeSet<&'static str> {
    list.iter().map(|name| name.name()).collect()
}

fn listed_rules(paths: &LandlockPaths) -> Vec<LandlockRule> {
    let rules = |paths: &[AbsolutePath], access: LandlockAccess| -> Vec<LandlockRule> {
        paths.iter().map(|path| LandlockRule { path: path.as_path().to_owned(), access }).collect()
    };
    let mut all = rules(&paths.read_only, LandlockAccess::Read);
    all.extend(rules(&paths.execute, LandlockAccess::ReadExecute));
    all.extend(rules(&paths.read_write, LandlockAccess::ReadWrite));
    all
}
