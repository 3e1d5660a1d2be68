//! What tells clients apart where each is counted by itself: a text with placeholders, or a header
//! field, made into a [`Key`].

use stead_config::{Config, Diagnostic, Diagnostics, Spanned, Template};
use stead_core::{
    BuildContext, Exchange, Fact, Key, KeyHasher, Name, Part, Text, check_field_name,
};

/// What tells clients apart.
#[derive(Config)]
pub(crate) enum KeyConfig {
    /// The value of a header field.
    Header {
        /// The field; requests without it count by address.
        header: Spanned<String>,
    },
    /// A text with placeholders.
    Text(Template),
}

impl KeyConfig {
    /// Resolves the placeholders.
    ///
    /// # Errors
    /// All that is wrong with them, or with the field's name.
    pub(crate) fn compile(&self, context: &BuildContext<'_>) -> Result<KeyOf, Diagnostics> {
        match self {
            Self::Text(template) => {
                let text = Text::compile(template, context)?;
                match text.as_literal() {
                    Some(literal) if literal != EVERYBODY => {
                        Err(constant(literal, template).into())
                    }
                    _ => Ok(KeyOf::Text(text)),
                }
            }
            Self::Header { header } => {
                check_field_name(header)?;
                Ok(KeyOf::Header(header.as_bytes().into()))
            }
        }
    }
}

/// The one key without placeholders: all clients count together, as is meant.
const EVERYBODY: &str = "all";

/// SECURITY: where a placeholder was meant, one client would use up what all have.
fn constant(literal: &str, template: &Template) -> Diagnostic {
    let help = match Fact::ALL.iter().find(|(name, _)| *name == literal) {
        Some((name, _)) => format!("write `\"{{{name}}}\"`"),
        None => "write `\"{client_ip}\"` or another placeholder, or `\"all\"` for one limit for \
                 everybody"
            .to_owned(),
    };
    Diagnostic::error(template.span(), "this key is the same for every client").help(help)
}

/// The key of a request.
pub(crate) enum KeyOf {
    Header(Box<[u8]>),
    Text(Text),
}

impl KeyOf {
    /// Whose request it is. PERF: allocates nothing.
    pub(crate) fn key(&self, exchange: &Exchange, mut hasher: KeyHasher) -> Key {
        match self {
            Self::Header(header) => match exchange.fields().get(Name::Other(header)) {
                Some(value) => {
                    hasher.write(b"header");
                    hasher.write(value);
                }
                None => hasher.write_client(exchange.client()),
            },
            Self::Text(text) => {
                for part in text.parts() {
                    write_part(part, exchange, &mut hasher);
                }
            }
        }
        hasher.finish()
    }
}

fn write_part(part: &Part, exchange: &Exchange, hasher: &mut KeyHasher) {
    match part {
        Part::Literal(text) => hasher.write(text.as_bytes()),
        Part::Fact(Fact::ClientIp) => hasher.write_client(exchange.client()),
        Part::Capture(_) | Part::Fact(_) => {
            let mut text = exchange.worker().buffer();
            part.write(exchange, &mut text);
            hasher.write(&text);
            exchange.worker().reclaim_buffer(text);
        }
    }
    // So that `a` beside `bc` is not `ab` beside `c`; no text holds a NUL.
    hasher.write(b"\0");
}
