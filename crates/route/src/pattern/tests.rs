//! Tests of patterns and their errors.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(text: &str, expect: &str) {
    match canonical_pattern(text) {
        Ok(pattern) => assert_eq!(pattern, expect, "{text}"),
        Err(errors) => panic!("{text}: {errors:?}"),
    }
}

/// Each error as the marked text and the message.
#[track_caller]
fn check_errors(text: &str, expect: &[(&str, &str)]) {
    let errors = Pattern::parse(text).expect_err(text);
    let found: Vec<_> =
        errors.iter().map(|e| (&text[e.range.clone()], e.message.as_str())).collect();
    assert_eq!(found, expect, "{text}");
    assert!(errors.iter().all(|e| !e.help.is_empty() && !e.message.ends_with('.')));
}

#[test]
fn literals_are_canonical() {
    check("/", "/");
    check("/users/%7Eme/a%2fb", "/users/~me/a%2Fb");
    check("/café/日", "/caf%C3%A9/%E6%97%A5");
    check("/a/./b/../c", "/a/c");
    check("/a/.", "/a/");
    check("/a/..", "/");
    check("/a/../..", "/");
    check("//a//", "//a//");
    check("/a|b/%7Bid%7D", "/a%7Cb/%7Bid%7D");
}

#[test]
fn captures_have_names() {
    check("/users/{id}", "/users/{id}");
    check("/{a}/{_b2}/x/{*rest}", "/{a}/{_b2}/x/{*rest}");
    check("/{*rest}", "/{*rest}");
    check("/a/./{id}/", "/a/{id}/");
    check("/x/../{id}", "/{id}");
    let pattern = Pattern::parse("/{a}/b/{*c}").unwrap();
    assert_eq!(pattern.names().collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(pattern.shape(), Pattern::parse("/{x}/b/{*y}").unwrap().shape());
    assert_ne!(pattern.shape(), Pattern::parse("/{x}/b/{y}").unwrap().shape());
    // A literal brace is an escape, so no literal looks like a capture's shape.
    assert_ne!(Pattern::parse("/%7B%7D").unwrap().shape(), Pattern::parse("/{a}").unwrap().shape());
}

#[test]
fn a_brace_stands_round_a_whole_segment() {
    let message = "a brace stands only round a whole segment";
    check_errors("/a{id}", &[("{", message)]);
    check_errors("/{id}.html", &[("{", message)]);
    check_errors("/{a}{b}", &[("{", message)]);
    check_errors("/{a", &[("{", message)]);
    check_errors("/a}/b", &[("}", message)]);
    check_errors("/{{a}}", &[("{", message)]);
    check_errors("/{a/b}", &[("{", message), ("}", message)]);
    check_errors("/{", &[("{", message)]);
}

#[test]
fn names_are_identifiers_that_stand_once() {
    check_errors("/{}", &[("{}", "a capture needs a name")]);
    check_errors("/{*}", &[("{*}", "a capture needs a name")]);
    let message = "a capture's name is an identifier: letters, digits and `_`";
    check_errors("/a/{1a}", &[("1a", message)]);
    check_errors("/{id:[0-9]+}", &[("id:[0-9]+", message)]);
    check_errors("/{**x}", &[("*x", message)]);
    check_errors("/{naïf}", &[("naïf", message)]);
    check_errors("/{ a}", &[(" a", message)]);
    check_errors("/{a}/{a}", &[("a", "the name `a` stands twice in the pattern")]);
    check_errors("/{a}/{*a}", &[("a", "the name `a` stands twice in the pattern")]);
}

#[test]
fn a_wildcard_is_last() {
    check_errors("/{*rest}/a", &[("{*rest}", "a wildcard is the last segment")]);
    check_errors("/{*rest}/", &[("{*rest}", "a wildcard is the last segment")]);
}

#[test]
fn a_pattern_is_a_path() {
    check_errors("", &[("", "a pattern begins with `/`")]);
    check_errors("users", &[("u", "a pattern begins with `/`")]);
    check_errors("é", &[("é", "a pattern begins with `/`")]);
    check_errors("/a?b=1", &[("?", "a pattern matches the path only, without the query")]);
    check_errors("/a#b", &[("#", "a path never holds `#`: browsers keep it to themselves")]);
    check_errors("/a b", &[(" ", "a path never holds a space")]);
    check_errors("/\t", &[("\t", "a path never holds a control character")]);
    check_errors("/a/{id}/../b", &[("..", "`..` takes the capture `id` away")]);
    check_errors(
        &format!("/{}", "a".repeat(5000)),
        &[(&format!("/{}", "a".repeat(5000)), "a pattern has at most 4096 bytes")],
    );
    check_errors(&"/a".repeat(257), &[(&"/a".repeat(257), "a pattern has at most 256 segments")]);
}

#[test]
fn security_38_patterns_are_refused_where_paths_are() {
    let escape = "`%` begins an escape of two hexadecimal digits";
    check_errors("/%4", &[("%4", escape)]);
    check_errors("/a/%zz", &[("%zz", escape)]);
    check_errors("/%é", &[("%é", escape)]);
    check_errors("/%1é", &[("%1é", escape)]);
    check_errors("/%00", &[("%00", "a path never holds a NUL")]);
    check_errors("/a\\b", &[("\\", "a path never holds a backslash")]);
    check_errors("/%5c", &[("%5c", "a path never holds a backslash")]);
    check_errors("/%c0%af", &[("%c0", "the escapes are overlong UTF-8")]);
}

#[test]
fn every_mistake_is_reported() {
    let errors = Pattern::parse("/{1}/a{b}/{*x}/%").unwrap_err();
    assert_eq!(errors.len(), 4);
    assert!(errors.is_sorted_by_key(|error| error.range.start));
}

proptest! {
    #[test]
    fn any_text_is_answered_and_its_errors_can_be_shown(
        text in "/?([{}*/.%?é\\\\a_1]|\\PC){0,20}",
    ) {
        match Pattern::parse(&text) {
            Ok(pattern) => prop_assert_eq!(Pattern::parse(&pattern.to_string()), Ok(pattern)),
            Err(errors) => for error in errors {
                prop_assert!(text.get(error.range.clone()).is_some(), "{:?}", error);
            },
        }
    }
}
