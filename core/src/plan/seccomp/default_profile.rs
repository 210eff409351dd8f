//! The profile behind `seccomp: default`: what Docker's default profile allows, and two denials more.
//!
//! Source: `seccomp/default_linux.go` of github.com/moby/profiles (Apache-2.0), commit 02e898b1. docs/seccomp.md lists
//! what is denied, what depends on capabilities, and where we differ.

use std::borrow::Borrow;
use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::families;
use super::rule::Rule;

/// The default profile for a workload that holds `capabilities` (`CAP_SYS_ADMIN`, …): an OCI `linux.seccomp` object.
///
/// ```
/// use std::collections::BTreeSet;
/// let profile = nucleus_core::plan::seccomp::default_profile(&BTreeSet::<&str>::new());
/// assert!(profile.get().contains("openat2"));
/// assert!(!profile.get().contains("\"mount\""));
/// ```
///
/// # Panics
/// Never: the rules are constants that JSON can hold.
pub fn default_profile<S: Borrow<str> + Ord>(capabilities: &BTreeSet<S>) -> Box<RawValue> {
    let mut syscalls: Vec<Rule> = ALWAYS.into_iter().chain(ARGUMENTS).collect();
    let families = families::ALLOWED.into_iter();
    syscalls
        .extend(families.map(|(first, size)| Rule::allow("socket").masked(0, families::mask(size), first)));
    for grant in &GRANTS {
        syscalls.extend(if capabilities.contains(grant.capability) { grant.with } else { grant.without });
    }
    let profile = Profile {
        default_action: "SCMP_ACT_ERRNO",
        default_errno_ret: EPERM,
        architectures: ARCHITECTURES,
        syscalls,
    };
    to_raw_value(&profile).expect("numbers, words and lists can be written as JSON")
}

/// `linux.seccomp` of the runtime specification, as far as the default profile needs it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: &'static str,
    default_errno_ret: u32,
    architectures: &'static [&'static str],
    syscalls: Vec<Rule>,
}

/// x32 is left out on purpose (docs/seccomp.md).
const ARCHITECTURES: &[&str] = if cfg!(target_arch = "aarch64") {
    &["SCMP_ARCH_AARCH64"]
} else {
    &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
};

const EPERM: u32 = 1;
const EIO: u32 = 5;
const ENOTTY: u32 = 25;
const ENOSYS: u32 = 38;

const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;
/// The kernel takes ioctl's request, socket's family and personality's flags as 32 bits.
const INT: u64 = u32::MAX as u64;

/// `CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID`, `NEWNET`. `NEWTIME` shares its bit with the
/// exit signal and means nothing to clone(2).
const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// `ADDR_NO_RANDOMIZE` is not among them: it would weaken what comes after.
const PERSONALITY_UNAME26: u64 = 0x2_0000;
const PERSONALITY_LINUX32: u64 = 0x8;

/// Allowed with arguments in a certain range.
const ARGUMENTS: [Rule; 5] = [
    // CVE-2017-5226 and its kin: input pushed into the caller's terminal. Each fails as it does where the kernel has
    // it switched off. The request is compared in its low word alone, which is all that the kernel looks at.
    Rule::errno("ioctl", EIO).masked(1, INT, TIOCSTI),
    Rule::errno("ioctl", ENOTTY).masked(1, INT, TIOCLINUX),
    // Always true, and still a condition: one without would beat the two above (libseccomp's rule).
    Rule::allow("ioctl").at_least(1, 0),
    // No flags, PER_LINUX32, UNAME26, or both; and the question "which is it now?".
    Rule::allow("personality").masked(0, INT & !(PERSONALITY_UNAME26 | PERSONALITY_LINUX32), 0),
    Rule::allow("personality").masked(0, INT, INT),
];

/// What a capability changes.
struct Grant {
    capability: &'static str,
    with: &'static [Rule],
    without: &'static [Rule],
}

const fn grant(capability: &'static str, with: &'static [Rule]) -> Grant {
    Grant { capability, with, without: &[] }
}

const GRANTS: [Grant; 14] = [
    Grant {
        capability: "CAP_SYS_ADMIN",
        with: &[Rule::allow(
            "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr
            lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl
            quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare",
        )],
        without: &[
            Rule::allow("clone").masked(0, NEW_NAMESPACES, 0),
            // Its flags lie behind a pointer; ENOSYS makes every libc fall back to clone(2).
            Rule::errno("clone3", ENOSYS),
        ],
    },
    grant("CAP_DAC_READ_SEARCH", &[Rule::allow("open_by_handle_at")]),
    grant("CAP_SYS_BOOT", &[Rule::allow("reboot")]),
    grant("CAP_SYS_CHROOT", &[Rule::allow("chroot")]),
    grant("CAP_SYS_MODULE", &[Rule::allow("delete_module init_module finit_module")]),
    grant("CAP_SYS_PACCT", &[Rule::allow("acct")]),
    grant("CAP_SYS_PTRACE", &[Rule::allow("kcmp pidfd_getfd process_madvise")]),
    grant("CAP_SYS_RAWIO", &[Rule::allow("iopl ioperm")]),
    grant("CAP_SYS_TIME", &[Rule::allow("settimeofday stime clock_settime clock_settime64")]),
    grant("CAP_SYS_TTY_CONFIG", &[Rule::allow("vhangup")]),
    grant("CAP_SYS_NICE", &[Rule::allow("get_mempolicy mbind set_mempolicy set_mempolicy_home_node")]),
    grant("CAP_SYSLOG", &[Rule::allow("syslog")]),
    grant("CAP_BPF", &[Rule::allow("bpf")]),
    grant("CAP_PERFMON", &[Rule::allow("perf_event_open")]),
];

/// Allowed whatever the capabilities. Names that another architecture lacks are skipped there.
const ALWAYS: [Rule; 3] = [
    Rule::allow(
        "accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32
        clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
        clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2
        dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
        epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64
        fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat
        fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64
        fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64
        futex_wait futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32
        geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp
        getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit
        get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid gettimeofday
        getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1
        inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 ioprio_get
        ioprio_set io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset
        landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr
        listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise
        map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock
        mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
        mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget
        msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat _newselect
        open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free
        pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease
        pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv
        recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename
        renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending
        rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
        rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max
        sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64
        sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select
        semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg
        sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer
        setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid
        setreuid32 setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid
        setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4
        sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount statx
        symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete
        timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
        timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate
        truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64
        utimes vfork vmsplice wait4 waitid waitpid write writev",
    ),
    // Docker allows these from Linux 4.8 on (before, ptrace could get around seccomp); nucleus needs a newer one.
    Rule::allow("process_vm_readv process_vm_writev ptrace"),
    Rule::allow(MACHINE),
];

/// Calls of this architecture alone.
const MACHINE: &str = if cfg!(target_arch = "aarch64") {
    "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls"
} else {
    "arch_prctl modify_ldt"
};

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn parsed(capabilities: &[&str]) -> Value {
        let capabilities: BTreeSet<&str> = capabilities.iter().copied().collect();
        serde_json::from_str(default_profile(&capabilities).get()).unwrap()
    }

    fn rules(profile: &Value) -> &Vec<Value> {
        profile["syscalls"].as_array().unwrap()
    }

    /// How often `name` is allowed: without conditions, with some.
    fn allowed(profile: &Value, name: &str) -> (usize, usize) {
        let rules =
            rules(profile).iter().filter(|rule| rule["names"].as_array().unwrap().iter().any(|n| n == name));
        let (conditional, free): (Vec<_>, Vec<_>) =
            rules.filter(|rule| rule["action"] == "SCMP_ACT_ALLOW").partition(|rule| rule["args"].is_array());
        (free.len(), conditional.len())
    }

    #[test]
    fn without_capabilities_nothing_that_administers_the_host_is_allowed() {
        let profile = parsed(&[]);
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
        let denied = "add_key keyctl request_key mount umount umount2 pivot_root fsopen fsmount fsconfig fspick move_mount
            open_tree open_tree_attr mount_setattr bpf kexec_load kexec_file_load init_module finit_module delete_module
            open_by_handle_at perf_event_open reboot setns unshare swapon swapoff clone3 userfaultfd vhangup
            io_uring_setup io_uring_enter io_uring_register acct iopl ioperm settimeofday clock_settime quotactl
            quotactl_fd chroot syslog sethostname setdomainname kcmp pidfd_getfd process_madvise mbind lookup_dcookie
            fanotify_init nfsservctl _sysctl uselib ustat sysfs vm86 vm86old move_pages migrate_pages";
        for name in denied.split_ascii_whitespace() {
            assert_eq!(allowed(&profile, name), (0, 0), "{name}");
        }
    }

    #[test]
    fn what_ordinary_programs_need_is_allowed() {
        let profile = parsed(&[]);
        for name in
            "read openat2 execve futex_waitv rseq ptrace landlock_restrict_self cachestat fchmodat2 mseal"
                .split(' ')
        {
            assert_eq!(allowed(&profile, name), (1, 0), "{name}");
        }
        assert_eq!(allowed(&profile, "clone"), (0, 1));
        assert_eq!(allowed(&profile, "ioctl"), (0, 1));
        assert_eq!(allowed(&profile, "personality"), (0, 2));
        assert_eq!(allowed(&profile, "socket"), (0, families::ALLOWED.len()));
    }

    #[test]
    fn each_capability_opens_its_calls_and_no_others() {
        let bare = rules(&parsed(&[])).len();
        for Grant { capability, with, without } in &GRANTS {
            let profile = parsed(&[capability]);
            for name in with.iter().flat_map(|rule| rule.names.split_ascii_whitespace()) {
                assert_eq!(allowed(&profile, name), (1, 0), "{capability}: {name}");
            }
            assert_eq!(rules(&profile).len(), bare + with.len() - without.len());
        }
    }

    #[test]
    fn no_name_stands_twice_in_the_list() {
        let mut names: Vec<&str> =
            ALWAYS.iter().flat_map(|rule| rule.names.split_ascii_whitespace()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
