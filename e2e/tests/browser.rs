//! A real browser on a real tree: pages open, a search works, and no request fails.

use serde_json::Value;
use stead_e2e::chromium::Chromium;
use stead_e2e::differences::Stale;
use stead_e2e::stead::quoted;
use stead_e2e::{DocTree, Folder, Stead};

/// Browsers ask for it by themselves, whether a page names an icon or not.
const FAVICON: &str = "/favicon.ico";

#[test]
fn chromium_opens_the_front_page_and_searches() {
    let tree = DocTree::find();
    if !tree.root().join("index.html").is_file() {
        println!("{} has no front page", tree.root().display());
        return;
    }
    let folder = Folder::new();
    let config = format!(
        "[log]\naccess = {{ file = \"access.log\" }}\nformat = \"json\"\n[server.docs]\n\
         listen = [\"127.0.0.1:0\"]\n[[server.docs.route]]\npath = \"/{{*file}}\"\nfiles = {}\n",
        quoted(tree.root())
    );
    let mut stead = Stead::start(&folder, &config);
    let mut browser = Chromium::start();
    browser.open(&stead.url("docs", "/"));
    assert!(browser.evaluate("document.body.innerText.length").as_u64() > Some(0));
    if tree.stale() == Stale::Fails {
        search(&mut browser);
        read_on(&mut browser, &stead);
    }
    assert_eq!(browser.failures, [], "loads that failed");
    let is_ours = |url: &String| url.starts_with("http://127.0.0.1:");
    assert!(browser.responses.iter().filter(|(url, _)| is_ours(url)).count() > 0);
    let is_bad = |(url, status): &&(String, u64)| *status >= 400 && !url.ends_with(FAVICON);
    assert_eq!(browser.responses.iter().find(is_bad), None);
    drop(browser);
    stead.stop();
    check_log(&folder.read("access.log"));
}

/// The front page's own search leads to a page of the standard library that lists what was found.
fn search(browser: &mut Chromium) {
    assert_eq!(browser.evaluate("document.title"), "Rust Documentation");
    browser.evaluate("document.querySelector('#search-input').value = 'HashMap::retain'; 1");
    browser.evaluate("document.querySelector('#search-but').click(); 1");
    browser.wait_for_load();
    browser.wait_until("document.querySelector('#search .search-results a')");
    let found = browser.evaluate(
        "[...document.querySelectorAll('#search .search-results a')].map(a => a.pathname)",
    );
    let found: Vec<&str> =
        found.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert!(found.contains(&"/std/collections/struct.HashMap.html"), "{found:?}");
}

/// A page with many parts, reached by a link, as people do.
fn read_on(browser: &mut Chromium, stead: &Stead) {
    browser.open(&stead.url("docs", "/std/vec/struct.Vec.html"));
    assert!(browser.evaluate("document.title").as_str().is_some_and(|title| title.contains("Vec")));
    let fonts = "document.fonts.ready.then(fonts => fonts.size)";
    assert!(browser.evaluate(fonts).as_u64() > Some(0), "its fonts load");
    browser.open(&stead.url("docs", "/book"));
    assert_eq!(browser.evaluate("location.pathname"), "/book/", "redirected to the slash");
    assert!(
        browser.evaluate("document.querySelector('main').innerText.length").as_u64() > Some(500)
    );
}

/// What the server saw: nothing but success.
fn check_log(log: &str) {
    let records: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("a JSON record")).collect();
    assert!(!records.is_empty());
    for record in &records {
        let (path, status) = (record["path"].as_str(), record["status"].as_u64());
        let is_favicon = path == Some(FAVICON);
        assert!(is_favicon || status.is_some_and(|status| status < 400), "{record}");
        assert_eq!(record["user_agent"].as_str().map(|agent| agent.contains("Chrome")), Some(true));
    }
    println!("{} requests", records.len());
}
