//! A workload with raw sockets that tries to get past its policy, or to be somebody else.

use nucleus_tests::town::Place;
use nucleus_tests::{Host, Town};

use super::bridged;
use super::start::Guest;

/// Frames and packets that say what they like, with what the neighbourhood must not see of them in it: `SECRET`.
const ATTACKS: &str = "
import socket, struct, sys, fcntl
def mac(text): return bytes.fromhex(text.replace(':', ''))
def checksum(data):
    if len(data) % 2: data += b'\\0'
    total = sum(struct.unpack(f'!{len(data)//2}H', data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
OWN = fcntl.ioctl(socket.socket(), 0x8927, struct.pack('256s', b'eth0'))[18:24]
gateway = mac('02:00:0a:58:00:01')
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind(('eth0', 0))
def v4(source, target, payload, protocol=17, flags=0, offset=0):
    head = lambda sum: struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(payload), 7, flags << 13 | offset, 64, protocol, sum,
                                   socket.inet_aton(source), socket.inet_aton(target))
    return head(checksum(head(0))) + payload
def v6(source, target, payload, protocol=17, hops=64):
    return struct.pack('!IHBB', 6 << 28, len(payload), protocol, hops) \\
        + socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target) + payload
def udp(port, data=b'SECRET'): return struct.pack('!HHHH', 40000, port, 8 + len(data), 0) + data
def udp6(source, target, port, data=b'SECRET'):
    datagram = struct.pack('!HHHH', 40000, port, 8 + len(data), 0) + data
    pseudo = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target) \\
        + struct.pack('!IxxxB', len(datagram), 17)
    return datagram[:6] + struct.pack('!H', checksum(pseudo + datagram)) + datagram[8:]
def frame(kind, payload, sender=OWN, to=gateway): raw.send(to + sender + struct.pack('!H', kind) + payload)
ME, LAN, NET = '10.88.0.3', '192.0.2.2', '203.0.113.1'
M6, L6 = 'fd88::3', '2001:db8:1::2'
EVERY = b'\\xff' * 6
neighbour = mac('02:00:0a:58:00:02')
# Past the socket layer: a denied address, by a frame of one's own.
frame(0x0800, v4(ME, LAN, udp(53)))
frame(0x86dd, v6(M6, L6, udp6(M6, L6, 53)))
# As the neighbour, the gateway, somebody on the LAN, nobody: under a policy that is not ours.
for source in ('10.88.0.2', '10.88.0.1', '192.0.2.2', '0.0.0.0', '127.0.0.1'):
    frame(0x0800, v4(source, LAN, udp(53)))
    frame(0x0800, v4(source, LAN, udp(53)), sender=neighbour)
for source in ('fd88::2', 'fd88::1', '::', 'fe80::1', 'fe80::aff:fe58:3', '::ffff:10.88.0.2'):
    frame(0x86dd, v6(source, L6, udp6(source, L6, 53)))
    frame(0x86dd, v6(source, L6, udp6(source, L6, 53)), sender=neighbour)
# To the neighbour and to everybody, not through the gateway.
frame(0x0800, v4(ME, '10.88.0.2', udp(53)), to=neighbour)
frame(0x0800, v4(ME, '10.88.0.255', udp(53)), to=EVERY)
frame(0x0800, v4(ME, '255.255.255.255', udp(53)), to=EVERY)
frame(0x86dd, v6(M6, 'fd88::2', udp6(M6, 'fd88::2', 53)), to=neighbour)
frame(0x86dd, v6(M6, 'ff02::1', udp6(M6, 'ff02::1', 53)), to=mac('33:33:00:00:00:01'))
# To the host's loopback network, which the bridge takes packets for.
frame(0x0800, v4(ME, '127.0.0.1', udp(53)))
# In pieces too small to hold a port; and a second piece that is nobody's.
datagram = udp(53)
frame(0x0800, v4(ME, LAN, datagram[:8], flags=1))
frame(0x0800, v4(ME, LAN, datagram[8:], offset=1))
frame(0x0800, v4(ME, LAN, b'SECRETSECRET', offset=100))
# Under other protocols: IP in IP, GRE, IPv6 in IPv4, one that nobody knows.
for protocol in (4, 47, 41, 253): frame(0x0800, v4(ME, LAN, v4(ME, LAN, udp(53)), protocol=protocol))
# Frames that are neither IP nor ARP: VLAN tags, PPPoE, LLDP, a length.
frame(0x8100, struct.pack('!HH', 5, 0x0800) + v4(ME, LAN, udp(53)))
for kind in (0x8864, 0x88cc, 0x0100, 0x88b5): frame(kind, b'SECRET' * 10, to=EVERY)
# ARP: to be the gateway, the neighbour.
for claimed in ('10.88.0.1', '10.88.0.2'):
    body = struct.pack('!HHBBH', 1, 0x0800, 6, 4, 2) + OWN + socket.inet_aton(claimed) + neighbour + socket.inet_aton('10.88.0.2')
    frame(0x0806, body, to=EVERY)
# Neighbour discovery: to be the gateway. Its hop limit is right; its sender is not.
advert = bytes([136, 0]) + b'\\0\\0' + b'\\xe0\\0\\0\\0' + socket.inet_pton(socket.AF_INET6, 'fd88::1') + b'\\2\\1' + OWN
frame(0x86dd, v6('fd88::1', 'ff02::1', advert, protocol=58, hops=255), to=mac('33:33:00:00:00:01'))
# To be the neighbour, to the host: from our own addresses, also behind an extension header, which is none of the port's.
for own in (M6, 'fe80::aff:fe58:3'):
    advert = bytes([136, 0]) + b'\\0\\0' + b'\\x60\\0\\0\\0' + socket.inet_pton(socket.AF_INET6, 'fd88::2') + b'\\2\\1' + OWN
    pseudo = socket.inet_pton(socket.AF_INET6, own) + socket.inet_pton(socket.AF_INET6, 'fd88::1') + struct.pack('!IxxxB', len(advert), 58)
    advert = advert[:2] + struct.pack('!H', checksum(pseudo + advert)) + advert[4:]
    frame(0x86dd, v6(own, 'fd88::1', advert, protocol=58, hops=255))
    frame(0x86dd, v6(own, 'fd88::1', bytes([58, 0, 1, 4, 0, 0, 0, 0]) + advert, protocol=60, hops=255))
# A router for everybody.
router = bytes([134, 0]) + b'\\0\\0' + bytes([64, 0]) + b'\\xff\\xff' + b'\\0' * 8
frame(0x86dd, v6('fe80::aff:fe58:3', 'ff02::1', router, protocol=58, hops=255), to=mac('33:33:00:00:00:01'))
# ICMP with something in it.
echo = bytes([8, 0, 0, 0, 0, 1, 0, 1]) + b'SECRET'
frame(0x0800, v4(ME, LAN, echo[:2] + struct.pack('!H', checksum(echo)) + echo[4:], protocol=1))
# Through a raw socket of IP, and to the other resolvers that there are.
packet = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for target in (LAN, NET, '198.51.100.1', '192.0.2.1', '10.88.0.1'):
    try: packet.sendto(v4(ME, target, udp(53)), (target, 0))
    except OSError: pass
# A route and an address of one's own.
print('done')
";

/// Watches a place, and prints all that the attacker got there.
struct Watch {
    child: std::process::Child,
}

impl Watch {
    fn start(town: &Town, place: Place, device: &str) -> Self {
        let mut command = town.command(place, "tcpdump");
        command.args(["-i", device, "-n", "-U", "-w", "-", "--immediate-mode"]);
        let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn();
        let mut child = child.expect("tcpdump is installed");
        let mut line = String::new();
        let errors = child.stderr.take().expect("a pipe");
        let mut errors = std::io::BufReader::new(errors);
        while !line.contains("listening") {
            line.clear();
            assert!(
                std::io::BufRead::read_line(&mut errors, &mut line).expect("read") > 0,
                "tcpdump has ended"
            );
        }
        Self { child }
    }

    /// How often a word was seen.
    fn count(mut self, word: &str) -> usize {
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::INT,
        );
        let mut seen = Vec::new();
        let mut pipe = self.child.stdout.take().expect("a pipe");
        std::io::Read::read_to_end(&mut pipe, &mut seen).expect("read the capture");
        let _ = self.child.wait();
        seen.windows(word.len()).filter(|window| *window == word.as_bytes()).count()
    }
}

/// Everything that the attacker may need is given; only the policy is in the way.
fn attacker(host: &Host, egress: &str) -> std::path::PathBuf {
    let parent = bridged(host, &format!("address: [10.88.0.3, 'fd88::3'], {egress}"));
    host.profile(
        parent.to_str().unwrap(),
        "security: {capabilities: [CAP_NET_RAW, CAP_NET_ADMIN], seccomp: unconfined}",
    )
}

#[test]
fn nothing_that_a_raw_socket_makes_gets_past_the_policy() {
    let host = Host::enter();
    let town = Town::build();
    let neighbour = Guest::idle(&host, &town, &bridged(&host, "address: [10.88.0.2, 'fd88::2']"));
    let device = town.shell(Place::Host, "ip -o link | grep -o 'nv-[0-9a-f]*' | head -1");
    let watches = [
        (Place::Lan, "eth0"),
        (Place::Internet, "eth0"),
        // What goes out of it reaches the neighbour.
        (Place::Host, device.as_str()),
        (Place::Host, "lo"),
        (Place::Host, "lan"),
    ]
    .map(|(place, device)| (place, device, Watch::start(&town, place, device)));
    let call = host.run(attacker(&host, "egress: {default: deny}"), &["/usr/bin/python3", "-c", ATTACKS]);
    let output = town.nucleus(call).output().assert_success();
    assert_eq!(output.text(), "done");
    for (place, device, watch) in watches {
        assert_eq!(watch.count("SECRET"), 0, "seen at {place:?} {device}");
    }
    let known = town.shell(Place::Host, "ip neigh | grep -E '^(10.88.0.2|fd88::2) '");
    assert!(!known.contains("58:00:03") && known.contains("58:00:02"), "{known}");
    let poisoned = neighbour.shell(&host, "cat /proc/net/arp");
    assert!(!poisoned.contains("02:00:0a:58:00:03"), "{poisoned}");
}

/// The test can fail: without a policy what is sent truly arrives, and only what lies about its sender does not.
#[test]
fn without_a_policy_only_lies_are_dropped() {
    let host = Host::enter();
    let town = Town::build();
    let watch = Watch::start(&town, Place::Lan, "eth0");
    let call = host.run(attacker(&host, ""), &["/usr/bin/python3", "-c", ATTACKS]);
    town.nucleus(call).output().assert_success();
    let seen = watch.count("SECRET");
    assert!(seen >= 2, "{seen}");
}

/// An address, a route, another hardware address that the workload gives itself: it is heard by nobody.
#[test]
fn an_address_that_a_workload_takes_leads_nowhere() {
    let host = Host::enter();
    let town = Town::build();
    let _server = town.serve(Place::Lan);
    let allowed = "egress: {default: deny, allow: [{cidr: 192.0.2.2}]}";
    let script = |change: &str| format!("{change}; exec /usr/bin/python3 -c \"$0\" 'tcp 192.0.2.2 7000'");
    for (change, wanted) in [
        ("true", "tcp 192.0.2.2 7000: lan 192.0.2.1"),
        (
            "ip addr flush dev eth0; ip addr add 10.88.0.7/24 dev eth0; ip route add default via 10.88.0.1",
            "tcp 192.0.2.2 7000: nothing",
        ),
        (
            "ip link set eth0 down; ip link set eth0 address 02:00:0a:58:00:77; ip link set eth0 up; ip route add default via 10.88.0.1 onlink dev eth0",
            "tcp 192.0.2.2 7000: nothing",
        ),
    ] {
        let words = ["/bin/sh", "-c", &script(change), nucleus_tests::town::REACH];
        let output = town.nucleus(host.run(attacker(&host, allowed), &words)).output().assert_success();
        let found = output.text().replace("prohibited", "nothing");
        assert_eq!(found, wanted, "{change}");
    }
}
