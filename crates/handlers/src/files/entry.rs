//! What a path stood for when it was looked up: the value that the cache keeps for a second.
//!
//! A file is known by one version per coding (the file as it is, and its precompressed siblings);
//! of those that were asked for, a [`Variant`] holds everything that an answer needs: fields ready
//! to be copied, and the content in memory or an open file.
//!
//! INVARIANT: a variant never changes, and its content is that of one version: small content is
//! read whole between two equal looks at the file.

use std::sync::Arc;

use bytes::Bytes;
use stead_core::{Body, Fields, OpenFile, Reason, name};
use stead_http1::coding::{Coding, Wish};
use stead_sys::file::FileFacts;

use super::conditional::{self, Validators};
use super::etag::Etag;
use super::range::ByteSpan;

/// What a path stood for.
pub(crate) enum Entry {
    /// A path that cannot name a file.
    Refused(Reason),
    /// Nothing that may be served.
    Missing,
    /// A directory, asked for without its slash.
    Redirect,
    /// A directory without an index file, to be listed.
    Listing,
    /// A file.
    File(Box<FileEntry>),
}

/// A file with its precompressed siblings, in the order of [`slot_of`].
#[derive(Default)]
pub(crate) struct FileEntry {
    /// Those that exist.
    pub(crate) versions: [Option<FileFacts>; SLOTS],
    /// Those that were asked for.
    pub(crate) variants: [Option<Arc<Variant>>; SLOTS],
}

/// The file as it is, and one sibling for each coding.
pub(crate) const SLOTS: usize = 1 + Coding::ALL.len();

/// The place of a coding in a [`FileEntry`].
pub(crate) const fn slot_of(coding: Option<Coding>) -> usize {
    match coding {
        None => 0,
        Some(coding) => 1 + coding as usize,
    }
}

impl FileEntry {
    /// What answers a wish: the first coding of it that exists, else the file as it is.
    pub(crate) fn choose(&self, wish: Wish) -> Option<Coding> {
        wish.codings().find(|coding| self.versions[slot_of(Some(*coding))].is_some())
    }

    /// The variant that answers a wish, if it was asked for before.
    pub(crate) fn variant(&self, wish: Wish) -> Option<&Arc<Variant>> {
        self.variants[slot_of(self.choose(wish))].as_ref()
    }

    /// Whether answers depend on `Accept-Encoding`.
    pub(crate) fn varies(&self) -> bool {
        self.versions.iter().skip(1).any(Option::is_some)
    }
}

impl Entry {
    /// Whether this answers a wish as it is: the variant is there, and its open file is unchanged.
    pub(crate) fn answers(&self, wish: Wish) -> bool {
        match self {
            Self::File(file) => file.variant(wish).is_some_and(|variant| variant.is_current()),
            _ => true,
        }
    }

    /// Whether answers depend on `Accept-Encoding`.
    pub(crate) fn varies(&self) -> bool {
        matches!(self, Self::File(file) if file.varies())
    }

    /// Bytes of content in memory, and open files.
    pub(crate) fn holds(&self) -> (u64, u64) {
        let Self::File(file) = self else { return (0, 0) };
        file.variants.iter().flatten().fold((0, 0), |(bytes, open), variant| {
            match &variant.content {
                Content::Memory(content) => (bytes + content.len() as u64, open),
                Content::Open(_) => (bytes, open + 1),
            }
        })
    }
}

/// One version of a file, ready to be sent.
pub(crate) struct Variant {
    /// The file's facts when it was read or opened.
    pub(crate) facts: FileFacts,
    /// Changed less than a second before it was looked at: another change may leave the same facts,
    /// so nothing is concluded from them, and the tag is weak.
    pub(crate) racy: bool,
    /// Whether the fields say `Vary`.
    pub(crate) varies: bool,
    etag: Etag,
    /// `Last-Modified`, in seconds since 1970.
    modified: u64,
    fields: Fields,
    content: Content,
}

/// Where the content of a variant is.
pub(crate) enum Content {
    /// Small: in memory.
    Memory(Bytes),
    /// Large: sent from the open file.
    Open(Arc<OpenFile>),
}

/// What a variant is made of.
pub(crate) struct Parts<'a> {
    /// The file's facts.
    pub(crate) facts: FileFacts,
    /// The time of day before they were read, in nanoseconds since 1970.
    pub(crate) looked: i128,
    /// `Content-Type`.
    pub(crate) media_type: &'a str,
    /// Its coding.
    pub(crate) coding: Option<Coding>,
    /// Whether answers depend on `Accept-Encoding`.
    pub(crate) varies: bool,
    /// Its content.
    pub(crate) content: Content,
}

/// How long after a change nothing is concluded from equal facts: time stamps of some file systems
/// have no finer step.
const RACY_NANOS: i128 = 1_000_000_000;

impl Variant {
    /// Makes the fields ready.
    pub(crate) fn new(parts: Parts<'_>) -> Self {
        let Parts { facts, looked, media_type, coding, varies, content } = parts;
        let racy = is_racy(&facts, looked);
        let etag = Etag::new(&facts, coding.map_or("", Coding::token), racy);
        // A date in the future must not be sent (RFC 9110 §8.8.2.1).
        let modified = u64::try_from(facts.modified.min(looked) / RACY_NANOS).unwrap_or(0);
        let mut fields = Fields::new();
        fields.append(name::CONTENT_TYPE, media_type.as_bytes());
        if let Some(coding) = coding {
            fields.append(name::CONTENT_ENCODING, coding.token().as_bytes());
        }
        fields.append(name::ETAG, etag.as_bytes());
        fields.append(name::LAST_MODIFIED, conditional::format_date(modified).as_bytes());
        fields.append(name::ACCEPT_RANGES, b"bytes");
        if varies {
            fields.append(name::VARY, b"Accept-Encoding");
        }
        Self { facts, racy, varies, etag, modified, fields, content }
    }

    /// The fields of an answer with this variant's content.
    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// What conditions are compared with.
    pub(crate) fn validators(&self) -> Validators<'_> {
        Validators { etag: &self.etag, modified: self.modified }
    }

    /// Bytes of its content.
    pub(crate) fn size(&self) -> u64 {
        match &self.content {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::Open(file) => file.facts().size,
        }
    }

    /// All of its content.
    pub(crate) fn body(&self) -> Body {
        match &self.content {
            Content::Memory(bytes) => Body::Bytes(bytes.clone()),
            Content::Open(_) => self.slice(ByteSpan { start: 0, end: self.size() }),
        }
    }

    /// Some of its content.
    pub(crate) fn slice(&self, span: ByteSpan) -> Body {
        let ByteSpan { start, end } = span;
        match &self.content {
            Content::Memory(bytes) => {
                let within = start.min(self.size()) as usize..end.min(self.size()) as usize;
                Body::Bytes(bytes.slice(within))
            }
            Content::Open(file) => Body::File { file: Arc::clone(file), start, end },
        }
    }

    /// Whether an open file is still what it was when it was opened. PERF: one system call for an
    /// answer of more than 64 KiB, so that a file that grows (a log) is not cut on every request.
    fn is_current(&self) -> bool {
        match &self.content {
            Content::Memory(_) => true,
            Content::Open(file) => file.is_unchanged().unwrap_or(false),
        }
    }
}

/// Whether a file changed so shortly before `looked` that another change may leave the same facts.
fn is_racy(facts: &FileFacts, looked: i128) -> bool {
    looked - facts.modified < RACY_NANOS
}

/// Whether a sibling belongs to its file: one that is older was made from an earlier version. Whole
/// seconds, because tools that copy both do not keep finer times.
pub(crate) fn is_as_new(sibling: &FileFacts, file: &FileFacts) -> bool {
    sibling.modified.div_euclid(RACY_NANOS) >= file.modified.div_euclid(RACY_NANOS)
}
