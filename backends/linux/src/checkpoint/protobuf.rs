//! As much of protocol buffers as criu's service speaks (protobuf.dev, "Encoding"): numbers, texts, and messages in messages.

use std::io;

/// The kinds of fields on the wire.
const NUMBER: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

/// A message being written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn number(mut self, field: u32, value: impl Into<u64>) -> Self {
        self.varint(u64::from(field) << 3 | NUMBER);
        self.varint(value.into());
        self
    }

    pub(super) fn text(self, field: u32, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    pub(super) fn message(self, field: u32, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    /// One field for each of a list, as `repeated` has it.
    pub(super) fn each<T>(self, list: impl IntoIterator<Item = T>, add: impl Fn(Self, T) -> Self) -> Self {
        list.into_iter().fold(self, add)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn bytes(mut self, field: u32, bytes: &[u8]) -> Self {
        self.varint(u64::from(field) << 3 | BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl Content<'_> {
    pub(super) fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            Content::Bytes(_) => None,
        }
    }

    pub(super) fn text(self) -> Option<String> {
        match self {
            Self::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Content::Number(_) => None,
        }
    }
}

/// A message that was received.
#[derive(Debug)]
pub(super) struct Fields<'a>(Vec<(u64, Content<'a>)>);

impl<'a> Fields<'a> {
    /// # Errors
    /// `InvalidData` for what is none.
    pub(super) fn read(mut bytes: &'a [u8]) -> io::Result<Self> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            let content = match key & 7 {
                NUMBER => Content::Number(varint(&mut bytes)?),
                BYTES => {
                    let length = varint(&mut bytes)?;
                    Content::Bytes(take(&mut bytes, length)?)
                }
                FIXED_64 => Content::Bytes(take(&mut bytes, 8)?),
                FIXED_32 => Content::Bytes(take(&mut bytes, 4)?),
                _ => return Err(io::ErrorKind::InvalidData.into()),
            };
            fields.push((key >> 3, content));
        }
        Ok(Self(fields))
    }

    /// The field of this number; the last, where there are several.
    pub(super) fn get(&self, field: u64) -> Option<Content<'a>> {
        self.0.iter().rev().find(|(number, _)| *number == field).map(|(_, content)| *content)
    }

    /// The message in the field of this number.
    pub(super) fn message(&self, field: u64) -> io::Result<Option<Fields<'a>>> {
        match self.get(field) {
            Some(Content::Bytes(bytes)) => Fields::read(bytes).map(Some),
            _ => Ok(None),
        }
    }
}

fn varint(bytes: &mut &[u8]) -> io::Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = *take(bytes, 1)? else { break };
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> io::Result<&'a [u8]> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let (head, rest) = bytes.split_at_checked(length).ok_or(io::ErrorKind::InvalidData)?;
    *bytes = rest;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_as_the_specification_has_it() {
        // The examples of protobuf.dev: 150 in field 1, "testing" in field 2, the first one as field 3.
        let number = Message::default().number(1, 150_u64);
        assert_eq!(number.as_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().text(2, "testing").as_bytes(), b"\x12\x07testing");
        assert_eq!(Message::default().message(3, &number).as_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
    }

    #[test]
    fn what_is_written_is_read() {
        let inner = Message::default().text(1, "x").number(2, u64::MAX);
        let outer = Message::default().number(7, 300_u64).message(70, &inner).number(7, 4_u64);
        let fields = Fields::read(outer.as_bytes()).unwrap();
        assert_eq!(fields.get(7), Some(Content::Number(4)));
        assert_eq!(fields.get(8), None);
        let inner = fields.message(70).unwrap().unwrap();
        assert_eq!(inner.get(1).unwrap().text().as_deref(), Some("x"));
        assert_eq!(inner.get(2).unwrap().number(), Some(u64::MAX));
    }

    #[test]
    fn what_is_cut_short_or_endless_is_refused() {
        for bytes in [&[0x12, 0x07, b't'][..], &[0x08], &[0x0b], &[0xff; 12]] {
            assert_eq!(Fields::read(bytes).unwrap_err().kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
    }
}
