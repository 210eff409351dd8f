//! The nearest known name to one that nobody knows.

/// The candidate that `wrong` most likely means, if one is near enough to be worth saying.
pub(super) fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    // One edit in three characters: `memroy` means `memory`, `x` means nothing.
    let tolerated = (wrong.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wrong, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= tolerated)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_names_are_suggested_and_far_ones_not() {
        assert_eq!(nearest("memroy", ["cpus", "memory", "pids"]), Some("memory"));
        assert_eq!(nearest("readonly", ["path", "readOnly"]), Some("readOnly"));
        assert_eq!(nearest("colour", ["cpus", "memory"]), None);
    }
}
