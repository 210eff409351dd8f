//! What a plugin does wrong costs one clear error, where this process survives it; where it does not, what was made is removed.

use std::time::Duration;

use nucleus_tests::plugins::Plugins;
use nucleus_tests::{Host, Output};

fn run(host: &Host, trouble: &str) -> Output {
    let plugins = Plugins::with(host, "trouble");
    plugins.shell("trouble", "sleep 0.1").env("TROUBLE", trouble).output()
}

/// The error names plugin and verb, and nothing is left.
#[track_caller]
fn caught(trouble: &str, words: &[&str]) {
    let host = Host::enter();
    let output = run(&host, trouble).assert_refused(words);
    assert!(output.stderr.contains("plugin `trouble`"), "{output}");
    host.assert_no_leak();
}

/// The process is lost; `gc` removes what it made.
#[track_caller]
fn fatal(trouble: &str, signal: i32) {
    let host = Host::enter();
    let output = run(&host, trouble);
    assert_eq!(output.signal(), Some(signal), "{output}");
    assert!(!host.leaks_now().is_empty(), "something was made, or this proves nothing");
    host.nucleus("gc").output().assert_success();
    host.assert_no_leak();
}

#[test]
fn a_panic_is_an_error_with_its_message() {
    caught("panic@create", &["the sky is falling", "a defect of the plugin"]);
}

#[test]
fn abort_ends_nucleus_and_gc_removes_what_was_made() {
    fatal("abort@create", 6);
}

#[test]
fn a_fault_ends_nucleus_and_gc_removes_what_was_made() {
    fatal("segfault@create", 11);
}

#[test]
fn an_exit_is_not_taken_for_success() {
    let host = Host::enter();
    let output = run(&host, "exit@create").assert_code(125);
    assert!(output.stderr.contains("the plugin `trouble` ended nucleus by exit(3)"), "{output}");
    host.nucleus("gc").output().assert_success();
    host.assert_no_leak();
}

#[test]
fn an_exit_while_it_is_loaded_is_not_taken_for_success() {
    let host = Host::enter();
    let output = run(&host, "exit@load").assert_code(125);
    assert!(output.stderr.contains("the plugin `trouble` ended nucleus"), "{output}");
}

#[test]
fn an_endless_loop_can_be_killed_and_gc_removes_what_was_made() {
    let host = Host::enter();
    let plugins = Plugins::with(&host, "trouble");
    let call = plugins.shell("trouble", "true").env("TROUBLE", "loop@create").timeout(Duration::from_mins(1));
    let running = call.spawn();
    host.wait_until("a container", || {
        host.leaks_now().iter().any(|leak| leak.contains("/ledger") || leak.contains("state "))
    });
    running.signal(rustix::process::Signal::KILL);
    assert_eq!(running.wait().signal(), Some(9));
    host.nucleus("gc").output().assert_success();
    host.assert_no_leak();
}

#[test]
fn a_thread_that_stays_is_named() {
    caught("thread@create", &["in `create`", "it started the thread `busybody`"]);
}

#[test]
fn a_thread_that_is_started_while_it_is_loaded_is_named() {
    caught("thread@load", &["while it was loaded", "it started the thread `"]);
}

#[test]
fn a_changed_mask_of_signals_is_named() {
    caught("mask@create", &["in `create`: it changed the mask of blocked signals"]);
    caught("mask@load", &["while it was loaded: it changed the mask of blocked signals"]);
}

#[test]
fn a_changed_working_directory_is_named() {
    caught("directory@create", &["in `create`: it changed the working directory"]);
    caught("directory@load", &["while it was loaded: it changed the working directory"]);
}

#[test]
fn closed_descriptors_are_named() {
    caught("close@create", &["in `create`: it closed descriptor"]);
    caught("close@sandbox", &["in `sandbox`: it closed descriptor"]);
}

#[test]
fn descriptors_that_are_not_the_plugins_are_not_taken() {
    caught("stolen@create", &["it names one twice, or one that was only lent"]);
}

#[test]
fn a_gigabyte_is_not_read() {
    caught("gigabyte@create", &["1073741824 bytes"]);
}

#[test]
fn what_makes_no_sense_is_an_error() {
    caught("no-utf8@report", &["read the plugin's answer to `report`"]);
    caught("no-json@create", &["read the plugin's answer to `create`"]);
    caught("wrong-json@create", &["read the plugin's answer to `create`"]);
}
