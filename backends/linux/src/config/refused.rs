//! Properties that the specification has and this engine has not: each is refused by name.

use nucleus_abi::Result;

use super::document::{Linux, Spec};
use crate::fault::unsupported;

pub(super) fn check(spec: &Spec<'_>) -> Result<()> {
    first(&[
        ("solaris", spec.solaris.is_some()),
        ("windows", spec.windows.is_some()),
        ("vm", spec.vm.is_some()),
        ("zos", spec.zos.is_some()),
        ("freebsd", spec.freebsd.is_some()),
    ])?;
    linux(&spec.linux)
}

fn linux(linux: &Linux<'_>) -> Result<()> {
    first(&[("linux.intelRdt", linux.intel_rdt.is_some())])
}

fn first(fields: &[(&'static str, bool)]) -> Result<()> {
    match fields.iter().find(|(_, asked)| *asked) {
        Some((field, _)) => Err(unsupported(field, "`native-namespace` does not have this yet")),
        None => Ok(()),
    }
}
