//! Device rules as writes to `devices.allow` and `devices.deny` (cgroup-v1/devices.rst).
//!
//! A group of v1 holds a default and exceptions from it, nothing finer: an exception from an exception cannot be said. The
//! rules are therefore worked out first, and what then remains is written.

use std::collections::BTreeMap;

use nucleus_abi::Result;

use crate::config::{DeviceAccess, DeviceKind, DeviceRule, Verdict};
use crate::fault::unsupported;

/// A set of devices: `None` for all numbers.
type Devices = (DeviceKind, Option<u32>, Option<u32>);

/// What a group of v1 holds.
#[derive(Debug, PartialEq, Eq)]
struct List {
    default: Verdict,
    /// Which accesses to which devices are not as the default says.
    exceptions: BTreeMap<Devices, u8>,
}

/// File and line of each write, in order.
///
/// # Errors
/// `not-supported`, naming the rule, where it excepts something from an exception.
pub(crate) fn writes(rules: &[DeviceRule]) -> Result<Vec<(&'static str, String)>> {
    let mut list = List { default: Verdict::Deny, exceptions: BTreeMap::new() };
    for rule in rules {
        list.apply(rule)?;
    }
    Ok(list.writes())
}

impl List {
    fn apply(&mut self, rule: &DeviceRule) -> Result<()> {
        if rule.kind.is_none() && rule.access == DeviceAccess::ALL {
            *self = Self { default: rule.verdict, exceptions: BTreeMap::new() };
            return Ok(());
        }
        let kinds =
            rule.kind.map_or_else(|| vec![DeviceKind::Block, DeviceKind::Character], |kind| vec![kind]);
        for kind in kinds {
            let devices = (kind, rule.major, rule.minor);
            if rule.verdict == self.default {
                self.take_back(devices, rule)?;
            } else {
                *self.exceptions.entry(devices).or_default() |= rule.access.bits();
            }
        }
        Ok(())
    }

    /// Exceptions end where a later rule says what the default says.
    fn take_back(&mut self, devices: Devices, rule: &DeviceRule) -> Result<()> {
        for (exception, access) in &mut self.exceptions {
            if *access & rule.access.bits() == 0 || !overlap(devices, *exception) {
                continue;
            }
            if !includes(devices, *exception) {
                return Err(unsupported(
                    "linux.resources.devices",
                    format!("cgroup v1 cannot except `{rule}` from a rule for more devices before it"),
                ));
            }
            *access &= !rule.access.bits();
        }
        self.exceptions.retain(|_, access| *access != 0);
        Ok(())
    }

    fn writes(&self) -> Vec<(&'static str, String)> {
        let (default, exception) = match self.default {
            Verdict::Allow => ("devices.allow", "devices.deny"),
            Verdict::Deny => ("devices.deny", "devices.allow"),
        };
        let lines = self.exceptions.iter().map(|((kind, major, minor), access)| {
            let access = DeviceAccess::of_bits(*access);
            let rule = DeviceRule {
                verdict: Verdict::Allow,
                kind: Some(*kind),
                major: *major,
                minor: *minor,
                access,
            };
            (exception, rule.to_string())
        });
        std::iter::once((default, "a".to_owned())).chain(lines).collect()
    }
}

fn includes(all: Devices, some: Devices) -> bool {
    let number = |all: Option<u32>, some: Option<u32>| all.is_none() || all == some;
    all.0 == some.0 && number(all.1, some.1) && number(all.2, some.2)
}

fn overlap(one: Devices, other: Devices) -> bool {
    let number = |one: Option<u32>, other: Option<u32>| one.is_none() || other.is_none() || one == other;
    one.0 == other.0 && number(one.1, other.1) && number(one.2, other.2)
}
