//! The address families for which `socket(2)` is allowed.

/// Families as aligned blocks of 1, 2, 4 or 8 numbers: (first, size). One masked comparison covers a block.
///
/// The same set as Docker's. Left out, because the kernel dropped them: `DECnet` (12), Econet (19), ATMSVC (20),
/// `IrDA` (23), WANPIPE (25), ISDN (34), CAIF (37). Left out, because containers have no need and exploits had:
/// `AF_ALG` (38, the kernel's cryptography) and `AF_VSOCK` (40, reaches virtual machines by number, across network
/// namespaces).
pub(super) const ALLOWED: [(u64, u64); 18] = [
    (0, 8),  // UNSPEC (creates nothing), UNIX, INET, AX25, IPX, APPLETALK, NETROM, BRIDGE
    (8, 4),  // ATMPVC, X25, INET6, ROSE
    (13, 1), // NETBEUI
    (14, 2), // SECURITY, KEY
    (16, 2), // NETLINK, PACKET
    (18, 1), // ASH
    (21, 1), // RDS
    (22, 1), // SNA
    (24, 1), // PPPOX
    (26, 2), // LLC, IB
    (28, 4), // MPLS, CAN, TIPC, BLUETOOTH
    (32, 2), // IUCV, RXRPC
    (35, 1), // PHONET
    (36, 1), // IEEE802154
    (39, 1), // NFC
    (41, 1), // KCM
    (42, 2), // QIPCRTR, SMC
    (44, 2), // XDP, MCTP
];

/// The mask of a block; the kernel takes the family as an `int`, so the high word of the argument doesn't count.
pub(super) const fn mask(size: u64) -> u64 {
    (u32::MAX as u64) & !(size - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_leave_out_what_is_to_be_left_out() {
        assert!(ALLOWED.iter().all(|(first, size)| size.is_power_of_two() && first % size == 0));
        let allowed = |family: u64| ALLOWED.iter().any(|&(first, size)| family & mask(size) == first);
        let refused: Vec<u64> = (0..64).filter(|&family| !allowed(family)).collect();
        let unassigned = 46..64;
        let mut expected = vec![12, 19, 20, 23, 25, 34, 37, 38, 40];
        expected.extend(unassigned);
        assert_eq!(refused, expected);
    }
}
