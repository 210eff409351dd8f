//! From a system call's name to its number, for each ABI that can occur here.

mod rows;

use rows::{ELSEWHERE, ROWS};

use super::abi::Abi;

/// "This ABI has no such call." No kernel number comes near it.
const NO: u16 = u16::MAX;
/// A free slot of the index.
const FREE: u16 = u16::MAX;
/// Slots of the index: a power of two, at most half full, so that probing stays short.
const SLOTS: usize = 1024;

/// A name that was looked up: its numbers, one per ABI.
#[derive(Debug, Clone, Copy)]
pub(super) struct Syscall(&'static [u16; 4]);

impl Syscall {
    /// The call's number on `abi` (x32 without its bit 30), or `None` where the ABI lacks it.
    pub(super) fn number(self, abi: Abi) -> Option<u16> {
        let column = match abi {
            Abi::X86_64 => 0,
            Abi::X86 => 1,
            Abi::X32 => 2,
            Abi::Aarch64 => 3,
        };
        Some(self.0[column]).filter(|&number| number != NO)
    }
}

/// Looks a name up. `None`: no Linux that we know has such a call.
pub(super) fn find(name: &str) -> Option<Syscall> {
    let mut slot = slot_of(name.as_bytes());
    loop {
        let entry = INDEX[slot];
        if entry == FREE {
            return None;
        }
        let (known, syscall) = entry_at(usize::from(entry));
        if known == name {
            return Some(syscall);
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// The n-th name of both lists, in one numbering.
fn entry_at(n: usize) -> (&'static str, Syscall) {
    match ROWS.get(n) {
        Some((name, numbers)) => (name, Syscall(numbers)),
        None => (ELSEWHERE[n - ROWS.len()], Syscall(&[NO; 4])),
    }
}

/// Name → position, by open addressing, computed by the compiler: a profile names several hundred calls at each start,
/// and a search tree of strings would cost more than all the rest of the compilation.
static INDEX: [u16; SLOTS] = index();

const fn index() -> [u16; SLOTS] {
    assert!(2 * (ROWS.len() + ELSEWHERE.len()) <= SLOTS);
    let mut slots = [FREE; SLOTS];
    let mut n = 0;
    while n < ROWS.len() + ELSEWHERE.len() {
        let name = if n < ROWS.len() { ROWS[n].0 } else { ELSEWHERE[n - ROWS.len()] };
        let mut slot = slot_of(name.as_bytes());
        while slots[slot] != FREE {
            slot = (slot + 1) % SLOTS;
        }
        #[expect(clippy::cast_possible_truncation, reason = "n < SLOTS, by the assertion above")]
        {
            slots[slot] = n as u16;
        }
        n += 1;
    }
    slots
}

/// FNV-1a, folded: short names need no more.
const fn slot_of(name: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut i = 0;
    while i < name.len() {
        hash = (hash ^ name[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    (hash ^ (hash >> 15)) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_under_its_name() {
        for (name, numbers) in ROWS {
            assert_eq!(find(name).expect(name).0, numbers, "{name}");
        }
        for name in ELSEWHERE {
            assert_eq!(find(name).expect(name).0, &[NO; 4], "{name}");
        }
    }

    #[test]
    fn rows_are_sorted_and_no_number_stands_twice() {
        assert!(ROWS.is_sorted_by(|a, b| a.0 < b.0));
        for column in 0..4 {
            let mut numbers: Vec<u16> = ROWS.iter().map(|row| row.1[column]).filter(|&n| n != NO).collect();
            let all = numbers.len();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), all, "column {column}");
        }
    }

    #[test]
    fn the_native_column_agrees_with_libc() {
        let native = Abi::native();
        for (name, number) in [
            ("read", libc::SYS_read),
            ("clone3", libc::SYS_clone3),
            ("openat2", libc::SYS_openat2),
            ("ioctl", libc::SYS_ioctl),
            ("mount_setattr", libc::SYS_mount_setattr),
            ("execveat", libc::SYS_execveat),
        ] {
            assert_eq!(find(name).unwrap().number(native).map(i64::from), Some(number), "{name}");
        }
    }

    #[test]
    fn abis_differ_and_unknown_names_are_unknown() {
        let socketcall = find("socketcall").unwrap();
        assert_eq!(socketcall.number(Abi::X86), Some(102));
        assert_eq!(socketcall.number(Abi::X86_64), None);
        assert_eq!(find("ioctl").unwrap().number(Abi::X32), Some(514));
        assert!(find("out_of_cheese").is_none());
        assert!(find("").is_none());
    }
}
