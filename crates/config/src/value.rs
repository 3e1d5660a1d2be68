//! The positioned tree that a configuration is read into, before anything is decoded.
//!
//! Our own tree, not the parser's: it keeps the order of the file, merges includes, and remembers
//! how a string was written before `${…}` was expanded, so that it can be printed as written.

use std::collections::HashMap;

use crate::Span;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its place: the text of a scalar or inline value, the header of a table.
    pub span: Span,
    /// What it is.
    pub content: Content,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Content {
    /// A string.
    Text(Text),
    /// An integer.
    Integer(i64),
    /// A number with a fraction or an exponent.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A date or time, as written.
    Time(String),
    /// An array.
    List(Vec<Value>),
    /// A table, inline or with a header.
    Table(Table),
}

/// A string, after and before the expansion of `${…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The string that counts.
    pub value: String,
    /// How it was written, where that differs.
    pub written: Option<String>,
    /// Whether an environment variable or its default was put in.
    pub expanded: bool,
}

impl Text {
    /// The string as it was written: the form to print and to quote.
    pub fn written(&self) -> &str {
        self.written.as_deref().unwrap_or(&self.value)
    }
}

impl From<&str> for Text {
    fn from(value: &str) -> Self {
        Self { value: value.to_owned(), written: None, expanded: false }
    }
}

/// A key of a table and where it stands.
#[derive(Clone, Debug)]
pub struct Key {
    /// The key, unquoted.
    pub name: String,
    /// Its place, quotes included.
    pub span: Span,
}

/// One key with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Value,
}

/// A table in the order of its file. Looking a key up does not slow down with many of them.
#[derive(Clone, Debug, Default)]
pub struct Table {
    entries: Vec<Entry>,
    index: HashMap<String, usize>,
}

/// Tables up to this size are searched, larger ones indexed: nearly all have fewer keys than this.
const SEARCHED_MAX: usize = 16;

/// Values are equal when they say the same: places, the order of keys and the way in which a string
/// was written do not count.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (&self.content, &other.content) {
            (Content::Text(a), Content::Text(b)) => a.value == b.value,
            (Content::Integer(a), Content::Integer(b)) => a == b,
            (Content::Float(a), Content::Float(b)) => a.to_bits() == b.to_bits(),
            (Content::Boolean(a), Content::Boolean(b)) => a == b,
            (Content::Time(a), Content::Time(b)) => a == b,
            (Content::List(a), Content::List(b)) => a == b,
            (Content::Table(a), Content::Table(b)) => {
                let same = |entry: &Entry| b.value(&entry.key.name) == Some(&entry.value);
                a.entries.len() == b.entries.len() && a.entries.iter().all(same)
            }
            _ => false,
        }
    }
}

impl Value {
    /// Pairs a content with its place.
    pub const fn new(content: Content, span: Span) -> Self {
        Self { span, content }
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(&text.value),
            _ => None,
        }
    }

    /// The table, if it is one.
    pub fn as_table(&self) -> Option<&Table> {
        match &self.content {
            Content::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_list(&self) -> Option<&[Value]> {
        match &self.content {
            Content::List(list) => Some(list),
            _ => None,
        }
    }

    /// What it is, with its article, for messages.
    pub fn type_name(&self) -> &'static str {
        match &self.content {
            Content::Text(_) => "a string",
            Content::Integer(_) => "an integer",
            Content::Float(_) => "a number",
            Content::Boolean(_) => "a boolean",
            Content::Time(_) => "a date or time",
            Content::List(_) => "a list",
            Content::Table(_) => "a table",
        }
    }
}

impl Table {
    /// A table without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an entry; the caller has made sure that the key is new.
    pub fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
        if self.entries.len() <= SEARCHED_MAX {
            return;
        }
        if self.index.is_empty() {
            self.index = self.names().map(str::to_owned).zip(0..).collect();
        } else if let Some(last) = self.entries.last() {
            self.index.insert(last.key.name.clone(), self.entries.len() - 1);
        }
    }

    /// The entry of a key.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.position(name).map(|at| &self.entries[at])
    }

    /// The entry of a key, to be changed.
    pub fn entry_mut(&mut self, name: &str) -> Option<&mut Entry> {
        self.position(name).map(|at| &mut self.entries[at])
    }

    /// The value of a key.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.entry(name).map(|entry| &entry.value)
    }

    /// The entries, in the order of the file.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries, to be changed in place.
    pub(crate) fn entries_mut(&mut self) -> &mut [Entry] {
        &mut self.entries
    }

    /// The entries by value.
    pub(crate) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// Takes a key out.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Entry> {
        let removed = self.entries.remove(self.position(name)?);
        self.index = if self.entries.len() > SEARCHED_MAX {
            self.names().map(str::to_owned).zip(0..).collect()
        } else {
            HashMap::new()
        };
        Some(removed)
    }

    /// The keys, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.key.name.as_str())
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn position(&self, name: &str) -> Option<usize> {
        if self.entries.len() <= SEARCHED_MAX {
            self.entries.iter().position(|entry| entry.key.name == name)
        } else {
            self.index.get(name).copied()
        }
    }
}

/// A value known when the program is built: the default or bound of a field, as TOML writes it.
#[derive(Clone, Copy, Debug)]
pub enum Literal {
    /// A string.
    Text(&'static str),
    /// An integer.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// An array.
    List(&'static [Literal]),
    /// A table in which every key has its own default.
    Table,
}

impl Literal {
    /// The same value in the tree, placed at `span`.
    pub fn to_value(self, span: Span) -> Value {
        let content = match self {
            Self::Text(text) => Content::Text(text.into()),
            Self::Integer(number) => Content::Integer(number),
            Self::Float(number) => Content::Float(number),
            Self::Boolean(boolean) => Content::Boolean(boolean),
            Self::List(list) => {
                Content::List(list.iter().map(|item| item.to_value(span)).collect())
            }
            Self::Table => Content::Table(Table::new()),
        };
        Value::new(content, span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FileId;

    #[test]
    fn large_tables_find_every_key_and_forget_removed_ones() {
        let span = Span::new(FileId(0), 0..0);
        let mut table = Table::new();
        for n in 0..40 {
            let key = Key { name: format!("k{n}"), span };
            table.push(Entry { key, value: Value::new(Content::Integer(n), span) });
        }
        assert!((0..40).all(|n| table.value(&format!("k{n}")).is_some()));
        assert!(table.remove("k3").is_some() && table.entry("k3").is_none());
        assert_eq!(table.names().nth(3), Some("k4"));
        assert!(matches!(table.value("k39").unwrap().content, Content::Integer(39)));
    }
}
