//! Running out of descriptors: SECURITY.md 37. In a process of its own, whose limit is small.

use std::fs::File;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stead_base::Reason;

use crate::client::Client;
use crate::handlers::Fixed;
use crate::harness::{Recipe, eventually};

const CHILD: &str = "STEAD_TEST_ALONE";

#[test]
fn security_37_without_descriptors_the_rest_is_served_on() {
    alone("descriptors::security_37_without_descriptors_the_rest_is_served_on", run_out);
}

/// Runs the test of this name in a process of its own, whose descriptors nobody else opens.
pub(crate) fn alone(name: &str, run: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        return run();
    }
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("run this test alone");
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

fn run_out() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum }).expect("a small limit");
    let harness = Recipe::default().route("/", Fixed("hello")).start();
    let without = || harness.count(|counters| &counters.accepts_without_descriptor);
    let mut established = harness.connect();
    assert_eq!(established.get("/").text(), "hello");
    // All but one are taken; the client's end of the next connection takes that one.
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    taken.pop();
    let mut refused = harness.connect();
    assert_eq!(refused.answer().status, 503);
    refused.expect_closed();
    assert!(without() >= 1);
    assert_eq!(harness.outcomes(Reason::DescriptorsExhausted), 1);
    // Who was there is served on, also while the next one waits.
    for _ in 0..50 {
        assert_eq!(established.get("/").text(), "hello");
    }
    drop(refused);
    let mut waiting = Client::connect(harness.address);
    waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(eventually(|| without() >= 2));
    for _ in 0..50 {
        assert_eq!(established.get("/").text(), "hello");
    }
    // With descriptors again, everybody is served.
    drop((waiting, taken));
    for _ in 0..10 {
        assert_eq!(harness.connect().get("/").text(), "hello");
    }
}
