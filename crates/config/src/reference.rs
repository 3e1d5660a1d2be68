//! The reference of the configuration as Markdown pages, written from the schema.
//!
//! One page for the tables of `stead.toml`, one for each kind. `cargo xtask gen` writes them to
//! `docs/reference`; they are never edited by hand.

use std::fmt::Write as _;

use crate::json_schema::{flowing, plain};
use crate::print;
use crate::schema::{Field, FieldSchema, RestSchema, Schema, TableSchema, Word};
use crate::{Config, Configuration, KindFacts, Literal, Vocabulary};

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
    let mut writer = Writer::new(vocabulary, "stead.toml");
    writer.out.push_str(VALUES);
    if let Schema::Table(table) = Configuration::schema() {
        writer.keys("", &table);
    }
    Page { path: "configuration.md".to_owned(), text: writer.out }
}

const VALUES: &str = "
Durations are written `\"10s\"` (`ms`, `s`, `m`, `h`, `d`), sizes `\"16KiB\"` (1024) or `\"16KB\"`
(1000), rates `\"240B/s\"`. `\"off\"` lifts a limit. `${NAME}` and `${NAME:-default}` are replaced by
environment variables inside strings; `$${` is a literal `${`. Relative paths start from the
directory of the file that names them. A file has at most 4 MiB; a configuration at most 10,000
files, which include each other at most 16 deep.
";

fn kind_page(group: &str, kind: &KindFacts, vocabulary: &Vocabulary) -> Page {
    let mut writer = Writer::new(vocabulary, kind.name);
    let docs = if kind.docs.is_empty() { kind.summary } else { kind.docs };
    let _ = writeln!(writer.out, "\n{}", lowered(docs.trim()));
    if !kind.example.is_empty() && !docs.contains("```toml") {
        let _ = writeln!(writer.out, "\n```toml\n{}\n```", kind.example.trim());
    }
    let schema = (kind.schema)();
    writer.settings(kind.name, &schema);
    Page { path: format!("{group}/{}.md", kind.name), text: writer.out }
}

/// Markdown with its headings one level further down, below the page's own.
fn lowered(docs: &str) -> String {
    let mut code = false;
    let lines = docs.lines().map(|line| {
        code ^= line.starts_with("```");
        if line.starts_with('#') && !code { format!("#{line}") } else { line.to_owned() }
    });
    lines.collect::<Vec<_>>().join("\n")
}

struct Writer<'a> {
    vocabulary: &'a Vocabulary,
    out: String,
    /// The tables written so far, by their keys.
    written: Vec<(Vec<&'static str>, String)>,
    /// Sets of words whose meanings were given.
    explained: Vec<Vec<&'static str>>,
}

impl<'a> Writer<'a> {
    fn new(vocabulary: &'a Vocabulary, title: &str) -> Self {
        Self {
            vocabulary,
            out: format!("{GENERATED}\n# {title}\n"),
            written: Vec::new(),
            explained: Vec::new(),
        }
    }

    /// What a kind takes.
    fn settings(&mut self, name: &str, schema: &Schema) {
        let table = match schema {
            Schema::Table(table) if table.fields.is_empty() => return,
            Schema::Table(table) => table,
            other => {
                let _ = writeln!(self.out, "\n`{name}` takes {}.", other.describe());
                return self.words(name, other);
            }
        };
        self.out.push_str("\n## Settings\n");
        if let Some(short) = table.shorthand {
            let _ = writeln!(
                self.out,
                "\n`{name} = VALUE` is short for `{name} = {{ {short} = VALUE }}`."
            );
        }
        self.keys(name, table);
    }

    /// A table under its heading; one with the keys of an earlier table refers to it.
    fn section(&mut self, path: &str, table: &TableSchema) {
        let heading = heading(path);
        let keys: Vec<&'static str> = table.fields.iter().map(|field| field.field.name).collect();
        let _ = writeln!(self.out, "\n## {heading}");
        if let Some((_, earlier)) = self.written.iter().find(|(known, _)| *known == keys) {
            let _ = writeln!(self.out, "\nThe same keys as {earlier}.");
            return;
        }
        self.written.push((keys, heading));
        let _ = writeln!(self.out, "\n{}", flowing(table.docs));
        self.keys(path, table);
    }

    /// The keys of a table, then the tables in it.
    fn keys(&mut self, path: &str, table: &TableSchema) {
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
        for field in &fields {
            self.words(field.field.name, &field.schema);
        }
        for field in fields {
            self.nested(path, field.field.name, &field.schema);
        }
    }

    fn row(&mut self, field: &FieldSchema) {
        let Field { name, docs, default, range, .. } = field.field;
        let default = match (default, field.required) {
            (None, true) => "required".to_owned(),
            (Some(Literal::Table), _) if is_table(&field.schema) => "see below".to_owned(),
            (Some(Literal::Table), _) => "`{}`".to_owned(),
            (None, false) => String::new(),
            (Some(default), _) => format!("`{}`", print::literal(*default)),
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
    fn words(&mut self, name: &str, schema: &Schema) {
        let words: &[Word] = match schema {
            Schema::Words(words) => words,
            Schema::OneOf(schemas) => {
                for schema in schemas {
                    self.words(name, schema);
                }
                return;
            }
            _ => return,
        };
        let explained = words.iter().map(|word| word.name).collect();
        if words.iter().all(|word| word.docs.is_empty()) || self.explained.contains(&explained) {
            return;
        }
        self.explained.push(explained);
        let _ = writeln!(self.out, "\n`{name}`:\n");
        for word in words {
            let _ = writeln!(self.out, "- `\"{}\"`: {}", word.name, flowing(word.docs));
        }
    }

    fn nested(&mut self, path: &str, name: &str, schema: &Schema) {
        let within = |part: &str| {
            if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") }
        };
        match schema {
            Schema::Table(table) => self.section(&within(name), table),
            Schema::Off(inner) => self.nested(path, name, inner),
            Schema::Map(inner) => {
                self.nested(path, &format!("{name}.{}", name.to_uppercase()), inner);
            }
            Schema::List(inner) => self.nested(path, &format!("{name}[]"), inner),
            _ => {}
        }
    }
}

/// Whether a value is a table whose keys have a section of their own.
fn is_table(schema: &Schema) -> bool {
    match schema {
        Schema::Table(_) => true,
        Schema::Off(inner) => is_table(inner),
        _ => false,
    }
}

/// `server.SERVER.route[]` → `` `[[server.SERVER.route]]` ``.
fn heading(path: &str) -> String {
    let path = path.replace("[].", ".");
    match path.strip_suffix("[]") {
        Some(path) => format!("`[[{path}]]`"),
        None => format!("`[{path}]`"),
    }
}

fn type_name(schema: &Schema) -> String {
    match schema {
        Schema::Boolean => "boolean".to_owned(),
        Schema::Integer { .. } => "integer".to_owned(),
        Schema::Numbers(_) => schema.describe(),
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
        Schema::Middleware => "name or `{ KIND = … }`".to_owned(),
    }
}

fn plural(schema: &Schema) -> String {
    match schema {
        Schema::Text(form) => form.plural(),
        Schema::Middleware => "names or `{ KIND = … }`".to_owned(),
        Schema::Table(table) if table.shorthand.is_some() => {
            table.short().map_or_else(String::new, |short| plural(&short.schema) + " or tables")
        }
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
                    let value = match &field.schema {
                        words @ Schema::Words(_) => words.describe(),
                        other => type_name(other).to_uppercase(),
                    };
                    format!("{} = {value}", field.field.name)
                })
                .collect();
            format!("`{{ {} }}`", keys.join(", "))
        }
        other => type_name(other),
    }
}
