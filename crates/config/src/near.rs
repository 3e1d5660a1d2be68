//! Did-you-mean: the known name that a mistyped one is closest to.

/// The candidate nearest to `name`, if it is near enough to be what was meant.
///
/// Case, `-` and `_` count little; otherwise one edit per three characters is allowed, an edit
/// being an insertion, a deletion, a substitution or a swap of neighbours (optimal string
/// alignment).
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).max(1);
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= NAME_BYTES_MAX)
        .map(|candidate| (edits(&folded(name), &folded(candidate)), candidate))
        .filter(|(edits, candidate)| *edits <= allowed && *edits < candidate.chars().count())
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Longer names are not compared: the cost is quadratic and no known name is near this.
const NAME_BYTES_MAX: usize = 64;

fn folded(name: &str) -> Vec<char> {
    name.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

fn edits(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let change = last[j] + usize::from(x != y);
            let mut fewest = change.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                fewest = fewest.min(before[j - 1] + 1);
            }
            row.push(fewest);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["body_idle", "header", "listen", "uri"];
        let check = |name, expect| assert_eq!(nearest(name, known), expect, "{name}");
        check("bodyidle", Some("body_idle"));
        check("Body-Idle", Some("body_idle"));
        check("lsiten", Some("listen"));
        check("headers", Some("header"));
        check("url", Some("uri"));
        check("x", None);
        check("certificate", None);
        check("", None);
        assert_eq!(edits(&folded("abcd"), &folded("abdc")), 1);
    }
}
