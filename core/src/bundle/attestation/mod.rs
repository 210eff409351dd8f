//! Attestation: a manifest of a root file system, and the proof that the root file system is what it says.

mod manifest;
mod regular;
mod signature;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nucleus_abi::{Error, ErrorCode, Result};

use super::interruption;
use super::rootfs::directory;
use super::tree::{Difference, Entry, Examiner, Kind, Progress, Trouble, compare, examine};
use crate::plan::AttestationPlan;

/// What a manifest holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// Where it is.
    pub manifest: PathBuf,
    /// How many entries it has.
    pub entries: usize,
}

/// How many differences are named.
const NAMED: usize = 10;

/// Longest manifest that is read, in bytes: several million files.
const LONGEST: u64 = 1 << 30;

/// Writes the manifest of a directory; by default beside it. One that is there is replaced at once, or not at all.
///
/// # Errors
/// `host-unfit` for what cannot be read or changes meanwhile, or holds a mount; `invalid-argument` for a place inside the
/// directory.
pub fn attest(path: &Path, output: Option<&Path>, progress: &Progress) -> Result<Attested> {
    let root = directory(path)?;
    let manifest = match output {
        Some(output) => output.to_owned(),
        None => beside(root.as_fd())?,
    };
    refuse_inside(root.as_fd(), &manifest)?;
    let entries = entries(root.as_fd(), progress)?;
    refuse_mounts(&entries, path)?;
    put(&manifest, manifest::write(&entries).as_bytes()).map_err(|error| {
        Error::new(ErrorCode::SystemCall, "write the manifest").on(manifest.display()).because(error)
    })?;
    Ok(Attested { manifest, entries: entries.len() })
}

/// Verifies a directory, as a start that demands it would.
///
/// # Errors
/// As for [`verify`], and `host-unfit` for a directory that cannot be opened.
pub fn verify_directory(path: &Path, attestation: &AttestationPlan, progress: &Progress) -> Result<Attested> {
    verify(directory(path)?.as_fd(), attestation, progress)
}

/// Verifies that an open directory is what its manifest says: each name, and nothing else.
///
/// # Errors
/// `attestation-failed` for a manifest that cannot be trusted, or that differs: with the first differences in `also`.
pub(super) fn verify(
    root: BorrowedFd<'_>,
    attestation: &AttestationPlan,
    progress: &Progress,
) -> Result<Attested> {
    let manifest = match &attestation.manifest {
        Some(manifest) => manifest.clone(),
        None => beside(root)?,
    };
    let expected = read(&manifest, attestation.public_key.as_deref())?;
    let found = entries(root, progress)?;
    let differences = compare(&expected, &found);
    if differences.is_empty() {
        return Ok(Attested { manifest, entries: expected.len() });
    }
    Err(refusal(root, &manifest, &differences))
}

fn entries(root: BorrowedFd<'_>, progress: &Progress) -> Result<Vec<Entry>> {
    let examiner = Examiner { wants: &|_, _| true, is_kept: decides, progress };
    examine(root, &examiner).map_err(|Trouble { path, cause }| {
        let code = interruption::code(&cause);
        let error = Error::new(code, "read the root file system").on(path).because(cause);
        match code {
            ErrorCode::Interrupted => error,
            _ => error.hint("nobody may write to it while it is attested or verified"),
        }
    })
}

/// Whether an attribute decides what is run, or who may. The labels of the host's own security modules change with its
/// policy, and the digests of its integrity subsystem with its keys.
fn decides(name: &[u8]) -> bool {
    const LABELS: [&[u8]; 4] = [b"security.selinux", b"security.apparmor", b"security.evm", b"security.ima"];
    !LABELS.contains(&name) && !name.starts_with(b"security.SMACK64")
}

fn refusal(root: BorrowedFd<'_>, manifest: &Path, differences: &[Difference]) -> Error {
    let named = differences.iter().take(NAMED).map(|difference| {
        Error::new(ErrorCode::AttestationFailed, "trust").on(&difference.path).because(&difference.change)
    });
    let more = match differences.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; the first {NAMED} follow, {more} more do not"),
    };
    let count = differences.len();
    let differ = if count == 1 { "entry differs" } else { "entries differ" };
    Error::new(ErrorCode::AttestationFailed, "trust the root file system")
        .on(path_of(root).display())
        .because(format!("{count} {differ} from {}{more}", manifest.display()))
        .hint("if the change is meant, attest again with `nucleus rootfs attest`")
        .and(named)
}

fn refuse_mounts(entries: &[Entry], path: &Path) -> Result<()> {
    let Some(mount) = entries.iter().find(|entry| entry.kind == Kind::Mount) else { return Ok(()) };
    Err(Error::new(ErrorCode::HostUnfit, "attest the root file system")
        .on(path.display())
        .because(format!("another file system is mounted at {}", mount.path))
        .hint("unmount it"))
}

/// A manifest inside would be part of what it attests.
fn refuse_inside(root: BorrowedFd<'_>, manifest: &Path) -> Result<()> {
    let parent = match manifest.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Where there is no such directory, writing will say so.
    let parent = parent.canonicalize().unwrap_or_default();
    if !parent.starts_with(path_of(root)) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::InvalidArgument, "write the manifest")
        .on(manifest.display())
        .because("it lies inside of what it attests")
        .hint("name a place outside with `--output`"))
}

/// `NAME.nucleus-manifest` beside a directory, by the path to which it was opened.
fn beside(root: BorrowedFd<'_>) -> Result<PathBuf> {
    let path = path_of(root);
    match path.file_name() {
        Some(name) => {
            let mut name = name.to_owned();
            name.push(".nucleus-manifest");
            Ok(path.with_file_name(name))
        }
        None => Err(Error::new(ErrorCode::InvalidArgument, "find the manifest")
            .on(path.display())
            .because("nothing lies beside it")
            .hint("name the manifest")),
    }
}

fn path_of(root: BorrowedFd<'_>) -> PathBuf {
    std::fs::read_link(format!("/proc/self/fd/{}", root.as_raw_fd())).unwrap_or_default()
}

/// Reads a manifest that can be trusted: signed, where a key is named, or else written by nobody but root and ourselves.
fn read(path: &Path, public_key: Option<&str>) -> Result<Vec<Entry>> {
    let refuse = |cause: &dyn std::fmt::Display, hint: &str| {
        Error::new(ErrorCode::AttestationFailed, "trust the manifest of the root file system")
            .on(path.display())
            .because(cause)
            .hint(hint)
    };
    let make = "make it with `nucleus rootfs attest`, or name it as `rootfs.attestation.manifest`";
    let file = regular::open(path).map_err(|error| refuse(&error, make))?;
    if public_key.is_none() && is_foreign(&file).map_err(|error| refuse(&error, make))? {
        let hint = "make it root's or yours and writable by its owner alone, or have it signed and name the `publicKey`";
        return Err(refuse(&"others than root and you could have written it", hint));
    }
    let text = regular::content(file, LONGEST).map_err(|error| refuse(&error, make))?;
    if let Some(key) = public_key {
        signature::verify(path, &text, key)?;
    }
    let text = String::from_utf8(text).map_err(|_| refuse(&manifest::Malformed::Foreign, make))?;
    manifest::read(&text).map_err(|wrong| refuse(&wrong, make))
}

fn is_foreign(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    let own = rustix::process::geteuid().as_raw();
    Ok(![0, own].contains(&metadata.uid()) || metadata.mode() & 0o022 != 0)
}

/// Puts a file in its place as a whole.
fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let mut file = File::options().write(true).create_new(true).mode(0o644).open(&new)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    written.and_then(|()| std::fs::rename(&new, path)).inspect_err(|_| {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&new);
    })
}
