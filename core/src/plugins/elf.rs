//! What a shared object says of itself, read without loading it (elf(5)).
//!
//! The loader maps what the headers announce and trusts them: a file that was cut off kills the process with SIGBUS when the
//! missing part is touched, and a foreign one gives "undefined symbol". So headers, extents and the plugin's note are read first.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nucleus_abi::note::{self, Note};

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const SECTION_HEADER: u64 = 64;
/// A shared object has about ten; more are somebody's joke.
const MOST_PROGRAM_HEADERS: usize = 128;
/// Notes are some hundred bytes.
const LONGEST_NOTES: u64 = 64 << 10;

const SHARED_OBJECT: u16 = 3;
const SEGMENT_LOAD: u32 = 1;
const SEGMENT_NOTE: u32 = 4;

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// What has bytes at offsets: a file, or a test's.
pub trait Bytes {
    /// Fills the buffer from an offset.
    ///
    /// # Errors
    /// What reading says; `UnexpectedEof` where there are fewer bytes.
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Bytes for File {
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

impl Bytes for [u8] {
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let part = start.and_then(|start| self.get(start..start.checked_add(buffer.len())?));
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Why a file cannot be loaded.
#[derive(Debug)]
pub enum Unfit {
    /// It is no ELF file.
    NotElf,
    /// It ends before what its headers announce.
    Truncated {
        /// What it must have, in bytes.
        announced: u64,
        /// What it has.
        length: u64,
    },
    /// It is for another processor.
    Architecture(String),
    /// It is an ELF file and no shared object.
    NotShared,
    /// It is a shared object without the note of a plugin.
    NotAPlugin,
    /// Its headers contradict each other.
    Malformed(&'static str),
    /// It cannot be read.
    Unreadable(io::Error),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("it is no ELF file"),
            Self::Truncated { announced, length } => {
                write!(f, "it was cut off: its headers announce {announced} bytes, and it has {length}")
            }
            Self::Architecture(theirs) => {
                write!(f, "it is for {theirs}, and this nucleus for {}", std::env::consts::ARCH)
            }
            Self::NotShared => f.write_str("it is an ELF file, but no shared object"),
            Self::NotAPlugin => {
                f.write_str("it is a shared object, but no plugin of nucleus: it has no note `.note.nucleus`")
            }
            Self::Malformed(what) => write!(f, "its headers are malformed: {what}"),
            Self::Unreadable(error) => write!(f, "it cannot be read: {error}"),
        }
    }
}

impl Unfit {
    /// What the reader can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotElf | Self::NotShared | Self::NotAPlugin => {
                "name a plugin: a shared object made with `nucleus_abi::export_backend!` or `export_hook!`"
            }
            Self::Truncated { .. } | Self::Malformed(_) => {
                "install the plugin again, and compare its digest with its author's"
            }
            Self::Architecture(_) => "install the plugin's build for this machine",
            Self::Unreadable(_) => "mend the file system, or install the plugin again",
        }
    }
}

/// Reads the note of a plugin, after checking that the loader can map what the headers announce.
///
/// # Errors
/// Why it cannot be loaded.
pub fn inspect(file: &(impl Bytes + ?Sized), length: u64) -> Result<Note, Unfit> {
    let header = Header::read(file, length)?;
    let segments = header.segments(file, length)?;
    header.check_sections(length)?;
    for segment in &segments {
        check_extent(segment.offset, segment.size, length)?;
    }
    segments
        .iter()
        .filter(|segment| segment.kind == SEGMENT_NOTE)
        .find_map(|segment| note_in(file, segment).transpose())
        .unwrap_or(Err(Unfit::NotAPlugin))
}

struct Header {
    program_headers: u64,
    count: usize,
    sections: u64,
    section_count: u64,
}

impl Header {
    fn read(file: &(impl Bytes + ?Sized), length: u64) -> Result<Self, Unfit> {
        let mut magic = [0; 4];
        if length < 4 || fill(file, &mut magic, 0, length).is_err() || magic != *b"\x7fELF" {
            return Err(Unfit::NotElf);
        }
        let mut bytes = [0; HEADER];
        fill(file, &mut bytes, 0, length)?;
        let field = Fields(&bytes);
        match (bytes[4], bytes[5]) {
            (2, 1) => {}
            (1, _) => return Err(Unfit::Architecture("a 32-bit machine".to_owned())),
            (_, 2) => return Err(Unfit::Architecture("a big-endian machine".to_owned())),
            _ => return Err(Unfit::Malformed("its class and byte order are unknown")),
        }
        if field.half(18) != MACHINE {
            return Err(Unfit::Architecture(machine(field.half(18))));
        }
        if field.half(16) != SHARED_OBJECT {
            return Err(Unfit::NotShared);
        }
        let count = usize::from(field.half(56));
        if usize::from(field.half(54)) != PROGRAM_HEADER || count > MOST_PROGRAM_HEADERS {
            return Err(Unfit::Malformed("the table of segments"));
        }
        let sections = field.long(40);
        let section_count = if sections == 0 { 0 } else { u64::from(field.half(60)) };
        Ok(Self { program_headers: field.long(32), count, sections, section_count })
    }

    fn segments(&self, file: &(impl Bytes + ?Sized), length: u64) -> Result<Vec<Segment>, Unfit> {
        let mut table = vec![0; self.count * PROGRAM_HEADER];
        fill(file, &mut table, self.program_headers, length)?;
        let segments = table.chunks_exact(PROGRAM_HEADER).map(|bytes| {
            let field = Fields(bytes);
            Segment {
                kind: field.word(0),
                offset: field.long(8),
                size: field.long(32),
                align: field.long(48),
            }
        });
        // What is neither mapped nor read may lie anywhere: GNU_STACK and its like have no content.
        Ok(segments.filter(|segment| [SEGMENT_LOAD, SEGMENT_NOTE].contains(&segment.kind)).collect())
    }

    /// The loader does not read sections, but linkers put their table last: without its end, the file has lost its own.
    fn check_sections(&self, length: u64) -> Result<(), Unfit> {
        check_extent(self.sections, self.section_count * SECTION_HEADER, length)
    }
}

struct Segment {
    kind: u32,
    offset: u64,
    size: u64,
    align: u64,
}

/// The plugin's note among those of a segment.
fn note_in(file: &(impl Bytes + ?Sized), segment: &Segment) -> Result<Option<Note>, Unfit> {
    if segment.size > LONGEST_NOTES {
        return Err(Unfit::Malformed("its notes are too long"));
    }
    let mut notes = vec![0; usize::try_from(segment.size).unwrap_or_default()];
    file.fill(&mut notes, segment.offset).map_err(Unfit::Unreadable)?;
    // GNU's property notes are aligned to 8, all others to 4.
    let align = if segment.align == 8 { 8 } else { 4 };
    let mut at = 0;
    while let Some(header) = notes.get(at..at + 12) {
        let field = Fields(header);
        let owner = at + 12;
        let descriptor = next_multiple(owner, field.word(0), align);
        let end = descriptor.and_then(|descriptor| descriptor.checked_add(to_usize(field.word(4))?));
        let (Some(descriptor), Some(end)) = (descriptor, end) else { return Ok(None) };
        let ours =
            field.word(8) == note::TYPE && notes.get(owner..owner + note::OWNER.len()) == Some(&note::OWNER);
        if ours && to_usize(field.word(0)) == Some(note::OWNER.len()) {
            let note = notes.get(descriptor..end).and_then(Note::read);
            return note.map(Some).ok_or(Unfit::Malformed("its note as a plugin"));
        }
        let Some(next) = next_multiple(end, 0, align) else { return Ok(None) };
        at = next;
    }
    Ok(None)
}

fn next_multiple(start: usize, length: u32, align: usize) -> Option<usize> {
    start.checked_add(to_usize(length)?)?.checked_next_multiple_of(align)
}

fn to_usize(number: u32) -> Option<usize> {
    usize::try_from(number).ok()
}

fn check_extent(offset: u64, size: u64, length: u64) -> Result<(), Unfit> {
    let announced = offset.checked_add(size).ok_or(Unfit::Malformed("an extent without end"))?;
    if announced > length { Err(Unfit::Truncated { announced, length }) } else { Ok(()) }
}

fn fill(file: &(impl Bytes + ?Sized), buffer: &mut [u8], offset: u64, length: u64) -> Result<(), Unfit> {
    check_extent(offset, buffer.len() as u64, length)?;
    file.fill(buffer, offset).map_err(Unfit::Unreadable)
}

/// Little-endian fields of a header; one beyond its end is 0, and no header is shorter than what is read of it.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
    }

    fn half(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.bytes(at))
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes(at))
    }

    fn long(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }
}

fn machine(number: u16) -> String {
    let name = match number {
        3 => "x86",
        21 => "powerpc64",
        22 => "s390x",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        258 => "loongarch64",
        other => return format!("machine {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests;
