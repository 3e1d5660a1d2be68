//! A backslash in a string in double quotes that begins no escape: nearly always a regex, which
//! belongs in single quotes.

use std::ops::Range;

/// Where it stands, what is wrong, and what to write; `at` is behind the backslash.
pub(super) fn explain(text: &str, at: usize) -> (Range<usize>, String, String) {
    let at = text.floor_char_boundary(at.min(text.len()));
    let start = if text[..at].ends_with('\\') { at - 1 } else { at };
    let end = text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
    let written = &text[start..end];
    let message = format!("`{}` is no escape", written.replace(char::is_control, "?"));
    let help = match single_quoted(text, start) {
        Some(quoted) => format!("write `{quoted}`: in single quotes `\\` stands for itself"),
        None => "write `\\\\`, or single quotes, in which `\\` stands for itself".to_owned(),
    };
    (start..end, message, help)
}

/// The string round `at` in single quotes, where it can be written so.
fn single_quoted(text: &str, at: usize) -> Option<String> {
    let line_start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = text[line_start..].lines().next()?;
    let at = at - line_start;
    let mut quotes = Vec::new();
    let mut escaped = false;
    for (index, byte) in line.bytes().enumerate() {
        if byte == b'"' && !escaped {
            quotes.push(index);
        }
        escaped = byte == b'\\' && !escaped;
    }
    let pairs = quotes.chunks_exact(2);
    let pair = pairs.map(|pair| (pair[0], pair[1])).find(|(open, end)| (*open..*end).contains(&at));
    let inner = pair.map(|(open, end)| &line[open + 1..end])?;
    let fits = !inner.contains(['\'', '"']) && !inner.contains("\\\\") && !inner.contains("\\u");
    fits.then(|| format!("'{inner}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regex_is_shown_in_single_quotes() {
        let (at, message, help) = explain("regex = \"^/a\\d+\"", 13);
        assert_eq!((at, message.as_str()), (12..14, "`\\d` is no escape"));
        assert_eq!(help, "write `'^/a\\d+'`: in single quotes `\\` stands for itself");
        for (text, at) in [("a = \"it's \\d\"", 12), ("a = \"\\", 6), ("\\", 9)] {
            assert!(explain(text, at).2.starts_with("write `\\\\`"), "{text}");
        }
    }
}
