//! Content codings: which of them a client takes.
//!
//! `Accept-Encoding` is read once a request into a [`Wish`] of one byte: codings in the order of
//! their weights, equal ones as the caller prefers them, up to where the client would rather have
//! the content as it is. Source: RFC 9110 §8.4.1, §12.4.2, §12.5.3; RFC 7932, RFC 8878, RFC 1952.

use crate::{Fields, name, weights};

/// A content coding, in the order of size: smallest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Coding {
    /// `br`
    Brotli,
    /// `zstd`
    Zstd,
    /// `gzip`, also spelt `x-gzip`
    Gzip,
}

impl Coding {
    /// All, smallest first.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// Its name in `Content-Encoding`.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What is added to the name of a file that is in this coding.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }
}

/// The codings that a client would rather have than the content as it is, best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish(u8);

impl Wish {
    /// Reads `Accept-Encoding`; of equal weights the smallest coding first. Without the field the
    /// client gets the content as it is.
    pub fn of(fields: &Fields) -> Self {
        Self::among(fields, &Coding::ALL)
    }

    /// Reads `Accept-Encoding` for a server that has these codings; of equal weights the first
    /// listed comes first.
    pub fn among(fields: &Fields, codings: &[Coding]) -> Self {
        let mut weights = Weights::default();
        for value in fields.values(name::ACCEPT_ENCODING) {
            weights.read(value);
        }
        weights.order(codings)
    }

    /// The codings, best first.
    pub fn codings(self) -> impl Iterator<Item = Coding> {
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
        for (token, weight) in weights::elements(value) {
            let named = Coding::ALL.into_iter().find(|coding| is_named(*coding, token));
            let slot = match named {
                Some(coding) => self.codings.get_mut(coding as usize),
                None if token == b"*" => Some(&mut self.any),
                None if token.eq_ignore_ascii_case(b"identity") => Some(&mut self.identity),
                None => None,
            };
            if let Some(slot) = slot {
                *slot = Some(weight);
            }
        }
    }

    /// Sorts by weight; a coding counts if it weighs something and no less than the content as it
    /// is.
    fn order(&self, codings: &[Coding]) -> Wish {
        let mut best = [(0_u16, 0_u8); 3];
        for (place, coding) in best.iter_mut().zip(codings) {
            let index = *coding as usize;
            let weight = self.codings.get(index).copied().flatten().or(self.any).unwrap_or(0);
            if weight > 0 && weight >= self.identity.unwrap_or(0) {
                *place = (weight, index as u8 + 1);
            }
        }
        // Stable: equal weights stay in the order of the caller's preference.
        best.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        Wish(best[0].1 | best[1].1 << 2 | best[2].1 << 4)
    }
}

fn is_named(coding: Coding, token: &[u8]) -> bool {
    token.eq_ignore_ascii_case(coding.token().as_bytes())
        || (coding == Coding::Gzip && token.eq_ignore_ascii_case(b"x-gzip"))
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
    fn a_server_has_its_own_order_and_its_own_codings() {
        let mut fields = Fields::new();
        fields.append(name::ACCEPT_ENCODING, b"gzip, br, zstd;q=0.9");
        let tokens = |codings: &[Coding]| {
            Wish::among(&fields, codings).codings().map(Coding::token).collect::<Vec<_>>()
        };
        assert_eq!(tokens(&[Coding::Gzip, Coding::Zstd, Coding::Brotli]), ["gzip", "br", "zstd"]);
        assert_eq!(tokens(&[Coding::Zstd]), ["zstd"]);
        assert_eq!(tokens(&[]), [""; 0]);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[ -~]{0,60}") {
            let codings = wish(&[&text]);
            prop_assert!(codings.len() <= 3);
        }
    }
}
