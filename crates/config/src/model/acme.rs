//! `[acme]`: certificates from an authority, for listeners with `tls = "auto"`.

use std::path::PathBuf;

use crate::{Config, Decoder, Diagnostic, Schema, Secret, Spanned, TextForm, Value};

/// Certificates from an authority that speaks ACME, for listeners with `tls = "auto"`. Whoever
/// writes `auto` agrees to the authority's terms of service.
#[derive(Clone, Debug, PartialEq, Config)]
pub struct Acme {
    /// The URL of the authority's directory.
    #[config(default = "https://acme-v02.api.letsencrypt.org/directory")]
    pub directory: DirectoryUrl,
    /// Where the authority may write to, such as when a certificate is about to end.
    pub email: Option<Email>,
    /// The key of each certificate: `"p256"` and `"p384"` are ECDSA, `"rsa2048"` is for clients
    /// that know nothing else.
    #[config(default = "p256")]
    pub key_type: AcmeKey,
    /// Certificates as PEM that are trusted beside the system's when the directory is asked: for an
    /// authority of one's own.
    pub ca: Option<Spanned<PathBuf>>,
    /// The account at the authority, where it asks for one.
    pub eab: Option<AcmeBinding>,
}

/// The account at the authority that Stead's own is bound to (external account binding).
#[derive(Clone, Debug, PartialEq, Config)]
pub struct AcmeBinding {
    /// The name of the key, as the authority gave it.
    pub kid: Spanned<String>,
    /// The key, in base64url, as the authority gave it.
    pub key: Spanned<Secret>,
}

/// The key of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Config)]
pub enum AcmeKey {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// RSA with 2048 bits.
    Rsa2048,
}

/// An `https` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryUrl(pub Spanned<String>);

impl Config for DirectoryUrl {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let text = crate::scalar::text(value, &Self::schema(), decoder)?;
        let host = text.value.strip_prefix("https://").and_then(|rest| rest.split('/').next());
        let has_host = host.is_some_and(|host| !host.is_empty());
        if !has_host || !text.value.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = "the directory is no `https` URL";
            let help = "write the URL that the authority names, such as \
                        `\"https://acme-staging-v02.api.letsencrypt.org/directory\"`";
            decoder.report(Diagnostic::error(value.span, message).help(help));
            return None;
        }
        Some(Self(Spanned::new(text.value.clone(), value.span)))
    }

    fn schema() -> Schema {
        let form = TextForm::new("URL", "https://acme-v02.api.letsencrypt.org/directory");
        Schema::Text(form.pattern("^(https://.*|.*\\$\\{.*)$"))
    }
}

/// An e-mail address, without `mailto:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(pub Spanned<String>);

impl Config for Email {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        let text = crate::scalar::text(value, &Self::schema(), decoder)?;
        let parts = text.value.rsplit_once('@');
        let is_plain = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_graphic() && !b",:;<>?\"".contains(&b))
        };
        if !parts.is_some_and(|(name, host)| is_plain(name) && is_plain(host)) {
            let help = "write one, such as `\"admin@example.com\"`";
            decoder.report(Diagnostic::error(value.span, "no e-mail address").help(help));
            return None;
        }
        Some(Self(Spanned::new(text.value.clone(), value.span)))
    }

    fn schema() -> Schema {
        Schema::Text(TextForm::new("e-mail address", "admin@example.com").pattern("^.*@.*$|\\$\\{"))
    }
}
