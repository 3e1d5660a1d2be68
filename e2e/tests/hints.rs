//! What a person at the keyboard is told: every mistake once, at its place, with what to write.

use stead_e2e::process::run;
use stead_e2e::stead::once;
use stead_e2e::{Folder, Outcome, Running, Stead, binary};

/// A server with one route of these lines.
fn route(lines: &str) -> String {
    format!("[server.web]\nlisten = [\"127.0.0.1:0\"]\n\n[[server.web.route]]\n{lines}\n")
}

fn check(lines: &str) -> Outcome {
    let folder = Folder::new();
    folder.write("public/index.html", "front");
    folder.write("stead.toml", route(lines));
    once(&folder, &["check"])
}

/// The messages alone, without places and help.
fn messages(outcome: &Outcome) -> Vec<&str> {
    let is_message = |line: &&str| line.starts_with("error: ") || line.starts_with("warning: ");
    outcome.stderr.lines().filter(is_message).collect()
}

#[test]
fn one_component_tells_all_that_is_wrong_with_it() {
    // Unknown keys and wrong types once hid what only building finds.
    let outcome = check("path = \"/{*f}\"\nfiles = { root = \"publik\", lsting = true }");
    let told = messages(&outcome);
    assert_eq!(told.len(), 2, "{outcome:?}");
    assert!(told[0].contains("`root` does not exist") && told[1].contains("`lsting`"), "{told:?}");
    let outcome = check("path = \"/a\"\nredirect = { to = \"nope\", status = 200, x = 1 }");
    assert_eq!(messages(&outcome).len(), 3, "{outcome:?}");
    let outcome = check(
        "path = \"/{*f}\"\nfiles = { root = \"public\", fallback = \"index.html\", \
         index = \"index.html\", listing = \"on\", types = { md = 3, \".x\" = \"text/x\" } }",
    );
    assert_eq!(messages(&outcome).len(), 5, "{outcome:?}");
    // What is missing because its key was misspelt is not told twice.
    let outcome = check("path = \"/{*f}\"\nfiles = { rot = \"public\" }");
    assert_eq!(messages(&outcome), ["error: unknown key `rot`"], "{outcome:?}");
}

#[test]
fn a_variable_that_is_not_set_is_the_only_error_at_its_place() {
    for root in ["${STEAD_E2E_UNSET}", "${STEAD_E2E_UNSET}/www"] {
        let outcome = check(&format!("path = \"/{{*f}}\"\nfiles = {{ root = \"{root}\" }}"));
        let expected = "error: the environment variable `STEAD_E2E_UNSET` is not set";
        assert_eq!(messages(&outcome), [expected], "{outcome:?}");
    }
}

#[test]
fn what_can_never_work_is_an_error() {
    let only = |lines: &str, place: &str, words: &str| {
        let outcome = check(lines);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert_eq!(messages(&outcome).len(), 1, "{outcome:?}");
        assert!(outcome.stderr.contains(&format!("--> stead.toml:{place}")), "{outcome:?}");
        assert!(outcome.stderr.contains(words), "{words}: {outcome:?}");
    };
    let regex = "regex = '\\.(jpg|png)$'\nrespond = \"x\"";
    only(regex, "5:9", "write `^/.*\\.(jpg|png)$`");
    let files = "path = \"/{*f}\"\nmethods = [\"GET\", \"POST\"]\nfiles = \"public\"";
    only(files, "6:19", "`files` never answers POST: it takes GET and HEAD");
    for (path, to) in [
        ("/x", "/x"),
        ("/x", "/x?a#b"),
        ("/a/{*r}", "/a/{r}"),
        ("/{x}", "{uri}"),
        ("/{x}", "{path}{?query}"),
    ] {
        let redirect = format!("path = \"{path}\"\nredirect = \"{to}\"");
        only(&redirect, "6:12", "its own route");
    }
    // After a POST, and by a query, another route answers.
    for matcher in ["methods = [\"POST\"]", "query = { a = \"1\" }"] {
        let outcome = check(&format!("path = \"/x\"\n{matcher}\nredirect = \"/x\""));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }
}

#[test]
fn a_fallback_that_is_missing_is_a_warning_and_counted() {
    let outcome = check("path = \"/{*f}\"\nfiles = { root = \"public\", fallback = \"/no.html\" }");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.starts_with("warning: `fallback` does not exist: /"), "{outcome:?}");
    assert_eq!(outcome.stdout, "stead.toml: 1 server, 1 route, no errors, 1 warning\n");
}

#[test]
fn a_wrong_name_of_a_header_is_told_once() {
    let outcome = check("path = \"/\"\nheaders = { \"a b\" = \"c\" }\nrespond = \"ok\"");
    assert_eq!(messages(&outcome), ["error: `a b` is not a header name"], "{outcome:?}");
}

#[test]
fn a_unix_socket_that_cannot_be_bound_is_an_error_of_check() {
    let folder = Folder::new();
    folder.write("file.sock", "precious");
    let long = "x".repeat(100);
    for (path, words) in [
        ("none/x.sock", "the directory of the socket does not exist"),
        ("file.sock", "is no socket"),
        (&long, "at most 95 bytes"),
    ] {
        let text =
            route("path = \"/\"\nrespond = \"ok\"").replace("127.0.0.1:0", &format!("unix:{path}"));
        folder.write("stead.toml", text);
        let outcome = once(&folder, &["check"]);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains("--> stead.toml:2:11"), "{outcome:?}");
        assert!(outcome.stderr.contains(words), "{words}: {outcome:?}");
    }
}

#[test]
fn files_speaks_of_what_was_typed() {
    let folder = Folder::new();
    folder.write("page.html", "x");
    for (arguments, words) in [
        (&["files", ".", "--listen", "abc"][..], "error: --listen abc: "),
        (&["files", "page.html"], "error: cannot serve page.html: it is no folder"),
        (&["files", "none"], "error: cannot serve none: "),
    ] {
        let outcome = once(&folder, arguments);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.starts_with(words), "{words}: {outcome:?}");
        assert!(!outcome.stderr.contains("-->"), "nobody wrote that: {outcome:?}");
    }
}

#[test]
fn init_changes_nothing_where_it_cannot_finish() {
    let folder = Folder::new();
    folder.write("public", "a file");
    let outcome = once(&folder, &["init"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(!folder.join("stead.toml").exists(), "{outcome:?}");
}

#[test]
fn explain_says_how_to_write_a_path() {
    let folder = Folder::new();
    folder.write("stead.toml", route("path = \"/{x}\"\nrespond = \"ok\""));
    for (url, words) in [
        ("/gr\u{fc}n", "write `/gr%C3%BCn`"),
        ("http://a/gr\u{fc}n", "write `/gr%C3%BCn`"),
        ("foo", "write `/foo`"),
    ] {
        let outcome = once(&folder, &["explain", url]);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains(words), "{words}: {outcome:?}");
    }
    assert_eq!(once(&folder, &["explain", "/gr%C3%BCn"]).code, Some(0));
}

#[test]
fn a_name_that_another_configuration_has_is_told_with_it() {
    let folder = Folder::new();
    let text = route("path = \"/\"\nrespond = \"ok\"");
    let named = format!("[process]\nname = \"same\"\n{text}");
    let first = Stead::start(&folder, &named);
    folder.write("other.toml", named);
    let outcome = once(&folder, &["run", "-c", "other.toml"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let words = "stead.toml runs under the same name as process";
    assert!(outcome.stderr.contains(words), "{outcome:?}");
    assert!(outcome.stderr.contains(&first.running.pid().to_string()), "{outcome:?}");
}

#[test]
fn what_runs_is_shown_where_nothing_was_named() {
    let folder = Folder::new();
    folder.write("site/index.html", "x");
    let temporary = folder.make("tmp");
    let mut command = binary::command(["files", "site", "--listen", "127.0.0.1:0"]);
    command.current_dir(folder.path()).env("TMPDIR", &temporary).env("XDG_RUNTIME_DIR", &temporary);
    let mut running = Running::spawn(&mut command);
    running.wait_for("ready in ").unwrap();
    let said = running.stderr();
    let socket = said.split("admin socket ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    let mut status = binary::command(["status"]);
    status.current_dir(folder.path()).env("TMPDIR", &temporary).env("XDG_RUNTIME_DIR", &temporary);
    let outcome = run(&mut status);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains(&format!("--socket {socket}   ")), "{socket}: {outcome:?}");
}
