//! Lists of numbers such as `0-3,7`: of processors and memory nodes (cpuset(7), "List format").

use std::collections::BTreeSet;

use nucleus_abi::Result;

use crate::fault::invalid;

/// Reads a list whose numbers are below `end`.
///
/// # Errors
/// `config-invalid`, naming the field.
pub(super) fn read(field: &str, text: &str, end: u16) -> Result<BTreeSet<u16>> {
    let mut indices = BTreeSet::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range = number(first, end).zip(number(last, end)).filter(|(first, last)| first <= last);
        let (first, last) = range.ok_or_else(|| {
            invalid(field, format!("`{part}` is neither a number below {end} nor a range of such"))
        })?;
        indices.extend(first..=last);
    }
    Ok(indices)
}

/// Digits alone: `parse` would take a sign too.
fn number(text: &str, end: u16) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number < end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_are_read() {
        let list = |text| read("nodes", text, 100).unwrap().into_iter().collect::<Vec<_>>();
        assert_eq!(list("0-3,7, 9-9"), [0, 1, 2, 3, 7, 9]);
        assert_eq!(list(""), [0; 0]);
    }

    #[test]
    fn what_is_no_list_is_refused_by_field() {
        for text in ["a", "1-", "-1", "+1", "3-1", "100", "1-2-3", "99999999999"] {
            let error = read("nodes", text, 100).unwrap_err();
            assert!(error.subject.as_deref().unwrap().contains("nodes"), "{text}: {error}");
        }
    }
}
