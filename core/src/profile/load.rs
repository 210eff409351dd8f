//! From what the operator asked for to the effective profile.

use std::path::PathBuf;

use nucleus_abi::Error;

use super::chain::Chain;
use super::diagnostic::{Diagnostic, Diagnostics, Source};
use super::flags::FlagValue;
use super::layered::{Layered, flag_mistakes, layer_mistakes};
use super::model::Profile;
use super::origins::Origins;
use super::search::SearchPath;

/// What the operator asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request<'a> {
    /// `--profile`: a file or the name of an installed profile. Without it the operator's `default` holds, or the
    /// built-in one alone.
    pub profile: Option<&'a str>,
    /// `--workload`: the named workload of the profile that overrides the rest of it.
    pub workload: Option<&'a str>,
    /// Values of other flags, in the order in which they were typed.
    pub flags: Vec<FlagValue>,
    /// Where names are looked up.
    pub search: SearchPath,
}

/// An effective profile: parents, the named workload and the command line are applied.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The profile.
    pub profile: Profile,
    /// Who decided each of its values.
    pub origins: Origins,
    /// The files that were read, the child first; none where the built-in profile holds alone.
    pub files: Vec<PathBuf>,
    /// The names of the profile's named workloads.
    pub workloads: Vec<String>,
}

/// Why there is no effective profile.
#[derive(Debug, Clone)]
pub enum LoadError {
    /// The profile (or a flag) has mistakes.
    Invalid(Box<Diagnostics>),
    /// There is no such profile or workload, or it cannot be read.
    Failed(Box<Error>),
}

impl From<Error> for LoadError {
    fn from(error: Error) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Invalid(diagnostics) => diagnostics.into_error(),
            LoadError::Failed(error) => *error,
        }
    }
}

/// Loads the effective profile. Precedence: flags, named workload, profile, parent, built-in default.
///
/// A mistake that a later layer hides does no harm here; [`check`] finds it all the same.
pub fn load(request: &Request) -> Result<Loaded, LoadError> {
    load_with(request, Scrutiny::Effective)
}

/// Like [`load`], and examines every layer and every named workload too, whether they are in force or not.
pub fn check(request: &Request) -> Result<Loaded, LoadError> {
    load_with(request, Scrutiny::Everything)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scrutiny {
    Effective,
    Everything,
}

fn load_with(request: &Request, scrutiny: Scrutiny) -> Result<Loaded, LoadError> {
    let chain = match request.search.find(request.profile)? {
        Some(file) => Chain::read(&file)?,
        None => Chain::default(),
    };
    let Chain { layers, sources, mistakes, .. } = chain;
    if !mistakes.is_empty() || scrutiny == Scrutiny::Everything {
        let mistakes = [mistakes, layer_mistakes(&layers), flag_mistakes(&request.flags)].concat();
        if !mistakes.is_empty() {
            return Err(invalid(mistakes, sources));
        }
    }
    let mut layered = Layered::of(layers);
    let effective = layered.effective(request, &sources)?;
    let (profile, origins) = match layered.accept(request, effective) {
        Ok(accepted) => accepted,
        Err(rejected) => return Err(invalid(rejected.mistakes(&sources, &request.flags), sources)),
    };
    let files = sources.iter().map(|source| source.file.to_path_buf()).collect();
    Ok(Loaded { profile, origins, files, workloads: layered.names().map(str::to_owned).collect() })
}

pub(super) fn invalid(mistakes: Vec<Diagnostic>, sources: Vec<Source>) -> LoadError {
    LoadError::Invalid(Box::new(Diagnostics::new(mistakes, sources)))
}
