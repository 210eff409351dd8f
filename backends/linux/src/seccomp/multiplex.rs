//! i386's two multiplexers: `socketcall(2)` and `ipc(2)` reach calls that have numbers of their own as well.
//!
//! A profile that speaks of `socket` means both roads; libseccomp adds the second one too.

use super::condition::Condition;

const SOCKETCALL: u16 = 102;
const IPC: u16 = 117;

/// The other road to `name` on i386: the multiplexer's number, and the condition that it was asked for `name`.
pub(super) fn road(name: &str) -> Option<(u16, Condition)> {
    // The kernel takes socketcall's first argument whole, but of ipc's only the low 16 bits (the rest is a version).
    socketcall(name)
        .map(|call| (SOCKETCALL, Condition::masked(0, u64::from(u32::MAX), call)))
        .or_else(|| ipc(name).map(|call| (IPC, Condition::masked(0, 0xffff, call))))
}

/// `SYS_*` of <linux/net.h>.
fn socketcall(name: &str) -> Option<u64> {
    Some(match name {
        "socket" => 1,
        "bind" => 2,
        "connect" => 3,
        "listen" => 4,
        "accept" => 5,
        "getsockname" => 6,
        "getpeername" => 7,
        "socketpair" => 8,
        "send" => 9,
        "recv" => 10,
        "sendto" => 11,
        "recvfrom" => 12,
        "shutdown" => 13,
        "setsockopt" => 14,
        "getsockopt" => 15,
        "sendmsg" => 16,
        "recvmsg" => 17,
        "accept4" => 18,
        "recvmmsg" => 19,
        "sendmmsg" => 20,
        _ => return None,
    })
}

/// The constants of <linux/ipc.h>.
fn ipc(name: &str) -> Option<u64> {
    Some(match name {
        "semop" => 1,
        "semget" => 2,
        "semctl" => 3,
        "semtimedop" => 4,
        "msgsnd" => 11,
        "msgrcv" => 12,
        "msgget" => 13,
        "msgctl" => 14,
        "shmat" => 21,
        "shmdt" => 22,
        "shmget" => 23,
        "shmctl" => 24,
        _ => return None,
    })
}
