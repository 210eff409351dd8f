//! Messages and their attributes: building them, and taking them apart.

use std::io;

use rustix::io::Errno;

/// Marks an attribute that holds attributes: `NLA_F_NESTED` in `linux/netlink.h`.
const NESTED: u16 = 0x8000;
/// What of an attribute's type is its type: `NLA_TYPE_MASK`.
const TYPE: u16 = 0x3fff;

/// `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;

/// A message's body, as it is being built. What does not fit into the lengths of the protocol is found when it is taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Body {
    bytes: Vec<u8>,
    too_long: bool,
}

impl Body {
    /// Begins with the structure of the message's family.
    pub(super) fn new(header: impl Into<Vec<u8>>) -> Self {
        Self { bytes: header.into(), too_long: false }
    }

    /// `struct nlattr` and its value, filled up to a multiple of four bytes.
    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) {
        match u16::try_from(4 + value.len()) {
            Ok(length) => {
                self.bytes.extend(length.to_ne_bytes());
                self.bytes.extend(kind.to_ne_bytes());
                self.bytes.extend(value);
                self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
            }
            Err(_) => self.too_long = true,
        }
    }

    /// A text with its NUL.
    pub(super) fn text(&mut self, kind: u16, text: &str) {
        self.attribute(kind, &[text.as_bytes(), b"\0"].concat());
    }

    /// A number in the order of bytes that `nf_tables` has for all of its own.
    pub(super) fn number(&mut self, kind: u16, number: u32) {
        self.attribute(kind, &number.to_be_bytes());
    }

    /// An attribute that holds attributes.
    pub(super) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.too_long |= inner.too_long;
        self.attribute(kind | NESTED, &inner.bytes);
    }

    /// An attribute whose value is the body of a whole message.
    pub(super) fn body(&mut self, kind: u16, value: &Self) {
        self.too_long |= value.too_long;
        self.attribute(kind | NESTED, &value.bytes);
    }

    /// The whole message. EMSGSIZE for what no length can say.
    pub(super) fn message(&self, kind: u16, flags: u16, sequence: u32) -> io::Result<Vec<u8>> {
        let length = u32::try_from(HEADER + self.bytes.len()).map_err(|_| Errno::MSGSIZE)?;
        if self.too_long {
            return Err(Errno::MSGSIZE.into());
        }
        let mut message = Vec::with_capacity(HEADER + self.bytes.len());
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(sequence.to_ne_bytes());
        message.extend([0; 4]);
        message.extend(&self.bytes);
        Ok(message)
    }
}

/// A message of the kernel's.
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) sequence: u32,
    pub(super) body: &'a [u8],
}

/// The first message, and what follows it.
pub(super) fn split(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let length = usize::try_from(word(bytes, 0)?).ok()?;
    let body = bytes.get(HEADER..length)?;
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((Message { kind: half(bytes, 4)?, sequence: word(bytes, 8)?, body }, rest))
}

/// The error of a `NLMSG_ERROR`; 0 acknowledges.
pub(super) fn refused(body: &[u8]) -> Option<Errno> {
    match word(body, 0).map(u32::cast_signed) {
        Some(0) => None,
        Some(negative) => Some(Errno::from_raw_os_error(negative.wrapping_neg())),
        None => Some(Errno::BADMSG),
    }
}

/// Types and values of a row of attributes.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(half(bytes, 0)?);
        let (kind, value) = (half(bytes, 2)? & TYPE, bytes.get(4..length)?);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The first attribute of a type.
pub(super) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// A text up to its NUL.
pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

pub(super) fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_no_length_can_say_is_refused() {
        let mut body = Body::default();
        body.nested(1, |inner| inner.attribute(2, &vec![0; usize::from(u16::MAX)]));
        assert_eq!(body.message(1, 0, 0).unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
    }

    #[test]
    fn what_is_built_is_taken_apart() {
        let mut body = Body::default();
        body.text(3, "eth0");
        body.nested(7, |inner| inner.number(1, 5));
        let message = body.message(9, 0, 4).unwrap();
        let (message, rest) = split(&message).unwrap();
        assert_eq!((message.kind, message.sequence, rest.len()), (9, 4, 0));
        assert_eq!(text(attribute(message.body, 3).unwrap()), "eth0");
        assert_eq!(attribute(attribute(message.body, 7).unwrap(), 1), Some(&[0, 0, 0, 5][..]));
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = bytes.as_slice();
            while let Some((message, after)) = split(rest) {
                let _ = (refused(message.body), attributes(message.body).count());
                prop_assert!(after.len() < rest.len());
                rest = after;
            }
            let _ = (attributes(&bytes).count(), text(&bytes));
        }
    }
}
