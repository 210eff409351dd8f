//! Programs of extended BPF that decide about devices (bpf(2), `BPF_PROG_TYPE_CGROUP_DEVICE`).

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::syscall::{check, check_descriptor};

/// One instruction (`struct bpf_insn`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What to do.
    pub code: u8,
    registers: u8,
    /// Of a jump or of memory.
    pub offset: i16,
    /// A number.
    pub immediate: i32,
}

impl Instruction {
    /// `destination` and `source` are registers, 0 to 10.
    pub const fn new(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Self {
        // Bit fields of C: the first one has the low bits where the lowest byte comes first.
        let registers = if cfg!(target_endian = "little") {
            source << 4 | destination & 0xf
        } else {
            destination << 4 | source & 0xf
        };
        Self { code, registers, offset, immediate }
    }

    /// The register that is written.
    pub const fn destination(self) -> u8 {
        if cfg!(target_endian = "little") { self.registers & 0xf } else { self.registers >> 4 }
    }

    /// The register that is read.
    pub const fn source(self) -> u8 {
        if cfg!(target_endian = "little") { self.registers >> 4 } else { self.registers & 0xf }
    }
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// The part of `union bpf_attr` that loads; the kernel takes what follows as zero.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The part that attaches.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// Has the kernel verify a program. It needs `CAP_BPF` and `CAP_NET_ADMIN`, or `CAP_SYS_ADMIN` (EPERM).
///
/// Errors: EACCES or EINVAL for a program that the verifier refuses; ENOSYS in a kernel without bpf(2).
pub fn load_device_program(program: &[Instruction]) -> io::Result<OwnedFd> {
    let load = Load {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        count: u32::try_from(program.len()).map_err(|_| rustix::io::Errno::INVAL)?,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    // SAFETY: the structure, the instructions and the text live through the call, which copies them; it returns a new
    // descriptor, close-on-exec.
    unsafe {
        check_descriptor(libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const load, size_of::<Load>()))
    }
}

/// Attaches a program to a group of cgroup v2. An access then needs the consent of every program of the group and of those
/// above it. It stays until the group is removed.
pub fn attach_device_program(cgroup: BorrowedFd<'_>, program: &OwnedFd) -> io::Result<()> {
    let attach = Attach {
        target: cgroup.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        kind: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: the structure lives through the call, which copies it.
    check(unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &raw const attach, size_of::<Attach>()) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `r0 = verdict; exit`
    fn always(verdict: i32) -> [Instruction; 2] {
        [Instruction::new(0xb7, 0, 0, 0, verdict), Instruction::new(0x95, 0, 0, 0, 0)]
    }

    #[test]
    fn registers_come_out_as_they_went_in() {
        let instruction = Instruction::new(0x61, 9, 3, 0, 0);
        assert_eq!((instruction.destination(), instruction.source()), (9, 3));
    }

    #[test]
    fn nonsense_is_refused_by_the_verifier() {
        assert_eq!(load_device_program(&[]).unwrap_err().raw_os_error(), Some(libc::E2BIG));
        let endless = [Instruction::new(0x05, 0, 0, -1, 0)];
        assert!(load_device_program(&endless).is_err());
    }

    /// In a group of its own, if the host has cgroup v2 anywhere.
    #[test]
    fn a_program_decides_about_devices() {
        let Some(mount) = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .into_iter()
            .map(std::path::Path::new)
            .find(|mount| mount.join("cgroup.controllers").exists())
        else {
            eprintln!("skipped: cgroup v2 is not mounted here");
            return;
        };
        let group = mount.join(format!("nucleus-bpf-{}", std::process::id()));
        std::fs::create_dir(&group).unwrap();
        let directory = std::fs::File::open(&group).unwrap();
        let program = load_device_program(&always(0)).unwrap();
        attach_device_program(std::os::fd::AsFd::as_fd(&directory), &program).unwrap();
        let procs = group.join("cgroup.procs");
        let script = format!("echo $$ > {} && cat /dev/zero", procs.display());
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        while std::fs::remove_dir(&group).is_err() {
            std::thread::yield_now();
        }
        assert!(told.contains("Operation not permitted"), "{told}");
    }
}
