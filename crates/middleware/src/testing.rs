//! The bench of the tests, with the kinds of this crate.

use stead_core::{Exchange, Handler, Reply, Response};
pub(crate) use stead_testing::Bench;
use stead_testing::messages;

use crate::KINDS;

/// Middleware of these settings, outermost first, around `answer`.
pub(crate) fn around(
    settings: &[&str],
    answer: impl Fn(&mut Exchange) -> Response + Send + Sync + 'static,
) -> Bench {
    match Bench::around(KINDS, "/{*rest}", settings, Answering(answer)) {
        Ok(bench) => bench,
        Err(diagnostics) => panic!("{settings:?}: {diagnostics}"),
    }
}

/// What is wrong with `settings`, by message.
pub(crate) fn refusal(settings: &str) -> Vec<String> {
    let built = Bench::around(KINDS, "/{*rest}", &[settings], Answering(text("ok")));
    built.err().map(|wrong| messages(&wrong)).unwrap_or_default()
}

/// Answers 200 with a text.
pub(crate) fn text(body: &str) -> impl Fn(&mut Exchange) -> Response + Send + Sync + 'static {
    let body = body.as_bytes().to_vec();
    move |exchange| {
        let mut response = exchange.respond(stead_core::StatusCode::OK).with_body(body.clone());
        response.fields.set(stead_core::name::CONTENT_TYPE, b"text/plain; charset=utf-8");
        response
    }
}

struct Answering<F>(F);

impl<F: Fn(&mut Exchange) -> Response + Send + Sync> Handler for Answering<F> {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> Reply<'a> {
        Reply::Ready((self.0)(exchange))
    }
}
