//! `linux.intelRdt` on a host without resctrl; with it, the unit tests of the engine say the rest.

use nucleus_abi::ErrorCode;
use serde_json::json;

use crate::harness::{Bundle, alone};

#[test]
fn a_host_without_resctrl_is_told() {
    if std::fs::read_to_string("/proc/self/mounts").unwrap().contains(" resctrl ") {
        eprintln!("skipped: this host has resctrl");
        return;
    }
    alone(|| {
        let error = Bundle::new("true").set("/linux/intelRdt", json!({"schemata": ["L3:0=f"]})).refused();
        assert_eq!(error.code, ErrorCode::HostUnfit, "{error}");
        assert_eq!(error.subject.as_deref(), Some("config.json: linux.intelRdt"));
        assert!(error.hint.unwrap().contains("mount -t resctrl"));
    });
}
