//! From which NUMA nodes a process gets its memory (numa(7)).

use std::io;

use bitflags::bitflags;

use crate::syscall::check;

/// A mode of `set_mempolicy(2)` by the kernel's number (`include/uapi/linux/mempolicy.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Mode {
    /// The node on which it runs.
    Default = 0,
    /// One node before others.
    Preferred = 1,
    /// Only these nodes.
    Bind = 2,
    /// Page by page from each of the nodes.
    Interleave = 3,
    /// The node on which it runs, whatever was set before.
    Local = 4,
    /// These nodes before others; since Linux 5.15.
    PreferredMany = 5,
    /// As interleave, by the weights of the host; since Linux 6.9.
    WeightedInterleave = 6,
}

bitflags! {
    /// `MPOL_F_*`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct ModeFlags: i32 {
        /// `MPOL_F_NUMA_BALANCING`: the kernel may move pages among the nodes.
        const NUMA_BALANCING = 1 << 13;
        /// `MPOL_F_RELATIVE_NODES`: nodes are counted among those that are allowed.
        const RELATIVE_NODES = 1 << 14;
        /// `MPOL_F_STATIC_NODES`: nodes stay those nodes when what is allowed changes.
        const STATIC_NODES = 1 << 15;
    }
}

/// Sets the policy of the calling thread; it stays over an exec.
///
/// Errors: EINVAL for nodes that don't exist or are not allowed, none where the mode needs some, and flags that exclude each
/// other; ENOSYS in a kernel without NUMA.
pub fn set(mode: Mode, flags: ModeFlags, nodes: impl IntoIterator<Item = u16>) -> io::Result<()> {
    let mut mask: Vec<libc::c_ulong> = Vec::new();
    for node in nodes.into_iter().map(usize::from) {
        let bits = libc::c_ulong::BITS as usize;
        mask.resize(mask.len().max(node / bits + 1), 0);
        mask[node / bits] |= 1 << (node % bits);
    }
    // The kernel takes one bit less than it is told (mm/mempolicy.c, `get_nodes`).
    let bits = mask.len() * libc::c_ulong::BITS as usize + 1;
    // SAFETY: the kernel reads the words that hold `bits - 1` bits, and none if there are none.
    check(unsafe {
        libc::syscall(libc::SYS_set_mempolicy, mode as i32 | flags.bits(), mask.as_ptr(), bits)
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_child;

    fn told() -> (i32, u64) {
        let (mut mode, mut mask) = (0, [0u64; 128]);
        let bits = mask.len() * 64;
        // SAFETY: both variables live through the call, and the mask has as many bits as announced.
        let result =
            unsafe { libc::syscall(libc::SYS_get_mempolicy, &raw mut mode, mask.as_mut_ptr(), bits, 0, 0) };
        check(result).unwrap();
        (mode, mask[0])
    }

    #[test]
    fn a_policy_holds() {
        in_child(|| {
            set(Mode::Bind, ModeFlags::STATIC_NODES, [0]).unwrap();
            assert_eq!(told(), (2 | 1 << 15, 1));
            set(Mode::Preferred, ModeFlags::empty(), []).unwrap();
            set(Mode::Interleave, ModeFlags::empty(), [0]).unwrap();
            assert_eq!(told(), (3, 1));
            set(Mode::Default, ModeFlags::empty(), []).unwrap();
            assert_eq!(told(), (0, 0));
        });
    }

    #[test]
    fn nodes_that_are_not_there_are_refused() {
        in_child(|| {
            for node in [1000, u16::MAX] {
                let error = set(Mode::Bind, ModeFlags::empty(), [node]).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
            }
        });
    }
}
