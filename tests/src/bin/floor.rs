//! The floor: the least that a start must cost, hand-written, with nothing around it.
//!
//! One `clone3` with six namespaces, a tmpfs root with the host's `/usr` read-only, `/proc`, `/dev` and `/sys`,
//! `pivot_root`, no capabilities, a small seccomp filter, `exec /bin/true`, and a wait. It has no profile, no cgroup, no
//! record of what it made, and none of the defences against a hostile image: nucleus is measured by how little it adds.

use std::ffi::CStr;
use std::io;
use std::ptr;

use rustix::fs::{CWD, Dev, FileType, Mode, mkdir, mknodat, symlink};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::mount::{mount, mount_bind, mount_change, mount_remount, unmount};
use rustix::process::{chdir, pivot_root};
use rustix::system::sethostname;
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Mounted over in the new mount namespace only; any directory that every host has will do.
const STAGE: &CStr = c"/tmp";

const NAMESPACES: libc::c_int = libc::CLONE_NEWPID
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWCGROUP;

fn main() -> io::Result<()> {
    let pid = clone_into_namespaces()?;
    if pid == 0 {
        let error = contain().expect_err("exec does not return on success");
        eprintln!("floor: {error}");
        std::process::exit(125);
    }
    std::process::exit(wait_for(pid)?);
}

/// Returns 0 in the child, the child's pid in the parent.
fn clone_into_namespaces() -> io::Result<libc::pid_t> {
    // SAFETY: all fields of clone_args are plain numbers, for which zero means "not given".
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = NAMESPACES.cast_unsigned().into();
    arguments.exit_signal = libc::SIGCHLD.cast_unsigned().into();
    // SAFETY: without CLONE_VM the child has its own copy of the memory, as after fork; this program has one thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of_val(&arguments)) };
    if pid < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(libc::pid_t::try_from(pid).expect("a pid fits"))
    }
}

fn wait_for(pid: libc::pid_t) -> io::Result<i32> {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the status, and `pid` is a child of this process.
    if unsafe { libc::waitpid(pid, &raw mut status, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) })
}

fn contain() -> io::Result<()> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    build_root()?;
    chdir(STAGE)?;
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")?;
    sethostname(b"floor")?;
    raise_loopback()?;
    drop_capabilities()?;
    filter_system_calls()?;
    execute()
}

fn build_root() -> io::Result<()> {
    let safe = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", STAGE, "tmpfs", safe, Some(c"mode=0755,size=1m"))?;
    chdir(STAGE)?;
    for directory in ["usr", "proc", "dev", "sys", "etc", "tmp"] {
        mkdir(directory, Mode::from(0o755))?;
    }
    for link in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{link}"), link)?;
    }
    mount_bind("/usr", "usr")?;
    mount_remount("usr", MountFlags::BIND | MountFlags::RDONLY | safe, "")?;
    mount("proc", "proc", "proc", safe | MountFlags::NOEXEC, None)?;
    mount("sysfs", "sys", "sysfs", safe | MountFlags::NOEXEC | MountFlags::RDONLY, None)?;
    build_dev()?;
    mount_remount(".", MountFlags::BIND | MountFlags::RDONLY | safe, "")?;
    Ok(())
}

fn build_dev() -> io::Result<()> {
    mount("tmpfs", "dev", "tmpfs", MountFlags::NOSUID, Some(c"mode=0755,size=64k"))?;
    let devices =
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
    for (name, major, minor) in devices {
        let device: Dev = rustix::fs::makedev(major, minor);
        mknodat(CWD, format!("dev/{name}"), FileType::CharacterDevice, Mode::from(0o666), device)?;
    }
    mkdir("dev/pts", Mode::from(0o755))?;
    mkdir("dev/shm", Mode::from(0o1777))?;
    let quiet = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount("devpts", "dev/pts", "devpts", quiet, Some(c"newinstance,ptmxmode=0666,mode=0620"))?;
    mount("shm", "dev/shm", "tmpfs", quiet | MountFlags::NODEV, Some(c"mode=1777,size=64m"))?;
    symlink("pts/ptmx", "dev/ptmx")?;
    Ok(())
}

fn raise_loopback() -> io::Result<()> {
    // SAFETY: plain system calls on a descriptor that is ours and a request that outlives them.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l'.cast_signed();
        request.ifr_name[1] = b'o'.cast_signed();
        request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_UP).expect("a small flag");
        if socket < 0 || libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const request) < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::close(socket);
    }
    Ok(())
}

fn drop_capabilities() -> io::Result<()> {
    // Numbers beyond the kernel's last capability give EINVAL: that is where the list ends.
    for capability in 0..64 {
        // SAFETY: prctl(PR_CAPBSET_DROP) takes a number and touches no memory.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } < 0 {
            break;
        }
    }
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: none, permitted: none, inheritable: none },
    )?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// Allows everything of this architecture but `ptrace`: the least that is a filter.
fn filter_system_calls() -> io::Result<()> {
    let (load, jump, give) = (
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        libc::BPF_RET | libc::BPF_K,
    );
    let ptrace = u32::try_from(libc::SYS_ptrace).expect("a small number");
    let program = [
        instruction(load, 4, 0, 0), // seccomp_data.arch
        instruction(jump, ARCHITECTURE, 1, 0),
        instruction(give, libc::SECCOMP_RET_KILL_PROCESS, 0, 0),
        instruction(load, 0, 0, 0), // seccomp_data.nr
        instruction(jump, ptrace, 0, 1),
        instruction(give, libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned(), 0, 0),
        instruction(give, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let count = u16::try_from(program.len()).expect("a short program");
    let filter = libc::sock_fprog { len: count, filter: program.as_ptr().cast_mut() };
    // SAFETY: the filter and its program outlive the call, which only reads them.
    let loaded =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const filter) };
    if loaded < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `AUDIT_ARCH_*` of audit.h.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: u16::try_from(code).expect("BPF codes have 16 bits"), jt, jf, k }
}

fn execute() -> io::Result<()> {
    let arguments = [c"/bin/true".as_ptr(), ptr::null()];
    let environment = [c"PATH=/usr/bin:/bin".as_ptr(), ptr::null()];
    // SAFETY: both arrays end with a null pointer, and their strings are static.
    unsafe { libc::execve(c"/bin/true".as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    Err(io::Error::last_os_error())
}
