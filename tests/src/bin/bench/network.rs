//! `--network`: what a container's network costs, from its set-up to its end, as parts of whole starts.
//!
//! `none` is compared with a bare `unshare --net`; a bridge with the standard plugins of CNI (bridge, host-local), which
//! Podman 4 and containerd call for theirs: each call of a plugin is a program that an engine starts. All of it happens in a
//! network namespace of the benchmark's own: `tests/bench/run` makes it.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use nucleus_tests::nucleus::Nucleus;

use crate::contestants::{Contestant, limited, state};
use crate::lane::View;

/// The plugins' directory in Debian.
const PLUGINS: &str = "/usr/lib/cni";

/// Set up and tear down, as libcni does it: environment, configuration on standard input.
const CNI: &str = r#"
name=bench-$$
ip netns add $name
call() {
    CNI_COMMAND=$1 CNI_CONTAINERID=$name CNI_NETNS=/run/netns/$name CNI_IFNAME=eth0 CNI_PATH=$PLUGINS $PLUGINS/bridge <<END
{"cniVersion": "0.4.0", "name": "bench", "type": "bridge", "bridge": "bench0", "isGateway": true, "ipMasq": true,
 "ipam": {"type": "host-local", "dataDir": "$DATA", "ranges": [[{"subnet": "10.77.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}}
END
}
call ADD && call DEL
ip netns del $name
"#;

/// The same without the plugins.
const NAMED: &str = "name=bench-$$; ip netns add $name; ip netns del $name";

/// All of them.
pub(crate) fn contestants(scratch: &Path) -> Vec<Contestant> {
    let one = |name, words: Vec<OsString>| Contestant { name, view: View::Host, words };
    let shell = |script: &str| -> Vec<OsString> {
        let script =
            script.replace("$PLUGINS", PLUGINS).replace("$DATA", &scratch.join("cni").to_string_lossy());
        ["sh", "-c", &format!("({script}) >/dev/null")].map(OsString::from).into()
    };
    let ours = |network: &[&str]| {
        limited(Nucleus::new(&state(scratch), "run")).args(network).command(["/bin/true"]).words()
    };
    vec![
        one("unshare --net", ["unshare", "--net", "/bin/true"].map(OsString::from).into()),
        one("nucleus, none", ours(&["--network", "none"])),
        one("nucleus, bridge", ours(&["--network", "bridge"])),
        one("ip netns add, del", shell(NAMED)),
        one("the same with CNI", shell(CNI)),
    ]
}

/// The bridge must be there before and after, for CNI's is: a container of its own keeps it.
pub(crate) fn keep(scratch: &Path) -> io::Result<std::process::Child> {
    let call = Nucleus::new(&state(scratch), "run").args(["--network", "bridge", "--no-tty"]);
    let words = call.command(["/bin/sleep", "1000"]).words();
    let mut command = std::process::Command::new(&words[0]);
    command.args(&words[1..]).stdin(std::process::Stdio::null()).spawn()
}
