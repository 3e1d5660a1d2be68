//! The lines of SECURITY.md that the guard holds, each at its limit and one beyond it.

use proptest::prelude::*;

use super::*;
use crate::PREFACE;

const NOW: Tick = Tick::from_millis(1_000);
const LATER: Tick = Tick::from_millis(2_000);

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = (content.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(content);
    bytes
}

fn begun() -> Guard {
    let mut guard = Guard::new(NOW);
    guard.read(PREFACE, NOW).expect("the preface");
    guard.read(&frame(frames::SETTINGS, 0, 0, &[]), NOW).expect("settings");
    guard.work();
    guard
}

/// How many of these frames pass.
fn passes(guard: &mut Guard, now: Tick, mut next: impl FnMut(u32) -> Vec<u8>) -> (u32, Violation) {
    for count in 0..100_000 {
        if let Err(violation) = guard.read(&next(count), now) {
            return (count, violation);
        }
    }
    panic!("no end");
}

fn request(stream: u32) -> Vec<u8> {
    frame(frames::HEADERS, frames::END_HEADERS | frames::END_STREAM, stream, b"\x82")
}

fn reset(stream: u32) -> Vec<u8> {
    frame(frames::RST_STREAM, 0, stream, &[0; 4])
}

#[test]
fn security_24_header_blocks_are_bounded() {
    let block = |guard: &mut Guard, content: &[u8]| {
        guard.read(&frame(frames::HEADERS, 0, 1, content), NOW).expect("a block begins");
        passes(guard, NOW, |_| frame(frames::CONTINUATION, 0, 1, content))
    };
    assert_eq!(block(&mut begun(), b"x"), (8, Violation::HeaderBlock));
    assert_eq!(block(&mut begun(), &[0; 16 << 10]), (3, Violation::HeaderBlock));
    let mut guard = begun();
    for stream in [1, 3, 5] {
        guard.read(&frame(frames::HEADERS, 0, stream, b"x"), NOW).unwrap();
        for end in [0, 0, 0, 0, 0, 0, 0, frames::END_HEADERS] {
            guard.read(&frame(frames::CONTINUATION, end, stream, b"x"), NOW).unwrap();
        }
    }
}

#[test]
fn security_25_resets_before_the_answer_are_counted() {
    let pair = |count: u32| [request(2 * count + 1), reset(2 * count + 1)].concat();
    assert_eq!(passes(&mut begun(), NOW, pair), (20, Violation::Resets));
    // Ten a second are never too many in one, but are in a row.
    let mut guard = begun();
    let slowly = (0_u32..1_000).find(|count| {
        let now = Tick::from_millis(u64::from(count / 10) * 1_000);
        guard.read(&pair(*count), now).is_err()
    });
    assert_eq!(slowly, Some(100));
    let mut guard = begun();
    for count in 0..1_000 {
        let now = Tick::from_millis(u64::from(count / 10) * 1_000);
        guard.read(&pair(count), now).unwrap();
        if count % 90 == 0 {
            guard.completed();
        }
    }
}

#[test]
fn a_reset_of_what_is_answered_is_none() {
    let mut guard = begun();
    for count in 0..1_000 {
        let stream = 2 * count + 1;
        guard.read(&request(stream), NOW).unwrap();
        guard.answered(stream);
        guard.sent(1 << 10);
        guard.read(&reset(stream), NOW).unwrap();
    }
    // But many for nothing are a flood.
    let (passed, violation) = passes(&mut guard, NOW, |_| reset(1));
    assert_eq!((passed, violation), (49, Violation::Flood(Kind::Reset)));
}

fn wrote_reset(stream: u32, code: u32) -> Vec<u8> {
    frame(frames::RST_STREAM, 0, stream, &code.to_be_bytes())
}

#[test]
fn security_25_resets_that_we_must_send_are_counted() {
    const PROTOCOL_ERROR: u32 = 1;
    let mut guard = begun();
    for stream in 0..100 {
        guard.wrote(&wrote_reset(2 * stream + 1, PROTOCOL_ERROR)).unwrap();
        // Those of ours are none.
        guard.wrote(&wrote_reset(2 * stream + 1, CANCEL)).unwrap();
    }
    // An answered request excuses one.
    guard.completed();
    guard.wrote(&wrote_reset(201, PROTOCOL_ERROR)).unwrap();
    assert_eq!(guard.wrote(&wrote_reset(203, PROTOCOL_ERROR)), Err(Violation::Errors));
    assert_eq!(guard.read(b"", NOW), Err(Violation::Errors));
}

#[test]
fn refusals_of_a_limit_that_the_peer_cannot_know_are_no_errors() {
    let mut guard = begun();
    for stream in 0..400 {
        guard.read(&request(2 * stream + 1), NOW).unwrap();
    }
    guard.read(&frame(frames::SETTINGS, frames::ACK, 0, &[]), NOW).unwrap();
    for stream in 100..400 {
        guard.wrote(&wrote_reset(2 * stream + 1, REFUSED_STREAM)).unwrap();
    }
    assert_eq!(guard.take_untold(), Untold { heads: 0, refusals: 300 });
    for stream in 400..600 {
        guard.refused();
        guard.wrote(&wrote_reset(2 * stream + 1, REFUSED_STREAM)).unwrap();
    }
    assert_eq!(guard.take_untold(), Untold::default());
    let errors = (600..10_000)
        .find(|stream| guard.wrote(&wrote_reset(2 * stream + 1, REFUSED_STREAM)).is_err());
    assert_eq!(errors, Some(700));
}

#[test]
fn answers_that_the_protocol_gives_itself_are_errors_and_told() {
    let mut guard = begun();
    guard.read(&[request(1), request(3)].concat(), NOW).unwrap();
    guard.answered(1);
    guard.wrote(&request(1)).unwrap();
    assert_eq!(guard.take_untold(), Untold::default());
    guard.wrote(&request(3)).unwrap();
    assert_eq!(guard.take_untold(), Untold { heads: 1, refusals: 0 });
    let errors = (2_u32..10_000).find(|stream| {
        guard.read(&request(2 * stream + 1), NOW).unwrap();
        guard.wrote(&request(2 * stream + 1)).is_err()
    });
    assert_eq!(errors, Some(101));
}

#[test]
fn security_27_floods_of_each_kind_end() {
    let kinds = [
        (Kind::Ping, frame(frames::PING, 0, 0, &[0; 8])),
        (Kind::Ping, frame(frames::PING, frames::ACK, 0, &[0; 8])),
        (Kind::Settings, frame(frames::SETTINGS, 0, 0, &[])),
        (Kind::Settings, frame(frames::SETTINGS, frames::ACK, 0, &[])),
        (Kind::Priority, frame(frames::PRIORITY, 0, 1, &[0; 5])),
        (Kind::EmptyData, frame(frames::DATA, 0, 1, &[])),
        // Padding is no data.
        (Kind::EmptyData, frame(frames::DATA, 8, 1, &[3, 0, 0, 0])),
        (Kind::WindowUpdate, frame(frames::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        (Kind::Reset, reset(1)),
        (Kind::Other, frame(0x7, 0, 0, &[0; 8])),
        (Kind::Other, frame(0xbe, 0, 0, b"what")),
    ];
    for (kind, bytes) in kinds {
        let mut guard = begun();
        let again = |_| bytes.clone();
        // Work, and another second, and counts start anew.
        for _ in 0..2 {
            (0..50).for_each(|_| guard.read(&bytes, NOW).expect("not too many yet"));
            guard.work();
        }
        (0..50).for_each(|_| guard.read(&bytes, NOW).expect("not too many yet"));
        (0..50).for_each(|_| guard.read(&bytes, LATER).expect("another second"));
        assert_eq!(passes(&mut guard, LATER, again), (0, Violation::Flood(kind)));
    }
}

#[test]
fn security_27_window_updates_are_held_against_what_was_sent() {
    let update = |_| frame(frames::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    // A client that takes a megabyte, two frames for each 512 bytes of it.
    let mut guard = begun();
    for _ in 0..2_048 {
        guard.sent(512);
        guard.read(&update(0), NOW).unwrap();
        guard.read(&update(0), NOW).unwrap();
    }
    assert_eq!(passes(&mut guard, NOW, update).0, 50);
    // One that lets a byte through at a time.
    let mut guard = begun();
    let slow = (0..1_000).find(|_| {
        guard.sent(1);
        guard.read(&update(0), NOW).is_err()
    });
    assert_eq!(slow, Some(50));
    // However much was sent, or answered, there is an end to what it accounts for.
    let works: [fn(&mut Guard); 2] = [|guard| guard.sent(1 << 10), Guard::completed];
    for work in works {
        let mut guard = begun();
        (0..100_000).for_each(|_| work(&mut guard));
        let most = UPDATES_DUE_MAX + u32::from(FRAMES_PER_SECOND);
        assert_eq!(passes(&mut guard, NOW, update), (most, Violation::Flood(Kind::WindowUpdate)));
    }
}

fn windows_of(bytes: u32) -> Vec<u8> {
    frame(frames::SETTINGS, 0, 0, &[&[0, 3, 0, 0, 0, 9, 0, 4][..], &bytes.to_be_bytes()].concat())
}

/// Settings that open the windows of all streams by a byte, which we send: once they went on for
/// ever, each of our kilobytes excusing fifty.
#[test]
fn security_27_settings_that_move_windows_are_held_against_what_was_sent() {
    let dribble = |streams: u32, bytes: u32| {
        let mut guard = begun();
        guard.runs(streams);
        (0..10_000).find(|count| {
            let now = Tick::from_millis(u64::from(*count) * 50);
            guard.sent((streams * bytes) as usize);
            guard.read(&windows_of(bytes * count), now).is_err()
        })
    };
    assert_eq!(dribble(126, 1), Some(8));
    assert_eq!(dribble(126, 128), Some(16));
    assert_eq!(dribble(16, 1), Some(64));
    // Each byte of it was worth it, or nothing moves.
    assert_eq!(dribble(126, 256), None);
    assert_eq!(dribble(0, 1), None);
    let mut guard = begun();
    guard.runs(126);
    assert!((0..40).all(|_| guard.read(&windows_of(70_000), NOW).is_ok()));
    // Whoever measures the line moves them a few times.
    let mut guard = begun();
    guard.runs(100);
    assert_eq!(passes(&mut guard, NOW, windows_of).0, 10);
    assert_eq!(guard.read(&windows_of(1), LATER), Err(Violation::Flood(Kind::Settings)));
}

#[test]
fn the_connections_window_is_known_however_its_updates_are_cut() {
    let mut guard = begun();
    guard.sent(65_535);
    assert!(guard.is_shut());
    // That of a stream does not count.
    for byte in frame(frames::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 9]) {
        assert_eq!(guard.read(&[byte], NOW), Ok(()));
    }
    assert!(guard.is_shut());
    for byte in frame(frames::WINDOW_UPDATE, 0, 0, &[0x80, 0, 1, 0]) {
        assert_eq!(guard.read(&[byte], NOW), Ok(()));
    }
    assert!(!guard.is_shut());
    guard.sent(256);
    assert!(guard.is_shut());
    guard.unsent(1);
    assert!(!guard.is_shut());
}

#[test]
fn security_27_settings_are_acknowledged_in_time() {
    let mut guard = begun();
    let due = guard.due().expect("a deadline");
    assert_eq!(due - NOW, Duration::from_secs(10));
    assert_eq!(guard.tick(Tick::from_millis(10_999)), Ok(()));
    assert_eq!(guard.tick(due), Err(Violation::SettingsTimeout));
    let mut guard = begun();
    guard.read(&frame(frames::SETTINGS, frames::ACK, 0, &[]), NOW).unwrap();
    assert_eq!((guard.due(), guard.tick(Tick::from_millis(99_999))), (None, Ok(())));
}

#[test]
fn the_beginning_and_the_size_of_frames_are_as_they_must_be() {
    let first = |bytes: &[u8]| Guard::new(NOW).read(bytes, NOW);
    assert_eq!(first(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r"), Err(Violation::Preface));
    assert_eq!(first(b"GET / HTTP/1.1\r\n"), Err(Violation::Preface));
    let after = |bytes: &[u8]| first(&[PREFACE, bytes].concat());
    assert_eq!(after(&frame(frames::SETTINGS, frames::ACK, 0, &[])), Err(Violation::NoSettings));
    assert_eq!(after(&request(1)), Err(Violation::NoSettings));
    let settings = frame(frames::SETTINGS, 0, 0, &[0; 6]);
    assert_eq!(after(&[settings.clone(), request(1)].concat()), Ok(()));
    // The head alone tells that a frame is too large.
    let large = [settings, vec![0, 0x40, 1, 0, 0, 0, 0, 0, 1]].concat();
    assert_eq!(after(&large), Err(Violation::FrameTooLarge));
}

#[test]
fn requests_kept_in_mind_are_bounded() {
    let mut guard = begun();
    for count in 0..10_000 {
        guard.read(&request(2 * count + 1), NOW).unwrap();
    }
    assert_eq!(guard.unanswered.len(), UNANSWERED_MAX);
}

/// What a connection pays for its guard.
#[test]
fn a_guard_is_small() {
    assert!(size_of::<Guard>() <= 312, "{} bytes", size_of::<Guard>());
}

proptest! {
    #[test]
    fn cuts_do_not_change_what_is_found(
        frames in proptest::collection::vec(
            (0_u8..12, any::<u8>(), 0_u32..9, proptest::collection::vec(any::<u8>(), 0..40)),
            0..200,
        ),
        cuts in proptest::collection::vec(1_usize..60, 1..40),
    ) {
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(frames::SETTINGS, 0, 0, &[]));
        for (kind, flags, stream, content) in frames {
            bytes.extend(frame(kind, flags, stream, &content));
        }
        let whole = Guard::new(NOW).read(&bytes, NOW);
        let (mut guard, mut rest, mut cut) = (Guard::new(NOW), &bytes[..], cuts.iter().cycle());
        let mut found = Ok(());
        while !rest.is_empty() {
            let count = rest.len().min(*cut.next().expect("a cycle"));
            found = guard.read(&rest[..count], NOW);
            rest = &rest[count..];
        }
        prop_assert_eq!(found, whole);
    }

    #[test]
    fn any_bytes_have_a_verdict(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Guard::new(NOW).read(&bytes, NOW);
        let _ = Guard::new(NOW).read(&[PREFACE, &bytes[..]].concat(), NOW);
    }
}
