//! The schema of `stead.toml` for editors: JSON Schema 2020-12, `stead schema`.
//!
//! Says no more than holds for one file: a table may be spread over includes, so that keys which a
//! server needs are not required here. A string with `${…}` is accepted wherever a scalar is.

use serde_json::{Map, Value, json};

use crate::print;
use crate::schema::{Field, FieldSchema, RestSchema, Schema, TableSchema, TextForm, Word};
use crate::{Config, Configuration, KindFacts, Literal, Vocabulary};

/// The JSON schema of a configuration with the kinds of `vocabulary`.
pub fn schema(vocabulary: &Vocabulary) -> Value {
    let writer = Writer { vocabulary };
    let mut root = writer.schema(&Configuration::schema());
    let about = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "stead.toml",
    });
    extend(&mut root, about);
    let mut definitions = Map::new();
    definitions.insert("variable".to_owned(), json!({ "type": "string", "pattern": VARIABLE }));
    for (group, kinds) in
        [("handler", &vocabulary.handlers), ("middleware", &vocabulary.middleware)]
    {
        for kind in kinds {
            let mut schema = writer.schema(&(kind.schema)());
            if schema.get("description").is_none() {
                extend(&mut schema, json!({ "description": kind.summary }));
            }
            if !kind.exclusive.is_empty() {
                let both = json!({ "type": "object", "required": kind.exclusive });
                extend(&mut schema, json!({ "not": both }));
            }
            definitions.insert(format!("{group}.{}", kind.name), schema);
        }
    }
    extend(&mut root, json!({ "$defs": definitions }));
    root
}

/// What names the schema, so that editors can tell it from others; nothing is fetched from there.
const ID: &str = "urn:stead:configuration";

/// A string that takes a variable.
const VARIABLE: &str = "\\$\\{";

struct Writer<'a> {
    vocabulary: &'a Vocabulary,
}

impl Writer<'_> {
    fn schema(&self, schema: &Schema) -> Value {
        match schema {
            Schema::Boolean => json!({ "type": ["boolean", "string"], "pattern": VARIABLE }),
            Schema::Integer { min, max } => {
                json!({ "type": ["integer", "string"], "minimum": min, "maximum": max, "pattern": VARIABLE })
            }
            Schema::Numbers(numbers) => any_of([json!({ "enum": numbers }), variable()]),
            Schema::Text(form) => text(*form),
            Schema::Words(words) => any_of(words.iter().map(word).chain([variable()])),
            Schema::Off(inner) => any_of([json!({ "const": "off" }), self.schema(inner)]),
            Schema::List(inner) => json!({ "type": "array", "items": self.schema(inner) }),
            Schema::Map(inner) => {
                json!({ "type": "object", "additionalProperties": self.schema(inner) })
            }
            Schema::Table(table) if table.rest == Some(RestSchema::Middleware) => {
                self.middleware(table)
            }
            Schema::Table(table) => self.short_or_table(table),
            Schema::OneOf(schemas) => any_of(schemas.iter().map(|schema| self.schema(schema))),
            Schema::Middleware => any_of([json!({ "type": "string" }), self.one_kind()]),
        }
    }

    fn short_or_table(&self, table: &TableSchema) -> Value {
        let short = table.shorthand.and_then(|name| table.field(name));
        let object = self.table(table);
        short.map_or(object.clone(), |short| any_of([self.schema(&short.schema), object]))
    }

    fn table(&self, table: &TableSchema) -> Value {
        let mut properties = Map::new();
        for field in table.fields.iter().filter(|field| self.exists(field.field)) {
            properties.insert(field.field.name.to_owned(), self.field(field));
        }
        let required: Vec<&str> = table
            .fields
            .iter()
            .filter(|field| field.required && self.exists(field.field))
            .map(|field| field.field.name)
            .collect();
        let mut object = json!({ "type": "object" });
        if !table.docs.is_empty() {
            extend(&mut object, json!({ "description": flowing(table.docs) }));
        }
        if table.rest == Some(RestSchema::Handler) {
            for kind in &self.vocabulary.handlers {
                properties.insert(kind.name.to_owned(), reference("handler", kind));
            }
            extend(&mut object, json!({ "allOf": self.route_rules() }));
        }
        extend(&mut object, json!({ "properties": properties }));
        if !required.is_empty() {
            extend(&mut object, json!({ "required": required }));
        }
        extend(&mut object, json!({ "additionalProperties": false }));
        object
    }

    /// One alternative a kind: its name with its settings.
    fn middleware(&self, table: &TableSchema) -> Value {
        let kinds = self.vocabulary.middleware.iter().map(|kind| {
            let mut object = match (kind.schema)() {
                Schema::Table(settings) => self.table(&settings),
                _ => json!({ "type": "object", "properties": {} }),
            };
            if let Some(Value::Object(properties)) = object.get_mut("properties") {
                properties.insert("kind".to_owned(), json!({ "const": kind.name }));
            }
            let required = object.get("required").and_then(Value::as_array).cloned();
            let required = required.unwrap_or_default().into_iter().chain([json!("kind")]);
            let required: Vec<Value> = required.collect();
            extend(&mut object, json!({ "description": kind.summary, "required": required }));
            object
        });
        let mut schema = any_of(kinds);
        extend(&mut schema, json!({ "description": flowing(table.docs) }));
        schema
    }

    /// A middleware where it is listed: one kind with its settings.
    fn one_kind(&self) -> Value {
        let kinds = self.vocabulary.middleware.iter();
        let properties: Map<String, Value> =
            kinds.map(|kind| (kind.name.to_owned(), reference("middleware", kind))).collect();
        json!({
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
        })
    }

    fn exists(&self, field: &Field) -> bool {
        !field.with_middleware || !self.vocabulary.middleware.is_empty()
    }

    fn field(&self, field: &FieldSchema) -> Value {
        let mut schema = self.schema(&field.schema);
        let mut docs = flowing(field.field.docs);
        if let Some((low, high)) = field.field.range {
            let range = format!("Range {} to {}.", plain(low), plain(high));
            docs = if docs.is_empty() { range } else { format!("{docs} {range}") };
            if let (Literal::Integer(low), Literal::Integer(high)) = (low, high) {
                bound(&mut schema, low, high);
            }
        }
        if !docs.is_empty() {
            extend(&mut schema, json!({ "description": docs }));
        }
        if let Some(default) = field.field.default {
            extend(&mut schema, json!({ "default": literal(default) }));
        }
        schema
    }

    /// A route has one handler and one pattern.
    fn route_rules(&self) -> Vec<Value> {
        let one = |names: &[&str]| {
            let required: Vec<Value> =
                names.iter().map(|name| json!({ "required": [name] })).collect();
            json!({ "oneOf": required })
        };
        let kinds: Vec<&str> = self.vocabulary.handlers.iter().map(|kind| kind.name).collect();
        [["path", "regex"].as_slice(), kinds.as_slice()]
            .into_iter()
            .filter(|names| !names.is_empty())
            .map(one)
            .collect()
    }
}

/// Puts the bounds where the integer is, also inside "or off".
fn bound(schema: &mut Value, low: i64, high: i64) {
    if schema.get("minimum").is_some() {
        extend(schema, json!({ "minimum": low, "maximum": high }));
    }
    if let Some(Value::Array(schemas)) = schema.get_mut("anyOf") {
        for schema in schemas {
            bound(schema, low, high);
        }
    }
}

fn reference(group: &str, kind: &KindFacts) -> Value {
    json!({ "$ref": format!("#/$defs/{group}.{}", kind.name), "description": kind.summary })
}

fn variable() -> Value {
    json!({ "$ref": "#/$defs/variable" })
}

fn word(word: &Word) -> Value {
    let mut schema = json!({ "const": word.name });
    if !word.docs.is_empty() {
        extend(&mut schema, json!({ "description": flowing(word.docs) }));
    }
    schema
}

fn text(form: TextForm) -> Value {
    let mut schema = json!({ "type": "string" });
    if !form.pattern.is_empty() {
        extend(&mut schema, json!({ "pattern": form.pattern }));
    }
    schema
}

fn any_of(schemas: impl IntoIterator<Item = Value>) -> Value {
    json!({ "anyOf": schemas.into_iter().collect::<Vec<_>>() })
}

fn literal(value: Literal) -> Value {
    match value {
        Literal::Text(text) => json!(text),
        Literal::Integer(number) => json!(number),
        Literal::Float(number) => json!(number),
        Literal::Boolean(boolean) => json!(boolean),
        Literal::List(items) => items.iter().map(|item| literal(*item)).collect(),
        Literal::Table => json!({}),
    }
}

/// A literal without quotes, for sentences.
pub(crate) fn plain(value: Literal) -> String {
    match value {
        Literal::Text(text) => text.to_owned(),
        other => print::literal(other),
    }
}

/// A doc comment with the lines of a paragraph joined.
pub(crate) fn flowing(docs: &str) -> String {
    let paragraphs = docs.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}
