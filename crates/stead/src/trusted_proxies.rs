//! The proxies in front of a server made in code, whose word counts about the client.
//!
//! What `trusted_proxies` is in a configuration: the same words and networks, the same field. What
//! is no network is told at the start, with everything else that is wrong with a server.

use stead_base::{Network, ParseNetworkError};
use stead_config::{Origin, ProxyHeader};

/// Who the proxies in front of a server are, and in which field they name the client.
///
/// ```
/// use stead::{ProxyHeader, Server, TrustedProxies};
///
/// let proxies = TrustedProxies::new(["10.0.0.0/8", "unix"]).header(ProxyHeader::Forwarded);
/// let server = Server::new("web").trusted_proxies(proxies);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<Result<Origin, String>>,
    header: ProxyHeader,
}

impl TrustedProxies {
    /// Networks (`"10.0.0.0/8"`) and addresses (`"2001:db8::7"`); `"private"`, `"loopback"`, and
    /// `"unix"` for peers that come through a unix socket. They name the client in
    /// `X-Forwarded-For`.
    ///
    /// ```
    /// # use stead::TrustedProxies;
    /// let proxies = TrustedProxies::new(["loopback", "10.0.0.0/8"]);
    /// ```
    pub fn new<T: AsRef<str>>(networks: impl IntoIterator<Item = T>) -> Self {
        let networks = networks.into_iter().map(|text| origin(text.as_ref())).collect();
        Self { networks, header: ProxyHeader::XForwardedFor }
    }

    /// The one field in which they name the client. They must set it, or add to it: a client can
    /// write whatever they let pass.
    ///
    /// ```
    /// # use stead::{ProxyHeader, TrustedProxies};
    /// let proxies = TrustedProxies::new(["private"]).header(ProxyHeader::XRealIp);
    /// ```
    pub fn header(mut self, header: ProxyHeader) -> Self {
        self.header = header;
        self
    }

    /// As a configuration has it, and what is wrong with the rest.
    pub(crate) fn into_parts(self) -> (stead_config::TrustedProxies, Vec<String>) {
        let (networks, wrong) = split(self.networks);
        (stead_config::TrustedProxies { networks, header: self.header }, wrong)
    }

    /// Whether nobody is meant.
    pub(crate) fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }
}

/// Nobody.
impl Default for TrustedProxies {
    fn default() -> Self {
        Self::new([] as [&str; 0])
    }
}

impl<T: AsRef<str>, const N: usize> From<[T; N]> for TrustedProxies {
    fn from(networks: [T; N]) -> Self {
        Self::new(networks)
    }
}

impl<T: AsRef<str>> From<Vec<T>> for TrustedProxies {
    fn from(networks: Vec<T>) -> Self {
        Self::new(networks)
    }
}

impl<T: AsRef<str>> From<&[T]> for TrustedProxies {
    fn from(networks: &[T]) -> Self {
        Self::new(networks)
    }
}

/// What is a network, and what is wrong with the rest.
pub(crate) fn split(networks: Vec<Result<Origin, String>>) -> (Vec<Origin>, Vec<String>) {
    let (mut origins, mut wrong) = (Vec::new(), Vec::new());
    for network in networks {
        match network {
            Ok(origin) => origins.push(origin),
            Err(message) => wrong.push(message),
        }
    }
    (origins, wrong)
}

/// What a text stands for, or what to write instead.
pub(crate) fn origin(text: &str) -> Result<Origin, String> {
    match text {
        "private" => return Ok(Origin::Private),
        "loopback" => return Ok(Origin::Loopback),
        "unix" => return Ok(Origin::Unix),
        _ => {}
    }
    let wrong = |ParseNetworkError { problem, meant }| {
        let meant = meant.map_or_else(
            || "an address, a network such as `10.0.0.0/8`, `private`, `loopback` or `unix`".into(),
            |meant| format!("`{meant}`"),
        );
        match problem {
            "" => format!("`{text}` is no network: write {meant}"),
            problem => format!("`{text}` is no network: {problem}: write {meant}"),
        }
    };
    text.parse::<Network>().map(Origin::Network).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_means_what_it_means_in_a_configuration() {
        for text in ["10.0.0.0/8", "192.0.2.7", "::1", "private", "loopback", "unix"] {
            let written = stead_config::Settings::parse(&format!("proxies = ['{text}']"));
            let written = written.and_then(|settings| settings.decode());
            let written: stead_config::TrustedProxies = written.expect(text);
            assert_eq!(TrustedProxies::new([text]).into_parts(), (written, Vec::new()), "{text}");
        }
    }

    #[test]
    fn what_is_no_network_is_told_with_what_to_write() {
        let check = |text: &str, expect: &str| {
            let (proxies, wrong) = TrustedProxies::new([text, "unix"]).into_parts();
            assert_eq!((proxies.networks, wrong), (vec![Origin::Unix], vec![expect.to_owned()]));
        };
        let any = "an address, a network such as `10.0.0.0/8`, `private`, `loopback` or `unix`";
        check("proxy.example", &format!("`proxy.example` is no network: write {any}"));
        check("", &format!("`` is no network: write {any}"));
        check(
            "10.0.0.1/8",
            "`10.0.0.1/8` is no network: the address has bits beyond the prefix: write \
             `10.0.0.0/8`",
        );
    }
}
