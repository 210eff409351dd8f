//! Network namespaces that stand for a host, the network that it is on, and the internet behind it; nothing of the real
//! host's network is touched. nucleus runs in the one of the host.
//!
//! | place | addresses |
//! |---|---|
//! | host | 192.0.2.1, 2001:db8:1::1 towards the LAN; 198.51.100.1, 2001:db8:2::1 towards the internet |
//! | LAN | 192.0.2.2, 2001:db8:1::2 |
//! | internet | 198.51.100.2, 2001:db8:2::2; behind it 203.0.113.1, 2001:db8:3::1 |

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::host::Host;
use crate::nucleus::Nucleus;

/// A place of the town.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Where nucleus runs.
    Host,
    /// A neighbour of the host.
    Lan,
    /// Beyond.
    Internet,
}

/// Ports at which every place listens, with TCP and UDP; who connects is told under which address he is seen.
pub const PORTS: [u16; 3] = [53, 7000, 7001];

/// A program of Python that says to everybody who connects or sends: its name, space, the address that he has there. Its
/// arguments are the name and ports.
pub const SERVE: &str = "
import selectors, socket, sys
name, ports = sys.argv[1], sys.argv[2:]
chosen = selectors.DefaultSelector()
for port in map(int, ports):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        server = socket.socket(socket.AF_INET6, kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(('::', port))
        if kind == socket.SOCK_STREAM: server.listen(128)
        chosen.register(server, selectors.EVENT_READ, kind)
print('ready', flush=True)
def said(peer): return f'{name} {peer[0].removeprefix(\"::ffff:\")}'.encode()
while True:
    for key, _ in chosen.select():
        if key.data == socket.SOCK_DGRAM:
            _, peer = key.fileobj.recvfrom(100)
            try: key.fileobj.sendto(said(peer), peer)
            except OSError: pass
        else:
            client, peer = key.fileobj.accept()
            client.settimeout(2)
            try: client.recv(100)
            except OSError: pass
            client.sendall(said(peer))
            client.close()
";

/// The places, each with a process that keeps it and serves in it.
#[derive(Debug)]
pub struct Town {
    host: Child,
    lan: Child,
    internet: Child,
}

impl Town {
    /// Builds it. It goes when it is dropped, before the test's [`Host`] looks for what is left: make it later.
    #[track_caller]
    pub fn build() -> Self {
        let town = Self { host: keep(), lan: keep(), internet: keep() };
        let [lan, internet] = [&town.lan, &town.internet].map(Child::id);
        town.set_up(
            Place::Host,
            &format!(
                "ip link add lan type veth peer name eth0 netns {lan}
                ip link add wan type veth peer name eth0 netns {internet}
                ip addr add 192.0.2.1/24 dev lan; ip addr add 2001:db8:1::1/64 dev lan nodad
                ip addr add 198.51.100.1/24 dev wan; ip addr add 2001:db8:2::1/64 dev wan nodad
                ip link set lo up; ip link set lan up; ip link set wan up
                ip route add default via 198.51.100.2; ip route add default via 2001:db8:2::2"
            ),
        );
        // The neighbour knows a way to whatever the host may have behind it, and tries it.
        town.set_up(
            Place::Lan,
            "ip addr add 192.0.2.2/24 dev eth0; ip addr add 2001:db8:1::2/64 dev eth0 nodad
            ip link set lo up; ip link set eth0 up
            ip route add default via 192.0.2.1; ip route add default via 2001:db8:1::1",
        );
        town.set_up(
            Place::Internet,
            "ip addr add 198.51.100.2/24 dev eth0; ip addr add 2001:db8:2::2/64 dev eth0 nodad
            ip addr add 203.0.113.1/32 dev lo; ip addr add 2001:db8:3::1/128 dev lo nodad
            ip link set lo up; ip link set eth0 up",
        );
        town
    }

    #[track_caller]
    fn set_up(&self, place: Place, script: &str) {
        self.shell(place, &format!("set -e\n{script}"));
    }

    fn of(&self, place: Place) -> &Child {
        match place {
            Place::Host => &self.host,
            Place::Lan => &self.lan,
            Place::Internet => &self.internet,
        }
    }

    /// The words that start a program in a place.
    pub fn words(&self, place: Place) -> [String; 2] {
        ["nsenter".to_owned(), format!("--net=/proc/{}/ns/net", self.of(place).id())]
    }

    /// A program in a place.
    pub fn command(&self, place: Place, program: &str) -> Command {
        let [nsenter, network] = self.words(place);
        let mut command = Command::new(nsenter);
        command.args([network, program.to_owned()]);
        command
    }

    /// What a shell script prints in a place. It must succeed.
    #[track_caller]
    pub fn shell(&self, place: Place, script: &str) -> String {
        let output = self.command(place, "sh").args(["-c", script]).output().expect("start sh");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{place:?}: {script}\n{errors}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// nucleus in the town's host.
    pub fn nucleus(&self, call: Nucleus) -> Nucleus {
        call.through(self.words(Place::Host))
    }

    /// Serves at [`PORTS`] in a place until it is dropped.
    #[track_caller]
    pub fn serve(&self, place: Place) -> Server {
        let ports: Vec<String> = PORTS.iter().map(ToString::to_string).collect();
        let name = format!("{place:?}").to_lowercase();
        let mut command = self.command(place, "/usr/bin/python3");
        Server::start(command.args(["-c", SERVE, &name]).args(ports))
    }

    /// Everything that nucleus could leave in the town's host: devices and rules.
    pub fn traces(&self) -> String {
        let script = "ls /sys/class/net >/dev/null; ip -o link | cut -d: -f2; nft list ruleset; \
            cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv6/conf/*/accept_ra";
        self.shell(Place::Host, script)
    }
}

/// A program of a test that serves until it is dropped.
#[derive(Debug)]
pub struct Server(Child);

impl Server {
    /// Starts it, and waits for its first line.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("start a server");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("read from the server");
        assert!(line.starts_with("ready"), "the server did not start");
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn keep() -> Child {
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", "echo ready; exec sleep 1000"]).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).spawn().expect("start unshare");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("read from unshare");
    child
}

impl Drop for Town {
    fn drop(&mut self) {
        for child in [&mut self.host, &mut self.lan, &mut self.internet] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Tries to reach places from inside, each in its own way, and prints `TARGET: RESULT` for each.
///
/// A target is `tcp ADDRESS PORT`, `udp ADDRESS PORT` or `ping ADDRESS`; a result is what was said, `refused`, `prohibited`
/// or `nothing`.
pub const REACH: &str = "
import errno, socket, sys
WORDS = {errno.ECONNREFUSED: 'refused', errno.EHOSTUNREACH: 'prohibited', errno.EACCES: 'prohibited',
         errno.ENETUNREACH: 'no route', errno.EPERM: 'prohibited'}
def reach(kind, address, port):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    with socket.socket(family, {'tcp': socket.SOCK_STREAM, 'udp': socket.SOCK_DGRAM}[kind]) as it:
        it.settimeout(3)
        it.connect((address, int(port)))
        # Who asks speaks first: old releases of pasta do not finish the handshake of one who listens first.
        it.send(b'?')
        return it.recv(100).decode()
for target in sys.argv[1:]:
    try: result = reach(*target.split())
    except TimeoutError: result = 'nothing'
    except OSError as error: result = WORDS.get(error.errno, str(error))
    print(f'{target}: {result}', flush=True)
";

/// A container that reaches out from the town's host under a profile, and what it reports.
#[track_caller]
pub fn reach(host: &Host, town: &Town, profile: &std::path::Path, targets: &[&str]) -> Vec<String> {
    let mut words = vec!["/usr/bin/python3", "-c", REACH];
    words.extend(targets);
    let output = town.nucleus(host.run(profile, &words)).output().assert_success();
    output.text().lines().map(str::to_owned).collect()
}
