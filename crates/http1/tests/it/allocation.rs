//! Nothing is allocated for a message once the buffers are warm.

use stead_http1::encode::{self, ResponseLine};
use stead_http1::{Event, Fields, RequestDecoder, RequestHead, StatusCode, Version, name};
use stead_http1::{Framing, Method, Name, ResponseDecoder, ResponseHead};

use crate::exchange::default_limits;

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

#[test]
fn the_second_request_allocates_nothing() {
    let get = b"GET /docs/index.html?lang=en HTTP/1.1\r\nHost: www.example.com\r\nAccept: */*\r\n\
                User-Agent: curl/8.5.0\r\nX-Unknown-Name: 1\r\nCookie: a=1; b=2\r\n\r\n";
    let post =
        b"POST /f HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\
                 \r\n5;a=b\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
    let mut decoder = RequestDecoder::new(default_limits(), Some(1 << 20));
    let mut head = RequestHead::default();
    let mut fields = Fields::new();
    let mut out = Vec::new();
    let mut exchange = |input: &[u8]| {
        let mut rest = input;
        out.clear();
        loop {
            let step = decoder.decode(rest, &mut head).expect("a good request");
            rest = &rest[step.consumed..];
            if step.event == Event::End {
                break;
            }
            assert_ne!(step.event, Event::Pending);
        }
        fields.clear();
        fields.append(name::CONTENT_TYPE, b"text/plain; charset=utf-8");
        fields.append(Name::Other(b"X-Own"), b"1");
        fields.set(name::CACHE_CONTROL, b"no-store");
        for framing in [Framing::Length(13), Framing::Chunked] {
            let line = ResponseLine {
                version: head.version(),
                status: StatusCode::OK,
                framing,
                keep_alive: head.keep_alive(),
                to_head: head.method() == Method::HEAD,
            };
            encode::response_head(&mut out, &line, &fields, Some(DATE), Some(b"stead"));
        }
        encode::chunk_head(&mut out, 13);
        encode::last_chunk(&mut out, Some(head.trailers()));
    };
    let first = allocation_counter::measure(|| {
        exchange(get);
        exchange(post);
    });
    assert!(first.count_total > 0, "the counter counts");
    let later = allocation_counter::measure(|| {
        for _ in 0..100 {
            exchange(get);
            exchange(post);
        }
    });
    assert_eq!(later.count_total, 0);
}

#[test]
fn the_second_response_allocates_nothing() {
    let input = b"HTTP/1.1 103 x\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\
                  Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
    let mut decoder = ResponseDecoder::new(default_limits(), &Method::GET);
    let mut head = ResponseHead::default();
    let mut exchange = || {
        decoder.restart(&Method::GET);
        let mut rest = &input[..];
        while !decoder.is_complete() {
            let step = decoder.decode(rest, &mut head).expect("a good response");
            rest = &rest[step.consumed..];
        }
        assert_eq!((head.version(), rest.len()), (Version::Http11, 0));
    };
    exchange();
    assert_eq!(allocation_counter::measure(exchange).count_total, 0);
}
