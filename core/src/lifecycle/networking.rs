//! A container's network on the road from `sandbox` to `create`.

use std::os::fd::{AsFd, BorrowedFd};

use nucleus_abi::{Client, Error, ErrorCode, Ledger, NetworkNamespace, NetworkWish, Result};

use super::container::Taken;
use super::process;
use super::state_root::StateRoot;
use super::workload::WantedNetwork;
use crate::bundle::GivenNetwork;
use crate::network::{Places, Prepared, Reservation, attach, reserve};

/// A place in a network, and who makes the namespace for it.
#[derive(Debug)]
pub(super) struct Networking {
    reservation: Reservation,
    /// The namespace, where it had to be there before the backend is called.
    prepared: Option<Prepared>,
}

impl Networking {
    /// Takes the place, and where the namespace must be there first makes and attaches it.
    pub(super) fn begin(wanted: &WantedNetwork<'_>, root: &StateRoot, taken: &mut Taken) -> Result<Self> {
        let boot = process::boot_id().map_err(|error| {
            Error::new(ErrorCode::SystemCall, "read the name of this boot").because(error)
        })?;
        let container = taken.directory.path();
        let places = Places { root: root.path(), container, boot };
        let id = taken.directory.id();
        let reservation = reserve(wanted.plan, wanted.attached, id, places, &mut taken.ledger)?;
        let mut networking = Self { reservation, prepared: None };
        if wanted.namespace == NetworkNamespace::BeforeCreate {
            let prepared = Prepared::make()?;
            networking.attach(prepared.as_fd(), root, &mut taken.ledger)?;
            networking.prepared = Some(prepared);
        }
        Ok(networking)
    }

    /// What the bundle needs of it.
    pub(super) fn given(&mut self) -> GivenNetwork {
        GivenNetwork {
            files: std::mem::take(&mut self.reservation.files),
            namespace: self.prepared.as_ref().map(Prepared::path),
        }
    }

    /// What the backend is told.
    pub(super) fn wish(&self) -> NetworkWish {
        match self.prepared {
            Some(_) => NetworkWish::Leave,
            None => NetworkWish::Attach,
        }
    }

    /// Attaches the namespace that the backend made.
    pub(super) fn attach(
        &self,
        namespace: BorrowedFd<'_>,
        root: &StateRoot,
        ledger: &mut Ledger,
    ) -> Result<()> {
        attach(&self.reservation, namespace, root.path(), ledger)
    }
}

/// A backend that says that it makes the namespace, and does not hand it out.
pub(super) fn no_namespace(client: &Client) -> Error {
    Error::new(ErrorCode::Protocol, "attach the container's network").on(&client.description().id).because(
        "the backend's reply to `sandbox` brings no network namespace, though its report says `owned`",
    )
}

/// The processes of a checkpoint remember a network that is gone.
pub(super) fn no_restore(wanted: &WantedNetwork<'_>) -> Error {
    Error::new(ErrorCode::NotSupported, "restore the container")
        .on(format!("`network.mode` ({})", wanted.plan.network.origin))
        .because("only containers without a network of nucleus can be restored")
}
