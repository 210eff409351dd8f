//! Resource limits by the names of the OCI runtime specification (getrlimit(2)).

use std::io;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// The resource of a name such as `RLIMIT_NOFILE` (config, "POSIX process"); `None` for an unknown one.
pub fn resource(name: &str) -> Option<Resource> {
    Some(match name.strip_prefix("RLIMIT_")? {
        "AS" => Resource::As,
        "CORE" => Resource::Core,
        "CPU" => Resource::Cpu,
        "DATA" => Resource::Data,
        "FSIZE" => Resource::Fsize,
        "LOCKS" => Resource::Locks,
        "MEMLOCK" => Resource::Memlock,
        "MSGQUEUE" => Resource::Msgqueue,
        "NICE" => Resource::Nice,
        "NOFILE" => Resource::Nofile,
        "NPROC" => Resource::Nproc,
        "RSS" => Resource::Rss,
        "RTPRIO" => Resource::Rtprio,
        "RTTIME" => Resource::Rttime,
        "SIGPENDING" => Resource::Sigpending,
        "STACK" => Resource::Stack,
        _ => return None,
    })
}

/// Sets both limits of a process (`None`: the caller), each in the unit of setrlimit(2); `u64::MAX` is
/// "infinity". EPERM for raising the hard limit without `CAP_SYS_RESOURCE`, EINVAL if `soft` exceeds `hard`.
pub fn set(process: Option<Pid>, resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let bound = |limit: u64| (limit != u64::MAX).then_some(limit);
    prlimit(process, resource, Rlimit { current: bound(soft), maximum: bound(hard) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_child;
    use rustix::process::getrlimit;

    #[test]
    fn names_are_the_specifications() {
        assert_eq!(resource("RLIMIT_NOFILE"), Some(Resource::Nofile));
        assert_eq!(resource("NOFILE"), None);
        assert_eq!(resource("RLIMIT_nofile"), None);
    }

    #[test]
    fn limits_hold() {
        in_child(|| {
            set(None, Resource::Nofile, 20, 30).unwrap();
            let limit = getrlimit(Resource::Nofile);
            assert_eq!((limit.current, limit.maximum), (Some(20), Some(30)));
            assert_eq!(set(None, Resource::Core, 2, 1).unwrap_err().raw_os_error(), Some(libc::EINVAL));
            set(None, Resource::Core, 0, u64::MAX).unwrap();
            assert_eq!(getrlimit(Resource::Core).current, Some(0));
        });
    }
}
