//! `[middleware.NAME]` and the lists that name middleware.

use crate::decode::Rest;
use crate::schema::with_article;
use crate::value::{Content, Table};
use crate::{
    Config, Decoder, Diagnostic, Entry, Field, RestSchema, Schema, Settings, Span, Spanned, Value,
};

/// A named configuration of a middleware kind.
#[derive(Clone, Debug, PartialEq, Config)]
pub struct MiddlewareConfig {
    /// The kind.
    pub kind: Spanned<String>,
    /// Its settings: the other keys, undecoded.
    #[config(rest)]
    pub settings: MiddlewareSettings,
}

/// The settings of a middleware kind.
#[derive(Clone, Debug, PartialEq)]
pub struct MiddlewareSettings(pub Settings);

impl Rest for MiddlewareSettings {
    const SCHEMA: RestSchema = RestSchema::Middleware;

    fn decode_rest(
        rest: &[&Entry],
        _: &[Field],
        span: Span,
        decoder: &mut Decoder<'_>,
    ) -> Option<Self> {
        let mut table = Table::new();
        for entry in rest {
            table.push((*entry).clone());
        }
        let name = decoder.key().to_owned();
        let value = Value::new(Content::Table(table), span);
        Some(Self(super::component(&name, value, decoder)))
    }
}

/// One item of a list of middleware: `"name"`, `"-name"` or `{ kind = settings }`.
#[derive(Clone, Debug, PartialEq)]
pub struct MiddlewareRef {
    /// A name of `[middleware.NAME]`, or a kind.
    pub name: Spanned<String>,
    /// Written `"-name"`: takes an inherited one out.
    pub removes: bool,
    /// Written with its settings: `name` is a kind.
    pub is_inline: bool,
    /// The settings of a kind; none unless they are written here.
    pub settings: Settings,
}

impl Config for MiddlewareRef {
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &value.content {
            Content::Text(text) => named(&text.value, value.span, decoder),
            Content::Table(table) if table.entries().len() == 1 => {
                table.entries().first().and_then(|entry| inline(entry, decoder))
            }
            _ => {
                decoder.wrong_type(value, &Self::schema(), None);
                None
            }
        }
    }

    fn schema() -> Schema {
        Schema::Middleware
    }
}

fn named(text: &str, span: Span, decoder: &mut Decoder<'_>) -> Option<MiddlewareRef> {
    let (name, removes) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
    if name.is_empty() {
        let message = format!("`{}` takes {}", decoder.key(), with_article("name"));
        decoder.report(Diagnostic::error(span, message));
        return None;
    }
    let settings = Settings::empty(name, span, decoder.sources().clone());
    let name = Spanned::new(name.to_owned(), span);
    Some(MiddlewareRef { name, removes, is_inline: false, settings })
}

fn inline(entry: &Entry, decoder: &mut Decoder<'_>) -> Option<MiddlewareRef> {
    let name = Spanned::new(entry.key.name.clone(), entry.key.span);
    let Some(kind) = decoder.vocabulary().middleware_kind(&name) else {
        crate::check::unknown_middleware("middleware", &name, &[], decoder);
        return None;
    };
    if matches!(entry.value.content, Content::Boolean(_)) {
        let message = format!("`{}` is not switched on by a boolean", name.value);
        let help = match entry.value.content {
            Content::Boolean(true) => format!("write `\"{}\"` alone", name.value),
            _ => {
                format!("take it out, or write `\"-{}\"` to take out an inherited one", name.value)
            }
        };
        decoder.report(Diagnostic::error(entry.value.span, message).help(help));
        return None;
    }
    let settings = super::component(&name, entry.value.clone(), decoder);
    if let Err(errors) = (kind.validate)(&settings) {
        decoder.report_all(errors);
    }
    Some(MiddlewareRef { name, removes: false, is_inline: true, settings })
}

/// What stands around a handler, outermost first, out of the lists from the server inward. `kind`
/// gives the kind behind a name. A kind named again further in replaces the outer one in its place.
pub fn effective_middleware<'a>(
    lists: &[&'a [MiddlewareRef]],
    kind: impl Fn(&str) -> Option<&'a str>,
) -> Vec<&'a MiddlewareRef> {
    let mut effective: Vec<&MiddlewareRef> = Vec::new();
    for item in lists.iter().copied().flatten() {
        let same = |known: &&MiddlewareRef| {
            known.name == item.name || (!item.removes && kind(&known.name) == kind(&item.name))
        };
        let place = effective.iter().position(same);
        match (item.removes, place) {
            (true, Some(place)) => drop(effective.remove(place)),
            (true, None) => {}
            (false, Some(place)) => effective[place] = item,
            (false, None) => effective.push(item),
        }
    }
    effective
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FileId;
    use std::sync::Arc;

    fn list(names: &str) -> Vec<MiddlewareRef> {
        let span = Span::new(FileId(0), 0..0);
        let item = |text: &str| MiddlewareRef {
            name: Spanned::new(text.trim_start_matches('-').to_owned(), span),
            removes: text.starts_with('-'),
            is_inline: false,
            settings: Settings::empty("", span, Arc::default()),
        };
        names.split_whitespace().map(item).collect()
    }

    #[test]
    fn inner_lists_replace_in_place_and_take_out() {
        let check = |server: &str, route: &str, expect: &str| {
            let (server, route) = (list(server), list(route));
            let kind = |name: &str| {
                Some(if name == "api_cors" { "cors" } else { "" }).filter(|kind| !kind.is_empty())
            };
            let kinds = ["cors", "compress", "log"];
            let kind = |name: &str| kind(name).or(kinds.into_iter().find(|known| *known == name));
            let effective = effective_middleware(&[&server, &route], kind);
            let names: Vec<&str> = effective.iter().map(|item| item.name.as_str()).collect();
            assert_eq!(names.join(" "), expect);
        };
        check("log cors compress", "api_cors", "log api_cors compress");
        check("log compress", "-compress api_cors", "log api_cors");
        check("", "log", "log");
    }
}
