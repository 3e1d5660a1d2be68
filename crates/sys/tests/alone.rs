//! What a process may do to its environment while it has one thread: a test program of its own,
//! since the usual harness has several.

use std::process::Command;

/// Cargo sets it for every test; so nothing has to be set, which is as unsafe as taking out.
const SET: &str = "CARGO_MANIFEST_DIR";

fn main() {
    let asked = |word: &str| std::env::args().any(|argument| argument == word);
    if asked("--list") {
        // What a harness answers to a runner that starts each test by itself.
        if !asked("--ignored") {
            println!("variables_leave_the_environment: test");
        }
        return;
    }
    assert!(child_has_it(), "it is there at first");
    assert!(stead_sys::passed::remove_variables(&[SET, "NOT_SET_AT_ALL"]), "this thread is alone");
    assert_eq!(std::env::var_os(SET), None);
    assert!(!child_has_it(), "children do not inherit it");
}

fn child_has_it() -> bool {
    let child = Command::new("env").output().expect("a child");
    child.stdout.split(|byte| *byte == b'\n').any(|line| line.starts_with(SET.as_bytes()))
}
