//! The known name that a misspelt one most likely meant.

/// The member of `known` with the smallest edit distance to `name`, if it is near enough that a
/// misspelling explains it: a third of the name's letters, at least two.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bound = (name.chars().count() / 3).max(2);
    known
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, by the usual table of two rows.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, letter) in left.chars().enumerate() {
        let mut next = vec![at + 1];
        let mut last = at + 1;
        for (other, (replaced, removed)) in right.iter().zip(row.iter().zip(row.iter().skip(1))) {
            last = (replaced + usize::from(letter != *other))
                .min(removed + 1)
                .min(last + 1);
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (left, right, want) in [
            ("", "", 0),
            ("abc", "", 3),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("abc", "abc", 0),
        ] {
            assert_eq!(distance(left, right), want, "{left} {right}");
        }
    }

    #[test]
    fn a_misspelling_is_found_and_a_stranger_is_not() {
        let known = ["heartbeat_ms", "leader_timeout_ms", "election"];
        assert_eq!(nearest("hearbeat_ms", known), Some("heartbeat_ms"));
        assert_eq!(nearest("elections", known), Some("election"));
        assert_eq!(nearest("colour", known), None);
    }
}
