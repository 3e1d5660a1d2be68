//! Names of certificates: where `[tls.NAME]` defines them and where listeners use them.

use crate::acme::AUTO;
use crate::model::Configuration;
use crate::near::nearest;
use crate::schema::alternatives;
use crate::value::Table;
use crate::{Decoder, Diagnostic, Spanned, Value};

/// Names that listeners may use without a table, and that no table may have.
const RESERVED: [&str; 3] = [AUTO, "off", "self_signed"];

/// Checks that every name stands for something and that everything is used. `root` is what the
/// configuration was decoded from.
pub(crate) fn check(configuration: &Configuration, root: &Table, decoder: &mut Decoder<'_>) {
    let tables = root.value("tls").and_then(Value::as_table);
    // A key whose table has no name is reported as that.
    let entries = tables.map(Table::entries).unwrap_or_default().iter();
    let known: Vec<&str> = entries
        .filter(|entry| entry.value.as_table().is_some())
        .map(|entry| entry.key.name.as_str())
        .filter(|name| !RESERVED.contains(name))
        .collect();
    for (name, _) in &configuration.tls {
        if RESERVED.contains(&name.as_str()) {
            let message = format!("`{}` is a reserved name", name.value);
            decoder.report(Diagnostic::error(name.span, message).help("give it another name"));
        }
    }
    let listeners = || configuration.servers.iter().flat_map(|(_, server)| &server.listen);
    for listen in listeners() {
        let names = &listen.tls.0;
        if names.is_empty() {
            let span = listen.address.span;
            let message = "`tls` is an empty list";
            decoder.report(Diagnostic::error(span, message).help("write `\"off\"`, or a name"));
        }
        for (at, name) in names.iter().enumerate() {
            one(name, &names[..at], names.len(), &known, decoder);
        }
    }
    let own = configuration.tls.iter().filter(|(name, _)| !RESERVED.contains(&name.as_str()));
    for (name, _) in own {
        let is_used =
            listeners().any(|listen| listen.certificates().any(|used| used.value == name.value));
        if !is_used && !decoder.has_gaps() {
            let message = format!("no listener uses `tls.{}`", name.value);
            let help = format!(
                "write `listen = [{{ address = \":443\", tls = \"{}\" }}]`, or take it out",
                name.value
            );
            decoder.report(Diagnostic::warning(name.span, message).help(help));
        }
    }
}

/// One name in a listener's list.
fn one(
    name: &Spanned<String>,
    earlier: &[Spanned<String>],
    count: usize,
    known: &[&str],
    decoder: &mut Decoder<'_>,
) {
    if name.value == "off" && count > 1 {
        let message = "`off` stands alone: it means no certificate at all";
        decoder.report(Diagnostic::error(name.span, message).help("take it out"));
        return;
    }
    if let Some(first) = earlier.iter().find(|first| first.value == name.value) {
        let message = format!("`{}` is named twice", name.value);
        let error = Diagnostic::error(name.span, message).help("take one out");
        decoder.report(error.related(first.span, "the other one"));
    }
    let names = || known.iter().copied().chain(RESERVED);
    if names().any(|known| known == name.value) {
        return;
    }
    let help = match nearest(&name.value, names()) {
        Some(near) => format!("write `\"{near}\"`"),
        None if known.is_empty() => {
            format!("add `[tls.{}]` with `certificate` and `key`", name.value.escape_debug())
        }
        None => format!("write {}", alternatives(names().map(|name| format!("`\"{name}\"`")))),
    };
    let message = format!("unknown certificate `{}`", name.value.escape_debug());
    decoder.report(Diagnostic::error(name.span, message).help(help));
}
