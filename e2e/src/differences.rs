//! Differences between Stead and nginx: those that were seen, and those that are meant to be.
//!
//! What is meant stands in `differences.txt`, one line each with its reason. A difference that was
//! seen and is not listed fails a test, and so does a listed one that is not seen any more.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::answer::Answer;
use crate::folder::text_of;

/// What differs: a subject, and what each of both says of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Of what: a field, a request.
    pub subject: String,
    /// What nginx answers.
    pub nginx: String,
    /// What Stead answers.
    pub stead: String,
}

/// What was seen, from several threads.
#[derive(Debug, Default)]
pub struct Seen(Mutex<BTreeMap<Difference, Sightings>>);

#[derive(Debug)]
struct Sightings {
    count: u64,
    /// Where it was seen first.
    example: String,
}

/// Whether a listed difference that was not seen is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// It is: everything that the list knows should have been seen.
    Fails,
    /// It is not: what was served is not what the list was written for.
    Passes,
}

impl Seen {
    /// Notes a difference, where there is one.
    pub fn compare(&self, subject: &str, nginx: &str, stead: &str, example: &str) {
        if nginx == stead {
            return;
        }
        let difference = Difference {
            subject: subject.to_owned(),
            nginx: nginx.to_owned(),
            stead: stead.to_owned(),
        };
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = || Sightings { count: 0, example: example.to_owned() };
        seen.entry(difference).or_insert_with(first).count += 1;
    }

    /// Notes which fields only one of both answers with.
    pub fn compare_field_names(&self, nginx: &Answer, stead: &Answer, example: &str) {
        let said = |answer: &Answer, name: &str| match answer.field(name) {
            Some(_) => "present",
            None => "absent",
        };
        for (name, _) in nginx.fields.iter().chain(&stead.fields) {
            let subject = format!("field {name}");
            self.compare(&subject, said(nginx, name), said(stead, name), example);
        }
    }

    /// Fails the test unless what was seen is what a section of the list says.
    pub fn check(self, section: &str, stale: Stale) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("differences.txt");
        let wrong = self.wrong(&listed(&text_of(&path), section), stale);
        assert!(wrong.is_empty(), "differences.txt, section [{section}]:\n{wrong}");
    }

    /// A line for each difference that is only seen, or only listed.
    fn wrong(self, listed: &[Difference], stale: Stale) -> String {
        let seen = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut wrong = String::new();
        for (difference, Sightings { count, example }) in &seen {
            if !listed.contains(difference) {
                // Writing to a string cannot fail, here and below.
                let _ = writeln!(wrong, "not listed: {difference} ({count} times: {example})");
            }
        }
        for difference in listed.iter().filter(|listed| !seen.contains_key(listed)) {
            match stale {
                Stale::Fails => drop(writeln!(wrong, "stale: {difference}")),
                Stale::Passes => println!("not seen: {difference}"),
            }
        }
        wrong
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} | {} | {}", self.subject, self.nginx, self.stead)
    }
}

/// The differences that a section of the list means to be.
fn listed(text: &str, section: &str) -> Vec<Difference> {
    let begins = format!("[{section}]");
    assert!(text.lines().any(|line| line == begins), "differences.txt has no {begins}");
    let lines = text.lines().skip_while(|line| **line != begins).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(parse).collect()
}

/// `subject | nginx | stead | reason`.
fn parse(line: &str) -> Difference {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let [subject, nginx, stead, reason] = columns.as_slice() else {
        panic!("differences.txt: no four columns in {line:?}");
    };
    assert!(!reason.is_empty(), "differences.txt: no reason in {line:?}");
    let owned = |text: &str| text.to_owned();
    Difference { subject: owned(subject), nginx: owned(nginx), stead: owned(stead) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# comment\n[a]\nsize | 1 | 2 | why\ntype | x | y | why\n\n[b]\n";

    fn check(seen: &[[&str; 3]], stale: Stale, expect: &[&str]) {
        let all = Seen::default();
        for [subject, nginx, stead] in seen {
            all.compare(subject, nginx, stead, "path");
        }
        let wrong = all.wrong(&listed(LIST, "a"), stale);
        let starts: Vec<&str> = wrong.lines().collect();
        assert_eq!(starts.len(), expect.len(), "{wrong}");
        assert!(starts.iter().zip(expect).all(|(line, start)| line.starts_with(start)), "{wrong}");
    }

    #[test]
    fn what_is_listed_and_seen_passes() {
        let both = [["size", "1", "2"], ["type", "x", "y"], ["date", "same", "same"]];
        check(&both, Stale::Fails, &[]);
        assert!(listed(LIST, "b").is_empty());
    }

    #[test]
    fn what_is_not_listed_fails_and_so_does_what_is_stale() {
        check(&[["size", "1", "2"]], Stale::Fails, &["stale: type | x | y"]);
        check(&[["size", "1", "2"]], Stale::Passes, &[]);
        let other = [["size", "1", "3"], ["type", "x", "y"]];
        check(&other, Stale::Fails, &["not listed: size | 1 | 3", "stale: size | 1 | 2"]);
    }
}
