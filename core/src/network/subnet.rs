//! Which addresses a new network gets. Pure.

use std::net::Ipv4Addr;

use crate::profile::values::Cidr;

/// The first row of 256 addresses for private use (RFC 1918) that meets nothing of what is taken. `None` if all do.
pub(super) fn free(taken: &[Cidr]) -> Option<Cidr> {
    let tens = (88..=127).flat_map(|second| (0..=255).map(move |third| [10, second, third]));
    let others = (20..=31).flat_map(|second| (0..=255).map(move |third| [172, second, third]));
    let last = (100..=250).map(|third| [192, 168, third]);
    tens.chain(others)
        .chain(last)
        .filter_map(|[a, b, c]| Cidr::around(Ipv4Addr::new(a, b, c, 0).into(), 24))
        .find(|row| !taken.iter().any(|taken| taken.meets(*row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidrs(texts: &[&str]) -> Vec<Cidr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn what_the_host_reaches_is_left_alone() {
        assert_eq!(free(&[]).unwrap().to_string(), "10.88.0.0/24");
        assert_eq!(free(&cidrs(&["10.88.0.0/24", "10.88.1.128/25"])).unwrap().to_string(), "10.88.2.0/24");
        assert_eq!(free(&cidrs(&["10.0.0.0/8"])).unwrap().to_string(), "172.20.0.0/24");
        assert_eq!(free(&cidrs(&["10.0.0.0/8", "172.16.0.0/12"])).unwrap().to_string(), "192.168.100.0/24");
        assert_eq!(free(&cidrs(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"])), None);
        assert_eq!(free(&cidrs(&["fd00::/8"])).unwrap().to_string(), "10.88.0.0/24");
    }
}
