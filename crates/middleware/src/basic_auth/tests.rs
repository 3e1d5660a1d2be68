//! Who is let in, what the others hear, and what never shows.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::testing::{Bench, around, refusal, text};

/// By `htpasswd -nbB -C 4`, of `geheim: ü`.
const BCRYPT: &str = "$2y$04$MhRZKUpC/5Wdk.Qw59xQCeM/97u4S9I8yKHMVduVxosSx02GOzfu2";
/// By argon2-cffi, of `right`.
const ARGON2ID: &str = "$argon2id$v=19$m=64,t=1,p=1$me+B8NKK5b+Fe4Ar6ZcKKg$C6gBhvAqJD0QisOWnQNyog";

fn settings(more: &str) -> String {
    format!("basic_auth = {{ users = {{ alice = '{BCRYPT}', 'Zoë' = '{ARGON2ID}' }} {more} }}")
}

/// Answers with the fields that what is further in sees.
fn bench(settings: &str) -> Bench {
    around(&[settings], |exchange| {
        let seen: Vec<String> = exchange
            .fields()
            .iter()
            .skip(1)
            .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
            .collect();
        text(&seen.join(" "))(exchange)
    })
}

fn basic(credentials: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(credentials))
}

fn status(bench: &Bench, credentials: &str) -> u16 {
    bench.call("GET", "/", &[("Authorization", &basic(credentials))]).status
}

#[test]
fn who_has_a_password_is_let_in() {
    let bench = bench(&settings(""));
    assert_eq!(status(&bench, "alice:geheim: ü"), 200);
    assert_eq!(status(&bench, "Zoë:right"), 200);
    assert_eq!(status(&bench, "alice:geheim: u"), 401);
    assert_eq!(status(&bench, "alice:"), 401);
    assert_eq!(status(&bench, "Zoë:geheim: ü"), 401);
    assert_eq!(status(&bench, "ALICE:geheim: ü"), 401);
    assert_eq!(status(&bench, "mallory:right"), 401);
}

#[test]
fn who_has_none_is_asked() {
    let bench = bench(&settings(", realm = 'the \"office\"'"));
    let answer = bench.page("/");
    assert_eq!((answer.status, answer.reason.code()), (401, "unauthorized"));
    let challenge = "Basic realm=\"the \\\"office\\\"\", charset=\"UTF-8\"";
    assert_eq!(answer.field("WWW-Authenticate"), challenge);
    for malformed in [
        "",
        "Basic",
        "Basic ",
        "Basic ???",
        "Basic YWxpY2U=",
        "Bearer abc",
        "basic",
        "B\u{e4}sic x",
        "Digest username=\"alice\"",
    ] {
        let answer = bench.call("GET", "/", &[("Authorization", malformed)]);
        assert_eq!(answer.status, 401, "{malformed}");
    }
    let long = basic(&format!("alice:{}", "x".repeat(10_000)));
    assert_eq!(bench.call("GET", "/", &[("Authorization", &long)]).status, 401);
    let right = basic("Zoë:right");
    let twice = [("Authorization", right.as_str()), ("Authorization", right.as_str())];
    assert_eq!(bench.call("GET", "/", &twice).status, 401);
    assert_eq!(bench.waits().1, 0, "nothing of this takes a check");
    let lower = right.replace("Basic", "bASIC");
    assert_eq!(bench.call("GET", "/", &[("Authorization", &lower)]).status, 200);
}

#[test]
fn what_is_further_in_learns_the_name_and_not_the_password() {
    let seen = |more: &str, sent: &[(&str, &str)]| {
        let authorization = basic("Zoë:right");
        let all = [&[("Authorization", authorization.as_str())], sent].concat();
        bench(&settings(more)).call("GET", "/", &all).text()
    };
    assert_eq!(seen("", &[("X-User", "root")]), "X-User=root");
    let spellings = [("X-User", "root"), ("x_user", "root"), ("X-USER", "root")];
    assert_eq!(seen(", user_header = 'X-User'", &spellings), "X-User=Zoë");
    assert!(seen(", forward = true", &[]).starts_with("Authorization=Basic "));
}

#[test]
fn security_50_an_unknown_name_takes_as_long_as_a_known_one() {
    let bench = bench(&settings(", failures = 'off'"));
    for credentials in ["alice:wrong", "mallory:wrong", "mallory:geheim: ü", ":", "x:"] {
        let before = bench.waits().1;
        assert_eq!(status(&bench, credentials), 401);
        assert_eq!(bench.waits().1, before + 1, "{credentials} is hashed all the same");
    }
    // The hash that stands for an unknown name's is always the same one.
    let costly = "$2y$10$wHY4.w0bxEiaEyOYBKDtVOMfRJnaAOgH1L24wC4E9SEwOAcGEtuti";
    let costly = format!("basic_auth = {{ users = {{ alice = '{costly}' }}, failures = 'off' }}");
    let bench = self::bench(&costly);
    // Of the processor, which others keep busy: checks run on this very thread here.
    let used = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    let time = |credentials: &str| {
        let tries = (0..5).map(|_| {
            let start = used();
            assert_eq!(status(&bench, credentials), 401);
            used().saturating_sub(start)
        });
        tries.min().unwrap_or_default()
    };
    let (known, unknown) = (time("alice:wrong"), time("mallory:wrong"));
    assert!(unknown > known / 2 && known > unknown / 2, "{known:?} {unknown:?}");
}

#[test]
fn security_50_failures_are_limited_by_address() {
    let bench = bench(&settings(", failures = '3/h'"));
    assert_eq!(status(&bench, "alice:geheim: ü"), 200);
    for _ in 0..3 {
        assert_eq!(status(&bench, "alice:wrong"), 401);
    }
    let answer = bench.call("GET", "/", &[("Authorization", &basic("alice:wrong"))]);
    assert_eq!((answer.status, answer.reason.code()), (429, "too_many_failures"));
    assert_eq!(answer.field("Retry-After"), "1200");
    let checks = bench.waits().1;
    assert_eq!(status(&bench, "Zoë:right"), 429, "nor is a right one tried");
    assert_eq!(bench.waits().1, checks);
    // Whose password is remembered is not kept out by others behind the same address.
    assert_eq!(status(&bench, "alice:geheim: ü"), 200);
    assert_eq!(bench.page("/").status, 401, "asking for the page is no failure");
    let elsewhere = bench.from_peer(([198, 51, 100, 1], 1).into());
    assert_eq!(status(&elsewhere, "Zoë:right"), 200);
}

#[test]
fn right_passwords_are_no_failures_and_are_remembered_for_a_minute() {
    let bench = bench(&settings(", failures = '2/h'"));
    for _ in 0..20 {
        assert_eq!(status(&bench, "Zoë:right"), 200);
    }
    assert_eq!(bench.waits(), (1, 1), "checked once");
    assert_eq!((status(&bench, "Zoë:wrong"), status(&bench, "Zoë:wrong")), (401, 401));
    assert_eq!(status(&bench, "Zoë:wrong"), 429);
}

#[test]
fn what_is_remembered_ends_and_is_bounded() {
    use crate::passwords::Users;
    use stead_base::Tick;
    let mut wrong = stead_config::Diagnostics::new();
    let users = Users::build(None, &stead_config::Map::default(), &mut wrong);
    let start = Tick::from_millis(1_000);
    users.remember(b"a", b"bc", start);
    assert!(users.remembers(b"a", b"bc", start + Duration::from_secs(59)));
    assert!(!users.remembers(b"a", b"bc", start + Duration::from_mins(1)));
    assert!(!users.remembers(b"ab", b"c", start) && !users.remembers(b"a", b"bd", start));
    for number in 0..10_000_u32 {
        users.remember(&number.to_le_bytes(), b"x", start);
    }
    assert!(users.remembers(&9_999_u32.to_le_bytes(), b"x", start));
}

#[test]
fn weak_hashes_and_plain_text_are_errors_that_do_not_show_them() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines = format!(
        "# users\n\nalice:{BCRYPT}\nalice:{BCRYPT}\nb:$apr1$abc$def\nc:{{SHA}}abc=\nd:hunter2\n\
         e:abJnggxhB/yWI\nf:$6$abc$def\ng:$2y$31${}\nnocolon-hunter2\n:x\nh:$argon2i$v=19$m=8\n\
         i:$argon2id$v=19$m=64\nj:$2y$05$short\nk:$argon2id$v=19$m=4194304,t=1,p=1$YWJjZGVmZ2g$\
         YWJjZGVmZ2hpamtsbW5vcA\nl:\n",
        "a".repeat(53),
    );
    std::fs::write(file.path(), lines).unwrap();
    let wrong = refusal(&format!("basic_auth = '{}'", file.path().display()));
    let about = |text: &str| wrong.iter().filter(|line| line.contains(text)).count();
    assert_eq!(wrong.len(), 14, "{wrong:#?}");
    assert_eq!(about(":4: the user `alice` stands here twice"), 1, "{wrong:#?}");
    assert_eq!(about(":5: the password of `b` is an MD5 hash"), 1);
    assert_eq!(about(":6: the password of `c` is a SHA-1 hash"), 1);
    assert_eq!(about("plain text"), 2);
    assert_eq!(about("hunter2"), 0, "{wrong:#?}");
    assert_eq!(refusal("basic_auth = {}").len(), 1);
    assert_eq!(refusal("basic_auth = '/nowhere/at/all'").len(), 1);
    assert_eq!(refusal("basic_auth = { users = { a = 'hunter2' } }").len(), 1);
    assert_eq!(refusal(&settings(", user_header = 'Content-Length', realm = \"a\\nb\"")).len(), 2);
}

#[test]
fn a_file_of_users_is_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("alice:{BCRYPT}\r\n# bob:x\nbob:{ARGON2ID}\n")).unwrap();
    let bench = bench(&format!("basic_auth = '{}'", file.path().display()));
    assert_eq!(status(&bench, "alice:geheim: ü"), 200);
    assert_eq!(status(&bench, "bob:right"), 200);
}
