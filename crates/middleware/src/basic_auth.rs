//! Asks for a name and a password.
//!
//! # What
//! A request without valid credentials is answered 401 (`unauthorized`), for which a browser asks
//! its user. What is further in sees the request without `Authorization` (unless `forward`), and
//! with the user's name in the field that `user_header` names.
//!
//! # Why
//! A page for a few people, where an application has no accounts of its own. Credentials travel
//! readable by whoever can listen: use it behind TLS.
//!
//! # Example
//! ```toml
//! basic_auth = { file = "users.htpasswd", realm = "Office" }
//! ```
//! `htpasswd -B -c users.htpasswd alice` writes such a file. Users may also stand in the
//! configuration, each with what `htpasswd -nB alice` prints behind the colon:
//! `users = { alice = "$2y$…" }`.
//!
//! # Limits
//! Passwords are kept as bcrypt (`$2a$`, `$2b$`, `$2y$`, cost 4 to 15) or Argon2id
//! (`$argon2id$…`); weaker hashes and plain text are errors. bcrypt sees the first 72 bytes of a
//! password. They are checked on the blocking pool, as many at a time as there are workers in all
//! of the process; beyond 64 that wait for each, the answer is 503 (`overloaded`). Whose password
//! was right is remembered for 60 s under a keyed hash, at most 4,096 of them, so that the next
//! requests cost nothing. After too many wrong passwords (`failures`) an address gets 429
//! (`too_many_failures`). An unknown name takes as long as a known one. The file is read at start:
//! restart to take changes over.
//!
//! # RFC
//! RFC 7617 (Basic), RFC 9110 §11 (authentication), RFC 9106 (Argon2).

use std::fmt::Write as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stead_config::{
    Config, Diagnostic, Diagnostics, Frequency, Map, Off, Secret, Settings, Spanned, module_docs,
};
use stead_core::{
    Allowances, BuildContext, Exchange, Flow, Key, Middleware, MiddlewareKind, Reason, Response,
    Result, check_field_name, check_field_value, name,
};

use crate::passwords::{Users, Verifications};

/// The kind `basic_auth`.
pub const KIND: MiddlewareKind = MiddlewareKind::new("basic_auth", build)
    .summary("ask for a name and a password")
    .docs(module_docs!("basic_auth.rs"))
    .example(
        r#"basic_auth = { realm = "Office", users = { alice = "$2y$04$wHY4.w0bxEiaEyOYBKDtVOMfRJnaAOgH1L24wC4E9SEwOAcGEtuti" } }"#,
    )
    .settings::<BasicAuthConfig>();

/// Settings of `basic_auth`. All apply at start, when the file is read too.
#[derive(Config)]
#[config(shorthand = "file")]
struct BasicAuthConfig {
    /// A file of lines `name:hash`, as `htpasswd -B` writes it; `#` begins a comment.
    file: Option<Spanned<PathBuf>>,
    /// Users with the hashes of their passwords.
    #[config(default)]
    users: Map<Secret>,
    /// What browsers show, and what tells one set of passwords from another.
    #[config(default = "restricted")]
    realm: Spanned<String>,
    /// The field in which what is further in finds the user's name; whatever the client sent in it
    /// is taken out.
    user_header: Option<Spanned<String>>,
    /// Whether what is further in sees `Authorization` too.
    #[config(default = false)]
    forward: bool,
    /// How many wrong passwords may come from one address (of IPv6, one /64).
    #[config(default = "20/m")]
    failures: Off<Frequency>,
}

struct BasicAuth {
    users: Arc<Users>,
    verifications: Arc<Verifications>,
    /// The value of `WWW-Authenticate`.
    challenge: Box<str>,
    user_header: Option<Box<[u8]>>,
    forward: bool,
    failures: Option<Arc<Allowances>>,
}

/// Addresses whose failures are remembered at a time.
const FAILURES_CLIENTS: u32 = 100_000;
/// Longer credentials are none: no browser asks for more.
const CREDENTIALS_BYTES_MAX: usize = 4 << 10;

fn build(
    settings: &Settings,
    context: &BuildContext<'_>,
) -> Result<Box<dyn Middleware>, Diagnostics> {
    let config: BasicAuthConfig = settings.decode()?;
    let mut wrong = Diagnostics::new();
    let users = Users::build(config.file.as_ref(), &config.users, &mut wrong);
    if let Err(error) = check_field_value(&config.realm) {
        wrong.push(error);
    }
    if let Some(Err(error)) = config.user_header.as_ref().map(check_field_name) {
        wrong.push(error);
    }
    if config.file.is_none() && config.users.0.is_empty() {
        let nobody = Diagnostic::error(settings.span(), "`basic_auth` knows no user");
        wrong.push(nobody.help("write `file = \"users.htpasswd\"` or `users = { … }`"));
    }
    if wrong.has_errors() {
        return Err(wrong);
    }
    let failures = config.failures.0;
    let failures =
        failures.and_then(|rate| Allowances::new(rate, rate.count, FAILURES_CLIENTS)).map(Arc::new);
    Ok(Box::new(BasicAuth {
        users: Arc::new(users),
        verifications: context.process().shared.value(),
        challenge: challenge(&config.realm),
        user_header: config.user_header.map(|header| header.as_bytes().into()),
        forward: config.forward,
        failures,
    }))
}

/// RFC 7617 §2 and §2.1.
fn challenge(realm: &str) -> Box<str> {
    let mut text = "Basic realm=\"".to_owned();
    for character in realm.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    let _ = write!(text, "\", charset=\"UTF-8\"");
    text.into()
}

impl BasicAuth {
    fn refuse(&self, exchange: &Exchange) -> Response {
        let mut response = exchange.refuse(Reason::Unauthorized);
        response.fields.set(name::WWW_AUTHENTICATE, self.challenge.as_bytes());
        response
    }

    /// Checks a password that is not remembered.
    async fn verify(
        &self,
        exchange: &mut Exchange,
        credentials: Credentials,
    ) -> Result<Option<Response>> {
        let worker = Rc::clone(exchange.worker());
        let failures = self.failures.as_ref().map(|failures| Failures::of(failures, exchange));
        let wait = || failures.as_ref().and_then(Failures::wait);
        if let Some(again) = wait() {
            return Ok(Some(too_many_failures(exchange, again)));
        }
        let Some(permit) = self.verifications.permit(worker.process.workers()).await else {
            return Ok(Some(exchange.refuse(Reason::Overloaded)));
        };
        // SECURITY: others of this address may have failed while this one waited, so that many
        // tries at once are no more than a few beyond the limit: one for each worker.
        if let Some(again) = wait() {
            return Ok(Some(too_many_failures(exchange, again)));
        }
        // So may another request have shown the same password.
        if self.users.remembers(&credentials.user, &credentials.password, worker.now()) {
            self.admit(exchange, &credentials.user);
            return Ok(None);
        }
        let users = Arc::clone(&self.users);
        let verified = worker.blocking(move || {
            // Held by the work, which goes on also where nobody waits for it any more.
            let _permit = permit;
            let is_right = users.verify(&credentials.user, &credentials.password);
            if let Some(failures) = failures.filter(|_| !is_right) {
                failures.count();
            }
            (credentials, is_right)
        });
        let (credentials, is_right) = verified.await?;
        if !is_right {
            return Ok(Some(self.refuse(exchange)));
        }
        self.users.remember(&credentials.user, &credentials.password, worker.now());
        self.admit(exchange, &credentials.user);
        Ok(None)
    }

    /// SECURITY: what is further in learns the name from us alone.
    fn admit(&self, exchange: &mut Exchange, user: &[u8]) {
        exchange.mark_personal();
        let fields = exchange.fields_mut();
        if !self.forward {
            fields.remove(name::AUTHORIZATION);
        }
        if let Some(header) = &self.user_header {
            fields.retain(|name, _| !is_spelling_of(name.as_bytes(), header));
            // A name is visible text: it was compared with the configured ones.
            let _ = fields.try_append(header, user);
        }
    }
}

/// What is counted of one address. Only what failed: whoever has the right password is not kept
/// out by others who come at the same time.
struct Failures {
    allowances: Arc<Allowances>,
    key: Key,
}

impl Failures {
    fn of(allowances: &Arc<Allowances>, exchange: &Exchange) -> Self {
        let mut key = allowances.key();
        key.write_client(exchange.client());
        Self { allowances: Arc::clone(allowances), key: key.finish() }
    }

    /// When to come back, where there were too many.
    fn wait(&self) -> Option<Duration> {
        self.allowances.wait(self.key, Allowances::now())
    }

    fn count(&self) {
        self.allowances.take(self.key, Allowances::now(), Duration::ZERO);
    }
}

/// Whether `name` is `header`, or what some programs take for it: with `_` for `-`.
fn is_spelling_of(name: &[u8], header: &[u8]) -> bool {
    let folded = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == header.len() && name.iter().map(folded).eq(header.iter().map(folded))
}

fn too_many_failures(exchange: &Exchange, again: Duration) -> Response {
    let mut response = exchange.refuse(Reason::TooManyFailures);
    let seconds = again.as_secs() + 1;
    response.fields.set(name::RETRY_AFTER, seconds.to_string().as_bytes());
    response
}

impl Middleware for BasicAuth {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        let Some(credentials) = Credentials::parse(exchange) else {
            return Flow::Respond(self.refuse(exchange));
        };
        let now = exchange.worker().now();
        if self.users.remembers(&credentials.user, &credentials.password, now) {
            self.admit(exchange, &credentials.user);
            return Flow::Continue;
        }
        Flow::Wait(Box::pin(self.verify(exchange, credentials)))
    }
}

/// SECURITY: has no `Debug`, so that no message can show it.
struct Credentials {
    user: Box<[u8]>,
    password: Box<[u8]>,
}

impl Credentials {
    /// What `Authorization` says, if it says it once and in this scheme (RFC 7617 §2).
    fn parse(exchange: &Exchange) -> Option<Self> {
        let mut values = exchange.fields().values(name::AUTHORIZATION);
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let (scheme, encoded) = value.split_at_checked(SCHEME.len())?;
        if !scheme.eq_ignore_ascii_case(SCHEME) || encoded.len() > CREDENTIALS_BYTES_MAX {
            return None;
        }
        let decoded = STANDARD.decode(encoded.trim_ascii()).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        Some(Self { user: decoded[..colon].into(), password: decoded[colon + 1..].into() })
    }
}

const SCHEME: &[u8] = b"Basic ";

#[cfg(test)]
mod tests;
