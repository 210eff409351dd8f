//! How pasta and slirp4netns are called (passt(1), slirp4netns(1)).

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::plan::{AttachedPlan, UserspaceKind, UserspacePlan};
use crate::profile::values::{Protocol, Publish};

/// What its end of the way is called in the namespace.
const DEVICE: &str = "up";

/// A program with its arguments.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) program: PathBuf,
    kind: UserspaceKind,
    arguments: Vec<OsString>,
    /// Where slirp4netns is told of ports.
    socket: PathBuf,
}

impl Call {
    pub(super) fn of(program: &UserspacePlan, wanted: &AttachedPlan, container: &Path) -> Self {
        let socket = container.join("slirp4netns");
        let arguments = match program.kind {
            UserspaceKind::Pasta => pasta(wanted),
            UserspaceKind::Slirp4netns => slirp4netns(wanted, &socket),
        };
        Self { program: program.path.clone(), kind: program.kind, arguments, socket }
    }

    /// The words behind the program's name. It finds the namespace and the pipe through which it says that it is ready by
    /// the numbers of their descriptors.
    pub(super) fn arguments(&self, namespace: i32, ready: i32) -> Vec<OsString> {
        let of = |number| format!("/proc/self/fd/{number}");
        let mut arguments = self.arguments.clone();
        match self.kind {
            UserspaceKind::Pasta => {
                arguments.extend(["--pid".into(), of(ready).into(), "--netns".into(), of(namespace).into()]);
            }
            UserspaceKind::Slirp4netns => {
                arguments.extend([format!("--ready-fd={ready}").into(), of(namespace).into(), DEVICE.into()]);
            }
        }
        arguments
    }

    /// Leads ports to the namespace, where that could not be said in words.
    pub(super) fn publish(&self, wanted: &AttachedPlan) -> Result<(), String> {
        if self.kind == UserspaceKind::Pasta {
            return Ok(());
        }
        let requests = wanted.publish.iter().flat_map(|publish| forwards(publish.value));
        requests.into_iter().try_for_each(|request| {
            let answer = ask(&self.socket, &request).map_err(|error| error.to_string())?;
            match answer.get("error") {
                None => Ok(()),
                Some(error) => Err(format!("it does not lead a port in: {error}")),
            }
        })
    }
}

/// Nothing of the host's own is reached through its gateway's address, and nothing leads out of the namespace by the way of
/// its loopback device.
fn pasta(wanted: &AttachedPlan) -> Vec<OsString> {
    let mut words: Vec<OsString> = [
        "--foreground",
        "--quiet",
        "--config-net",
        "--runas",
        "0",
        "--netns-only",
        "--no-netns-quit",
        "--no-map-gw",
        "--ns-ifname",
        DEVICE,
        "--tcp-ns",
        "none",
        "--udp-ns",
        "none",
    ]
    .into_iter()
    .map(OsString::from)
    .collect();
    for (protocol, flag) in [(Protocol::Tcp, "--tcp-ports"), (Protocol::Udp, "--udp-ports")] {
        let ports: Vec<OsString> = wanted
            .publish
            .iter()
            .map(|publish| publish.value)
            .filter(|publish| publish.protocol == protocol)
            .map(|publish| ports(publish).into())
            .collect();
        if ports.is_empty() {
            words.extend([flag.into(), "none".into()]);
        }
        for ports in ports {
            words.extend([flag.into(), ports]);
        }
    }
    words
}

/// The host's ports keep their numbers on the way: the rules in the namespace lead them to the container's.
fn ports(publish: Publish) -> String {
    match publish.address {
        Some(address) => format!("{address}/{}", publish.host),
        None => publish.host.to_string(),
    }
}

fn slirp4netns(wanted: &AttachedPlan, socket: &Path) -> Vec<OsString> {
    let mtu = format!("--mtu={}", wanted.mtu.value);
    let mut api = OsString::from("--api-socket=");
    api.push(socket);
    ["--configure", "--disable-host-loopback", "--netns-type=path", &mtu]
        .into_iter()
        .map(OsString::from)
        .chain([api])
        .collect()
}

/// One request for each port (slirp4netns(1), "API SOCKET").
fn forwards(publish: Publish) -> Vec<Value> {
    let address = publish.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let each = |port: u16| {
        json!({"execute": "add_hostfwd", "arguments": {
            "proto": publish.protocol.name(), "host_addr": address.to_string(), "host_port": port, "guest_port": port,
        }})
    };
    publish.host.each().map(each).collect()
}

/// One connection takes one request.
fn ask(socket: &Path, request: &Value) -> io::Result<Value> {
    let mut stream = UnixStream::connect(socket)?;
    writeln!(stream, "{request}")?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}
