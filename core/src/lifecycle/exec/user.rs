//! The user of `exec --user`.

use std::str::FromStr;

use nucleus_abi::{Error, ErrorCode};

/// A user by number and, where it is given, a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecUser {
    /// User id in the container.
    pub uid: u32,
    /// Group id in the container; `None`: the one of the container's own process.
    pub gid: Option<u32>,
}

impl FromStr for ExecUser {
    type Err = Error;

    /// Reads `UID[:GID]`: digits and nothing else. What is half a number is no number: elsewhere `1000abc` has meant root
    /// (CVE-2026-30892).
    fn from_str(text: &str) -> Result<Self, Error> {
        let user = match text.split_once(':') {
            None => id(text).map(|uid| Self { uid, gid: None }),
            Some((uid, gid)) => id(uid).zip(id(gid)).map(|(uid, gid)| Self { uid, gid: Some(gid) }),
        };
        user.ok_or_else(|| {
            Error::new(ErrorCode::InvalidArgument, "read --user")
                .on(text)
                .because("a user is UID or UID:GID, each a number from 0 to 4294967294")
        })
    }
}

/// 4294967295 means "no change" to setresuid(2), and would leave the process root.
fn id(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|id| *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_number_or_two() {
        assert_eq!("0".parse(), Ok(ExecUser { uid: 0, gid: None }));
        assert_eq!("1000:50".parse(), Ok(ExecUser { uid: 1000, gid: Some(50) }));
        assert_eq!("4294967294".parse(), Ok(ExecUser { uid: 4_294_967_294, gid: None }));
    }

    #[test]
    fn what_is_half_a_number_is_none() {
        for text in
            ["", "1000abc", "-1", "+1", "4294967295", "99999999999", "0x0", ":5", "5:", "1:2:3", " 1", "web"]
        {
            assert_eq!(text.parse::<ExecUser>().unwrap_err().code, ErrorCode::InvalidArgument, "{text}");
        }
    }
}
