//! What the policy decides, and that it decides no more loosely the stricter it is.

use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{Denial, Found, Ground, Policy, Reach, Shape};
use crate::plan::bounds::Bound;

fn line<T>(value: T, number: usize) -> Bound<T> {
    Bound { value, decided: format!("web.yaml:{number}") }
}

fn patterns(texts: &[&str]) -> super::Patterns {
    texts.iter().enumerate().map(|(number, text)| line(text.parse().unwrap(), number + 1)).collect()
}

fn policy(allow: Option<&[&str]>, deny: &[&str], dangerous: &[&str]) -> Policy {
    let denial = |pattern| Denial { pattern, leads_to: None };
    Policy {
        allow: allow.map(|texts| line(patterns(texts), 9)),
        deny: patterns(deny).into_iter().map(denial).collect(),
        dangerous: patterns(dangerous),
        ..Policy::default()
    }
}

fn directory(path: &str) -> Found {
    Found { path: path.into(), shape: Shape::Directory, reach: Reach::Files }
}

fn cause(policy: &Policy, found: &Found) -> String {
    policy.source(found).unwrap_err().with_line()
}

#[test]
fn a_denial_wins_and_is_named_with_its_line() {
    let policy = policy(Some(&["/srv/**"]), &["/etc", "/srv/secret/**"], &["/srv/secret/x"]);
    assert_eq!(policy.source(&directory("/srv/data")), Ok(Ground::Allow(0)));
    for path in ["/srv/secret", "/srv/secret/x", "/srv/secret/x/y"] {
        let expected = format!("{path} is denied by `mounts.policy.deny[1]: /srv/secret/**` (web.yaml:2)");
        assert_eq!(cause(&policy, &directory(path)), expected);
    }
    assert_eq!(
        cause(&policy, &directory("/usr")),
        "the source /usr is in no line of `mounts.policy.allow` (web.yaml:9)"
    );
}

#[test]
fn what_holds_a_denied_place_is_refused_unless_nothing_can_lie_below_it() {
    let policy = policy(None, &["/srv/secret/**", "/home/*/.ssh"], &["/"]);
    for path in ["/srv", "/home", "/home/ann", "/"] {
        assert!(cause(&policy, &directory(path)).contains("can hold what is denied by"), "{path}");
    }
    let file = Found { shape: Shape::File, ..directory("/home/ann") };
    assert_eq!(policy.source(&file), Ok(Ground::Default));
    assert_eq!(policy.source(&directory("/srv/data")), Ok(Ground::Default));
}

#[test]
fn a_denial_holds_where_its_links_lead_too() {
    let mut policy = policy(None, &["/var/run/app"], &[]);
    policy.deny[0].leads_to = Some("/run/app".parse().unwrap());
    for path in ["/run/app", "/run/app/x", "/run", "/var/run/app"] {
        assert!(cause(&policy, &directory(path)).contains("deny[0]: /var/run/app"), "{path}");
    }
}

#[test]
fn what_is_always_forbidden_must_be_named_itself() {
    let socket = Found { path: "/run/docker.sock".into(), shape: Shape::File, reach: Reach::Engine };
    for (dangerous, expected) in [("/run/docker.sock", true), ("/run/*", true), ("/run", false), ("/", false)]
    {
        assert_eq!(policy(None, &[], &[dangerous]).source(&socket).is_ok(), expected, "{dangerous}");
    }
    let text = cause(&policy(Some(&["/run/**"]), &[], &[]), &socket);
    assert!(text.contains("socket of an engine") && text.contains("always forbidden"), "{text}");
    let state = Found { reach: Reach::State, ..directory("/run/nucleus") };
    assert!(policy(None, &[], &[]).source(&state).is_err());
}

#[test]
fn a_root_is_bound_by_what_is_denied_and_not_by_what_is_allowed() {
    let policy = policy(Some(&["/srv/**"]), &["/etc"], &[]);
    assert!(policy.root(&directory("/var/lib/images/1")).is_ok());
    assert!(policy.root(&directory("/etc/x")).is_err());
    assert!(policy.root(&Found { reach: Reach::Root, ..directory("/") }).is_err());
}

#[test]
fn an_empty_list_allows_nothing() {
    assert!(policy(Some(&[]), &[], &[]).source(&directory("/srv")).is_err());
    let targets = Policy { allow_targets: Some(line(Vec::new(), 3)), ..Policy::default() };
    assert!(targets.target("/data".as_ref()).is_err());
}

#[test]
fn targets_and_types() {
    let policy = Policy {
        allow_targets: Some(line(patterns(&["/data/**", "/tmp"]), 3)),
        forbid_types: vec![line("tmpfs".to_owned(), 4)],
        ..Policy::default()
    };
    assert!(policy.target("/data/a".as_ref()).is_ok());
    let text = policy.target("/datax".as_ref()).unwrap_err().with_line();
    assert_eq!(text, "the target /datax is in no line of `mounts.policy.allowTargets` (web.yaml:3)");
    assert!(policy.kind("bind").is_ok());
    let text = policy.kind("tmpfs").unwrap_err().with_line();
    assert_eq!(text, "the type `tmpfs` is forbidden by `mounts.policy.forbidTypes[0]` (web.yaml:4)");
}

#[test]
fn it_is_stored_without_what_is_true_of_the_host_now() {
    let mut policy = policy(Some(&["/srv/**"]), &["/var/run/*"], &["/dev/kmsg"]);
    policy.deny[0].leads_to = Some("/run/*".parse().unwrap());
    let stored: Policy = serde_json::from_value(serde_json::to_value(&policy).unwrap()).unwrap();
    assert_eq!(stored, policy, "what was stored holds a container that is restored under the same profile");
    assert_eq!(stored.deny[0].leads_to, None);
    assert_eq!(serde_json::to_value(Policy::default()).unwrap(), serde_json::json!({}));
}

/// Few names, so that patterns and paths meet often.
fn name() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "ab", "secret"])
}

fn pattern() -> impl Strategy<Value = String> {
    let part = prop_oneof![4 => name(), 1 => select(vec!["*", "**", "a*", "*b"])];
    prop::collection::vec(part, 0..4).prop_map(|parts| format!("/{}", parts.join("/")))
}

fn list() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(pattern(), 0..4)
}

prop_compose! {
    fn found()(
        parts in prop::collection::vec(name(), 0..5),
        shape in select(vec![Shape::Directory, Shape::File]),
        reach in select(vec![Reach::Files, Reach::Files, Reach::Kernel, Reach::Engine, Reach::State]),
    ) -> Found {
        Found { path: PathBuf::from(format!("/{}", parts.join("/"))), shape, reach }
    }
}

prop_compose! {
    fn any_policy()(allow in prop::option::of(list()), deny in list(), dangerous in list(), targets in prop::option::of(list())) -> Policy {
        fn texts(list: &[String]) -> Vec<&str> {
            list.iter().map(String::as_str).collect()
        }
        let policy = policy(allow.as_deref().map(texts).as_deref(), &texts(&deny), &texts(&dangerous));
        Policy { allow_targets: targets.map(|list| line(patterns(&texts(&list)), 3)), ..policy }
    }
}

proptest! {
    #[test]
    fn a_denial_added_never_allows_more(policy in any_policy(), more in pattern(), at: Index, found in found()) {
        let mut stricter = policy.clone();
        let denial = Denial { pattern: line(more.parse().unwrap(), 7), leads_to: None };
        stricter.deny.insert(at.index(policy.deny.len() + 1), denial);
        prop_assert!(stricter.source(&found).is_err() || policy.source(&found).is_ok());
        prop_assert!(stricter.root(&found).is_err() || policy.root(&found).is_ok());
    }

    #[test]
    fn a_permission_removed_never_allows_more(policy in any_policy(), at: Index, found in found()) {
        let mut stricter = policy.clone();
        let lists = [
            stricter.allow.as_mut().map(|list| &mut list.value),
            Some(&mut stricter.dangerous),
            stricter.allow_targets.as_mut().map(|list| &mut list.value),
        ];
        for list in lists.into_iter().flatten().filter(|list| !list.is_empty()) {
            list.remove(at.index(list.len()));
        }
        prop_assert!(stricter.source(&found).is_err() || policy.source(&found).is_ok());
        prop_assert!(stricter.root(&found).is_err() || policy.root(&found).is_ok());
        prop_assert!(stricter.target(&found.path).is_err() || policy.target(&found.path).is_ok());
    }

    #[test]
    fn what_is_allowed_shows_nothing_that_is_denied(policy in any_policy(), found in found(), below in name()) {
        if found.shape == Shape::Directory && policy.source(&found).is_ok() {
            let inner = Found { path: found.path.join(below), shape: Shape::File, reach: Reach::Files };
            prop_assert!(policy.root(&inner).is_ok(), "{} shows {}", found.path.display(), inner.path.display());
        }
    }

    #[test]
    fn a_list_of_all_is_no_list(mut policy in any_policy(), found in found()) {
        policy.allow = None;
        let default = policy.source(&found).is_ok();
        policy.allow = Some(line(patterns(&["/**"]), 1));
        prop_assert_eq!(policy.source(&found).is_ok(), default);
    }
}
