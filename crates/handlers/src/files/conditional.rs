//! Whether a request's conditions hold, in the order that HTTP demands.
//!
//! Runs once the variant that would answer is known, and before ranges: a failed `If-Match` or
//! `If-Unmodified-Since` is 412, a file that the client has already is 304, and `If-Range` decides
//! whether `Range` counts. A date or tag that cannot be read never makes a condition hold. Source:
//! RFC 9110 §13.1, §13.2.2.

use std::time::{Duration, UNIX_EPOCH};

use stead_core::{Fields, name};

use super::etag::{self, Etag};

/// What the conditions say of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Send the file.
    Send,
    /// The client has it: 304.
    NotModified,
    /// 412.
    Failed,
}

/// What conditions are compared with: the validators of the variant that would answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validators<'a> {
    /// Its entity tag.
    pub(crate) etag: &'a Etag,
    /// Its `Last-Modified`, in seconds since 1970.
    pub(crate) modified: u64,
}

impl Validators<'_> {
    /// Evaluates the conditions of a GET or HEAD request, all but `If-Range`.
    pub(crate) fn evaluate(self, fields: &Fields) -> Verdict {
        match self.may_proceed(fields) {
            false => Verdict::Failed,
            true if self.is_held_by_client(fields) => Verdict::NotModified,
            true => Verdict::Send,
        }
    }

    /// Whether `Range` counts: there is no `If-Range`, or it names this very variant.
    pub(crate) fn allow_range(self, fields: &Fields) -> bool {
        let Some(validator) = fields.get(name::IF_RANGE) else { return true };
        match parse_date(validator) {
            // A date is a strong validator only once no further change can share its second.
            Some(date) => date == self.modified && !self.etag.is_weak(),
            None => self.etag.matches_strongly(validator),
        }
    }

    /// Steps 1 and 2: `If-Match`, and only where it is absent `If-Unmodified-Since`.
    fn may_proceed(self, fields: &Fields) -> bool {
        if fields.contains(name::IF_MATCH) {
            let mut values = fields.values(name::IF_MATCH);
            return values
                .any(|v| v == b"*" || etag::list(v).any(|t| self.etag.matches_strongly(t)));
        }
        match fields.get(name::IF_UNMODIFIED_SINCE).and_then(parse_date) {
            Some(date) => self.modified <= date,
            None => true,
        }
    }

    /// Steps 3 and 4: `If-None-Match`, and only where it is absent `If-Modified-Since`.
    fn is_held_by_client(self, fields: &Fields) -> bool {
        if fields.contains(name::IF_NONE_MATCH) {
            let mut values = fields.values(name::IF_NONE_MATCH);
            return values.any(|v| v == b"*" || etag::list(v).any(|t| self.etag.matches_weakly(t)));
        }
        match fields.get(name::IF_MODIFIED_SINCE).and_then(parse_date) {
            Some(date) => self.modified <= date,
            None => false,
        }
    }
}

/// Seconds since 1970 of an HTTP date in any of its three forms (RFC 9110 §5.6.7).
fn parse_date(text: &[u8]) -> Option<u64> {
    let time = httpdate::parse_http_date(str::from_utf8(text).ok()?).ok()?;
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// A moment in seconds since 1970 as an HTTP date.
pub(crate) fn format_date(seconds: u64) -> String {
    // Years of five digits and more cannot be written.
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_SECOND)))
}

/// 9999-12-31 23:59:59.
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use stead_core::Name;
    use stead_sys::file::{FileFacts, FileKind};

    const MODIFIED: u64 = 1_000_000_000;
    const AT: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
    const BEFORE: &str = "Sun, 09 Sep 2001 01:46:39 GMT";
    const AFTER: &str = "Sun, 09 Sep 2001 01:46:41 GMT";
    const TAG: &str = "\"1-2-3\"";

    fn etag(weak: bool) -> Etag {
        let facts =
            FileFacts { kind: FileKind::Regular, device: 0, inode: 1, size: 2, modified: 3 };
        Etag::new(&facts, "", weak)
    }

    fn fields(list: &[(&'static str, &str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in list {
            fields.append(Name::Other(name.as_bytes()), value.as_bytes());
        }
        fields
    }

    fn check(list: &[(&'static str, &str)], expect: Verdict) {
        let validators = Validators { etag: &etag(false), modified: MODIFIED };
        assert_eq!(validators.evaluate(&fields(list)), expect, "{list:?}");
    }

    #[test]
    fn each_condition_alone() {
        check(&[], Verdict::Send);
        check(&[("if-match", TAG)], Verdict::Send);
        check(&[("if-match", "*")], Verdict::Send);
        check(&[("if-match", "\"x\", \"1-2-3\"")], Verdict::Send);
        check(&[("if-match", "\"x\"")], Verdict::Failed);
        check(&[("if-match", "W/\"1-2-3\"")], Verdict::Failed);
        check(&[("if-match", "1-2-3")], Verdict::Failed);
        check(&[("if-unmodified-since", AT)], Verdict::Send);
        check(&[("if-unmodified-since", AFTER)], Verdict::Send);
        check(&[("if-unmodified-since", BEFORE)], Verdict::Failed);
        check(&[("if-unmodified-since", "yesterday")], Verdict::Send);
        check(&[("if-none-match", TAG)], Verdict::NotModified);
        check(&[("if-none-match", "W/\"1-2-3\"")], Verdict::NotModified);
        check(&[("if-none-match", "*")], Verdict::NotModified);
        check(&[("if-none-match", "\"x\"")], Verdict::Send);
        check(&[("if-none-match", "nonsense")], Verdict::Send);
        check(&[("if-none-match", "\"x\""), ("if-none-match", TAG)], Verdict::NotModified);
        check(&[("if-modified-since", AT)], Verdict::NotModified);
        check(&[("if-modified-since", AFTER)], Verdict::NotModified);
        check(&[("if-modified-since", BEFORE)], Verdict::Send);
        check(&[("if-modified-since", "Sunday, 09-Sep-01 01:46:40 GMT")], Verdict::NotModified);
        check(&[("if-modified-since", "Sun Sep  9 01:46:40 2001")], Verdict::NotModified);
        check(&[("if-modified-since", "0")], Verdict::Send);
    }

    #[test]
    fn the_order_of_rfc_9110_13_2_2() {
        // If-Match silences If-Unmodified-Since; a failure of either comes before 304.
        check(&[("if-match", TAG), ("if-unmodified-since", BEFORE)], Verdict::Send);
        check(&[("if-match", "\"x\""), ("if-none-match", TAG)], Verdict::Failed);
        check(&[("if-unmodified-since", BEFORE), ("if-none-match", TAG)], Verdict::Failed);
        check(&[("if-match", TAG), ("if-none-match", TAG)], Verdict::NotModified);
        // If-None-Match silences If-Modified-Since, both ways.
        check(&[("if-none-match", "\"x\""), ("if-modified-since", AT)], Verdict::Send);
        check(&[("if-none-match", TAG), ("if-modified-since", BEFORE)], Verdict::NotModified);
    }

    #[test]
    fn security_41_if_range_is_strong_only() {
        let allow = |value: &str, weak: bool| {
            let validators = Validators { etag: &etag(weak), modified: MODIFIED };
            validators.allow_range(&fields(&[("if-range", value)]))
        };
        assert!(allow(TAG, false) && allow(AT, false));
        for value in ["W/\"1-2-3\"", "\"x\"", BEFORE, AFTER, "", "*", "nonsense"] {
            assert!(!allow(value, false), "{value}");
        }
        assert!(!allow(TAG, true) && !allow("W/\"1-2-3\"", true) && !allow(AT, true));
        let validators = Validators { etag: &etag(true), modified: MODIFIED };
        assert!(validators.allow_range(&Fields::new()));
    }

    #[test]
    fn dates_round_trip_up_to_the_last_year() {
        assert_eq!(format_date(MODIFIED), AT);
        assert_eq!(parse_date(AT.as_bytes()), Some(MODIFIED));
        assert_eq!(format_date(u64::MAX), format_date(LAST_SECOND));
    }

    proptest! {
        #[test]
        fn any_values_are_survived(
            values in proptest::collection::vec("[ -~]{0,24}", 5),
            weak in any::<bool>(),
        ) {
            let list: Vec<(&'static str, &str)> =
                ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"]
                    .into_iter()
                    .zip(values.iter().map(|value| value.trim()))
                    .collect();
            let etag = etag(weak);
            let validators = Validators { etag: &etag, modified: MODIFIED };
            let fields = fields(&list);
            // Random text never names our tag: nothing may be withheld from the client as held,
            // and an If-Match that names another always fails.
            if !values.iter().any(|value| value.contains('*') || value.contains("1-2-3")) {
                prop_assert_eq!(validators.evaluate(&fields), Verdict::Failed);
            }
            validators.allow_range(&fields);
        }
    }
}
