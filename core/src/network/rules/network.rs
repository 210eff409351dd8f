//! What holds for all of a network: how its packets find the rules of their container, where they may go, and under which
//! address they leave.

use nucleus_sys::netlink::nftables::{
    Base, Comparison, Expression, Gives, Header, Hook, IpFamily, Map, Meta, Purpose, Register, Track, Type,
    Verdict, state, status,
};

use super::Rule;
use super::matching::{
    End, FIRST, ICMPV6, accept, address, bytes, drop, has, is, is_not, meta, name, of, outside, rule, within,
};
use crate::network::document::Network;
use crate::network::names::BRIDGE;

/// The maps of every network's table.
pub(in crate::network) const MAPS: [Map<'static>; 6] = [
    Map { name: "egress4", key: &[Type::Ipv4], gives: Gives::Verdict },
    Map { name: "egress6", key: &[Type::Ipv6], gives: Gives::Verdict },
    Map {
        name: "publish4",
        key: &[Type::Protocol, Type::Port],
        gives: Gives::Values(&[Type::Ipv4, Type::Port]),
    },
    Map {
        name: "publish6",
        key: &[Type::Protocol, Type::Port],
        gives: Gives::Values(&[Type::Ipv6, Type::Port]),
    },
    Map {
        name: "publish4-at",
        key: &[Type::Protocol, Type::Ipv4, Type::Port],
        gives: Gives::Values(&[Type::Ipv4, Type::Port]),
    },
    Map {
        name: "publish6-at",
        key: &[Type::Protocol, Type::Ipv6, Type::Port],
        gives: Gives::Values(&[Type::Ipv6, Type::Port]),
    },
];

/// Priorities, `linux/netfilter_ipv4.h`: what is judged has been tracked and not yet translated.
const MANGLE: i32 = -150;
const DESTINATION: i32 = -100;
const FILTER: i32 = 0;
const SOURCE: i32 = 100;

const fn base(purpose: Purpose, hook: Hook<'static>, priority: i32) -> Base<'static> {
    Base { purpose, hook, priority, otherwise: &Verdict::Accept }
}

/// The chains that the kernel asks, with their rules.
pub(in crate::network) fn base_chains(network: &Network) -> Vec<(&'static str, Base<'static>, Vec<Rule>)> {
    let families: Vec<IpFamily> =
        network.subnets.iter().map(|row| super::matching::family(row.first())).collect();
    let translate: Vec<Rule> = families.iter().flat_map(|family| destinations(*family)).collect();
    vec![
        ("judge", base(Purpose::Filter, Hook::Prerouting, MANGLE), judge(network)),
        ("enter", base(Purpose::Nat, Hook::Prerouting, DESTINATION), translate.clone()),
        ("reach", base(Purpose::Nat, Hook::Output, DESTINATION), translate),
        ("pass", base(Purpose::Filter, Hook::Forward, FILTER), pass(network)),
        ("leave", base(Purpose::Nat, Hook::Postrouting, SOURCE), leave(network)),
    ]
}

/// All that containers send, before it is routed: to the host, to each other, and beyond.
fn judge(network: &Network) -> Vec<Rule> {
    let bridge = network.bridge();
    let loopback = "127.0.0.0/8".parse().map_or_else(|_| Vec::new(), |row| within(row, End::Destination));
    let by_address = |family, map: &str| {
        rule([of(family)], [address(family, End::Source), Expression::Judge(FIRST, map.to_owned())])
    };
    vec![
        rule([is_not(meta(Meta::InputName), name(&bridge))], [accept()]),
        // The bridge takes packets for the loopback network, for the sake of ports that are published there
        // (`route_localnet`): containers shall not (CVE-2020-8558).
        rule([of(IpFamily::V4), loopback], [Expression::Count, drop()]),
        rule([has(Track::State, state::ESTABLISHED | state::RELATED)], [accept()]),
        // Neighbour discovery, which no router passes on.
        rule(
            [
                of(IpFamily::V6),
                is(bytes(Header::Network, 6, 2), [ICMPV6, 255]),
                vec![bytes(Header::Transport, 0, 1), Expression::Within(FIRST, vec![135], vec![136])],
            ],
            [accept()],
        ),
        by_address(IpFamily::V4, "egress4"),
        by_address(IpFamily::V6, "egress6"),
    ]
}

/// Published ports, of all addresses of the host and of single ones.
fn destinations(family: IpFamily) -> Vec<Rule> {
    let (any, single) = match family {
        IpFamily::V4 => ("publish4", "publish4-at"),
        IpFamily::V6 => ("publish6", "publish6-at"),
    };
    // The words that an address and a port of a map's value fill.
    let port = Register(if family == IpFamily::V4 { 1 } else { 4 });
    let of_host = vec![
        Expression::DestinationType(FIRST),
        Expression::Compare(FIRST, Comparison::Equal, 2u32.to_ne_bytes().into()),
    ];
    let transport =
        |to: u8| Expression::Payload { header: Header::Transport, offset: 2, length: 2, to: Register(to) };
    let to = |register: u8| match address(family, End::Destination) {
        Expression::Payload { header, offset, length, .. } => {
            Expression::Payload { header, offset, length, to: Register(register) }
        }
        other => other,
    };
    let find = |map: &str| {
        [Expression::Find(FIRST, map.to_owned(), FIRST), Expression::Destination(family, FIRST, port)]
    };
    let length = port.0;
    vec![
        rule(
            [of(family), of_host.clone(), vec![meta(Meta::Transport), to(1), transport(1 + length)]],
            find(single),
        ),
        rule([of(family), of_host, vec![meta(Meta::Transport), transport(1)]], find(any)),
    ]
}

/// What the host passes on: into the network only what answers, what was published, and what comes from the same network.
fn pass(network: &Network) -> Vec<Rule> {
    let bridge = name(&network.bridge());
    let guard = |family| {
        let prefix = BRIDGE.as_bytes();
        rule(
            [of(family), is_not(meta(Meta::InputName), prefix), is_not(meta(Meta::OutputName), prefix)],
            [drop()],
        )
    };
    let mut rules = Vec::new();
    // The host did not route before: it does now, for containers alone.
    rules.extend(network.guarded.v4.then(|| guard(IpFamily::V4)));
    rules.extend(network.guarded.v6.then(|| guard(IpFamily::V6)));
    rules.extend([
        rule([is_not(meta(Meta::OutputName), bridge.clone())], [accept()]),
        rule([has(Track::State, state::ESTABLISHED | state::RELATED)], [accept()]),
        rule([has(Track::Status, status::DESTINATION_TRANSLATED)], [accept()]),
        rule([is(meta(Meta::InputName), bridge)], [accept()]),
        vec![Expression::Count, drop()],
    ]);
    rules
}

/// Outside nobody knows the container's address; and what goes in under a translated destination comes back through us.
fn leave(network: &Network) -> Vec<Rule> {
    let bridge = name(&network.bridge());
    let into = || is(meta(Meta::OutputName), bridge.clone());
    let mut rules = Vec::new();
    for row in &network.subnets {
        let family = super::matching::family(row.first());
        let masquerade = [Expression::Masquerade];
        let loopback = match family {
            IpFamily::V4 => "127.0.0.0/8",
            IpFamily::V6 => "::1/128",
        };
        let loopback = loopback.parse().map_or_else(|_| Vec::new(), |row| within(row, End::Source));
        let own = || within(*row, End::Source);
        rules.extend([
            rule([of(family), own(), outside(*row, End::Destination)], masquerade.clone()),
            rule(
                [of(family), own(), into(), has(Track::Status, status::DESTINATION_TRANSLATED)],
                masquerade.clone(),
            ),
            rule([of(family), into(), loopback], masquerade),
        ]);
    }
    rules
}
