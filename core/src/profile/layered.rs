//! Layers, laid one over the other and typed.

use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode};

use super::builtin::{BUILT_IN, built_in};
use super::de::{Misfit, from_node};
use super::diagnostic::{Diagnostic, Source};
use super::flags::FlagValue;
use super::load::{LoadError, Request, invalid};
use super::merge::overlay;
use super::model::{Attestation, DirectoryRootfs, OverlayRootfs, Profile, Rootfs, Seccomp};
use super::origin::Origin;
use super::origins::Origins;
use super::parse::{Document, parse};
use super::tree::Node;
use super::{rules, schema, shape, suggest};

/// The built-in defaults, the parents and the profile, one over the other.
pub(super) struct Layered {
    tree: Node,
    workloads: Option<Node>,
}

impl Layered {
    /// `layers`: the child first.
    pub(super) fn of(layers: Vec<Node>) -> Self {
        let mut tree = built_in();
        layers.into_iter().rev().for_each(|layer| overlay(&mut tree, layer));
        let workloads = tree.take("workloads");
        Self { tree, workloads }
    }

    fn entries(&self) -> impl Iterator<Item = (&str, &Node)> {
        let entries = self.workloads.iter().flat_map(Node::entries);
        entries.map(|(name, overrides)| (name.name.as_str(), overrides))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries().map(|(name, _)| name)
    }

    fn with(&self, overrides: &Node) -> Node {
        let mut tree = self.tree.clone();
        overlay(&mut tree, overrides.clone());
        tree
    }

    /// The tree without a named workload; copied only if others are still to be laid on it.
    fn bare(&mut self) -> Node {
        match self.workloads {
            Some(_) => self.tree.clone(),
            None => std::mem::replace(&mut self.tree, Node::empty_map(Origin::BuiltIn(BUILT_IN))),
        }
    }

    pub(super) fn effective(&mut self, request: &Request, sources: &[Source]) -> Result<Node, LoadError> {
        let mut tree = match request.workload {
            None => self.bare(),
            Some(name) => match self.entries().find(|(known, _)| *known == name) {
                Some((_, overrides)) => self.with(overrides),
                None => return Err(self.no_such_workload(name, sources).into()),
            },
        };
        let applied = request.flags.iter().try_for_each(|flag| flag.apply(&mut tree));
        applied.map_err(|mistake| invalid(vec![mistake], sources.to_vec()))?;
        Ok(tree)
    }

    fn no_such_workload(&self, name: &str, sources: &[Source]) -> Error {
        let names: Vec<_> = self.names().collect();
        let error = Error::new(ErrorCode::InvalidArgument, "find the named workload").on(name);
        let profile = sources
            .first()
            .map_or("the built-in profile".to_owned(), |first| first.file.display().to_string());
        let error = error.because(format!("{profile} has no workload of this name"));
        match suggest::nearest(name, names.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None if names.is_empty() => error.hint("named workloads stand under `workloads` in the profile"),
            None => error.hint(format!("it has {}", names.join(", "))),
        }
    }

    /// Types the effective tree, and every named workload that is not in force, so that none rots unseen.
    pub(super) fn accept(&self, request: &Request, effective: Node) -> Result<(Profile, Origins), Rejected> {
        let accepted = accept(effective)?;
        for (name, overrides) in self.entries() {
            if overrides.get("apiVersion").is_some() {
                return Err(Rejected::Rules(vec![version_in_workload(name, overrides)]));
            }
            if request.workload != Some(name) {
                accept(self.with(overrides))?;
            }
        }
        Ok(accepted)
    }
}

/// A tree that is no profile.
pub(super) enum Rejected {
    Shape(Box<(Node, Misfit)>),
    Rules(Vec<Diagnostic>),
}

pub(super) fn accept(tree: Node) -> Result<(Profile, Origins), Rejected> {
    let mut profile: Profile = match from_node(&tree) {
        Ok(profile) => profile,
        Err(misfit) => return Err(Rejected::Shape(Box::new((tree, misfit)))),
    };
    let origins = Origins { tree };
    let mistakes = rules::mistakes(&profile, &origins);
    if !mistakes.is_empty() {
        return Err(Rejected::Rules(mistakes));
    }
    resolve_paths(&mut profile, &origins);
    Ok((profile, origins))
}

impl Rejected {
    /// All mistakes: serde saw only the first, and only what no later layer hides.
    pub(super) fn mistakes(self, sources: &[Source], flags: &[FlagValue]) -> Vec<Diagnostic> {
        let (tree, misfit) = match self {
            Self::Shape(rejected) => *rejected,
            Self::Rules(mistakes) => return mistakes,
        };
        let layer = |source: &Source| parse(&source.text, &Document(source.file.clone())).tree;
        let layers: Vec<_> = sources.iter().filter_map(layer).collect();
        let mut found = layer_mistakes(&layers);
        found.extend(flag_mistakes(flags));
        // What is missing in the whole is a mistake of no layer; anything else was found in its layer already.
        if found.is_empty() {
            found = shape::mistakes(&schema::complete(), &tree);
        }
        if found.is_empty() {
            let origin = misfit.origin.unwrap_or_else(|| tree.origin.clone());
            found.push(Diagnostic::new(&origin, misfit.message, "here"));
        }
        found
    }
}

pub(super) fn layer_mistakes(layers: &[Node]) -> Vec<Diagnostic> {
    if layers.is_empty() {
        return Vec::new();
    }
    let schema = schema::partial();
    layers.iter().flat_map(|layer| shape::mistakes(&schema, layer)).collect()
}

pub(super) fn flag_mistakes(flags: &[FlagValue]) -> Vec<Diagnostic> {
    if flags.is_empty() {
        return Vec::new();
    }
    let mut tree = Node::empty_map(Origin::BuiltIn(BUILT_IN));
    let applied: Vec<_> = flags.iter().filter_map(|flag| flag.apply(&mut tree).err()).collect();
    [applied, shape::mistakes(&schema::partial(), &tree)].concat()
}

fn version_in_workload(name: &str, overrides: &Node) -> Diagnostic {
    let origin = overrides.get("apiVersion").map_or(&overrides.origin, |version| &version.origin);
    let label = format!("not a field of `workloads.{name}`");
    Diagnostic::new(origin, "unknown key `apiVersion`", label).help("the version holds for the whole file")
}

/// Makes the profile's host paths absolute, each relative to the file that wrote it (a flag's: to the working
/// directory).
fn resolve_paths(profile: &mut Profile, origins: &Origins) {
    if let Rootfs::Directory(rootfs) = &mut profile.rootfs {
        if let Some(path) = &mut rootfs.path {
            path.resolve_in(&directory_of(&origins.of("/rootfs/path")));
        }
        if let Some(overlay) = &mut rootfs.overlay {
            resolve_layers(overlay, origins);
        }
    }
    if let Rootfs::Directory(DirectoryRootfs { attestation: Attestation::Required(required), .. }) =
        &mut profile.rootfs
        && let Some(manifest) = &mut required.manifest
    {
        manifest.resolve_in(&directory_of(&origins.of("/rootfs/attestation/manifest")));
    }
    if let Seccomp::File(seccomp) = &mut profile.security.seccomp {
        seccomp.file.resolve_in(&directory_of(&origins.of("/security/seccomp/file")));
    }
    for (index, secret) in profile.secrets.iter_mut().enumerate() {
        if let Some(path) = &mut secret.source.file {
            path.resolve_in(&directory_of(&origins.of(&format!("/secrets/{index}/source/file"))));
        }
    }
    for (index, path) in profile.plugins.path.iter_mut().enumerate() {
        path.resolve_in(&directory_of(&origins.of(&format!("/plugins/path/{index}"))));
    }
    if let Some(context) = &mut profile.context {
        context.source.resolve_in(&directory_of(&origins.of("/context/source")));
    }
    for (index, volume) in profile.mounts.volumes.iter_mut().enumerate() {
        volume.source.resolve_in(&directory_of(&origins.of(&format!("/mounts/volumes/{index}/source"))));
    }
}

fn resolve_layers(overlay: &mut OverlayRootfs, origins: &Origins) {
    let writer = |field: &str| directory_of(&origins.of(&format!("/rootfs/overlay/{field}")));
    for (index, lower) in overlay.lower.iter_mut().enumerate() {
        lower.resolve_in(&writer(&format!("lower/{index}")));
    }
    if let Some(upper) = &mut overlay.upper {
        upper.resolve_in(&writer("upper"));
    }
    if let Some(work) = &mut overlay.work {
        work.resolve_in(&writer("work"));
    }
}

fn directory_of(origin: &Origin) -> PathBuf {
    let directory = origin.file().and_then(Path::parent).unwrap_or(Path::new(""));
    // Without a working directory (it was removed) a relative path stays relative; opening it then says so.
    std::path::absolute(directory.join(".")).unwrap_or_else(|_| directory.to_path_buf())
}
