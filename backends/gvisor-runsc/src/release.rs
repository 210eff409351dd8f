//! A release of runsc, by the day that names it.

use std::fmt;

/// `20240729` of `release-20240729.0` or of Debian's `0.0~20240729.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Release(pub(crate) u32);

impl Release {
    /// From what `--version` prints; `None` where no day stands in it, as in a build of one's own.
    pub(crate) fn of(version: &str) -> Option<Self> {
        let digits = version.split(|one: char| !one.is_ascii_digit());
        let mut days = digits.filter(|digits| digits.len() == 8 && digits.starts_with("20"));
        days.next()?.parse().ok().map(Self)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Whether a program's answer to `--version` is runsc's.
pub(crate) fn is_runsc(version: &str) -> bool {
    version.trim_start().starts_with("runsc version ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_upstream_name_the_day_in_their_own_ways() {
        for (text, day) in [
            ("runsc version 0.0~20221219.0\nspec: 1.0.2-dev\n", Some(20_221_219)),
            ("runsc version release-20240729.0\nspec: 1.1.0-rc.1\n", Some(20_240_729)),
            ("runsc version release-20250319.0-12-gdeadbeef\n", Some(20_250_319)),
            ("runsc version VERSION_MISSING\nspec: 1.0.2-dev\n", None),
            ("runsc version 123456789\n", None),
        ] {
            assert!(is_runsc(text));
            assert_eq!(Release::of(text), day.map(Release), "{text}");
        }
        assert!(!is_runsc("crun version 20240101"));
    }
}
