//! Runs a program on a kernel that lacks system calls: `without CALL[,CALL…] PROGRAM [ARGUMENT…]`.
//!
//! The calls fail with ENOSYS, as a filter of system calls decides that the program and all its children inherit. Needs
//! `CAP_SYS_ADMIN`: `no_new_privs` stays off, for it would change what the program may do.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};

/// The calls by their names.
const CALLS: [(&str, libc::c_long); 15] = [
    ("clone3", libc::SYS_clone3),
    ("close_range", libc::SYS_close_range),
    ("fsconfig", libc::SYS_fsconfig),
    ("fsmount", libc::SYS_fsmount),
    ("fsopen", libc::SYS_fsopen),
    ("fspick", libc::SYS_fspick),
    ("landlock_create_ruleset", libc::SYS_landlock_create_ruleset),
    ("memfd_create", libc::SYS_memfd_create),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("move_mount", libc::SYS_move_mount),
    ("open_tree", libc::SYS_open_tree),
    ("openat2", libc::SYS_openat2),
    ("pidfd_open", libc::SYS_pidfd_open),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal),
    ("statx", libc::SYS_statx),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [names, program, arguments @ ..] = words.as_slice() else {
        eprintln!("without CALL[,CALL…] PROGRAM [ARGUMENT…]; calls: {:?}", CALLS.map(|(name, _)| name));
        return ExitCode::from(2);
    };
    let failure = hide(names).err().unwrap_or_else(|| Command::new(program).args(arguments).exec());
    eprintln!("without: {names} {program}: {failure}");
    ExitCode::from(2)
}

fn hide(names: &str) -> std::io::Result<()> {
    for name in names.split(',').filter(|name| !name.is_empty()) {
        let call = CALLS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
        load(&refusing(call.ok_or(std::io::ErrorKind::InvalidInput)?))?;
    }
    Ok(())
}

/// A filter that refuses one call and allows the rest.
fn refusing(call: libc::c_long) -> [libc::sock_filter; 4] {
    let number = u32::try_from(call).expect("system calls are counted from 0");
    [
        instruction(BPF_LD | BPF_W | BPF_ABS, 0, 0),
        instruction(BPF_JMP | BPF_JEQ | BPF_K, number, 1),
        instruction(BPF_RET | BPF_K, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned(), 0),
        instruction(BPF_RET | BPF_K, libc::SECCOMP_RET_ALLOW, 0),
    ]
}

fn instruction(code: u32, value: u32, on_false: u8) -> libc::sock_filter {
    libc::sock_filter { code: u16::try_from(code).expect("16 bits"), jt: 0, jf: on_false, k: value }
}

fn load(filter: &[libc::sock_filter]) -> std::io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).expect("a short filter"),
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the filter, which outlives the call.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
