//! Matchers on headers and the query: tried on a route whose path matches.
//!
//! One of a field's, or of a parameter's, values must match. Names and values of the query are
//! decoded (`%41` and `+`) as they are compared; a broken escape there stands for itself.

use regex_automata::Input;
use regex_automata::meta::Regex;

use crate::canonical::hex_pair;
use crate::request::Request;

/// A matcher, compiled.
#[derive(Clone, Debug)]
pub(crate) enum Matcher {
    /// On a field; the name is in lower case.
    Header { name: Box<str>, value: Value },
    /// On a parameter of the query; the name is decoded.
    Query { name: Box<str>, value: Value },
}

/// What a value must look like, compiled.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Exact(Box<[u8]>),
    Regex(Regex),
}

impl Matcher {
    /// Whether the matcher holds. `text` is scratch memory.
    pub(crate) fn holds(&self, request: &(impl Request + ?Sized), text: &mut Vec<u8>) -> bool {
        match self {
            Self::Header { name, value } => request.header(name, &mut |found| value.matches(found)),
            Self::Query { name, value } => {
                request.query().is_some_and(|query| value.is_in_query(name, query, text))
            }
        }
    }
}

impl Value {
    fn matches(&self, found: &[u8]) -> bool {
        match self {
            Self::Exact(wanted) => **wanted == *found,
            Self::Regex(regex) => regex.is_match(Input::new(found)),
        }
    }

    fn is_in_query(&self, name: &str, query: &[u8], text: &mut Vec<u8>) -> bool {
        query.split(|b| *b == b'&').any(|pair| {
            let equals = pair.iter().position(|b| *b == b'=');
            let (found, value) = match equals {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            decoded(found).eq(name.bytes()) && !pair.is_empty() && {
                match self {
                    Self::Exact(wanted) => decoded(value).eq(wanted.iter().copied()),
                    Self::Regex(regex) => {
                        text.clear();
                        text.extend(decoded(value));
                        regex.is_match(Input::new(text.as_slice()))
                    }
                }
            }
        })
    }
}

/// The bytes of a name or value of a query.
fn decoded(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (&byte, tail) = rest.split_first()?;
        rest = tail;
        match (byte, tail) {
            (b'+', _) => Some(b' '),
            (b'%', [high, low, after @ ..]) => match hex_pair(*high, *low) {
                Some(decoded) => {
                    rest = after;
                    Some(decoded)
                }
                None => Some(b'%'),
            },
            _ => Some(byte),
        }
    })
}
