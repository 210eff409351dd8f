//! Capabilities: names, sets, and giving them up in the right order (capabilities(7)).
//!
//! Not the `caps` crate: it reads the bounding set one prctl at a time on every question, returns hash sets
//! and boxes its errors. A set is a number here.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::OnceLock;

use crate::syscall::check;

macro_rules! capabilities {
    ($($variant:ident $name:literal)*) => {
        /// One capability; the discriminant is the kernel's number (linux/capability.h).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Capability {
            $(#[doc = concat!("`CAP_", $name, "`")] $variant,)*
        }

        impl Capability {
            /// All that Linux 6.x knows, in the kernel's order.
            pub const ALL: [Self; 41] = [$(Self::$variant),*];

            /// The full name, such as `CAP_NET_ADMIN`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => concat!("CAP_", $name),)* }
            }
        }
    };
}

// One list makes the numbers, the names and the order agree.
capabilities! {
    Chown "CHOWN" DacOverride "DAC_OVERRIDE" DacReadSearch "DAC_READ_SEARCH" Fowner "FOWNER" Fsetid "FSETID"
    Kill "KILL" Setgid "SETGID" Setuid "SETUID" Setpcap "SETPCAP" LinuxImmutable "LINUX_IMMUTABLE"
    NetBindService "NET_BIND_SERVICE" NetBroadcast "NET_BROADCAST" NetAdmin "NET_ADMIN" NetRaw "NET_RAW"
    IpcLock "IPC_LOCK" IpcOwner "IPC_OWNER" SysModule "SYS_MODULE" SysRawio "SYS_RAWIO" SysChroot "SYS_CHROOT"
    SysPtrace "SYS_PTRACE" SysPacct "SYS_PACCT" SysAdmin "SYS_ADMIN" SysBoot "SYS_BOOT" SysNice "SYS_NICE"
    SysResource "SYS_RESOURCE" SysTime "SYS_TIME" SysTtyConfig "SYS_TTY_CONFIG" Mknod "MKNOD" Lease "LEASE"
    AuditWrite "AUDIT_WRITE" AuditControl "AUDIT_CONTROL" Setfcap "SETFCAP" MacOverride "MAC_OVERRIDE"
    MacAdmin "MAC_ADMIN" Syslog "SYSLOG" WakeAlarm "WAKE_ALARM" BlockSuspend "BLOCK_SUSPEND"
    AuditRead "AUDIT_READ" Perfmon "PERFMON" Bpf "BPF" CheckpointRestore "CHECKPOINT_RESTORE"
}

/// Text that names no capability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCapability(pub String);

impl fmt::Display for UnknownCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no capability", self.0)
    }
}

impl std::error::Error for UnknownCapability {}

impl FromStr for Capability {
    type Err = UnknownCapability;

    /// Reads `CAP_NET_ADMIN` and `NET_ADMIN`, in any case.
    fn from_str(text: &str) -> Result<Self, UnknownCapability> {
        let upper = text.to_ascii_uppercase();
        let wanted = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let known = Self::ALL.into_iter().find(|capability| &capability.name()[4..] == wanted);
        known.ok_or_else(|| UnknownCapability(text.to_owned()))
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of capabilities in the kernel's form: bit n is capability n. It can hold bits that we have no name
/// for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// None.
    pub const EMPTY: Self = Self(0);

    /// A set from the kernel's bits, as in `CapEff:` of `/proc/<pid>/status`.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The kernel's bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// All that the running kernel has.
    pub fn all() -> Self {
        Self(u64::MAX >> (63 - u32::from(last_cap())))
    }

    /// The set with `capability` added.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | 1 << capability as u8)
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is here and not in `other`.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether `capability` is in the set.
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u8) != 0
    }

    /// Whether it is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The capabilities that have a name, in the kernel's order.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |capability| self.contains(*capability))
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        capabilities.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// The five sets of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapabilitySets {
    /// What it can use now.
    pub effective: CapabilitySet,
    /// What it can make effective.
    pub permitted: CapabilitySet,
    /// What file capabilities may hand on. Empty for workloads, always (CVE-2022-24769).
    pub inheritable: CapabilitySet,
    /// The most that any exec can give it.
    pub bounding: CapabilitySet,
    /// What an exec of an ordinary file keeps; needs the bit in permitted and inheritable too.
    pub ambient: CapabilitySet,
}

impl CapabilitySets {
    /// The calling thread's.
    pub fn current() -> io::Result<Self> {
        let [effective, permitted, inheritable] = capget()?;
        let bounding = probe(libc::PR_CAPBSET_READ, 0);
        let ambient = probe(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET.cast_unsigned().into());
        Ok(Self { effective, permitted, inheritable, bounding, ambient })
    }

    /// Makes them the calling thread's.
    ///
    /// Order: bounding first, while `CAP_SETPCAP` is still effective; then the ambient set is cleared, so
    /// that nothing survives by it; then the three of capset(2); ambient last, for what permitted and
    /// inheritable hold.
    pub fn apply(&self) -> io::Result<()> {
        drop_bounding(self.bounding)?;
        clear_ambient()?;
        capset(self.effective, self.permitted, self.inheritable)?;
        raise_ambient(self.ambient)
    }
}

/// Number of the last capability that the kernel has; asked once.
pub fn last_cap() -> u8 {
    static LAST: OnceLock<u8> = OnceLock::new();
    // The kernel refuses numbers beyond its last: no /proc is needed. 40 has been the last since Linux 5.9.
    let exists = |number: &u8| prctl(libc::PR_CAPBSET_READ, (*number).into(), 0).is_ok();
    let newest = Capability::CheckpointRestore as u8;
    *LAST.get_or_init(|| {
        if exists(&newest) {
            (newest + 1..64).take_while(exists).last().unwrap_or(newest)
        } else {
            (0..newest).rev().find(exists).unwrap_or(0)
        }
    })
}

/// The bounding set of the calling thread: what it, or whoever it becomes, can ever hold.
pub fn bounding() -> CapabilitySet {
    probe(libc::PR_CAPBSET_READ, 0)
}

/// Drops all but `keep` from the bounding set. EPERM without `CAP_SETPCAP`, unless nothing is to be dropped.
pub fn drop_bounding(keep: CapabilitySet) -> io::Result<()> {
    let drop = CapabilitySet::all().difference(keep);
    let unwanted = (0..=u64::from(last_cap())).filter(|number| drop.0 & (1 << number) != 0);
    for number in unwanted {
        match prctl(libc::PR_CAPBSET_DROP, number, 0) {
            Err(error) if prctl(libc::PR_CAPBSET_READ, number, 0)? != 0 => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Empties the ambient set.
pub fn clear_ambient() -> io::Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL.cast_unsigned().into(), 0).map(drop)
}

/// Adds to the ambient set. EPERM for one that is not both permitted and inheritable.
pub fn raise_ambient(capabilities: CapabilitySet) -> io::Result<()> {
    let raise = libc::PR_CAP_AMBIENT_RAISE.cast_unsigned().into();
    capabilities
        .iter()
        .try_for_each(|capability| prctl(libc::PR_CAP_AMBIENT, raise, capability as u64).map(drop))
}

/// `struct __user_cap_header_struct`.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`; one for each half of the bits.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`; pid 0 is the calling thread.
const HEADER: Header = Header { version: 0x2008_0522, pid: 0 };

/// Effective, permitted and inheritable of the calling thread.
fn capget() -> io::Result<[CapabilitySet; 3]> {
    let (mut header, mut halves) = (HEADER, [Half::default(); 2]);
    // SAFETY: version 3 means two halves, which is what the pointer refers to.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) })?;
    let join = |part: fn(&Half) -> u32| {
        CapabilitySet(u64::from(part(&halves[0])) | u64::from(part(&halves[1])) << 32)
    };
    Ok([join(|half| half.effective), join(|half| half.permitted), join(|half| half.inheritable)])
}

/// Sets three of the five; EPERM for permitted capabilities that the thread does not have.
pub fn capset(
    effective: CapabilitySet,
    permitted: CapabilitySet,
    inheritable: CapabilitySet,
) -> io::Result<()> {
    let low = |set: CapabilitySet| (set.0 << 32 >> 32) as u32;
    let high = |set: CapabilitySet| (set.0 >> 32) as u32;
    let half = |part: fn(CapabilitySet) -> u32| Half {
        effective: part(effective),
        permitted: part(permitted),
        inheritable: part(inheritable),
    };
    let (mut header, halves) = (HEADER, [half(low), half(high)]);
    // SAFETY: version 3 means two halves, which is what the pointer refers to; the kernel only reads them.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) })?;
    Ok(())
}

fn probe(option: i32, sub: u64) -> CapabilitySet {
    let is_set = |number: &u64| {
        let (first, second) = if option == libc::PR_CAP_AMBIENT { (sub, *number) } else { (*number, 0) };
        matches!(prctl(option, first, second), Ok(1))
    };
    CapabilitySet((0..=u64::from(last_cap())).filter(is_set).fold(0, |bits, number| bits | 1 << number))
}

fn prctl(option: i32, first: u64, second: u64) -> io::Result<libc::c_long> {
    // SAFETY: the options used here take integers; unused arguments must be and are zero.
    check(unsafe { libc::prctl(option, first, second, 0u64, 0u64) }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_child;

    #[test]
    fn names_and_numbers_are_the_kernels() {
        assert_eq!(Capability::SysAdmin as u8, 21);
        assert_eq!(Capability::CheckpointRestore as u8, 40);
        for capability in Capability::ALL {
            assert_eq!(capability.name().parse(), Ok(capability));
            assert_eq!(capability.name()[4..].to_lowercase().parse(), Ok(capability));
        }
        assert!("CAP_CAP_CHOWN".parse::<Capability>().is_err());
        let from_proc = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap();
        assert_eq!(last_cap().to_string(), from_proc.trim());
    }

    #[test]
    fn all_five_sets_are_applied_as_the_kernel_shows() {
        in_child(|| {
            let keep = CapabilitySet::from_iter([Capability::Kill, Capability::NetBindService]);
            let ambient = CapabilitySet::EMPTY.with(Capability::Kill);
            let wanted = CapabilitySets {
                effective: keep,
                permitted: keep,
                inheritable: ambient,
                bounding: keep,
                ambient,
            };
            wanted.apply().unwrap();
            assert_eq!(CapabilitySets::current().unwrap(), wanted);
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            for (field, bits) in
                [("CapInh", 0x20), ("CapPrm", 0x420), ("CapEff", 0x420), ("CapBnd", 0x420), ("CapAmb", 0x20)]
            {
                assert!(status.contains(&format!("{field}:\t{bits:016x}")), "{field} in {status}");
            }
            drop_bounding(keep).unwrap();
            assert_eq!(drop_bounding(CapabilitySet::EMPTY).unwrap_err().raw_os_error(), Some(libc::EPERM));
        });
    }
}
