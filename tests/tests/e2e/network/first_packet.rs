//! Not one packet leaves before the policy is in force.

use std::io::Read as _;
use std::process::Stdio;

use nucleus_tests::town::Place;
use nucleus_tests::{Host, Town};

use super::bridged;

/// Sends from its first instant, and goes on.
const SEND: &str = "
import socket
it = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(2000):
    for target in ('192.0.2.2', '10.88.0.1', '203.0.113.1'):
        try: it.sendto(b'SECRET', (target, 53))
        except OSError: pass
";

/// The links are captured from before the start to behind the end.
#[test]
fn a_capture_from_before_the_start_shows_nothing_of_the_container() {
    let host = Host::enter();
    let town = Town::build();
    let captures = [(Place::Lan, "eth0"), (Place::Internet, "eth0")].map(|(place, device)| {
        let mut command = town.command(place, "tcpdump");
        command.args(["-i", device, "-n", "-U", "-w", "-", "--immediate-mode", "udp", "port", "53"]);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tcpdump is installed");
        let mut errors = std::io::BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        while !line.contains("listening") {
            line.clear();
            assert!(
                std::io::BufRead::read_line(&mut errors, &mut line).expect("read") > 0,
                "tcpdump has ended"
            );
        }
        child
    });
    for more in
        ["egress: {default: deny}", "egress: {default: allow, deny: [{cidr: 0.0.0.0/0, ports: [udp]}]}"]
    {
        town.nucleus(host.run(bridged(&host, more), &["/usr/bin/python3", "-c", SEND]))
            .output()
            .assert_success();
    }
    for mut child in captures {
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&child),
            rustix::process::Signal::INT,
        );
        let mut seen = Vec::new();
        child.stdout.take().expect("a pipe").read_to_end(&mut seen).expect("read the capture");
        let _ = child.wait();
        // The head of the file is all that there is.
        assert_eq!(seen.len(), 24, "{}", String::from_utf8_lossy(&seen));
    }
}
