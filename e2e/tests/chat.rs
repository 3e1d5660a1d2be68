//! The chat of the examples with clients as people have them: npm's `ws`, and a page in a browser.

use std::process::Command;

use stead_e2e::chromium::Chromium;
use stead_e2e::process::Running;
use stead_e2e::wait::SOON;
use stead_e2e::{binary, until};

#[test]
fn the_chat_serves_the_ws_of_npm() {
    let (mut chat, address) = start();
    assert_eq!(node("everything", &address).wait().code, Some(0));
    assert_eq!(chat.stop().code, Some(0));
}

#[test]
fn the_chat_in_a_browser_talks_with_the_ws_of_npm() {
    let (mut chat, address) = start();
    let mut browser = Chromium::start();
    browser.open(&format!("http://{address}/"));
    browser.wait_until("document.querySelector('#state').textContent == 'connected'");
    say(&mut browser, "a page is here");
    hear(&mut browser, "a page is here");
    let mut guest = node("guest", &address);
    hear(&mut browser, "guest is here");
    say(&mut browser, "is a guest there?");
    hear(&mut browser, "yes, a guest");
    assert_eq!(guest.wait().code, Some(0));
    assert_eq!(browser.failures, [], "loads that failed");
    // Who is in the room keeps it open, for as long as a drain may take.
    drop(browser);
    assert_eq!(chat.stop().code, Some(0));
}

/// The program, and the address that it listens on.
fn start() -> (Running, String) {
    let chat = Running::spawn(Command::new(binary::example("chat")).arg("127.0.0.1:0"));
    let address = || Some(chat.stdout().strip_prefix("http://")?.strip_suffix('\n')?.to_owned());
    let address = until(SOON, address).expect("it says where it listens");
    (chat, address)
}

fn node(part: &str, address: &str) -> Running {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chat.js");
    let mut node = Command::new("node");
    // Where Debian's packages put modules; a Node that is not Debian's looks elsewhere.
    node.env("NODE_PATH", "/usr/share/nodejs");
    Running::spawn(node.args([script, part, &format!("ws://{address}")]))
}

/// Types into the page and presses its button.
fn say(browser: &mut Chromium, text: &str) {
    browser.evaluate(&format!("document.querySelector('#text').value = '{text}'"));
    browser.evaluate("document.querySelector('#say button').click()");
}

fn hear(browser: &mut Chromium, text: &str) {
    let lines = "[...document.querySelectorAll('#heard li')].map(line => line.textContent)";
    browser.wait_until(&format!("{lines}.includes('{text}')"));
}
