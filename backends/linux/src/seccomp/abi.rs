//! The system call ABIs: who enters the kernel how, and what the filter sees of it.

use crate::config::document::Architecture;

/// Bit 30 of the number marks an x32 call; `seccomp_data.arch` is the same as for x86-64
/// (`__X32_SYSCALL_BIT`, seccomp(2) "Caveats").
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// A way into the kernel that has its own table of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abi {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86 (`int 0x80`), open to every 64-bit process as well.
    X86,
    /// 64-bit x86 with 32-bit pointers.
    X32,
    /// 64-bit Arm.
    Aarch64,
}

impl Abi {
    /// All for which there are tables.
    pub(crate) const ALL: [Self; 4] = [Self::X86_64, Self::X86, Self::X32, Self::Aarch64];

    /// The name that the runtime specification gives it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "SCMP_ARCH_X86_64",
            Self::X86 => "SCMP_ARCH_X86",
            Self::X32 => "SCMP_ARCH_X32",
            Self::Aarch64 => "SCMP_ARCH_AARCH64",
        }
    }

    /// The ABI that this program itself speaks.
    pub(crate) const fn native() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 }
    }

    /// Those that `profile` opens on a machine whose own ABI is `native`, which always is among them
    /// (libseccomp's rule: an architecture is added to the native one).
    ///
    /// What can't occur on this machine needs no table; arm (32-bit) on arm64 has none yet and is killed.
    pub(super) fn opened(profile: &[Architecture], native: Self) -> Vec<Self> {
        let guests: &[(Architecture, Self)] = match native {
            Self::X86_64 => &[(Architecture::X86, Self::X86), (Architecture::X32, Self::X32)],
            _ => &[],
        };
        let listed = guests.iter().filter(|(arch, _)| profile.contains(arch)).map(|&(_, abi)| abi);
        std::iter::once(native).chain(listed).collect()
    }

    /// `seccomp_data.arch` for a call through this ABI (`AUDIT_ARCH_*`).
    pub(super) fn audit_arch(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// What is added to the table's numbers to get `seccomp_data.nr`.
    pub(super) fn base(self) -> u32 {
        if self == Self::X32 { X32_BIT } else { 0 }
    }
}
