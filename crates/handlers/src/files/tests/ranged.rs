//! Parts of files, small ones from memory and large ones from the file.

use super::*;

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n % 251) as u8).collect()
}

/// The parts of a multipart answer: their `Content-Range` and their bytes.
fn parts(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let kind = answer.field("Content-Type");
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").expect("multipart");
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    // The first delimiter may stand without its line end.
    let mut rest = [b"\r\n", answer.body.as_slice()].concat();
    let mut parts = Vec::new();
    loop {
        assert!(rest.starts_with(&delimiter));
        rest.drain(..delimiter.len());
        if rest.starts_with(b"--") {
            assert_eq!(rest, b"--\r\n");
            return parts;
        }
        let find = |bytes: &[u8], rest: &[u8]| {
            rest.windows(bytes.len()).position(|window| window == bytes).expect("a delimiter")
        };
        let head_end = find(b"\r\n\r\n", &rest) + 4;
        let head = String::from_utf8(rest.drain(..head_end).collect()).expect("text");
        let end = find(&delimiter, &rest);
        let range = head.split("Content-Range: ").nth(1).expect("a range").trim().to_owned();
        assert!(head.contains("\r\nContent-Type: application/octet-stream\r\n"), "{head}");
        parts.push((range, rest.drain(..end).collect()));
    }
}

#[test]
fn security_41_one_range_is_a_part_of_the_file() {
    for size in [1_000, 200_000] {
        let (site, content) = (Site::new(&[]), content(size));
        site.write("a.bin", &content);
        let bench = site.bench("");
        let check = |range: &str, expect: &[u8], content_range: String| {
            let answer = bench.call("GET", "/a.bin", &[("Range", range)]);
            assert_eq!(answer.status, 206, "{range}");
            assert!(answer.body == expect, "{range}");
            assert_eq!(answer.field("Content-Range"), content_range);
            assert_eq!(answer.from_file, size > 64 << 10);
            assert!(!answer.field("ETag").is_empty());
        };
        check("bytes=0-0", &content[..1], format!("bytes 0-0/{size}"));
        check("bytes=10-", &content[10..], format!("bytes 10-{}/{size}", size - 1));
        check("bytes=-5", &content[size - 5..], format!("bytes {}-{}/{size}", size - 5, size - 1));
        check("bytes=5-9,8-20", &content[5..21], format!("bytes 5-20/{size}"));
    }
}

#[test]
fn security_41_several_ranges_are_a_multipart() {
    for size in [1_000, 200_000] {
        let (site, content) = (Site::new(&[]), content(size));
        site.write("a.bin", &content);
        let bench = site.bench("");
        let answer = bench.call("GET", "/a.bin", &[("Range", "bytes=-3, 0-9, 5-19, 100-101")]);
        assert_eq!(answer.status, 206);
        assert_eq!(answer.field("Content-Range"), "");
        let expect = [
            (format!("bytes 0-19/{size}"), content[..20].to_vec()),
            (format!("bytes 100-101/{size}"), content[100..102].to_vec()),
            (format!("bytes {}-{}/{size}", size - 3, size - 1), content[size - 3..].to_vec()),
        ];
        assert_eq!(parts(&answer), expect);
        let again = bench.call("GET", "/a.bin", &[("Range", "bytes=-3, 0-9")]);
        assert_ne!(again.field("Content-Type"), answer.field("Content-Type"), "its own boundary");
    }
}

#[test]
fn security_41_what_does_not_count_is_the_whole_file() {
    let site = Site::new(&[("a.bin", "0123456789"), ("empty", "")]);
    let bench = site.bench("");
    let whole = |method: &str, fields: &[(&str, &str)]| {
        let answer = bench.call(method, "/a.bin", fields);
        assert_eq!((answer.status, answer.text().as_str()), (200, "0123456789"), "{fields:?}");
        assert_eq!(answer.field("Content-Range"), "");
    };
    let many: Vec<String> = (0..17).map(|_| "0-0".to_owned()).collect();
    whole("GET", &[("Range", &format!("bytes={}", many.join(",")))]);
    whole("GET", &[("Range", "bytes=0-9,0-9")]);
    whole("GET", &[("Range", "bytes=9-0")]);
    whole("GET", &[("Range", "chars=0-1")]);
    whole("GET", &[("Range", "bytes=0-1"), ("Range", "bytes=2-3")]);
    whole("HEAD", &[("Range", "bytes=0-1")]);
    whole("GET", &[("Range", "bytes=0-1"), ("If-Range", "\"other\"")]);
    whole("GET", &[("Range", "bytes=0-1"), ("If-Range", "Sun, 09 Sep 2001 01:46:39 GMT")]);
    let etag = bench.page("/a.bin").field("ETag");
    for validator in [etag.as_str(), MODIFIED_DATE] {
        let fields = [("Range", "bytes=0-1"), ("If-Range", validator)];
        assert_eq!(bench.call("GET", "/a.bin", &fields).text(), "01");
    }
    let held = [("Range", "bytes=0-1"), ("If-None-Match", etag.as_str())];
    assert_eq!(bench.call("GET", "/a.bin", &held).status, 304);
}

#[test]
fn security_41_what_lies_behind_the_end_is_416() {
    let site = Site::new(&[("a.bin", "0123456789"), ("empty", "")]);
    let bench = site.bench("");
    for (path, range, size) in
        [("/a.bin", "bytes=10-", 10), ("/a.bin", "bytes=-0", 10), ("/empty", "bytes=0-", 0)]
    {
        let answer = bench.call("GET", path, &[("Range", range)]);
        assert_eq!((answer.status, answer.reason), (416, Reason::RangeNotSatisfiable), "{range}");
        assert_eq!(answer.field("Content-Range"), format!("bytes */{size}"));
    }
}
