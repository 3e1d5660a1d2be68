//! Serves files of a directory, or one file.
//!
//! # What
//! `root = "public"` serves what the route's wildcard captured beneath that directory: with the
//! path `/img/{*f}` and `root = "pics"`, `/img/a.png` is `pics/a.png`. `file = "robots.txt"`
//! answers a route without wildcard with that one file. Takes GET and HEAD.
//!
//! # Why
//! Answers carry what browsers and caches need (`ETag`, `Last-Modified`, ranges, conditions,
//! precompressed siblings), hot files cost no system call to find, and cold ones never make the
//! worker wait for the disk.
//!
//! # Example
//! ```toml
//! files = { root = "public", index = ["index.html"], fallback = "/index.html" }
//! ```
//!
//! # Behaviour
//! - A directory is answered with the first file of `index`, else with a listing where `listing` is
//!   on (a page, or JSON where `Accept` says so), else as if it were not there. Without its slash
//!   it is redirected (308) to the form with it.
//! - `name.br`, `name.zst` and `name.gz` answer in place of `name` where `Accept-Encoding` takes
//!   them and they are not older than it. On unless `precompressed = false`: who names no coding
//!   never notices.
//! - A file that was replaced, removed or rewritten is seen within a second, as is a root that was
//!   swapped, and an answer is always of one version.
//! - Symbolic links are followed inside the root. Links that leave it, absolute links, dotfiles and
//!   editor backups (unless `hidden = true`; `.well-known` is always served), devices and FIFOs are
//!   404; `%2F` in the path is 400. `file` follows links wherever the operator let them lead.
//!
//! # Limits
//! Memory and open files are bounded by `cache`, together for all workers; files of answers under
//! way by the descriptors of the process, beyond which more are answered 503 (`overloaded`). At
//! most 16 ranges a request, 10,000 names a listing. Content up to 64 KiB is kept in memory.
//!
//! # RFC
//! RFC 9110 §8.8 (validators), §12.5.3 (Accept-Encoding), §13 (conditions), §14 (ranges); RFC 8615
//! (`.well-known`).

use std::hash::RandomState;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use stead_base::Kind as ErrorKind;
use stead_config::{ByteSize, Config, Map, Off, Spanned, module_docs};
use stead_core::{
    Error, Exchange, Handler, HandlerKind, LocalKey, Method, Reason, Reply, Response, Result,
    StatusCode, Worker, name,
};
use stead_http1::coding::Wish;
use stead_sys::file::{self, Lookup};

use self::cache::{Cache, Limits};
use self::entry::Entry;
use self::listing::{Form, Page};
use self::tree::Tree;

mod answer;
mod cache;
mod conditional;
mod entry;
mod etag;
mod listing;
mod mime;
mod names;
pub mod range;
mod setup;
mod tree;
mod turn;

pub use self::mime::media_type;

/// The kind `files`.
pub const KIND: HandlerKind = HandlerKind::new("files", setup::build)
    .summary("serve the files of a directory, or one file")
    .docs(module_docs!("files.rs"))
    .example(r#"files = { root = "public", listing = true }"#)
    .settings::<FilesConfig>()
    .exclusive(&["root", "file"]);

/// Settings of `files`. All apply at start.
#[derive(Config)]
#[config(shorthand = "root")]
struct FilesConfig {
    /// The directory whose files are served. The route's path must end in a wildcard, which names
    /// the file beneath it.
    root: Option<Spanned<PathBuf>>,
    /// The one file that is served, on a route without wildcard. In place of `root`.
    file: Option<Spanned<PathBuf>>,
    /// Names to look for in a directory, in order.
    #[config(default = ["index.html"])]
    index: Vec<Spanned<String>>,
    /// Whether a directory without index file is listed.
    #[config(default = false)]
    listing: bool,
    /// What is served, with status 200, where there is no file: a path beneath `root` that begins
    /// with `/`. For applications that draw their pages in the browser.
    fallback: Option<Spanned<String>>,
    /// Whether dotfiles and editor backups are served.
    #[config(default = false)]
    hidden: bool,
    /// Whether `name.br`, `name.zst` and `name.gz` are sent in place of `name`.
    #[config(default = true)]
    precompressed: bool,
    /// Media types by ending, before the built-in ones: `{ md = "text/plain; charset=utf-8" }`.
    #[config(default)]
    types: Map<Spanned<String>>,
    /// What is remembered, by all workers together; `"off"` looks every file up on every request.
    #[config(default)]
    cache: Off<CacheConfig>,
}

/// What `files` remembers.
#[derive(Config)]
struct CacheConfig {
    /// Files and missing paths remembered; half of them may be missing ones.
    #[config(default = 16_384, range = 16..=1_048_576)]
    entries: u32,
    /// Contents up to 64 KiB each, with what is remembered of them.
    #[config(default = "64MiB", range = "1MiB"..="64GiB")]
    memory: ByteSize,
    /// Larger files kept open; each takes a descriptor.
    #[config(default = 512, range = 16..=65_536)]
    open_files: u32,
}

/// The handler.
struct Files {
    tree: Arc<Tree>,
    /// The capture that names the file; none with `file`.
    wildcard: Option<usize>,
    /// The cache's key of `fallback`.
    fallback: Option<String>,
    cache: LocalKey<Cache>,
    limits: Limits,
    /// Makes the boundaries of multipart answers impossible to guess.
    boundary: RandomState,
}

impl Handler for Files {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        // 1. GET and HEAD only, also on a route that names its methods.
        if exchange.method() != Method::GET && exchange.method() != Method::HEAD {
            let mut response = exchange.refuse(Reason::MethodNotAllowed);
            response.fields.set(name::ALLOW, b"GET, HEAD");
            return Reply::Ready(response);
        }
        // 2. What the path stands for: from the cache, else from what the kernel has at hand.
        match self.find_now(exchange) {
            Ok(found) => match self.answer(exchange, &found) {
                Some(response) => Reply::Ready(response),
                None => Reply::wait(self.list(exchange)),
            },
            // 3. What would make the worker wait goes to the blocking pool.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Reply::wait(self.call_cold(exchange))
            }
            Err(error) => Reply::Ready(exchange.refuse(reason_of(&error))),
        }
    }

    fn methods(&self) -> Option<&'static [&'static str]> {
        Some(&["GET", "HEAD"])
    }
}

/// What answers a request.
struct Found {
    entry: Arc<Entry>,
    /// What the client takes in place of the file as it is; nothing where there is nothing.
    wish: Wish,
}

impl Files {
    /// The cache's key: the capture as it is, canonical and escaped; one file has one key. Where
    /// middleware rewrote the path, all of that path.
    fn key<'a>(&self, exchange: &'a Exchange) -> &'a str {
        match self.wildcard {
            Some(_) if exchange.is_rewritten() => exchange.path().get(1..).unwrap_or_default(),
            Some(index) => exchange.capture(index).unwrap_or_default(),
            None => "",
        }
    }

    /// 4. The answer with what was found; none for a directory that is to be listed.
    fn answer(&self, exchange: &Exchange, found: &Found) -> Option<Response> {
        Some(match &*found.entry {
            Entry::File(file) => match file.variant(found.wish) {
                Some(variant) => answer::file(exchange, variant, &self.boundary),
                None => exchange.refuse(Reason::FileError),
            },
            Entry::Redirect if !answer::is_named_by_client(exchange) => {
                exchange.refuse(Reason::FileNotFound)
            }
            Entry::Redirect => answer::redirect_to_directory(exchange),
            Entry::Missing => exchange.refuse(Reason::FileNotFound),
            Entry::Refused(reason) => exchange.refuse(*reason),
            Entry::Listing => return None,
        })
    }

    async fn call_cold(&self, exchange: &mut Exchange) -> Result<Response> {
        let found = self.find_cold(exchange).await?;
        match self.answer(exchange, &found) {
            Some(response) => Ok(response),
            None => self.list(exchange).await,
        }
    }

    /// What the path, or else the fallback, stands for, without sleeping.
    fn find_now(&self, exchange: &Exchange) -> io::Result<Found> {
        let cache = self.cache(exchange.worker());
        let found = self.look_up_now(exchange, &cache, self.key(exchange))?;
        match (&*found.entry, &self.fallback) {
            (Entry::Missing, Some(fallback)) => self.look_up_now(exchange, &cache, fallback),
            _ => Ok(found),
        }
    }

    fn look_up_now(&self, exchange: &Exchange, cache: &Cache, key: &str) -> io::Result<Found> {
        let (files, now) = (&exchange.worker().files, exchange.worker().now());
        let known = cache.find(key, now);
        if let Some(known) = &known
            && known.fresh
        {
            // PERF: `Accept-Encoding` is read only where it makes a difference.
            let wish = if known.entry.varies() { self.wish(exchange) } else { Wish::default() };
            if known.entry.answers(wish) {
                return Ok(Found { entry: Arc::clone(&known.entry), wish });
            }
        }
        cache.sweep(now);
        let wish = self.wish(exchange);
        let mut root = cache.root(now);
        let opens_root = root.is_none();
        let earlier = known.as_ref().map(|known| &*known.entry);
        let entry = self.tree.look_up(files, &mut root, key, wish, earlier, Lookup::Cached);
        if opens_root && let Some(root) = &root {
            cache.set_root(root, now);
        }
        let entry = Arc::new(entry?);
        cache.insert(key, &entry, now);
        Ok(Found { entry, wish })
    }

    /// What the path, or else the fallback, stands for, looked up on the blocking pool.
    async fn find_cold(&self, exchange: &Exchange) -> Result<Found> {
        let worker = exchange.worker();
        let (cache, now, wish) = (self.cache(worker), worker.now(), self.wish(exchange));
        let earlier = |key: &str| cache.find(key, now).map(|known| known.entry);
        let keys = [Some(self.key(exchange)), self.fallback.as_deref()];
        let asked: Vec<(String, Option<Arc<Entry>>)> =
            keys.into_iter().flatten().map(|key| (key.to_owned(), earlier(key))).collect();
        let (tree, files) = (Arc::clone(&self.tree), Arc::clone(&worker.files));
        let mut root = cache.root(now);
        let opens_root = root.is_none();
        let looked_up = worker.blocking(move || {
            let mut entries = Vec::with_capacity(asked.len());
            for (key, earlier) in asked {
                let earlier = earlier.as_deref();
                let entry =
                    tree.look_up(&files, &mut root, &key, wish, earlier, Lookup::MaySleep)?;
                let is_missing = matches!(entry, Entry::Missing);
                entries.push((key, Arc::new(entry)));
                if !is_missing {
                    break;
                }
            }
            io::Result::Ok((root, entries))
        });
        let (root, entries) = match looked_up.await? {
            // No failure to be logged; and nothing to be remembered, since it passes.
            Err(error) if is_without_place(&error) => {
                return Ok(Found { entry: Arc::new(Entry::Refused(Reason::Overloaded)), wish });
            }
            looked_up => looked_up.map_err(|error| file_error("look a file up", error))?,
        };
        if opens_root && let Some(root) = &root {
            cache.set_root(root, now);
        }
        for (key, entry) in &entries {
            cache.insert(key, entry, now);
        }
        let last = entries.into_iter().next_back();
        let (_, entry) = last.ok_or_else(|| Error::internal("nothing was looked up"))?;
        Ok(Found { entry, wish })
    }

    fn wish(&self, exchange: &Exchange) -> Wish {
        if self.tree.precompressed { Wish::of(exchange.fields()) } else { Wish::default() }
    }

    /// Reads and writes a directory's listing on the blocking pool.
    async fn list(&self, exchange: &mut Exchange) -> Result<Response> {
        let form = Form::wanted(exchange.fields());
        // One at a time on a worker: the pool is for everybody's cold files.
        let cache = self.cache(exchange.worker());
        let _turn = cache.listings().enter().await;
        let (tree, title) = (Arc::clone(&self.tree), exchange.routed_path().to_owned());
        let path = self.tree.path_of(self.key(exchange)).unwrap_or_default();
        let listed = exchange.worker().blocking(move || {
            let root = tree.open_root(Lookup::MaySleep)?;
            listing::list(&tree, &root, &Page { path: &path, title: &title, form })
        });
        let body = match listed.await? {
            Ok(body) => body,
            Err(error) if file::means_absent(&error) => {
                return Ok(exchange.refuse(Reason::FileNotFound));
            }
            Err(error) => return Err(file_error("list a directory", error)),
        };
        let mut response = exchange.respond(StatusCode::OK).with_body(body);
        response.fields.set(name::CONTENT_TYPE, form.media_type());
        response.fields.set(name::CONTENT_SECURITY_POLICY, listing::CONTENT_SECURITY_POLICY);
        response.fields.set(name::VARY, b"Accept");
        Ok(response)
    }

    fn cache(&self, worker: &Worker) -> Rc<Cache> {
        let share = || {
            let process = Arc::clone(&worker.process);
            Cache::new(self.limits.share(process.workers()), process)
        };
        worker.local.value(&self.cache, share)
    }
}

fn file_error(context: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::System, reason_of(&error), context).with_source(error)
}

/// A lack of descriptors, or of places for open files, passes; anything else is the file's.
fn reason_of(error: &io::Error) -> Reason {
    let passes = is_without_place(error) || file::means_exhausted(error);
    if passes { Reason::Overloaded } else { Reason::FileError }
}

/// Whether [`stead_core::OpenFiles`] may hold no more.
fn is_without_place(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::QuotaExceeded
}

#[cfg(test)]
mod tests;
