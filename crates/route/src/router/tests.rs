//! Tests of the order of lines, of methods, hosts and matchers, and of what explains them.

use super::*;
use crate::tests::{answer, check, line_of, request, spec};
use crate::{PathSpec, Sample};

#[test]
fn literals_come_before_captures_segment_by_segment() {
    let lines = "
        /{*rest}
        /{a}/{b}
        /{a}/new
        /users/{id}
        /users/new
        /users/
        /users
        /";
    check(
        lines,
        &[
            ("/", "/"),
            ("/users", "/users"),
            ("/users/", "/users/"),
            ("/users/new", "/users/new"),
            ("/users/7", "/users/{id} id:7"),
            ("/posts/new", "/{a}/new a:posts"),
            ("/posts/7", "/{a}/{b} a:posts b:7"),
            ("/posts/7/x", "/{*rest} rest:posts/7/x"),
            ("/posts/", "/{*rest} rest:posts/"),
        ],
    );
}

#[test]
fn a_dead_end_is_left_again() {
    let lines = "
        /a/b/c/x
        /a/{two}/c/y
        /{one}/b/{three}/z
        /{one}/{two}/{three}/{four}";
    check(
        lines,
        &[
            ("/a/b/c/x", "/a/b/c/x"),
            ("/a/b/c/y", "/a/{two}/c/y two:b"),
            ("/a/b/c/z", "/{one}/b/{three}/z one:a three:c"),
            ("/a/b/c/d", "/{one}/{two}/{three}/{four} one:a two:b three:c four:d"),
            ("/a/b/c", "404"),
            ("/a/b/c/d/e", "404"),
        ],
    );
}

#[test]
fn a_matcher_that_fails_is_a_dead_end_too() {
    let lines = "
        /users/new x-canary=1
        POST /users/{id}
        /{thing}/new
        /{*rest}";
    check(
        lines,
        &[
            ("/users/new x-canary=1", "/users/new x-canary=1"),
            ("POST /users/new", "POST /users/{id} id:new"),
            ("/users/new", "/{thing}/new thing:users"),
            ("/users/x", "/{*rest} rest:users/x"),
        ],
    );
}

#[test]
fn regexes_come_behind_paths_and_before_wildcards_in_file_order() {
    let lines = "
        /{*rest}
        ~^/archive/(?<year>[0-9]{4})/
        ~/archive/(?<any>[^/]*)(?:/(?<more>.+))?
        /archive/{one}
        /archive/{*rest}";
    check(
        lines,
        &[
            ("/archive/2024", "/archive/{one} one:2024"),
            ("/archive/2024/05/x", "~^/archive/(?<year>[0-9]{4})/ year:2024"),
            ("/archive/x/y", "~/archive/(?<any>[^/]*)(?:/(?<more>.+))? any:x more:y"),
            ("/archive/", "~/archive/(?<any>[^/]*)(?:/(?<more>.+))? any: more:"),
            // A regex matches from the start of the path, whether it says so or not.
            ("/my/archive/", "/{*rest} rest:my/archive/"),
        ],
    );
}

#[test]
fn a_regex_sees_the_canonical_path() {
    check(
        "~^/%C3%A9/[a-z]+$",
        &[("/%c3%a9/%61/../b", "~^/%C3%A9/[a-z]+$"), ("/%c3%a9/b/c", "404")],
    );
    check("~(?i)^/IMG/(?<f>.*)", &[("/img/a%20b", "~(?i)^/IMG/(?<f>.*) f:a%20b")]);
    check("~/a|/b", &[("/b", "~/a|/b"), ("/c/b", "404")]);
}

#[test]
fn wildcards_are_compared_like_paths_the_longer_first() {
    let lines = "
        /{*rest}
        /a/{*rest}
        /a/b/{*rest}
        /{x}/b/{*rest}
        /{x}/{*rest}";
    check(
        lines,
        &[
            ("/a/b/c/d", "/a/b/{*rest} rest:c/d"),
            ("/a/b/", "/a/b/{*rest} rest:"),
            ("/a/b", "/a/{*rest} rest:b"),
            ("/a/c/d", "/a/{*rest} rest:c/d"),
            ("/z/b/c", "/{x}/b/{*rest} x:z rest:c"),
            ("/z/c", "/{x}/{*rest} x:z rest:c"),
            ("/z", "/{*rest} rest:z"),
            ("//z", "/{*rest} rest:/z"),
        ],
    );
}

#[test]
fn a_wildcard_needs_its_slash_and_may_be_empty() {
    check("/{*rest}", &[("/", "/{*rest} rest:"), ("/a//b/", "/{*rest} rest:a//b/")]);
    check("/api/{*rest}", &[("/api/", "/api/{*rest} rest:"), ("/api", "404"), ("/apix/", "404")]);
}

#[test]
fn a_capture_is_never_empty_and_empty_segments_are_kept() {
    check("/{a}", &[("/", "404"), ("/x", "/{a} a:x"), ("/x/", "404"), ("//x", "404")]);
    check("/{a}/{b}", &[("/x//", "404"), ("//x", "404"), ("/x/y", "/{a}/{b} a:x b:y")]);
    check(
        "/a\n//a\n/a/\n/a//b",
        &[("/a", "/a"), ("//a", "//a"), ("/a/", "/a/"), ("/a//b", "/a//b")],
    );
}

#[test]
fn escapes_in_captures_stay() {
    check("/f/{name}", &[("/f/a%2fb", "/f/{name} name:a%2Fb"), ("/f/%41", "/f/{name} name:A")]);
    check("/café", &[("/caf%c3%a9", "/café")]);
}

#[test]
fn long_segments_are_told_apart_behind_their_first_bytes() {
    let lines = "
        /abcdefgh
        /abcdefghi
        /abcdefghj
        /abcdefghijklmnop
        /abcdefghijklmnoq
        /abcdefg/abcdefgh/abcdefghijklmnopq";
    for line in lines.lines().map(str::trim).skip(1) {
        assert_eq!(answer(lines, line), line);
        assert_eq!(answer(lines, &format!("{line}x")), "404");
        assert_eq!(answer(lines, &line[..line.len() - 2]), "404");
    }
}

#[test]
fn security_38_router_sees_the_path_that_dots_lead_to() {
    let lines = "/admin/{*rest}\n/public/{*rest}";
    check(
        lines,
        &[
            ("/public/../admin/x", "/admin/{*rest} rest:x"),
            ("/public/%2e%2e/admin/x", "/admin/{*rest} rest:x"),
            ("/public/..%2fadmin/x", "/public/{*rest} rest:..%2Fadmin/x"),
            ("/%61dmin/x", "/admin/{*rest} rest:x"),
            ("//admin/x", "404"),
        ],
    );
}

#[test]
fn security_40_a_mount_ends_at_its_slash() {
    check(
        "/img/{*f}",
        &[
            ("/img/a", "/img/{*f} f:a"),
            ("/img", "404"),
            ("/img../x", "404"),
            ("/img..%2fx", "404"),
            ("/imgfoo", "404"),
            ("/imgfoo/x", "404"),
            ("/img/../x", "404"),
            ("/img/%2e%2e/x", "404"),
            ("/IMG/a", "404"),
            ("/img%2fa", "404"),
            ("//img/a", "404"),
        ],
    );
}

#[test]
fn more_matchers_come_first() {
    let lines = "
        /a
        GET /a
        GET /a x=1
        GET /a x=1 ?y=2
        /a x=1 x-more=1 ?y=2 ?z=3";
    check(
        lines,
        &[
            ("POST /a", "/a"),
            ("/a", "GET /a"),
            ("/a x=1", "GET /a x=1"),
            ("/a?y=2 x=1", "GET /a x=1 ?y=2"),
            ("/a?y=2&z=3 x=1", "GET /a x=1 ?y=2"),
            ("/a?y=2&z=3 x=1 x-more=1", "/a x=1 x-more=1 ?y=2 ?z=3"),
        ],
    );
}

#[test]
fn the_file_decides_last() {
    check(
        "GET,POST /a\nGET,PUT /a",
        &[
            ("/a", "GET,POST /a"),
            ("PUT /a", "GET,PUT /a"),
            ("DELETE /a", "405 GET, HEAD, POST, PUT, OPTIONS"),
        ],
    );
}

#[test]
fn head_follows_get() {
    check(
        "GET /a\nHEAD /b\n/c",
        &[
            ("HEAD /a", "GET /a"),
            ("HEAD /b", "HEAD /b"),
            ("GET /b", "405 HEAD, OPTIONS"),
            ("HEAD /c", "/c"),
        ],
    );
}

#[test]
fn methods_are_405_only_where_all_else_holds() {
    let lines = "
        GET /a
        POST /a x=1
        PURGE,PUT /{b}
        DELETE /a/b
        /secret/{*rest} x=1";
    check(
        lines,
        &[
            ("DELETE /a", "405 GET, HEAD, PUT, PURGE, OPTIONS"),
            ("DELETE /a x=1", "405 GET, HEAD, POST, PUT, PURGE, OPTIONS"),
            ("get /a", "405 GET, HEAD, PUT, PURGE, OPTIONS"),
            ("PURGE /a", "PURGE,PUT /{b} b:a"),
            ("PROPFIND /z", "405 PUT, PURGE, OPTIONS"),
            ("DELETE /secret/x", "404"),
            ("DELETE /a/c", "404"),
        ],
    );
}

#[test]
fn options_is_answered_where_no_route_takes_it() {
    check(
        "GET /a\nOPTIONS /b\n/c",
        &[
            ("OPTIONS /a", "204 GET, HEAD, OPTIONS"),
            ("OPTIONS /b", "OPTIONS /b"),
            ("OPTIONS /c", "/c"),
            ("OPTIONS /d", "404"),
        ],
    );
}

#[test]
fn trace_and_connect_are_405() {
    check(
        "GET /a\n/b",
        &[
            ("TRACE /a", "405 GET, HEAD, OPTIONS"),
            ("TRACE /b", "405 GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            ("CONNECT /b", "405 GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            ("TRACE /c", "405"),
        ],
    );
}

#[test]
fn a_path_that_is_none_is_not_found() {
    let (router, _) = Router::build(&spec("/{*rest}\n~[*a]?")).unwrap();
    for path in ["", "*", "a"] {
        let request =
            Sample { method: "OPTIONS".to_owned(), path: path.to_owned(), ..Sample::default() };
        assert!(matches!(router.find(&request, &mut Captures::new()).found, Found::NotFound));
    }
}

#[test]
fn a_header_needs_one_value_that_matches() {
    let lines = "/a X-Canary=1\n/a accept~json\n/b accept~^text/html$";
    check(
        lines,
        &[
            ("/a x-canary=1", "/a X-Canary=1"),
            ("/a x-canary=2 X-CANARY=1", "/a X-Canary=1"),
            ("/a x-canary=11", "404"),
            ("/a accept=application/json", "/a accept~json"),
            ("/b accept=text/html", "/b accept~^text/html$"),
            ("/b accept=text/html,x", "404"),
        ],
    );
}

#[test]
fn a_parameter_of_the_query_is_compared_decoded() {
    let lines = "/a ?q=x-y\n/a ?e=\n/b ?v~^[0-9]+$\n/c ?é=ü";
    check(
        lines,
        &[
            ("/a?q=x-y", "/a ?q=x-y"),
            ("/a?q=1&%71=x%2dy", "/a ?q=x-y"),
            ("/a?q=x-yz", "404"),
            ("/a?q=x", "404"),
            ("/a?Q=x-y", "404"),
            ("/a?e", "/a ?e="),
            ("/a?e=&&x", "/a ?e="),
            ("/a?e=1", "404"),
            ("/a?", "404"),
            ("/a", "404"),
            ("/b?v=%34%32", "/b ?v~^[0-9]+$"),
            ("/b?v=4x", "404"),
            ("/c?%c3%a9=%C3%BC", "/c ?é=ü"),
        ],
    );
    let mut spaced = spec("/a ?q=x");
    spaced.routes[0].query[0].1 = crate::ValueMatch::Exact("a b%zz".to_owned());
    let (router, _) = Router::build(&spaced).unwrap();
    let mut captures = Captures::new();
    assert!(matches!(router.find(&request("/a?q=a+b%zz"), &mut captures).found, Found::Route(_)));
}

#[test]
fn the_site_is_exact_then_the_longest_wildcard() {
    let lines = "
        site Example.com
        /exact
        site *.example.com
        /below
        site *.shop.example.com a.b.example.com. [::1] 10.0.0.1
        /shop
        server
        /{*rest}";
    let (router, _) = Router::build(&spec(lines)).unwrap();
    for (host, site) in [
        ("example.com", Some(0)),
        ("EXAMPLE.com.", Some(0)),
        ("example.com..", None),
        ("www.example.com", Some(1)),
        ("a.www.example.com", Some(1)),
        ("shop.example.com", Some(1)),
        ("x.shop.example.com.", Some(2)),
        ("y.x.Shop.Example.Com", Some(2)),
        ("a.b.example.com", Some(2)),
        ("c.b.example.com", Some(1)),
        (".example.com", None),
        ("..example.com", Some(1)),
        ("xexample.com", None),
        ("example.org", None),
        ("com", None),
        (".", None),
        ("", None),
        ("[::1]", Some(2)),
        ("10.0.0.1", Some(2)),
        ("example.com/x", None),
    ] {
        let request =
            Sample { host: Some(host.to_owned()), path: "/x".to_owned(), ..Sample::default() };
        assert_eq!(router.find(&request, &mut Captures::new()).site, site, "{host}");
    }
    let long =
        Sample { host: Some(format!("{}.example.com", "a".repeat(300))), ..Sample::default() };
    assert_eq!(router.find(&long, &mut Captures::new()).site, None);
}

#[test]
fn routes_of_the_site_come_before_the_servers() {
    let lines = "
        site a.com
        GET /x
        /{*rest} x=1
        site b.com
        /b
        server
        /x
        POST /y
        /z/{id}";
    check(
        lines,
        &[
            ("http://a.com/x", "GET /x"),
            ("POST http://a.com/x", "/x"),
            ("http://a.com/z/1 x=1", "/{*rest} x=1 rest:z/1"),
            ("http://a.com/z/1", "/z/{id} id:1"),
            ("http://b.com/x", "/x"),
            ("http://b.com/y", "405 POST, OPTIONS"),
            ("http://c.com/b", "404"),
            ("/b", "404"),
            ("POST http://a.com/y x=1", "/{*rest} x=1 rest:y"),
        ],
    );
    // Methods of both are allowed.
    check(
        "site a.com\nGET /x\nserver\nPOST /x",
        &[("PUT http://a.com/x", "405 GET, HEAD, POST, OPTIONS"), ("PUT /x", "405 POST, OPTIONS")],
    );
}

#[test]
fn a_lookup_visits_each_fork_at_most_once() {
    // Every choice of a literal or a capture at each of ten levels, and a path that misses all.
    let levels = 10;
    let patterns = (0..1 << levels).map(|choices: u32| {
        let level = |n| if choices >> n & 1 == 1 { format!("/{{p{n}}}") } else { "/a".to_owned() };
        (0..levels).map(level).collect::<String>() + "/end\n"
    });
    let (router, _) = Router::build(&spec(&patterns.collect::<String>())).unwrap();
    let forks = router.own.paths.fork_count();
    let mut captures = Captures::new();
    let miss = request(&("/a".repeat(levels) + "/miss"));
    assert!(matches!(router.find(&miss, &mut captures).found, Found::NotFound));
    // All forks but the ends; and the root of the wildcards.
    assert_eq!(captures.visits() as usize, forks - (1 << levels) + 1);
    let hit = request(&("/a".repeat(levels) + "/end"));
    assert!(matches!(router.find(&hit, &mut captures).found, Found::Route(_)));
    assert_eq!(captures.visits() as usize, levels + 2);
    let long = request(&"/a".repeat(10_000));
    assert!(matches!(router.find(&long, &mut captures).found, Found::NotFound));
    assert!(captures.visits() as usize <= forks + 1);
}

#[test]
fn the_cost_of_a_lookup_does_not_grow_with_the_number_of_routes() {
    let visits = |count: usize| {
        let lines: Vec<_> =
            (0..count).map(|n| format!("/r{n}/{{id}}/p{n}\n/s{n}/{{*rest}}")).collect();
        let lines = lines.join("\n");
        let (router, _) = Router::build(&spec(&lines)).unwrap();
        let mut captures = Captures::new();
        ["/r7/x/p7", "/r7/x/p8", "/nothing/here", "/s7/x/y"].map(|path| {
            router.find(&request(path), &mut captures);
            captures.visits()
        })
    };
    assert_eq!(visits(10), visits(2_000));
}

#[test]
fn a_warm_lookup_needs_no_more_memory() {
    let lines = "/a/{b}/{c}/x\n/{a}/b/{c}/{d}\n~/r/(?<x>.)(?<y>.)\n/w/{*rest} ?q~a";
    let (router, _) = Router::build(&spec(lines)).unwrap();
    let mut captures = Captures::new();
    let requests = ["/a/b/c/d", "/r/xyz", "/w/1?q=%61", "/none"].map(request);
    let mut round = || {
        for request in &requests {
            router.find(request, &mut captures);
        }
        captures.capacities()
    };
    let warm = round();
    for _ in 0..10 {
        assert_eq!(round(), warm);
    }
}

#[test]
fn everything_tried_is_explained_in_its_order() {
    let lines = "
        site a.com
        POST /a/{x}
        /a/b x=1
        /a/b ?q=1
        ~/zzz
        ~/a
        server
        /{*rest}
        /c";
    let (router, _) = Router::build(&spec(lines)).unwrap();
    let explain = |line: &str| {
        let considered = router.explain(&request(line));
        let text =
            considered.iter().map(|c| format!("{}: {:?}", line_of(lines, c.route), c.verdict));
        text.collect::<Vec<_>>()
    };
    assert_eq!(
        explain("http://a.com/a/b"),
        [
            "/a/b x=1: HeaderDiffers(\"x\")",
            "/a/b ?q=1: QueryDiffers(\"q\")",
            "POST /a/{x}: MethodDiffers",
            "~/zzz: PathDiffers",
            "~/a: Wins",
            "/{*rest}: Late",
        ]
    );
    assert_eq!(explain("/c"), ["/c: Wins", "/{*rest}: Late"]);
    assert_eq!(explain("POST http://b.com/x"), ["/{*rest}: Wins"]);
}

#[test]
fn captures_are_found_by_name_and_place() {
    let (router, _) = Router::build(&spec("/{a}/{b}/{*c}\n~/(?<x>.)$\n/none")).unwrap();
    let names = |route| router.captures_of(RouteRef { site: None, route });
    let first = names(0).unwrap();
    assert_eq!(
        (first.position("b"), first.position("x"), first.wildcard),
        (Some(1), None, Some(2))
    );
    assert_eq!((names(1).unwrap().position("x"), names(1).unwrap().wildcard), (Some(0), None));
    assert!(names(2).unwrap().names.is_empty());
    assert_eq!(names(3), None);
    let text = |text: &str| PathSpec::Path(text.to_owned());
    assert_eq!(text("/{a}/{b}/{*c}").captures().as_ref(), Some(first));
    assert_eq!(PathSpec::Regex("/(?<x>.)$".to_owned()).captures().as_ref(), names(1));
    assert_eq!(text("/{").captures(), None);
    assert_eq!(router.captures_of(RouteRef { site: Some(0), route: 0 }), None);
    let mut captures = Captures::new();
    let request = request("/1/2/3/4");
    router.find(&request, &mut captures);
    assert_eq!(captures.get(&request.path, 2), Some("3/4"));
    assert_eq!(captures.get(&request.path, 3), None);
    // Another path than that of the lookup is a mistake, not a panic.
    assert_eq!(captures.get("/1", 2), None);
    captures.clear();
    assert!(captures.is_empty() && captures.get(&request.path, 0).is_none());
}

#[test]
fn a_router_goes_between_threads() {
    fn is_shared<T: Send + Sync + Clone>(_: &T) {}
    let (router, _) = Router::build(&spec("~/(?<x>a+)$")).unwrap();
    is_shared(&router);
    let found = std::thread::scope(|scope| {
        let clone = router.clone();
        scope.spawn(move || {
            let mut captures = Captures::new();
            clone.find(&request("/aaa"), &mut captures);
            captures.get("/aaa", 0).map(str::len)
        });
        let mut captures = Captures::new();
        router.find(&request("/aa"), &mut captures);
        captures.get("/aa", 0).map(str::len)
    });
    assert_eq!(found, Some(2));
}
