//! Sets, adds and removes header fields, of requests and of answers.
//!
//! # What
//! `response` changes what the client receives, errors included; `request` what is further in sees.
//! In each, `remove` comes first, then `set` (one field in place of all of that name), then `add`
//! (one more).
//!
//! # Why
//! Fields that the application does not know of, or should not tell.
//!
//! # Example
//! ```toml
//! headers = { response = { set = { X-Served-By = "{host}" }, remove = ["X-Powered-By"] } }
//! ```
//!
//! # Placeholders
//! Values take those of `redirect`: the route's captures where the route itself lists this, and
//! `{host}`, `{path}`, `{query}`, `{?query}`, `{uri}`, `{method}`, `{scheme}`, `{client_ip}`,
//! `{request_id}`; of encrypted connections `{tls_version}`, `{tls_cipher}`, `{tls_server_name}`;
//! where the client showed a certificate `{client_certificate_subject}`,
//! `{client_certificate_issuer}`, `{client_certificate_serial}`,
//! `{client_certificate_fingerprint}`, `{client_certificate_dns_names}`,
//! `{client_certificate_emails}`. What has no value is set empty, so that
//! `request = { set = { X-Client = "{client_certificate_subject}" } }` also takes the place of what
//! a client says of itself.
//!
//! # Limits
//! Fields that say where a message ends (`Content-Length`, `Connection` and such) are Stead's own.
//! `Server` of an answer can be set, not removed: Stead names itself, without a version, where
//! nobody else does.
//! A value that would hold a control character is left out.
//!
//! # RFC
//! RFC 9110 §5 (fields), RFC 9112 §6 (framing).

use stead_config::{
    Config, Diagnostic, Diagnostics, Map, Settings, Spanned, Template, module_docs,
};
use stead_core::{
    BuildContext, Exchange, Fields, Flow, Middleware, MiddlewareKind, Text, check_field_name,
};

/// The kind `headers`.
pub const KIND: MiddlewareKind = MiddlewareKind::new("headers", build)
    .summary("set, add and remove header fields")
    .docs(module_docs!("headers.rs"))
    .example(r#"headers = { response = { set = { X-Frame-Options = "DENY" } } }"#)
    .settings::<HeadersConfig>();

/// Settings of `headers`. All apply at start.
#[derive(Config)]
struct HeadersConfig {
    /// What is further in sees.
    #[config(default)]
    request: ChangesConfig,
    /// What the client receives.
    #[config(default)]
    response: ChangesConfig,
}

/// What is done to the fields of a message, in this order.
#[derive(Config)]
struct ChangesConfig {
    /// Fields to take out.
    #[config(default = [])]
    remove: Vec<Spanned<String>>,
    /// Fields to put in place of all of their name.
    #[config(default)]
    set: Map<Template>,
    /// Fields to put beside those that are there.
    #[config(default)]
    add: Map<Template>,
}

struct Headers {
    request: Changes,
    response: Changes,
}

#[derive(Default)]
struct Changes {
    remove: Box<[Box<[u8]>]>,
    set: Box<[(Box<[u8]>, Text)]>,
    add: Box<[(Box<[u8]>, Text)]>,
}

fn build(
    settings: &Settings,
    context: &BuildContext<'_>,
) -> Result<Box<dyn Middleware>, Diagnostics> {
    let config: HeadersConfig = settings.decode()?;
    let mut wrong = Diagnostics::new();
    let request = Changes::build(&config.request, context, &mut wrong);
    let response = Changes::build(&config.response, context, &mut wrong);
    wrong.append(not_removable(&config.response));
    if wrong.has_errors() {
        return Err(wrong);
    }
    Ok(Box::new(Headers { request, response }))
}

impl Changes {
    fn build(config: &ChangesConfig, context: &BuildContext<'_>, wrong: &mut Diagnostics) -> Self {
        let mut remove = Vec::new();
        for field in &config.remove {
            match check_field_name(field) {
                Ok(()) => remove.push(field.as_bytes().into()),
                Err(error) => wrong.push(error),
            }
        }
        let mut texts = |map: &Map<Template>| {
            let mut texts = Vec::new();
            for (field, template) in map {
                if let Err(error) = check_field_name(field) {
                    wrong.push(error);
                }
                match Text::compile_field(template, context) {
                    Ok(text) => texts.push((field.as_bytes().into(), text)),
                    Err(errors) => wrong.append(errors),
                }
            }
            texts.into()
        };
        let (set, add) = (texts(&config.set), texts(&config.add));
        Self { remove: remove.into(), set, add }
    }

    fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// Values are filled before anything changes: they may show what is taken out.
    fn apply(&self, fields: &mut Fields, values: &Values) {
        for name in &self.remove {
            fields.remove(stead_core::Name::Other(name));
        }
        let mut values = values.iter();
        for ((name, _), value) in self.set.iter().zip(&mut values) {
            // SECURITY: what a request carries cannot end the field.
            let _ = fields.try_set(name, value);
        }
        for ((name, _), value) in self.add.iter().zip(&mut values) {
            let _ = fields.try_append(name, value);
        }
    }

    fn fill(&self, exchange: &Exchange) -> Values {
        let mut values = Values { bytes: exchange.worker().buffer(), ends: Vec::new() };
        for (_, text) in self.set.iter().chain(&self.add) {
            text.write(exchange, &mut values.bytes);
            values.ends.push(values.bytes.len());
        }
        values
    }
}

/// `Server` is written into an answer that has none, after all middleware (RFC 9110 §10.2.4).
fn not_removable(config: &ChangesConfig) -> Diagnostics {
    let mut wrong = Diagnostics::new();
    for field in config.remove.iter().filter(|field| field.eq_ignore_ascii_case("server")) {
        let message = format!("`{}` cannot be taken out: Stead writes its own", field.value);
        let help = format!("write `set = {{ {} = \"…\" }}` for another value", field.value);
        wrong.push(Diagnostic::error(field.span, message).help(help));
    }
    wrong
}

/// Filled values, one behind the other.
struct Values {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Values {
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| &self.bytes[std::mem::replace(&mut start, end)..end])
    }
}

impl Middleware for Headers {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        if !self.request.is_empty() {
            if exchange.is_personal() {
                // Also where `Authorization` is taken out.
                exchange.mark_personal();
            }
            let values = self.request.fill(exchange);
            self.request.apply(exchange.fields_mut(), &values);
            exchange.worker().reclaim_buffer(values.bytes);
        }
        Flow::Continue
    }

    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        if !self.response.is_empty() {
            let values = self.response.fill(exchange);
            if let Some(response) = exchange.response_mut() {
                self.response.apply(&mut response.fields, &values);
            }
            exchange.worker().reclaim_buffer(values.bytes);
        }
        Flow::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{around, refusal, text};
    use stead_core::{Name, Response, StatusCode};

    #[test]
    fn answers_lose_fields_then_are_given_others() {
        let settings = "headers = { response = { remove = ['X-Old', 'set-cookie'], \
                        set = { content-type = 'a/b', X-New = 'n' }, add = { Vary = 'Origin' } } }";
        let bench = around(&[settings], |_| {
            let mut response = Response::new(StatusCode::OK);
            for (name, value) in
                [("X-Old", "1"), ("Set-Cookie", "a"), ("Set-Cookie", "b"), ("Vary", "Accept")]
            {
                response.fields.append(Name::Other(name.as_bytes()), value.as_bytes());
            }
            response
        });
        let answer = bench.page("/");
        let shown: Vec<String> = answer
            .fields
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.escape_ascii()))
            .collect();
        assert_eq!(shown, ["Vary: Accept", "Content-Type: a/b", "X-New: n", "Vary: Origin"]);
    }

    #[test]
    fn requests_are_changed_for_what_is_further_in() {
        let settings = "headers = { request = { remove = ['Cookie'], set = { X-Path = '{path}' }, \
                        add = { X-Id = '{rest}' } } }";
        let bench = around(&[settings], |exchange| {
            let seen: Vec<String> = exchange
                .fields()
                .iter()
                .map(|(name, value)| format!("{name}={}", value.escape_ascii()))
                .collect();
            text(&seen.join(" "))(exchange)
        });
        let answer = bench.call("GET", "/a%20b", &[("Cookie", "c"), ("X-Id", "x")]);
        assert_eq!(answer.text(), "Host=a.example X-Id=x X-Path=/a%20b X-Id=a%20b");
    }

    #[test]
    fn every_wrong_name_and_value_is_told() {
        let wrong = refusal(
            "headers = { response = { set = { Content-Length = '1', 'a b' = 'x', c = \"x\\ny\" }, \
             remove = ['Connection'] }, request = { add = { d = '{nothing}' } } }",
        );
        assert_eq!(wrong.len(), 5, "{wrong:?}");
    }
}
