//! Which files may be loaded: those whose digest the operator has pinned.

use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use minisign_verify::{PublicKey, Signature};
use nucleus_abi::{Error, Result};

use super::file::{Candidate, refuse};
use crate::profile::values::Sha256;

/// Longest signature that is read, in bytes: minisign's has four lines, of which two are comments.
const LONGEST_SIGNATURE: u64 = 64 << 10;

/// A file that may be loaded: whoever may say so has said so.
#[derive(Debug)]
pub struct Trusted(Candidate);

impl Trusted {
    /// A file whose digest is pinned under its name.
    ///
    /// # Errors
    /// `plugin-refused` for one that is not pinned, and for one that has another digest.
    pub fn pinned(candidate: Candidate, pin: Option<&Pin>) -> Result<Self> {
        match judge(&candidate.note().id, &candidate.sha256(), candidate.path(), pin) {
            Ok(()) => Ok(Self(candidate)),
            Err(error) => Err(error),
        }
    }

    /// The same file once more, for another process.
    ///
    /// # Errors
    /// EMFILE.
    pub(super) fn again(&self) -> std::io::Result<Self> {
        self.0.again().map(Self)
    }

    /// The copy that stays with a container: only who owns the container's directory can have written it, and the ledger beside
    /// it can do more harm than any plugin.
    pub(super) fn kept(candidate: Candidate) -> Self {
        Self(candidate)
    }

    /// A file that is to be tried, as somebody said who named it himself.
    pub fn to_be_tried(candidate: Candidate) -> Self {
        Self(candidate)
    }

    /// The file.
    pub fn candidate(&self) -> &Candidate {
        &self.0
    }
}

/// Whether the operator trusts a file of this digest under this name.
///
/// # Errors
/// `plugin-refused`.
pub(super) fn judge(id: &str, digest: &str, path: &Path, pin: Option<&Pin>) -> Result<()> {
    let remedy = format!("if you trust this file, `nucleus plugin trust {}` pins it", path.display());
    let Some(pin) = pin else {
        let cause = format!(
            "nobody trusts it: no `plugins.trust.sha256.{id}` in the profile or the system's configuration"
        );
        return Err(refuse(path, cause).hint(remedy));
    };
    if pin.digest.as_str() == digest {
        return Ok(());
    }
    let cause = format!("it has changed: its SHA-256 is {digest}, and {} pins {}", pin.by, pin.digest);
    Err(refuse(path, cause).hint(format!("find out who changed it; {remedy}")))
}

/// A digest that the operator trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The digest.
    pub digest: Sha256,
    /// Who says so, in words.
    pub by: String,
}

/// Whose signature counts: a public key of minisign.
#[derive(Debug)]
pub struct Signer(PublicKey);

impl Signer {
    /// The key itself in base64, or the `.pub` file that holds it in its second line.
    ///
    /// # Errors
    /// `invalid-argument`.
    pub fn new(key: &str) -> Result<Self> {
        let refuse = |cause: String| {
            Error::new(nucleus_abi::ErrorCode::InvalidArgument, "use this key")
                .on(key)
                .because(cause)
                .hint("give a public key of minisign (RW…), or its `.pub` file")
        };
        if let Ok(key) = PublicKey::from_base64(key) {
            return Ok(Self(key));
        }
        let text = std::fs::read_to_string(key)
            .map_err(|error| refuse(format!("no key, and as a file: {error}")))?;
        PublicKey::decode(&text).map(Self).map_err(|error| refuse(error.to_string()))
    }

    /// Verifies that the key's owner has signed a file: its signature is `FILE.minisig`, as minisign(1) names it.
    ///
    /// # Errors
    /// `plugin-refused`.
    pub fn verify(&self, candidate: &Candidate) -> Result<()> {
        let mut path = candidate.path().as_os_str().to_owned();
        path.push(".minisig");
        let refuse = |cause: String, hint: &str| {
            candidate.refuse(format!("its signature {}: {cause}", Path::new(&path).display())).hint(hint)
        };
        let sign = "ask its author for a signature made with `minisign -S`";
        let text = read_bounded(Path::new(&path)).map_err(|error| refuse(error.to_string(), sign))?;
        let signature = Signature::decode(&text).map_err(|error| refuse(error.to_string(), sign))?;
        let content = content(candidate).map_err(|error| refuse(error.to_string(), sign))?;
        self.0.verify(&content, &signature, false).map_err(|error| {
            refuse(
                error.to_string(),
                "take the key from its author over another way, and compare; or do not trust the file",
            )
        })
    }
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(LONGEST_SIGNATURE).read_to_string(&mut text)?;
    Ok(text)
}

fn content(candidate: &Candidate) -> std::io::Result<Vec<u8>> {
    let length = usize::try_from(candidate.file().metadata()?.len()).map_err(std::io::Error::other)?;
    let mut content = vec![0; length];
    candidate.file().read_exact_at(&mut content, 0)?;
    Ok(content)
}
