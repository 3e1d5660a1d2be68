//! What a person at the keyboard is told: every mistake once, at its place, with what to write.

use stead_e2e::stead::once;
use stead_e2e::{Folder, Outcome};

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
