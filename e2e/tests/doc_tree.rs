//! The main job: every file of a real tree through Stead and nginx side by side, compared with each
//! other and with the disk; directories, ranges and conditions too.

use stead_e2e::differences::Seen;
use stead_e2e::doc_tree::{ending, to_target};
use stead_e2e::pair::{Pair, Question};
use stead_e2e::{Answer, Both, DocTree, Folder};

#[test]
fn every_file_is_the_same_through_both() {
    let both = Both::start();
    let files: Vec<String> = both.paths(|path| !path.ends_with('/') && !path.is_empty());
    let seen = Seen::default();
    both.in_batches(&files, |pair, paths| {
        let questions: Vec<Question> =
            paths.iter().map(|path| Question::plain("GET", to_target(path))).collect();
        for (path, (nginx, stead)) in paths.iter().zip(pair.ask(&questions)) {
            compare_file(&both.tree, &seen, path, &nginx, &stead);
        }
    });
    println!("{} files", files.len());
    seen.check("files", both.tree.stale());
}

fn compare_file(tree: &DocTree, seen: &Seen, path: &str, nginx: &Answer, stead: &Answer) {
    let content = tree.content(path);
    assert_eq!(nginx.status, 200, "nginx: {path}");
    assert!(nginx.body == content, "nginx: {path} differs from the disk");
    if !tree.is_served(path) {
        assert_eq!(stead.status, 404, "hidden: {path}");
        return;
    }
    assert_eq!(stead.status, 200, "{path}");
    assert!(stead.body == content, "{path} differs from the disk");
    assert_eq!(stead.field("content-length"), Some(&*content.len().to_string()), "{path}");
    for name in ["content-length", "last-modified", "accept-ranges"] {
        seen.compare(name, nginx.value(name), stead.value(name), path);
    }
    let subject = format!("content-type of {}", ending(path));
    let kind = "content-type";
    seen.compare(&subject, nginx.value(kind), stead.value(kind), path);
    seen.compare_field_names(nginx, stead, path);
}

#[test]
fn every_head_is_that_of_its_get() {
    let both = Both::start();
    let files: Vec<String> = both.paths(|path| !path.ends_with('/') && !path.is_empty());
    let sample: Vec<String> = files.into_iter().step_by(17).collect();
    both.in_batches(&sample, |pair, paths| {
        let ask = |pair: &mut Pair, method| {
            let questions: Vec<Question> =
                paths.iter().map(|path| Question::plain(method, to_target(path))).collect();
            pair.ask(&questions).into_iter().map(|(_, stead)| stead)
        };
        let (gets, heads) = (ask(pair, "GET"), ask(pair, "HEAD"));
        for (path, (get, head)) in paths.iter().zip(gets.zip(heads)) {
            assert_eq!(get.status, head.status, "{path}");
            let without_date = |answer: &Answer| {
                let fields = answer.fields.iter().filter(|(name, _)| name != "date");
                fields.cloned().collect::<Vec<_>>()
            };
            assert_eq!(without_date(&get), without_date(&head), "{path}");
            assert!(head.body.is_empty());
        }
    });
}

#[test]
fn every_directory_is_the_same_through_both() {
    let both = Both::start();
    let directories: Vec<String> = both.paths(|path| path.ends_with('/') || path.is_empty());
    let seen = Seen::default();
    both.in_batches(&directories, |pair, paths| {
        let questions: Vec<Question> = paths
            .iter()
            .flat_map(|path| [path.as_str(), path.trim_end_matches('/')])
            .map(|path| Question::plain("GET", to_target(path)))
            .collect();
        let answers = pair.ask(&questions);
        for (path, answers) in paths.iter().zip(answers.chunks(2)) {
            let [with_slash, without] = answers else { panic!("two answers") };
            compare_index(&both.tree, &seen, path, with_slash);
            if !path.is_empty() {
                compare_redirect(&both, &seen, path, without);
            }
        }
    });
    println!("{} directories", directories.len());
    seen.check("directories", both.tree.stale());
}

fn compare_index(tree: &DocTree, seen: &Seen, path: &str, (nginx, stead): &(Answer, Answer)) {
    let index = format!("{path}index.html");
    if !tree.root().join(&index).is_file() {
        let [theirs, ours] = [nginx, stead].map(|answer| answer.status.to_string());
        seen.compare("a directory without index", &theirs, &ours, path);
        return;
    }
    assert_eq!((nginx.status, stead.status), (200, 200), "{path}");
    assert!(stead.body == tree.content(&index) && nginx.body == stead.body, "{path}");
}

fn compare_redirect(both: &Both, seen: &Seen, path: &str, (nginx, stead): &(Answer, Answer)) {
    let [theirs, ours] = [nginx, stead].map(|answer| answer.status.to_string());
    seen.compare("a directory without its slash", &theirs, &ours, path);
    // nginx names the host it was asked for, without its port.
    let absolute = format!("http://localhost:{}", both.nginx.port());
    let form = |answer: &Answer| {
        let location = answer.value("location").to_owned();
        let (form, path) = match location.strip_prefix(&absolute) {
            Some(path) => ("http://host/path/", path.to_owned()),
            None => ("/path/", location),
        };
        (form, path)
    };
    let ((their_form, their_path), (our_form, our_path)) = (form(nginx), form(stead));
    seen.compare("location", their_form, our_form, path);
    assert_eq!(our_path, to_target(path));
    // nginx unescapes more than the canonical form does.
    assert!(their_path == our_path || their_path == format!("/{path}"), "{their_path}");
}

#[test]
fn security_39_hidden_files_are_404_where_nginx_shows_them() {
    let folder = Folder::new();
    let root = folder.make("root");
    let hidden = [
        ".env",
        ".git/config",
        "book/.htpasswd",
        "index.html~",
        "index.html.bak",
        "a.swp",
        ".index.html.swo",
        "#draft#",
        "page.html.orig",
        "old.rej",
        "book/.well-known/x",
    ];
    for path in hidden {
        folder.write(&format!("root/{path}"), "secret");
    }
    folder.write("root/.well-known/security.txt", "public");
    folder.write("root/index.html", "front");
    let both = Both::of(DocTree::find(), &root);
    let mut pair = both.pair();
    for path in hidden {
        for method in ["GET", "HEAD"] {
            let question = Question::plain(method, to_target(path));
            let answers = pair.ask(&[question]);
            let (nginx, stead) = &answers[0];
            assert_eq!((nginx.status, stead.status), (200, 404), "{method} {path}");
            assert!(!stead.text().contains("secret"));
        }
    }
    let well_known = Question::plain("GET", "/.well-known/security.txt".to_owned());
    let answers = pair.ask(&[well_known]);
    assert_eq!((answers[0].0.text(), answers[0].1.text()), ("public".into(), "public".into()));
}
