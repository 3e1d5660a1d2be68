//! The one key of a route that names its handler.

use crate::decode::Rest;
use crate::schema::alternatives;
use crate::{Decoder, Diagnostic, Entry, Field, RestSchema, Settings, Span, Spanned};

/// What answers the requests of a route.
#[derive(Clone, Debug, PartialEq)]
pub struct HandlerConfig {
    /// The kind, with the place of the key that names it.
    pub kind: Spanned<String>,
    /// Its settings, undecoded; they were decoded once to find their errors.
    pub settings: Settings,
}

impl Rest for HandlerConfig {
    const SCHEMA: RestSchema = RestSchema::Handler;

    fn decode_rest(
        rest: &[&Entry],
        known: &[Field],
        span: Span,
        decoder: &mut Decoder<'_>,
    ) -> Option<Self> {
        let vocabulary = decoder.vocabulary();
        let kind = |entry: &Entry| vocabulary.handler(&entry.key.name);
        let (handlers, unknown): (Vec<&Entry>, Vec<&Entry>) =
            rest.iter().partition(|entry| kind(entry).is_some());
        for entry in &unknown {
            let kinds = vocabulary.handlers.iter().map(|kind| kind.name);
            decoder.unknown_key(entry, known, kinds);
        }
        for pair in handlers.windows(2) {
            several(pair[0], pair[1], decoder);
        }
        let Some(entry) = handlers.first() else {
            if unknown.is_empty() && !decoder.has_gaps() {
                none(span, decoder);
            }
            return None;
        };
        let settings = super::component(&entry.key.name, entry.value.clone(), decoder);
        if let Err(errors) = kind(entry).map_or(Ok(()), |kind| (kind.validate)(&settings)) {
            decoder.report_all(errors);
        }
        let kind = Spanned::new(entry.key.name.clone(), entry.key.span);
        Some(Self { kind, settings })
    }
}

fn several(first: &Entry, second: &Entry, decoder: &mut Decoder<'_>) {
    let (first, second) = (&first.key, &second.key);
    let message = format!("two handlers in one route: `{}` and `{}`", first.name, second.name);
    let diagnostic = Diagnostic::error(second.span, message)
        .help("remove one, or write a second route")
        .related(first.span, "the first handler");
    decoder.report(diagnostic);
}

fn none(span: Span, decoder: &mut Decoder<'_>) {
    let kinds = decoder.vocabulary().handlers.iter().map(|kind| format!("`{}`", kind.name));
    let help = match alternatives(kinds) {
        kinds if kinds.is_empty() => None,
        kinds => Some(format!("add {kinds}")),
    };
    decoder.report(Diagnostic::error(span, "the route has no handler").help_if(help));
}
