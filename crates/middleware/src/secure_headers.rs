//! Adds the fields that make browsers careful.
//!
//! # What
//! Every answer, errors included, gets those of the fields below that it does not have yet. Three
//! are on from the start; each can be given another value, or switched off.
//!
//! # Why
//! Browsers guess types, tell whole addresses to other sites and let themselves be framed, unless
//! an answer says otherwise; applications tend to forget it on their error pages.
//!
//! # Example
//! ```toml
//! secure_headers = { frame = "DENY", csp = "default-src 'self'" }
//! ```
//!
//! # Limits
//! What the handler set stays. `csp`, `permissions` and the cross-origin policies depend on the
//! pages and have no default. For TLS see `hsts`; to take fields such as `X-Powered-By` out, see
//! `headers`.
//!
//! # RFC
//! Fetch (`X-Content-Type-Options`, `Cross-Origin-Resource-Policy`), Referrer Policy, HTML
//! (`X-Frame-Options`, `Cross-Origin-Opener-Policy`, `Cross-Origin-Embedder-Policy`), Content
//! Security Policy Level 3, Permissions Policy.

use stead_config::{Config, Diagnostics, Off, Settings, Spanned, module_docs};
use stead_core::{
    BuildContext, Exchange, Fields, Flow, Middleware, MiddlewareKind, Name, check_field_value, name,
};

/// The kind `secure_headers`.
pub const KIND: MiddlewareKind = MiddlewareKind::new("secure_headers", build)
    .summary("add the fields that make browsers careful")
    .docs(module_docs!("secure_headers.rs"))
    .example(r#"secure_headers = { frame = "DENY", csp = "default-src 'self'" }"#)
    .settings::<SecureHeadersConfig>();

/// Settings of `secure_headers`. All apply at start.
#[derive(Config)]
struct SecureHeadersConfig {
    /// `X-Content-Type-Options: nosniff`: browsers believe `Content-Type` and guess no type.
    #[config(default = true)]
    nosniff: bool,
    /// `Referrer-Policy`: how much of a page's address its links tell.
    #[config(default = "strict-origin-when-cross-origin")]
    referrer: Referrer,
    /// `X-Frame-Options`: which pages may show this one inside a frame.
    #[config(default = "SAMEORIGIN")]
    frame: Frame,
    /// `Content-Security-Policy`: what a page may load and run.
    #[config(default = "off")]
    csp: Off<Spanned<String>>,
    /// `Permissions-Policy`: which abilities of the browser a page may use.
    #[config(default = "off")]
    permissions: Off<Spanned<String>>,
    /// `Cross-Origin-Opener-Policy`: which pages keep a handle on a window they opened.
    #[config(default = "off")]
    opener: Opener,
    /// `Cross-Origin-Embedder-Policy`: what a page may embed.
    #[config(default = "off")]
    embedder: Embedder,
    /// `Cross-Origin-Resource-Policy`: whose pages may embed this answer.
    #[config(default = "off")]
    resource: Resource,
}

/// The words of a field, with `"off"` for none.
macro_rules! words {
    ($(#[$docs:meta])* $type:ident {
        $($(#[$word_docs:meta])* $variant:ident = $word:literal,)*
    }) => {
        $(#[$docs])*
        #[derive(Clone, Copy, Config)]
        enum $type {
            $($(#[$word_docs])* #[config(name = $word)] $variant,)*
            /// The field is not added.
            Off,
        }

        impl $type {
            const fn value(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => Some($word),)*
                    Self::Off => None,
                }
            }
        }
    };
}

words! {
    /// How much of an address links tell.
    Referrer {
        /// Nothing.
        Nothing = "no-referrer",
        /// All of it, but nothing from TLS to plaintext.
        NoDowngrade = "no-referrer-when-downgrade",
        /// The origin.
        Origin = "origin",
        /// The origin to others, all of it on the same origin.
        OriginWhenCrossOrigin = "origin-when-cross-origin",
        /// All of it on the same origin, else nothing.
        SameOrigin = "same-origin",
        /// The origin, but nothing from TLS to plaintext.
        StrictOrigin = "strict-origin",
        /// As `origin-when-cross-origin`, but nothing from TLS to plaintext.
        StrictOriginWhenCrossOrigin = "strict-origin-when-cross-origin",
        /// All of it, always.
        UnsafeUrl = "unsafe-url",
    }
}

words! {
    /// Who may show a page inside a frame.
    Frame {
        /// Nobody.
        Deny = "DENY",
        /// Pages of the same origin.
        SameOrigin = "SAMEORIGIN",
    }
}

words! {
    /// Who keeps a handle on a window.
    Opener {
        /// Pages of the same origin.
        SameOrigin = "same-origin",
        /// The same, and windows that this page opens.
        AllowPopups = "same-origin-allow-popups",
        /// Nobody who opened it.
        NoopenerAllowPopups = "noopener-allow-popups",
        /// Everybody.
        UnsafeNone = "unsafe-none",
    }
}

words! {
    /// What a page may embed.
    Embedder {
        /// What says that it may be embedded.
        RequireCorp = "require-corp",
        /// Anything, but without cookies where it does not say so.
        Credentialless = "credentialless",
        /// Anything.
        UnsafeNone = "unsafe-none",
    }
}

words! {
    /// Whose pages may embed an answer.
    Resource {
        /// Those of the same origin.
        SameOrigin = "same-origin",
        /// Those of the same site.
        SameSite = "same-site",
        /// Everybody's.
        CrossOrigin = "cross-origin",
    }
}

struct SecureHeaders {
    fields: Fields,
}

fn build(settings: &Settings, _: &BuildContext<'_>) -> Result<Box<dyn Middleware>, Diagnostics> {
    let config: SecureHeadersConfig = settings.decode()?;
    let mut wrong = Diagnostics::new();
    for text in [&config.csp, &config.permissions] {
        if let Some(text) = &text.0
            && let Err(error) = check_field_value(text)
        {
            wrong.push(error);
        }
    }
    if wrong.has_errors() {
        return Err(wrong);
    }
    let text = |text: &'_ Off<Spanned<String>>| text.0.as_ref().map(|text| text.value.clone());
    let (csp, permissions) = (text(&config.csp), text(&config.permissions));
    let values: [(Name<'_>, Option<&str>); 8] = [
        (name::X_CONTENT_TYPE_OPTIONS, config.nosniff.then_some("nosniff")),
        (name::REFERRER_POLICY, config.referrer.value()),
        (name::X_FRAME_OPTIONS, config.frame.value()),
        (name::CONTENT_SECURITY_POLICY, csp.as_deref()),
        (name::PERMISSIONS_POLICY, permissions.as_deref()),
        (name::CROSS_ORIGIN_OPENER_POLICY, config.opener.value()),
        (name::CROSS_ORIGIN_EMBEDDER_POLICY, config.embedder.value()),
        (name::CROSS_ORIGIN_RESOURCE_POLICY, config.resource.value()),
    ];
    let mut fields = Fields::new();
    for (name, value) in values {
        if let Some(value) = value {
            fields.append(name, value.as_bytes());
        }
    }
    Ok(Box::new(SecureHeaders { fields }))
}

impl Middleware for SecureHeaders {
    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        if let Some(response) = exchange.response_mut() {
            for (name, value) in self.fields.iter() {
                if !response.fields.contains(name) {
                    response.fields.append(name, value);
                }
            }
        }
        Flow::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{around, refusal, text};
    use stead_core::{Name, Response, StatusCode};

    fn fields(settings: &str, own: &'static [(&str, &str)]) -> String {
        let bench = around(&[settings], move |_| {
            let mut response = Response::new(StatusCode::OK);
            for (name, value) in own {
                response.fields.append(Name::Other(name.as_bytes()), value.as_bytes());
            }
            response
        });
        let answer = bench.page("/");
        let shown = answer
            .fields
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)));
        shown.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn three_fields_are_on_and_each_can_be_changed() {
        assert_eq!(
            fields("secure_headers = {}", &[]),
            "X-Content-Type-Options: nosniff\n\
             Referrer-Policy: strict-origin-when-cross-origin\n\
             X-Frame-Options: SAMEORIGIN"
        );
        let off = "secure_headers = { nosniff = false, referrer = 'off', frame = 'off' }";
        assert_eq!(fields(off, &[]), "");
        let all = "secure_headers = { nosniff = false, referrer = 'no-referrer', frame = 'DENY', \
                   csp = \"default-src 'self'\", permissions = 'camera=()', opener = \
                   'same-origin', embedder = 'require-corp', resource = 'same-site' }";
        assert_eq!(
            fields(all, &[]),
            "Referrer-Policy: no-referrer\n\
             X-Frame-Options: DENY\n\
             Content-Security-Policy: default-src 'self'\n\
             Permissions-Policy: camera=()\n\
             Cross-Origin-Opener-Policy: same-origin\n\
             Cross-Origin-Embedder-Policy: require-corp\n\
             Cross-Origin-Resource-Policy: same-site"
        );
    }

    #[test]
    fn what_the_handler_set_stays() {
        let own = &[("x-frame-options", "DENY"), ("Referrer-Policy", "origin")];
        assert_eq!(
            fields("secure_headers = {}", own),
            "X-Frame-Options: DENY\nReferrer-Policy: origin\nX-Content-Type-Options: nosniff"
        );
    }

    #[test]
    fn every_wrong_value_is_told() {
        let wrong = refusal(
            "secure_headers = { frame = 'ALLOW-FROM https://a.example', referrer = 'none', \
             opener = true, nosniff = 'off' }",
        );
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        let wrong = refusal("secure_headers = { csp = \"a\\nb\", permissions = \"c\\u0001\" }");
        assert_eq!(wrong.len(), 2, "{wrong:?}");
    }

    #[test]
    fn errors_carry_the_fields_too() {
        let bench = around(&["secure_headers = {}"], |exchange| {
            exchange.refuse(stead_core::Reason::HandlerError)
        });
        let answer = bench.page("/");
        assert_eq!((answer.status, answer.field("X-Frame-Options").as_str()), (500, "SAMEORIGIN"));
        assert!(around(&["secure_headers = {}"], text("ok")).page("/").fields.len() == 4);
    }
}
