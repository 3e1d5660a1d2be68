//! What people bring along from other servers: it works, or they are told what to write.

use stead_e2e::stead::once;
use stead_e2e::{Folder, Outcome, Stead};

/// A server with one route of these lines.
fn route(lines: &str) -> String {
    format!("[server.web]\nlisten = [\"127.0.0.1:0\"]\n\n[[server.web.route]]\n{lines}\n")
}

/// What `check` says of a configuration.
fn check(text: &str) -> Outcome {
    let folder = Folder::new();
    folder.write("public/index.html", "front");
    folder.write("stead.toml", text);
    once(&folder, &["check"])
}

/// The configuration is refused, and these words are said, in this order.
fn refused(text: &str, words: &[&str]) {
    let outcome = check(text);
    assert_eq!(outcome.code, Some(2), "{text}\n{outcome:?}");
    let mut rest = outcome.stderr.as_str();
    for word in words {
        let found = rest.find(word);
        assert!(found.is_some(), "{word}\n{text}\n{}", outcome.stderr);
        rest = &rest[found.unwrap_or_default()..];
    }
}

#[test]
fn variables_of_nginx_are_refused_wherever_placeholders_stand() {
    // They stood there literally, and the first to notice was a client.
    for (lines, words) in [
        ("redirect = \"/x$request_uri\"", "write `{uri}`"),
        ("redirect = \"https://$host/\"", "write `{host}`"),
        ("middleware = [{ rewrite = \"/new/$1\" }]\nrespond = \"x\"", "name the group"),
        (
            "middleware = [{ headers = { request = { set = { X-Host = \"$host\" } } } }]\nrespond = \"x\"",
            "write `{host}`",
        ),
        (
            "middleware = [{ rate_limit = { rate = \"2/m\", key = \"$binary_remote_addr\" } }]\nrespond = \"x\"",
            "write `{client_ip}`",
        ),
        ("redirect = \"/x{request_uri}\"", "write `{uri}`"),
        ("redirect = \"https://${host}/\"", "write `{host}`, without a dollar"),
    ] {
        refused(&route(&format!("path = \"/a\"\n{lines}")), &[words]);
    }
    let log = "[log]\nformat = { template = \"$remote_addr $status $http_referer {time}\" }\n";
    let words = ["write `{client_ip}`", "write `{status}`", "write `{header_referer}`"];
    refused(&format!("{log}{}", route("path = \"/\"\nrespond = \"x\"")), &words);
    let plain = "path = \"/a\"\nmiddleware = [{ headers = { response = { set = { X-Price = \
                 \"US$ 5 $$5 $x {host}$\" } } } }]\nrespond = \"$host $1\"";
    let stead = Stead::start(&Folder::new(), &route(plain));
    let answer = stead.connect("web").request("GET", "/a", &[("Host", "a.example")]);
    assert_eq!(answer.value("x-price"), "US$ 5 $5 $x a.example$");
    assert_eq!(answer.text(), "$host $1", "bodies are sent as they are");
}

#[test]
fn a_key_that_is_the_same_for_every_client_is_refused() {
    // Then one client uses up what all have.
    let key = |kind: &str, key: &str| {
        let lines = format!("path = \"/\"\nmiddleware = [{{ {kind}, key = \"{key}\" }} }}]");
        route(&format!("{lines}\nrespond = \"x\""))
    };
    let rate = "rate_limit = { rate = \"2/m\"";
    refused(&key(rate, "client_ip"), &["the same for every client", "write `\"{client_ip}\"`"]);
    refused(&key(rate, "ip"), &["`\"all\"` for one limit for everybody"]);
    refused(&key(rate, ""), &["`\"all\"` for one limit for everybody"]);
    refused(&key("concurrency_limit = { requests = 1", "x"), &["the same for every client"]);
    for well in ["all", "{client_ip}", "x-{host}"] {
        assert_eq!(check(&key(rate, well)).code, Some(0), "{well}");
    }
}

#[test]
fn a_redirect_keeps_the_query_as_nginx_does() {
    let lines =
        "path = \"/old/{*rest}\"\nredirect = { to = \"/new/{rest}{?query}\", status = 301 }";
    let stead = Stead::start(&Folder::new(), &route(lines));
    let mut connection = stead.connect("web");
    for (asked, location) in [("/old/x?y=1", "/new/x?y=1"), ("/old/x", "/new/x")] {
        let answer = connection.request("GET", asked, &[("Host", "a.example")]);
        assert_eq!((answer.status, answer.value("location")), (301, location));
    }
}

#[test]
fn a_regex_with_a_matcher_stands_before_every_wildcard() {
    // As the guide says: a wildcard with a matcher takes only what no longer one takes.
    let config = route(
        "regex = \"^/\"\nheaders = { User-Agent = { regex = \"(?i)badbot\" } }\n\
         respond = { status = 403, body = \"no\" }\n\
         [[server.web.route]]\npath = \"/{*file}\"\nrespond = \"file\"\n\
         [[server.web.route]]\npath = \"/posts/{*file}\"\nrespond = \"post\"",
    );
    let stead = Stead::start(&Folder::new(), &config);
    let mut connection = stead.connect("web");
    let mut ask = |path: &str, agent: &str| {
        connection.request("GET", path, &[("Host", "a"), ("User-Agent", agent)]).status
    };
    for path in ["/", "/x", "/posts/1"] {
        assert_eq!((ask(path, "a BadBot/1"), ask(path, "curl")), (403, 200), "{path}");
    }
}

#[test]
fn a_reload_is_answered_with_what_to_do_instead() {
    for arguments in [["reload"].as_slice(), &["reload", "-c", "x.toml", "--now", "web"]] {
        let outcome = once(&Folder::new(), arguments);
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.starts_with("error: there is no reload"), "{outcome:?}");
        assert!(outcome.stderr.contains("`stead stop && stead run`"), "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    }
}

#[test]
fn what_is_meant_is_said_at_once() {
    // Each was once answered with something that was wrong again, or did nothing and said nothing.
    for (lines, words) in [
        ("redirect = { to = \"/b\", status = \"permanent\" }", "write 308 (for good)"),
        ("respond = { status = 444 }", "`unknown_host = \"close\"`"),
        (
            "middleware = [{ headers = { response = { remove = [\"Server\"] } } }]\nrespond = \"x\"",
            "`set = { Server = \"…\" }`",
        ),
        (
            "middleware = [{ cache_control = { value = \"30d\" } }]\nrespond = \"x\"",
            "write `{ max_age = \"30d\" }`",
        ),
        ("middleware = [{ maintenance = true }]\nrespond = \"x\"", "write `\"maintenance\"` alone"),
        ("middleware = [{ deny = [\"all\"] }]\nrespond = \"x\"", "`allow` alone shuts everybody"),
    ] {
        refused(&route(&format!("path = \"/a\"\n{lines}")), &[words]);
    }
    let lines =
        "path = \"/a\"\nmiddleware = [{ headers = { request = { remove = [\"Server\"] } } }]";
    assert_eq!(check(&route(&format!("{lines}\nrespond = \"x\""))).code, Some(0));
    let outcome = once(&Folder::new(), &["files", "--listen", "45800"]);
    assert!(outcome.stderr.contains("write `127.0.0.1:45800`"), "{outcome:?}");
}

#[test]
fn a_path_without_its_slash_hides_nothing_beside_it() {
    // What its handler and middleware had to say once came in a second run.
    let lines = "path = \"old/{x}\"\nredirect = \"/new/{y}\"\n\
                 middleware = [{ rate_limit = { rate = \"1/s\", key = \"{x}{z}\" } }]";
    let words = ["write `\"/old/{x}\"`", "unknown placeholder `{y}`", "unknown placeholder `{z}`"];
    refused(&route(lines), &words);
    let outcome = check(&route(lines));
    assert!(outcome.stdout.is_empty() && outcome.stderr.contains("3 errors"), "{outcome:?}");
    // Who meant no path is not told of what a path would be.
    let outcome = check(&route("path = \"~ \\\\.php$\"\nredirect = \"/new/{y}\""));
    assert!(outcome.stderr.contains("1 error"), "{outcome:?}");
}
