//! The middleware around each route: which, from the lists of server, site and route, and built.
//!
//! One that is named in the list of a server or a site, and a `[middleware.NAME]` wherever it is
//! named, is built once and shared, with its state, by all that it stands around. Only one that
//! uses captures is built for its route.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use stead_config::{
    Configuration, Diagnostics, MiddlewareRef, RouteConfig, Span, effective_middleware,
};
use stead_core::{BuildContext, Fact, LocalKeys, Middleware, Process};
use stead_route::CaptureNames;
use stead_serve::Stack;

use crate::additions::Additions;
use crate::registry;

/// What builds the stacks of one configuration.
pub(crate) struct Stacks<'a> {
    configuration: &'a Configuration,
    process: &'a Arc<Process>,
    keys: &'a LocalKeys,
    additions: &'a Additions,
    /// `None` for one that could not be built, so that its errors are told once.
    shared: RefCell<HashMap<Identity, Option<Arc<dyn Middleware>>>>,
}

/// What makes two mentions the same middleware.
#[derive(PartialEq, Eq, Hash)]
enum Identity {
    Named(String),
    /// Of a kind without a name: each place where one is mentioned.
    Mentioned(Span),
}

const NO_CAPTURES: &CaptureNames = &CaptureNames { names: Vec::new(), wildcard: None };

impl<'a> Stacks<'a> {
    pub(crate) fn new(
        configuration: &'a Configuration,
        process: &'a Arc<Process>,
        keys: &'a LocalKeys,
        additions: &'a Additions,
    ) -> Self {
        Self { configuration, process, keys, additions, shared: RefCell::default() }
    }

    /// What stands around every route of a server or a site.
    pub(crate) fn around_all(
        &self,
        lists: &[&[MiddlewareRef]],
        diagnostics: &mut Diagnostics,
    ) -> Stack {
        let items = effective_middleware(lists, |name| self.kind(name));
        items.iter().filter_map(|item| self.build(item, NO_CAPTURES, diagnostics)).collect()
    }

    /// What stands around one route.
    pub(crate) fn around_route(
        &self,
        outer: &[&[MiddlewareRef]],
        route: &RouteConfig,
        captures: &CaptureNames,
        diagnostics: &mut Diagnostics,
    ) -> Stack {
        let own = route.middleware.as_slice();
        let lists: Vec<&[MiddlewareRef]> = outer.iter().copied().chain([own]).collect();
        let items = effective_middleware(&lists, |name| self.kind(name));
        let is_own = |item: &MiddlewareRef| own.iter().any(|mine| std::ptr::eq(mine, item));
        let mut stack = Vec::with_capacity(items.len());
        for item in items {
            let captures = if is_own(item) { captures } else { NO_CAPTURES };
            stack.extend(self.build(item, captures, diagnostics));
        }
        stack.into()
    }

    /// The kind of one that a list mentions.
    pub(crate) fn kind_of<'b>(&'b self, item: &'b MiddlewareRef) -> Option<&'b str> {
        if item.is_inline { Some(item.name.as_str()) } else { self.kind(&item.name) }
    }

    fn kind(&self, name: &str) -> Option<&str> {
        let of_code = || self.additions.middleware(name).map(|kind| kind.name);
        middleware_kind(self.configuration, name).or_else(of_code)
    }

    fn build(
        &self,
        item: &MiddlewareRef,
        captures: &CaptureNames,
        diagnostics: &mut Diagnostics,
    ) -> Option<Arc<dyn Middleware>> {
        let name = &item.name;
        let named = self.configuration.middleware.iter().find(|(known, _)| **known == **name);
        let named = named.filter(|_| !item.is_inline);
        let identity = match named {
            Some(_) => Identity::Named(name.value.clone()),
            None => Identity::Mentioned(name.span),
        };
        // A capture may have the name of a fact: then it is meant on its route, and only there.
        let hides_fact = captures.names.iter().any(|name| Fact::named(name).is_some());
        let shared = || self.shared.borrow().get(&identity).cloned();
        if let Some(known) = shared().filter(|known| known.is_none() || !hides_fact) {
            return known;
        }
        let kind = self.additions.middleware(self.kind_of(item)?)?;
        let settings = named.map_or(&item.settings, |(_, config)| &config.settings.0);
        let context = BuildContext::new(captures, self.process, self.keys);
        let built = match settings.build(|settings| (kind.build)(settings, &context)) {
            Ok(middleware) => Some(Arc::from(middleware)),
            Err(errors) => {
                diagnostics.append(errors);
                None
            }
        };
        let is_shared = built.is_none() || !context.is_of_one_route();
        diagnostics.append(context.into_warnings());
        if !is_shared {
            return built;
        }
        self.shared.borrow_mut().entry(identity).or_insert(built).clone()
    }
}

/// The kind behind a name.
pub(crate) fn middleware_kind<'a>(configuration: &'a Configuration, name: &str) -> Option<&'a str> {
    match configuration.middleware.iter().find(|(known, _)| known.value == name) {
        Some((_, config)) => Some(config.kind.value.as_str()),
        None => registry::middleware(name).map(|kind| kind.name),
    }
}
