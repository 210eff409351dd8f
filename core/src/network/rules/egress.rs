//! A container's policy: a chain of its own, reached by its address, which its device has been held to.

use nucleus_sys::netlink::nftables::{
    Comparison, Element, Expression, Found, Header, IpFamily, Meta, Refusal, Verdict,
};

use super::matching::{End, FIRST, ICMPV6, TCP, accept, bytes, family, is, meta, octets, of, rule, within};
use super::{Entries, Rule};
use crate::network::document::Lease;
use crate::plan::{Egress, EgressPlan, EgressRule};
use crate::profile::values::{PortRange, Ports, Protocol};

/// `IPPROTO_ICMP`.
const ICMP: u8 = 1;

/// The name of a container's chain.
pub(in crate::network) fn chain(lease: &Lease) -> String {
    format!("egress-{}", lease.device)
}

/// The rules of a policy, and what leads to them. Nothing for a container without one.
pub(in crate::network) fn judged(lease: &Lease) -> (Vec<Rule>, Entries) {
    let Some(policy) = &lease.egress else { return (Vec::new(), Vec::new()) };
    let lead = |address: &std::net::IpAddr| {
        let map = if address.is_ipv4() { "egress4" } else { "egress6" };
        let value = Found::Verdict(Verdict::Jump(chain(lease)));
        (map, Element { key: octets(*address), value })
    };
    (rules(policy), lease.addresses.iter().map(lead).collect())
}

fn rules(policy: &EgressPlan) -> Vec<Rule> {
    let mut rules: Vec<Rule> = policy.rules.iter().flat_map(each).collect();
    match policy.otherwise {
        Egress::Allowed => rules.push(vec![accept()]),
        Egress::Denied => rules.extend(refuse(&Vec::new())),
    }
    rules
}

fn each(rule: &EgressRule) -> Vec<Rule> {
    let family = family(rule.to.first());
    let conditions = [
        of(family),
        within(rule.to, End::Destination),
        rule.ports.map_or_else(Vec::new, |ports| transport(ports, family)),
    ]
    .concat();
    match rule.verdict {
        Egress::Allowed => vec![super::matching::rule([conditions], [accept()])],
        Egress::Denied => refuse(&conditions),
    }
}

/// TCP knows a word for it, all others are told by ICMP. Both are counted.
fn refuse(conditions: &Rule) -> Vec<Rule> {
    let end = |how| [Expression::Count, Expression::Reject(how)];
    vec![
        rule([conditions.clone(), is(meta(Meta::Transport), [TCP])], end(Refusal::Reset)),
        rule([conditions.clone()], end(Refusal::Prohibited)),
    ]
}

fn transport(ports: Ports, family: IpFamily) -> Rule {
    let protocol = match (ports.protocol, family) {
        (Protocol::Icmp, IpFamily::V4) => ICMP,
        (Protocol::Icmp, IpFamily::V6) => ICMPV6,
        (protocol, _) => number(protocol),
    };
    [is(meta(Meta::Transport), [protocol]), ports.range.map_or_else(Vec::new, range)].concat()
}

/// `IPPROTO_*` of a protocol with ports.
pub(super) fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => TCP,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
        Protocol::Icmp => ICMP,
    }
}

fn range(range: PortRange) -> Rule {
    let load = bytes(Header::Transport, 2, 2);
    let (first, last) = (range.first.to_be_bytes().to_vec(), range.last.to_be_bytes().to_vec());
    if first == last {
        vec![load, Expression::Compare(FIRST, Comparison::Equal, first)]
    } else {
        vec![load, Expression::Within(FIRST, first, last)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(otherwise: Egress, rules: &[(Egress, &str, Option<&str>)]) -> EgressPlan {
        let rule = |(verdict, to, ports): &(Egress, &str, Option<&str>)| EgressRule {
            verdict: *verdict,
            to: to.parse().unwrap(),
            ports: ports.map(|ports| ports.parse().unwrap()),
        };
        EgressPlan { otherwise, rules: rules.iter().map(rule).collect() }
    }

    #[test]
    fn what_is_denied_is_refused_in_the_senders_own_language_and_counted() {
        let rules = rules(&policy(Egress::Denied, &[(Egress::Allowed, "10.0.0.0/8", Some("443/tcp"))]));
        assert_eq!(rules.len(), 3);
        assert_eq!(rules[0].last(), Some(&accept()));
        let ends: Vec<_> = rules[1..].iter().map(|rule| rule.last().unwrap().clone()).collect();
        assert_eq!(ends, [Expression::Reject(Refusal::Reset), Expression::Reject(Refusal::Prohibited)]);
        assert!(rules[1..].iter().all(|rule| rule.contains(&Expression::Count)));
    }

    #[test]
    fn a_policy_ends_with_a_word_on_everything() {
        for otherwise in [Egress::Allowed, Egress::Denied] {
            let last = rules(&policy(otherwise, &[])).pop().unwrap();
            let unconditional = |part: &Expression| {
                matches!(part, Expression::Count | Expression::Reject(_) | Expression::Verdict(_))
            };
            assert!(last.iter().all(unconditional), "{last:?}");
        }
    }
}
