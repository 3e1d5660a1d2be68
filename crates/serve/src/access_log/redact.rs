//! What the log shows as `***`: the values of some query keys, and some header fields.
//!
//! SECURITY: a key counts however it is spelled: in any case, percent-encoded, with an index in
//! brackets, with `-`, `.` or a blank for `_`. Where it is not sure that something ends a value,
//! the value goes on: rather too much is hidden than too little.

use super::escape::may_hold;

/// What the log shows as `***`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    keys: Box<[Box<[u8]>]>,
    fields: Box<[Box<[u8]>]>,
}

/// Where keys and values begin and end.
struct Grammar {
    /// Whether a key stands at the very start.
    begins: bool,
    /// A value ends at one of these.
    ends: &'static [u8],
}

const QUERY: Grammar = Grammar { begins: true, ends: b"&#" };
/// Parameters of a path: `/a;jsessionid=1/b`.
const PATH: Grammar = Grammar { begins: false, ends: b"/" };
const URL: Grammar = Grammar { begins: false, ends: b"&#" };

impl Redaction {
    /// Hides the values of these query keys and these header fields.
    pub fn new<'a>(
        keys: impl IntoIterator<Item = &'a str>,
        fields: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let key = |key: &str| fold(key.bytes()).collect::<Box<[u8]>>();
        let keys = keys.into_iter().map(key).filter(|key| !key.is_empty()).collect();
        let fields = fields.into_iter().map(|name| name.as_bytes().into()).collect();
        Self { keys, fields }
    }

    /// Whether a header field is hidden.
    pub fn hides(&self, name: &[u8]) -> bool {
        self.fields.iter().any(|field| field.eq_ignore_ascii_case(name))
    }

    /// Gives `emit` what may be shown of a query, in pieces.
    pub(super) fn query<'a>(&'a self, text: &'a [u8], emit: impl FnMut(&'a [u8])) {
        self.walk(text, &QUERY, emit);
    }

    /// Gives `emit` what may be shown of a path, in pieces.
    pub(super) fn path<'a>(&'a self, text: &'a [u8], emit: impl FnMut(&'a [u8])) {
        self.walk(text, &PATH, emit);
    }

    /// Gives `emit` what may be shown of a URL, in pieces.
    pub(super) fn url<'a>(&'a self, text: &'a [u8], emit: impl FnMut(&'a [u8])) {
        self.walk(text, &URL, emit);
    }

    fn walk<'a>(&'a self, text: &'a [u8], grammar: &Grammar, mut emit: impl FnMut(&'a [u8])) {
        // PERF: most have neither, and one look for both costs a few nanoseconds.
        if self.keys.is_empty() || !may_hold(text, b'=', b'%') {
            return emit(text);
        }
        let find = |from: usize, is_it: &dyn Fn(u8) -> bool| {
            text[from..].iter().position(|byte| is_it(*byte)).map(|found| from + found)
        };
        let mut shown = 0;
        let mut key = if grammar.begins { Some(0) } else { find(0, &begins_key).map(|at| at + 1) };
        while let Some(start) = key {
            let end = find(start, &|byte| byte == b'=' || begins_key(byte));
            let mut end = end.unwrap_or(text.len());
            if let Some(name) = self.known(&text[start..end]) {
                emit(&text[shown..start]);
                emit(name);
                emit(b"=***");
                end = find(end, &|byte| grammar.ends.contains(&byte)).unwrap_or(text.len());
                shown = end;
            }
            key = find(end, &begins_key).map(|at| at + 1);
        }
        emit(&text[shown..]);
    }

    /// The name of a key that is hidden.
    fn known(&self, raw: &[u8]) -> Option<&[u8]> {
        let is = |name: &&[u8]| {
            let spelled = fold(decode(raw)).take_while(|byte| !matches!(byte, b'[' | b'='));
            spelled.eq(name.iter().copied())
        };
        self.keys.iter().map(|name| &**name).find(is)
    }
}

/// Behind each of these a key may stand.
fn begins_key(byte: u8) -> bool {
    matches!(byte, b'&' | b';' | b'?' | b'#')
}

/// A key without what makes no difference.
fn fold(key: impl Iterator<Item = u8>) -> impl Iterator<Item = u8> {
    let same = |byte: u8| match byte {
        b'-' | b'.' | b' ' => b'_',
        other => other.to_ascii_lowercase(),
    };
    key.map(same).skip_while(|byte| *byte == b'_')
}

/// The bytes that a percent-encoded key stands for.
fn decode(mut raw: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (byte, rest) = match raw {
            [b'%', high, low, rest @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                (hex(*high)? << 4 | hex(*low)?, rest)
            }
            [b'+', rest @ ..] => (b' ', rest),
            [byte, rest @ ..] => (*byte, rest),
            [] => return None,
        };
        raw = rest;
        Some(byte)
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, grammar: &Grammar) -> String {
        let redaction = Redaction::new(["access_token", "sig"], ["Cookie"]);
        let mut out = Vec::new();
        redaction.walk(text.as_bytes(), grammar, |piece| out.extend_from_slice(piece));
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn the_values_of_keys_are_hidden_however_they_are_spelled() {
        for (query, expect) in [
            ("a=1&b=2", "a=1&b=2"),
            ("sig=1", "sig=***"),
            ("a=1&sig=x&b=2", "a=1&sig=***&b=2"),
            ("Access-Token=x", "access_token=***"),
            ("%61ccess%5Ftoken=x&a", "access_token=***&a"),
            ("access%2dtoken=x;y=z&a=1", "access_token=***&a=1"),
            ("sig[]=x&sig%5B0%5D=y", "sig=***&sig=***"),
            ("+sig=x&%20sig=y", "sig=***&sig=***"),
            ("sig%3Dx&a=1", "sig=***&a=1"),
            ("a=1;sig=x", "a=1;sig=***"),
            ("to=/x?sig=y&b", "to=/x?sig=***&b"),
            ("signal=1&design=2&sig2=3", "signal=1&design=2&sig2=3"),
            ("sig=a=b=c#d", "sig=***#d"),
            ("%", "%"),
            ("%4", "%4"),
            ("", ""),
        ] {
            assert_eq!(shown(query, &QUERY), expect, "{query}");
        }
        for (url, expect) in [
            ("https://a/sig=1", "https://a/sig=1"),
            ("https://a/b?sig=1&c=2#sig=3", "https://a/b?sig=***&c=2#sig=***"),
            ("https://a/b;sig=1/c", "https://a/b;sig=***"),
        ] {
            assert_eq!(shown(url, &URL), expect, "{url}");
        }
        assert_eq!(shown("/a;sig=1;b=2/c;d=3", &PATH), "/a;sig=***/c;d=3");
    }

    #[test]
    fn names_of_fields_have_no_case() {
        let redaction = Redaction::new([], ["Cookie"]);
        assert!(redaction.hides(b"cookie") && !redaction.hides(b"cookies"));
        assert_eq!(redaction, Redaction::new([""], ["Cookie"]));
    }

    /// Whatever stands around it, and however its key is spelled, no byte of a hidden value comes
    /// out. The value has letters that nothing else has.
    #[test]
    fn no_byte_of_a_hidden_value_is_shown() {
        let mut state = 7_u64;
        let mut random = move |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % below
        };
        let pieces = ["a=1", "b", "", "%", "c=%26", "=", "x[0]=y", "%zz=1", "d=?e", ";", "f;g=h"];
        for _ in 0..20_000 {
            let mut query: Vec<String> =
                (0..random(4)).map(|_| pieces[random(pieces.len())].to_owned()).collect();
            let key: String = "access_token"
                .bytes()
                .map(|byte| match random(4) {
                    0 => format!("%{byte:02x}"),
                    1 => format!("%{byte:02X}"),
                    2 => char::from(byte).to_ascii_uppercase().to_string(),
                    _ => char::from(byte).to_string(),
                })
                .collect();
            let value: String = (0..random(9))
                .map(|_| ["Q", "Z", "=Q", ";Z", "?Q", "%5A", "[Z"][random(7)])
                .collect();
            query.insert(random(query.len() + 1), format!("{key}={value}"));
            let query = query.join("&");
            for grammar in [&QUERY, &URL] {
                let text = if grammar.begins { query.clone() } else { format!("/a?{query}") };
                let shown = shown(&text, grammar);
                assert!(!shown.contains(['Q', 'Z']) && !shown.contains("%5A"), "{text}: {shown}");
                assert!(shown.contains("access_token=***"), "{text}: {shown}");
            }
        }
    }
}
