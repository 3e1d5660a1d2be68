//! The reference of the configuration as Markdown pages, written from the schema.
//!
//! One page for the tables of `stead.toml`, one for each kind. `cargo xtask gen` writes them to
//! `docs/reference`; they are never edited by hand.

use std::fmt::Write as _;

use crate::json_schema::{flowing, plain};
use crate::print;
use crate::schema::{Field, FieldSchema, RestSchema, Schema, TableSchema};
use crate::{Config, Configuration, KindFacts, Vocabulary};

/// One page of the reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its path under `docs/reference`.
    pub path: String,
    /// Markdown, ending in a line end.
    pub text: String,
}

/// The pages for a configuration with the kinds of `vocabulary`.
pub fn reference(vocabulary: &Vocabulary) -> Vec<Page> {
    let mut pages = vec![configuration(vocabulary)];
    for (group, kinds) in
        [("handlers", &vocabulary.handlers), ("middleware", &vocabulary.middleware)]
    {
        pages.extend(kinds.iter().map(|kind| kind_page(group, kind, vocabulary)));
    }
    pages
}

const GENERATED: &str = "<!-- Written by `cargo xtask gen`; edit the source instead. -->\n";

fn configuration(vocabulary: &Vocabulary) -> Page {
    let mut writer = Writer { vocabulary, out: format!("{GENERATED}\n# stead.toml\n") };
    writer.out.push_str(VALUES);
    if let Schema::Table(table) = Configuration::schema() {
        writer.section("", &table);
    }
    Page { path: "configuration.md".to_owned(), text: writer.out }
}

const VALUES: &str = "
Durations are written `\"10s\"` (`ms`, `s`, `m`, `h`, `d`), sizes `\"16KiB\"` (1024) or `\"16KB\"`
(1000), rates `\"240B/s\"`. `\"off\"` lifts a limit. `${NAME}` and `${NAME:-default}` are replaced by
environment variables inside strings; `$${` is a literal `${`. Relative paths start from the
directory of the file that names them.
";

fn kind_page(group: &str, kind: &KindFacts, vocabulary: &Vocabulary) -> Page {
    let mut writer = Writer { vocabulary, out: format!("{GENERATED}\n# {}\n", kind.name) };
    let docs = if kind.docs.is_empty() { kind.summary } else { kind.docs };
    let _ = writeln!(writer.out, "\n{}", docs.trim());
    if !kind.example.is_empty() {
        let _ = writeln!(writer.out, "\n```toml\n{}\n```", kind.example.trim());
    }
    let schema = (kind.schema)();
    match &schema {
        Schema::Table(table) if !table.fields.is_empty() => {
            let short = table.shorthand;
            writer.section(kind.name, table);
            if let Some(short) = short {
                let name = kind.name;
                let _ = writeln!(
                    writer.out,
                    "\n`{name} = VALUE` is short for `{name} = {{ {short} = VALUE }}`."
                );
            }
        }
        Schema::Table(_) => {}
        other => {
            let _ = writeln!(writer.out, "\n`{}` takes {}.", kind.name, other.describe());
            writer.words(other);
        }
    }
    Page { path: format!("{group}/{}.md", kind.name), text: writer.out }
}

struct Writer<'a> {
    vocabulary: &'a Vocabulary,
    out: String,
}

impl Writer<'_> {
    /// A table's keys, then the tables in it.
    fn section(&mut self, path: &str, table: &TableSchema) {
        if !path.is_empty() {
            let _ = writeln!(self.out, "\n## {}\n\n{}", heading(path), flowing(table.docs));
        }
        let fields: Vec<&FieldSchema> =
            table.fields.iter().filter(|field| self.exists(field.field)).collect();
        if !fields.is_empty() {
            self.out.push_str(
                "\n| key | type | default | range | |\n| --- | --- | --- | --- | --- |\n",
            );
        }
        for field in &fields {
            self.row(field);
        }
        if table.rest == Some(RestSchema::Handler) {
            let kinds = self.vocabulary.handlers.iter();
            let kinds: Vec<String> =
                kinds.map(|k| format!("[`{}`](handlers/{}.md)", k.name, k.name)).collect();
            let _ = writeln!(self.out, "\nAnd exactly one handler: {}.", kinds.join(", "));
        }
        if table.rest == Some(RestSchema::Middleware) {
            self.out.push_str("\nAnd the settings of the kind.\n");
        }
        for field in fields {
            self.words(&field.schema);
            self.nested(path, field.field.name, &field.schema);
        }
    }

    fn row(&mut self, field: &FieldSchema) {
        let Field { name, docs, default, range, .. } = field.field;
        let default = match (default, field.required) {
            (Some(default), _) => format!("`{}`", print::literal(*default)),
            (None, true) => "required".to_owned(),
            (None, false) => String::new(),
        };
        let range =
            range.map_or(String::new(), |(low, high)| format!("{} to {}", plain(low), plain(high)));
        let docs = flowing(docs).replace("\n\n", " ");
        let cells = [&format!("`{name}`"), &type_name(&field.schema), &default, &range, &docs];
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        let _ = writeln!(self.out, "| {} |", cells.join(" | "));
    }

    fn exists(&self, field: &Field) -> bool {
        !field.with_middleware || !self.vocabulary.middleware.is_empty()
    }

    /// The meanings of words, where they have any.
    fn words(&mut self, schema: &Schema) {
        let words = match schema {
            Schema::Words(words) => words,
            Schema::OneOf(schemas) => {
                schemas.iter().for_each(|schema| self.words(schema));
                return;
            }
            _ => return,
        };
        if words.iter().all(|word| word.docs.is_empty()) {
            return;
        }
        self.out.push('\n');
        for word in words.iter() {
            let _ = writeln!(self.out, "- `\"{}\"`: {}", word.name, flowing(word.docs));
        }
    }

    fn nested(&mut self, path: &str, name: &str, schema: &Schema) {
        let within = |part: &str| {
            if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") }
        };
        match schema {
            Schema::Table(table) => self.section(&within(name), table),
            Schema::Map(inner) => {
                self.nested(path, &format!("{name}.{}", name.to_uppercase()), inner);
            }
            Schema::List(inner) => self.nested(path, &format!("{name}[]"), inner),
            _ => {}
        }
    }
}

/// `server.SERVER.route[]` → `` `[[server.SERVER.route]]` ``.
fn heading(path: &str) -> String {
    if !path.contains('.') && path.chars().all(char::is_lowercase) {
        return format!("`{path}`");
    }
    match path.strip_suffix("[]") {
        Some(path) => format!("`[[{path}]]`"),
        None => format!("`[{path}]`"),
    }
}

fn type_name(schema: &Schema) -> String {
    match schema {
        Schema::Boolean => "boolean".to_owned(),
        Schema::Integer { .. } => "integer".to_owned(),
        Schema::Text(form) => form.name.to_owned(),
        Schema::Words(words) => {
            let words: Vec<String> =
                words.iter().map(|word| format!("`\"{}\"`", word.name)).collect();
            words.join(", ")
        }
        Schema::Off(inner) => format!("{} or `\"off\"`", type_name(inner)),
        Schema::List(inner) => format!("list of {}", plural(inner)),
        Schema::Map(inner) => format!("{} by name", plural(inner)),
        Schema::Table(table) => {
            let short = table.shorthand.and_then(|name| table.field(name));
            short.map_or("table".to_owned(), |field| {
                format!("{} or table", type_name(&field.schema))
            })
        }
        Schema::OneOf(schemas) => {
            let types: Vec<String> = schemas.iter().map(one_of_type).collect();
            types.join(" or ")
        }
    }
}

fn plural(schema: &Schema) -> String {
    match schema {
        Schema::Text(form) => form.plural(),
        Schema::Table(_) | Schema::Integer { .. } => {
            format!("{}s", type_name(schema))
        }
        other => type_name(other),
    }
}

/// Tables among several are shown by their keys.
fn one_of_type(schema: &Schema) -> String {
    match schema {
        Schema::Table(table) => {
            let keys = table.fields.iter();
            let keys: Vec<String> = keys
                .map(|field| {
                    format!("{} = {}", field.field.name, type_name(&field.schema).to_uppercase())
                })
                .collect();
            format!("`{{ {} }}`", keys.join(", "))
        }
        other => type_name(other),
    }
}
