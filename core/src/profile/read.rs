//! Reading the bytes of a profile: opened once, bounded, UTF-8.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Source};
use super::parse::Document;

/// The size up to which a file is taken for a profile, in bytes.
const LARGEST: u64 = 1 << 20;

/// A file that was read, and what tells it from others whatever its name.
pub(super) struct Text {
    pub(super) source: Source,
    pub(super) identity: (u64, u64),
    /// A text that is no profile's: too large, or not UTF-8 (then the source holds what could be read).
    pub(super) mistake: Option<Diagnostic>,
}

/// Reads a profile; an `Err` means that there is no such file, or that it cannot be read.
pub(super) fn read(path: &Path) -> io::Result<Text> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(LARGEST)).unwrap_or(0) + 1);
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    let name: Arc<Path> = path.into();
    let document = Document(name.clone());
    let (text, mistake) = match String::from_utf8(bytes) {
        Ok(text) if text.len() as u64 > LARGEST => {
            (String::new(), Some(too_large(&document, metadata.len())))
        }
        Ok(text) => (text, None),
        Err(_) if metadata.len() > LARGEST => (String::new(), Some(too_large(&document, metadata.len()))),
        Err(error) => {
            let mistake = not_utf8(&document, error.as_bytes(), error.utf8_error().valid_up_to());
            (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(mistake))
        }
    };
    let identity = (metadata.dev(), metadata.ino());
    Ok(Text { source: Source { file: name, text: text.into() }, identity, mistake })
}

fn too_large(document: &Document, length: u64) -> Diagnostic {
    let size = if length > LARGEST { format!("{length} bytes long") } else { "longer than 1 MiB".to_owned() };
    Diagnostic::new(
        &document.at(1, 1),
        format!("the file is {size}; a profile has at most 1 MiB"),
        "not read",
    )
    .help("is this the right file?")
}

fn not_utf8(document: &Document, bytes: &[u8], offset: usize) -> Diagnostic {
    let before = &bytes[..offset];
    let line = before.split(|byte| *byte == b'\n').count();
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    // Everything before the offset is UTF-8, so that counting what is no continuation byte counts characters.
    let column = 1 + before[start..].iter().filter(|byte| (**byte & 0xc0) != 0x80).count();
    let byte = bytes.get(offset).copied().unwrap_or_default();
    let message = format!("the file is not UTF-8: byte {offset} is 0x{byte:02x}");
    Diagnostic::new(&document.at(line, column), message, "not UTF-8").help("save the file as UTF-8")
}
