//! Kinds: the handlers and middleware that a configuration can name, as data.
//!
//! A component's file declares one [`Kind`] beside its code. The registry lists them; what the
//! configuration needs of each (name, texts, schema, a way to check settings) are its
//! [`KindFacts`], gathered in a [`Vocabulary`]. So this crate never learns of a runtime type.

use crate::{Config, Diagnostics, Schema, Settings};

/// What the configuration knows of a kind.
#[derive(Clone, Copy, Debug)]
pub struct KindFacts {
    /// The word in the configuration, in metrics and in documents.
    pub name: &'static str,
    /// One line, lower case, without a full stop.
    pub summary: &'static str,
    /// The module documentation of its file, Markdown.
    pub docs: &'static str,
    /// TOML: the kind's name as a key, with settings as its value.
    pub example: &'static str,
    /// What its settings may be.
    pub schema: fn() -> Schema,
    /// Keys that are not all written together; none where there is no such rule.
    pub exclusive: &'static [&'static str],
    /// Decodes settings only to say what is wrong with them.
    pub validate: fn(&Settings) -> Result<(), Diagnostics>,
}

/// A kind: its facts and how to build one. `B` is the builder's type, which `core` defines.
#[derive(Clone, Copy, Debug)]
pub struct Kind<B> {
    /// The word in the configuration, in metrics and in documents.
    pub name: &'static str,
    /// Makes one out of its settings.
    pub build: B,
    facts: KindFacts,
}

impl<B: Copy> Kind<B> {
    /// A kind without settings; the methods below add what is known of it.
    pub const fn new(name: &'static str, build: B) -> Self {
        let facts = KindFacts {
            name,
            summary: "",
            docs: "",
            example: "",
            schema: no_settings_schema,
            exclusive: &[],
            validate: no_settings,
        };
        Self { name, build, facts }
    }

    /// One line that says what it does, lower case, without a full stop.
    pub const fn summary(mut self, summary: &'static str) -> Self {
        self.facts.summary = summary;
        self
    }

    /// Its page in the reference: the module documentation of its file.
    pub const fn docs(mut self, docs: &'static str) -> Self {
        self.facts.docs = docs;
        self
    }

    /// A line of TOML that uses it: `respond = "ok"`. Tests parse and build it.
    pub const fn example(mut self, example: &'static str) -> Self {
        self.facts.example = example;
        self
    }

    /// The type of its settings.
    pub const fn settings<T: Config>(mut self) -> Self {
        self.facts.schema = T::schema;
        self.facts.validate = validate::<T>;
        self
    }

    /// Two keys of its settings that exclude each other: editors are told, building refuses them.
    pub const fn exclusive(mut self, keys: &'static [&'static str]) -> Self {
        self.facts.exclusive = keys;
        self
    }

    /// What the configuration needs to know.
    pub const fn facts(&self) -> KindFacts {
        self.facts
    }
}

fn validate<T: Config>(settings: &Settings) -> Result<(), Diagnostics> {
    settings.decode::<T>().map(drop)
}

/// Kinds without settings accept an empty table.
#[derive(stead_derive::Config)]
struct NoSettings {}

fn no_settings_schema() -> Schema {
    NoSettings::schema()
}

fn no_settings(settings: &Settings) -> Result<(), Diagnostics> {
    settings.decode::<NoSettings>().map(drop)
}

/// The kinds that a configuration can name.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    /// What answers requests: a key of a route.
    pub handlers: Vec<KindFacts>,
    /// What stands around handlers.
    pub middleware: Vec<KindFacts>,
}

impl Vocabulary {
    /// No kinds.
    pub const fn new() -> Self {
        Self { handlers: Vec::new(), middleware: Vec::new() }
    }

    /// Adds handler kinds.
    pub fn with_handlers<B: Copy>(mut self, kinds: &[Kind<B>]) -> Self {
        self.handlers.extend(kinds.iter().map(Kind::facts));
        self
    }

    /// Adds middleware kinds.
    pub fn with_middleware<B: Copy>(mut self, kinds: &[Kind<B>]) -> Self {
        self.middleware.extend(kinds.iter().map(Kind::facts));
        self
    }

    /// The handler kind of a name.
    pub fn handler(&self, name: &str) -> Option<&KindFacts> {
        self.handlers.iter().find(|kind| kind.name == name)
    }

    /// The middleware kind of a name.
    pub fn middleware_kind(&self, name: &str) -> Option<&KindFacts> {
        self.middleware.iter().find(|kind| kind.name == name)
    }
}
