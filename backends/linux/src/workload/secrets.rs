//! Variables that stand in no document: read by the process that becomes the workload, and by no other.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::BorrowedFd;

use nucleus_abi::{DescriptorIndex, Descriptors, Result};

use crate::fault::OrFail;

const STEP: &str = "read the workload's secret variables";

/// Finds the file among the descriptors of a request.
pub(crate) fn find(
    index: Option<DescriptorIndex>,
    descriptors: Descriptors<'_>,
) -> Result<Option<BorrowedFd<'_>>> {
    index.map(|index| descriptors.get(index)).transpose()
}

/// The whole environment: the configuration's, and what the file holds. The exec that follows replaces this memory.
pub(super) fn environment(configured: &[CString], secrets: Option<BorrowedFd<'_>>) -> Result<Vec<CString>> {
    let mut environment = configured.to_vec();
    let Some(secrets) = secrets else { return Ok(environment) };
    let mut bytes = Vec::new();
    let file = secrets.try_clone_to_owned().or_fail(STEP, "their descriptor")?;
    File::from(file).read_to_end(&mut bytes).or_fail(STEP, "their descriptor")?;
    let variables = bytes.split(|byte| *byte == 0).filter(|variable| !variable.is_empty());
    environment.extend(variables.map(|variable| CString::new(variable).expect("it was split at each NUL")));
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn they_come_after_the_configured_ones() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut writer, b"A=1\0B=x y\n\0C=\0").unwrap();
        drop(writer);
        let environment = environment(&[c"PATH=/bin".to_owned()], Some(reader.as_fd())).unwrap();
        let expected = [c"PATH=/bin", c"A=1", c"B=x y\n", c"C="].map(ToOwned::to_owned);
        assert_eq!(environment, expected);
    }
}
