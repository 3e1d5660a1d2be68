//! Which precompressed sibling of a file a request may have, and in what form it wants a listing.
//!
//! `Accept-Encoding` is read once a request into a [`Wish`] of one byte: codings in the order of
//! their weights, equal ones as we prefer them (brotli, zstd, gzip: smallest first), up to where
//! the client would rather have the file as it is. Source: RFC 9110 §12.4.2, §12.5.1, §12.5.3.

use stead_core::{Fields, name};

/// A coding that a sibling of a file may be in, in the order of our preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Coding {
    /// `name.br`
    Brotli,
    /// `name.zst`
    Zstd,
    /// `name.gz`
    Gzip,
}

impl Coding {
    /// All, in the order of our preference.
    pub(crate) const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// Its name in `Content-Encoding`.
    pub(crate) const fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What is added to the name of the file.
    pub(crate) const fn ending(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }
}

/// The codings that a client would rather have than the file as it is, best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish(u8);

/// Weights are thousandths.
const WEIGHT_MAX: u16 = 1_000;

impl Wish {
    /// Reads `Accept-Encoding`. Without it the client gets the file as it is.
    pub(crate) fn of(fields: &Fields) -> Self {
        let mut weights = Weights::default();
        for value in fields.values(name::ACCEPT_ENCODING) {
            weights.read(value);
        }
        weights.order()
    }

    /// The codings, best first.
    pub(crate) fn codings(self) -> impl Iterator<Item = Coding> {
        [0, 2, 4].into_iter().filter_map(move |shift| match (self.0 >> shift) & 3 {
            1 => Some(Coding::Brotli),
            2 => Some(Coding::Zstd),
            3 => Some(Coding::Gzip),
            _ => None,
        })
    }
}

/// What a client said of each coding, in thousandths.
#[derive(Default)]
struct Weights {
    codings: [Option<u16>; 3],
    identity: Option<u16>,
    any: Option<u16>,
}

impl Weights {
    fn read(&mut self, value: &[u8]) {
        for (token, weight) in elements(value) {
            let named = Coding::ALL.iter().position(|coding| is_named(*coding, token));
            let slot = match named {
                Some(index) => self.codings.get_mut(index),
                None if token == b"*" => Some(&mut self.any),
                None if token.eq_ignore_ascii_case(b"identity") => Some(&mut self.identity),
                None => None,
            };
            if let Some(slot) = slot {
                *slot = Some(weight);
            }
        }
    }

    /// Sorts by weight; a coding counts if it weighs something and no less than the file as it is.
    fn order(&self) -> Wish {
        let mut best = [(0_u16, 0_u8); 3];
        for (index, weight) in self.codings.iter().enumerate() {
            let weight = weight.or(self.any).unwrap_or(0);
            if weight > 0 && weight >= self.identity.unwrap_or(0) {
                best[index] = (weight, index as u8 + 1);
            }
        }
        // Stable: equal weights stay in the order of our preference.
        best.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        Wish(best[0].1 | best[1].1 << 2 | best[2].1 << 4)
    }
}

fn is_named(coding: Coding, token: &[u8]) -> bool {
    token.eq_ignore_ascii_case(coding.token().as_bytes())
        || (coding == Coding::Gzip && token.eq_ignore_ascii_case(b"x-gzip"))
}

/// Whether a client would rather read a listing as JSON than as a page: `Accept` names
/// `application/json`, and no HTML with more weight. Wildcards mean a page.
pub(crate) fn wants_json(fields: &Fields) -> bool {
    let (mut json, mut html) = (0, 0);
    for (kind, weight) in fields.values(name::ACCEPT).flat_map(elements) {
        if kind.eq_ignore_ascii_case(b"application/json") {
            json = json.max(weight);
        } else if kind.eq_ignore_ascii_case(b"text/html") {
            html = html.max(weight);
        }
    }
    json > 0 && json >= html
}

/// The elements of a weighted list: what each names, and its weight in thousandths. An element
/// whose weight cannot be read is left out.
fn elements(value: &[u8]) -> impl Iterator<Item = (&[u8], u16)> {
    value.split(|byte| *byte == b',').filter_map(|element| {
        let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let named = parts.next().filter(|named| !named.is_empty())?;
        let weight = parts.find_map(|part| match part {
            [b'q' | b'Q', b'=', weight @ ..] => Some(parse_weight(weight)),
            _ => None,
        });
        Some((named, weight.unwrap_or(Some(WEIGHT_MAX))?))
    })
}

/// `0`, `1`, or either with up to three decimals.
fn parse_weight(text: &[u8]) -> Option<u16> {
    let (whole, decimals) = match text {
        [whole] => (*whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (*whole, decimals),
        _ => return None,
    };
    let mut weight = match whole {
        b'0' => 0,
        b'1' => WEIGHT_MAX,
        _ => return None,
    };
    for (digit, unit) in decimals.iter().zip([100, 10, 1]) {
        weight += if digit.is_ascii_digit() { u16::from(digit - b'0') * unit } else { return None };
    }
    (weight <= WEIGHT_MAX).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wish(values: &[&str]) -> Vec<&'static str> {
        let mut fields = Fields::new();
        for value in values {
            fields.append(name::ACCEPT_ENCODING, value.as_bytes());
        }
        Wish::of(&fields).codings().map(Coding::token).collect()
    }

    #[test]
    fn codings_come_in_the_order_of_their_weights_then_ours() {
        assert_eq!(wish(&[]), [""; 0]);
        assert_eq!(wish(&[""]), [""; 0]);
        assert_eq!(wish(&["gzip, deflate, br, zstd"]), ["br", "zstd", "gzip"]);
        assert_eq!(wish(&["GZIP"]), ["gzip"]);
        assert_eq!(wish(&["x-gzip"]), ["gzip"]);
        assert_eq!(wish(&["gzip;q=1.0, br;q=0.5"]), ["gzip", "br"]);
        assert_eq!(wish(&["br;q=0, *"]), ["zstd", "gzip"]);
        assert_eq!(wish(&["gzip", "br"]), ["br", "gzip"]);
        assert_eq!(wish(&["identity"]), [""; 0]);
        assert_eq!(wish(&["identity, gzip;q=0.5"]), [""; 0]);
        assert_eq!(wish(&["identity;q=0.5, gzip;q=0.8, br;q=0.1"]), ["gzip"]);
        assert_eq!(wish(&["gzip ; Q=0.001"]), ["gzip"]);
        assert_eq!(wish(&["gzip;q=2, br;q=x, zstd;q=0.0001"]), [""; 0]);
    }

    #[test]
    fn a_listing_is_json_only_where_json_is_named() {
        let json = |accept: &str| {
            let mut fields = Fields::new();
            fields.append(name::ACCEPT, accept.as_bytes());
            wants_json(&fields)
        };
        assert!(json("application/json") && json("application/json, */*") && json("Application/JSON"));
        assert!(json("text/html;q=0.5, application/json"));
        assert!(!json("*/*") && !json("") && !json("application/json;q=0"));
        assert!(!json("text/html, application/json;q=0.9"));
        assert!(!wants_json(&Fields::new()));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[ -~]{0,60}") {
            let codings = wish(&[&text]);
            prop_assert!(codings.len() <= 3);
            elements(text.as_bytes()).for_each(|(_, weight)| assert!(weight <= WEIGHT_MAX));
        }
    }
}
