//! Compresses answers: zstd, brotli or gzip, whichever the client takes.
//!
//! # What
//! An answer whose type is worth it leaves in the first of `codings` that `Accept-Encoding` takes,
//! by the client's weights where it gives any. Small content that is at hand is compressed at once
//! and has its `Content-Length`; files and streams are compressed as they are sent, and what a slow
//! stream has so far is always sent on.
//!
//! # Why
//! Text shrinks to a fifth or less.
//!
//! # Example
//! ```toml
//! compress = { minimum = "1KiB", levels = { zstd = 3, br = 5, gzip = 5 } }
//! ```
//!
//! # Never compressed
//! - What is coded already (`Content-Encoding`): a precompressed file is sent as it is.
//! - What says `Cache-Control: no-transform`; parts of a file (`Content-Range`, 206); 204 and 304.
//! - What is smaller than `minimum`, or of a type that is not listed. A pattern such as `image/*`
//!   does not take in types that are compressed by nature (PNG, video, archives); a name does.
//! - Event streams, unless `event_stream = true`: then each event leaves at once.
//!
//! # Secrets
//! The length of a compressed answer tells something of its content: who can have a browser send
//! requests of their making, and sees lengths, finds out a secret that stands beside what they sent
//! (BREACH). So these stay as they are, unless `secrets = true`: answers that set cookies, and
//! answers to requests that come from another site with cookies or `Authorization` and are not a
//! click of the user (`Sec-Fetch-Site`, `Sec-Fetch-User`).
//!
//! # Caches and conditions
//! `Vary` names `Accept-Encoding` wherever it made a difference. A strong `ETag` becomes a weak
//! one, because the same content may be compressed to other bytes the next time; `If-None-Match`
//! compares weakly, so that 304 works as before, and `If-Match` of a changing request is given its
//! strong form back. `Accept-Ranges` and digests of the content are taken out.
//!
//! # Limits
//! A stream holds a context while it is sent: about 0.4 MiB for gzip, 1 to 4 MiB for zstd and 3 to
//! 5 MiB for brotli at the default levels, and many times that at zstd's and brotli's highest. In
//! all of the process there are at most 128 for each worker, and together they hold at most a
//! sixteenth of its memory and 64 MiB for each worker. A stream that finds no room leaves in the
//! next coding that the client takes, or as it is. While memory or places for connections are
//! tight streams get gzip only, while they are scarce none. Some contexts are kept for reuse until
//! the worker is quiet.
//!
//! All streams and answers of a worker together are compressed in turns of 128 KiB, after each of
//! which it looks at its other connections; content of up to 256 KiB is one piece, and of up to
//! 16 KiB waits for no turn.
//!
//! # RFC
//! RFC 9110 §8.4, §8.8.3, §12.5.3; RFC 1952 (gzip), RFC 7932 (brotli), RFC 8878 (zstd).

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;

use stead_config::{ByteSize, Config, Diagnostic, Diagnostics, Settings, Spanned, module_docs};
use stead_core::{
    Body, BuildContext, Exchange, Flow, LocalKey, Method, Middleware, MiddlewareKind, Turn, Worker,
};
use stead_http1::coding::{Coding, Wish};
use stead_sys::file;

use self::adapter::{Compressed, Unsent};
use self::pool::{Levels, Pool, Streams};
use self::source::Source;
use self::types::Types;

mod adapter;
mod encoder;
mod fields;
mod memory;
mod pool;
mod rules;
mod source;
mod types;

#[cfg(test)]
mod tests;

/// The kind `compress`.
pub const KIND: MiddlewareKind = MiddlewareKind::new("compress", build)
    .summary("compress answers: zstd, brotli, gzip")
    .docs(module_docs!("compress.rs"))
    .example(r#"compress = { minimum = "1KiB", levels = { zstd = 3, br = 5, gzip = 5 } }"#)
    .settings::<CompressConfig>();

/// Settings of `compress`. All apply at start.
#[derive(Config)]
struct CompressConfig {
    /// What may be chosen; of those that a client likes equally, the first. zstd leads because it
    /// takes a quarter of the others' time for a tenth more bytes.
    #[config(default = ["zstd", "br", "gzip"])]
    codings: Vec<Spanned<CodingName>>,
    /// How hard to try.
    #[config(default)]
    levels: LevelsConfig,
    /// Content that is known to be smaller stays as it is: it fits into one packet either way.
    #[config(default = "1KiB", range = "0B"..="1GiB")]
    minimum: ByteSize,
    /// What is compressed, in place of the built-in list (text, JSON, JavaScript, XML, SVG,
    /// WebAssembly, fonts that are not compressed, and such): `"text/html"`, `"text/*"`, `"*+json"`
    /// or `"*/*"`.
    types: Option<Vec<Spanned<String>>>,
    /// Whether event streams (`text/event-stream`) are compressed too, each event by itself.
    #[config(default = false)]
    event_stream: bool,
    /// Whether answers are compressed that may hold secrets beside what an attacker chose.
    #[config(default = false)]
    secrets: bool,
}

/// A content coding.
#[derive(Clone, Copy, Config, PartialEq, Eq)]
enum CodingName {
    /// Zstandard.
    Zstd,
    /// Brotli.
    Br,
    /// gzip.
    Gzip,
}

/// How hard each coding tries: from little time to few bytes.
#[derive(Config)]
struct LevelsConfig {
    /// Of zstd. 3 is its own default; levels beyond 12 are for files compressed once.
    #[config(default = 3, range = 1..=12)]
    zstd: u8,
    /// Of brotli. 5 is the first that is smaller than gzip; 10 and 11 are for files compressed
    /// once.
    #[config(default = 5, range = 0..=9)]
    br: u8,
    /// Of gzip. Beyond 5 each level costs more than it saves.
    #[config(default = 5, range = 1..=9)]
    gzip: u8,
}

struct Compress {
    codings: Box<[Coding]>,
    levels: Levels,
    minimum: u64,
    types: Types,
    secrets: bool,
    pool: LocalKey<Pool>,
    streams: Arc<Streams>,
}

/// Content up to this, if it is at hand, is compressed at once: in one piece.
const AT_ONCE_MAX: u64 = 256 << 10;
/// Content up to this is compressed out of turn.
const SHORT_MAX: u64 = 16 << 10;

fn build(
    settings: &Settings,
    context: &BuildContext<'_>,
) -> Result<Box<dyn Middleware>, Diagnostics> {
    let config: CompressConfig = settings.decode()?;
    let mut wrong = Diagnostics::new();
    if config.codings.is_empty() {
        let error = Diagnostic::error(settings.span(), "`codings` lists none");
        wrong.push(error.help("write one of `zstd`, `br` and `gzip`, or take `compress` out"));
    }
    let codings = codings(&config.codings, &mut wrong);
    let types = match &config.types {
        None => Types::usual(config.event_stream),
        Some(patterns) => Types::build(patterns, config.event_stream, &mut wrong),
    };
    if wrong.has_errors() {
        return Err(wrong);
    }
    let LevelsConfig { zstd, br, gzip } = config.levels;
    Ok(Box::new(Compress {
        codings,
        levels: Levels { zstd, br, gzip },
        minimum: config.minimum.0,
        types,
        secrets: config.secrets,
        pool: context.scratch(),
        streams: context.process().shared.value(),
    }))
}

fn codings(names: &[Spanned<CodingName>], wrong: &mut Diagnostics) -> Box<[Coding]> {
    for (index, name) in names.iter().enumerate() {
        if names[..index].iter().any(|earlier| earlier.value == name.value) {
            wrong.push(
                Diagnostic::error(name.span, "this coding is listed twice").help("take it out"),
            );
        }
    }
    let coding = |name: &Spanned<CodingName>| match name.value {
        CodingName::Zstd => Coding::Zstd,
        CodingName::Br => Coding::Brotli,
        CodingName::Gzip => Coding::Gzip,
    };
    names.iter().map(coding).collect()
}

impl Middleware for Compress {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        if !matches!(*exchange.method(), Method::GET | Method::HEAD) {
            fields::strengthen_if_match(exchange.fields_mut());
        }
        Flow::Continue
    }

    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        let Some(response) = exchange.response() else { return Flow::Continue };
        if response.status == stead_core::StatusCode::NOT_MODIFIED {
            fields::mark_not_modified(exchange);
        } else if self.is_worth_it(response) {
            let wish = self.choose(exchange);
            let worker = Rc::clone(exchange.worker());
            let is_head = *exchange.method() == Method::HEAD;
            if let Some(response) = exchange.response_mut() {
                fields::vary(&mut response.fields);
                let Some(wish) = wish else { return Flow::Continue };
                if !is_head && is_long(&response.body) && !worker.pace.is_open() {
                    return Flow::Wait(Box::pin(self.compress_in_turn(exchange, wish)));
                }
                self.compress(&worker, response, wish, is_head);
            }
        } else if self.is_part_of_it(response)
            && let Some(response) = exchange.response_mut()
        {
            fields::vary(&mut response.fields);
        }
        Flow::Continue
    }
}

impl Compress {
    /// The codings that the client may get.
    fn choose(&self, exchange: &Exchange) -> Option<Wish> {
        let wish = Wish::among(exchange.fields(), &self.codings);
        wish.codings().next()?;
        (self.secrets || !rules::may_tell_secrets(exchange)).then_some(wish)
    }

    /// The same as [`Self::compress`], once others have had their turn.
    async fn compress_in_turn(
        &self,
        exchange: &mut Exchange,
        wish: Wish,
    ) -> stead_core::Result<Option<stead_core::Response>> {
        let worker = Rc::clone(exchange.worker());
        let mut turn = Turn::default();
        poll_fn(|context| worker.pace.poll_turn(&mut turn, context)).await;
        if let Some(response) = exchange.response_mut() {
            self.compress(&worker, response, wish, false);
        }
        Ok(None)
    }

    fn compress(
        &self,
        worker: &Rc<Worker>,
        response: &mut stead_core::Response,
        wish: Wish,
        is_head: bool,
    ) {
        let Some(coding) = wish.codings().next() else { return };
        if is_head {
            // As GET would be answered; how long that would be is not known without the work.
            response.body = Body::Stream(Box::new(Unsent));
            return fields::mark(&mut response.fields, coding);
        }
        let process = &worker.process;
        let pool =
            worker.local.value(&self.pool, || Pool::new(self.levels, &self.streams, process));
        let body = std::mem::take(&mut response.body);
        let count = &worker.counters;
        let at_once = match &body {
            Body::Buffer(bytes) if bytes.len() as u64 <= AT_ONCE_MAX => pool.encode(coding, bytes),
            Body::Bytes(bytes) if bytes.len() as u64 <= AT_ONCE_MAX => pool.encode(coding, bytes),
            Body::File { file, start, end } if end.saturating_sub(*start) <= AT_ONCE_MAX => pool
                .encode_from(coding, (end - start) as usize, |buffer| {
                    let count = file::read_at_cached(file.as_ref(), buffer, *start).ok()?;
                    (count == buffer.len() && file.is_unchanged().ok()?).then_some(())
                }),
            _ => None,
        };
        if let Some(encoded) = at_once {
            let length = body.len().unwrap_or(0);
            worker.pace.took(length as usize);
            count.compress_bytes_in.add(length);
            count.compress_bytes_out.add(encoded.len() as u64);
            let mut buffer = worker.buffer();
            buffer.extend_from_slice(&encoded);
            response.body = Body::Buffer(buffer);
            if let Body::Buffer(plain) = body {
                worker.reclaim_buffer(plain);
            }
            return fields::mark(&mut response.fields, coding);
        }
        let length = body.len();
        let lent = |coding| Some((coding, pool.lend(coding, length)?));
        match wish.codings().find_map(lent) {
            Some((coding, lent)) => {
                let each = types::is_event_stream(&response.fields);
                let source = Source::new(body, worker);
                let stream = Compressed::new(source, lent, each, Rc::clone(worker));
                response.body = Body::Stream(Box::new(stream));
                fields::mark(&mut response.fields, coding);
            }
            None => response.body = body,
        }
    }
}

/// Whether this may be compressed at once, and takes a while.
fn is_long(body: &Body) -> bool {
    let is_at_hand = matches!(body, Body::Buffer(_) | Body::Bytes(_) | Body::File { .. });
    is_at_hand && body.len().is_some_and(|length| (SHORT_MAX + 1..=AT_ONCE_MAX).contains(&length))
}
