use nucleus_abi::Kind;
use proptest::prelude::*;

use super::*;

/// A shared object of headers, one segment to load and one of notes.
fn object() -> Vec<u8> {
    let mut file = vec![0; HEADER + 2 * PROGRAM_HEADER];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(16, &SHARED_OBJECT.to_le_bytes());
    put(18, &MACHINE.to_le_bytes());
    put(32, &64_u64.to_le_bytes());
    put(54, &56_u16.to_le_bytes());
    put(56, &2_u16.to_le_bytes());
    let notes = notes();
    let start = HEADER + 2 * PROGRAM_HEADER;
    segment(&mut put, 64, SEGMENT_LOAD, 0, start + notes.len());
    segment(&mut put, 64 + 56, SEGMENT_NOTE, start, notes.len());
    file.extend(notes);
    file
}

fn segment(put: &mut impl FnMut(usize, &[u8]), at: usize, kind: u32, offset: usize, size: usize) {
    put(at, &kind.to_le_bytes());
    put(at + 8, &(offset as u64).to_le_bytes());
    put(at + 32, &(size as u64).to_le_bytes());
    put(at + 48, &4_u64.to_le_bytes());
}

/// Somebody else's note, and ours.
fn notes() -> Vec<u8> {
    let words = |words: [u32; 3]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let foreign = [words([4, 5, 1]), b"GNU\0".to_vec(), b"abcde\0\0\0".to_vec()].concat();
    let fields = [1_u32, 0, 1, 1, 1, 4].iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut id = [0; 64];
    id[..4].copy_from_slice(b"acme");
    let ours = [words([8, 88, 1]), note::OWNER.to_vec(), fields, id.to_vec()].concat();
    [foreign, ours].concat()
}

fn verdict(file: &[u8]) -> Result<Note, Unfit> {
    inspect(file, file.len() as u64)
}

fn with(at: usize, bytes: &[u8]) -> Unfit {
    let mut file = object();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    verdict(&file).unwrap_err()
}

#[test]
fn the_note_is_found_behind_others() {
    let note = verdict(&object()).unwrap();
    assert_eq!(note, Note { surface: (1, 0), schemas: (1, 1), kind: Some(Kind::Backend), id: "acme".into() });
}

#[test]
fn each_kind_of_unfit_file_is_called_by_its_name() {
    assert!(matches!(verdict(b"#!/bin/sh\n").unwrap_err(), Unfit::NotElf));
    assert!(matches!(verdict(b"").unwrap_err(), Unfit::NotElf));
    assert!(matches!(verdict(&object()[..40]).unwrap_err(), Unfit::Truncated { announced: 64, length: 40 }));
    assert!(matches!(with(4, &[1]), Unfit::Architecture(_)));
    assert!(matches!(with(5, &[2]), Unfit::Architecture(_)));
    assert!(matches!(with(18, &[243]), Unfit::Architecture(theirs) if theirs == "riscv64"));
    assert!(matches!(with(16, &[2]), Unfit::NotShared));
    assert!(matches!(with(54, &[55]), Unfit::Malformed(_)));
    assert!(matches!(with(64 + 8, &[0xff; 8]), Unfit::Malformed(_)));
    assert!(matches!(with(64 + 56, &[9]), Unfit::NotAPlugin));
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_noticed() {
    let whole = object();
    for length in 5..whole.len() {
        let refused = verdict(&whole[..length]).unwrap_err();
        assert!(matches!(refused, Unfit::Truncated { .. }), "{length}: {refused}");
    }
}

#[test]
fn a_table_of_sections_that_is_cut_off_is_noticed_too() {
    let mut file = object();
    let length = file.len() as u64;
    file[40..48].copy_from_slice(&length.to_le_bytes());
    file[60..62].copy_from_slice(&1_u16.to_le_bytes());
    assert!(matches!(verdict(&file).unwrap_err(), Unfit::Truncated { .. }));
    file.extend([0; 64]);
    verdict(&file).unwrap();
}

proptest! {
    #[test]
    fn no_bytes_confuse_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = verdict(&bytes);
    }

    #[test]
    fn no_change_of_a_good_file_confuses_the_reader(changes in proptest::collection::vec((0..object().len(), any::<u8>()), 1..12)) {
        let mut file = object();
        for (at, byte) in changes {
            file[at] = byte;
        }
        if let Ok(note) = verdict(&file) {
            prop_assert!(!note.id.is_empty() && !note.id.contains('/'));
        }
    }
}
