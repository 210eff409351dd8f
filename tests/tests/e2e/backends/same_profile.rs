//! One profile file, one word of it changed: the results are the same.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nucleus_tests::{Host, Output};

/// What an operator writes in the place of another.
const WORDS: [&str; 4] = [
    "native-namespace",
    "oci-runtime",
    "{name: oci-runtime, options: {path: /usr/bin/crun}}",
    "{name: oci-runtime, options: {path: /usr/sbin/runc}}",
];

/// The whole file; `BACKEND` stands for the word. Everything that a workload can tell is asked for by a line of its own.
const PROFILE: &str = "\
apiVersion: nucleus/v1
name: same
backend: BACKEND
workload:
  user: 10001:10002
  additionalGroups: [7, 8]
  umask: '0027'
  hostname: web
  domainname: example
  env: {LANG: C.UTF-8, WORDS: 'two words'}
  cwd: /usr/share
  rlimits: {nofile: {soft: 300, hard: 400}}
  oomScoreAdj: 300
context: {source: DIRECTORY/context, target: /context}
mounts:
  volumes:
    - {source: DIRECTORY/read, target: /read}
    - {source: DIRECTORY/write, target: /write, mode: rw}
  tmpfs: [{target: /scratch, size: 1M, mode: '0700', uid: 10001, gid: 10002}]
secrets: [{source: {file: DIRECTORY/key}, mode: '0440', target: /run/secrets/key}]
resources: {memory: 256M, pids: 64, cpus: 0.5}
security:
  landlock: 'off'
  capabilities: [CHOWN]
workloads:
  fails: {workload: {command: [/bin/sh, -c, 'echo out; echo err >&2; exit 7']}}
  missing: {workload: {command: [/no/such/program]}}
";

/// Prints what the workload sees, one fact a line. Of `/dev` all but `core`, a link to `/proc/kcore` that runc alone makes; what
/// it leads to is masked.
const FACTS: &str = r#"
id -u; id -g; id -G; umask; hostname; cat /proc/sys/kernel/domainname; pwd; ulimit -Sn; ulimit -Hn
cat /proc/self/oom_score_adj
env | grep -vE '^(_|PWD|OLDPWD|SHLVL)=' | sort
grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status
stat -c '%a %u:%g' /run/secrets/key; cat /run/secrets/key
cat /context/file /read/file; echo written > /write/file && stat -c '%a %u:%g' /write/file
for place in / /read /context /run/secrets /usr /proc/sys /sys; do
  (: > $place/probe) 2>/dev/null && echo "$place can be written"
done
head -c 2000000 /dev/zero > /scratch/fill 2>/dev/null; stat -c '%s %a' /scratch/fill; stat -c '%a %u:%g' /scratch
for place in /read /write /scratch /context; do
  grep " $place " /proc/self/mounts | tail -1 | cut -d' ' -f4 | tr , '\n' |
    grep -xE 'ro|rw|nosuid|nodev|noexec' | sort | tr '\n' ' '; echo $place
done
ls /sys/class/net; ls -A /sys/firmware | wc -l; ls /dev | grep -vx core | sort | xargs
(echo x > /proc/sysrq-trigger) 2>/dev/null || echo no sysrq
ps -e -o pid= 2>/dev/null | head -1 | tr -d ' '; cat
"#;

/// What is left out of the file where gVisor is one of the words, since it refuses it by name, or counts its own threads.
const BEYOND_GVISOR: [&str; 4] =
    ["  umask: '0027'\n", "  domainname: example\n", "  oomScoreAdj: 300\n", ", pids: 64"];

/// What gVisor's kernel tells too. Its first release here knows no statx(2) as ls and stat call it; find does without.
const FACTS_OF_GVISOR: &str = r#"
id -u; id -g; id -G; hostname; pwd; ulimit -Sn; ulimit -Hn
env | grep -vE '^(_|PWD|OLDPWD|SHLVL)=' | sort
grep -E '^Cap(Inh|Prm|Eff|Bnd):' /proc/self/status
cat /run/secrets/key /context/file /read/file; echo written > /write/file
for place in / /read /context /run/secrets /usr /proc/sys /sys; do
  (: > $place/probe) 2>/dev/null && echo "$place can be written"
done
head -c 2000000 /dev/zero > /scratch/fill 2>/dev/null
find /run/secrets/key /write/file /scratch/fill -printf '%p %m %U:%G %s\n'
find /scratch -maxdepth 0 -printf '%p %m %U:%G\n'
(echo x > /proc/sysrq-trigger) 2>/dev/null || echo no sysrq
cat
"#;

struct Place {
    host: Host,
    directory: PathBuf,
}

impl Place {
    fn new() -> Self {
        let host = Host::enter();
        let directory = crate::open_directory(&host, "same");
        for name in ["context", "read", "write"] {
            fs::create_dir(directory.join(name)).unwrap();
        }
        for name in ["context/file", "read/file"] {
            fs::write(directory.join(name), format!("{name}\n")).unwrap();
        }
        fs::set_permissions(directory.join("write"), fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(directory.join("key"), "the key\n").unwrap();
        fs::set_permissions(directory.join("key"), fs::Permissions::from_mode(0o600)).unwrap();
        Self { host, directory }
    }

    /// The same file under each of its words.
    fn profile(&self, word: &str) -> PathBuf {
        let path = self.directory.join("same.yaml");
        let text =
            PROFILE.replace("BACKEND", word).replace("DIRECTORY", &self.directory.display().to_string());
        fs::write(&path, text).unwrap();
        path
    }

    /// The file without what gVisor refuses.
    fn smaller(&self, word: &str) -> PathBuf {
        let path = self.profile(word);
        let text = fs::read_to_string(&path).unwrap();
        let text = BEYOND_GVISOR.iter().fold(text, |text, line| {
            assert!(text.contains(line), "{line}");
            text.replace(line, "")
        });
        fs::write(&path, text).unwrap();
        path
    }

    fn facts(&self, profile: &Path) -> Output {
        self.told(profile, FACTS)
    }

    fn told(&self, profile: &Path, facts: &str) -> Output {
        let output = self.host.shell(profile, facts).stdin("through\n").output().assert_code(0);
        assert_eq!(fs::read_to_string(self.directory.join("write/file")).unwrap(), "written\n");
        fs::remove_file(self.directory.join("write/file")).unwrap();
        output
    }
}

#[test]
fn a_workload_sees_the_same_whatever_the_word() {
    let place = Place::new();
    let facts: Vec<_> = WORDS
        .iter()
        .map(|word| {
            let profile = place.profile(word);
            place.host.nucleus("profile").arg("check").arg(&profile).output().assert_success();
            place.facts(&profile)
        })
        .collect();
    for line in
        ["10001", "web", "/usr/share", "the key", "nodev noexec nosuid ro /read", "no sysrq", "through"]
    {
        assert!(facts[0].text().lines().any(|one| one.trim() == line), "`{line}` in\n{}", facts[0]);
    }
    assert!(!facts[0].text().contains("can be written"), "{}", facts[0]);
    for (word, other) in WORDS.iter().zip(&facts) {
        assert_eq!(other.text(), facts[0].text(), "{word}");
        assert_eq!(other.stderr, "", "{word}");
    }
}

/// gVisor by one word: the other words say the same, where gVisor does not refuse what it lacks.
#[test]
fn a_workload_under_gvisor_sees_what_it_sees_elsewhere() {
    let place = Place::new();
    let accepted = "acceptAdvisories: [CVE-2023-7258, CVE-2025-2713]";
    let runsc = format!("{{name: gvisor-runsc, options: {{platform: ptrace, {accepted}}}}}");
    let path = super::LATER_RUNSC;
    let later = format!("{{name: gvisor-runsc, options: {{path: {path}, platform: systrap, {accepted}}}}}");
    let native = place.told(&place.smaller(WORDS[0]), FACTS_OF_GVISOR);
    for fact in ["10001", "web", "/run/secrets/key 440 10001:10002 8", "/scratch 700 10001:10002", "through"]
    {
        assert!(native.text().lines().any(|line| line == fact), "`{fact}` in\n{native}");
    }
    for word in [WORDS[2], &runsc, &later] {
        let other = place.told(&place.smaller(word), FACTS_OF_GVISOR);
        assert_eq!(other.text(), native.text(), "{word}");
    }
}

#[test]
fn it_ends_the_same_whatever_the_word() {
    let place = Place::new();
    for word in WORDS {
        let profile = place.profile(word);
        let run = |workload: &str| {
            let call = place.host.nucleus("run").profile(&profile).args(["--workload", workload, "--no-tty"]);
            call.args(["--id", &place.host.fresh_id()]).output()
        };
        let failed = run("fails").assert_code(7);
        assert_eq!((failed.text(), failed.stderr.as_str()), ("out", "err\n"), "{word}");
        let missing = run("missing").assert_code(127);
        assert!(missing.stderr.contains("/no/such/program"), "{word}: {missing}");
    }
}

#[test]
fn nothing_is_lost_by_the_word() {
    let place = Place::new();
    for word in WORDS {
        let path = place.profile(WORDS[0]);
        let own = place.directory.join("own.yaml");
        fs::rename(&path, &own).unwrap();
        let other = place.profile(word);
        let call = place.host.nucleus("profile").arg("diff").args([&own, &other]).args(["--format", "json"]);
        let document = call.output().assert_code(0).json();
        assert!(document["lost"].as_array().unwrap().is_empty(), "{word}: {document}");
        assert!(document["gained"].as_array().unwrap().is_empty(), "{word}: {document}");
    }
}
