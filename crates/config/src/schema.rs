//! What a value may be, as data: the source of the JSON schema, the reference pages, the full
//! printing of a configuration, and of the words in messages.
//!
//! Schemas come from the same declarations as decoding ([`crate::Config`]), so that neither can say
//! what the other does not.

use crate::Literal;

/// What a value may be.
#[derive(Clone, Debug)]
pub enum Schema {
    /// `true` or `false`.
    Boolean,
    /// An integer within bounds, both included.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// One of a few integers.
    Numbers(&'static [u16]),
    /// A string of some form.
    Text(TextForm),
    /// One of a few words.
    Words(&'static [Word]),
    /// The value, or `"off"`.
    Off(Box<Schema>),
    /// An array.
    List(Box<Schema>),
    /// A table whose keys are names.
    Map(Box<Schema>),
    /// A table with known keys.
    Table(TableSchema),
    /// Any of several.
    OneOf(Vec<Schema>),
    /// A middleware: its name, or a table of one kind with its settings.
    Middleware,
}

/// One word of a closed set.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// The word in the configuration.
    pub name: &'static str,
    /// What it means; a full sentence or nothing.
    pub docs: &'static str,
}

/// The form of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextForm {
    /// The noun in messages and in the reference: `duration`.
    pub name: &'static str,
    /// A value of this form.
    pub example: &'static str,
    /// What editors check it against: an ECMA-262 expression, or nothing.
    pub pattern: &'static str,
    /// Which part of it is a path, relative to the file that names it.
    pub path: PathPart,
}

/// Which part of a string is a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathPart {
    /// None.
    None,
    /// All of it.
    Whole,
    /// What follows `unix:`, if it begins so.
    AfterUnix,
}

impl TextForm {
    /// Any string.
    pub const PLAIN: Self = Self::new("string", "…");
    /// `"10s"`.
    pub const DURATION: Self =
        Self::new("duration", "10s").pattern("^([0-9]+(ms|s|m|h|d)|.*\\$\\{.*)$");
    /// `"16KiB"`.
    pub const SIZE: Self = Self::new("size", "16KiB").pattern("^([0-9]+(B|[KMGT]i?B)|.*\\$\\{.*)$");
    /// `"240B/s"`.
    pub const RATE: Self =
        Self::new("rate", "240B/s").pattern("^([0-9]+(B|[KMGT]i?B)/s|.*\\$\\{.*)$");
    /// A path, relative to the file that names it.
    pub const PATH: Self = Self { path: PathPart::Whole, ..Self::new("path", "path") };
    /// A string with `{name}` placeholders.
    pub const TEMPLATE: Self = Self::new("template", "/new/{rest}");
    /// A string that is never shown.
    pub const SECRET: Self = Self::new("secret", "${SECRET}");

    /// A form with a noun and an example.
    pub const fn new(name: &'static str, example: &'static str) -> Self {
        Self { name, example, pattern: "", path: PathPart::None }
    }

    /// The noun for several.
    pub(crate) fn plural(&self) -> String {
        format!("{}{}", self.name, if self.name.ends_with('s') { "es" } else { "s" })
    }

    /// Adds what editors check.
    pub const fn pattern(mut self, pattern: &'static str) -> Self {
        self.pattern = pattern;
        self
    }
}

/// What the derive knows of one key.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// Its doc comment.
    pub docs: &'static str,
    /// What counts where the key is missing.
    pub default: Option<Literal>,
    /// The least and the greatest value, both included.
    pub range: Option<(Literal, Literal)>,
    /// Whether the key exists only where there are middleware kinds.
    pub with_middleware: bool,
}

/// A table with known keys.
#[derive(Clone, Debug)]
pub struct TableSchema {
    /// Its doc comment.
    pub docs: &'static str,
    /// Its keys, in the order in which they are documented and printed.
    pub fields: Vec<FieldSchema>,
    /// The key that a value which is no table stands for.
    pub shorthand: Option<&'static str>,
    /// What the keys that are not in `fields` are.
    pub rest: Option<RestSchema>,
}

/// A key of a table.
#[derive(Clone, Debug)]
pub struct FieldSchema {
    /// What the derive knows of it.
    pub field: &'static Field,
    /// What its value may be.
    pub schema: Schema,
    /// Whether the table is wrong without it.
    pub required: bool,
}

/// What keys beside the known ones are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestSchema {
    /// Exactly one handler kind with its settings.
    Handler,
    /// The settings of the middleware kind that `kind` names.
    Middleware,
}

impl Schema {
    /// The schema of a number of some Rust type.
    pub const fn integer(min: i64, max: i64) -> Self {
        Self::Integer { min, max }
    }

    /// What it is, with its article, for messages: `a duration`.
    pub fn describe(&self) -> String {
        match self {
            Self::Boolean => "`true` or `false`".to_owned(),
            Self::Integer { .. } => "an integer".to_owned(),
            Self::Numbers(numbers) => alternatives(numbers.iter().map(u16::to_string)),
            Self::Text(form) => with_article(form.name),
            Self::Words(words) => alternatives(words.iter().map(|word| quoted(word.name))),
            Self::Off(inner) => format!("{} or \"off\"", inner.describe()),
            Self::List(inner) => match inner.as_ref() {
                Self::Text(form) => format!("a list of {}", form.plural()),
                Self::Table(table) => match table.short().map(|short| &short.schema) {
                    Some(Self::Text(form)) => format!("a list of {}", form.plural()),
                    _ => "a list".to_owned(),
                },
                _ => "a list".to_owned(),
            },
            Self::Map(_) => "a table of names".to_owned(),
            Self::Table(table) => table.describe(),
            Self::OneOf(schemas) => alternatives(schemas.iter().flat_map(Self::choices)),
            Self::Middleware => "a name or a table such as { KIND = … }".to_owned(),
        }
    }

    /// The words one by one, or what it is.
    fn choices(&self) -> Vec<String> {
        match self {
            Self::Words(words) => words.iter().map(|word| quoted(word.name)).collect(),
            other => vec![other.describe()],
        }
    }

    /// An example of it as TOML writes it.
    pub fn example(&self) -> String {
        match self {
            Self::Boolean => "true".to_owned(),
            Self::Integer { min, .. } => (*min).max(1).to_string(),
            Self::Numbers(numbers) => numbers.first().map_or(String::new(), u16::to_string),
            Self::Text(form) => quoted(form.example),
            Self::Words(words) => quoted(words.first().map_or("", |word| word.name)),
            Self::Off(inner) => inner.example(),
            Self::List(inner) => format!("[{}]", inner.example()),
            Self::Map(_) => "{}".to_owned(),
            Self::Table(table) => table.example(),
            Self::OneOf(schemas) => schemas.first().map_or(String::new(), Self::example),
            Self::Middleware => quoted("name"),
        }
    }
}

impl TableSchema {
    fn describe(&self) -> String {
        let short = self.short();
        let table = self.fields.first().map_or_else(
            || "a table".to_owned(),
            |first| format!("a table such as {{ {} = … }}", first.field.name),
        );
        short.map_or(table.clone(), |short| format!("{} or {table}", short.schema.describe()))
    }

    fn example(&self) -> String {
        if let Some(short) = self.short() {
            return short.schema.example();
        }
        let required: Vec<&FieldSchema> = self.fields.iter().filter(|f| f.required).collect();
        let shown =
            if required.is_empty() { self.fields.iter().take(1).collect() } else { required };
        let keys: Vec<String> =
            shown.iter().map(|f| format!("{} = {}", f.field.name, f.schema.example())).collect();
        format!("{{ {} }}", keys.join(", "))
    }

    /// The field that a value which is no table stands for.
    pub fn short(&self) -> Option<&FieldSchema> {
        self.shorthand.and_then(|name| self.field(name))
    }

    /// The field of a key.
    pub fn field(&self, name: &str) -> Option<&FieldSchema> {
        self.fields.iter().find(|field| field.field.name == name)
    }
}

/// `a duration`, `an integer`.
pub(crate) fn with_article(noun: &str) -> String {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

/// A string as TOML and messages quote it.
pub(crate) fn quoted(text: &str) -> String {
    crate::print::text(text)
}

/// `x`, `x or y`, `x, y or z`.
pub(crate) fn alternatives(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    match items.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
