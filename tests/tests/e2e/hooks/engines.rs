//! Hooks where an engine drives: each verb is another nucleus.

use nucleus_tests::{Bundle, Host};

use super::{Probe, points, requests};

#[test]
fn each_verb_tells_its_part() {
    let host = Host::enter();
    let (probe, log) = Probe::recorder(&host);
    let bundle = Bundle::shell(&host, "bundle", "sleep 60").write();
    let id = host.fresh_id();
    let profile = probe.under(crate::BASE, "");
    let create =
        host.nucleus("create").profile(profile).arg("--bundle").arg(bundle.path()).arg(&id).detached();
    create.output().assert_success();
    assert_eq!(points(&log), ["created"]);
    host.nucleus("start").arg(&id).output().assert_success();
    assert_eq!(points(&log), ["created", "started"]);
    host.nucleus("delete").args(["--force", &id]).output().assert_success();
    assert_eq!(points(&log), ["created", "started", "stopped", "deleted"]);
    assert!(requests(&log).iter().all(|request| request["id"] == id.as_str()));
}

#[test]
fn a_veto_at_started_ends_an_engines_workload() {
    let host = Host::enter();
    let probe = Probe::new(&host, "if point == 'started': reply = {'veto': 'no more'}");
    let bundle = Bundle::shell(&host, "bundle", "sleep 60").write();
    let id = host.fresh_id();
    let profile = probe.under(crate::BASE, "");
    let create =
        host.nucleus("create").profile(profile).arg("--bundle").arg(bundle.path()).arg(&id).detached();
    create.output().assert_success();
    let start = host.nucleus("start").arg(&id).output().assert_code(1);
    assert!(start.stderr.contains("it refuses: no more"), "{start}");
    host.wait_until("it has stopped", || {
        host.nucleus("state").arg(&id).output().assert_success().json()["status"] == "stopped"
    });
    host.nucleus("delete").arg(&id).output().assert_success();
}
