//! A whole configuration as one TOML text, every default filled in: `stead check --full`.
//!
//! Walks the merged tree along the schema, so that every value stands as it was written, with
//! `${…}` and without what a secret's file holds. Includes are gone, and relative paths of included
//! files start from the first file's directory. Loading the text again from there gives the same
//! configuration.

use std::fmt::Write as _;
use std::path::Path;

use crate::print;
use crate::schema::{PathPart, RestSchema, Schema, TableSchema, TextForm};
use crate::value::{Content, Table, Text};
use crate::{
    Config, Configuration, Document, FieldSchema, Literal, Sources, Span, Value, Vocabulary,
};

/// Prints a configuration that was loaded without errors.
pub fn full(document: &Document, vocabulary: &Vocabulary) -> String {
    let Schema::Table(schema) = Configuration::schema() else { return String::new() };
    let mut printer = Printer { sources: document.sources(), vocabulary, out: String::new() };
    if let Some(root) = document.root().as_table() {
        printer.table("", root, &schema);
    }
    printer.out
}

struct Printer<'a> {
    sources: &'a Sources,
    vocabulary: &'a Vocabulary,
    out: String,
}

/// How a field is printed: on its table's own lines, or under a header.
enum Place<'s> {
    Line,
    Header(&'s TableSchema),
    Headers(&'s TableSchema),
    Array(&'s TableSchema),
}

fn place(schema: &Schema) -> Place<'_> {
    let table = |inner: &Schema| matches!(inner, Schema::Table(_));
    match schema {
        Schema::Table(schema) => Place::Header(schema),
        Schema::Map(inner) if table(inner) => match inner.as_ref() {
            Schema::Table(schema) => Place::Headers(schema),
            _ => Place::Line,
        },
        Schema::List(inner) => match inner.as_ref() {
            Schema::Table(schema) if schema.shorthand.is_none() => Place::Array(schema),
            _ => Place::Line,
        },
        _ => Place::Line,
    }
}

impl Printer<'_> {
    /// A table with a header: first what stands on lines, then what has headers of its own.
    fn table(&mut self, path: &str, table: &Table, schema: &TableSchema) {
        let fields: Vec<&FieldSchema> =
            schema.fields.iter().filter(|field| self.is_printed(path, field)).collect();
        for field in &fields {
            if matches!(place(&field.schema), Place::Line)
                && let Some(text) = self.field(field, table.value(field.field.name))
            {
                let _ = writeln!(self.out, "{} = {text}", field.field.name);
            }
        }
        if schema.rest == Some(RestSchema::Middleware) {
            for (key, text) in self.middleware(table) {
                let _ = writeln!(self.out, "{} = {text}", print::key(&key));
            }
        }
        let empty = Table::new();
        for field in fields {
            let name = field.field.name;
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let value = table.value(name);
            let inner = value.and_then(Value::as_table).unwrap_or(&empty);
            match place(&field.schema) {
                Place::Line => {}
                // Keys without defaults, and none is written; or a table that is not there.
                Place::Header(schema)
                    if value.is_none()
                        && (self.inline_entries(inner, schema).is_empty()
                            || schema.fields.iter().any(|field| field.required)) => {}
                Place::Header(schema) => {
                    let short = value.and_then(|value| expanded(value, schema));
                    let inner = short.as_ref().unwrap_or(inner);
                    self.header(&format!("[{path}]"), &path, inner, schema);
                }
                Place::Headers(schema) => self.headers(&path, inner, schema),
                Place::Array(schema) => self.array(&path, value, schema),
            }
        }
    }

    fn header(&mut self, header: &str, path: &str, table: &Table, schema: &TableSchema) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        let _ = writeln!(self.out, "{header}");
        self.table(path, table, schema);
    }

    fn headers(&mut self, path: &str, table: &Table, schema: &TableSchema) {
        for entry in table.entries() {
            let Some(table) = entry.value.as_table() else { continue };
            let path = format!("{path}.{}", print::key(&entry.key.name));
            self.header(&format!("[{path}]"), &path, table, schema);
        }
    }

    /// Tables of an array are printed on lines alone: what is nested in them is inline.
    fn array(&mut self, path: &str, value: Option<&Value>, schema: &TableSchema) {
        let items = value.and_then(Value::as_list).unwrap_or(&[]);
        for table in items.iter().filter_map(Value::as_table) {
            let _ = writeln!(self.out, "\n[[{path}]]");
            for (key, text) in self.inline_entries(table, schema) {
                let _ = writeln!(self.out, "{} = {text}", print::key(&key));
            }
        }
    }

    fn is_printed(&self, path: &str, field: &FieldSchema) -> bool {
        let exists = !field.field.with_middleware || !self.vocabulary.middleware.is_empty();
        exists && !(path.is_empty() && field.field.name == "include")
    }

    /// The value of a field, or its default; nothing where it has neither, or where there is only
    /// an empty map.
    fn field(&self, field: &FieldSchema, value: Option<&Value>) -> Option<String> {
        let schema = match (&field.schema, field.field.default) {
            (Schema::Off(inner), Some(Literal::Table)) => inner,
            (schema, _) => schema,
        };
        match (value, field.field.default, schema) {
            (Some(value), _, schema) => Some(self.inline(value, schema)),
            (None, Some(_), Schema::Table(schema)) => {
                let entries = self.inline_entries(&Table::new(), schema);
                Some(braced(&entries)).filter(|_| !entries.is_empty())
            }
            (None, None, _) | (None, Some(_), Schema::Map(_)) => None,
            (None, Some(default), _) => Some(print::literal(default)),
        }
    }

    /// A value on one line, the defaults of the tables in it filled in.
    fn inline(&self, value: &Value, schema: &Schema) -> String {
        match (schema, &value.content) {
            (Schema::Text(form), Content::Text(text)) => {
                print::text(&self.written(text, *form, value.span))
            }
            (Schema::Off(_), _) if value.as_str() == Some("off") => print::value(value),
            (Schema::Off(inner), _) => self.inline(value, inner),
            (Schema::List(inner), Content::List(items)) => {
                let items: Vec<String> =
                    items.iter().map(|item| self.inline(item, inner)).collect();
                match (inner.as_ref(), items.len()) {
                    (Schema::Table(_), 2..) => format!("[\n  {},\n]", items.join(",\n  ")),
                    _ => format!("[{}]", items.join(", ")),
                }
            }
            (Schema::Map(inner), Content::Table(table)) => {
                let entries = table.entries().iter();
                let entries: Vec<(String, String)> = entries
                    .map(|entry| (entry.key.name.clone(), self.inline(&entry.value, inner)))
                    .collect();
                braced(&entries)
            }
            (Schema::Table(schema), Content::Table(table)) => {
                braced(&self.inline_entries(table, schema))
            }
            (Schema::Table(schema), _) => self.shorthand(value, schema),
            (Schema::Middleware, Content::Table(table)) => {
                let kinds = table.entries().iter().filter_map(|entry| {
                    let kind = self.vocabulary.middleware_kind(&entry.key.name)?;
                    let settings = self.inline(&entry.value, &(kind.schema)());
                    Some((entry.key.name.clone(), settings))
                });
                braced(&kinds.collect::<Vec<_>>())
            }
            (Schema::OneOf(schemas), _) => match branch(schemas, value) {
                Some(schema) => self.inline(value, schema),
                None => print::value(value),
            },
            _ => print::value(value),
        }
    }

    /// A value that stands for one key of a table: the table, if there are other keys to show.
    fn shorthand(&self, value: &Value, schema: &TableSchema) -> String {
        let Some(table) = expanded(value, schema) else { return print::value(value) };
        let entries = self.inline_entries(&table, schema);
        let short = schema.shorthand.and_then(|short| schema.field(short));
        match (entries.as_slice(), short) {
            ([_], Some(field)) => self.inline(value, &field.schema),
            _ => braced(&entries),
        }
    }

    fn inline_entries(&self, table: &Table, schema: &TableSchema) -> Vec<(String, String)> {
        let mut entries = Vec::new();
        for field in schema.fields.iter().filter(|field| self.is_printed("-", field)) {
            let name = field.field.name;
            let text = self.field(field, table.value(name));
            entries.extend(text.map(|text| (name.to_owned(), text)));
        }
        if schema.rest == Some(RestSchema::Handler) {
            for entry in table.entries() {
                if let Some(kind) = self.vocabulary.handler(&entry.key.name) {
                    let text = self.inline(&entry.value, &(kind.schema)());
                    entries.push((entry.key.name.clone(), text));
                }
            }
        }
        entries
    }

    /// The settings of a `[middleware.NAME]`, by the kind that it names.
    fn middleware(&self, table: &Table) -> Vec<(String, String)> {
        let kind = table.value("kind").and_then(Value::as_str);
        let kind = kind.and_then(|kind| self.vocabulary.middleware_kind(kind));
        match kind.map(|kind| (kind.schema)()) {
            Some(Schema::Table(schema)) => self.inline_entries(table, &schema),
            _ => Vec::new(),
        }
    }

    /// A string as it was written, its path moved to where the first file is.
    fn written(&self, text: &Text, form: TextForm, span: Span) -> String {
        let written = text.written();
        let (prefix, path, value) = match form.path {
            PathPart::None => return written.to_owned(),
            PathPart::Whole => ("", written, text.value.as_str()),
            PathPart::AfterUnix => {
                match (written.strip_prefix("unix:"), text.value.strip_prefix("unix:")) {
                    (Some(path), Some(value)) => ("unix:", path, value),
                    _ => return written.to_owned(),
                }
            }
        };
        let first = self.sources.files().next().map(|file| self.sources.directory(file));
        let (first, own) = (first.unwrap_or(Path::new("")), self.sources.directory(span.file));
        if own == first || Path::new(value).is_absolute() {
            return written.to_owned();
        }
        let from = own.strip_prefix(first).unwrap_or(own).display().to_string();
        format!("{prefix}{}/{path}", from.replace("${", "$${"))
    }
}

/// The table that a value which is none stands for.
fn expanded(value: &Value, schema: &TableSchema) -> Option<Table> {
    let short = schema.shorthand.filter(|_| value.as_table().is_none())?;
    let mut table = Table::new();
    let key = crate::Key { name: short.to_owned(), span: value.span };
    table.push(crate::Entry { key, value: value.clone() });
    Some(table)
}

/// The schema, of several, that a value was decoded by.
fn branch<'s>(schemas: &'s [Schema], value: &Value) -> Option<&'s Schema> {
    let Some(table) = value.as_table() else {
        return schemas.iter().find(|schema| match schema {
            Schema::Words(words) => words.iter().any(|word| Some(word.name) == value.as_str()),
            Schema::Table(table) => table.shorthand.is_some(),
            _ => true,
        });
    };
    let tables = || schemas.iter().filter(|schema| matches!(schema, Schema::Table(_)));
    let named = tables().find(|schema| match schema {
        Schema::Table(schema) => {
            schema.fields.first().is_some_and(|first| table.entry(first.field.name).is_some())
        }
        _ => false,
    });
    named.or_else(|| tables().next())
}

fn braced(entries: &[(String, String)]) -> String {
    if entries.is_empty() {
        return "{}".to_owned();
    }
    let entries: Vec<String> =
        entries.iter().map(|(key, text)| format!("{} = {text}", print::key(key))).collect();
    format!("{{ {} }}", entries.join(", "))
}
