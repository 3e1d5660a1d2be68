//! Kinds for tests, shaped like the real ones.
#![allow(dead_code, reason = "decoded only to be checked; each test uses a part")]

use std::path::PathBuf;

use stead_config::{Config, Decoder, Duration, Kind, Map, Secret, Span, Template, Vocabulary};

/// Answers with a fixed text.
#[derive(Config, Debug)]
#[config(shorthand = "body")]
pub(crate) struct Respond {
    /// What is sent.
    pub(crate) body: String,
    /// The status.
    #[config(default = 200, range = 200..=599)]
    pub(crate) status: u16,
    /// Fields beside those that every answer has.
    #[config(default)]
    pub(crate) headers: Map<String>,
}

/// Sends the client elsewhere.
#[derive(Config, Debug)]
#[config(shorthand = "to", check = known_names)]
pub(crate) struct Redirect {
    /// Where to.
    pub(crate) to: Template,
    /// The status.
    #[config(default = 307, range = 300..=399)]
    pub(crate) status: u16,
}

fn known_names(redirect: &Redirect, _: Span, decoder: &mut Decoder<'_>) {
    if let Err(errors) = redirect.to.check(&["host", "path", "query"]) {
        errors.iter().for_each(|error| decoder.report(error.clone()));
    }
}

/// Says how Stead is.
#[derive(Config, Debug)]
pub(crate) enum Health {
    /// Whether it runs.
    Live,
    /// Whether it takes work.
    Ready,
}

/// Serves files.
#[derive(Config, Debug)]
pub(crate) struct Files {
    /// The directory.
    pub(crate) root: PathBuf,
    /// Names tried in a directory.
    #[config(default = ["index.html"])]
    pub(crate) index: Vec<String>,
    /// Whether directories are listed.
    #[config(default = false)]
    pub(crate) listing: bool,
    /// A path, or a token that another server wants.
    pub(crate) token: Option<Secret>,
}

/// Lets other origins in.
#[derive(Config, Debug)]
pub(crate) struct Cors {
    /// The origins.
    pub(crate) origins: Vec<String>,
    /// How long browsers remember.
    #[config(default = "1h", range = "0s"..="1d")]
    pub(crate) max_age: Duration,
}

const HANDLERS: &[Kind<()>] = &[
    Kind::new("files", ())
        .summary("serve files")
        .settings::<Files>()
        .example("files = { root = 'public' }"),
    Kind::new("health", ())
        .docs("Says how Stead is.\n\n# Example\n```toml\n# a comment\nhealth = 'live'\n```\n")
        .summary("say how Stead is")
        .settings::<Health>()
        .example("health = 'live'"),
    Kind::new("redirect", ())
        .summary("send elsewhere")
        .settings::<Redirect>()
        .example("redirect = '/new'"),
    Kind::new("respond", ())
        .summary("answer with a fixed text")
        .settings::<Respond>()
        .example("respond = 'ok'"),
];

const MIDDLEWARE: &[Kind<()>] = &[
    Kind::new("cors", ())
        .summary("let other origins in")
        .settings::<Cors>()
        .example("cors = { origins = [] }"),
    Kind::new("request_id", ()).summary("number requests").example("request_id = {}"),
];

pub(crate) fn vocabulary(middleware: bool) -> Vocabulary {
    let vocabulary = Vocabulary::new().with_handlers(HANDLERS);
    if middleware { vocabulary.with_middleware(MIDDLEWARE) } else { vocabulary }
}
