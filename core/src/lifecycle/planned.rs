//! A checked plan, as a source of a container.

use std::collections::BTreeMap;
use std::path::Path;

use nucleus_abi::{
    Beyond, CgroupManager, CgroupPlacement, Client, ContainerId, Error, ErrorCode, Hierarchies, Result,
};

use super::cgroup_path;
use super::examine::Examined;
use super::hooks::Hooks;
use super::workload::{Facts, Place, Source, WantedNetwork, Workload};
use crate::bundle::{Bundle, GivenNetwork, MountPoints, OCI_VERSION, Terminal, materialise};
use crate::plan::{self, Held, NetworkPlan, RootfsPlan};

impl Source for Examined {
    fn client(&self) -> &Client {
        &self.client
    }

    fn terminal(&self) -> Terminal {
        match self.plan.process.terminal.value {
            plan::Terminal::Own => Terminal::Own,
            plan::Terminal::Inherited => Terminal::None,
        }
    }

    fn hooks(&self) -> Option<&Hooks> {
        self.hooks.as_ref()
    }

    fn network(&self) -> Option<WantedNetwork<'_>> {
        let plan = &self.plan;
        match &plan.network.value {
            NetworkPlan::None | NetworkPlan::Host => None,
            NetworkPlan::Attached(network) => {
                Some(WantedNetwork::Attached { plan, network, namespace: self.network })
            }
            NetworkPlan::Container(id) => Some(WantedNetwork::Container { plan, id }),
        }
    }

    fn workload(
        &self,
        id: &ContainerId,
        own: &Path,
        mount_points: &mut MountPoints<'_>,
        network: GivenNetwork,
    ) -> Result<Workload> {
        let plan = &self.plan;
        let cgroup = cgroup_path::new(id).map_err(|error| {
            Error::new(ErrorCode::SystemCall, "choose the container's cgroup").because(error)
        })?;
        let bundle =
            materialise(plan, (&self.sources, &self.state), &cgroup, own.to_owned(), mount_points, network)?;
        Ok(Workload {
            options: plan.options.clone(),
            // The backend makes a group where a limit needs one, or where nothing else tells the container's processes.
            cgroup: Place::Ours(CgroupPlacement {
                path: cgroup,
                hierarchies: Hierarchies::Needed,
                manager: CgroupManager::Cgroupfs,
            }),
            beyond: Beyond {
                landlock: plan.security.landlock.value.clone(),
                init: plan.process.init.value,
                ..Beyond::default()
            },
            facts: facts(self, &bundle)?,
            bundle,
        })
    }
}

fn facts(examined: &Examined, bundle: &Bundle) -> Result<Facts> {
    let plan = serde_json::to_value(&examined.rows)
        .map_err(|error| Error::new(ErrorCode::SystemCall, "write the container's record").because(error))?;
    let rootfs = match &examined.plan.rootfs.value {
        RootfsPlan::Directory(path) => path.clone(),
        RootfsPlan::HostRuntime { .. } | RootfsPlan::Overlay(_) | RootfsPlan::Joined => {
            bundle.path.join("rootfs")
        }
    };
    Ok(Facts {
        oci_version: OCI_VERSION.to_owned(),
        bundle: bundle.path.clone(),
        rootfs,
        annotations: BTreeMap::new(),
        warnings: [examined.warnings(), bundle.warnings.clone()].concat(),
        plan,
        held: Some(Held::of(&examined.plan)),
        hooks: examined.hooks.clone(),
    })
}
