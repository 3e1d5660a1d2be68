//! Tells browsers to come back over TLS only.
//!
//! # What
//! Answers that leave over TLS carry `Strict-Transport-Security`, errors included; those over
//! plaintext never do, because a browser must not believe them there.
//!
//! # Why
//! The first plaintext request of a visit, which anybody on the way could answer, is never sent.
//!
//! # Example
//! ```toml
//! hsts = { max_age = "365d", subdomains = true }
//! ```
//!
//! # Limits
//! Browsers remember it for `max_age`: until then the name, and with `subdomains` every name below
//! it, works over TLS only. `max_age = "0s"` makes them forget. `preload` asks the makers of
//! browsers to ship the name in their list, which is slow to undo; the list wants a year and
//! `subdomains`. Behind a proxy that ends TLS, list it in `trusted_proxies`.
//!
//! # RFC
//! RFC 6797 §6.1 (the field), §7.2 (not over plaintext).

use stead_config::{Config, Diagnostic, Diagnostics, Duration, Settings, Spanned, module_docs};
use stead_core::{BuildContext, Exchange, Flow, Middleware, MiddlewareKind, Scheme, name};

/// The kind `hsts`.
pub const KIND: MiddlewareKind = MiddlewareKind::new("hsts", build)
    .summary("tell browsers to come back over TLS only")
    .docs(module_docs!("hsts.rs"))
    .example(r#"hsts = { max_age = "365d", subdomains = true }"#)
    .settings::<HstsConfig>();

/// Settings of `hsts`. All apply at start.
#[derive(Config)]
#[config(shorthand = "max_age")]
struct HstsConfig {
    /// How long browsers remember.
    #[config(default = "365d", range = "0s"..="730d")]
    max_age: Spanned<Duration>,
    /// Whether it holds for every name below this one too.
    #[config(default = false)]
    subdomains: Spanned<bool>,
    /// Whether the name may be shipped with browsers. Wants a year and `subdomains`.
    #[config(default = false)]
    preload: Spanned<bool>,
}

struct Hsts {
    value: Box<[u8]>,
}

/// What the list of names that browsers ship wants at least (<https://hstspreload.org>).
const PRELOAD_MIN: Duration = Duration::from_hours(365 * 24);

fn build(settings: &Settings, _: &BuildContext<'_>) -> Result<Box<dyn Middleware>, Diagnostics> {
    let config: HstsConfig = settings.decode()?;
    check_preload(&config)?;
    let mut value = format!("max-age={}", config.max_age.as_secs());
    if *config.subdomains {
        value.push_str("; includeSubDomains");
    }
    if *config.preload {
        value.push_str("; preload");
    }
    Ok(Box::new(Hsts { value: value.into_bytes().into() }))
}

fn check_preload(config: &HstsConfig) -> Result<(), Diagnostics> {
    let mut wrong = Diagnostics::new();
    if *config.preload && *config.max_age < PRELOAD_MIN {
        let error = Diagnostic::error(config.max_age.span, "`preload` wants a `max_age` of a year");
        wrong.push(error.help("write `\"365d\"`, or take `preload` out"));
    }
    if *config.preload && !*config.subdomains {
        let error = Diagnostic::error(config.preload.span, "`preload` wants `subdomains`");
        wrong.push(error.help("add `subdomains = true`, or take `preload` out"));
    }
    if wrong.has_errors() { Err(wrong) } else { Ok(()) }
}

impl Middleware for Hsts {
    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        if exchange.scheme() == Scheme::Https
            && let Some(response) = exchange.response_mut()
        {
            response.fields.set(name::STRICT_TRANSPORT_SECURITY, &self.value);
        }
        Flow::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{around, refusal, text};

    fn check(settings: &str, expect: &str) {
        let field = "Strict-Transport-Security";
        let secure = around(&[settings], text("ok")).over_tls();
        assert_eq!(secure.page("/").field(field), expect, "{settings}");
        let plain = around(&[settings], text("ok"));
        assert!(!plain.page("/").fields.contains(stead_core::name::STRICT_TRANSPORT_SECURITY));
    }

    #[test]
    fn only_answers_over_tls_carry_the_field() {
        check("hsts = {}", "max-age=31536000");
        check("hsts = '1d'", "max-age=86400");
        check("hsts = { max_age = '0s' }", "max-age=0");
        check("hsts = { subdomains = true }", "max-age=31536000; includeSubDomains");
        check(
            "hsts = { max_age = '730d', subdomains = true, preload = true }",
            "max-age=63072000; includeSubDomains; preload",
        );
    }

    #[test]
    fn the_preconditions_of_preload_are_told() {
        assert_eq!(refusal("hsts = { max_age = '1d', preload = true }").len(), 2);
        assert_eq!(
            refusal("hsts = { max_age = '364d', subdomains = true, preload = true }").len(),
            1
        );
        assert_eq!(refusal("hsts = { preload = true }").len(), 1);
        assert_eq!(refusal("hsts = { max_age = '731d' }").len(), 1);
    }
}
