//! Descriptors that accompany a document.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::documents::DescriptorIndex;
use crate::{Error, ErrorCode, Result};

/// The descriptors of a request. They are the caller's: duplicate what must outlive the call.
#[derive(Debug, Clone, Copy)]
pub struct Descriptors<'a>(&'a [BorrowedFd<'a>]);

impl<'a> Descriptors<'a> {
    /// A view of borrowed descriptors.
    pub fn new(descriptors: &'a [BorrowedFd<'a>]) -> Self {
        Self(descriptors)
    }

    /// The descriptor that a document names by its index.
    ///
    /// # Errors
    /// `protocol` when there is none at this index.
    pub fn get(&self, index: DescriptorIndex) -> Result<BorrowedFd<'a>> {
        self.0.get(index).copied().ok_or_else(|| {
            Error::new(ErrorCode::Protocol, "read a descriptor of the message")
                .on(format!("index {index}"))
                .because(format!("the message came with {} descriptors", self.0.len()))
        })
    }
}

/// A reply and the descriptors that go to the caller with it.
#[derive(Debug)]
pub struct Reply<T> {
    /// The document.
    pub document: T,
    /// Its descriptors, by the indices that the document uses.
    pub descriptors: Vec<OwnedFd>,
}

impl<T> Reply<T> {
    /// A reply without descriptors.
    pub fn plain(document: T) -> Self {
        Self { document, descriptors: Vec::new() }
    }

    /// Takes the descriptor at an index; each can be taken once.
    ///
    /// # Errors
    /// `protocol` when the reply came without it.
    pub fn take(descriptors: &mut [Option<OwnedFd>], index: DescriptorIndex) -> Result<OwnedFd> {
        descriptors.get_mut(index).and_then(Option::take).ok_or_else(|| {
            Error::new(ErrorCode::Protocol, "take a descriptor of the reply").on(format!("index {index}"))
        })
    }
}

/// Borrows raw descriptors for as long as the call that brought them.
///
/// # Safety
/// Each number is an open descriptor and stays open for `'a`.
pub(crate) unsafe fn borrow<'a>(raw: &[RawFd]) -> Result<Vec<BorrowedFd<'a>>> {
    if let Some(bad) = raw.iter().find(|fd| **fd < 0) {
        return Err(Error::new(ErrorCode::Protocol, "read the descriptors of a message").on(bad));
    }
    // SAFETY: not negative (checked above), open and kept open by the caller's promise.
    Ok(raw.iter().map(|fd| unsafe { BorrowedFd::borrow_raw(*fd) }).collect())
}

/// The last of the standard descriptors.
const STANDARD_ERROR: RawFd = 2;

/// What a plugin returned, without what would be closed twice (a number that it names twice, or one that was only lent to it) and
/// what can be no plugin's (a standard descriptor, a negative number).
pub(crate) fn ours(returned: &[RawFd], lent: &[RawFd]) -> Vec<RawFd> {
    let mut numbers: Vec<RawFd> = Vec::with_capacity(returned.len());
    for number in returned {
        if *number > STANDARD_ERROR && !numbers.contains(number) && !lent.contains(number) {
            numbers.push(*number);
        }
    }
    numbers
}

/// Takes over descriptors that a plugin returned.
///
/// # Safety
/// Each number is an open descriptor that nobody else closes.
pub(crate) unsafe fn own(raw: &[RawFd]) -> Vec<OwnedFd> {
    // SAFETY: by the caller's promise each descriptor is open and ours; negative numbers are left out.
    raw.iter().filter(|fd| **fd >= 0).map(|fd| unsafe { OwnedFd::from_raw_fd(*fd) }).collect()
}

/// The numbers of descriptors that stay the caller's.
pub(crate) fn numbers(descriptors: &[BorrowedFd<'_>]) -> Vec<RawFd> {
    descriptors.iter().map(AsRawFd::as_raw_fd).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_descriptor_is_owned_twice() {
        assert_eq!(ours(&[7, 9, 7, 3, -1, 0], &[3, 4]), [7, 9]);
    }
}
