//! The guard of one connection.
//!
//! Lines of SECURITY.md: 24 (header blocks), 25 (resets), 27 (floods, SETTINGS without answer).
//! What it counts in a second starts anew a second after the first of its kind. Work excuses
//! chatter: a request that was answered, or a kilobyte of bodies either way, and every count of
//! frames starts anew. `WINDOW_UPDATE` is held against what was sent, because a client that reads
//! says so; so is SETTINGS that moves the windows of all streams, once for each of them, and what
//! we send starts that never anew.
//!
//! INVARIANT: what it finds does not depend on how the bytes were cut; after a violation it finds
//! the same one for ever.

use std::collections::VecDeque;
use std::time::Duration;

use stead_base::Tick;

use crate::FRAME_BYTES_MAX;
use crate::frames::{self, Found, Frames, Head};
use crate::violation::{Kind, Violation};
use crate::written::{Said, Written};

/// Counts what a peer does to one connection.
///
/// ```
/// use stead_base::Tick;
/// use stead_http2::{Guard, PREFACE, Violation};
///
/// let mut guard = Guard::new(Tick::from_millis(0));
/// assert_eq!(guard.read(PREFACE, Tick::from_millis(1)), Ok(()));
/// let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
/// assert_eq!(guard.read(&ping, Tick::from_millis(1)), Err(Violation::NoSettings));
/// ```
#[derive(Debug)]
pub struct Guard {
    frames: Frames,
    written: Written,
    /// The first frame was seen, and it was SETTINGS.
    has_begun: bool,
    /// CONTINUATION frames and encoded bytes of the header block under way.
    block: Option<(u8, u32)>,
    last_stream: u32,
    /// Requests whose answer has not begun, oldest first.
    unanswered: VecDeque<u32>,
    /// Resets of such requests, in this second and since the last answer.
    resets: PerSecond,
    resets_in_a_row: u8,
    /// Streams that we reset because the peer broke a rule, each answered request excusing one.
    errors: u8,
    /// The last stream that was begun before the peer knew our limits, and how many were refused.
    unknowing: (u32, u16),
    /// Streams that we refused and have not been written of yet: no fault of the peer's.
    refused: u16,
    untold: Untold,
    floods: [PerSecond; Kind::COUNT],
    /// Bytes of bodies since counts started anew.
    moved: u32,
    /// `WINDOW_UPDATE`s that are accounted for.
    updates_due: u32,
    /// Windows of streams that SETTINGS may move.
    moves_due: u32,
    /// Bytes sent that account for none yet.
    uncounted: u32,
    /// Streams that are open, and the window with which they begin.
    running: u32,
    first_window: u32,
    /// Bytes of bodies that the peer lets the whole connection send.
    window: i64,
    /// Bytes of bodies that the peer may send on the whole connection, and how often it could send
    /// none.
    granted: i64,
    shut: u32,
    /// When our SETTINGS must be acknowledged.
    settings_due: Option<Tick>,
    violation: Option<Violation>,
}

/// What the protocol did without a word to whoever carries the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Untold {
    /// Requests that it answered with 431: their field list was longer than it takes.
    pub heads: u32,
    /// Streams that it refused, being more than there may be.
    pub refusals: u32,
}

/// CONTINUATION frames of one header block.
const CONTINUATIONS_MAX: u8 = 8;
/// Encoded bytes of one header block.
const BLOCK_BYTES_MAX: u32 = 64 << 10;
/// Requests reset before their answer began, in a second.
const RESETS_PER_SECOND: u16 = 20;
/// The same without an answered request between them.
const RESETS_IN_A_ROW: u8 = 100;
/// Streams that we reset because the peer broke a rule.
const ERRORS_MAX: u8 = 100;
/// Frames of one kind in a second without work.
const FRAMES_PER_SECOND: u16 = 50;
/// Bytes of bodies that count as work.
const WORK_BYTES: u32 = 1 << 10;
/// Bytes sent that account for one `WINDOW_UPDATE`: clients send two for each frame of DATA, for
/// stream and connection, and some read by small pieces.
const BYTES_PER_UPDATE: u32 = 256;
/// `WINDOW_UPDATE`s that one answered request accounts for, however small its body.
const UPDATES_PER_REQUEST: u32 = 4;
/// `WINDOW_UPDATE`s that may be outstanding: those for 16 MiB in flight.
const UPDATES_DUE_MAX: u32 = 64 << 10;
/// Windows that SETTINGS may move before anything was sent: clients that measure the line change
/// their minds a few times.
const MOVES_FREE: u32 = 1024;
/// Windows of the connection and of streams at first (RFC 9113 §6.9.2).
const FIRST_WINDOW_BYTES: u32 = 65_535;
/// Requests that are kept in mind; older ones are no longer counted when they are reset. More than
/// any limit on streams: those that are refused at once are among them for a moment.
const UNANSWERED_MAX: usize = 1024;
/// How long SETTINGS may stay unacknowledged.
const SETTINGS_WITHIN: Duration = Duration::from_secs(10);
/// Streams beyond the limit that a peer may have begun before it knew of that.
const UNKNOWING_MAX: u16 = 1024;

/// Codes of resets (RFC 9113 §7): those for which the peer is not to blame, and the one for which
/// it may be.
const NO_ERROR: u32 = 0x0;
const INTERNAL_ERROR: u32 = 0x2;
const REFUSED_STREAM: u32 = 0x7;
const CANCEL: u32 = 0x8;

impl Guard {
    /// The guard of a connection that begins: the peer's preface has not been read, our SETTINGS
    /// leave now.
    pub fn new(now: Tick) -> Self {
        Self {
            frames: Frames::new(),
            written: Written::default(),
            has_begun: false,
            block: None,
            last_stream: 0,
            unanswered: VecDeque::new(),
            resets: PerSecond::default(),
            resets_in_a_row: 0,
            errors: 0,
            unknowing: (u32::MAX, 0),
            refused: 0,
            untold: Untold::default(),
            floods: Default::default(),
            moved: 0,
            updates_due: 0,
            moves_due: MOVES_FREE,
            uncounted: 0,
            running: 0,
            first_window: FIRST_WINDOW_BYTES,
            window: FIRST_WINDOW_BYTES.into(),
            granted: FIRST_WINDOW_BYTES.into(),
            shut: 0,
            settings_due: Some(now + SETTINGS_WITHIN),
            violation: None,
        }
    }

    /// Looks at bytes of the peer, in the order in which they came.
    ///
    /// # Errors
    /// The line that was crossed: what was read must not be acted upon.
    pub fn read(&mut self, mut bytes: &[u8], now: Tick) -> Result<(), Violation> {
        self.intact()?;
        loop {
            let judged = match self.frames.next(&mut bytes) {
                Found::Nothing => return Ok(()),
                Found::BadPreface => Err(Violation::Preface),
                Found::Frame(head) => self.frame(head, now),
                Found::Data(head, data) => self.data(head, data, now),
                Found::Opened(bytes) => {
                    self.window = self.window.saturating_add(bytes.into());
                    Ok(())
                }
                Found::Began(bytes) => self.windows_move(bytes),
            };
            self.keep(judged)?;
        }
    }

    /// Says that time has passed.
    ///
    /// # Errors
    /// Our SETTINGS were not acknowledged in time.
    pub fn tick(&mut self, now: Tick) -> Result<(), Violation> {
        self.intact()?;
        let is_late = self.settings_due.is_some_and(|due| now >= due);
        self.keep(if is_late { Err(Violation::SettingsTimeout) } else { Ok(()) })
    }

    /// When [`Guard::tick`] is to be called.
    pub fn due(&self) -> Option<Tick> {
        self.settings_due
    }

    /// The answer of a request has begun: its reset is no longer premature.
    pub fn answered(&mut self, stream: u32) {
        if let Some(at) = self.unanswered.iter().position(|open| *open == stream) {
            self.unanswered.remove(at);
        }
    }

    /// A request was answered whole.
    pub fn completed(&mut self) {
        self.resets_in_a_row = 0;
        // A proxy brings many users, and some of them are always wrong.
        self.errors = self.errors.saturating_sub(1);
        self.account(UPDATES_PER_REQUEST);
        self.work();
    }

    /// So many streams are open.
    pub fn runs(&mut self, streams: u32) {
        self.running = streams;
    }

    /// So many bytes of bodies were sent.
    pub fn sent(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.window = self.window.saturating_sub(bytes.into());
        let uncounted = bytes.saturating_add(self.uncounted);
        self.uncounted = uncounted % BYTES_PER_UPDATE;
        self.account(uncounted / BYTES_PER_UPDATE);
        self.moved(bytes);
    }

    /// So many bytes that were said to be sent will never be: their stream was reset.
    pub fn unsent(&mut self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.window = self.window.saturating_add(bytes);
    }

    /// Whether the window of the whole connection is shut: no stream's fault.
    pub fn is_shut(&self) -> bool {
        self.window <= 0
    }

    /// Whether a header block is under way: what is wrong now is wrong with it.
    pub fn is_in_block(&self) -> bool {
        self.block.is_some()
    }

    /// A stream will be reset for a limit that the peer cannot know: that is no fault of its.
    pub fn refused(&mut self) {
        self.refused = self.refused.saturating_add(1);
    }

    /// Looks at bytes that we send, in their order: streams that are reset because the peer broke a
    /// rule, whoever found it, are its errors.
    ///
    /// # Errors
    /// There was one too many.
    pub fn wrote(&mut self, mut bytes: &[u8]) -> Result<(), Violation> {
        while let Some(said) = self.written.next(&mut bytes) {
            let is_error = match said {
                Said::Grant(bytes) => {
                    self.granted = self.granted.saturating_add(bytes.into());
                    false
                }
                Said::Answer(stream) => self.is_untold_answer(stream),
                Said::Reset(stream, REFUSED_STREAM) => self.is_beyond_known_limit(stream),
                Said::Reset(_, code) => !matches!(code, NO_ERROR | INTERNAL_ERROR | CANCEL),
            };
            if is_error {
                self.errors = self.errors.saturating_add(1);
            }
        }
        self.intact()?;
        self.keep(if self.errors > ERRORS_MAX { Err(Violation::Errors) } else { Ok(()) })
    }

    /// Whether the peer may send no bytes of bodies now because nobody reads those that it sent,
    /// and how often that came about.
    pub fn is_kept_waiting(&self) -> (bool, u32) {
        (self.granted <= 0, self.shut)
    }

    /// What the protocol did since this was asked last.
    pub fn take_untold(&mut self) -> Untold {
        std::mem::take(&mut self.untold)
    }

    /// Whether the protocol answered a request that it never showed: its head was far too large.
    fn is_untold_answer(&mut self, stream: u32) -> bool {
        let is_untold = self.unanswered.contains(&stream);
        if is_untold {
            self.answered(stream);
            self.untold.heads += 1;
        }
        is_untold
    }

    /// Whether a refused stream was one too many for a peer that knew how many there may be.
    fn is_beyond_known_limit(&mut self, stream: u32) -> bool {
        if let Some(refused) = self.refused.checked_sub(1) {
            self.refused = refused;
            return false;
        }
        self.untold.refusals += 1;
        let (last, count) = &mut self.unknowing;
        let is_unknowing = stream <= *last && *count < UNKNOWING_MAX;
        *count += u16::from(is_unknowing);
        !is_unknowing
    }

    fn intact(&self) -> Result<(), Violation> {
        self.violation.map_or(Ok(()), Err)
    }

    fn keep(&mut self, judged: Result<(), Violation>) -> Result<(), Violation> {
        self.violation = judged.err();
        judged
    }

    fn frame(&mut self, head: Head, now: Tick) -> Result<(), Violation> {
        self.begins(head)?;
        match head.kind {
            frames::HEADERS | frames::PUSH_PROMISE => {
                self.headers(head);
                Ok(())
            }
            frames::CONTINUATION => self.continuation(head),
            frames::RST_STREAM => self.reset(head.stream, now),
            frames::SETTINGS => {
                if head.has(frames::ACK) && self.settings_due.take().is_some() {
                    self.unknowing.0 = self.last_stream;
                }
                self.count(Kind::Settings, now)
            }
            frames::PING => self.count(Kind::Ping, now),
            frames::PRIORITY => self.count(Kind::Priority, now),
            frames::WINDOW_UPDATE => match self.updates_due.checked_sub(1) {
                Some(due) => {
                    self.updates_due = due;
                    Ok(())
                }
                None => self.count(Kind::WindowUpdate, now),
            },
            _ => self.count(Kind::Other, now),
        }
    }

    fn data(&mut self, head: Head, data: u32, now: Tick) -> Result<(), Violation> {
        self.begins(head)?;
        let before = self.granted;
        self.granted = before.saturating_sub(head.length.into());
        if before > 0 && self.granted <= 0 {
            self.shut = self.shut.wrapping_add(1);
        }
        self.moved(data);
        let is_empty = data == 0 && !head.has(frames::END_STREAM);
        if is_empty { self.count(Kind::EmptyData, now) } else { Ok(()) }
    }

    /// The window with which streams begin is another: each of those that there are may send more.
    fn windows_move(&mut self, bytes: u32) -> Result<(), Violation> {
        if std::mem::replace(&mut self.first_window, bytes) == bytes {
            return Ok(());
        }
        let due = self.moves_due.checked_sub(self.running);
        self.moves_due = due.ok_or(Violation::Flood(Kind::Settings))?;
        Ok(())
    }

    /// What was sent accounts for so many windows that open.
    fn account(&mut self, updates: u32) {
        for due in [&mut self.updates_due, &mut self.moves_due] {
            *due = due.saturating_add(updates).min(UPDATES_DUE_MAX);
        }
    }

    /// What holds for every frame.
    fn begins(&mut self, head: Head) -> Result<(), Violation> {
        if head.length > FRAME_BYTES_MAX {
            return Err(Violation::FrameTooLarge);
        }
        let is_settings = head.kind == frames::SETTINGS && !head.has(frames::ACK);
        if !std::mem::replace(&mut self.has_begun, true) && !is_settings {
            return Err(Violation::NoSettings);
        }
        Ok(())
    }

    fn headers(&mut self, head: Head) {
        if head.stream > self.last_stream {
            self.last_stream = head.stream;
            if self.unanswered.len() >= UNANSWERED_MAX {
                self.unanswered.pop_front();
            }
            self.unanswered.push_back(head.stream);
        }
        self.block = (!head.has(frames::END_HEADERS)).then_some((0, head.length));
    }

    fn continuation(&mut self, head: Head) -> Result<(), Violation> {
        // One that nothing began is the protocol's affair.
        let Some((frames, bytes)) = self.block else { return Ok(()) };
        let (frames, bytes) = (frames + 1, bytes + head.length);
        if frames > CONTINUATIONS_MAX || bytes > BLOCK_BYTES_MAX {
            return Err(Violation::HeaderBlock);
        }
        self.block = (!head.has(frames::END_HEADERS)).then_some((frames, bytes));
        Ok(())
    }

    fn reset(&mut self, stream: u32, now: Tick) -> Result<(), Violation> {
        let Some(at) = self.unanswered.iter().position(|open| *open == stream) else {
            return self.count(Kind::Reset, now);
        };
        self.unanswered.remove(at);
        self.resets_in_a_row = self.resets_in_a_row.saturating_add(1);
        let in_a_second = self.resets.count(now);
        if in_a_second > RESETS_PER_SECOND || self.resets_in_a_row > RESETS_IN_A_ROW {
            return Err(Violation::Resets);
        }
        Ok(())
    }

    fn count(&mut self, kind: Kind, now: Tick) -> Result<(), Violation> {
        let counted = self.floods.get_mut(kind as usize).map_or(0, |flood| flood.count(now));
        if counted > FRAMES_PER_SECOND { Err(Violation::Flood(kind)) } else { Ok(()) }
    }

    fn moved(&mut self, bytes: u32) {
        self.moved = self.moved.saturating_add(bytes);
        if self.moved >= WORK_BYTES {
            self.work();
        }
    }

    fn work(&mut self) {
        self.moved = 0;
        self.floods = Default::default();
    }
}

/// How often something happened in a second.
#[derive(Clone, Copy, Debug, Default)]
struct PerSecond {
    began: Tick,
    count: u16,
}

impl PerSecond {
    fn count(&mut self, now: Tick) -> u16 {
        if self.count == 0 || now - self.began >= Duration::from_secs(1) {
            *self = Self { began: now, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}

#[cfg(test)]
mod tests;
