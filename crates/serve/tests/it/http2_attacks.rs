//! Attacks on HTTP/2, frame by frame: each ends as SECURITY.md says, and a connection that asks
//! honestly beside it notices nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use stead_base::Reason;
use stead_core::{Body, BodyStream, Exchange, Frame as StreamFrame, Level, Process, StatusCode};

use crate::client::Client;
use crate::files::{opened, part};
use crate::handlers::{Calls, Counted, Make, Told, sleep, text, wait};
use crate::harness::{Kitchen, Recipe, at_pace, eventually};
use crate::http2::{
    ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, End,
    FRAME_SIZE_ERROR, GOAWAY, HEADERS, Http2, INITIAL_WINDOW_SIZE, NO_ERROR, Neighbour, PADDED,
    PING, PREFACE, PRIORITY, PROTOCOL_ERROR, REFUSED_STREAM, RST_STREAM, SETTINGS,
    SETTINGS_TIMEOUT, STREAM_CLOSED, alone, answer, block, check_attack, code, fields, frame, get,
    post, raw, recipe, reset, setting, status, window_update,
};

/// Sends until the server has had enough.
fn flood(http2: &mut Http2, mut next: impl FnMut(u32) -> Vec<u8>) {
    for count in 0..20_000 {
        if !http2.try_send(next(count)) {
            return;
        }
    }
}

/// A handler that takes its time, and how many of it run at once at most.
fn slow(most: Arc<AtomicU64>) -> Recipe {
    let running = Arc::new(AtomicU64::new(0));
    recipe().route(
        "/slow",
        wait(move |exchange| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            Box::pin(async move {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                let _leaves = Leaves(running);
                sleep(200).await;
                Ok(text(exchange, b"done"))
            })
        }),
    )
}

/// A handler that never answers; how many of it run, and at most.
fn hanging(running: &Arc<AtomicU64>, most: &Arc<AtomicU64>) -> Recipe {
    let (running, most) = (Arc::clone(running), Arc::clone(most));
    recipe().route(
        "/hangs",
        wait(move |_| {
            let now = running.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            let leaves = Leaves(Arc::clone(&running));
            Box::pin(async move {
                let _leaves = leaves;
                std::future::pending().await
            })
        }),
    )
}

struct Leaves(Arc<AtomicU64>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn security_25_rapid_reset() {
    let most = Arc::new(AtomicU64::new(0));
    check_attack(slow(most), Reason::Http2Resets, ENHANCE_YOUR_CALM, |attacker| {
        flood(attacker, |n| [get(2 * n + 1, "/slow"), reset(2 * n + 1, CANCEL)].concat());
    });
}

#[test]
fn security_25_resets_in_a_row_however_slowly() {
    let most = Arc::new(AtomicU64::new(0));
    check_attack(slow(most), Reason::Http2Resets, ENHANCE_YOUR_CALM, |attacker| {
        flood(attacker, |n| {
            if n % 19 == 18 {
                std::thread::sleep(Duration::from_millis(1_010));
            }
            [get(2 * n + 1, "/slow"), reset(2 * n + 1, CANCEL)].concat()
        });
    });
}

/// Resets that the peer makes us send: of each kind of breach more than a hundred.
#[test]
fn security_25_made_you_reset_by_empty_window_updates() {
    // The protocol ends the connection at the first.
    check_attack(recipe(), Reason::Http2Protocol, PROTOCOL_ERROR, |attacker| {
        attacker.send([post(1, "/count", &[]), window_update(1, 0)].concat());
    });
}

#[test]
fn security_25_made_you_reset_by_windows_that_overflow() {
    check_attack(recipe(), Reason::Http2Flood, ENHANCE_YOUR_CALM, |attacker| {
        flood(attacker, |n| {
            let stream = 2 * n + 1;
            [post(stream, "/count", &[]), window_update(stream, 0x7fff_ffff)].concat()
        });
    });
}

#[test]
fn security_25_made_you_reset_by_wrong_lengths() {
    check_attack(recipe(), Reason::Http2Errors, ENHANCE_YOUR_CALM, |attacker| {
        flood(attacker, |n| {
            let stream = 2 * n + 1;
            let head = post(stream, "/count", &[("content-length", "1")]);
            [head, frame(DATA, END_STREAM, stream, b"too much")].concat()
        });
    });
}

#[test]
fn security_25_made_you_reset_by_fields_that_we_find_wrong() {
    check_attack(recipe(), Reason::Http2Errors, ENHANCE_YOUR_CALM, |attacker| {
        let block = block(&fields("GET", "/", &[("host", "another")]));
        flood(attacker, |n| frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &block));
    });
}

#[test]
fn security_25_made_you_reset_by_data_on_closed_streams() {
    let (harness, mut attacker) = alone(recipe());
    let mut neighbour = Neighbour::of(&harness);
    assert_eq!(attacker.get(1, "/"), answer(200, "hello"));
    flood(&mut attacker, |_| frame(DATA, 0, 1, b"late"));
    let said = attacker.frame_of(&[GOAWAY]).expect("GOAWAY");
    assert!([STREAM_CLOSED, ENHANCE_YOUR_CALM].contains(&code(&said.content[4..])), "{said:?}");
    while attacker.frame().is_some() {}
    neighbour.asks();
    harness.expect_open(1);
}

#[test]
fn security_25_made_you_reset_by_headers_after_the_end() {
    let (harness, mut attacker) = alone(recipe());
    let mut neighbour = Neighbour::of(&harness);
    attacker.send(get(1, "/hang"));
    attacker.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("x-a", "b")])));
    let end = attacker.frame_of(&[GOAWAY, RST_STREAM]).expect("an end");
    let code = code(if end.kind == GOAWAY { &end.content[4..] } else { &end.content });
    assert!([STREAM_CLOSED, PROTOCOL_ERROR].contains(&code), "{end:?}");
    neighbour.asks();
}

#[test]
fn security_24_a_flood_of_continuations() {
    check_attack(recipe(), Reason::Http2HeaderBlock, ENHANCE_YOUR_CALM, |attacker| {
        attacker.send(frame(HEADERS, END_STREAM, 1, &block(&fields("GET", "/", &[]))));
        flood(attacker, |_| frame(CONTINUATION, 0, 1, &[]));
    });
}

/// As many as the guard lets through are too many for the protocol: the same outcome.
#[test]
fn security_24_some_continuations_are_too_many_already() {
    check_attack(recipe(), Reason::Http2HeaderBlock, ENHANCE_YOUR_CALM, |attacker| {
        let head = frame(HEADERS, END_STREAM, 1, &block(&fields("GET", "/", &[])));
        let seven = frame(CONTINUATION, 0, 1, &[]).repeat(7);
        attacker.send([head, seven].concat());
    });
}

#[test]
fn security_24_a_header_block_of_many_bytes() {
    check_attack(recipe(), Reason::Http2HeaderBlock, ENHANCE_YOUR_CALM, |attacker| {
        attacker.send(frame(HEADERS, END_STREAM, 1, &block(&fields("GET", "/", &[]))));
        let piece = block(&[("x-a", &"x".repeat(16_000))]);
        flood(attacker, |_| frame(CONTINUATION, 0, 1, &piece));
    });
}

/// A field of 4 KiB in the table, and one byte for each time that it stands in a list.
#[test]
fn security_23_a_bomb_of_bytes_is_cut_before_it_unfolds() {
    check_attack(recipe(), Reason::Http2Flood, ENHANCE_YOUR_CALM, |attacker| {
        let mut bomb = block(&fields("GET", "/", &[]));
        bomb.extend_from_slice(b"\x40\x03x-b\x7f\xa1\x1e");
        bomb.extend_from_slice(&[b'x'; 4000]);
        bomb.extend_from_slice(&[0xbe; 12_000]);
        attacker.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb));
    });
}

/// Many small fields by one byte each, on many streams: each is refused.
#[test]
fn security_23_a_bomb_of_fields_is_431_each_time() {
    let (harness, mut attacker) = alone(recipe());
    let mut neighbour = Neighbour::of(&harness);
    let mut bomb = block(&fields("GET", "/", &[]));
    // `accept-encoding: gzip, deflate` of the static table.
    bomb.extend_from_slice(&[0x90; 500]);
    for n in 0..200 {
        attacker.send(frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &bomb));
        let end = attacker.end(2 * n + 1);
        assert!(matches!(end, End::Answer { status: 431, .. }), "{end:?}");
    }
    neighbour.asks();
    harness.expect_outcomes(Reason::TooManyHeaders, 200);
}

/// A field of the table, named seven times by each request, and no window for any answer: what the
/// heads hold is bounded, and who is refused may ask again.
#[test]
fn security_23_heads_that_are_held_are_bounded() {
    let harness = recipe().start();
    let mut neighbour = Neighbour::of(&harness);
    let settings = setting(INITIAL_WINDOW_SIZE, 0);
    let mut attacker = Http2::with(Client::connect(harness.address), &settings);
    let head = block(&fields("GET", "/large", &[]));
    let field = [&b"\x40\x03x-a\x7f\xbd\x1d"[..], &[b'a'; 3_900]].concat();
    attacker.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&head[..], &field].concat()));
    let named = [&head[..], &[0xbe; 7]].concat();
    for n in 1..60 {
        attacker.send(frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &named));
    }
    let mut refused = 0;
    while refused < 40 {
        let end = attacker.frame_of(&[RST_STREAM]).expect("a reset");
        assert_eq!(code(&end.content), REFUSED_STREAM);
        refused += 1;
    }
    neighbour.asks();
    // The others end, and there is room again.
    for n in 0..20 {
        attacker.send(reset(2 * n + 1, CANCEL));
    }
    let is_answered = (100..200).any(|n| {
        attacker.send(frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &named));
        let mut ends = std::iter::from_fn(|| attacker.frame_of(&[HEADERS, RST_STREAM]));
        ends.find(|frame| frame.stream == 2 * n + 1).is_some_and(|frame| frame.kind == HEADERS)
    });
    assert!(is_answered);
    assert_eq!(harness.outcomes(Reason::Http2Errors), 0);
}

#[test]
fn security_23_a_bomb_of_crumbs_is_431_each_time() {
    let (harness, mut attacker) = alone(recipe());
    let mut neighbour = Neighbour::of(&harness);
    let mut bomb = block(&fields("GET", "/", &[]));
    // An empty `cookie` in one byte and another for its length.
    bomb.extend(std::iter::repeat_n([0x0f, 0x11, 0x00], 101).flatten());
    for n in 0..50 {
        attacker.send(frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &bomb));
        let end = attacker.end(2 * n + 1);
        assert!(matches!(end, End::Answer { status: 431, .. }), "{end:?}");
    }
    neighbour.asks();
    harness.expect_outcomes(Reason::TooManyHeaders, 50);
}

/// Sizes of the table up and down again, and entries that push each other out.
#[test]
fn a_table_that_churns_costs_no_neighbour_anything() {
    let (harness, mut attacker) = alone(recipe());
    let mut neighbour = Neighbour::of(&harness);
    for n in 0..500 {
        let mut churn = b"\x20\x3f\xe1\x1f".to_vec();
        for at in 0..80 {
            churn.extend_from_slice(b"\x40\x04x-");
            churn.extend_from_slice(format!("{at:02}").as_bytes());
            churn.extend_from_slice(b"\x02ab");
        }
        let block = [churn, Vec::new()].concat();
        let head = crate::http2::block(&fields("GET", "/", &[]));
        let sizes = &block[..4];
        let bytes = [sizes, &head[..], &block[4..]].concat();
        attacker.send(frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &bytes));
        assert_eq!(attacker.end(2 * n + 1), answer(200, "hello"));
    }
    neighbour.asks();
}

#[test]
fn security_28_a_window_that_stays_closed_ends_the_stream() {
    let recipe = recipe().timeouts(|timeouts| {
        timeouts.write_idle = Some(Duration::from_millis(600));
    });
    let harness = recipe.start();
    let mut neighbour = Neighbour::of(&harness);
    let settings = setting(INITIAL_WINDOW_SIZE, 0);
    let mut attacker = Http2::with(Client::connect(harness.address), &settings);
    let began = Instant::now();
    for n in 0..50 {
        attacker.send(get(2 * n + 1, if n % 2 == 0 { "/large" } else { "/" }));
    }
    let mut ended = 0;
    while ended < 50 {
        let end = attacker.frame_of(&[RST_STREAM]).expect("a reset");
        assert_eq!(code(&end.content), CANCEL);
        ended += 1;
    }
    assert!(began.elapsed() >= Duration::from_millis(500));
    neighbour.asks();
    harness.expect_outcomes(Reason::WriteIdleTimeout, 50);
    // The connection itself is well.
    attacker.send(get(201, "/"));
    assert_eq!(status(&attacker.frame_of(&[HEADERS]).unwrap().content), 200);
}

/// A reader that takes its time, but takes: what it lets through counts, however often we wait.
#[test]
fn a_window_that_opens_slowly_is_no_closed_one() {
    let recipe = recipe().timeouts(|timeouts| {
        timeouts.write_idle = Some(Duration::from_secs(1));
    });
    let harness = recipe.start();
    let settings = setting(INITIAL_WINDOW_SIZE, 1_000);
    at_pace(|pace| {
        let mut reader = Http2::with(Client::connect(harness.address), &settings);
        reader.send(get(1, "/large"));
        for turn in 0..15 {
            let kind = reader.frame_of(&[DATA, RST_STREAM]).map(|frame| frame.kind);
            if kind != Some(DATA) {
                return Err(format!("{kind:?} in turn {turn}"));
            }
            pace.rest(Duration::from_millis(100), Duration::from_millis(400));
            reader.send(window_update(1, 1_000));
        }
        Ok(())
    });
}

/// Once each stream of a peer that takes nothing had a first piece made, and held what makes it.
#[test]
fn security_28_nothing_is_made_for_a_window_that_is_shut() {
    let asked = Calls::default();
    let counting = asked.clone();
    let costly = Make(move |exchange: &mut Exchange| {
        let body = ToOrder(Counted {
            piece: b"piece".as_slice().into(),
            pieces: 3,
            asked: counting.clone(),
        });
        exchange.respond(StatusCode::OK).with_body(Body::Stream(Box::new(body)))
    });
    let harness = recipe().route("/costly", costly).start();
    let settings = setting(INITIAL_WINDOW_SIZE, 0);
    let mut attacker = Http2::with(Client::connect(harness.address), &settings);
    for n in 0..50 {
        attacker.send(get(2 * n + 1, "/costly"));
    }
    for _ in 0..50 {
        assert_eq!(status(&attacker.frame_of(&[HEADERS]).expect("a head").content), 200);
    }
    Neighbour::of(&harness).asks();
    assert_eq!(asked.value(), 0);
    // A first byte of room is enough for one of them to begin.
    attacker.send(window_update(1, 1));
    assert_eq!(attacker.frame_of(&[DATA]).expect("a byte").content, b"p");
    assert_eq!(asked.value(), 1);
    attacker.send(window_update(1, 14));
    let mut body = b"p".to_vec();
    while let Some(frame) = attacker.frame_of(&[DATA]) {
        body.extend_from_slice(&frame.content);
        if frame.flags & END_STREAM != 0 {
            break;
        }
    }
    assert_eq!(body, b"piecepiecepiece");
    assert_eq!(asked.value(), 3);
}

/// A body whose pieces are made to order.
struct ToOrder(Counted);

impl BodyStream for ToOrder {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<stead_core::Result<StreamFrame>>> {
        self.0.poll_frame(context)
    }

    fn is_made_to_order(&self) -> bool {
        self.0.pieces > 0
    }
}

/// A peer opens every window and reads nothing: no more is held for it than may be.
#[test]
fn security_28_what_waits_for_a_peer_is_bounded() {
    check_held(&Arc::default(), 1 << 20);
}

/// Many such peers are bounded by the process's memory: the less there is, the less each may have.
#[test]
fn security_28_what_waits_for_peers_shrinks_as_memory_does() {
    let process = Arc::new(Process::default());
    process.pressure.note_memory(80, 100);
    assert_eq!(stead_serve::weigh(&process), Level::Tight);
    check_held(&process, 448 << 10);
}

/// Answers that are whole before the first byte leaves wait for their own windows, and for no
/// other: behind one connection may be many users.
#[test]
fn whole_answers_that_wait_hold_up_no_other_request() {
    const EACH: usize = 128 << 10;
    let whole = Make(move |exchange: &mut Exchange| {
        exchange.respond(StatusCode::OK).with_body(Body::Buffer(vec![b'x'; EACH]))
    });
    let harness = recipe().route("/whole", whole).start();
    let mut client =
        Http2::with(Client::connect(harness.address), &setting(INITIAL_WINDOW_SIZE, 0));
    for n in 0..100 {
        client.send(get(2 * n + 1, "/whole"));
    }
    for _ in 0..100 {
        assert_eq!(status(&client.frame_of(&[HEADERS]).expect("an answer").content), 200);
    }
    let windows = frame(SETTINGS, 0, 0, &setting(INITIAL_WINDOW_SIZE, 0x7fff_ffff));
    client.send([window_update(0, 0x7fff_0000), windows].concat());
    let mut taken = 0;
    while taken < 100 * EACH {
        taken += client.frame_of(&[DATA]).expect("the answers").content.len();
    }
    assert_eq!(harness.outcomes(Reason::Http2Refused), 0);
}

/// Whole answers that nobody takes are refused where they are far too many.
#[test]
fn security_28_whole_answers_that_wait_are_bounded() {
    const EACH: usize = 1 << 20;
    let whole = wait(|exchange| {
        Box::pin(async move {
            sleep(300).await;
            Ok(exchange.respond(StatusCode::OK).with_body(Body::Buffer(vec![b'x'; EACH])))
        })
    });
    let harness = recipe().route("/whole", whole).start();
    let mut neighbour = Neighbour::of(&harness);
    let mut attacker =
        Http2::with(Client::connect(harness.address), &setting(INITIAL_WINDOW_SIZE, 0));
    attacker.send((0..100).map(|n| get(2 * n + 1, "/whole")).collect::<Vec<_>>().concat());
    for _ in 0..36 {
        let end = attacker.frame_of(&[RST_STREAM]).expect("a reset");
        assert_eq!(code(&end.content), REFUSED_STREAM);
    }
    harness.expect_outcomes(Reason::Http2Refused, 36);
    neighbour.asks();
    // That was no fault of the peer's, and it may ask again for what the server has room for.
    attacker.send(get(201, "/"));
    attacker.send((0..16).map(|n| reset(2 * n + 1, CANCEL)).collect::<Vec<_>>().concat());
    assert_eq!(status(&attacker.frame_of(&[HEADERS]).unwrap().content), 200);
}

/// Files for a peer that takes nothing: others need places, too.
#[test]
fn security_28_files_that_wait_are_a_part_of_the_places() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    std::fs::write(&path, vec![b'x'; 100_000]).unwrap();
    let process = Arc::new(Process::default());
    process.files.set_limit(64);
    let kitchen = Kitchen { process: Arc::clone(&process), ..Kitchen::default() };
    let file = Make(move |exchange: &mut Exchange| {
        exchange.respond(StatusCode::OK).with_body(part(&opened(&path), 0, 100_000))
    });
    let harness = kitchen.start(vec![recipe().route("/file", file)]);
    let mut neighbour = Neighbour::of(&harness);
    let refused_of_sixty = || {
        let shut = setting(INITIAL_WINDOW_SIZE, 0);
        let mut attacker = Http2::with(Client::connect(harness.address), &shut);
        attacker.send((0..60).map(|n| get(2 * n + 1, "/file")).collect::<Vec<_>>().concat());
        let statuses = (0..60).map(|_| status(&attacker.frame_of(&[HEADERS]).unwrap().content));
        statuses.filter(|status| *status == 503).count()
    };
    // Nobody lacks any.
    assert_eq!(refused_of_sixty(), 0);
    harness.expect_open(1);
    assert!(process.files.take(32));
    assert_eq!(refused_of_sixty(), 60 - 32);
    neighbour.asks();
}

/// Asserts that a process holds at most so many bytes for a peer that takes nothing.
fn check_held(process: &Arc<Process>, most: u64) {
    const PIECE: u64 = 4 << 10;
    let asked = Calls::default();
    let counting = asked.clone();
    let endless = Make(move |exchange: &mut Exchange| {
        let piece = vec![b'x'; PIECE as usize].into();
        let body = Counted { piece, pieces: 1 << 20, asked: counting.clone() };
        exchange.respond(StatusCode::OK).with_body(Body::Stream(Box::new(body)))
    });
    let kitchen = Kitchen { process: Arc::clone(process), ..Kitchen::default() };
    let harness = kitchen.start(vec![recipe().route("/endless", endless)]);
    let settings = setting(INITIAL_WINDOW_SIZE, 0x7fff_ffff);
    let mut attacker = Http2::with(Client::connect_narrow(harness.address), &settings);
    attacker.send(window_update(0, 0x7fff_0000));
    for n in 0..100 {
        attacker.send(get(2 * n + 1, "/endless"));
    }
    // Until nothing more is asked for.
    let settled = eventually(|| {
        let before = asked.value();
        std::thread::sleep(Duration::from_millis(300));
        before > 100 && asked.value() == before
    });
    assert!(settled, "{} pieces and no end", asked.value());
    let sent = harness.count(|counters| &counters.bytes_out);
    let held = (asked.value() * PIECE).saturating_sub(sent);
    // Each stream has a piece in its hands that was asked for and not handed over.
    assert!(held <= most + 100 * PIECE, "{held} bytes");
    Neighbour::of(&harness).asks();
}

#[test]
fn security_27_windows_of_one_byte() {
    let harness = recipe().start();
    let mut neighbour = Neighbour::of(&harness);
    let settings = setting(INITIAL_WINDOW_SIZE, 1);
    let mut attacker = Http2::with(Client::connect(harness.address), &settings);
    attacker.send(get(1, "/large"));
    flood(&mut attacker, |_| window_update(1, 1));
    attacker.expect_go_away(ENHANCE_YOUR_CALM);
    neighbour.asks();
    harness.expect_outcomes(Reason::Http2Flood, 1);
}

/// All windows at once, by a byte each: every kilobyte that we sent once excused fifty more.
#[test]
fn security_27_settings_that_open_all_windows_by_a_byte() {
    check_attack(recipe(), Reason::Http2Flood, ENHANCE_YOUR_CALM, |attacker| {
        attacker.send(frame(SETTINGS, 0, 0, &setting(INITIAL_WINDOW_SIZE, 0)));
        attacker.send((0..100).map(|n| get(2 * n + 1, "/large")).collect::<Vec<_>>().concat());
        for _ in 0..100 {
            attacker.frame_of(&[HEADERS]).expect("an answer begins");
        }
        for bytes in 1..=11 {
            attacker.send(frame(SETTINGS, 0, 0, &setting(INITIAL_WINDOW_SIZE, bytes)));
            // Ten times for each stream they may.
            for _ in 0..if bytes <= 10 { 100 } else { 0 } {
                attacker.frame_of(&[DATA]).expect("a byte");
            }
        }
    });
}

/// What was taken before accounts for many updates, and for no more of them.
#[test]
fn security_27_windows_of_one_byte_behind_a_large_answer() {
    const LARGE: usize = 4 << 20;
    let harness = recipe().start();
    let mut neighbour = Neighbour::of(&harness);
    let mut attacker =
        Http2::with(Client::connect(harness.address), &setting(INITIAL_WINDOW_SIZE, 0x7fff_ffff));
    attacker.send([window_update(0, 0x7fff_0000), get(1, "/large")].concat());
    let End::Answer { status: 200, body } = attacker.end(1) else { panic!("an answer") };
    assert_eq!(body.len(), LARGE);
    attacker.send(frame(SETTINGS, 0, 0, &setting(INITIAL_WINDOW_SIZE, 1)));
    attacker.send(get(3, "/large"));
    flood(&mut attacker, |_| window_update(3, 1));
    let (mut taken, mut code) = (0, NO_ERROR);
    while let Some(frame) = attacker.frame() {
        match frame.kind {
            DATA => taken += frame.content.len(),
            GOAWAY => code = crate::http2::code(&frame.content[4..]),
            _ => {}
        }
    }
    assert_eq!(code, ENHANCE_YOUR_CALM);
    // One for each 256 bytes that were sent, four for the answer, fifty for nothing.
    let most = LARGE / 256 + LARGE / 256 / 256 + 100;
    assert!(taken <= most, "{taken} bytes, not {most}");
    neighbour.asks();
    harness.expect_outcomes(Reason::Http2Flood, 1);
}

fn check_flood(next: impl Fn() -> Vec<u8>) {
    check_attack(recipe(), Reason::Http2Flood, ENHANCE_YOUR_CALM, |attacker| {
        flood(attacker, |_| next());
    });
}

#[test]
fn security_27_a_flood_of_pings() {
    check_flood(|| frame(PING, 0, 0, &[0; 8]));
    check_flood(|| frame(PING, ACK, 0, &[0; 8]));
}

#[test]
fn security_27_a_flood_of_settings() {
    check_flood(|| frame(SETTINGS, 0, 0, &setting(INITIAL_WINDOW_SIZE, 1 << 16)));
    check_flood(|| frame(SETTINGS, 0, 0, &[]));
}

#[test]
fn security_27_a_flood_of_priorities() {
    check_flood(|| frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]));
}

#[test]
fn security_27_a_flood_of_data_without_data() {
    let harness = recipe().start();
    let mut neighbour = Neighbour::of(&harness);
    for padding in [&[][..], &[3, 0, 0, 0]] {
        let mut attacker = Http2::connect(harness.address);
        attacker.send(post(1, "/count", &[]));
        let flags = if padding.is_empty() { 0 } else { PADDED };
        flood(&mut attacker, |_| frame(DATA, flags, 1, padding));
        attacker.expect_go_away(ENHANCE_YOUR_CALM);
    }
    neighbour.asks();
    harness.expect_outcomes(Reason::Http2Flood, 2);
}

#[test]
fn security_27_a_flood_of_window_updates() {
    check_flood(|| window_update(0, 1));
}

#[test]
fn security_27_a_flood_of_frames_that_nobody_knows() {
    check_flood(|| frame(0xbe, 0, 0, b"what"));
    check_flood(|| frame(0x10, 0, 0, b"\0\0\0\x01u=1"));
}

#[test]
fn a_frame_larger_than_we_take() {
    check_attack(recipe(), Reason::Http2FrameTooLarge, FRAME_SIZE_ERROR, |attacker| {
        attacker.send(post(1, "/count", &[]));
        attacker.send(frame(DATA, 0, 1, &vec![0; (16 << 10) + 1]));
    });
}

#[test]
fn padding_longer_than_its_frame() {
    check_attack(recipe(), Reason::Http2Protocol, PROTOCOL_ERROR, |attacker| {
        attacker.send(post(1, "/count", &[]));
        attacker.send(frame(DATA, PADDED, 1, &[200, 0, 0]));
    });
}

#[test]
fn stream_numbers_that_are_even_or_go_back() {
    check_attack(recipe(), Reason::Http2Protocol, PROTOCOL_ERROR, |attacker| {
        attacker.send(get(2, "/"));
    });
    let (harness, mut attacker) = alone(recipe());
    let mut neighbour = Neighbour::of(&harness);
    assert_eq!(attacker.get(5, "/"), answer(200, "hello"));
    attacker.send(get(3, "/"));
    let said = attacker.frame_of(&[GOAWAY, RST_STREAM]).expect("an end");
    assert!(said.kind == GOAWAY || code(&said.content) == STREAM_CLOSED, "{said:?}");
    neighbour.asks();
}

#[test]
fn what_is_no_frame_after_the_preface() {
    let harness = recipe().start();
    let mut neighbour = Neighbour::of(&harness);
    for garbage in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], &[0; 64]] {
        let mut client = raw(harness.address);
        client.send([PREFACE, garbage].concat());
        let mut attacker = Http2 { client };
        let said = attacker.frame_of(&[GOAWAY]).expect("GOAWAY");
        assert_ne!(code(&said.content[4..]), NO_ERROR);
        while attacker.frame().is_some() {}
    }
    neighbour.asks();
    harness.expect_open(1);
}

#[test]
fn half_a_preface_that_stays_half() {
    let recipe = recipe().timeouts(|timeouts| timeouts.header = Some(Duration::from_millis(300)));
    let harness = recipe.start();
    let mut neighbour = Neighbour::of(&harness);
    let mut client = raw(harness.address);
    client.send(&PREFACE[..20]);
    client.read_to_close();
    neighbour.asks();
    harness.expect_outcomes(Reason::HeaderTimeout, 1);
}

/// Takes as long as SECURITY.md says: 10 s.
#[test]
fn security_27_settings_that_are_never_acknowledged() {
    let harness = recipe().start();
    let mut neighbour = Neighbour::of(&harness);
    let began = Instant::now();
    let mut attacker = Http2::silent(Client::connect(harness.address), &[]);
    attacker.expect_go_away(SETTINGS_TIMEOUT);
    assert!((9..19).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    neighbour.asks();
    harness.expect_outcomes(Reason::Http2SettingsTimeout, 1);
}

#[test]
fn more_streams_than_there_may_be_are_refused() {
    let most = Arc::new(AtomicU64::new(0));
    let recipe = slow(Arc::clone(&most)).limits(|limits| limits.http2_streams = 4);
    let (harness, mut attacker) = alone(recipe);
    let mut neighbour = Neighbour::of(&harness);
    attacker.send((0..10).flat_map(|n| get(2 * n + 1, "/slow")).collect::<Vec<_>>());
    let (mut refused, mut answered) = (0, 0);
    while refused + answered < 10 {
        let frame = attacker.frame_of(&[RST_STREAM, DATA]).expect("an end");
        if frame.kind == RST_STREAM {
            assert_eq!(code(&frame.content), REFUSED_STREAM);
            refused += 1;
        } else {
            answered += u32::from(frame.flags & END_STREAM != 0);
        }
    }
    assert_eq!((refused, answered, most.load(Ordering::SeqCst)), (6, 4, 4));
    neighbour.asks();
}

/// A reset makes no room for another request before its handler is gone: what comes in one breath
/// with the resets finds every handler still there.
#[test]
fn security_26_a_handler_that_runs_counts_though_its_stream_was_reset() {
    const STREAMS: u32 = 4;
    let (running, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let recipe = hanging(&running, &most).limits(|limits| limits.http2_streams = STREAMS as u16);
    let (harness, mut attacker) = alone(recipe);
    let mut neighbour = Neighbour::of(&harness);
    let is_running = |count: u32| eventually(|| running.load(Ordering::SeqCst) == u64::from(count));
    for turn in 0..3 {
        let first = 100 * turn + 1;
        let at = |n: u32| first + 2 * n;
        attacker.send((0..STREAMS).flat_map(|n| get(at(n), "/hangs")).collect::<Vec<_>>());
        assert!(is_running(STREAMS), "{}", running.load(Ordering::SeqCst));
        // One segment, so that all of it is read before any handler learns of its reset.
        let resets = (0..STREAMS).flat_map(|n| reset(at(n), CANCEL));
        let more = (STREAMS..2 * STREAMS).flat_map(|n| get(at(n), "/hangs"));
        attacker.send(resets.chain(more).collect::<Vec<_>>());
        for _ in 0..STREAMS {
            let end = attacker.frame_of(&[RST_STREAM, HEADERS, GOAWAY]).expect("a reset");
            assert_eq!((end.kind, code(&end.content)), (RST_STREAM, REFUSED_STREAM), "{end:?}");
        }
        assert!(is_running(0), "each was told in the end");
        // And now there is room.
        assert_eq!(attacker.get(at(2 * STREAMS), "/"), answer(200, "hello"));
        neighbour.asks();
    }
    assert_eq!(most.load(Ordering::SeqCst), u64::from(STREAMS));
    harness.expect_outcomes(Reason::Http2Refused, 3 * u64::from(STREAMS));
    harness.expect_outcomes(Reason::ClientClosed, 3 * u64::from(STREAMS));
}

/// A client that gives up has its handler dropped.
#[test]
fn a_handler_whose_stream_is_reset_is_dropped() {
    let dropped = Calls::default();
    let told = dropped.clone();
    let (harness, mut http2) = alone(recipe().route(
        "/waits",
        wait(move |exchange| {
            let told = Told(told.clone());
            Box::pin(async move {
                sleep(60_000).await;
                drop(told);
                Ok(text(exchange, b"never"))
            })
        }),
    ));
    http2.send(get(1, "/waits"));
    assert_eq!(http2.get(3, "/"), answer(200, "hello"));
    http2.send(reset(1, CANCEL));
    assert_eq!(http2.get(5, "/"), answer(200, "hello"));
    assert!(eventually(|| dropped.value() == 1));
    harness.expect_outcomes(Reason::ClientClosed, 1);
}

#[test]
fn a_body_that_drips_ends_its_stream() {
    let recipe = recipe().timeouts(|timeouts| {
        timeouts.body_idle = Some(Duration::from_millis(400));
    });
    let (harness, mut attacker) = alone(recipe);
    let mut neighbour = Neighbour::of(&harness);
    attacker.send(post(1, "/count", &[]));
    attacker.send(frame(DATA, 0, 1, b"x"));
    let end = attacker.end(1);
    assert!(matches!(end, End::Answer { status: 408, .. }), "{end:?}");
    assert_eq!(attacker.get(3, "/"), answer(200, "hello"));
    neighbour.asks();
    harness.expect_outcomes(Reason::BodyIdleTimeout, 1);
}

/// A peer may send no more than was granted: what a connection holds of bodies is bounded.
#[test]
fn security_29_windows_bound_what_bodies_hold() {
    let waits = wait(|exchange| {
        Box::pin(async move {
            sleep(60_000).await;
            Ok(text(exchange, b"never"))
        })
    });
    let (harness, mut attacker) = alone(recipe().route("/waits", waits));
    let mut neighbour = Neighbour::of(&harness);
    let piece = [0; 16 << 10];
    for n in 0..5 {
        let stream = 2 * n + 1;
        attacker.send(post(stream, "/waits", &[]));
        for _ in 0..4 {
            if !attacker.try_send(frame(DATA, 0, stream, &piece)) {
                break;
            }
        }
    }
    // The fifth stream's are beyond the connection's 256 KiB.
    let said = attacker.frame_of(&[GOAWAY]).expect("GOAWAY");
    assert_eq!(code(&said.content[4..]), crate::http2::FLOW_CONTROL_ERROR);
    neighbour.asks();
    harness.expect_open(1);
}

/// Bodies that nobody reads shut the window of the whole connection: another upload, which may not
/// go on then, is not slow.
#[test]
fn security_29_uploads_kept_waiting_by_others_are_not_late() {
    let waits = wait(|exchange| {
        Box::pin(async move {
            sleep(60_000).await;
            Ok(text(exchange, b"never"))
        })
    });
    let recipe = recipe().route("/waits", waits).timeouts(|timeouts| {
        timeouts.body_idle = Some(Duration::from_secs(1));
    });
    let (harness, mut http2) = alone(recipe);
    http2.send(post(9, "/count", &[]));
    let piece = [0; 16 << 10];
    for stream in [11, 13, 15, 17] {
        http2.send(post(stream, "/waits", &[]));
        (0..4).for_each(|_| http2.send(frame(DATA, 0, stream, &piece)));
    }
    std::thread::sleep(Duration::from_millis(2_500));
    for stream in [11, 13, 15, 17] {
        http2.send(reset(stream, CANCEL));
    }
    // It was opened once when the connection began.
    for _ in 0..2 {
        while http2.frame_of(&[0x8]).expect("the window opens").stream != 0 {}
    }
    http2.send(frame(DATA, END_STREAM, 9, b"at last"));
    assert_eq!(http2.end(9), answer(200, "7"));
    assert_eq!(harness.outcomes(Reason::BodyIdleTimeout), 0);
}

/// A client that asks for much before it saw our SETTINGS is told to ask again, and no more.
#[test]
fn requests_beyond_a_limit_that_was_not_known_yet_are_refused() {
    let recipe = recipe().limits(|limits| limits.http2_streams = 10);
    let (harness, _) = alone(recipe);
    let mut http2 = Http2::silent(Client::connect(harness.address), &[]);
    let asked: Vec<_> = (0..300).flat_map(|n| post(2 * n + 1, "/count", &[])).collect();
    http2.send(asked);
    let refused = (0..290).filter(|_| {
        let reset = http2.frame_of(&[RST_STREAM, GOAWAY]).expect("a reset");
        reset.kind == RST_STREAM && code(&reset.content) == REFUSED_STREAM
    });
    assert_eq!(refused.count(), 290);
    http2.send(frame(SETTINGS, ACK, 0, &[]));
    http2.send(frame(DATA, END_STREAM, 1, b"abc"));
    assert_eq!(http2.end(1), answer(200, "3"));
    harness.expect_outcomes(Reason::Http2Refused, 290);
}

/// The protocol answers heads that are far too large itself: they are counted, recorded, and errors
/// of the peer's.
#[test]
fn security_23_heads_far_too_large_are_recorded_and_not_for_ever() {
    let recipe = recipe().limits(|limits| limits.header_size = stead_base::ByteSize(1 << 10));
    let (harness, mut attacker) = alone(recipe);
    let mut neighbour = Neighbour::of(&harness);
    let value = "x".repeat(3 << 10);
    let block = block(&fields("GET", "/", &[("x-large", &value)]));
    let asks = |n: u32| frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &block);
    attacker.send(asks(0));
    assert!(matches!(attacker.end(1), End::Answer { status: 431, .. }));
    harness.expect_outcomes(Reason::HeaderTooLarge, 1);
    attacker.send(get(3, "/"));
    assert_eq!(attacker.end(3), answer(200, "hello"));
    flood(&mut attacker, |n| asks(n + 2));
    attacker.expect_go_away(ENHANCE_YOUR_CALM);
    neighbour.asks();
    harness.expect_outcomes(Reason::Http2Errors, 1);
}

/// A client that goes on asking after it was told that the connection ends.
#[test]
fn a_goodbye_that_is_not_heard() {
    let recipe = recipe().limits(|limits| limits.keepalive_requests = Some(1));
    let (harness, mut attacker) = alone(recipe);
    attacker.send(get(1, "/"));
    attacker.send(get(3, "/hang"));
    let first = attacker.frame_of(&[GOAWAY]).expect("GOAWAY");
    assert_eq!(code(&first.content[4..]), NO_ERROR);
    std::thread::sleep(Duration::from_millis(1_200));
    attacker.send(get(5, "/"));
    let refused = attacker.frame_of(&[RST_STREAM]).expect("a reset");
    assert_eq!((refused.stream, code(&refused.content)), (5, REFUSED_STREAM));
    attacker.send(reset(3, CANCEL));
    while attacker.frame().is_some() {}
    harness.expect_open(0);
}

/// Many large answers share what we hold for a peer: it reads, so that none of them is too slow.
#[test]
fn streams_that_wait_for_our_room_are_not_slow() {
    const STREAMS: u32 = 40;
    let recipe = recipe().timeouts(|timeouts| {
        timeouts.write_idle = Some(Duration::from_millis(500));
    });
    let harness = recipe.start();
    let settings = setting(INITIAL_WINDOW_SIZE, 0x7fff_ffff);
    let mut reader = Http2::with(Client::connect_narrow(harness.address), &settings);
    reader.send(window_update(0, 0x7fff_0000));
    for n in 0..STREAMS {
        reader.send(get(2 * n + 1, "/large"));
    }
    let mut taken = vec![0; STREAMS as usize];
    let began = Instant::now();
    // Far longer than a stream may wait, and until each had its turn.
    while began.elapsed() < Duration::from_secs(2) || taken.contains(&0) {
        let frame = reader.frame_of(&[DATA, RST_STREAM]).expect("a frame");
        assert_eq!(frame.kind, DATA, "stream {} was reset", frame.stream);
        taken[(frame.stream / 2) as usize] += frame.content.len();
        let (least, most) = (taken.iter().min().unwrap(), taken.iter().max().unwrap());
        assert!(*most <= 4 * least + (256 << 10), "{taken:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(harness.outcomes(Reason::WriteIdleTimeout), 0);
}

/// The connection's window opens slowly, and streams take their turns: together they are not slow.
#[test]
fn streams_that_wait_for_the_connections_window_are_not_slow() {
    let settings = setting(INITIAL_WINDOW_SIZE, 0x7fff_ffff);
    at_pace(|pace| {
        let limit = Some(Duration::from_secs(1));
        let harness = recipe().timeouts(|timeouts| timeouts.write_idle = limit).start();
        let mut reader = Http2::with(Client::connect(harness.address), &settings);
        for n in 0..60 {
            reader.send(get(2 * n + 1, "/large"));
        }
        for _ in 0..20 {
            pace.rest(Duration::from_millis(100), Duration::from_millis(400));
            // The connection may be over for who came too late.
            reader.try_send(window_update(0, 1_000));
        }
        match harness.outcomes(Reason::WriteIdleTimeout) {
            0 => {}
            slow => return Err(format!("{slow} too slow")),
        }
        // Once it stays shut, all of them are.
        harness.expect_outcomes(Reason::WriteIdleTimeout, 60);
        Ok(())
    });
}
