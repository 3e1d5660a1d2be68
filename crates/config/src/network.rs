//! Whose requests are meant: networks (`"10.0.0.0/8"`, `"2001:db8::/32"`), single addresses, and
//! words for well-known sets.

use stead_base::Network;

use crate::schema::quoted;
use crate::value::Content;
use crate::{Config, Decoder, Diagnostic, Schema, TextForm, Value};

/// How a network is written.
const NETWORK: TextForm = TextForm::new("network", "10.0.0.0/8")
    .pattern("^([0-9.]+(/[0-9]+)?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(/[0-9]+)?|.*\\$\\{.*)$");

/// Whose requests are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Config)]
pub enum Origin {
    /// Addresses of private networks: `10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16`, `fc00::/7`.
    Private,
    /// Addresses of this machine: `127.0.0.0/8`, `::1`.
    Loopback,
    /// Processes of this machine that come through a unix socket.
    Unix,
    /// A network, or one address.
    Network(Network),
}

/// The proxies in front of a server, whose word counts about the client.
#[derive(Clone, Debug, PartialEq, Eq, Config)]
#[config(shorthand = "networks")]
pub struct TrustedProxies {
    /// Networks and addresses; `"private"`, `"loopback"`, and `"unix"` for peers that come through
    /// a unix socket.
    #[config(default = [])]
    pub networks: Vec<Origin>,
    /// The one field in which they name the client. They must set it, or add to it: a client can
    /// write whatever they let pass.
    #[config(default = "x-forwarded-for")]
    pub header: ProxyHeader,
}

/// The field in which proxies name the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Config)]
pub enum ProxyHeader {
    /// A list of addresses, the nearest last; the scheme stands in `X-Forwarded-Proto`.
    #[config(name = "x-forwarded-for")]
    XForwardedFor,
    /// The list of RFC 7239, which tells the scheme too.
    Forwarded,
    /// One address; the scheme stands in `X-Forwarded-Proto`.
    #[config(name = "x-real-ip")]
    XRealIp,
}

impl Config for Network {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let Content::Text(text) = &value.content else {
            decoder.wrong_type(value, &Self::schema(), None);
            return None;
        };
        let wrong = match text.value.parse() {
            Ok(network) => return Some(network),
            Err(stead_base::ParseNetworkError { problem, meant }) => {
                // SECURITY: the help quotes what was expanded only where nothing was.
                let meant = meant.filter(|_| !text.expanded);
                let written = quoted(text.written());
                let message = match problem {
                    "" => format!("{written} is not a network"),
                    problem => format!("{written} is not a network: {problem}"),
                };
                let all = "an `allow` alone shuts everybody else out; everybody is `\"0.0.0.0/0\"` \
                           and `\"::/0\"`";
                let help = match meant {
                    None if text.value == "all" => all.to_owned(),
                    None => "write an IP address or a network such as `\"10.0.0.0/8\"`".to_owned(),
                    Some(meant) => format!("write `{}`", quoted(&meant)),
                };
                Diagnostic::error(value.span, message).help(help)
            }
        };
        decoder.report(wrong);
        None
    }

    fn schema() -> Schema {
        Schema::Text(NETWORK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    fn decode(settings: &str) -> Result<Vec<Origin>, Vec<String>> {
        let settings = Settings::parse(settings).expect("TOML");
        let shown = |wrong: &Diagnostic| {
            format!("{}; {}", wrong.message, wrong.help.clone().unwrap_or_default())
        };
        settings.decode().map_err(|wrong| wrong.iter().map(shown).collect())
    }

    #[test]
    fn networks_addresses_and_words_are_read() {
        let network = |text: &str| Origin::Network(text.parse().expect(text));
        let read = decode("trusted = ['10.0.0.0/8', '::1', 'private', 'loopback', 'unix']");
        let expect = vec![
            network("10.0.0.0/8"),
            network("::1"),
            Origin::Private,
            Origin::Loopback,
            Origin::Unix,
        ];
        assert_eq!(read, Ok(expect));
    }

    #[test]
    fn what_is_wrong_is_answered_with_what_to_write() {
        let wrong = decode("trusted = ['10.0.0.1/8', 'privat', 'a.example', 8, '10.*']");
        let wrong = wrong.expect_err("five errors");
        assert_eq!(wrong.len(), 5, "{wrong:#?}");
        let expect = "\"10.0.0.1/8\" is not a network: the address has bits beyond the prefix; \
                      write `\"10.0.0.0/8\"`";
        assert_eq!(wrong[0], expect);
        assert!(wrong[1].contains("private"), "{}", wrong[1]);
        assert!(wrong[4].contains("10.0.0.0/8"), "{}", wrong[4]);
    }
}
