//! What somebody may have meant by a name that does not exist.

/// Names further apart than this are not mistaken for each other.
const MAX_DISTANCE: usize = 3;

/// The candidate that differs least from `name`, if any is near.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    within(name, candidates, MAX_DISTANCE)
}

/// As [`nearest`], with at most `most` differences.
pub(super) fn within<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    most: usize,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= most.min(candidate.len() / 2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance: insertions, deletions and replacements of one character each.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (row, left) in a.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, right) in b.iter().enumerate() {
            let at = |line: &[usize], place: usize| line.get(place).copied().unwrap_or(usize::MAX);
            let replaced = at(&previous, column).saturating_add(usize::from(left != *right));
            let changed = at(&previous, column + 1).min(at(&current, column));
            current.push(replaced.min(changed.saturating_add(1)));
        }
        previous = current;
    }
    previous.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_with_fewest_differences_is_meant_and_far_ones_are_not() {
        let names = ["port", "address", "unix-socket", "unix-socket-path"];
        assert_eq!(nearest("prot", names), Some("port"));
        assert_eq!(nearest("unix_socket", names), Some("unix-socket"));
        assert_eq!(nearest("adress", names), Some("address"));
        assert_eq!(nearest("colour", names), None);
        assert_eq!(nearest("x", names), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
