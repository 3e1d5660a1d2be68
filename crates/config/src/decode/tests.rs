//! Decoding by the derive: what is taken, and what is said of what is not.

use std::path::PathBuf;

use super::*;
use crate::{ByteSize, Config, Duration, Map, Off, Settings, Template};

#[derive(Config, Debug, PartialEq)]
#[config(shorthand = "body", check = no_teapot)]
struct Answer {
    /// The status.
    #[config(default = 200, range = 100..=599)]
    status: u16,
    /// What is sent.
    body: String,
    /// More headers.
    #[config(default)]
    headers: Map<String>,
    encoding: Option<String>,
    #[config(default = ["GET", "HEAD"])]
    methods: Vec<String>,
    #[config(default)]
    limits: Nested,
}

#[derive(Config, Debug, PartialEq)]
struct Nested {
    #[config(default = "1MiB", range = "1KiB"..="1GiB")]
    size: Off<ByteSize>,
    #[config(name = "type", default = "plain")]
    kind: Word3,
}

#[derive(Config, Clone, Copy, Debug, PartialEq)]
enum Word3 {
    /// As it is.
    Plain,
    #[config(name = "x-other")]
    Other,
    TwoWords,
}

#[derive(Config, Debug, PartialEq)]
enum Place {
    Stdout,
    Off,
    File { file: PathBuf },
}

#[derive(Config, Debug, PartialEq)]
enum Match {
    Exact(String),
    Regex { regex: String },
    Wait { wait: Duration, times: Option<u8> },
}

fn no_teapot(answer: &Answer, span: Span, decoder: &mut Decoder<'_>) {
    if answer.status == 418 {
        decoder.report(Diagnostic::error(span, "no teapots"));
    }
}

/// Decodes `key = TOML`; what is wrong is one `message (help)` a line.
fn decode<T: Config>(toml: &str) -> Result<T, String> {
    let settings = Settings::parse(&format!("key = {toml}")).map_err(|e| e.to_string())?;
    settings.decode().map_err(|errors| errors.to_string().replace("error: ", ""))
}

#[test]
fn defaults_fill_what_is_missing_and_a_bare_value_stands_for_the_shorthand() {
    let expect = Answer {
        status: 200,
        body: "ok".to_owned(),
        headers: Map::default(),
        encoding: None,
        methods: vec!["GET".to_owned(), "HEAD".to_owned()],
        limits: Nested { size: Off(Some(ByteSize(1 << 20))), kind: Word3::Plain },
    };
    assert_eq!(decode::<Answer>("'ok'").as_ref(), Ok(&expect));
    assert_eq!(decode::<Answer>("{ body = 'ok' }"), Ok(expect));
    let full = decode::<Answer>("{ body = '', limits = { size = 'off', type = 'x-other' } }");
    assert_eq!(full.map(|a| a.limits), Ok(Nested { size: Off(None), kind: Word3::Other }));
}

#[test]
fn every_error_of_a_table_is_found() {
    let errors = decode::<Answer>(
        "{ status = 99, bdy = 'x', headers = 1, limits = { size = '1B', type = 'plian' } }",
    );
    let expect = "`status` must lie between 100 and 599 (write `100`)
`headers` takes a table of names, not an integer (write `{ name = \"…\" }`)
`size` must lie between \"1KiB\" and \"1GiB\" (write `\"1KiB\"`)
`type` cannot be \"plian\" (write `\"plain\"`)
unknown key `bdy` (write `body`)";
    assert_eq!(errors, Err(expect.to_owned()));
    assert_eq!(decode::<Answer>("{ body = '', status = 418 }"), Err("no teapots".to_owned()));
    let wrong = "`key` takes a string, not an integer (write `\"5\"`)";
    assert_eq!(decode::<Answer>("5"), Err(wrong.to_owned()));
}

#[test]
fn enums_are_words_tables_or_a_value() {
    assert_eq!(decode::<Word3>("'two_words'"), Ok(Word3::TwoWords));
    assert_eq!(decode("'off'"), Ok(Place::Off));
    assert_eq!(decode("{ file = 'a.log' }"), Ok(Place::File { file: "a.log".into() }));
    let wrong = "`key` cannot be \"x\" (write \"stdout\", \"off\" or a table such as { file = … })"
        .to_owned();
    assert_eq!(decode::<Place>("'x'"), Err(wrong));
    let wrong = "`key` takes \"stdout\", \"off\" or a table such as { file = … }, not an integer \
                 (write `\"stdout\"`)";
    assert_eq!(decode::<Place>("1"), Err(wrong.to_owned()));
    assert_eq!(decode("'a'"), Ok(Match::Exact("a".to_owned())));
    assert_eq!(decode("{ regex = 'a' }"), Ok(Match::Regex { regex: "a".to_owned() }));
    let wait = Match::Wait { wait: Duration::from_secs(1), times: None };
    assert_eq!(decode("{ wait = '1s' }"), Ok(wait));
    assert!(decode::<Match>("{ other = 1 }").is_err());
}

#[test]
fn schemas_know_what_the_derive_knows() {
    let Schema::Table(table) = Answer::schema() else { panic!("a table") };
    assert_eq!(table.shorthand, Some("body"));
    let status = table.field("status").unwrap();
    assert_eq!((status.field.docs, status.required), ("The status.", false));
    assert!(table.field("body").unwrap().required);
    assert!(!table.field("encoding").unwrap().required);
    assert!(matches!(Template::schema(), Schema::Text(_)));
}
