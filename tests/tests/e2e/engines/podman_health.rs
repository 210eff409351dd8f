//! Health checks, which Podman runs by `exec`.

use nucleus_tests::Host;
use nucleus_tests::engines::Podman;

#[test]
fn a_health_check_tells_well_from_ill() {
    let host = Host::enter();
    let podman = Podman::enter(&host);
    podman.sleeper("patient", &["--health-cmd", "test -e /well", "--health-retries", "1"]);
    assert_eq!(podman.inspect("patient", ".State.Health.Status"), "starting");
    podman.call(&["healthcheck", "run", "patient"]).output().assert_code(1);
    assert_eq!(podman.inspect("patient", ".State.Health.Status"), "unhealthy");
    podman.call(&["exec", "patient", "touch", "/well"]).text();
    podman.call(&["healthcheck", "run", "patient"]).output().assert_code(0);
    assert_eq!(podman.inspect("patient", ".State.Health.Status"), "healthy");
}
