//! CVE-2017-5226 (bubblewrap; 2020-13753 of WebKit): a workload types into the terminal of its operator (TIOCSTI), whose
//! shell executes the keys once the container has ended. Defence: a terminal of its own, and the filter, which looks at
//! the low 32 bits of the request as the kernel does.

use std::ffi::OsString;

use nucleus_tests::Host;
use nucleus_tests::pty::Terminal;

use crate::terminal::on_terminal;
use crate::{PROFILES, profile_with_probe};

#[test]
fn the_workload_cannot_type() {
    let host = Host::enter();
    for parent in PROFILES {
        let profile = profile_with_probe(&host, parent, "");
        let call = on_terminal(&host, profile, &["/probe/probe", "inject", "0"]);
        let (status, text) = Terminal::start(&call.words(), 24, 80).wait();
        assert!(status.success(), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        // EIO for TIOCSTI, as where the kernel has it switched off; ENOTTY for TIOCLINUX, as on any pty.
        assert_eq!(lines, [["errno 5"; 3], ["errno 25"; 3]].concat(), "{parent}");
    }
}

#[test]
fn the_trap_works_on_a_shared_terminal() {
    let _alone = Host::enter();
    let words = [env!("CARGO_BIN_EXE_probe"), "inject", "0"].map(OsString::from);
    let (status, text) = Terminal::start(&words, 24, 80).wait();
    assert!(status.success(), "{text}");
    assert!(text.contains("typed") && text.contains('X'), "root types where nothing forbids it: {text}");
}
