//! Which file lies behind an address of this process.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Whether the memory at `address` is mapped from this very file.
///
/// The file is mapped once more and the kernel's own table (`proc_pid_maps(5)`) is asked for both: the device that it prints is
/// not always the one of stat(2) (btrfs, overlayfs), but it is the same for the same file.
///
/// # Errors
/// What mmap(2) and reading `/proc/self/maps` say.
pub fn is_of(address: usize, file: impl AsFd) -> io::Result<bool> {
    const PAGE: usize = 4096;
    // SAFETY: a new private read-only mapping at an address that the kernel chooses; nothing reads it.
    let ours =
        unsafe { mmap(std::ptr::null_mut(), PAGE, ProtFlags::READ, MapFlags::PRIVATE, file.as_fd(), 0) }?;
    let table = std::fs::read_to_string("/proc/self/maps");
    // SAFETY: the mapping made above, which nothing refers to.
    unsafe { munmap(ours, PAGE) }?;
    let table = table?;
    let theirs = identity_at(&table, address);
    Ok(theirs.is_some() && theirs == identity_at(&table, ours.addr()))
}

/// Device and inode, as the table prints them, of the mapping that holds the address; `None` for memory without a file.
fn identity_at(table: &str, address: usize) -> Option<(&str, NonZeroUsize)> {
    table.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (first, last) = fields.next()?.split_once('-')?;
        let bounds = usize::from_str_radix(first, 16).ok()?..usize::from_str_radix(last, 16).ok()?;
        if !bounds.contains(&address) {
            return None;
        }
        let (device, inode) = (fields.nth(2)?, fields.next()?);
        Some((device, inode.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn our_own_code_is_of_our_own_file_and_of_no_other() {
        let code = our_own_code_is_of_our_own_file_and_of_no_other as fn() as usize;
        assert!(is_of(code, File::open("/proc/self/exe").unwrap()).unwrap());
        assert!(!is_of(code, File::open("/etc/passwd").unwrap()).unwrap());
        let local = 0;
        assert!(!is_of((&raw const local).addr(), File::open("/proc/self/exe").unwrap()).unwrap());
    }

    #[test]
    fn the_kernels_table_is_read() {
        let table = "7f10-7f20 r--p 00000000 08:01 42   /a b\n7f20-7f30 rw-p 00000000 00:00 0 \n";
        assert_eq!(identity_at(table, 0x7f10), Some(("08:01", NonZeroUsize::new(42).unwrap())));
        assert_eq!(identity_at(table, 0x7f20), None);
        assert_eq!(identity_at(table, 0x7f30), None);
    }
}
