//! What is never served, and settings that are refused.

use std::os::unix::net::UnixListener;
use std::process::Command;

use super::*;
use crate::testing::refusal;

#[test]
fn security_38_an_escaped_slash_is_400() {
    let site = Site::new(&[("a/b", "")]);
    let bench = site.bench("");
    for path in ["/a%2Fb", "/a%2fb", "/%2Fetc/passwd", "/%2e%2e%2fetc"] {
        let answer = bench.page(path);
        assert_eq!((answer.status, answer.reason), (400, Reason::BadPath), "{path}");
    }
    for path in ["/a%00", "/a\\b", "/a%5Cb", "/%C0%AE%C0%AE/x", "/a%zz"] {
        assert!(bench.try_call("GET", path, &[]).is_none(), "{path} never gets here");
    }
}

#[test]
fn security_39_nothing_leaves_the_root() {
    let site = Site::new(&[("page", "inside"), ("dir/x", "")]);
    fs::write(site.directory.path().join("secret"), b"no").unwrap();
    symlink("../secret", site.path("up")).unwrap();
    symlink(site.directory.path().join("secret"), site.path("absolute")).unwrap();
    symlink("..", site.path("parent")).unwrap();
    symlink("/proc/self/root", site.path("magic")).unwrap();
    symlink("loop", site.path("loop")).unwrap();
    symlink("../page", site.path("dir/inner")).unwrap();
    symlink("dir", site.path("linked")).unwrap();
    let bench = site.bench(", listing = true");
    for path in ["/up", "/absolute", "/parent/secret", "/magic/etc/passwd", "/loop", "/parent/"] {
        assert!(is_missing(&bench.page(path)), "{path}");
    }
    for path in ["/../secret", "/%2e%2e/secret", "/dir/../../secret"] {
        assert!(is_missing(&bench.page(path)), "{path}");
    }
    assert_eq!(bench.page("/dir/inner").text(), "inside");
    assert_eq!(bench.page("/linked/inner").text(), "inside");
}

#[test]
fn security_39_dotfiles_and_editor_backups_are_404_unless_allowed() {
    let site = Site::new(&[(".git/config", "x"), ("a.php~", "x"), ("#a#", "x"), ("b/.x.swp", "x")]);
    site.write(".well-known/acme-challenge/token", b"proof");
    let hidden = ["/.git/config", "/.git/", "/.git", "/a.php~", "/%23a%23", "/b/.x.swp"];
    let bench = site.bench("");
    for path in hidden {
        assert!(is_missing(&bench.page(path)), "{path}");
    }
    assert_eq!(bench.page("/.well-known/acme-challenge/token").text(), "proof");
    let bench = site.bench(", hidden = true");
    for path in hidden.into_iter().filter(|path| !path.starts_with("/.git")) {
        assert_eq!(bench.page(path).text(), "x", "{path}");
    }
    assert_eq!(bench.page("/.git/config").text(), "x");
    assert_eq!(bench.page("/.git").status, 308);
}

#[test]
fn security_40_a_prefix_is_never_longer_than_its_segment() {
    let site = Site::new(&[("root-secret", "")]);
    fs::write(site.directory.path().join("root.txt"), b"").unwrap();
    let bench = site.bench_at("/img/{*f}", "");
    assert!(bench.try_call("GET", "/imgfoo", &[]).is_none_or(|answer| answer.status == 404));
    assert!(
        is_missing(&bench.page("/img/../root.txt")) || bench.page("/img/../root.txt").status == 404
    );
    assert!(is_missing(&bench.page("/img../root.txt")));
}

#[test]
fn security_40_root_goes_with_a_wildcard_and_file_without() {
    let site = Site::new(&[("a", "")]);
    let (root, file) = (site.root(), site.path("a"));
    let wrong = |pattern: &str, settings: String, message: &str| {
        let refusal = refusal(pattern, &format!("files = {{ {settings} }}"));
        assert_eq!(refusal.len(), 1, "{refusal:?}");
        assert!(refusal[0].contains(message), "{refusal:?}");
    };
    wrong("/img", format!("root = {root:?}"), "ends in a wildcard");
    wrong("/img/{name}", format!("root = {root:?}"), "ends in a wildcard");
    wrong("/{*f}", format!("file = {file:?}"), "is one file");
    wrong("/{*f}", format!("root = {root:?}, file = {file:?}"), "exclude each other");
    wrong("/{*f}", "listing = true".to_owned(), "does not say what to serve");
    wrong("/{*f}", format!("root = {:?}", site.path("none")), "does not exist");
    wrong("/{*f}", format!("root = {file:?}"), "is no directory");
    wrong("/x", format!("file = {:?}", site.path("none")), "does not exist");
    wrong("/x", format!("file = {root:?}"), "is no regular file");
    wrong("/x", format!("file = {file:?}, listing = true"), "`listing` needs `root`");
    wrong("/x", format!("file = {file:?}, fallback = '/a'"), "`fallback` needs `root`");
    wrong("/{*f}", format!("root = {root:?}, index = ['a/b']"), "names of files");
    wrong("/{*f}", format!("root = {root:?}, fallback = 'a'"), "path of a file");
    wrong("/{*f}", format!("root = {root:?}, fallback = '/../a'"), "path of a file");
    wrong("/{*f}", format!("root = {root:?}, types = {{ '.md' = 'a/b' }}"), "without a dot");
    wrong("/{*f}", format!("root = {root:?}, types = {{ md = 'text' }}"), "no media type");
    let both = "files = { root = '/none/at/all', index = [''], fallback = '' }";
    assert_eq!(refusal("/{*f}", both).len(), 3, "all at once");
    assert_eq!(refusal("/{*f}", &format!("files = {root:?}")).len(), 0, "a shorthand");
}

#[test]
fn security_42_devices_fifos_and_sockets_are_404() {
    let site = Site::new(&[]);
    let made = Command::new("mkfifo").arg(site.path("fifo")).status().expect("mkfifo");
    assert!(made.success());
    let _socket = UnixListener::bind(site.path("socket")).unwrap();
    symlink("/dev/null", site.path("null")).unwrap();
    let bench = site.bench(", listing = true");
    for path in ["/fifo", "/socket", "/null"] {
        assert!(is_missing(&bench.page(path)), "{path}");
    }
    assert!(!bench.page("/").text().contains("<bdi>"));
    let settings = format!("files = {{ file = {:?} }}", site.path("fifo"));
    assert_eq!(refusal("/x", &settings).len(), 1);
}

#[test]
fn security_42_nothing_is_listed_by_default() {
    let site = Site::new(&[("a", "")]);
    assert!(is_missing(&site.bench("").page("/")));
}

#[test]
fn security_43_an_empty_segment_is_404_and_redirects_stay_here() {
    let site = Site::new(&[("evil.com/x", ""), ("a/evil.com/x", "")]);
    let bench = site.bench("");
    for path in ["//evil.com", "///evil.com", "/a//evil.com", "//evil.com/", "/a//", "//"] {
        let answer = bench.page(path);
        assert!(is_missing(&answer) && answer.field("Location").is_empty(), "{path}");
    }
    assert_eq!(bench.page("/evil.com").field("Location"), "/evil.com/");
    let old = site.bench_at("/old/{*f}", "");
    assert!(is_missing(&old.page("/old//evil.com")));
}

#[test]
fn files_that_cannot_be_read_are_404() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new(&[("closed", "")]);
    fs::set_permissions(site.path("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let answer = site.bench("").page("/closed");
    // Root may read it all the same.
    assert!(is_missing(&answer) || File::open(site.path("closed")).is_ok());
    fs::create_dir(site.path("entered")).unwrap();
    fs::write(site.path("entered/index.html"), "index").unwrap();
    fs::set_permissions(site.path("entered"), fs::Permissions::from_mode(0o311)).unwrap();
    assert_eq!(site.bench("").page("/entered/").text(), "index");
    assert_eq!(site.bench("").page("/entered").status, 308);
    let long = format!("/{}", "x".repeat(300));
    assert!(is_missing(&site.bench("").page(&long)));
    assert!(is_missing(&site.bench("").page(&"/x".repeat(3_000))));
}
