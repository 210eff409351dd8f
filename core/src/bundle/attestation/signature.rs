//! Signatures of manifests, by minisign.

use std::path::{Path, PathBuf};

use minisign_verify::{Error as Refusal, PublicKey, Signature};
use nucleus_abi::{Error, ErrorCode, Result};

use super::regular;

/// Longest signature that is read, in bytes: minisign's has four lines, of which two are comments.
const LONGEST: u64 = 64 << 10;

/// Verifies that the owner of a public key (its second line, in base64) has signed a manifest.
///
/// # Errors
/// `attestation-failed` for a signature that is missing, by another key, or of another text.
pub(super) fn verify(manifest: &Path, text: &[u8], key: &str) -> Result<()> {
    let path = signature_of(manifest);
    let refuse = |cause: &dyn std::fmt::Display, hint: &str| {
        Err(Error::new(ErrorCode::AttestationFailed, "trust the manifest of the root file system")
            .on(path.display())
            .because(cause)
            .hint(hint))
    };
    let sign = "sign the manifest with `minisign -S -m MANIFEST`, with the key that the profile trusts";
    let text_of = |file| String::from_utf8(regular::content(file, LONGEST)?).map_err(std::io::Error::other);
    let signature = match regular::open(&path).and_then(text_of) {
        Ok(signature) => signature,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return refuse(&"the signature is missing", sign);
        }
        Err(error) => return refuse(&format!("the signature cannot be read: {error}"), sign),
    };
    let verified = PublicKey::from_base64(key).and_then(|key| {
        let signature = Signature::decode(&signature)?;
        key.verify(text, &signature, false)
    });
    match verified {
        Ok(()) => Ok(()),
        Err(Refusal::UnexpectedKeyId) => refuse(
            &"it was signed with another key",
            "sign it with the key that the profile trusts, or name the right one",
        ),
        Err(Refusal::InvalidSignature) => refuse(
            &"the manifest, or the comment in its signature, is not what was signed",
            "somebody changed it: attest again, look at what differs, and sign that",
        ),
        Err(Refusal::UnsupportedLegacyMode) => {
            refuse(&"it is of minisign's old form", "sign again, without `-l`")
        }
        Err(error) => refuse(&format!("it is no signature of minisign: {error}"), sign),
    }
}

/// `MANIFEST.minisig`, as minisign(1) names it.
fn signature_of(manifest: &Path) -> PathBuf {
    let mut name = manifest.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}
