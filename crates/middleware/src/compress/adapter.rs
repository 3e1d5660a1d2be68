//! A body that is compressed as it is sent.
//!
//! Asked for a frame, it reads from the body inside until it has enough to give; where that has to
//! wait, whatever it gave so far is flushed out first, so that a slow stream arrives as it is made.
//! Trailers stay behind the content, an error cuts the body off.
//!
//! INVARIANT: each piece is compressed in a turn of the worker's ([`stead_core::Pace`]).

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use stead_core::{BodyStream, Fields, Frame, Result, Turn, Worker};

use super::encoder::Step;
use super::pool::Lent;
use super::source::Source;

/// Bytes given to the encoder at once, so that what it makes of them stays small.
const PIECE_BYTES: usize = 64 << 10;
/// Bytes gathered before they are given on, if more is to come at once.
const OUT_BYTES: usize = 16 << 10;
/// Bytes of input that are compressed at once.
const SHORT_BYTES: usize = 4 << 10;

/// A compressed body.
pub(super) struct Compressed {
    source: Source,
    lent: Lent,
    worker: Rc<Worker>,
    /// Read, not yet compressed.
    input: Bytes,
    /// What is to be done once `input` is compressed.
    step: Step,
    /// Compressed, not yet given on.
    out: Vec<u8>,
    /// Whether the encoder holds something that no flush has brought out.
    holds: bool,
    /// Whether every frame is flushed, also if the next is there.
    each: bool,
    trailers: Option<Fields>,
    turn: Turn,
}

impl Compressed {
    pub(super) fn new(source: Source, lent: Lent, each: bool, worker: Rc<Worker>) -> Self {
        Self {
            source,
            lent,
            worker,
            input: Bytes::new(),
            step: Step::Continue,
            out: Vec::new(),
            holds: false,
            each,
            trailers: None,
            turn: Turn::default(),
        }
    }

    /// Compresses a piece of the input; says whether a frame is to be given on.
    fn encode(&mut self) -> Result<bool> {
        let Some(encoder) = self.lent.encoder() else { return Ok(true) };
        let piece = self.input.len().min(PIECE_BYTES);
        let step = if piece == self.input.len() { self.step } else { Step::Continue };
        let mut left = self.input.get(..piece).unwrap_or_default();
        self.out.reserve(OUT_BYTES);
        let before = self.out.len();
        let is_done = encoder.encode(&mut left, step, &mut self.out)?;
        let taken = piece - left.len();
        self.lent.settle();
        self.input.advance(taken);
        self.worker.pace.took(taken);
        let counters = &self.worker.counters;
        counters.compress_bytes_in.add(taken as u64);
        counters.compress_bytes_out.add((self.out.len() - before) as u64);
        if is_done && self.input.is_empty() {
            match step {
                Step::Continue => {}
                Step::Flush => {
                    self.step = Step::Continue;
                    self.holds = false;
                    return Ok(true);
                }
                Step::Finish => {
                    self.lent.release();
                    return Ok(true);
                }
            }
        }
        Ok(self.out.len() >= OUT_BYTES)
    }

    /// Reads on; `Pending` where there is nothing to compress meanwhile.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        match self.source.poll_frame(context) {
            Poll::Ready(Some(Ok(Frame::Bytes(bytes)))) => {
                self.step = if self.each { Step::Flush } else { Step::Continue };
                self.holds |= !bytes.is_empty();
                self.input = bytes;
            }
            Poll::Ready(Some(Ok(Frame::Trailers(trailers)))) => {
                self.trailers = Some(trailers);
                self.step = Step::Finish;
            }
            Poll::Ready(Some(Err(error))) => {
                self.lent.release();
                return Poll::Ready(Err(error));
            }
            Poll::Ready(None) => self.step = Step::Finish,
            Poll::Pending if self.holds && self.source.waits_for_others() => {
                self.step = Step::Flush;
            }
            Poll::Pending => return Poll::Pending,
        }
        Poll::Ready(Ok(()))
    }
}

impl BodyStream for Compressed {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        while self.lent.encoder().is_some() {
            let result = if self.input.is_empty() && self.step == Step::Continue {
                match self.poll_read(context) {
                    Poll::Ready(result) => result.map(|()| false),
                    Poll::Pending => return Poll::Pending,
                }
            } else {
                // What is short, such as one event of a feed, need not queue behind what is long.
                if self.input.len() > SHORT_BYTES {
                    ready!(self.worker.pace.poll_turn(&mut self.turn, context));
                }
                self.encode()
            };
            match result {
                Ok(false) => {}
                Ok(true) if self.out.is_empty() => {}
                Ok(true) => {
                    let out = Bytes::from(std::mem::take(&mut self.out));
                    return Poll::Ready(Some(Ok(Frame::Bytes(out))));
                }
                Err(error) => {
                    self.lent.release();
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::Trailers(trailers))))
    }

    fn is_made_to_order(&self) -> bool {
        self.lent.is_held() && !self.source.waits_for_others()
    }
}

/// The body of an answer to HEAD: of a length that is not known, and never asked for.
pub(super) struct Unsent;

impl BodyStream for Unsent {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        Poll::Ready(None)
    }
}
