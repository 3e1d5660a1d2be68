//! Says how long answers may be kept, and by whom.
//!
//! # What
//! Adds `Cache-Control` to answers to GET and HEAD with status 200, 206 or 304 where the handler
//! has set neither it nor `Expires`. The ending of the path decides first (`extensions`), then the
//! media type (`types`), then `value`, which a string alone is. Each is the field's text, or a
//! table with `max_age`.
//!
//! # Why
//! Files whose names change with their content can be kept for ever, pages must be asked for.
//!
//! # Example
//! ```toml
//! [middleware.assets]
//! kind = "cache_control"
//! value = "no-cache"
//! extensions = { js = { max_age = "365d", immutable = true }, css = "max-age=3600" }
//! ```
//!
//! # Limits
//! An answer that sets a cookie is given only what keeps it out of shared caches (`private`,
//! `no-store`); one that a request with `Authorization` asked for, nothing that lets it into them
//! (`public`, `s-maxage`, `must-revalidate`). A 304 says no type: where one of
//! `types` could have decided, nothing is added, and caches keep what they were told first.
//!
//! # RFC
//! RFC 9111 §3.5 (`Authorization`), §5.2.2 (directives), RFC 8246 (`immutable`), RFC 5861
//! (`stale-while-revalidate`, `stale-if-error`).

use stead_config::{
    Config, Diagnostic, Diagnostics, Duration, Map, Settings, Span, Spanned, module_docs,
};
use stead_core::{
    BuildContext, Exchange, Flow, Method, Middleware, MiddlewareKind, Response, StatusCode, name,
};

use crate::media_range::{MediaRange, essence};

/// The kind `cache_control`.
pub const KIND: MiddlewareKind = MiddlewareKind::new("cache_control", build)
    .summary("say how long answers may be kept, and by whom")
    .docs(module_docs!("cache_control.rs"))
    .example(
        r#"cache_control = { value = "no-cache", types = { "image/*" = { max_age = "30d" } } }"#,
    )
    .settings::<CacheControlConfig>();

/// Settings of `cache_control`. All apply at start.
#[derive(Config)]
#[config(shorthand = "value")]
struct CacheControlConfig {
    /// For all that the tables below do not name.
    value: Option<Spanned<Policy>>,
    /// By media type without parameters: `"text/html"`, `"image/*"` for all of an area, `"*+json"`
    /// for all of a suffix. The first that fits counts.
    #[config(default)]
    types: Map<Spanned<Policy>>,
    /// By ending of the path, without its dot: `css`.
    #[config(default)]
    extensions: Map<Spanned<Policy>>,
}

/// How an answer may be kept.
#[derive(Config)]
enum Policy {
    /// The field, with its duration.
    Age {
        /// How long it is fresh.
        #[config(range = "0s"..="3650d")]
        max_age: Duration,
        /// Whether shared caches may keep it in any case.
        #[config(default = false)]
        public: bool,
        /// Whether it never changes, so that not even a reload asks again.
        #[config(default = false)]
        immutable: bool,
    },
    /// The field as it is sent.
    Text(String),
}

struct CacheControl {
    /// Lower case, without a dot.
    extensions: Box<[(Box<str>, Value)]>,
    types: Box<[(MediaRange, Value)]>,
    otherwise: Option<Value>,
}

/// A compiled [`Policy`].
struct Value {
    text: Box<str>,
    /// Shared caches keep nothing.
    is_private: bool,
    /// Shared caches may keep also what a request with `Authorization` asked for.
    is_shared: bool,
}

fn build(settings: &Settings, _: &BuildContext<'_>) -> Result<Box<dyn Middleware>, Diagnostics> {
    let config: CacheControlConfig = settings.decode()?;
    let mut wrong = Diagnostics::new();
    if config.value.is_none() && config.types.0.is_empty() && config.extensions.0.is_empty() {
        let error = Diagnostic::error(settings.span(), "`cache_control` says nothing");
        wrong.push(error.help("write `cache_control = \"no-cache\"`, or `types` or `extensions`"));
    }
    let mut value = |policy: &Spanned<Policy>| match Value::compile(policy) {
        Ok(value) => Some(value),
        Err(errors) => {
            wrong.append(errors);
            None
        }
    };
    let otherwise = config.value.as_ref().and_then(&mut value);
    let types: Vec<_> = config.types.iter().map(|(name, policy)| (name, value(policy))).collect();
    let extensions: Vec<_> =
        config.extensions.iter().map(|(name, policy)| (name, value(policy))).collect();
    let types = types.into_iter().filter_map(|(name, value)| {
        let range = MediaRange::parse(name).map_err(|error| wrong.push(error)).ok()?;
        Some((range, value?))
    });
    let types = types.collect();
    let extensions = extensions.into_iter().filter_map(|(name, value)| {
        let extension = extension(name).map_err(|error| wrong.push(error)).ok()?;
        Some((extension, value?))
    });
    let extensions = extensions.collect();
    if wrong.has_errors() {
        return Err(wrong);
    }
    Ok(Box::new(CacheControl { extensions, types, otherwise }))
}

impl Value {
    fn compile(policy: &Spanned<Policy>) -> Result<Self, Diagnostics> {
        match &policy.value {
            Policy::Age { max_age, public, immutable } => {
                let public = if *public { "public, " } else { "" };
                let immutable = if *immutable { ", immutable" } else { "" };
                let text = format!("{public}max-age={}{immutable}", max_age.as_secs());
                Ok(Self { text: text.into(), is_private: false, is_shared: !public.is_empty() })
            }
            Policy::Text(text) => {
                let mut wrong = Diagnostics::new();
                let (mut is_private, mut is_shared) = (false, false);
                if stead_base::parse_duration(text).is_ok() {
                    let message = format!("`{}` is no directive", text.escape_debug());
                    let help = format!("write `{{ max_age = \"{text}\" }}`");
                    return Err(Diagnostic::error(policy.span, message).help(help).into());
                }
                for directive in text.split(',').map(str::trim) {
                    if let Err(error) = check_directive(directive, policy.span) {
                        wrong.push(error);
                    }
                    let name = directive.split('=').next().unwrap_or_default();
                    let is = |known: &&str| known.eq_ignore_ascii_case(name);
                    is_private |= ["private", "no-store"].iter().any(is);
                    is_shared |= ["public", "s-maxage", "must-revalidate"].iter().any(is);
                }
                let value = Self { text: text.trim().into(), is_private, is_shared };
                if wrong.has_errors() { Err(wrong) } else { Ok(value) }
            }
        }
    }
}

/// Directives of answers, and whether they take seconds.
const DIRECTIVES: &[(&str, bool)] = &[
    ("immutable", false),
    ("max-age", true),
    ("must-revalidate", false),
    ("must-understand", false),
    ("no-cache", false),
    ("no-store", false),
    ("no-transform", false),
    ("private", false),
    ("proxy-revalidate", false),
    ("public", false),
    ("s-maxage", true),
    ("stale-if-error", true),
    ("stale-while-revalidate", true),
];

fn check_directive(directive: &str, span: Span) -> Result<(), Diagnostic> {
    let (name, seconds) = match directive.split_once('=') {
        Some((name, seconds)) => (name, Some(seconds)),
        None => (directive, None),
    };
    let known = DIRECTIVES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let Some((known, takes_seconds)) = known else {
        let known: Vec<&str> = DIRECTIVES.iter().map(|(known, _)| *known).collect();
        let message = format!("`{}` is no directive of `Cache-Control`", name.escape_debug());
        let help = format!("write one of {}", known.join(", "));
        return Err(Diagnostic::error(span, message).help(help));
    };
    match (takes_seconds, seconds) {
        (true, Some(seconds))
            if !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Ok(())
        }
        (true, _) => Err(Diagnostic::error(span, format!("`{known}` takes seconds"))
            .help(format!("write `{known}=3600`"))),
        (false, Some(_)) => Err(Diagnostic::error(span, format!("`{known}` takes no value here"))
            .help(format!("write `{known}`"))),
        (false, None) => Ok(()),
    }
}

fn extension(name: &Spanned<String>) -> Result<Box<str>, Diagnostic> {
    if name.is_empty() || name.contains(['.', '/', '*']) {
        let error = Diagnostic::error(name.span, "an ending is what follows a name's last dot");
        return Err(error.help("write it without its dot: `css`"));
    }
    Ok(name.to_ascii_lowercase().into())
}

impl CacheControl {
    /// What an answer without the field is given.
    fn value(&self, exchange: &Exchange, response: &Response) -> Option<&Value> {
        if !self.extensions.is_empty()
            && let Some(ending) = ending(exchange.path())
            && let Some((_, value)) =
                self.extensions.iter().find(|(known, _)| known.eq_ignore_ascii_case(ending))
        {
            return Some(value);
        }
        if !self.types.is_empty() {
            match response.fields.get(name::CONTENT_TYPE) {
                Some(own) => {
                    let own = essence(own);
                    let found = self.types.iter().find(|(range, _)| range.takes(own));
                    if let Some((_, value)) = found {
                        return Some(value);
                    }
                }
                // Another value than the 200 had would replace that one in caches.
                None if response.status == StatusCode::NOT_MODIFIED => return None,
                None => {}
            }
        }
        self.otherwise.as_ref()
    }
}

/// What follows the last dot of the last segment.
fn ending(path: &str) -> Option<&str> {
    Some(path.rsplit('/').next()?.rsplit_once('.')?.1)
}

/// Whether a value keeps what belongs to one client out of shared caches.
fn is_safe(value: &Value, exchange: &Exchange, response: &Response) -> bool {
    let leaks =
        response.fields.contains(name::SET_COOKIE) || (value.is_shared && exchange.is_personal());
    value.is_private || !leaks
}

impl Middleware for CacheControl {
    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        let Some(response) = exchange.response() else { return Flow::Continue };
        let is_meant = matches!(response.status.as_u16(), 200 | 206 | 304)
            && matches!(*exchange.method(), Method::GET | Method::HEAD)
            && !response.fields.contains(name::CACHE_CONTROL)
            && !response.fields.contains(name::EXPIRES);
        if is_meant
            && let Some(value) = self.value(exchange, response)
            && is_safe(value, exchange, response)
            && let Some(response) = exchange.response_mut()
        {
            response.fields.append(name::CACHE_CONTROL, value.text.as_bytes());
        }
        Flow::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, around, refusal};
    use stead_core::{Name, Response, StatusCode};

    const BY_KIND: &str = "cache_control = { value = 'max-age=1', \
        types = { 'text/html' = 'no-cache', 'image/*' = { max_age = '1h', public = true }, \
        '*+json' = 'no-store' }, \
        extensions = { JS = { max_age = '365d', immutable = true } } }";

    /// Answers with a status and a media type, and these fields.
    fn bench(
        settings: &str,
        status: u16,
        content_type: &'static str,
        fields: &'static [(&str, &str)],
    ) -> Bench {
        around(&[settings], move |_| {
            let mut response = Response::new(StatusCode::from_u16(status).unwrap());
            if !content_type.is_empty() {
                response.fields.set(stead_core::name::CONTENT_TYPE, content_type.as_bytes());
            }
            for (name, value) in fields {
                response.fields.append(Name::Other(name.as_bytes()), value.as_bytes());
            }
            response
        })
    }

    fn check(uri: &str, status: u16, content_type: &'static str, expect: &str) {
        let bench = bench(BY_KIND, status, content_type, &[]);
        assert_eq!(bench.page(uri).field("Cache-Control"), expect, "{uri} {status} {content_type}");
    }

    #[test]
    fn ending_then_type_then_the_rest() {
        check("/a.js", 200, "text/html", "max-age=31536000, immutable");
        check("/a/B.Js?x.css", 206, "", "max-age=31536000, immutable");
        check("/js", 200, "Text/HTML; charset=utf-8", "no-cache");
        check("/a.html", 200, "text/html", "no-cache");
        check("/", 200, "image/png", "public, max-age=3600");
        check("/", 200, "application/problem+json", "no-store");
        check("/", 200, "images/png", "max-age=1");
        check("/", 200, "text/htmlx", "max-age=1");
        check("/", 200, "", "max-age=1");
        check("/a.js", 304, "", "max-age=31536000, immutable");
        // What the 200 said stays.
        check("/", 304, "", "");
        for status in [201, 301, 404, 416, 500, 503] {
            check("/a.js", status, "text/html", "");
        }
    }

    #[test]
    fn a_304_is_given_what_depends_on_no_type() {
        let bench = bench("cache_control = 'no-cache'", 304, "", &[]);
        assert_eq!(bench.page("/").field("Cache-Control"), "no-cache");
    }

    #[test]
    fn what_the_handler_set_stays() {
        let settings = "cache_control = 'no-store'";
        for own in [&[("Cache-Control", "max-age=9")], &[("Expires", "0")]] {
            let answer = bench(settings, 200, "", own).page("/");
            assert_eq!(answer.fields.len(), 1);
        }
        let answer = bench(settings, 200, "", &[]).call("POST", "/", &[]);
        assert_eq!(answer.field("Cache-Control"), "");
    }

    #[test]
    fn personal_answers_stay_out_of_shared_caches() {
        let cookie = &[("Set-Cookie", "a=b")];
        let shown = |settings: &str, own: &'static [(&str, &str)], fields: &[(&str, &str)]| {
            bench(settings, 200, "", own).call("GET", "/", fields).field("Cache-Control")
        };
        let public = "cache_control = 'public, max-age=60'";
        assert_eq!(shown(public, cookie, &[]), "");
        let known = &[("Authorization", "Basic eA==")];
        for shared in ["public, max-age=60", "S-MaxAge=60", "max-age=60, must-revalidate"] {
            assert_eq!(shown(&format!("cache_control = '{shared}'"), &[], known), "", "{shared}");
        }
        // Without a field browsers would guess how long it may be kept.
        assert_eq!(shown("cache_control = 'max-age=60'", &[], known), "max-age=60");
        assert_eq!(shown("cache_control = 'no-cache'", cookie, &[]), "");
        let private = "cache_control = 'private, max-age=60'";
        assert_eq!(shown(private, cookie, &[("Authorization", "x")]), "private, max-age=60");
    }

    /// `basic_auth` takes `Authorization` out: shared caches were told to keep what it guards.
    #[test]
    fn what_a_password_guards_stays_out_of_shared_caches() {
        let guard = "basic_auth = { users = { alice = \
            '$2y$04$MhRZKUpC/5Wdk.Qw59xQCeM/97u4S9I8yKHMVduVxosSx02GOzfu2' } }";
        let public = "cache_control = { value = { max_age = '1h', public = true } }";
        let credentials = [("Authorization", "Basic YWxpY2U6Z2VoZWltOiDDvA==")];
        for order in [[guard, public], [public, guard]] {
            let bench = around(&order, crate::testing::text("for alice"));
            for _ in 0..2 {
                let answer = bench.call("GET", "/", &credentials);
                assert_eq!((answer.status, answer.field("Cache-Control")), (200, String::new()));
            }
        }
        let stripped = "headers = { request = { remove = ['Authorization'] } }";
        let bench = around(&[stripped, public], crate::testing::text("for alice"));
        assert_eq!(bench.call("GET", "/", &credentials).field("Cache-Control"), "");
        assert_eq!(bench.page("/").field("Cache-Control"), "public, max-age=3600");
    }

    #[test]
    fn every_mistake_is_told() {
        assert_eq!(refusal("cache_control = {}").len(), 1);
        assert_eq!(refusal("cache_control = 'maxage=1, max-age, max-age=1h, public=1, '").len(), 5);
        assert_eq!(
            refusal(
                "cache_control = { types = { html = 'no-cache', 'a/b;c' = 'x' }, \
                 extensions = { '.js' = 'no-cache' } }"
            )
            .len(),
            4
        );
        assert_eq!(refusal("cache_control = { value = { max_age = 60 } }").len(), 1);
    }
}
