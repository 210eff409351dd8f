//! `ociVersion`.

use nucleus_abi::Result;

use crate::fault::{invalid, unsupported};

/// The oldest and the newest version that this engine knows.
pub const VERSIONS: (&str, &str) = ("1.0.0", "1.3.0");

/// Any `1.*` is taken: a later minor version only adds (config.md, "Specification version"; semver.org).
pub(super) fn check(text: &str) -> Result<()> {
    match major(text) {
        Some(1) => Ok(()),
        Some(other) => {
            Err(unsupported("ociVersion", format!("version {other} of the runtime specification")))
        }
        None => Err(invalid("ociVersion", format!("{text:?} is no version such as `1.2.0`"))),
    }
}

/// The first number of a version of Semantic Versioning 2.0.0, whose release has three.
fn major(text: &str) -> Option<u64> {
    let text = text.split_once('+').map_or(text, |(version, _build)| version);
    let (release, pre) = text.split_once('-').unwrap_or((text, "x"));
    let numbers: Vec<u64> = release.split('.').map(number).collect::<Option<_>>()?;
    let identifier =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (numbers.len() == 3 && pre.split('.').all(identifier)).then(|| numbers[0])
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits && (text.len() == 1 || !text.starts_with('0')))
}

#[cfg(test)]
mod tests {
    use super::check;
    use nucleus_abi::ErrorCode;

    #[test]
    fn every_version_1_is_taken_and_nothing_else() {
        for right in ["1.0.0", "1.2.0", "1.99.7", "1.0.2-dev", "1.0.0-rc.5", "1.3.0+build.5"] {
            check(right).unwrap();
        }
        for wrong in ["", "1", "1.2", "v1.2.0", "1.02.0", "1.2.0.0", "1.2.x", "+1.2.0", "1.2.0-", "one"] {
            assert_eq!(check(wrong).unwrap_err().code, ErrorCode::ConfigInvalid, "{wrong}");
        }
        for other in ["2.0.0", "0.9.0", "10.1.0"] {
            assert_eq!(check(other).unwrap_err().code, ErrorCode::NotSupported, "{other}");
        }
    }
}
