//! Container engines do real work through nucleus.

mod containerd;
mod docker;
mod podman_checkpoint;
mod podman_exec;
mod podman_files;
mod podman_health;
mod podman_identity;
mod podman_life;
mod podman_limits;
mod podman_mounts;
mod podman_pods;
mod podman_run;
mod podman_systemd;
mod profiles;

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Waits until something holds that an engine does in its own time.
#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(20));
    }
}
