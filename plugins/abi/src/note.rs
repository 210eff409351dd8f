//! What a plugin's file says of itself without being loaded: an ELF note (elf(5), "Notes") of the section `.note.nucleus`.
//!
//! The host reads it before anything of the file runs, so that a file for another nucleus, or of another trade, is refused by
//! name and not by the loader's "undefined symbol". The note's form is frozen, like [`crate::surface`].

use crate::documents::{Kind, SCHEMA};

/// The owner's name in the note's header, with its NUL.
pub const OWNER: [u8; 8] = *b"nucleus\0";
/// The note's type.
pub const TYPE: u32 = 1;
/// Length of the descriptor in bytes.
pub const LENGTH: usize = 88;
/// The version of the typed surface that this crate is: major and minor.
pub const SURFACE: (u32, u32) = (1, 0);

const LONGEST_ID: usize = 64;

/// What stands in the note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The version of the typed surface: major and minor.
    pub surface: (u32, u32),
    /// Oldest and newest schema of the documents that the plugin reads.
    pub schemas: (u32, u32),
    /// What it is; `None` for a kind of a later release.
    pub kind: Option<Kind>,
    /// The name by which profiles choose it.
    pub id: String,
}

impl Note {
    /// Reads a note's descriptor; `None` for one of another form.
    pub fn read(descriptor: &[u8]) -> Option<Self> {
        if descriptor.len() < LENGTH {
            return None;
        }
        let number = |at: usize| Some(u32::from_ne_bytes(descriptor.get(at..at + 4)?.try_into().ok()?));
        let kind = match number(16)? {
            1 => Some(Kind::Backend),
            2 => Some(Kind::Hook),
            _ => None,
        };
        let length = usize::try_from(number(20)?).ok().filter(|length| (1..=LONGEST_ID).contains(length))?;
        let id =
            std::str::from_utf8(descriptor.get(24..24 + length)?).ok().filter(|id| is_id(id.as_bytes()))?;
        Some(Self {
            surface: (number(0)?, number(4)?),
            schemas: (number(8)?, number(12)?),
            kind,
            id: id.to_owned(),
        })
    }
}

/// A note as it lies in a plugin's file; the export macros make it.
#[doc(hidden)]
#[repr(C, align(4))]
#[derive(Debug)]
pub struct Section {
    owner_length: u32,
    length: u32,
    kind_of_note: u32,
    owner: [u8; 8],
    surface: [u32; 2],
    schemas: [u32; 2],
    kind: u32,
    id_length: u32,
    id: [u8; LONGEST_ID],
}

impl Section {
    /// The note of a plugin.
    ///
    /// # Panics
    /// For an id that no profile could name: the export macros ask for it while they are compiled.
    pub const fn new(kind: Kind, id: &str) -> Self {
        let bytes = id.as_bytes();
        assert!(
            is_id(bytes),
            "a plugin's id has 1 to 64 small letters, digits and `-`, and begins with a letter"
        );
        let mut padded = [0; LONGEST_ID];
        let mut at = 0;
        while at < bytes.len() {
            padded[at] = bytes[at];
            at += 1;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 88")]
        Self {
            owner_length: OWNER.len() as u32,
            length: LENGTH as u32,
            kind_of_note: TYPE,
            owner: OWNER,
            surface: [SURFACE.0, SURFACE.1],
            schemas: [SCHEMA, SCHEMA],
            kind: match kind {
                Kind::Backend => 1,
                Kind::Hook => 2,
            },
            id_length: bytes.len() as u32,
            id: padded,
        }
    }
}

/// Whether a plugin can have this id: the names of backends in profiles.
const fn is_id(bytes: &[u8]) -> bool {
    if bytes.is_empty() || bytes.len() > LONGEST_ID || !bytes[0].is_ascii_lowercase() {
        return false;
    }
    let mut at = 0;
    while at < bytes.len() {
        if !(bytes[at].is_ascii_lowercase() || bytes[at].is_ascii_digit() || bytes[at] == b'-') {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(section: &Section) -> Vec<u8> {
        let numbers =
            |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_ne_bytes()).collect::<Vec<u8>>();
        [
            numbers(&section.surface),
            numbers(&section.schemas),
            numbers(&[section.kind, section.id_length]),
            section.id.to_vec(),
        ]
        .concat()
    }

    #[test]
    fn what_is_written_is_read() {
        let written = bytes(&Section::new(Kind::Hook, "acme-2"));
        assert_eq!(written.len(), LENGTH);
        let note = Note::read(&written).unwrap();
        assert_eq!(
            note,
            Note { surface: (1, 0), schemas: (1, 1), kind: Some(Kind::Hook), id: "acme-2".into() }
        );
    }

    #[test]
    fn a_note_of_another_form_is_none() {
        let good = bytes(&Section::new(Kind::Backend, "acme"));
        assert_eq!(Note::read(&good[..LENGTH - 1]), None);
        let with = |at: usize, byte: u8| {
            let mut wrong = good.clone();
            wrong[at] = byte;
            Note::read(&wrong)
        };
        assert_eq!(with(20, 0), None, "no id");
        assert_eq!(with(20, 65), None, "an id that is longer than its room");
        assert_eq!(with(24, 0xff), None, "no UTF-8");
        assert_eq!(with(24, b'/'), None, "a path");
        assert_eq!(with(16, 9).unwrap().kind, None, "a kind of a later release");
    }
}
