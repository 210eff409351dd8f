//! Many at once.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nucleus_tests::town::Place;
use nucleus_tests::{Host, Town};

use super::bridged;
use crate::{open_directory, writable};

const COUNT: usize = 64;

#[test]
fn sixty_four_start_at_once_with_addresses_of_their_own_and_all_are_reached() {
    let host = Host::enter();
    let town = Town::build();
    let before = town.traces();
    let directory = open_directory(&host, "ready");
    let profile = bridged(&host, "egress: {default: deny}");
    let program = nucleus_tests::town::SERVE.replace(
        "print('ready', flush=True)",
        "open('/ready/' + socket.gethostbyname(socket.gethostname()), 'w')",
    );
    let running: Vec<_> = (0..COUNT)
        .map(|number| {
            let id = host.fresh_id();
            let call = host.nucleus("run").profile(&profile).args([
                "--id",
                &id,
                "--hostname",
                &id,
                "--no-tty",
                "--init",
            ]);
            let call = call.arg("--volume").arg(writable(&directory, "/ready"));
            let name = format!("n{number}");
            town.nucleus(call.command(["/usr/bin/python3", "-c", &program, &name, "7000"]))
                .timeout(Duration::from_secs(110))
                .spawn()
        })
        .collect();
    let served = || std::fs::read_dir(&directory).unwrap().count();
    let patience = Instant::now() + Duration::from_secs(90);
    while served() < COUNT && Instant::now() < patience {
        sleep(Duration::from_millis(20));
    }
    let addresses: Vec<String> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let targets: Vec<String> = addresses.iter().map(|address| format!("tcp {address} 7000")).collect();
    let found = super::from_host(&town, &targets.iter().map(String::as_str).collect::<Vec<_>>());
    let names: BTreeSet<&str> =
        found.iter().filter_map(|line| line.split_once(": ")?.1.strip_suffix(" 10.88.0.1")).collect();
    assert_eq!(names.len(), COUNT, "{found:?}");
    for guest in &running {
        guest.signal(rustix::process::Signal::TERM);
    }
    for guest in running {
        let _ = guest.wait();
    }
    assert_eq!(town.traces(), before);
    assert_eq!(town.shell(Place::Host, "ls -A /sys/class/net | wc -l").len(), 1);
}

#[test]
fn a_full_network_is_told_and_has_room_again_afterwards() {
    let host = Host::enter();
    let town = Town::build();
    let profile = host.profile(crate::BASE, "network: {mode: bridge, subnets: [10.88.0.0/30]}");
    let guest = super::start::Guest::idle(&host, &town, &profile);
    town.nucleus(host.run(&profile, &["true"])).output().assert_refused(&[
        "join the network `default`",
        "10.88.0.0/30",
        "all of its addresses are taken",
    ]);
    drop(guest);
    town.nucleus(host.run(&profile, &["true"])).output().assert_success();
}
