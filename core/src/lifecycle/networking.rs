//! A container's network on the road from `sandbox` to `create`.

use std::os::fd::{AsFd, BorrowedFd};

use nucleus_abi::{Client, ContainerId, Error, ErrorCode, Ledger, NetworkNamespace, NetworkWish, Result};

use super::container::{Taken, not_found};
use super::process;
use super::record::Record;
use super::state_root::StateRoot;
use super::workload::WantedNetwork;
use crate::bundle::GivenNetwork;
use crate::network::{Joined, Outlet, Places, Prepared, Reservation, attach, reserve};
use crate::plan::{AttachedPlan, Plan, Way};

/// A container's network, before the container.
#[derive(Debug)]
pub(super) enum Networking {
    /// A place in a network.
    Reserved {
        reservation: Reservation,
        /// What leads out of it, where that is not the host.
        outlet: Option<Outlet>,
        /// The namespace, where it had to be there before the backend is called.
        prepared: Option<Prepared>,
    },
    /// That of another container.
    Joined(Joined),
}

impl Networking {
    /// Sees to what is wanted.
    pub(super) fn begin(wanted: &WantedNetwork<'_>, root: &StateRoot, taken: &mut Taken) -> Result<Self> {
        match *wanted {
            WantedNetwork::Attached { plan, network, namespace } => {
                Self::take_place((plan, network), namespace, root, taken)
            }
            WantedNetwork::Container { id, .. } => {
                Joined::open(root.path(), id, first_process(root, id)?).map(Self::Joined)
            }
        }
    }

    /// Takes a place, and where the namespace must be there first makes and attaches it.
    fn take_place(
        (plan, network): (&Plan, &AttachedPlan),
        namespace: NetworkNamespace,
        root: &StateRoot,
        taken: &mut Taken,
    ) -> Result<Self> {
        let boot = process::boot_id().map_err(|error| {
            Error::new(ErrorCode::SystemCall, "read the name of this boot").because(error)
        })?;
        let container = taken.directory.path();
        let outlet = match &network.way {
            Way::Bridge => None,
            Way::Userspace(program) => Some(Outlet::open(program, network, container, &mut taken.ledger)?),
        };
        let places = Places { root: root.path(), container, boot };
        let id = taken.directory.id();
        let reservation = reserve(plan, network, id, (places, outlet.as_ref()), &mut taken.ledger)?;
        let prepared = match namespace {
            NetworkNamespace::BeforeCreate => Some(Prepared::make()?),
            NetworkNamespace::Owned => None,
        };
        if let Some(prepared) = &prepared {
            attach(&reservation, prepared.as_fd(), outlet.as_ref(), root.path(), &mut taken.ledger)?;
        }
        Ok(Self::Reserved { reservation, outlet, prepared })
    }

    /// What the bundle needs of it.
    pub(super) fn given(&mut self) -> GivenNetwork {
        match self {
            Self::Reserved { reservation, prepared, .. } => GivenNetwork {
                files: std::mem::take(&mut reservation.files),
                namespace: prepared.as_ref().map(Prepared::path),
            },
            Self::Joined(joined) => {
                GivenNetwork { files: std::mem::take(&mut joined.files), namespace: Some(joined.path()) }
            }
        }
    }

    /// What the backend is told.
    pub(super) fn wish(&self) -> NetworkWish {
        match self {
            Self::Reserved { prepared: None, .. } => NetworkWish::Attach,
            Self::Reserved { .. } | Self::Joined(_) => NetworkWish::Leave,
        }
    }

    /// Attaches the namespace that the backend made.
    pub(super) fn attach(
        &self,
        namespace: BorrowedFd<'_>,
        root: &StateRoot,
        ledger: &mut Ledger,
    ) -> Result<()> {
        match self {
            Self::Reserved { reservation, outlet, .. } => {
                attach(reservation, namespace, outlet.as_ref(), root.path(), ledger)
            }
            Self::Joined(_) => Ok(()),
        }
    }
}

/// The first process of a container that is there.
fn first_process(root: &StateRoot, id: &ContainerId) -> Result<u32> {
    let record = Record::read(&root.container(id))?.ok_or_else(|| not_found(root, id))?;
    let first = record.process.filter(|first| process::is_alive(*first));
    first.map(|first| first.pid).ok_or_else(|| {
        Error::new(ErrorCode::WrongState, "join the network of another container")
            .on(id)
            .because("its first process has ended, and its network with it")
            .hint("start it first")
    })
}

/// A backend that says that it makes the namespace, and does not hand it out.
pub(super) fn no_namespace(client: &Client) -> Error {
    Error::new(ErrorCode::Protocol, "attach the container's network").on(&client.description().id).because(
        "the backend's reply to `sandbox` brings no network namespace, though its report says `owned`",
    )
}

/// The processes of a checkpoint remember a network that is gone.
pub(super) fn no_restore(wanted: &WantedNetwork<'_>) -> Error {
    let (WantedNetwork::Attached { plan, .. } | WantedNetwork::Container { plan, .. }) = wanted;
    Error::new(ErrorCode::NotSupported, "restore the container")
        .on(format!("`network.mode` ({})", plan.network.origin))
        .because("only containers without a network of nucleus can be restored")
}
