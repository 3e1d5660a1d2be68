//! From the positioned tree to typed values, with every error collected.
//!
//! A type says how it is decoded by [`Config`], nearly always through the derive. The [`Decoder`]
//! carries what decoding needs beside the value (files, kinds, the key being read) and collects
//! what is wrong. A type that cannot be decoded reports why and gives `None`; its neighbours are
//! decoded all the same, so that one run shows everything.

use std::sync::Arc;

use crate::foreign;
use crate::near::nearest;
use crate::schema::quoted;
use crate::value::{Content, Entry, Table};
use crate::{
    Diagnostic, Diagnostics, Field, FieldSchema, Literal, PathPart, RestSchema, Schema, Sources,
    Span, Value, Vocabulary, Word,
};

/// A type that a value of the configuration decodes into. Write `#[derive(Config)]`.
///
/// On a struct with named fields, each field is a key of a table. Its doc comment is its text in
/// the reference and in the schema. A field without default is required, unless it is an `Option`.
///
/// - `#[config(default = "10s")]`: what counts where the key is missing, as TOML writes it: a
///   string, number, boolean or array of them. `#[config(default)]` stands for an empty table.
/// - `#[config(range = 1..=1024)]`, `#[config(range = "1KiB"..="1MiB")]`: both bounds are allowed.
/// - `#[config(name = "type")]`: the key, where it is not the field's name.
/// - `#[config(rest)]`: the field takes the keys that no other field names (see [`Rest`]).
/// - `#[config(with_middleware)]`: the key exists only where there are middleware kinds.
/// - `#[config(shorthand = "body")]` on the struct: a value that is no table stands for this key.
/// - `#[config(check = path)]` on the struct: `fn(&Self, Span, &mut Decoder<'_>)`, called last.
/// - `#[config(crate = …)]` on the type: where this crate is found, if not by its own name; under a
///   renamed `stead`, `name::kinds::config`.
///
/// On an enum, a unit variant is a word in `snake_case` (`name` overrides it), a variant with named
/// fields is a table known by its first key, and one variant with one unnamed field takes whatever
/// value is no table.
///
/// ```
/// # use stead_config::{Config, Duration, Settings};
/// #[derive(Config)]
/// struct HstsConfig {
///     /// How long browsers remember.
///     #[config(default = "365d", range = "0s"..="730d")]
///     max_age: Duration,
///     /// Whether subdomains are included.
///     #[config(default = false)]
///     subdomains: bool,
/// }
///
/// let settings = Settings::parse(r#"hsts = { max_age = "1d" }"#).unwrap();
/// let config: HstsConfig = settings.decode().unwrap();
/// assert_eq!(config.max_age, Duration::from_secs(86_400));
/// assert!(!config.subdomains);
/// ```
pub trait Config: Sized {
    /// Decodes a value; on `None` the reason has been reported.
    fn decode(value: &Value, decoder: &mut Decoder<'_>) -> Option<Self>;

    /// What the value may be.
    fn schema() -> Schema;

    /// What counts where the key is missing and has no default.
    fn absent() -> Option<Self> {
        None
    }

    /// The quantity that a range bounds: a number, milliseconds, bytes.
    fn magnitude(&self) -> Option<i128> {
        None
    }
}

/// What takes the keys of a table that no field names.
pub trait Rest: Sized {
    /// What those keys are.
    const SCHEMA: RestSchema;

    /// Takes them; `known` are the keys that fields name, `span` is the table's.
    fn decode_rest(
        rest: &[&Entry],
        known: &[Field],
        span: Span,
        decoder: &mut Decoder<'_>,
    ) -> Option<Self>;
}

/// What decoding needs beside the value, and what it found wrong.
pub struct Decoder<'a> {
    sources: &'a Arc<Sources>,
    vocabulary: &'a Vocabulary,
    diagnostics: Diagnostics,
    key: String,
    incomplete: bool,
}

impl<'a> Decoder<'a> {
    /// A decoder for values out of `sources`. `name` is what messages call the value itself.
    pub(crate) fn new(
        sources: &'a Arc<Sources>,
        vocabulary: &'a Vocabulary,
        name: impl Into<String>,
    ) -> Self {
        let diagnostics = Diagnostics::new();
        Self { sources, vocabulary, diagnostics, key: name.into(), incomplete: false }
    }

    /// From now on reports nothing as missing: a part of the text could not be read.
    pub(crate) fn expect_gaps(&mut self) {
        self.incomplete = true;
    }

    /// Whether a part of the text could not be read, so that what is missing may stand there.
    pub fn has_gaps(&self) -> bool {
        self.incomplete
    }

    /// The files that values stand in.
    pub fn sources(&self) -> &'a Arc<Sources> {
        self.sources
    }

    /// The kinds that there are.
    pub fn vocabulary(&self) -> &'a Vocabulary {
        self.vocabulary
    }

    /// The key whose value is being decoded, for messages.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Reports something.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reports what another decoder found.
    pub(crate) fn report_all(&mut self, diagnostics: Diagnostics) {
        self.diagnostics.append(diagnostics);
    }

    /// Never shows the text of `span` in a message.
    pub(crate) fn mask(&mut self, span: Span) {
        self.diagnostics.masked.push(span);
    }

    /// Ends decoding with all that was found.
    pub(crate) fn finish(self) -> Diagnostics {
        self.diagnostics
    }

    /// Reports that the value is not what the key takes.
    pub fn wrong_type(&mut self, value: &Value, schema: &Schema, help: Option<String>) {
        let message =
            format!("`{}` takes {}, not {}", self.key, schema.describe(), value.type_name());
        let help = help.unwrap_or_else(|| format!("write `{}`", schema.example()));
        self.report(Diagnostic::error(value.span, message).help(help));
    }

    /// Starts to read a table. A value that is no table stands for the key `shorthand`, if there is
    /// one, and is an error otherwise.
    pub fn fields<'d, 'v>(
        &'d mut self,
        value: &'v Value,
        fields: &'static [Field],
        shorthand: Option<usize>,
    ) -> Option<Fields<'d, 'v, 'a>> {
        let source = match (&value.content, shorthand) {
            (Content::Table(table), _) => Source::Table(table),
            (_, Some(index)) => Source::Shorthand(value, index),
            (_, None) => {
                let example = fields
                    .first()
                    .map_or(String::new(), |field| format!("write `{{ {} = … }}`", field.name));
                let message = format!("`{}` takes a table, not {}", self.key, value.type_name());
                let help = (!example.is_empty()).then_some(example);
                self.report(Diagnostic::error(value.span, message).help_if(help));
                return None;
            }
        };
        Some(Fields { decoder: self, source, fields, span: value.span })
    }

    /// Reports that a value is none of the variants of an enum.
    pub fn no_variant(&mut self, value: &Value, words: &'static [Word], schema: &Schema) {
        let Content::Text(text) = &value.content else {
            return self.wrong_type(value, schema, None);
        };
        let near = (!text.expanded)
            .then(|| nearest(&text.value, words.iter().map(|word| word.name)))
            .flatten();
        let help = near.map(|word| format!("`{}`", quoted(word)));
        let help = help.or_else(|| in_table(text, schema)).unwrap_or_else(|| schema.describe());
        let message = format!("`{}` cannot be {}", self.key, quoted(text.written()));
        self.report(Diagnostic::error(value.span, message).help(format!("write {help}")));
    }

    /// Whether a value is a string that is no word, where what else counts is no string: reports
    /// it.
    pub fn wrong_word<T: Config>(&mut self, value: &Value, words: &'static [Word]) -> bool {
        let Content::Text(text) = &value.content else { return false };
        if words.is_empty() || text.expanded {
            return false;
        }
        let other = T::schema();
        let wrong = match &other {
            // No form that editors can check is a mere word: a mistyped one was meant.
            Schema::Text(form) => {
                let names = words.iter().map(|word| word.name);
                !form.pattern.is_empty()
                    && text.value.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_')
                    && nearest(&text.value, names).is_some()
            }
            _ => true,
        };
        if wrong {
            self.no_variant(value, words, &Schema::OneOf(vec![Schema::Words(words), other]));
        }
        wrong
    }

    /// Runs `decode` with `key` as the key in messages.
    pub fn within<T>(&mut self, key: &str, decode: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.key, key.to_owned());
        let decoded = decode(self);
        self.key = outer;
        decoded
    }

    fn check_range<T: Config>(&mut self, decoded: &T, field: &Field, span: Span) -> Option<()> {
        let Some((low, high)) = field.range else { return Some(()) };
        let bound = |literal: Literal, decoder: &mut Self| {
            T::decode(&literal.to_value(span), decoder)?.magnitude()
        };
        let Some(magnitude) = decoded.magnitude() else { return Some(()) };
        let (least, greatest) = (bound(low, self)?, bound(high, self)?);
        if (least..=greatest).contains(&magnitude) {
            return Some(());
        }
        self.out_of_range(field, low, high, if magnitude < least { low } else { high }, span);
        None
    }

    /// Whether an integer lies outside of a range; reports it before its type does, whose bounds
    /// are wider. Zero is left to a limit that explains `"off"`.
    fn outside<T: Config>(&mut self, content: &Content, field: &Field, span: Span) -> bool {
        let (Content::Integer(number), Some((Literal::Integer(low), Literal::Integer(high)))) =
            (content, field.range)
        else {
            return false;
        };
        let explained = *number == 0 && matches!(T::schema(), Schema::Off(_));
        let outside = !explained && !(low..=high).contains(number);
        if outside {
            let nearest = Literal::Integer((*number).clamp(low, high));
            self.out_of_range(field, Literal::Integer(low), Literal::Integer(high), nearest, span);
        }
        outside
    }

    fn out_of_range(
        &mut self,
        field: &Field,
        low: Literal,
        high: Literal,
        nearest: Literal,
        span: Span,
    ) {
        let [low, high, nearest] = [low, high, nearest].map(crate::print::literal);
        let message = format!("`{}` must lie between {low} and {high}", field.name);
        self.report(Diagnostic::error(span, message).help(format!("write `{nearest}`")));
    }
}

/// What was meant by a path that stands where a table with one belongs.
fn in_table(text: &crate::value::Text, schema: &Schema) -> Option<String> {
    let Schema::OneOf(schemas) = schema else { return None };
    let is_path = !text.expanded && text.value.contains(['/', '.']);
    let takes_path = |field: &&FieldSchema| match field.schema {
        Schema::Text(form) => form.path == PathPart::Whole,
        _ => false,
    };
    let mut tables = schemas.iter().filter_map(|schema| match schema {
        Schema::Table(table) => table.fields.first().filter(takes_path),
        _ => None,
    });
    let field = tables.next().filter(|_| is_path)?;
    Some(format!("`{{ {} = {} }}`", field.field.name, quoted(&text.value)))
}

/// A table being read: takes known keys one by one and reports the rest.
pub struct Fields<'d, 'v, 'a> {
    decoder: &'d mut Decoder<'a>,
    source: Source<'v>,
    fields: &'static [Field],
    span: Span,
}

#[derive(Clone, Copy)]
enum Source<'v> {
    Table(&'v Table),
    Shorthand(&'v Value, usize),
}

impl Fields<'_, '_, '_> {
    /// Decodes the field at `index`: its value, else its default. The default also stands in for a
    /// value that is wrong and was reported, so that what surrounds it is still looked at.
    pub fn take<T: Config>(&mut self, index: usize) -> Option<T> {
        let field = self.fields.get(index)?;
        let value = match self.source {
            Source::Table(table) => table.value(field.name),
            Source::Shorthand(value, at) => (at == index).then_some(value),
        };
        let exists = !field.with_middleware || self.decoder.has_middleware();
        match value.filter(|_| exists) {
            Some(value) => self.present(field, value).or_else(|| self.absent(field)),
            None => self.absent(field).or_else(|| self.missing::<T>(field)),
        }
    }

    fn present<T: Config>(&mut self, field: &'static Field, value: &Value) -> Option<T> {
        let key = match self.source {
            Source::Table(_) => field.name.to_owned(),
            Source::Shorthand(..) => self.decoder.key.clone(),
        };
        if self.decoder.outside::<T>(&value.content, field, value.span) {
            return None;
        }
        if let Some(help) = self.better_help(field, value, &T::schema()) {
            self.decoder.within(&key, |decoder| {
                decoder.wrong_type(value, &T::schema(), Some(format!("write `{help}`")));
            });
            return None;
        }
        let decoded = self.decoder.within(&key, |decoder| T::decode(value, decoder))?;
        self.decoder.check_range(&decoded, field, value.span)?;
        Some(decoded)
    }

    /// What to write in place of a word that is no number, or of `true` where a text may stand
    /// alone: the value itself in other quotes says nothing.
    fn better_help(&self, field: &Field, value: &Value, schema: &Schema) -> Option<String> {
        match (&value.content, schema, field.default) {
            (Content::Text(text), Schema::Integer { .. }, Some(default @ Literal::Integer(_))) => {
                let is_word = !text.expanded && text.value.parse::<i64>().is_err();
                is_word.then(|| crate::print::literal(default))
            }
            (Content::Boolean(_), Schema::Text(form), _) => {
                let is_short = matches!(self.source, Source::Shorthand(..));
                is_short.then(|| quoted(form.example))
            }
            _ => None,
        }
    }

    fn absent<T: Config>(&mut self, field: &'static Field) -> Option<T> {
        let Some(default) = field.default else { return T::absent() };
        let value = default.to_value(self.span);
        self.decoder.within(field.name, |decoder| T::decode(&value, decoder))
    }

    fn missing<T: Config>(&mut self, field: &'static Field) -> Option<T> {
        if !self.decoder.incomplete && !self.is_mistyped(field.name) {
            let message = format!("`{}` is missing", field.name);
            let help = format!("add `{} = {}`", field.name, T::schema().example());
            self.decoder.report(Diagnostic::error(self.span, message).help(help));
        }
        None
    }

    /// Gives the keys that no field names to `T`.
    pub fn rest<T: Rest>(&mut self) -> Option<T> {
        let rest: Vec<&Entry> = match self.source {
            Source::Table(table) => unknown(table, self.fields).collect(),
            Source::Shorthand(..) => Vec::new(),
        };
        // The rest has an owner now: `finish` finds nothing unknown.
        self.source = Source::Table(&EMPTY);
        T::decode_rest(&rest, self.fields, self.span, self.decoder)
    }

    /// Reports every key that no field names.
    pub fn finish(self) {
        let Source::Table(table) = self.source else { return };
        for entry in table.entries() {
            let field = self.fields.iter().find(|field| field.name == entry.key.name);
            let exists =
                field.is_some_and(|field| !field.with_middleware || self.decoder.has_middleware());
            if !exists {
                self.decoder.unknown_key(entry, self.fields, std::iter::empty());
            }
        }
    }
}

impl Fields<'_, '_, '_> {
    /// Whether another key of the table is reported with this one as what was probably meant.
    fn is_mistyped(&self, name: &str) -> bool {
        let Source::Table(table) = self.source else { return false };
        let known = || self.fields.iter().map(|field| field.name);
        unknown(table, self.fields).any(|entry| nearest(&entry.key.name, known()) == Some(name))
    }
}

static EMPTY: std::sync::LazyLock<Table> = std::sync::LazyLock::new(Table::new);

fn unknown<'v>(table: &'v Table, fields: &'static [Field]) -> impl Iterator<Item = &'v Entry> {
    let known = move |name: &str| fields.iter().any(|field| field.name == name);
    table.entries().iter().filter(move |entry| !known(&entry.key.name))
}

impl Decoder<'_> {
    /// Whether keys that need middleware kinds exist.
    fn has_middleware(&self) -> bool {
        !self.vocabulary.middleware.is_empty()
    }

    /// Reports a key that does not exist here; `more` are names that would be right beside
    /// `fields`.
    pub(crate) fn unknown_key<'k>(
        &mut self,
        entry: &Entry,
        fields: &[Field],
        more: impl Iterator<Item = &'k str>,
    ) {
        let middleware = self.has_middleware();
        let exists = |field: &&Field| !field.with_middleware || middleware;
        let known = fields.iter().filter(exists).map(|field| field.name).chain(more);
        let known: Vec<&str> = known.collect();
        let near = nearest(&entry.key.name, known.iter().copied());
        // Where middleware may stand: at top, in servers, sites and routes.
        let is_place = fields.iter().any(|field| field.with_middleware);
        let elsewhere = || self.elsewhere(&entry.key.name).filter(|_| is_place);
        let help = near.map(|near| format!("write `{near}`")).or_else(elsewhere);
        let help = match help.or_else(|| about_tls(&entry.key.name, fields)) {
            None if known.is_empty() => None,
            None => Some(format!("known here: {}", known.join(", "))),
            help => help,
        };
        let message = format!("unknown key `{}`", entry.key.name.escape_debug());
        self.report(Diagnostic::error(entry.key.span, message).help_if(help));
    }
}

/// What to write for a key that is about TLS, in the two tables where others set that.
fn about_tls(key: &str, fields: &[Field]) -> Option<String> {
    let has = |name| fields.iter().any(|field| field.name == name);
    let advice = match (has("certificate"), has("tls")) {
        (true, _) => foreign::certificate_advice(key),
        (_, true) => foreign::tls_advice(key),
        _ => None,
    };
    advice.map(str::to_owned)
}

impl Decoder<'_> {
    /// What to write for the name of middleware, or for a key of another server.
    fn elsewhere(&self, key: &str) -> Option<String> {
        match self.vocabulary.middleware_kind(key) {
            Some(_) => Some(format!("write it in a list: `middleware = [{{ {key} = … }}]`")),
            None => foreign::advice(key).map(str::to_owned),
        }
    }
}

impl FieldSchema {
    /// The schema of a field of type `T`.
    pub fn of<T: Config>(field: &'static Field) -> Self {
        let required = field.default.is_none() && T::absent().is_none();
        Self { field, schema: T::schema(), required }
    }
}

#[cfg(test)]
mod tests;
