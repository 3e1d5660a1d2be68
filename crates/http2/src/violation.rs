//! How a peer can misuse a connection, and what it is told.

use stead_base::Reason;

/// A line that the peer crossed: the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// What came first was not the preface.
    Preface,
    /// The first frame was not SETTINGS.
    NoSettings,
    /// A frame was larger than we take.
    FrameTooLarge,
    /// A header block had too many frames or bytes.
    HeaderBlock,
    /// The peer reset too many requests before they were answered.
    Resets,
    /// The peer made us reset too many of its streams.
    Errors,
    /// Too many frames of a kind, and no work beside them.
    Flood(Kind),
    /// Our SETTINGS were not acknowledged.
    SettingsTimeout,
}

/// Kinds of frames of which too many are a flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `PING`, also answers to pings.
    Ping,
    /// `SETTINGS`, also acknowledgements.
    Settings,
    /// `PRIORITY`.
    Priority,
    /// `DATA` without data, that ends nothing.
    EmptyData,
    /// `WINDOW_UPDATE` beyond what was sent.
    WindowUpdate,
    /// `RST_STREAM` of requests that are answered, or never were there.
    Reset,
    /// `GOAWAY`, and types that we do not know.
    Other,
}

impl Kind {
    /// How many kinds there are.
    pub(crate) const COUNT: usize = 7;
}

impl Violation {
    /// The outcome that log and counters show.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Preface | Self::NoSettings => Reason::Http2Protocol,
            Self::FrameTooLarge => Reason::Http2FrameTooLarge,
            Self::HeaderBlock => Reason::Http2HeaderBlock,
            Self::Resets => Reason::Http2Resets,
            Self::Errors => Reason::Http2Errors,
            Self::Flood(_) => Reason::Http2Flood,
            Self::SettingsTimeout => Reason::Http2SettingsTimeout,
        }
    }

    /// The error code of the GOAWAY (RFC 9113 §7).
    pub const fn code(self) -> u32 {
        match self {
            Self::Preface | Self::NoSettings => PROTOCOL_ERROR,
            Self::FrameTooLarge => FRAME_SIZE_ERROR,
            Self::SettingsTimeout => SETTINGS_TIMEOUT,
            Self::HeaderBlock | Self::Resets | Self::Errors | Self::Flood(_) => ENHANCE_YOUR_CALM,
        }
    }
}

const PROTOCOL_ERROR: u32 = 0x1;
const SETTINGS_TIMEOUT: u32 = 0x4;
const FRAME_SIZE_ERROR: u32 = 0x6;
const ENHANCE_YOUR_CALM: u32 = 0xb;
