//! A kind's page in the reference: the module documentation of its own file, taken out of the
//! source while the crate is compiled, so that there is one text.

/// Bytes of the documentation at the start of `source`.
pub const fn len(source: &str) -> usize {
    copy(source.as_bytes(), &mut []).0
}

/// The documentation at the start of `source`, without its comment marks. `N` is [`len`].
pub const fn text<const N: usize>(source: &str) -> [u8; N] {
    let mut docs = [0; N];
    copy(source.as_bytes(), &mut docs);
    docs
}

/// Copies lines that begin with `//!`, up to the first that does not; as much as `out` holds. Gives
/// the bytes of all, and the place in `source` after them.
const fn copy(source: &[u8], out: &mut [u8]) -> (usize, usize) {
    let (mut at, mut len) = (0, 0);
    while at + 3 <= source.len()
        && source[at] == b'/'
        && source[at + 1] == b'/'
        && source[at + 2] == b'!'
    {
        at += 3;
        if at < source.len() && source[at] == b' ' {
            at += 1;
        }
        while at < source.len() {
            let byte = source[at];
            if len < out.len() {
                out[len] = byte;
            }
            at += 1;
            len += 1;
            if byte == b'\n' {
                break;
            }
        }
    }
    (len, at)
}

/// The module documentation of the file of this name beside the one that calls it.
#[macro_export]
macro_rules! module_docs {
    ($file:literal) => {{
        const SOURCE: &str = include_str!($file);
        const TEXT: &[u8] = &$crate::docs::text::<{ $crate::docs::len(SOURCE) }>(SOURCE);
        match std::str::from_utf8(TEXT) {
            Ok(text) => text,
            Err(_) => panic!("module documentation is UTF-8"),
        }
    }};
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_text_of_this_file() {
        let docs: &str = crate::module_docs!("docs.rs");
        assert!(docs.starts_with("A kind's page in the reference: the module"));
        assert!(docs.ends_with("so that there is one text.\n"));
    }
}
