use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;

use super::*;
use crate::loopback;
use crate::namespace::{NamespaceSet, unshare};
use crate::testing::in_child;

const TABLE: &str = "nucleus-test";

fn nft() -> String {
    let output = Command::new("nft").args(["list", "ruleset"]).output().expect("nft is installed");
    String::from_utf8(output.stdout).unwrap()
}

fn rejects(port: u16) -> Vec<Expression> {
    vec![
        Expression::Meta(Meta::Transport, Register(0)),
        Expression::Compare(Register(0), Comparison::Equal, vec![6]),
        Expression::Payload { header: Header::Transport, offset: 2, length: 2, to: Register(0) },
        Expression::Compare(Register(0), Comparison::Equal, port.to_be_bytes().to_vec()),
        Expression::Count,
        Expression::Reject(Refusal::Reset),
    ]
}

fn base(hook: Hook<'_>, purpose: Purpose) -> Base<'_> {
    Base { purpose, hook, priority: 0, otherwise: &Verdict::Accept }
}

#[test]
fn a_rule_holds_counts_and_is_shown_as_it_was_made() {
    in_child(|| {
        unshare(NamespaceSet::NETWORK).unwrap();
        loopback::bring_up().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut tables = NfTables::open().unwrap();
        assert!(!tables.has_table(Family::Inet, TABLE).unwrap());
        let mut batch = Batch::new(Family::Inet, TABLE);
        batch.table();
        batch.chain("in", Some(base(Hook::Prerouting, Purpose::Filter)));
        batch.rule("in", &rejects(address.port()));
        tables.commit(&batch).unwrap();
        assert!(tables.has_table(Family::Inet, TABLE).unwrap());
        assert!(TcpStream::connect(address).is_err());
        let rules = tables.rules(Family::Inet, Some(TABLE)).unwrap();
        assert_eq!((rules.len(), rules[0].chain.as_str()), (1, "in"));
        assert!(rules[0].is(&rejects(address.port())));
        assert!(!rules[0].is(&rejects(address.port() ^ 1)));
        assert!(!rules[0].is(&rejects(address.port())[..5]));
        assert_eq!(rules[0].count().unwrap().packets, 1);
        let mut batch = Batch::new(Family::Inet, TABLE);
        batch.delete_table();
        tables.commit(&batch).unwrap();
        TcpStream::connect(address).unwrap();
    });
}

fn every_kind() -> Vec<(&'static str, Vec<Expression>)> {
    let source = Expression::Payload { header: Header::Network, offset: 12, length: 4, to: Register(0) };
    let ipv4 = [
        Expression::Meta(Meta::Family, Register(0)),
        Expression::Compare(Register(0), Comparison::Equal, vec![2]),
    ];
    vec![
        (
            "judge",
            vec![
                source.clone(),
                Expression::Within(Register(0), vec![10, 0, 0, 0], vec![10, 0, 0, 9]),
                Expression::Verdict(Verdict::Return),
            ],
        ),
        (
            "judge",
            vec![
                source.clone(),
                Expression::Mask(Register(0), vec![255, 0, 0, 0]),
                Expression::Compare(Register(0), Comparison::NotEqual, vec![10, 0, 0, 0]),
                Expression::Reject(Refusal::Prohibited),
            ],
        ),
        ("in", [&ipv4[..], &[source, Expression::Judge(Register(0), "who".into())]].concat()),
        (
            "in",
            vec![
                Expression::Track(Track::State, Register(0)),
                Expression::Mask(Register(0), state::ESTABLISHED.to_ne_bytes().into()),
                Expression::Compare(Register(0), Comparison::NotEqual, vec![0; 4]),
                Expression::Count,
                Expression::Verdict(Verdict::Accept),
            ],
        ),
        (
            "in",
            vec![
                Expression::Meta(Meta::InputName, Register(0)),
                Expression::Compare(Register(0), Comparison::Equal, b"nu-".into()),
                Expression::Verdict(Verdict::Drop),
            ],
        ),
        (
            "pre",
            [
                &ipv4[..],
                &[
                    Expression::DestinationType(Register(0)),
                    Expression::Compare(Register(0), Comparison::Equal, 2u32.to_ne_bytes().into()),
                    Expression::Meta(Meta::Transport, Register(0)),
                    Expression::Payload { header: Header::Transport, offset: 2, length: 2, to: Register(1) },
                    Expression::Find(Register(0), "where".into(), Register(0)),
                    Expression::Destination(IpFamily::V4, Register(0), Register(1)),
                ],
            ]
            .concat(),
        ),
        (
            "post",
            vec![
                Expression::Meta(Meta::OutputIndex, Register(0)),
                Expression::Compare(Register(0), Comparison::Equal, 1u32.to_ne_bytes().into()),
                Expression::Masquerade,
            ],
        ),
    ]
}

/// Everything that a rule can be made of goes in and comes back, and nft(8) reads it.
#[test]
fn each_expression_is_taken_and_shown() {
    in_child(|| {
        unshare(NamespaceSet::NETWORK).unwrap();
        let mut tables = NfTables::open().unwrap();
        let mut batch = Batch::new(Family::Inet, TABLE);
        batch.table();
        batch.chain("judge", None);
        batch.map(Map { name: "who", key: &[Type::Ipv4], gives: Gives::Verdict });
        let ports = [Type::Protocol, Type::Port];
        let gives = Gives::Values(&[Type::Ipv4, Type::Port]);
        batch.map(Map { name: "where", key: &ports, gives });
        batch.chain("pre", Some(base(Hook::Prerouting, Purpose::Nat)));
        batch.chain("post", Some(base(Hook::Postrouting, Purpose::Nat)));
        batch.chain("in", Some(base(Hook::Prerouting, Purpose::Filter)));
        let rules = every_kind();
        for (chain, rule) in &rules {
            batch.rule(chain, rule);
        }
        let key = Ipv4Addr::new(10, 0, 0, 2).octets().to_vec();
        let who = Element { key: key.clone(), value: Found::Verdict(Verdict::Jump("judge".into())) };
        batch.elements("who", std::slice::from_ref(&who));
        let to = [&key[..], &[0, 80, 0, 0]].concat();
        let many: Vec<Element> = (1..=600u16)
            .map(|port| Element {
                key: [&[6, 0, 0, 0][..], &port.to_be_bytes(), &[0, 0]].concat(),
                value: Found::Values(to.clone()),
            })
            .collect();
        batch.elements("where", &many);
        tables.commit(&batch).unwrap();
        let shown = tables.rules(Family::Inet, Some(TABLE)).unwrap();
        assert_eq!(shown.len(), rules.len());
        for (chain, rule) in &rules {
            assert!(shown.iter().any(|shown| shown.chain == *chain && shown.is(rule)), "{chain}: {rule:?}");
        }
        assert_eq!(tables.elements(Family::Inet, TABLE, "who").unwrap(), std::slice::from_ref(&who));
        let mut shown = tables.elements(Family::Inet, TABLE, "where").unwrap();
        shown.sort();
        assert_eq!(shown, many);
        let text = nft();
        for part in [
            "elements = { 10.0.0.2 : jump judge }",
            "ip saddr vmap @who",
            "ct state established",
            "iifname \"nu-*\" drop",
            "fib daddr type local dnat ip to meta l4proto . th dport map @where",
            "oif \"lo\" masquerade",
            "reject with icmpx admin-prohibited",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let mut batch = Batch::new(Family::Inet, TABLE);
        batch.delete_elements("who", &[who]);
        batch.empty_chain("judge");
        batch.delete_chain("judge");
        tables.commit(&batch).unwrap();
        assert_eq!(tables.elements(Family::Inet, TABLE, "who").unwrap().len(), 0);
        assert!(!tables.chains(Family::Inet, TABLE).unwrap().contains(&"judge".to_owned()));
    });
}

#[test]
fn a_batch_with_a_mistake_changes_nothing() {
    in_child(|| {
        unshare(NamespaceSet::NETWORK).unwrap();
        let mut tables = NfTables::open().unwrap();
        let mut batch = Batch::new(Family::Inet, TABLE);
        batch.table();
        batch.rule("no-such-chain", &[Expression::Count]);
        batch.chain("x", None);
        let error = tables.commit(&batch).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        assert!(!tables.has_table(Family::Inet, TABLE).unwrap());
        // Nor do many answers that nobody reads keep later ones away.
        let mut batch = Batch::new(Family::Inet, TABLE);
        (0..5000).for_each(|_| batch.rule("no-such-chain", &[Expression::Count]));
        assert_eq!(tables.commit(&batch).unwrap_err().raw_os_error(), Some(libc::ENOENT));
        let mut batch = Batch::new(Family::Inet, TABLE);
        batch.table();
        tables.commit(&batch).unwrap();
        assert!(tables.has_table(Family::Inet, TABLE).unwrap());
    });
}
