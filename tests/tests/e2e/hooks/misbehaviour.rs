//! What a hook does wrong costs one clear error, and nothing is left of hook or container.

use std::time::Duration;

use nucleus_tests::{Host, Output};

use super::Probe;

fn run(host: &Host, body: &str, more: &str) -> Output {
    let probe = Probe::new(host, body);
    let run = host.shell(probe.profile(&format!(", events: [created]{more}")), "echo ran");
    run.timeout(Duration::from_mins(1)).output()
}

/// It is refused with these words; and with `onFailure: warn` the same is a warning.
#[track_caller]
fn costs_one_error(body: &str, words: &[&str]) {
    let host = Host::enter();
    let output = run(&host, body, ", timeout: 2s").assert_refused(words);
    assert_eq!(output.text(), "", "the workload has not run");
    assert!(output.stderr.contains("plugin `probe`"), "{output}");
    host.assert_no_leak();
    let output = run(&host, body, ", timeout: 2s, onFailure: warn").assert_code(0);
    assert_eq!(output.text(), "ran");
    assert!(words.iter().all(|word| output.stderr.contains(word)), "{output}");
    host.assert_no_leak();
}

#[test]
fn a_crash_with_its_last_words() {
    costs_one_error("raise RuntimeError('out of cheese')", &["status 1", "out of cheese"]);
}

#[test]
fn a_signal() {
    costs_one_error("import ctypes; ctypes.string_at(8)", &["SIGSEGV ended it"]);
}

#[test]
fn an_exit_without_an_answer() {
    costs_one_error("sys.exit(0)", &["it ended with status 0"]);
}

#[test]
fn a_hang() {
    costs_one_error("time.sleep(600)", &["it took longer than 2s"]);
}

#[test]
fn a_hang_that_ignores_signals_and_leaves_children() {
    let body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nif os.fork() == 0:\n  os.setsid()\n  os.fork()\ntime.sleep(600)";
    costs_one_error(body, &["it took longer than 2s"]);
}

#[test]
fn children_that_outlive_the_answer() {
    let host = Host::enter();
    let body = "if os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0: time.sleep(600)\n  os._exit(0)";
    run(&host, body, "").assert_success();
    // A leak is a process too.
    host.assert_no_leak();
}

#[test]
fn memory_without_end() {
    costs_one_error("x = []\nwhile True: x.append(bytearray(16 << 20))", &["MemoryError"]);
}

#[test]
fn an_answer_of_a_gigabyte() {
    costs_one_error(
        "for _ in range(1 << 10): here.sendall(b' ' * (1 << 20))",
        &["longer than 16777216 bytes"],
    );
}

#[test]
fn garbage() {
    costs_one_error("here.sendall(b'Segmentation fault\\n')\ncontinue", &["read the plugin's answer"]);
}

#[test]
fn no_utf8() {
    costs_one_error(
        "here.sendall(b'{\"outcome\":\"done\",\"document\":{\"veto\":\"\\xff\\xfe\"}}\\n')\ncontinue",
        &["unicode"],
    );
}

#[test]
fn another_document() {
    costs_one_error("answer([{'veto': 7}])\ncontinue", &["read the plugin's answer to `event`"]);
}

#[test]
fn two_answers() {
    costs_one_error(
        "here.sendall(b'{\"outcome\":\"done\",\"document\":{}}\\n{}\\n')\ncontinue",
        &["something follows"],
    );
}

#[test]
fn half_an_answer() {
    costs_one_error("here.sendall(b'{\"outcome\":')\ntime.sleep(600)", &["it took longer than 2s"]);
}

#[test]
fn closed_descriptors() {
    costs_one_error("os.closerange(0, 64)\ntime.sleep(600)", &["plugin `probe`"]);
}

#[test]
fn a_torrent_on_standard_error_neither_holds_it_nor_fills_memory() {
    let host = Host::enter();
    run(&host, "sys.stderr.write('x' * (8 << 20)); sys.stderr.flush()", "").assert_success();
}

#[test]
fn its_own_error_is_the_error() {
    let body = "answer({'code': 'host-unfit', 'step': 'count the sheep', 'cause': 'there are none'}, 'failed')\ncontinue";
    let host = Host::enter();
    run(&host, body, "").assert_refused(&["cannot count the sheep", "there are none"]);
}

#[test]
fn one_that_is_somebody_else() {
    let host = Host::enter();
    let text = super::HOOK.replace("\"id\": \"probe\"", "\"id\": \"imposter\"").replace("BODY", "    pass");
    let probe = Probe::of(&host, &text);
    host.shell(probe.profile(""), "true")
        .output()
        .assert_refused(&["it says that it is the hook `imposter`"]);
}

#[test]
fn one_that_speaks_a_later_protocol() {
    let host = Host::enter();
    let text = super::HOOK
        .replace("\"version\": \"1\"", "\"version\": \"1\", \"protocol\": 2")
        .replace("BODY", "    pass");
    let probe = Probe::of(&host, &text);
    host.shell(probe.profile(""), "true").output().assert_refused(&["version 2 of the protocol"]);
}

#[test]
fn it_gets_no_environment_and_no_descriptors() {
    let host = Host::enter();
    let body = "names = sorted(set(os.environ) - {'LC_CTYPE'})\n\
                open_ = [n for n in os.listdir('/proc/self/fd') if int(n) > 4 and os.path.exists('/proc/self/fd/' + n) and not os.readlink('/proc/self/fd/' + n).startswith(('socket:', '/proc/'))]\n\
                reply = {'veto': f'{names} {open_}'}";
    run(&host, body, "").assert_refused(&["['PATH'] []"]);
}
