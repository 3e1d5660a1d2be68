//! Ranges and conditional requests on a sample of real files, through Stead and nginx side by side.
//!
//! Each server is asked with the validators that it gave itself. What both answer is compared as a
//! short description in which the file's size is `N`, so that one line of the list of differences
//! speaks for all files; the bytes are compared with the disk.

use std::fmt::Write as _;

use stead_e2e::answer::parts;
use stead_e2e::differences::Seen;
use stead_e2e::doc_tree::to_target;
use stead_e2e::pair::{Pair, Question};
use stead_e2e::{Answer, Both};

#[test]
fn ranges_are_answered_like_nginx_but_for_the_list() {
    check("ranges", RANGES);
}

#[test]
fn conditions_are_answered_like_nginx_but_for_the_list() {
    check("conditions", CONDITIONS);
}

/// A request: the method, and fields whose values hold `TAG`, `DATE`, … for the file's validators.
type Case = (&'static str, &'static [(&'static str, &'static str)]);

const RANGES: &[Case] = &[
    ("GET", &[("Range", "bytes=0-0")]),
    ("GET", &[("Range", "bytes=0-99")]),
    ("GET", &[("Range", "bytes=100-199")]),
    ("GET", &[("Range", "bytes=500-")]),
    ("GET", &[("Range", "bytes=0-")]),
    ("GET", &[("Range", "bytes=-1")]),
    ("GET", &[("Range", "bytes=-500")]),
    ("GET", &[("Range", "bytes=-99999999999")]),
    ("GET", &[("Range", "bytes=LAST-")]),
    ("GET", &[("Range", "bytes=LAST-99999999999")]),
    ("GET", &[("Range", "bytes=SIZE-")]),
    ("GET", &[("Range", "bytes=SIZE-99999999999")]),
    ("GET", &[("Range", "bytes=-0")]),
    ("GET", &[("Range", "bytes=99999999999999999999-")]),
    ("GET", &[("Range", "bytes=0-0,-1")]),
    ("GET", &[("Range", "bytes=0-9,20-29,40-49")]),
    ("GET", &[("Range", "bytes=0-9, 20-29")]),
    ("GET", &[("Range", "bytes=20-29,0-9")]),
    ("GET", &[("Range", "bytes=0-4,3-9")]),
    ("GET", &[("Range", "bytes=0-4,5-9")]),
    ("GET", &[("Range", "bytes=0-0,SIZE-")]),
    ("GET", &[("Range", "bytes=SIZE-,-0")]),
    ("GET", &[("Range", "bytes=0-,0-")]),
    ("GET", &[("Range", SIXTEEN)]),
    ("GET", &[("Range", SEVENTEEN)]),
    ("GET", &[("Range", "bytes=9-5")]),
    ("GET", &[("Range", "bytes=x-y")]),
    ("GET", &[("Range", "bytes=")]),
    ("GET", &[("Range", "bytes 0-9")]),
    ("GET", &[("Range", "lines=0-9")]),
    ("GET", &[("Range", "BYTES=0-9")]),
    ("GET", &[("Range", "bytes=0-9,x")]),
    ("HEAD", &[("Range", "bytes=0-9")]),
    ("GET", &[("Range", "bytes=0-9"), ("If-Range", "TAG")]),
    ("GET", &[("Range", "bytes=0-9"), ("If-Range", "W/TAG")]),
    ("GET", &[("Range", "bytes=0-9"), ("If-Range", "\"other\"")]),
    ("GET", &[("Range", "bytes=0-9"), ("If-Range", "DATE")]),
    ("GET", &[("Range", "bytes=0-9"), ("If-Range", "BEFORE")]),
    ("GET", &[("Range", "bytes=0-9"), ("If-Range", "AFTER")]),
    ("GET", &[("Range", "bytes=SIZE-"), ("If-Range", "\"other\"")]),
    ("GET", &[("If-Range", "TAG")]),
    ("GET", &[("Range", "bytes=0-9"), ("If-None-Match", "TAG")]),
    ("GET", &[("Range", "bytes=0-9"), ("If-Match", "\"other\"")]),
];

const CONDITIONS: &[Case] = &[
    ("GET", &[("If-None-Match", "TAG")]),
    ("GET", &[("If-None-Match", "W/TAG")]),
    ("GET", &[("If-None-Match", "\"other\", TAG")]),
    ("GET", &[("If-None-Match", "*")]),
    ("GET", &[("If-None-Match", "\"other\"")]),
    ("HEAD", &[("If-None-Match", "TAG")]),
    ("GET", &[("If-Modified-Since", "DATE")]),
    ("GET", &[("If-Modified-Since", "BEFORE")]),
    ("GET", &[("If-Modified-Since", "AFTER")]),
    ("GET", &[("If-Modified-Since", "yesterday")]),
    ("HEAD", &[("If-Modified-Since", "DATE")]),
    ("GET", &[("If-Match", "TAG")]),
    ("GET", &[("If-Match", "W/TAG")]),
    ("GET", &[("If-Match", "*")]),
    ("GET", &[("If-Match", "\"other\"")]),
    ("GET", &[("If-Match", "\"other\", TAG")]),
    ("GET", &[("If-Unmodified-Since", "DATE")]),
    ("GET", &[("If-Unmodified-Since", "BEFORE")]),
    ("GET", &[("If-Unmodified-Since", "AFTER")]),
    ("GET", &[("If-Unmodified-Since", "yesterday")]),
    ("GET", &[("If-None-Match", "TAG"), ("If-Modified-Since", "BEFORE")]),
    ("GET", &[("If-None-Match", "\"other\""), ("If-Modified-Since", "DATE")]),
    ("GET", &[("If-Match", "TAG"), ("If-Unmodified-Since", "BEFORE")]),
    ("GET", &[("If-Match", "\"other\""), ("If-Unmodified-Since", "DATE")]),
    ("GET", &[("If-Match", "TAG"), ("If-None-Match", "TAG")]),
    ("GET", &[("If-Match", "\"other\""), ("If-None-Match", "TAG")]),
    ("GET", &[("If-Unmodified-Since", "BEFORE"), ("If-None-Match", "TAG")]),
    ("GET", &[("If-Unmodified-Since", "BEFORE"), ("If-Modified-Since", "DATE")]),
];

const SIXTEEN: &str = "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,\
    26-26,28-28,30-30";
const SEVENTEEN: &str = "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,\
    24-24,26-26,28-28,30-30,32-32";

/// Long before any file, and long after.
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const AFTER: &str = "Fri, 31 Dec 2100 23:59:59 GMT";

/// Files in the sample, about.
const SAMPLE: usize = 500;
/// Smaller files cannot tell the cases apart.
const SIZE_MIN: u64 = 1_000;

fn check(section: &str, cases: &[Case]) {
    let both = Both::start();
    let is_large = |path: &str| {
        let facts = both.tree.root().join(path).metadata();
        facts.is_ok_and(|facts| facts.len() >= SIZE_MIN) && both.tree.is_served(path)
    };
    let files = both.paths(|path| !path.ends_with('/') && !path.is_empty() && is_large(path));
    let step = (files.len() / SAMPLE).max(1);
    let sample: Vec<String> = files.into_iter().step_by(step).collect();
    assert!(!sample.is_empty());
    let seen = Seen::default();
    both.in_batches(&sample, |pair, paths| {
        for path in paths {
            compare(pair, &seen, cases, path, &both.tree.content(path));
        }
    });
    println!("{} files, {} requests each", sample.len(), cases.len());
    seen.check(section, both.tree.stale());
}

fn compare(pair: &mut Pair, seen: &Seen, cases: &[Case], path: &str, content: &[u8]) {
    let plain = Question::plain("GET", to_target(path));
    let first = pair.ask(std::slice::from_ref(&plain));
    let (nginx, stead) = &first[0];
    let fields = |of: &Answer, case: &Case| -> Vec<(&'static str, String)> {
        case.1.iter().map(|(name, value)| (*name, filled(value, of, content.len()))).collect()
    };
    for cases in cases.chunks(CASES_AT_ONCE) {
        let question = |case: &Case| Question {
            method: case.0,
            target: plain.target.clone(),
            nginx: fields(nginx, case),
            stead: fields(stead, case),
        };
        let questions: Vec<Question> = cases.iter().map(question).collect();
        for (case, (theirs, ours)) in cases.iter().zip(pair.ask(&questions)) {
            let [theirs, ours] = [theirs, ours].map(|answer| described(&answer, content));
            seen.compare(&named(case), &theirs, &ours, path);
        }
    }
}

/// Requests on their way at once: their answers may be whole files.
const CASES_AT_ONCE: usize = 8;

/// A field's value with the validators that a server gave.
fn filled(value: &str, answer: &Answer, size: usize) -> String {
    let tag = answer.value("etag");
    assert!(tag.starts_with('"'), "{tag}: the files are older than a second");
    value
        .replace("TAG", tag)
        .replace("DATE", answer.value("last-modified"))
        .replace("BEFORE", BEFORE)
        .replace("AFTER", AFTER)
        .replace("SIZE", &size.to_string())
        .replace("LAST", &(size - 1).to_string())
}

/// A case as the list of differences names it.
fn named((method, fields): &Case) -> String {
    let mut name = (*method).to_owned();
    for (field, value) in *fields {
        let value = match *value {
            SIXTEEN => "(16 ranges)",
            SEVENTEEN => "(17 ranges)",
            value => value,
        };
        // Writing to a string cannot fail.
        let _ = write!(name, ", {field}: {value}");
    }
    name
}

/// What an answer is, in terms of the file: its status and the ranges that it holds. A body that is
/// not what it says it is fails the test.
fn described(answer: &Answer, content: &[u8]) -> String {
    let status = answer.status;
    let size = content.len();
    match (status, parts(answer)) {
        (200, _) => {
            assert_eq!(answer.value("content-length"), size.to_string());
            assert!(answer.body.is_empty() || answer.body == content);
            "200".to_owned()
        }
        (206, None) => {
            let (start, end, text) = range_of(answer.value("content-range"), size);
            assert_eq!(answer.value("content-length"), (end - start).to_string());
            assert!(answer.body.is_empty() || answer.body == content[start..end]);
            format!("206 {text}")
        }
        (206, Some(parts)) => {
            let texts = parts.iter().map(|part| {
                let field = |name: &str| {
                    let found = part.fields.iter().find(|(own, _)| own == name);
                    found.map_or("-", |(_, value)| value.as_str())
                };
                assert_ne!(field("content-type"), "-");
                let (start, end, text) = range_of(field("content-range"), size);
                assert_eq!(part.body, &content[start..end]);
                text
            });
            let texts: Vec<String> = texts.collect();
            format!("206 parts {}", texts.join(","))
        }
        (304, _) => {
            let present = ["etag", "last-modified"].map(|name| answer.field(name).is_some());
            assert_eq!(present, [true, true], "{answer:?}");
            assert!(answer.field("content-length").is_none_or(|length| length == size.to_string()));
            "304".to_owned()
        }
        (416, _) => {
            format!("416 {}", answer.value("content-range").replace(&size.to_string(), "N"))
        }
        _ => status.to_string(),
    }
}

/// Start, end and description of `bytes 0-9/1234`.
fn range_of(field: &str, size: usize) -> (usize, usize, String) {
    let parse = || {
        let (range, total) = field.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let number = |text: &str| text.parse::<usize>().ok();
        Some((number(first)?, number(last)?, number(total)?))
    };
    let Some((first, last, total)) = parse() else { panic!("no range: {field}") };
    assert_eq!(total, size);
    let symbol = |number: usize| match size - number {
        rest @ (1 | 500) => format!("N-{rest}"),
        _ => number.to_string(),
    };
    (first, last + 1, format!("{}-{}", symbol(first), symbol(last)))
}
