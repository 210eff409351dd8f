//! What a workload tries from inside: mounted into containers by the end-to-end tests.
//!
//! - `probe calls`: makes system calls that a default filter refuses, each in a process of its own, and prints
//!   `<name> <errno name, ok, or what killed it>`.
//! - `probe hog BYTES`: takes memory and touches every page, then prints `done`.
//! - `probe forks`: forks sleeping children until the kernel refuses, prints how many there were, and ends them.
//! - `probe inject FD`: tries to type into the terminal (TIOCSTI, TIOCLINUX), with plain and with high bits in the
//!   request.

use std::env;
use std::io;
use std::process::ExitCode;

use libc::c_long;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["calls"] => calls(),
        ["hog", bytes] => hog(bytes.parse().expect("a number of bytes")),
        ["forks"] => forks(),
        ["inject", fd] => inject(fd.parse().expect("a descriptor")),
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}

/// A system call with the arguments to try it with. `-1` everywhere is harmless: where the call is allowed, the kernel
/// finds no memory, descriptor or flag like that.
struct Call {
    name: &'static str,
    number: c_long,
    arguments: [c_long; 6],
}

const fn call(name: &'static str, number: c_long) -> Call {
    Call { name, number, arguments: [-1; 6] }
}

const fn call_with(name: &'static str, number: c_long, first: [c_long; 3]) -> Call {
    let [a, b, c] = first;
    Call { name, number, arguments: [a, b, c, 0, 0, 0] }
}

/// What the default profile refuses a workload that has no capabilities.
const REFUSED: &[Call] = &[
    call("acct", libc::SYS_acct),
    call("add_key", libc::SYS_add_key),
    call("bpf", libc::SYS_bpf),
    call_with("chroot", libc::SYS_chroot, [0, 0, 0]),
    call("clock_settime", libc::SYS_clock_settime),
    call_with(
        "clone:CLONE_NEWCGROUP",
        libc::SYS_clone,
        [(libc::CLONE_NEWCGROUP | libc::SIGCHLD) as c_long, 0, 0],
    ),
    call_with("clone:CLONE_NEWIPC", libc::SYS_clone, [(libc::CLONE_NEWIPC | libc::SIGCHLD) as c_long, 0, 0]),
    call_with("clone:CLONE_NEWNET", libc::SYS_clone, [(libc::CLONE_NEWNET | libc::SIGCHLD) as c_long, 0, 0]),
    call_with("clone:CLONE_NEWNS", libc::SYS_clone, [(libc::CLONE_NEWNS | libc::SIGCHLD) as c_long, 0, 0]),
    call_with("clone:CLONE_NEWPID", libc::SYS_clone, [(libc::CLONE_NEWPID | libc::SIGCHLD) as c_long, 0, 0]),
    call_with(
        "clone:CLONE_NEWUSER",
        libc::SYS_clone,
        [(libc::CLONE_NEWUSER | libc::SIGCHLD) as c_long, 0, 0],
    ),
    call_with("clone:CLONE_NEWUTS", libc::SYS_clone, [(libc::CLONE_NEWUTS | libc::SIGCHLD) as c_long, 0, 0]),
    call_with("clone3", libc::SYS_clone3, [0, 0, 0]),
    call("delete_module", libc::SYS_delete_module),
    call("fanotify_init", libc::SYS_fanotify_init),
    call("finit_module", libc::SYS_finit_module),
    call("fsconfig", libc::SYS_fsconfig),
    call("fsmount", libc::SYS_fsmount),
    call("fsopen", libc::SYS_fsopen),
    call("fspick", libc::SYS_fspick),
    call("get_mempolicy", libc::SYS_get_mempolicy),
    call("init_module", libc::SYS_init_module),
    call("io_uring_enter", libc::SYS_io_uring_enter),
    call("io_uring_register", libc::SYS_io_uring_register),
    call("io_uring_setup", libc::SYS_io_uring_setup),
    call("kexec_file_load", libc::SYS_kexec_file_load),
    call("kexec_load", libc::SYS_kexec_load),
    call("kcmp", libc::SYS_kcmp),
    call("keyctl", libc::SYS_keyctl),
    call("lookup_dcookie", libc::SYS_lookup_dcookie),
    call("mbind", libc::SYS_mbind),
    call("mount", libc::SYS_mount),
    call("mount_setattr", libc::SYS_mount_setattr),
    call("move_mount", libc::SYS_move_mount),
    call("move_pages", libc::SYS_move_pages),
    call("migrate_pages", libc::SYS_migrate_pages),
    call("nfsservctl", libc::SYS_nfsservctl),
    call("open_by_handle_at", libc::SYS_open_by_handle_at),
    call("open_tree", libc::SYS_open_tree),
    call("perf_event_open", libc::SYS_perf_event_open),
    call_with("personality:ADDR_NO_RANDOMIZE", libc::SYS_personality, [0x0004_0000, 0, 0]),
    call("pidfd_getfd", libc::SYS_pidfd_getfd),
    call("pivot_root", libc::SYS_pivot_root),
    call("process_madvise", libc::SYS_process_madvise),
    call("quotactl", libc::SYS_quotactl),
    call("quotactl_fd", libc::SYS_quotactl_fd),
    call("reboot", libc::SYS_reboot),
    call("request_key", libc::SYS_request_key),
    call("setdomainname", libc::SYS_setdomainname),
    call("sethostname", libc::SYS_sethostname),
    call("set_mempolicy", libc::SYS_set_mempolicy),
    call("set_mempolicy_home_node", libc::SYS_set_mempolicy_home_node),
    call("setns", libc::SYS_setns),
    call("settimeofday", libc::SYS_settimeofday),
    call_with("socket:AF_VSOCK", libc::SYS_socket, [40, libc::SOCK_STREAM as c_long, 0]),
    call("swapoff", libc::SYS_swapoff),
    call("swapon", libc::SYS_swapon),
    call("syslog", libc::SYS_syslog),
    call("umount2", libc::SYS_umount2),
    call_with("unshare", libc::SYS_unshare, [0, 0, 0]),
    call_with("unshare:CLONE_NEWUSER", libc::SYS_unshare, [libc::CLONE_NEWUSER as c_long, 0, 0]),
    call("userfaultfd", libc::SYS_userfaultfd),
    call("vhangup", libc::SYS_vhangup),
    #[cfg(target_arch = "x86_64")]
    call("_sysctl", libc::SYS__sysctl),
    #[cfg(target_arch = "x86_64")]
    call("ioperm", libc::SYS_ioperm),
    #[cfg(target_arch = "x86_64")]
    call("iopl", libc::SYS_iopl),
    #[cfg(target_arch = "x86_64")]
    call("sysfs", libc::SYS_sysfs),
    #[cfg(target_arch = "x86_64")]
    call("uselib", libc::SYS_uselib),
    #[cfg(target_arch = "x86_64")]
    call("ustat", libc::SYS_ustat),
];

fn calls() {
    for call in REFUSED {
        println!("{} {}", call.name, in_a_child(|| try_call(call)));
    }
}

/// The errno of a call, 0 when it succeeds.
fn try_call(call: &Call) -> i32 {
    let with = call.arguments;
    // SAFETY: the arguments are no valid addresses, so that the kernel cannot write into this process; what an allowed
    // call changes (a namespace, a new child) dies with the child process that makes it.
    let result = unsafe { libc::syscall(call.number, with[0], with[1], with[2], with[3], with[4], with[5]) };
    if result < 0 { io::Error::last_os_error().raw_os_error().unwrap_or(0) } else { 0 }
}

fn in_a_child(body: impl Fn() -> i32) -> String {
    // SAFETY: this program has one thread, so that the child may do anything.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: ends the child without running the parent's exit handlers.
        unsafe { libc::_exit(body()) };
    }
    let mut status = 0;
    // SAFETY: `status` is a valid place and `pid` a child.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    if libc::WIFSIGNALED(status) {
        return format!("killed by {}", libc::WTERMSIG(status));
    }
    match libc::WEXITSTATUS(status) {
        0 => "ok".to_owned(),
        libc::EPERM => "EPERM".to_owned(),
        libc::ENOSYS => "ENOSYS".to_owned(),
        other => format!("errno {other}"),
    }
}

fn hog(bytes: usize) {
    let mut memory = vec![0_u8; bytes];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    println!("done {}", memory.iter().step_by(4096).map(|byte| usize::from(*byte)).sum::<usize>());
}

fn forks() {
    let mut children = Vec::new();
    // The bound is only there to spare the host when no limit holds.
    while children.len() < 20_000 {
        // SAFETY: this program has one thread; the child only sleeps.
        match unsafe { libc::fork() } {
            // SAFETY: pause waits for a signal and touches no memory.
            0 => unsafe {
                libc::pause();
                libc::_exit(0)
            },
            pid if pid > 0 => children.push(pid),
            _ => break,
        }
    }
    let refused = io::Error::last_os_error();
    for pid in &children {
        // SAFETY: signals and waits for children of this process only.
        unsafe {
            libc::kill(*pid, libc::SIGKILL);
            libc::waitpid(*pid, std::ptr::null_mut(), 0);
        }
    }
    println!("{} {}", children.len(), refused.raw_os_error().unwrap_or(0));
}

/// CVE-2017-5226: the kernel looks at the low 32 bits of the request only, so a filter must too. TIOCLINUX pastes on a
/// console (CVE-2023-28100 of Flatpak).
fn inject(fd: i32) {
    for request in [libc::TIOCSTI, libc::TIOCLINUX] {
        for high in [0, 1_i64 << 32, 0xffff_ffff_i64 << 32] {
            let request = high | c_long::try_from(request).expect("a request has 32 bits");
            let byte = b'X';
            // SAFETY: both requests read one byte at the address given; `X` is no TIOCLINUX command.
            let result = unsafe { libc::syscall(libc::SYS_ioctl, fd, request, &raw const byte) };
            let error = io::Error::last_os_error().raw_os_error().unwrap_or(0);
            println!("{}", if result == 0 { "typed".to_owned() } else { format!("errno {error}") });
        }
    }
}
