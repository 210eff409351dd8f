//! The effects of making a bundle: files on disk, and descriptors that cross to the backend.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nucleus_abi::{ContainerId, Error, ErrorCode, Result};
use nucleus_sys::{Mode, OFlags};
use rustix::fs::FileType;
use serde_json::value::RawValue;

use super::attestation;
use super::chosen::{Chosen, cannot_open};
use super::config::config_json;
use super::context::{self, Reader};
use super::identity::{self, Accounts, ResolvedUser};
use super::layers::Layers;
use super::mount_points::{self, MountPoints};
use super::mounts::{CONTEXT, Mount, MountOrigin, add_provided, mounts};
use super::nested;
use super::placing;
use super::provided::{Place, PlaceKind, with_places};
use super::rootfs::{self, Owner};
use super::secrets;
use super::skeleton::{self, Item, skeleton};
use super::tree::Progress;
use crate::network::ProvidedFile;
use crate::plan::places::Tree;
use crate::plan::{Access, Decided, IdMapping, NetworkPlan, Plan, RootfsPlan, SecretFile, Sources};

/// A bundle, ready for a backend.
#[derive(Debug)]
pub struct Bundle {
    /// Its directory, with `config.json` and an empty `rootfs`.
    pub path: PathBuf,
    /// The content of `config.json`.
    pub config: Box<RawValue>,
    /// The root file system, unless a joined mount namespace has one.
    pub rootfs: Option<OwnedFd>,
    /// Sources of bind mounts, opened once, by their index among the mounts.
    pub sources: BTreeMap<usize, OwnedFd>,
    /// Namespaces to join, opened once, by their kinds.
    pub namespaces: BTreeMap<String, OwnedFd>,
    /// Secret variables of the workload, as `NAME=value` with a NUL behind each.
    pub secret_environment: Option<OwnedFd>,
    /// What was let pass.
    pub warnings: Vec<String>,
}

/// What a container gets of a network that is attached.
#[derive(Debug, Default)]
pub struct GivenNetwork {
    /// Files that tell of it.
    pub(crate) files: Vec<ProvidedFile>,
    /// The namespace that was made for it; `None`: the backend makes one.
    pub(crate) namespace: Option<PathBuf>,
}

/// Makes the bundle of a plan in `path`. `looked_at` are the sources that the plan was made with, and where nucleus keeps
/// its containers: what could not be opened then is opened and judged now. However it ends, the variables of nucleus that are
/// secrets are erased.
///
/// # Errors
/// `host-unfit` for a source that cannot be opened, and `profile-refuses` for one that the mount policy does not allow,
/// naming the profile's line; `plan-invalid` for a user that the image does not know; `system-call` for the rest.
pub fn materialise(
    plan: &Plan,
    looked_at: (&Sources, &Path),
    cgroup: &Path,
    path: PathBuf,
    mount_points: &mut MountPoints<'_>,
    network: GivenNetwork,
) -> Result<Bundle> {
    let made = make(plan, looked_at, cgroup, path, mount_points, network);
    if made.is_err() {
        secrets::erase_variables(plan)?;
    }
    made
}

fn make(
    plan: &Plan,
    looked_at: (&Sources, &Path),
    cgroup: &Path,
    path: PathBuf,
    mount_points: &mut MountPoints<'_>,
    network: GivenNetwork,
) -> Result<Bundle> {
    let mut mounts = mounts(plan);
    add_provided(&mut mounts, &network.files);
    let chosen = Chosen { plan, sources: looked_at.0, state: looked_at.1 };
    let image = open_image(plan, &|path| chosen.root(path))?;
    let accounts = accounts(plan, image.as_ref())?;
    let user = resolve_user(plan, &accounts)?;
    let mut secrets = secrets::stage(plan, &|file| secret_owner(plan, &accounts, &user, file))?;
    mounts.retain(|mount| !is_left_out(mount, &secrets.files));
    place(plan, image.as_ref(), &mut mounts)?;
    let mut sources = open_sources(&chosen, &mounts)?;
    let context = plan.context.as_ref().map(|context| chosen.context(context)).transpose()?;
    placing::refuse_links_of_mounts(plan, &mounts, &|index| match mounts[index].origin {
        MountOrigin::Context => context.as_ref().map(AsFd::as_fd),
        _ => sources.get(&index).map(AsFd::as_fd),
    })?;
    add_secrets(&mounts, &mut secrets.files, &mut sources);
    let files = network.files.into_iter().enumerate();
    sources.extend(files.filter_map(|(index, provided)| {
        let origin = MountOrigin::Provided(index);
        Some((mounts.iter().position(|mount| mount.origin == origin)?, provided.file))
    }));
    let places = places(&mounts, &sources);
    let root = open_root(plan, image, &places)?;
    let config = config_json(plan, (cgroup, network.namespace.as_deref()), &mounts, &user)?;
    write(&path, &config).map_err(|error| {
        Error::new(ErrorCode::SystemCall, "write the bundle").on(path.display()).because(error)
    })?;
    if let (Some(context), Some(source)) = (&plan.context, context) {
        let reader =
            Reader { user: plan.namespaces.user.as_ref().map(|user| &user.value), ids: (user.uid, user.gid) };
        let provided = context::provide(context, source, &reader, &path.join(CONTEXT))?;
        let is_context = |mount: &Mount| mount.origin == MountOrigin::Context;
        sources.extend(mounts.iter().position(is_context).map(|index| (index, provided)));
    }
    nested::refuse_without_place(plan, &mounts, &sources)?;
    // Last, for what was compared can change from then on; the descriptor stays the one that was compared.
    if let (Root::Image(layers), Some(attestation)) = (&root, &plan.attestation) {
        attestation::verify(layers.lowest(), &attestation.value, &Progress::default())?;
    }
    let rootfs = finish(plan, root, places, &path, mount_points)?;
    let (secret_environment, warnings) = (secrets.environment, secrets.warnings);
    let namespaces = chosen.namespaces()?;
    Ok(Bundle { path, config, rootfs, sources, namespaces, secret_environment, warnings })
}

fn write(path: &Path, config: &RawValue) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)?;
    // A backend that can only take paths mounts the root file system here.
    DirBuilder::new().mode(0o755).create(path.join("rootfs"))?;
    std::fs::write(path.join("config.json"), config.get())
}

/// A root file system that is being made.
enum Root {
    /// That of the mount namespace that is joined.
    Joined,
    /// A private one, which is whole.
    Private(OwnedFd),
    /// Directories of the host.
    Image(Layers),
}

/// Where there is nothing to place, no layers are laid over each other to look for links in.
fn place(plan: &Plan, image: Option<&Layers>, mounts: &mut [Mount]) -> Result<()> {
    if !mounts.iter().any(|mount| mount.origin.is_own()) {
        return Ok(());
    }
    match (image, &plan.rootfs.value) {
        (Some(image), _) => placing::place(plan, &Tree::new(Some(image.seen()?.as_fd())), mounts),
        (None, RootfsPlan::HostRuntime { entries }) => {
            placing::place(plan, &Tree::with_links(skeleton::links(entries)), mounts)
        }
        // The root is its owner's.
        (None, _) => Ok(()),
    }
}

/// Opens directories of the host by `open`.
fn open_image(plan: &Plan, open: &dyn Fn(&Path) -> Result<OwnedFd>) -> Result<Option<Layers>> {
    match &plan.rootfs.value {
        RootfsPlan::Joined | RootfsPlan::HostRuntime { .. } => Ok(None),
        RootfsPlan::Directory(path) => open(path).map(Layers::of_directory).map(Some),
        RootfsPlan::Overlay(overlay) => {
            let overlay = Decided::new(overlay.clone(), plan.rootfs.origin.clone());
            Layers::open(&overlay, plan.rootfs_access.value, open).map(Some)
        }
    }
}

/// The account files, where a name must be looked up in them.
fn accounts(plan: &Plan, image: Option<&Layers>) -> Result<Accounts> {
    let owners = plan.secrets.list.iter().filter_map(|secret| secret.value.file.as_ref()?.owner.as_ref());
    let mut users = owners.chain([&plan.process.user.value]);
    match image {
        Some(layers) if users.any(identity::needs_accounts) => {
            Ok(rootfs::accounts([layers.seen()?.as_fd()].into_iter()))
        }
        Some(_) => Ok(Accounts::default()),
        None => Ok(skeleton::accounts(plan)),
    }
}

/// The host's ids for the owner of a secret's file. Those of a joined user namespace the backend maps.
fn secret_owner(plan: &Plan, accounts: &Accounts, user: &ResolvedUser, file: &SecretFile) -> Result<Owner> {
    let named = file.owner.as_ref().map(|owner| identity::resolve(owner, &[], accounts));
    let ResolvedUser { uid, gid, .. } = named.unwrap_or_else(|| Ok(user.clone()))?;
    let Some(maps) = &plan.namespaces.user else { return Ok(Owner { uid, gid }) };
    let host = |map: &[IdMapping], id: u32| {
        IdMapping::host_of(map, id).ok_or_else(|| {
            Error::new(ErrorCode::PlanInvalid, "give a secret to its owner")
                .on(format!("{uid}:{gid}"))
                .because(format!("`namespaces.user` ({}) maps no id {id}", maps.origin))
        })
    };
    Ok(Owner { uid: host(&maps.value.uid_map, uid)?, gid: host(&maps.value.gid_map, gid)? })
}

/// A secret that is missing, and may be.
fn is_left_out(mount: &Mount, staged: &BTreeMap<usize, OwnedFd>) -> bool {
    matches!(mount.origin, MountOrigin::Secret(index) if !staged.contains_key(&index))
}

fn add_secrets(
    mounts: &[Mount],
    staged: &mut BTreeMap<usize, OwnedFd>,
    sources: &mut BTreeMap<usize, OwnedFd>,
) {
    for (place, mount) in mounts.iter().enumerate() {
        if let MountOrigin::Secret(index) = mount.origin {
            sources.extend(staged.remove(&index).map(|descriptor| (place, descriptor)));
        }
    }
}

fn open_root(plan: &Plan, image: Option<Layers>, places: &[Place]) -> Result<Root> {
    let RootfsPlan::HostRuntime { entries } = &plan.rootfs.value else {
        return Ok(image.map_or(Root::Joined, Root::Image));
    };
    let mut items = skeleton(plan, entries, places);
    if plan.network.value == NetworkPlan::Host {
        items.push(resolv_conf());
    }
    rootfs::private_root(&items, owner(plan)).map(Root::Private)
}

/// The mount points that an image lacks are provided in a layer; or made where they go with the container; or, in a directory
/// that the workload may write to, made there until the container goes.
fn finish(
    plan: &Plan,
    root: Root,
    wanted: Vec<Place>,
    bundle: &Path,
    mount_points: &mut MountPoints<'_>,
) -> Result<Option<OwnedFd>> {
    let layers = match root {
        Root::Joined => return Ok(None),
        Root::Private(root) => return Ok(Some(root)),
        Root::Image(layers) => layers,
    };
    let places = outermost(wanted);
    let writable = plan.rootfs_access.value == Access::ReadWrite;
    let root = match &plan.rootfs.value {
        RootfsPlan::Directory(_) if writable => {
            mount_points::make(layers.lowest(), &places, mount_points)?;
            layers.root(None)
        }
        // Root of a user namespace may make nothing in a root that is the host's.
        _ if layers.takes_mount_points() && !has_user_namespace(plan) => layers.root(None),
        _ => with_places(&layers, &places, &bundle.join("provided")),
    };
    root.map(Some)
}

fn has_user_namespace(plan: &Plan) -> bool {
    plan.namespaces.user.is_some() || plan.namespaces.joined.contains_key("user")
}

/// What lies on an earlier mount is not the image's to have.
fn outermost(wanted: Vec<Place>) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for place in wanted {
        if !places.iter().any(|earlier| place.path.starts_with(&earlier.path)) {
            places.push(place);
        }
    }
    places
}

/// Where something will be mounted, and what must be there for it.
fn places(mounts: &[Mount], sources: &BTreeMap<usize, OwnedFd>) -> Vec<Place> {
    let place = |(index, mount): (usize, &Mount)| Place {
        path: mount.destination.clone(),
        kind: sources.get(&index).map_or(PlaceKind::Directory, place_kind),
    };
    mounts.iter().enumerate().map(place).collect()
}

fn place_kind(source: &OwnedFd) -> PlaceKind {
    match rustix::fs::fstat(source).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Directory) | Err(_) => PlaceKind::Directory,
        Ok(_) => PlaceKind::File,
    }
}

/// Who shares the host's network needs the host's name servers.
fn resolv_conf() -> Item {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    Item::File("/etc/resolv.conf".into(), 0o644, text)
}

/// The ids of the host that the container's root has.
fn owner(plan: &Plan) -> Owner {
    let host = |maps: &[IdMapping]| IdMapping::host_of(maps, 0).unwrap_or(0);
    match &plan.namespaces.user {
        Some(user) => Owner { uid: host(&user.value.uid_map), gid: host(&user.value.gid_map) },
        None => Owner { uid: 0, gid: 0 },
    }
}

/// The `config.json` that [`materialise`] would write. Reads the image's account files where the user is a name, and
/// changes nothing.
///
/// # Errors
/// As for [`materialise`].
pub fn preview(plan: &Plan, id: &ContainerId) -> Result<Box<RawValue>> {
    // Nothing is mounted for it: of an overlay the layers themselves are looked at.
    let accounts = match open_image(plan, &rootfs::directory)? {
        Some(image) if identity::needs_accounts(&plan.process.user.value) => rootfs::accounts(image.all()),
        Some(_) => Accounts::default(),
        None => skeleton::accounts(plan),
    };
    // A container's own group gets something random behind the id.
    let cgroup = Path::new("/nucleus").join(id.as_str());
    config_json(plan, (&cgroup, None), &mounts(plan), &resolve_user(plan, &accounts)?)
}

fn resolve_user(plan: &Plan, accounts: &Accounts) -> Result<ResolvedUser> {
    identity::resolve(&plan.process.user.value, &plan.process.additional_groups.value, accounts).map_err(
        |error| error.hint(format!("the user is decided by {}; give numbers", plan.process.user.origin)),
    )
}

fn open_sources(chosen: &Chosen<'_>, mounts: &[Mount]) -> Result<BTreeMap<usize, OwnedFd>> {
    let of_host = mounts
        .iter()
        .enumerate()
        .filter(|(_, mount)| matches!(mount.origin, MountOrigin::Host | MountOrigin::Volume(_)));
    of_host.map(|(index, mount)| Ok((index, open_source(chosen, mount)?))).collect()
}

fn open_source(chosen: &Chosen<'_>, mount: &Mount) -> Result<OwnedFd> {
    if let MountOrigin::Volume(index) = mount.origin {
        return chosen.volume(&chosen.plan.volumes[index]);
    }
    // The host's programs and libraries, at their own paths.
    rustix::fs::open(&mount.source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| {
        cannot_open(&mount.destination, &mount.source, &chosen.plan.rootfs.origin)
            .because(io::Error::from(errno))
    })
}
