//! Media types as settings name them: `text/html`, `text/*`, `*+json` or `*/*`.
//!
//! Parsed once, when a component is built; compared with the `Content-Type` of an answer, without
//! its parameters and whatever its case, which allocates nothing. Source: RFC 9110 §8.3 and
//! §12.5.1; suffixes are those of RFC 6838 §4.2.8.

use stead_config::{Diagnostic, Spanned};

/// One media type, or many.
pub(crate) enum MediaRange {
    /// `type/subtype`
    Exact(Box<str>),
    /// `type/`, of `type/*`
    Area(Box<str>),
    /// `+suffix`, of `*+suffix`
    Suffix(Box<str>),
    Any,
}

impl MediaRange {
    /// What a setting means.
    ///
    /// # Errors
    /// It is none of the four forms.
    pub(crate) fn parse(text: &Spanned<String>) -> Result<Self, Diagnostic> {
        Self::of(text).ok_or_else(|| {
            let message = format!("`{}` is no media type", text.escape_debug());
            let help = "write `text/html`, `text/*`, `*+json` or `*/*`";
            Diagnostic::error(text.span, message).help(help)
        })
    }

    /// The same, where the text is our own.
    pub(crate) fn of(text: &str) -> Option<Self> {
        if text == "*/*" {
            return Some(Self::Any);
        }
        if let Some(suffix) = text.strip_prefix('*') {
            let is_suffix = suffix.strip_prefix('+').is_some_and(is_word);
            return is_suffix.then(|| Self::Suffix(suffix.into()));
        }
        let (area, subtype) = text.split_once('/')?;
        match subtype {
            _ if !is_word(area) => None,
            "*" => Some(Self::Area(text.strip_suffix('*')?.into())),
            subtype => is_word(subtype).then(|| Self::Exact(text.into())),
        }
    }

    /// Whether it takes in a media type, given as its [`essence`].
    pub(crate) fn takes(&self, essence: &[u8]) -> bool {
        match self {
            Self::Exact(own) => essence.eq_ignore_ascii_case(own.as_bytes()),
            Self::Area(area) => starts_with(essence, area.as_bytes()),
            Self::Suffix(suffix) => {
                let start = essence.len().checked_sub(suffix.len());
                let end = start.and_then(|start| essence.get(start..));
                end.is_some_and(|end| end.eq_ignore_ascii_case(suffix.as_bytes()))
            }
            Self::Any => true,
        }
    }

    /// Whether it names one type.
    pub(crate) fn is_exact(&self) -> bool {
        matches!(self, Self::Exact(_))
    }
}

/// The media type of a `Content-Type`, without its parameters.
pub(crate) fn essence(content_type: &[u8]) -> &[u8] {
    content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// Whether a media type starts so, whatever its case.
pub(crate) fn starts_with(essence: &[u8], start: &[u8]) -> bool {
    essence.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// `restricted-name-chars` of RFC 6838 §4.2.
fn is_word(word: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
    !word.is_empty() && word.bytes().all(is_fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_takes_in_what_it_names() {
        let check = |range: &str, content_type: &str, expect: bool| {
            let takes = MediaRange::of(range).map(|range| {
                let essence = essence(content_type.as_bytes());
                range.takes(essence)
            });
            assert_eq!(takes, Some(expect), "{range} {content_type}");
        };
        check("text/html", "Text/HTML ; charset=utf-8", true);
        check("Text/html", "text/htmlx", false);
        check("image/*", "IMAGE/png", true);
        check("image/*", "images/png", false);
        check("image/*", "image", false);
        check("*+json", "application/problem+JSON;x=1", true);
        check("*+json", "json", false);
        check("*/*", "", true);
    }

    #[test]
    fn nothing_else_is_one() {
        for wrong in ["", "*", "html", "/", "a/", "/b", "*/b", "a/b;c", "*+", "*+a/b", "a/*+b"] {
            assert!(MediaRange::of(wrong).is_none(), "{wrong}");
        }
    }
}
