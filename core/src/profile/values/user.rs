//! Users and groups inside the container.

use std::fmt;
use std::str::FromStr;

use super::{Accepts, BadValue, Bounded, Textual, textual};

/// A numeric user or group id. 4294967295 is `(uid_t) -1`, which the kernel takes for "no change": never an id.
pub type Id = Bounded<0, 4_294_967_294>;

/// A user, by id or by the name that the container's `/etc/passwd` knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserRef {
    /// A numeric user id.
    Id(Id),
    /// A user name.
    Name(String),
}

/// A group, by id or by the name that the container's `/etc/group` knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupRef {
    /// A numeric group id.
    Id(Id),
    /// A group name.
    Name(String),
}

/// `user[:group]`. Without a group the user's own from the container's `/etc/passwd` holds, or 0.
///
/// The parser is total: what it does not understand to the last character is an error, never another user
/// (CVE-2026-30892).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSpec {
    /// The user.
    pub user: UserRef,
    /// The group, if one is given.
    pub group: Option<GroupRef>,
}

enum Parsed {
    Id(Id),
    Name(String),
}

impl FromStr for UserSpec {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let user = match parse_part(user, "user")? {
            Parsed::Id(id) => UserRef::Id(id),
            Parsed::Name(name) => UserRef::Name(name),
        };
        let group = group.map(|group| parse_part(group, "group")).transpose()?.map(|group| match group {
            Parsed::Id(id) => GroupRef::Id(id),
            Parsed::Name(name) => GroupRef::Name(name),
        });
        Ok(Self { user, group })
    }
}

fn parse_part(text: &str, what: &str) -> Result<Parsed, BadValue> {
    if text.is_empty() {
        return Err(BadValue::new(format!("the {what} is missing")));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return parse_id(text).map(Parsed::Id);
    }
    if !is_account_name(text) {
        return Err(BadValue::new(format!("`{text}` is neither a number nor a {what} name")));
    }
    Ok(Parsed::Name(text.to_owned()))
}

fn parse_id(digits: &str) -> Result<Id, BadValue> {
    if digits.len() > 1 && digits.starts_with('0') {
        return Err(BadValue::new("an id does not start with 0"));
    }
    let out_of_range = || BadValue::new(format!("the id {digits} is not between 0 and 4294967294"));
    digits.parse().ok().and_then(Id::new).ok_or_else(out_of_range)
}

/// useradd(8): a letter or `_` first; then letters, digits, `_`, `-`, `.`; a final `$` for Samba; 32 characters.
fn is_account_name(text: &str) -> bool {
    let stem = text.strip_suffix('$').unwrap_or(text);
    let first = stem.bytes().next();
    text.len() <= 32
        && first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

impl fmt::Display for UserSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            UserRef::Id(id) => write!(f, "{id}")?,
            UserRef::Name(name) => f.write_str(name)?,
        }
        match &self.group {
            Some(GroupRef::Id(id)) => write!(f, ":{id}"),
            Some(GroupRef::Name(name)) => write!(f, ":{name}"),
            None => Ok(()),
        }
    }
}

impl Textual for UserSpec {
    const FORMAT: &'static str = "user-spec";
    const EXPECTED: &'static str = "a user such as 10001:10001 or www-data";
    const PATTERN: &'static str =
        r"^([0-9]+|[A-Za-z_][A-Za-z0-9_.-]*\$?)(:([0-9]+|[A-Za-z_][A-Za-z0-9_.-]*\$?))?$";
    const ACCEPTS: Accepts = Accepts::TextOrInteger;
}
textual!(UserSpec, "UserSpec");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_by_id_or_name() {
        for text in [
            "0",
            "0:0",
            "10001:10001",
            "www-data",
            "www-data:33",
            "1000:staff",
            "_apt",
            "host$",
            "4294967294",
        ] {
            assert_eq!(text.parse::<UserSpec>().map(|user| user.to_string()), Ok(text.to_owned()));
        }
    }

    /// CVE-2026-30892: a spec that was half understood ran as another user.
    #[test]
    fn what_is_not_wholly_a_user_is_no_user() {
        for text in [
            "",
            ":",
            ":5",
            "5:",
            "1000abc",
            "-1",
            "4294967295",
            "4294967296",
            "0x0",
            "007",
            "1:2:3",
            " 1",
            "1 ",
            "+1",
            "1.0",
            "a b",
            "root:0x0",
            "root\n",
            "$",
            "99999999999999999999",
        ] {
            assert!(text.parse::<UserSpec>().is_err(), "{text:?}");
        }
    }
}
