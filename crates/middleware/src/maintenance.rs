//! Answers every request with 503 while it is switched on.
//!
//! # What
//! The answer is a page or a text, with `Retry-After`; clients of `allow` go through. With
//! `when = "maintenance.on"` the existence of that file switches it on, without a restart;
//! otherwise it is always on.
//!
//! # Why
//! Visitors learn that it will be back, search engines and clients when to ask again.
//!
//! # Example
//! ```toml
//! maintenance = { page = "soon.html", allow = ["10.0.0.0/8"], when = "maintenance.on" }
//! ```
//!
//! # Limits
//! `page` is read when the configuration is, at most 4 MiB of UTF-8. The file of `when` is looked
//! at once a second at most by each worker, off the worker's thread; its content does not matter. A
//! route that must go on, such as a health check, takes it out with `"-maintenance"`.
//!
//! # RFC
//! RFC 9110 §15.6.4 (503), §10.2.3 (`Retry-After`).

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration as Span;

use bytes::Bytes;
use stead_base::Tick;
use stead_config::{
    Config, Diagnostic, Diagnostics, Disk, Duration, Files as _, Origin, Settings, Spanned,
    module_docs,
};
use stead_core::{
    Body, BuildContext, Exchange, Flow, LocalKey, Middleware, MiddlewareKind, Origins, Reason,
    Response, name,
};

/// The kind `maintenance`.
pub const KIND: MiddlewareKind = MiddlewareKind::new("maintenance", build)
    .summary("answer every request with 503 while it is switched on")
    .docs(module_docs!("maintenance.rs"))
    .example(r#"maintenance = { body = "back at noon\n", when = "maintenance.on" }"#)
    .settings::<MaintenanceConfig>();

/// Settings of `maintenance`. All apply at start.
#[derive(Config)]
#[config(shorthand = "body")]
struct MaintenanceConfig {
    /// What the answer says; plain text. The status's own name unless this or `page` is given.
    body: Option<Spanned<String>>,
    /// The page that is answered; its type follows from its ending: `html`, `json`, else plain
    /// text.
    page: Option<Spanned<PathBuf>>,
    /// When clients may ask again.
    #[config(default = "5m", range = "1s"..="30d")]
    retry_after: Duration,
    /// Who goes through all the same: networks (`"10.0.0.0/8"`), addresses, and the words
    /// `"private"`, `"loopback"` and `"unix"`.
    #[config(default = [])]
    allow: Vec<Origin>,
    /// The file whose existence switches it on. Without it, it is on.
    when: Option<PathBuf>,
}

struct Maintenance {
    /// Nothing for the status's own name.
    page: Option<Page>,
    retry_after: Box<[u8]>,
    allowed: Origins,
    when: Option<When>,
}

struct Page {
    media_type: &'static [u8],
    body: Bytes,
}

struct When {
    file: Arc<Path>,
    /// What each worker knows of it.
    seen: LocalKey<Seen>,
}

/// What a worker knows of the file of `when`.
#[derive(Default)]
struct Seen {
    /// Nothing before the first look has ended: until then every request looks.
    is_there: Cell<Option<bool>>,
    /// When to look again.
    next: Cell<Option<Tick>>,
}

/// Between two looks at the file of `when`.
const LOOK_EVERY: Span = Span::from_secs(1);

fn build(
    settings: &Settings,
    context: &BuildContext<'_>,
) -> Result<Box<dyn Middleware>, Diagnostics> {
    let config: MaintenanceConfig = settings.decode()?;
    let page = match (&config.page, config.body) {
        (None, None) => None,
        (None, Some(body)) => Some(Page { media_type: TEXT, body: body.value.into() }),
        (Some(path), None) => Some(Page::read(path)?),
        (Some(path), Some(body)) => {
            let error = Diagnostic::error(path.span, "there is a `body` already");
            return Err(error.help("take one of them out").related(body.span, "here").into());
        }
    };
    let retry_after = config.retry_after.as_secs().to_string().into_bytes().into();
    let when = config.when.map(|file| When { file: file.into(), seen: context.local() });
    let allowed = config.allow.into_iter().collect();
    Ok(Box::new(Maintenance { page, retry_after, allowed, when }))
}

const TEXT: &[u8] = b"text/plain; charset=utf-8";

impl Page {
    fn read(path: &Spanned<PathBuf>) -> Result<Self, Diagnostic> {
        let body = Disk.read(path).map_err(|error| {
            let message = format!("{} cannot be read: {error}", path.display());
            Diagnostic::error(path.span, message).help("write the path of a page")
        })?;
        let media_type: &[u8] = match path.extension().and_then(|ending| ending.to_str()) {
            Some("html" | "htm") => b"text/html; charset=utf-8",
            Some("json") => b"application/json",
            _ => TEXT,
        };
        Ok(Self { media_type, body: body.into() })
    }
}

impl Maintenance {
    fn complete(&self, response: &mut Response) {
        response.fields.set(name::RETRY_AFTER, &self.retry_after);
        response.fields.set(name::CACHE_CONTROL, b"no-store");
        if let Some(page) = &self.page {
            response.fields.set(name::CONTENT_TYPE, page.media_type);
            response.body = Body::Bytes(page.body.clone());
        }
    }
}

impl When {
    /// What is known for now; nothing when it is time to look.
    fn known(&self, exchange: &Exchange) -> Option<bool> {
        let worker = exchange.worker();
        let (seen, now) = (worker.local.value(&self.seen, Seen::default), worker.now());
        if seen.next.get().is_none_or(|next| now >= next) {
            // The requests behind this one go on with what was known.
            seen.next.set(Some(now + LOOK_EVERY));
            return None;
        }
        seen.is_there.get()
    }

    async fn look(&self, exchange: &Exchange) -> Option<Response> {
        let worker = exchange.worker();
        let seen = worker.local.value(&self.seen, Seen::default);
        let file = Arc::clone(&self.file);
        // Where the pool has too much to do, what was known holds.
        if let Ok(is_there) = worker.blocking(move || file.exists()).await {
            seen.is_there.set(Some(is_there));
        }
        seen.is_there.get().unwrap_or(false).then(|| exchange.refuse(Reason::Maintenance))
    }
}

impl Middleware for Maintenance {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        if self.allowed.contains(exchange.client()) {
            return Flow::Continue;
        }
        let is_on = match &self.when {
            None => true,
            Some(when) => match when.known(exchange) {
                Some(is_there) => is_there,
                None => {
                    return Flow::Wait(Box::pin(async { Ok(when.look(exchange).await) }));
                }
            },
        };
        if is_on { Flow::Respond(exchange.refuse(Reason::Maintenance)) } else { Flow::Continue }
    }

    /// Here, and not before, so that the page stands in place of one of `errors`.
    fn response<'a>(&'a self, exchange: &'a mut Exchange) -> Flow<'a> {
        if let Some(response) = exchange.response_mut()
            && response.reason == Reason::Maintenance
        {
            self.complete(response);
        }
        Flow::Continue
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::testing::{around, refusal, text};
    use stead_core::Reason;

    #[test]
    fn every_request_is_answered_with_503() {
        let bench = around(&["maintenance = {}"], |_| panic!("it never gets to the handler"));
        let answer = bench.call("POST", "/a", &[]);
        assert_eq!((answer.status, answer.reason), (503, Reason::Maintenance));
        assert_eq!(answer.text(), "503 Service Unavailable\n");
        assert_eq!(answer.field("Retry-After"), "300");
        assert_eq!(answer.field("Cache-Control"), "no-store");
        assert_eq!(bench.waits(), (0, 0));
    }

    #[test]
    fn a_text_or_a_page_is_answered() {
        let bench = around(&["maintenance = { body = 'soon', retry_after = '2h' }"], text("ok"));
        let answer = bench.page("/");
        assert_eq!(
            (answer.text().as_str(), answer.field("Retry-After").as_str()),
            ("soon", "7200")
        );
        assert_eq!(answer.field("Content-Type"), "text/plain; charset=utf-8");
        let folder = tempfile::tempdir().unwrap();
        for (name, media_type) in [
            ("a.html", "text/html; charset=utf-8"),
            ("a.json", "application/json"),
            ("a", "text/plain; charset=utf-8"),
        ] {
            let page = folder.path().join(name);
            fs::write(&page, "<p>soon").unwrap();
            let bench =
                around(&[&format!("maintenance = {{ page = '{}' }}", page.display())], text("ok"));
            let answer = bench.page("/");
            assert_eq!((answer.status, answer.text().as_str()), (503, "<p>soon"));
            assert_eq!(answer.field("Content-Type"), media_type);
        }
    }

    #[test]
    fn a_file_switches_it_on_and_is_looked_at_once_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let switch = folder.path().join("on");
        let settings = format!("maintenance = {{ when = '{}' }}", switch.display());
        let bench = around(&[&settings], text("ok"));
        assert_eq!((bench.page("/").status, bench.waits()), (200, (1, 1)));
        fs::write(&switch, "").unwrap();
        assert_eq!((bench.page("/").status, bench.waits()), (200, (1, 1)));
        std::thread::sleep(super::LOOK_EVERY + super::Span::from_millis(50));
        assert_eq!((bench.page("/").status, bench.waits()), (503, (2, 2)));
        fs::remove_file(&switch).unwrap();
        assert_eq!((bench.page("/").status, bench.waits()), (503, (2, 2)));
    }

    #[test]
    fn allowed_clients_go_through() {
        let settings = "maintenance = { allow = ['192.0.2.0/24', '2001:db8::/32'] }";
        for (peer, status) in
            [("192.0.2.1:1", 200), ("[2001:db8::1]:1", 200), ("198.51.100.1:1", 503)]
        {
            let bench = around(&[settings], text("ok")).from_peer(peer.parse().unwrap());
            assert_eq!(bench.page("/").status, status, "{peer}");
        }
    }

    #[test]
    fn what_cannot_be_is_told() {
        assert_eq!(refusal("maintenance = { page = '/no/such/page.html' }").len(), 1);
        assert_eq!(refusal("maintenance = { page = 'a', body = 'b' }").len(), 1);
        assert_eq!(refusal("maintenance = { retry_after = '0s' }").len(), 1);
        assert_eq!(refusal("maintenance = { allow = ['10.0.0.1/8', 'x'] }").len(), 2);
    }
}
