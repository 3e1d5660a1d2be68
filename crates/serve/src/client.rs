//! Who the client behind a trusted proxy is, and how it reached that proxy.
//!
//! Runs once per request, before the router, and only where the server has `trusted_proxies`. What
//! a peer says that is none of them is taken out, so that nothing further in can believe it. Of
//! one that is, the list of addresses is walked from its end, where the nearest proxy wrote: each
//! address that is itself a trusted proxy is believed about the one before it, the first that is
//! not is the client. An entry that is no address ends the walk; the client is then the last one
//! that was (SECURITY: whatever stands before it may come from anywhere).
//!
//! Sources: RFC 7239 §4 to §7 (`Forwarded`), RFC 9110 §5.3 (several lines are one list).
//! `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Real-IP` are conventions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use stead_core::{Client, Exchange, Fields, Name, Origins, Scheme, name};

/// The proxies in front of a server.
#[derive(Debug)]
pub struct TrustedProxies {
    /// Who they are.
    pub origins: Origins,
    /// Where they name the client.
    pub field: ClientField,
}

/// The field in which proxies name the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientField {
    /// `X-Forwarded-For`, with `X-Forwarded-Proto`.
    XForwardedFor,
    /// `Forwarded`.
    Forwarded,
    /// `X-Real-IP`, with `X-Forwarded-Proto`.
    XRealIp,
}

impl Default for TrustedProxies {
    fn default() -> Self {
        Self { origins: Origins::default(), field: ClientField::XForwardedFor }
    }
}

impl TrustedProxies {
    /// Tells the exchange who its client is, where its peer is trusted.
    pub(crate) fn introduce(&self, exchange: &mut Exchange) {
        if self.origins.is_empty() {
            return;
        }
        if !self.origins.contains(exchange.client()) {
            // SECURITY: what is further in must not take it for the proxy's (SECURITY.md 45).
            return exchange.fields_mut().retain(|field, _| !is_of_proxies(field));
        }
        let mut walk =
            Walk { origins: &self.origins, client: exchange.client(), scheme: exchange.scheme() };
        let fields = exchange.fields();
        match self.field {
            ClientField::XForwardedFor => {
                walk.scheme_of(fields);
                from_the_end(fields, name::X_FORWARDED_FOR, |line| walk.addresses(line));
            }
            ClientField::Forwarded => {
                from_the_end(fields, name::FORWARDED, |line| walk.elements(line));
            }
            ClientField::XRealIp => {
                walk.scheme_of(fields);
                let mut values = fields.values(name::X_REAL_IP);
                // Of several nobody knows which the proxy wrote.
                if let (Some(value), None) = (values.next(), values.next())
                    && let Some(ip) = address(trim(value))
                {
                    walk.client = Client::Ip(ip);
                }
            }
        }
        let Walk { client, scheme, .. } = walk;
        exchange.set_client(client, scheme);
    }
}

/// Whether a field is one by which proxies tell of clients.
fn is_of_proxies(field: Name<'_>) -> bool {
    const START: &[u8] = b"X-Forwarded-";
    let start = field.as_bytes().get(..START.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(START))
        || field == name::FORWARDED
        || field == name::X_REAL_IP
}

/// Calls `each` with the lines of a field, last first, until it says to stop.
fn from_the_end(fields: &Fields, name: Name<'_>, mut each: impl FnMut(&[u8]) -> Step) {
    let mut lines = fields.values(name);
    let Some(first) = lines.next() else { return };
    let rest: Vec<&[u8]> = lines.collect();
    for line in rest.iter().rev().chain([&first]) {
        if matches!(each(line), Step::Stop) {
            return;
        }
    }
}

/// Whether the walk goes on.
enum Step {
    On,
    Stop,
}

/// How far the list was believed.
struct Walk<'a> {
    origins: &'a Origins,
    client: Client,
    scheme: Scheme,
}

impl Walk<'_> {
    /// One line of `X-Forwarded-For`.
    fn addresses(&mut self, line: &[u8]) -> Step {
        for entry in line.rsplit(|byte| *byte == b',') {
            let entry = trim(entry);
            // RFC 9110 §5.6.1.2: an empty element says nothing.
            if !entry.is_empty()
                && let Step::Stop = self.believe(address(entry))
            {
                return Step::Stop;
            }
        }
        Step::On
    }

    /// One line of `Forwarded`.
    fn elements(&mut self, line: &[u8]) -> Step {
        let mut rest = Some(line);
        while let Some(list) = rest {
            let Some((before, element)) = split_last_element(list) else { return Step::Stop };
            rest = before;
            if trim(element).is_empty() {
                continue;
            }
            let Some(element) = Element::parse(element) else { return Step::Stop };
            if let Some(scheme) = element.scheme {
                self.scheme = scheme;
            }
            if let Step::Stop = self.believe(element.client) {
                return Step::Stop;
            }
        }
        Step::On
    }

    /// Takes over what a trusted hop said of the one before it.
    fn believe(&mut self, ip: Option<IpAddr>) -> Step {
        let Some(ip) = ip else { return Step::Stop };
        self.client = Client::Ip(ip);
        if self.origins.contains(self.client) { Step::On } else { Step::Stop }
    }

    /// `X-Forwarded-Proto` of the nearest proxy.
    fn scheme_of(&mut self, fields: &Fields) {
        let last = fields.values(name::X_FORWARDED_PROTO).last();
        let last = last.and_then(|value| value.rsplit(|byte| *byte == b',').next());
        if let Some(scheme) = last.and_then(|value| scheme(trim(value))) {
            self.scheme = scheme;
        }
    }
}

/// What one proxy said in `Forwarded`.
#[derive(Default)]
struct Element {
    /// The address in `for`; none where it is missing, unknown or hidden.
    client: Option<IpAddr>,
    scheme: Option<Scheme>,
}

impl Element {
    /// Reads an element (RFC 7239 §4); nothing where it breaks the grammar or says a thing twice.
    fn parse(mut text: &[u8]) -> Option<Self> {
        let (mut element, mut has_client, mut has_scheme) = (Self::default(), false, false);
        loop {
            let pair = Pair::parse(text)?;
            if pair.name.eq_ignore_ascii_case(b"for") {
                if std::mem::replace(&mut has_client, true) {
                    return None;
                }
                element.client = node(pair.value);
            } else if pair.name.eq_ignore_ascii_case(b"proto") {
                if std::mem::replace(&mut has_scheme, true) {
                    return None;
                }
                element.scheme = scheme(pair.value);
            }
            match pair.rest {
                Some(rest) => text = rest,
                None => return Some(element),
            }
        }
    }
}

/// One parameter of an element.
struct Pair<'a> {
    name: &'a [u8],
    /// Without its quotes, with its escapes: what is escaped is no part of an address or scheme.
    value: &'a [u8],
    /// What follows its semicolon.
    rest: Option<&'a [u8]>,
}

impl<'a> Pair<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        let text = text.trim_ascii_start();
        let name_end = text.iter().position(|byte| !is_token(*byte))?;
        let (name, rest) = text.split_at(name_end);
        let rest = rest.strip_prefix(b"=").filter(|_| !name.is_empty())?;
        let (value, rest) = if let Some(quoted) = rest.strip_prefix(b"\"") {
            let end = closing_quote(quoted)?;
            (&quoted[..end], &quoted[end + 1..])
        } else {
            let end = rest.iter().position(|byte| !is_token(*byte)).unwrap_or(rest.len());
            // A token has at least one character.
            rest.split_at_checked(end).filter(|(value, _)| !value.is_empty())?
        };
        let rest = match trim(rest) {
            [] => None,
            [b';', rest @ ..] => Some(rest),
            _ => return None,
        };
        Some(Self { name, value, rest })
    }
}

/// The position of the quote that ends a quoted string.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut bytes = text.iter().enumerate();
    while let Some((index, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(index),
            b'\\' => _ = bytes.next()?,
            _ => {}
        }
    }
    None
}

/// The last element of a list and what stands before its comma; commas inside quotes do not count.
/// Nothing where a quote is left open: seen from the end, where trusted proxies wrote, an odd
/// quote can only be in what an earlier hop sent.
fn split_last_element(list: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let mut in_quotes = false;
    for index in (0..list.len()).rev() {
        match list[index] {
            b'"' => {
                let escapes = list[..index].iter().rev().take_while(|byte| **byte == b'\\').count();
                in_quotes ^= escapes.is_multiple_of(2);
            }
            b',' if !in_quotes => return Some((Some(&list[..index]), &list[index + 1..])),
            _ => {}
        }
    }
    (!in_quotes).then_some((None, list))
}

/// The address of a node (RFC 7239 §6): IPv6 in brackets, anything with a colon in quotes; a port
/// may be hidden, a name may be `unknown` or hidden (`_…`), which is no address.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let (name, port) = match text.strip_prefix('[') {
        Some(inner) => {
            let (ip, rest) = inner.split_once(']')?;
            (IpAddr::from(ip.parse::<Ipv6Addr>().ok()?), rest.strip_prefix(':').ok_or(rest))
        }
        None => match text.split_once(':') {
            Some((ip, port)) => (ip.parse::<Ipv4Addr>().ok()?.into(), Ok(port)),
            None => (text.parse::<Ipv4Addr>().ok()?.into(), Err("")),
        },
    };
    let is_port = |port: &str| {
        let hidden = port.strip_prefix('_').filter(|hidden| !hidden.is_empty());
        match hidden {
            Some(hidden) => {
                hidden.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            }
            None => is_port_number(port),
        }
    };
    let is_well_formed = match port {
        Ok(port) => is_port(port),
        Err(rest) => rest.is_empty(),
    };
    is_well_formed.then_some(name.to_canonical())
}

/// An address as `X-Forwarded-For` and `X-Real-IP` have it: alone, or with a port; IPv6 with a
/// port in brackets.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    if let Some(inner) = text.strip_prefix('[') {
        let (ip, rest) = inner.split_once(']')?;
        let is_port = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port_number);
        let ip = ip.parse::<Ipv6Addr>().ok().filter(|_| is_port)?;
        return Some(IpAddr::from(ip).to_canonical());
    }
    let (ip, port) = text.split_once(':')?;
    ip.parse::<Ipv4Addr>().ok().filter(|_| is_port_number(port)).map(IpAddr::from)
}

fn is_port_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Proxies of `WebSocket` say `ws` and `wss`.
fn scheme(text: &[u8]) -> Option<Scheme> {
    let is = |name: &str| text.eq_ignore_ascii_case(name.as_bytes());
    match () {
        () if is("https") || is("wss") => Some(Scheme::Https),
        () if is("http") || is("ws") => Some(Scheme::Http),
        () => None,
    }
}

fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
