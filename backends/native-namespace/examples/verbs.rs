//! Prints what each verb of the backend costs: `cargo run --release --example verbs -- BUNDLE [RUNS]`, as root.
//!
//! BUNDLE holds a `config.json` whose workload ends by itself. Times are medians in microseconds.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nucleus_abi::{
    Beyond, CgroupManager, CgroupPlacement, Client, ContainerRequest, CreateRequest, Effect, Hierarchies,
    Result, SCHEMA, SandboxRequest, Then, WaitRequest, linked_plugins, read_ledger,
};
use nucleus_native_namespace as _;

const VERBS: [&str; 6] = ["sandbox", "create", "start", "wait", "delete", "cgroups"];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let bundle = PathBuf::from(arguments.next().expect("the directory of a bundle"));
    let runs: usize = arguments.next().map_or(200, |text| text.parse().expect("a number of runs"));
    let config = fs::read_to_string(bundle.join("config.json")).expect("config.json");
    let client =
        Client::new(linked_plugins().next().expect("the backend is linked")).expect("its description");
    let mut times: Vec<[u128; 6]> =
        (0..runs).map(|run| once(&client, &bundle, &config, run).expect("a run")).collect();
    let mut total = 0;
    for (index, verb) in VERBS.into_iter().enumerate() {
        times.sort_unstable_by_key(|run| run[index]);
        let (least, median) = (times[0][index], times[runs / 2][index]);
        total += median;
        println!("{verb:8} min {least:6} median {median:6}");
    }
    println!("total           median {total:6}");
}

fn once(client: &Client, bundle: &Path, config: &str, run: usize) -> Result<[u128; 6]> {
    let directory = std::env::temp_dir().join(format!("nucleus-verbs-{}-{run}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let id = format!("verbs-{}-{run}", std::process::id());
    let ledger = File::options().create(true).append(true).open(directory.join("ledger")).expect("a ledger");
    let null = File::options().read(true).write(true).open("/dev/null").expect("/dev/null");
    let sandbox = SandboxRequest {
        schema: SCHEMA,
        id: id.parse()?,
        directory: directory.clone(),
        bundle: bundle.to_owned(),
        config: serde_json::from_str(config).expect("JSON"),
        options: serde_json::Value::Null,
        cgroup: Some(CgroupPlacement {
            path: format!("/nucleus-test/{id}").into(),
            hierarchies: Hierarchies::Needed,
            manager: CgroupManager::Cgroupfs,
        }),
        beyond: Beyond::default(),
        memory: None,
        ledger: 0,
        rootfs: None,
        mount_sources: std::collections::BTreeMap::default(),
        namespaces: std::collections::BTreeMap::default(),
        secret_environment: None,
        stdio: [1, 1, 1],
        extra: Vec::new(),
        network: nucleus_abi::NetworkWish::Leave,
    };
    let container = ContainerRequest { schema: SCHEMA, id: id.parse()?, directory: directory.clone() };
    let mut clock = Clock { last: Instant::now(), laps: Vec::new() };
    let mut gate = client.sandbox(&sandbox, &[ledger.as_fd(), null.as_fd()])?;
    clock.lap();
    let create = CreateRequest {
        schema: SCHEMA,
        id: id.parse()?,
        directory: directory.clone(),
        gate: 0,
        then: Then::Wait,
    };
    let gate = gate.descriptors.remove(0);
    let reply = client.create(&create, &[gate.as_fd()])?;
    drop(gate);
    clock.lap();
    client.start(&container)?;
    clock.lap();
    let wait = WaitRequest {
        schema: SCHEMA,
        id: id.parse()?,
        directory: directory.clone(),
        wait: 0,
        failure: Some(1),
    };
    client.wait(&wait, &[reply.descriptors[0].as_fd(), reply.descriptors[1].as_fd()])?;
    clock.lap();
    client.delete(&container)?;
    clock.lap();
    let effects =
        read_ledger(&fs::read_to_string(directory.join("ledger")).expect("the ledger")).expect("its lines");
    for effect in effects {
        if let Effect::Cgroup { directories } = effect {
            for path in directories {
                while fs::remove_dir(&path).is_err() && path.exists() {}
            }
        }
    }
    clock.lap();
    fs::remove_dir_all(directory).expect("the directory goes");
    Ok(clock.laps.try_into().expect("one lap for each verb"))
}

struct Clock {
    last: Instant,
    laps: Vec<u128>,
}

impl Clock {
    fn lap(&mut self) {
        let now = Instant::now();
        self.laps.push((now - self.last).as_micros());
        self.last = now;
    }
}
