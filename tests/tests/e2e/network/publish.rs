//! Published ports.

use nucleus_tests::town::Place;
use nucleus_tests::{Host, Town};

use super::start::Guest;
use super::{assert_no_start, assert_table, bridged, from, from_host};

#[test]
fn a_web_server_inside_is_fetched_through_every_address_of_the_host() {
    let host = Host::enter();
    let town = Town::build();
    let before = town.traces();
    let profile = bridged(&host, "publish: ['8080:80', '127.0.0.1:9090:80'], egress: {default: deny}");
    let page = host.file("page", "a page from inside");
    let serve = "
import http.server, socket
class Server(http.server.ThreadingHTTPServer): address_family = socket.AF_INET6
server = Server(('::', 80), http.server.SimpleHTTPRequestHandler)
open('/ready/now', 'w')
server.serve_forever()";
    let profile = host.profile(
        profile.to_str().unwrap(),
        &format!(
            "workload: {{cwd: /srv/web}}\nmounts: {{volumes: [{{source: {}, target: /srv/web/page}}]}}",
            page.display()
        ),
    );
    let guest = Guest::start(&host, &town, &profile, &["/usr/bin/python3", "-c", serve]);
    let fetch = |place, address: &str| {
        let script = format!("curl -s -m 5 http://{address}/page || echo \" failed: $?\"");
        town.shell(place, &script)
    };
    for (place, address) in [
        (Place::Host, "127.0.0.1:8080"),
        (Place::Host, "127.0.0.1:9090"),
        (Place::Host, "192.0.2.1:8080"),
        (Place::Host, "[2001:db8:1::1]:8080"),
        (Place::Host, "10.88.0.1:8080"),
        (Place::Host, "10.88.0.2:80"),
        (Place::Lan, "192.0.2.1:8080"),
        (Place::Lan, "198.51.100.1:8080"),
        (Place::Lan, "[2001:db8:1::1]:8080"),
        (Place::Internet, "198.51.100.1:8080"),
    ] {
        assert_eq!(fetch(place, address), "a page from inside", "{place:?} {address}");
    }
    // Only what is published, at the address where it is published.
    for (place, address) in
        [(Place::Lan, "192.0.2.1:9090"), (Place::Lan, "10.88.0.2:80"), (Place::Lan, "192.0.2.1:80")]
    {
        assert!(fetch(place, address).contains("failed"), "{place:?} {address}");
    }
    drop(guest);
    assert_eq!(town.traces(), before);
}

#[test]
fn ranges_and_datagrams_lead_to_their_ports() {
    let host = Host::enter();
    let town = Town::build();
    let profile =
        bridged(&host, "publish: ['8000-8002:7000-7002', '8000-8002:7000-7002/udp', '192.0.2.1:9000:7001']");
    let _guest = Guest::server(&host, &town, &profile, "inside", &["7000", "7002"]);
    let targets = [
        "tcp 192.0.2.1 8000",
        "udp 192.0.2.1 8000",
        "tcp 192.0.2.1 8001",
        "tcp 192.0.2.1 8002",
        "udp 2001:db8:1::1 8002",
        "tcp 192.0.2.1 8003",
    ];
    assert_table(
        &from(&town, Place::Lan, &targets),
        &[
            (targets[0], "inside 192.0.2.2"),
            (targets[1], "inside 192.0.2.2"),
            (targets[2], "refused"),
            (targets[3], "inside 192.0.2.2"),
            (targets[4], "inside 2001:db8:1::2"),
            (targets[5], "refused"),
        ],
    );
    let targets = ["tcp 127.0.0.1 8000", "udp 127.0.0.1 8002", "tcp 192.0.2.1 8000"];
    assert_table(
        &from_host(&town, &targets),
        &[
            (targets[0], "inside 10.88.0.1"),
            (targets[1], "inside 10.88.0.1"),
            (targets[2], "inside 192.0.2.1"),
        ],
    );
}

/// A container reaches its own published port, and that of a neighbour, through the host's address.
#[test]
fn what_is_published_is_reached_from_inside_too() {
    let host = Host::enter();
    let town = Town::build();
    let profile = bridged(&host, "publish: ['8000:7000']");
    let guest = Guest::server(&host, &town, &profile, "inside", &["7000"]);
    let own = town_words(&guest, &host, "tcp 192.0.2.1 8000");
    assert_eq!(own, "tcp 192.0.2.1 8000: inside 10.88.0.1");
    let neighbour = Guest::idle(&host, &town, &bridged(&host, ""));
    let other = town_words(&neighbour, &host, "tcp 192.0.2.1 8000");
    assert_eq!(other, "tcp 192.0.2.1 8000: inside 10.88.0.1");
}

fn town_words(guest: &Guest, host: &Host, target: &str) -> String {
    let words = ["/usr/bin/python3", "-c", nucleus_tests::town::REACH, target];
    host.nucleus("exec").arg(&guest.id).args(words).output().assert_success().text().to_owned()
}

#[test]
fn a_taken_port_is_refused_before_the_start_and_its_holder_is_named() {
    let host = Host::enter();
    let town = Town::build();
    let before = town.traces();
    let server = town.serve(Place::Host);
    let refused = |publish: &str, words: &[&str]| {
        let profile = bridged(&host, &format!("publish: ['{publish}']"));
        let output = town.nucleus(host.run(profile, &["echo", "it ran"])).output().assert_refused(words);
        assert_no_start(&output);
    };
    refused("7000:80", &["network.publish: 7000:80/tcp", "a process of the host listens at port 7000"]);
    refused("6990-7005:6990-7005/udp", &["a process of the host listens at port 7000"]);
    refused("203.0.113.77:80:80", &["the host has no address 203.0.113.77"]);
    drop(server);
    let guest = Guest::idle(&host, &town, &bridged(&host, "publish: ['127.0.0.1:8080-8090:80-90']"));
    refused("8085:80", &[&format!("the container `{}` publishes it", guest.id)]);
    drop(guest);
    assert_eq!(town.traces(), before);
}
