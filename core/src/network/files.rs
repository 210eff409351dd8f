//! `/etc/hosts` and `/etc/resolv.conf` of a container.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use nucleus_abi::Result;
use nucleus_sys::{Mode, OFlags};

use super::document::Network;
use super::fault::OrFail;
use crate::plan::{AttachedPlan, ResolverPlan};

/// The directory of a container in which they lie.
const DIRECTORY: &str = "network";
const HOSTS: &str = "hosts";
const RESOLVER: &str = "resolv.conf";
/// Behind this line stand those who are on the network now.
const NEIGHBOURS: &str = "# on the same network\n";

/// The list of the host's name servers, and the one that systemd-resolved keeps beside its own address of loopback.
const OF_HOST: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// A file that the container sees at a place of its own.
#[derive(Debug)]
pub(crate) struct ProvidedFile {
    /// In the container.
    pub(crate) target: &'static str,
    /// The file: `O_PATH`.
    pub(crate) file: OwnedFd,
}

/// Those of a container, where it has any.
pub(super) fn of(container: &Path) -> Result<Vec<ProvidedFile>> {
    let open = |(target, name): (&'static str, &str)| {
        let path = container.join(DIRECTORY).join(name);
        match rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => None,
            opened => Some(
                opened
                    .map_err(io::Error::from)
                    .or_fail("open the container's network files", path.display())
                    .map(|file| ProvidedFile { target, file }),
            ),
        }
    };
    [("/etc/hosts", HOSTS), ("/etc/resolv.conf", RESOLVER)].into_iter().filter_map(open).collect()
}

/// Writes them.
pub(super) fn provide(plan: &AttachedPlan, network: &Network, container: &Path) -> Result<Vec<ProvidedFile>> {
    let directory = container.join(DIRECTORY);
    let step = "write the container's network files";
    DirBuilder::new().mode(0o700).create(&directory).or_fail(step, directory.display())?;
    let has_v6 = network.subnets.iter().any(|row| row.first().is_ipv6());
    let texts = [
        ("/etc/hosts", HOSTS, own_hosts(plan)),
        ("/etc/resolv.conf", RESOLVER, resolver(&plan.resolver, has_v6, &OF_HOST.map(host_text))),
    ];
    let write = |(target, name, text): (&'static str, &str, String)| {
        let path = directory.join(name);
        let file = fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o644)))
            .and_then(|()| Ok(rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?));
        file.or_fail(step, path.display()).map(|file| ProvidedFile { target, file })
    };
    texts.into_iter().map(write).collect()
}

fn host_text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn own_hosts(plan: &AttachedPlan) -> String {
    let mut text = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    for (name, address) in &plan.hosts {
        let _ = writeln!(text, "{}\t{name}", address.value);
    }
    text
}

/// Tells everybody on the network who is on it now.
///
/// The files are the ones that the containers have mounted: they are written in place. Whoever reads meanwhile sees the old
/// names or the new ones, for each is written with one write(2).
pub(super) fn tell_all(network: &Network, root: &Path) {
    let names = neighbours(network);
    for lease in &network.leases {
        let path = root.join(lease.container.as_str()).join(DIRECTORY).join(HOSTS);
        if let Err(error) = tell(&path, &names) {
            // One that is being removed needs no names.
            tracing::debug!(%error, path = %path.display(), "a container was not told who is on its network");
        }
    }
}

fn neighbours(network: &Network) -> String {
    let mut text = String::from(NEIGHBOURS);
    for lease in network.leases.iter().filter(|lease| !lease.names.is_empty()) {
        for address in &lease.addresses {
            let _ = writeln!(text, "{address}\t{}", lease.names.join(" "));
        }
    }
    text
}

fn tell(path: &PathBuf, names: &str) -> io::Result<()> {
    let mut file: File = OpenOptions::new().read(true).write(true).open(path)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let own = text.find(NEIGHBOURS).unwrap_or(text.len());
    file.write_all_at(names.as_bytes(), own as u64)?;
    file.set_len((own + names.len()) as u64)
}

/// The resolver's file (resolv.conf(5)). Of the host's servers those on its loopback device are out of reach; `of_host` are
/// its lists, of which the first with another server counts.
fn resolver(plan: &ResolverPlan, has_v6: bool, of_host: &[String]) -> String {
    let search = plan.search.as_ref().map(|search| format!("search {}\n", search.value.join(" ")));
    let line = |server: &IpAddr| format!("nameserver {server}\n");
    if let Some(servers) = &plan.servers {
        return servers.value.iter().map(line).chain(search).collect();
    }
    let list = of_host.iter().find(|list| servers(list, has_v6).next().is_some());
    let Some(list) = list else { return search.unwrap_or_default() };
    let found = servers(list, has_v6).map(|server| line(&server));
    let kept = list.lines().filter(|line| {
        let word = line.split_whitespace().next();
        word == Some("options") || word == Some("search") && search.is_none()
    });
    found.chain(kept.map(|line| format!("{line}\n"))).chain(search.clone()).collect()
}

fn servers(list: &str, has_v6: bool) -> impl Iterator<Item = IpAddr> {
    list.lines()
        .filter_map(|line| line.strip_prefix("nameserver")?.trim().parse::<IpAddr>().ok())
        .filter(move |server| !server.is_loopback() && (has_v6 || server.is_ipv4()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::lease::tests::{network, plan, take};
    use crate::plan::Decided;
    use crate::profile::Origin;

    const STUB: &str = "# stub\nnameserver 127.0.0.53\noptions edns0\nsearch lan\n";
    const REAL: &str = "nameserver 192.0.2.53\nnameserver fd00::53\nsearch lan\noptions ndots:2\n";

    fn resolver_of(servers: Option<&[&str]>, search: Option<&str>) -> ResolverPlan {
        let origin = || Origin::BuiltIn("test");
        ResolverPlan {
            servers: servers.map(|list| {
                Decided::new(list.iter().map(|server| server.parse().unwrap()).collect(), origin())
            }),
            search: search.map(|domain| Decided::new(vec![domain.to_owned()], origin())),
        }
    }

    #[test]
    fn servers_on_the_hosts_loopback_are_out_of_reach() {
        let lists = [STUB.to_owned(), REAL.to_owned()];
        let text = resolver(&resolver_of(None, None), true, &lists);
        assert_eq!(text, "nameserver 192.0.2.53\nnameserver fd00::53\nsearch lan\noptions ndots:2\n");
        let text = resolver(&resolver_of(None, Some("web.lan")), false, &lists);
        assert_eq!(text, "nameserver 192.0.2.53\noptions ndots:2\nsearch web.lan\n");
        assert_eq!(resolver(&resolver_of(None, None), false, &[STUB.to_owned()]), "");
    }

    #[test]
    fn the_profiles_servers_are_the_only_ones() {
        let text = resolver(&resolver_of(Some(&["10.0.0.53"]), None), false, &[REAL.to_owned()]);
        assert_eq!(text, "nameserver 10.0.0.53\n");
    }

    #[test]
    fn those_on_the_network_are_told_of_each_other_in_the_same_file() {
        let root = std::env::temp_dir().join(format!("nucleus-files-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let mut network = network(&["10.88.0.0/24"]);
        take(&mut network, &plan()).unwrap();
        fs::create_dir_all(root.join("c0")).unwrap();
        provide(&plan(), &network, &root.join("c0")).unwrap();
        let path = root.join("c0/network/hosts");
        let open = File::open(&path).unwrap();
        take(&mut network, &plan()).unwrap();
        tell_all(&network, &root);
        let all = io::read_to_string(&open).unwrap();
        assert!(all.ends_with("# on the same network\n10.88.0.2\tc0\n10.88.0.3\tc1\n"), "{all}");
        network.leases.pop();
        tell_all(&network, &root);
        assert!(fs::read_to_string(&path).unwrap().ends_with("network\n10.88.0.2\tc0\n"));
        assert!(all.starts_with("127.0.0.1\tlocalhost\n"));
        fs::remove_dir_all(root).unwrap();
    }
}
