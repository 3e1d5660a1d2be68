//! `[tls.NAME]`: a certificate with its key, and who must show one in turn.
//!
//! What the files hold is not read here.

use std::path::PathBuf;

use crate::schema::quoted;
use crate::value::Content;
use crate::{Config, Decoder, Diagnostic, Schema, Span, Spanned, TextForm, Value};

/// A certificate with its key. Listeners name it in `tls`. The files are read again when they
/// change.
#[derive(Clone, Debug, PartialEq, Config)]
#[config(check = versions_once)]
pub struct TlsConfig {
    /// The certificate chain as PEM: the server's own certificate first, then the one that signed
    /// it, and so on.
    pub certificate: Spanned<PathBuf>,
    /// The private key of the first certificate as PEM, without a password: RSA from 2048 bits,
    /// ECDSA or Ed25519.
    pub key: Spanned<PathBuf>,
    /// Asks clients for certificates.
    pub clients: Option<TlsClients>,
    /// The versions of TLS that are spoken.
    #[config(default = ["1.2", "1.3"])]
    pub versions: Vec<Spanned<TlsVersion>>,
}

/// Certificates of clients.
#[derive(Clone, Debug, PartialEq, Config)]
pub struct TlsClients {
    /// The certificates that sign those of clients, as PEM.
    pub ca: Spanned<PathBuf>,
    /// Whether clients without a certificate are turned away; one that is shown must be right in
    /// any case.
    #[config(default = true)]
    pub required: bool,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2.
    Tls12,
    /// 1.3.
    Tls13,
}

impl Config for TlsVersion {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        if let Content::Text(text) = &value.content {
            match text.value.as_str() {
                "1.2" => return Some(Self::Tls12),
                "1.3" => return Some(Self::Tls13),
                "1.0" | "1.1" => {
                    let message = "TLS before 1.2 is not spoken (RFC 8996)";
                    let help = "write `\"1.2\"` or `\"1.3\"`";
                    decoder.report(Diagnostic::error(value.span, message).help(help));
                    return None;
                }
                written => {
                    let message = format!("{} is no version of TLS", quoted(text.written()));
                    let is = |digit: &str| written.trim_end_matches(digit).ends_with("1.");
                    let help = match (is("2"), is("3")) {
                        (true, _) => "write `\"1.2\"`",
                        (_, true) => "write `\"1.3\"`",
                        _ => "write `\"1.2\"` or `\"1.3\"`",
                    };
                    decoder.report(Diagnostic::error(value.span, message).help(help));
                    return None;
                }
            }
        }
        let help = Some("write `\"1.2\"` or `\"1.3\"`".to_owned());
        decoder.wrong_type(value, &Self::schema(), help);
        None
    }

    fn schema() -> Schema {
        Schema::Text(TextForm::new("version", "1.3").pattern("^(1\\.[23]|.*\\$\\{.*)$"))
    }
}

fn versions_once(tls: &TlsConfig, span: Span, decoder: &mut Decoder<'_>) {
    let versions = &tls.versions;
    if versions.is_empty() {
        let message = "`versions` is empty: nobody could connect";
        let help = "write `versions = [\"1.2\", \"1.3\"]`, or leave it out";
        decoder.report(Diagnostic::error(span, message).help(help));
    }
    for (at, version) in versions.iter().enumerate() {
        if let Some(first) = versions[..at].iter().find(|known| known.value == version.value) {
            let error = Diagnostic::error(version.span, "a version is named twice");
            decoder.report(error.help("take one out").related(first.span, "the other one"));
        }
    }
}
