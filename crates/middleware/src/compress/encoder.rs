//! The three codings behind one face: bytes in, bytes out, flush, finish.
//!
//! A context is large and is made once, then begun again for each body. Whatever a body was cut off
//! in the middle of is forgotten by [`Encoder::rest`] and [`Encoder::begin`].
//!
//! INVARIANT: windows stay at or below 8 MiB, the most that browsers take (RFC 8878 §3.1.1.1.2,
//! RFC 9659), and at 128 KiB where the length of the content is not known, so that a stream that
//! says little holds little.

use brotli::enc::encode::{
    BrotliEncoderDestroyInstance, BrotliEncoderOperation, BrotliEncoderStateStruct,
};
use flate2::{Compress, Compression, FlushCompress, Status};
use stead_core::{Error, Result};
use stead_http1::coding::Coding;
use zstd::zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ResetDirective, zstd_sys};

use super::memory::{Memory, Shelf};
use super::pool::Levels;

/// What follows the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// More input.
    Continue,
    /// More input, but a reader must be able to decode all so far.
    Flush,
    /// Nothing.
    Finish,
}

/// A context of one coding.
pub(super) enum Encoder {
    Gzip(Compress),
    Brotli(Box<Brotli>),
    Zstd(CCtx<'static>),
}

/// A context of brotli, which is made anew for each body, of the same memory.
pub(super) struct Brotli {
    state: BrotliEncoderStateStruct<Memory>,
    memory: Memory,
    level: u8,
}

/// What a context of gzip holds, at any level: its window twice, hash tables, symbols.
const GZIP_BYTES: usize = 384 << 10;
/// Base-2 logarithm of the window where the length is not known.
const WINDOW_LOG: u32 = 17;

/// The same for brotli where the length is known, at most.
const BROTLI_WINDOW_LOG_MAX: u32 = 19;
/// From 1 MiB on brotli's hash tables are four times as large.
const BROTLI_HINT_MAX: u64 = (1 << 20) - 1;

impl Encoder {
    pub(super) fn new(coding: Coding, levels: Levels, shelf: &Shelf) -> Result<Self> {
        Ok(match coding {
            Coding::Gzip => {
                Self::Gzip(Compress::new_gzip(Compression::new(levels.gzip.into()), 15))
            }
            Coding::Brotli => Self::Brotli(Box::new(Brotli::new(levels.br, shelf))),
            Coding::Zstd => {
                let mut context =
                    CCtx::try_create().ok_or_else(|| Error::internal("no memory for zstd"))?;
                let level = CParameter::CompressionLevel(levels.zstd.into());
                context.set_parameter(level).map_err(zstd_failed)?;
                Self::Zstd(context)
            }
        })
    }

    /// Which coding it is of.
    pub(super) fn coding(&self) -> Coding {
        match self {
            Self::Gzip(_) => Coding::Gzip,
            Self::Brotli(_) => Coding::Brotli,
            Self::Zstd(_) => Coding::Zstd,
        }
    }

    /// Forgets what came before; `length` is that of what comes, where known.
    pub(super) fn begin(&mut self, length: Option<u64>) -> Result<()> {
        match self {
            Self::Gzip(context) => context.reset(),
            Self::Brotli(brotli) => brotli.begin(length),
            Self::Zstd(context) => {
                context.reset(ResetDirective::SessionOnly).map_err(zstd_failed)?;
                // 0: as level and length suggest, at levels up to 12 no more than 4 MiB.
                let window_log = if length.is_some() { 0 } else { WINDOW_LOG };
                context.set_parameter(CParameter::WindowLog(window_log)).map_err(zstd_failed)?;
                context.set_pledged_src_size(length).map_err(zstd_failed)?;
            }
        }
        Ok(())
    }

    /// Gives back what it needs for a body only; the next call is [`Self::begin`].
    pub(super) fn rest(&mut self) {
        if let Self::Brotli(brotli) = self {
            brotli.rest();
        }
    }

    /// Bytes that it holds now.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Gzip(_) => GZIP_BYTES,
            Self::Brotli(brotli) => size_of::<Brotli>() + brotli.memory.lent_bytes(),
            Self::Zstd(context) => context.sizeof(),
        }
    }

    /// Bytes that one will hold, about, once it has begun to compress so much.
    pub(super) fn expected_bytes(coding: Coding, levels: Levels, length: Option<u64>) -> usize {
        match coding {
            Coding::Gzip => GZIP_BYTES,
            // The hash table, of 2 MiB at level 6, is four times as large at 7 and then doubles.
            Coding::Brotli => match levels.br {
                ..=5 => 5 << 20,
                6 => 6 << 20,
                level => (4 << 20) + (8 << 20 << (level.min(9) - 7)),
            },
            Coding::Zstd if length.is_none() => 2 << 20,
            Coding::Zstd => match levels.zstd {
                ..=4 => 4 << 20,
                5..=8 => 16 << 20,
                _ => 64 << 20,
            },
        }
    }

    /// What decides how much brotli holds: the window's logarithm, and the length it reckons with.
    #[cfg(test)]
    pub(super) fn brotli_size(&self) -> Option<(i32, usize)> {
        match self {
            Self::Brotli(brotli) => {
                Some((brotli.state.params.lgwin, brotli.state.params.size_hint))
            }
            _ => None,
        }
    }

    /// Takes from `input` and adds to `out`, which has some spare room. `true` once `input` is
    /// taken and what `step` demands is in `out`; until then it is to be called again.
    pub(super) fn encode(
        &mut self,
        input: &mut &[u8],
        step: Step,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        match self {
            Self::Gzip(context) => gzip(context, input, step, out),
            Self::Brotli(brotli) => brotli.encode(input, step, out),
            Self::Zstd(context) => zstd(context, input, step, out),
        }
    }
}

fn gzip(context: &mut Compress, input: &mut &[u8], step: Step, out: &mut Vec<u8>) -> Result<bool> {
    let flush = match step {
        Step::Continue => FlushCompress::None,
        Step::Flush => FlushCompress::Sync,
        Step::Finish => FlushCompress::Finish,
    };
    let before = context.total_in();
    let status = context
        .compress_vec(input, out, flush)
        .map_err(|error| Error::internal("gzip").with_source(error))?;
    advance(input, (context.total_in() - before) as usize);
    let has_room = out.len() < out.capacity();
    Ok(match step {
        Step::Finish => status == Status::StreamEnd,
        Step::Continue | Step::Flush => input.is_empty() && has_room,
    })
}

impl Brotli {
    fn new(level: u8, shelf: &Shelf) -> Self {
        let memory = Memory::of(shelf);
        Self { state: BrotliEncoderStateStruct::new(memory.clone()), memory, level }
    }

    fn rest(&mut self) {
        BrotliEncoderDestroyInstance(&mut self.state);
        self.state = BrotliEncoderStateStruct::new(self.memory.clone());
    }

    fn begin(&mut self, length: Option<u64>) {
        let params = &mut self.state.params;
        params.quality = self.level.into();
        params.lgwin = WINDOW_LOG as i32;
        if let Some(length) = length {
            // The smallest window that holds all; 16 selects a slower search. SECURITY: with 4 MiB
            // a context held 15 MiB, with 512 KiB it holds 4.6, for 4 % more bytes of a large text.
            let log = length.max(1).next_power_of_two().trailing_zeros();
            params.lgwin = log.clamp(17, BROTLI_WINDOW_LOG_MAX) as i32;
            params.size_hint = length.min(BROTLI_HINT_MAX) as usize;
        }
    }

    fn encode(&mut self, input: &mut &[u8], step: Step, out: &mut Vec<u8>) -> Result<bool> {
        let operation = match step {
            Step::Continue => BrotliEncoderOperation::BROTLI_OPERATION_PROCESS,
            Step::Flush => BrotliEncoderOperation::BROTLI_OPERATION_FLUSH,
            Step::Finish => BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
        };
        let (mut left, mut taken) = (input.len(), 0);
        let (mut room, mut written) = (0, 0);
        let is_fine = self.state.compress_stream(
            operation,
            &mut left,
            input,
            &mut taken,
            &mut room,
            &mut [],
            &mut written,
            &mut None,
            &mut |_, _, _, _| (),
        );
        if !is_fine {
            return Err(Error::internal("brotli"));
        }
        advance(input, taken);
        let mut size = 0;
        // The slice goes on beyond what was written.
        let made = self.state.take_output(&mut size);
        out.extend_from_slice(made.get(..size).unwrap_or_default());
        let is_done = input.is_empty() && !self.state.has_more_output();
        Ok(is_done && (step != Step::Finish || self.state.is_finished()))
    }
}

fn zstd(
    context: &mut CCtx<'static>,
    input: &mut &[u8],
    step: Step,
    out: &mut Vec<u8>,
) -> Result<bool> {
    let end = match step {
        Step::Continue => zstd_sys::ZSTD_EndDirective::ZSTD_e_continue,
        Step::Flush => zstd_sys::ZSTD_EndDirective::ZSTD_e_flush,
        Step::Finish => zstd_sys::ZSTD_EndDirective::ZSTD_e_end,
    };
    let mut source = InBuffer::around(input);
    let start = out.len();
    let mut sink = OutBuffer::around_pos(out, start);
    let left = context.compress_stream2(&mut sink, &mut source, end).map_err(zstd_failed)?;
    let taken = source.pos();
    advance(input, taken);
    Ok(input.is_empty() && (step == Step::Continue || left == 0))
}

fn zstd_failed(code: usize) -> Error {
    Error::internal(format!("zstd: {}", zstd::zstd_safe::get_error_name(code)))
}

fn advance(input: &mut &[u8], count: usize) {
    *input = input.get(count..).unwrap_or_default();
}
