//! Field names: the known ones as one byte, all others as their bytes.
//!
//! Names are interned while a head is parsed, so that everything later compares bytes of an enum
//! instead of text. Names compare without case (RFC 9110 §5.1); a known name is always written in
//! its canonical spelling. The constants are what other code uses: `name::HOST`.
//!
//! INVARIANT: a `Name` that a `Fields` hands out is `Other` only if the name is not in the table.

use std::fmt;

/// The name of a field, compared without case.
#[derive(Clone, Copy)]
pub enum Name<'a> {
    /// A name of the table below.
    Known(Known),
    /// Any other name, as it was spelt.
    Other(&'a [u8]),
}

impl<'a> Name<'a> {
    /// Looks a spelling up in the table; the bytes are not checked to be a token.
    #[inline]
    pub fn from_bytes(name: &'a [u8]) -> Self {
        match Known::from_bytes(name) {
            Some(known) => Self::Known(known),
            None => Self::Other(name),
        }
    }

    /// The spelling: canonical for a known name, as received for another.
    #[inline]
    pub fn as_bytes(&self) -> &'a [u8] {
        match self {
            Self::Known(known) => known.as_str().as_bytes(),
            Self::Other(name) => name,
        }
    }

    /// Whether the name holds an underscore, which some programs read as a hyphen.
    #[inline]
    pub fn has_underscore(&self) -> bool {
        match self {
            Self::Known(_) => false,
            Self::Other(name) => name.contains(&b'_'),
        }
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Known(a), Self::Known(b)) => a == b,
            _ => self.as_bytes().eq_ignore_ascii_case(other.as_bytes()),
        }
    }
}

impl Eq for Name<'_> {}

impl From<Known> for Name<'_> {
    fn from(known: Known) -> Self {
        Self::Known(known)
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_bytes().escape_ascii(), f)
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! known_names {
    ($($constant:ident $variant:ident $text:literal;)*) => {
        /// A field name that Stead knows; its canonical spelling is the doc line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Known { $(#[doc = concat!("`", $text, "`")] $variant,)* }

        impl Known {
            /// Every known name, in the order of the table; a name's position is its index.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            const TEXT: &'static [&'static str] = &[$($text,)*];
        }

        $(#[doc = concat!("`", $text, "`")]
        pub const $constant: Name<'static> = Name::Known(Known::$variant);)*
    };
}

impl Known {
    /// Looks a spelling up, without case.
    #[inline]
    pub fn from_bytes(name: &[u8]) -> Option<Self> {
        let mut slot = slot(name);
        loop {
            let index = *SLOTS.get(slot)?;
            let text = Self::TEXT.get(usize::from(index))?;
            if same_name(name, text.as_bytes()) {
                return Self::ALL.get(usize::from(index)).copied();
            }
            slot = (slot + 1) % SLOTS.len();
        }
    }

    /// The canonical spelling.
    #[inline]
    pub const fn as_str(self) -> &'static str {
        Self::TEXT[self as usize]
    }

    /// Whether a trailer of this name is kept: not if it says how to frame, route, authenticate or
    /// treat the message, or whose it is (RFC 9110 §6.5.1).
    pub const fn is_allowed_in_trailers(self) -> bool {
        use Known as K;
        !matches!(
            self,
            K::Age
                | K::Authorization
                | K::CacheControl
                | K::Connection
                | K::ContentEncoding
                | K::ContentLength
                | K::ContentRange
                | K::ContentType
                | K::Cookie
                | K::Date
                | K::EarlyData
                | K::Expect
                | K::Expires
                | K::Forwarded
                | K::Host
                | K::IfMatch
                | K::IfModifiedSince
                | K::IfNoneMatch
                | K::IfRange
                | K::IfUnmodifiedSince
                | K::KeepAlive
                | K::Location
                | K::MaxForwards
                | K::Origin
                | K::Pragma
                | K::Proxy
                | K::ProxyAuthenticate
                | K::ProxyAuthorization
                | K::ProxyConnection
                | K::Range
                | K::RetryAfter
                | K::SecWebSocketAccept
                | K::SecWebSocketExtensions
                | K::SecWebSocketKey
                | K::SecWebSocketProtocol
                | K::SecWebSocketVersion
                | K::SetCookie
                | K::Te
                | K::Trailer
                | K::TransferEncoding
                | K::Upgrade
                | K::Vary
                | K::WwwAuthenticate
                | K::XForwardedFor
                | K::XForwardedHost
                | K::XForwardedPort
                | K::XForwardedPrefix
                | K::XForwardedProto
                | K::XRealIp
        )
    }
}

impl From<Known> for u8 {
    fn from(known: Known) -> Self {
        known as Self
    }
}

/// Whether a spelling is that of a known name, without case. Exact, because a known name holds only
/// letters and hyphens: only the two cases of a letter fold to a letter, only a hyphen to a hyphen.
#[inline]
fn same_name(name: &[u8], known: &[u8]) -> bool {
    let same =
        |a: &[u8; 8], b: &[u8; 8]| fold(u64::from_le_bytes(*a)) == fold(u64::from_le_bytes(*b));
    if name.len() != known.len() {
        return false;
    }
    match (name.last_chunk::<8>(), known.last_chunk::<8>()) {
        (Some(a), Some(b)) => {
            // The last eight bytes overlap the chunks before them.
            let (chunks, _) = name.as_chunks::<8>();
            let (known_chunks, _) = known.as_chunks::<8>();
            chunks.iter().zip(known_chunks).all(|(a, b)| same(a, b)) && same(a, b)
        }
        _ => name.eq_ignore_ascii_case(known),
    }
}

/// Upper-case letters made lower-case; `[` becomes `{` and so on.
#[inline]
const fn fold(word: u64) -> u64 {
    word | (word & 0x4040_4040_4040_4040) >> 1
}

/// Where the search for `name` begins: first and last four bytes and the length, without case.
#[inline]
const fn slot(name: &[u8]) -> usize {
    const FOLD: u64 = 0x2020_2020_2020_2020;
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let ends = match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            u32::from_le_bytes(*first) as u64 | (u32::from_le_bytes(*last) as u64) << 32
        }
        _ => match name {
            [a, b, c] => *a as u64 | (*b as u64) << 8 | (*c as u64) << 16,
            [a, b] => *a as u64 | (*b as u64) << 8,
            [a] => *a as u64,
            _ => 0,
        },
    };
    let mixed = ((ends | FOLD) ^ name.len() as u64).wrapping_mul(GOLDEN);
    (mixed >> (64 - SLOT_BITS)) as usize
}

const SLOT_BITS: u32 = 9;
const EMPTY: u8 = u8::MAX;

/// Open addressing: the index of a name at its slot or the next free one; a quarter full, so that a
/// name which is not known mostly meets an empty slot at once.
static SLOTS: [u8; 1 << SLOT_BITS] = {
    let mut slots = [EMPTY; 1 << SLOT_BITS];
    let mut index = 0;
    while index < Known::TEXT.len() {
        let mut at = slot(Known::TEXT[index].as_bytes());
        while slots[at] != EMPTY {
            at = (at + 1) % slots.len();
        }
        slots[at] = index as u8;
        index += 1;
    }
    assert!(index < slots.len() / 3, "grow SLOT_BITS");
    slots
};

known_names! {
    ACCEPT Accept "Accept";
    ACCEPT_CHARSET AcceptCharset "Accept-Charset";
    ACCEPT_ENCODING AcceptEncoding "Accept-Encoding";
    ACCEPT_LANGUAGE AcceptLanguage "Accept-Language";
    ACCEPT_RANGES AcceptRanges "Accept-Ranges";
    ACCESS_CONTROL_ALLOW_CREDENTIALS AccessControlAllowCredentials "Access-Control-Allow-Credentials";
    ACCESS_CONTROL_ALLOW_HEADERS AccessControlAllowHeaders "Access-Control-Allow-Headers";
    ACCESS_CONTROL_ALLOW_METHODS AccessControlAllowMethods "Access-Control-Allow-Methods";
    ACCESS_CONTROL_ALLOW_ORIGIN AccessControlAllowOrigin "Access-Control-Allow-Origin";
    ACCESS_CONTROL_EXPOSE_HEADERS AccessControlExposeHeaders "Access-Control-Expose-Headers";
    ACCESS_CONTROL_MAX_AGE AccessControlMaxAge "Access-Control-Max-Age";
    ACCESS_CONTROL_REQUEST_HEADERS AccessControlRequestHeaders "Access-Control-Request-Headers";
    ACCESS_CONTROL_REQUEST_METHOD AccessControlRequestMethod "Access-Control-Request-Method";
    AGE Age "Age";
    ALLOW Allow "Allow";
    ALT_SVC AltSvc "Alt-Svc";
    AUTHORIZATION Authorization "Authorization";
    CACHE_CONTROL CacheControl "Cache-Control";
    CONNECTION Connection "Connection";
    CONTENT_DISPOSITION ContentDisposition "Content-Disposition";
    CONTENT_ENCODING ContentEncoding "Content-Encoding";
    CONTENT_LANGUAGE ContentLanguage "Content-Language";
    CONTENT_LENGTH ContentLength "Content-Length";
    CONTENT_LOCATION ContentLocation "Content-Location";
    CONTENT_RANGE ContentRange "Content-Range";
    CONTENT_SECURITY_POLICY ContentSecurityPolicy "Content-Security-Policy";
    CONTENT_TYPE ContentType "Content-Type";
    COOKIE Cookie "Cookie";
    CROSS_ORIGIN_EMBEDDER_POLICY CrossOriginEmbedderPolicy "Cross-Origin-Embedder-Policy";
    CROSS_ORIGIN_OPENER_POLICY CrossOriginOpenerPolicy "Cross-Origin-Opener-Policy";
    CROSS_ORIGIN_RESOURCE_POLICY CrossOriginResourcePolicy "Cross-Origin-Resource-Policy";
    DATE Date "Date";
    DNT Dnt "DNT";
    EARLY_DATA EarlyData "Early-Data";
    ETAG Etag "ETag";
    EXPECT Expect "Expect";
    EXPIRES Expires "Expires";
    FORWARDED Forwarded "Forwarded";
    FROM From "From";
    HOST Host "Host";
    IF_MATCH IfMatch "If-Match";
    IF_MODIFIED_SINCE IfModifiedSince "If-Modified-Since";
    IF_NONE_MATCH IfNoneMatch "If-None-Match";
    IF_RANGE IfRange "If-Range";
    IF_UNMODIFIED_SINCE IfUnmodifiedSince "If-Unmodified-Since";
    KEEP_ALIVE KeepAlive "Keep-Alive";
    LAST_EVENT_ID LastEventId "Last-Event-ID";
    LAST_MODIFIED LastModified "Last-Modified";
    LINK Link "Link";
    LOCATION Location "Location";
    MAX_FORWARDS MaxForwards "Max-Forwards";
    ORIGIN Origin "Origin";
    PERMISSIONS_POLICY PermissionsPolicy "Permissions-Policy";
    PRAGMA Pragma "Pragma";
    PRIORITY Priority "Priority";
    PROXY Proxy "Proxy";
    PROXY_AUTHENTICATE ProxyAuthenticate "Proxy-Authenticate";
    PROXY_AUTHORIZATION ProxyAuthorization "Proxy-Authorization";
    PROXY_CONNECTION ProxyConnection "Proxy-Connection";
    RANGE Range "Range";
    REFERER Referer "Referer";
    REFERRER_POLICY ReferrerPolicy "Referrer-Policy";
    RETRY_AFTER RetryAfter "Retry-After";
    SEC_CH_UA SecChUa "Sec-CH-UA";
    SEC_CH_UA_MOBILE SecChUaMobile "Sec-CH-UA-Mobile";
    SEC_CH_UA_PLATFORM SecChUaPlatform "Sec-CH-UA-Platform";
    SEC_FETCH_DEST SecFetchDest "Sec-Fetch-Dest";
    SEC_FETCH_MODE SecFetchMode "Sec-Fetch-Mode";
    SEC_FETCH_SITE SecFetchSite "Sec-Fetch-Site";
    SEC_FETCH_USER SecFetchUser "Sec-Fetch-User";
    SEC_GPC SecGpc "Sec-GPC";
    SEC_WEBSOCKET_ACCEPT SecWebSocketAccept "Sec-WebSocket-Accept";
    SEC_WEBSOCKET_EXTENSIONS SecWebSocketExtensions "Sec-WebSocket-Extensions";
    SEC_WEBSOCKET_KEY SecWebSocketKey "Sec-WebSocket-Key";
    SEC_WEBSOCKET_PROTOCOL SecWebSocketProtocol "Sec-WebSocket-Protocol";
    SEC_WEBSOCKET_VERSION SecWebSocketVersion "Sec-WebSocket-Version";
    SERVER Server "Server";
    SERVER_TIMING ServerTiming "Server-Timing";
    SET_COOKIE SetCookie "Set-Cookie";
    STRICT_TRANSPORT_SECURITY StrictTransportSecurity "Strict-Transport-Security";
    TE Te "TE";
    TRACEPARENT Traceparent "Traceparent";
    TRACESTATE Tracestate "Tracestate";
    TRAILER Trailer "Trailer";
    TRANSFER_ENCODING TransferEncoding "Transfer-Encoding";
    UPGRADE Upgrade "Upgrade";
    UPGRADE_INSECURE_REQUESTS UpgradeInsecureRequests "Upgrade-Insecure-Requests";
    USER_AGENT UserAgent "User-Agent";
    VARY Vary "Vary";
    VIA Via "Via";
    WWW_AUTHENTICATE WwwAuthenticate "WWW-Authenticate";
    X_CONTENT_TYPE_OPTIONS XContentTypeOptions "X-Content-Type-Options";
    X_FORWARDED_FOR XForwardedFor "X-Forwarded-For";
    X_FORWARDED_HOST XForwardedHost "X-Forwarded-Host";
    X_FORWARDED_PORT XForwardedPort "X-Forwarded-Port";
    X_FORWARDED_PREFIX XForwardedPrefix "X-Forwarded-Prefix";
    X_FORWARDED_PROTO XForwardedProto "X-Forwarded-Proto";
    X_FRAME_OPTIONS XFrameOptions "X-Frame-Options";
    X_REAL_IP XRealIp "X-Real-IP";
    X_REQUEST_ID XRequestId "X-Request-ID";
    X_REQUESTED_WITH XRequestedWith "X-Requested-With";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case() {
        for (index, known) in Known::ALL.iter().enumerate() {
            assert_eq!(*known as usize, index);
            let text = known.as_str();
            // What `same_name` relies on; and the engine takes known names for tokens.
            assert!(text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-'), "{text}");
            for spelling in [text.to_owned(), text.to_lowercase(), text.to_uppercase()] {
                assert_eq!(Known::from_bytes(spelling.as_bytes()), Some(*known), "{spelling}");
            }
            assert_eq!(Known::from_bytes(format!("{text}x").as_bytes()), None);
            assert_eq!(Known::from_bytes(&text.as_bytes()[1..]), None, "{text}");
        }
        for other in [
            "X\u{d}Real\u{d}IP",
            "X\u{d}Forwarded-For",
            "",
            "x",
            "xy",
            "Hos",
            "Hostt",
            "Accept-",
            "Content_Length",
            "H\u{0}st",
        ] {
            assert_eq!(Known::from_bytes(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn names_compare_without_case_however_they_were_made() {
        assert_eq!(HOST, Name::Other(b"hOST"));
        assert_eq!(Name::Other(b"x-a"), Name::from_bytes(b"X-A"));
        assert_ne!(HOST, CONNECTION);
        assert_ne!(Name::Other(b"x-a"), Name::Other(b"x-b"));
        assert!(Name::from_bytes(b"x_a").has_underscore() && !HOST.has_underscore());
        assert_eq!(format!("{HOST}"), "Host");
    }
}
