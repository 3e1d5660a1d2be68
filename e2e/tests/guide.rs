//! Every configuration of the guide passes `stead check` as it stands in its page.

use std::fs;
use std::path::Path;

use stead_e2e::folder::text_of;
use stead_e2e::stead::once;
use stead_e2e::{Authority, Folder};

#[test]
fn every_configuration_of_the_guide_passes_check() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide");
    let mut checked = 0;
    for page in fs::read_dir(&guide).expect("the guide").flatten() {
        let (path, text) = (page.path(), text_of(&page.path()));
        for block in blocks(&text) {
            let folder = Folder::new();
            // Where sockets are, and what is included.
            folder.make("run");
            folder.make("sites");
            for root in named(block, "root") {
                folder.make(root);
            }
            let pages = block.split('"').filter(|text| text.contains(".html")).collect();
            for file in [named(block, "file"), pages].concat() {
                folder.write(file.trim_start_matches('/'), "");
            }
            let authority = Authority::new();
            for path in named(block, "certificate") {
                authority.sign(&folder, path.trim_end_matches(".pem"), &["example.com"]);
            }
            for path in named(block, "ca") {
                authority.write(&folder, path);
            }
            folder.write("stead.toml", whole(block));
            let outcome = once(&folder, &["check"]);
            assert_eq!(outcome.code, Some(0), "{}\n{block}\n{}", path.display(), outcome.stderr);
            checked += 1;
        }
    }
    assert!(checked >= 15, "{checked} configurations");
}

/// The TOML blocks of a page.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next())
}

/// What a block names under a key: must be there.
fn named<'a>(block: &'a str, key: &str) -> Vec<&'a str> {
    let rests = block.split(format!("{key} = \"").as_str()).skip(1).collect::<Vec<_>>();
    rests.into_iter().filter_map(|rest| rest.split('"').next()).collect()
}

/// A page may show a part: without a server, or the server `web` without a route.
fn whole(block: &str) -> String {
    let mut text = format!("{block}\n");
    if !block.contains("[server.") {
        text.push_str("[server.web]\nlisten = [\":0\"]\n");
    }
    if text.contains("[server.web]") && !block.contains(".route]]") {
        text.push_str("[[server.web.route]]\npath = \"/\"\nrespond = \"ok\"\n");
    }
    text
}
