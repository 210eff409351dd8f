//! Properties of the specification that belong to other platforms: each is refused by name.

use nucleus_abi::Result;

use super::document::Spec;
use crate::fault::unsupported;

pub(super) fn check(spec: &Spec<'_>) -> Result<()> {
    let others = [
        ("solaris", spec.solaris.is_some()),
        ("windows", spec.windows.is_some()),
        ("vm", spec.vm.is_some()),
        ("zos", spec.zos.is_some()),
        ("freebsd", spec.freebsd.is_some()),
    ];
    match others.iter().find(|(_, asked)| *asked) {
        Some((field, _)) => Err(unsupported(field, "it belongs to another platform than Linux")),
        None => Ok(()),
    }
}
