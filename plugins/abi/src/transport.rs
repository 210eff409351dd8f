//! How a call reaches a plugin: within this process, or over a socket. The documents are the same.

use std::fmt::Debug;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use abi_stable::std_types::{RSlice, RStr};

use crate::descriptors;
use crate::surface::{Outcome, Surface};
use crate::{Error, ErrorCode, Result};

/// Longest answer that is read, in bytes. Statistics and lists of processes take kilobytes; what is longer is a mistake, or
/// meant to do harm.
pub const LONGEST_ANSWER: usize = 16 << 20;

/// The answer to one call, before its document is read.
#[derive(Debug)]
pub struct RawAnswer {
    /// What kind of document it holds.
    pub outcome: Outcome,
    /// A JSON document.
    pub document: Vec<u8>,
    /// Descriptors that came with it.
    pub descriptors: Vec<OwnedFd>,
}

/// A way to a plugin.
pub trait Transport: Debug + Send + Sync {
    /// The plugin's [`crate::Description`] as JSON.
    ///
    /// # Errors
    /// What kept the question from the plugin, or the answer from us.
    fn describe(&self) -> Result<Vec<u8>>;

    /// Does one verb. The descriptors stay the caller's.
    ///
    /// # Errors
    /// What kept the call from the plugin, or the answer from us; what the plugin itself reports is an answer.
    fn call(&self, verb: &str, document: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<RawAnswer>;

    /// The file that the plugin was loaded or started from; `None` for one that is part of the program.
    fn file(&self) -> Option<PluginFile<'_>> {
        None
    }
}

/// The file of a plugin, as it was opened and checked.
#[derive(Debug, Clone, Copy)]
pub struct PluginFile<'a> {
    /// Where it was found.
    pub path: &'a Path,
    /// The file itself.
    pub file: BorrowedFd<'a>,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: &'a str,
    /// How it is used.
    pub form: PluginForm,
}

/// How the file of a plugin is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginForm {
    /// It is loaded into a process of nucleus.
    Library,
    /// It is executed.
    Program,
}

impl Transport for Surface {
    fn describe(&self) -> Result<Vec<u8>> {
        Ok((self.describe)().into_vec())
    }

    fn call(&self, verb: &str, document: &[u8], fds: &[BorrowedFd<'_>]) -> Result<RawAnswer> {
        let raw = descriptors::numbers(fds);
        let answer =
            (self.call)(RStr::from_str(verb), RSlice::from_slice(document), RSlice::from_slice(&raw));
        let ours = descriptors::ours(&answer.descriptors, &raw);
        // SAFETY: the protocol's rule: descriptors of an answer are open and belong to the caller.
        let descriptors = unsafe { descriptors::own(&ours) };
        if ours.len() < answer.descriptors.len() {
            return Err(Error::new(ErrorCode::Protocol, "take the descriptors of the plugin's answer")
                .because("it names one twice, or one that was only lent to it"));
        }
        // Before it is copied.
        refuse_long(answer.document.len())?;
        Ok(RawAnswer { outcome: answer.outcome, document: answer.document.into_vec(), descriptors })
    }
}

/// Refuses an answer that is longer than [`LONGEST_ANSWER`].
///
/// # Errors
/// `protocol`.
pub fn refuse_long(length: usize) -> Result<()> {
    if length <= LONGEST_ANSWER {
        return Ok(());
    }
    Err(Error::new(ErrorCode::Protocol, "read the plugin's answer")
        .because(format!("it has {length} bytes; {LONGEST_ANSWER} are allowed"))
        .hint("this is a defect of the plugin: report it to its author with this message"))
}
