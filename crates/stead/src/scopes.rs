//! What server, site and route say, resolved: each level overrides the one outside it, key by key.

use std::sync::Arc;

use stead_config::{
    Diagnostic, Diagnostics, ErrorPages as PagesConfig, ErrorStatus, RouteConfig, ServerConfig,
    SiteConfig, Switch,
};
use stead_disk::read_regular;
use stead_handlers::files::media_type;
use stead_serve::{ErrorPage, ErrorPages, Scope, Stack};

/// The largest error page, in bytes: each is held in memory.
const PAGE_BYTES_MAX: u64 = 1 << 20;

/// What holds at a server.
pub(crate) fn of_server(
    config: &ServerConfig,
    middleware: Stack,
    diagnostics: &mut Diagnostics,
) -> Scope {
    Scope {
        middleware,
        limits: config.limits.value,
        timeouts: config.timeouts.value,
        errors: ErrorPages::default().inside(pages(&config.errors, diagnostics)),
        access_log: true,
    }
}

/// What holds at a site.
pub(crate) fn of_site(
    outer: &Scope,
    config: &SiteConfig,
    middleware: Stack,
    diagnostics: &mut Diagnostics,
) -> Scope {
    let (mut limits, mut timeouts) = (outer.limits, outer.timeouts);
    config.limits.apply(&mut limits);
    config.timeouts.apply(&mut timeouts);
    let errors = outer.errors.inside(pages(&config.errors, diagnostics));
    Scope {
        middleware,
        limits,
        timeouts,
        errors,
        access_log: config.access_log.value == Switch::On,
    }
}

/// What holds at a route.
pub(crate) fn of_route(
    outer: &Scope,
    config: &RouteConfig,
    middleware: Stack,
    diagnostics: &mut Diagnostics,
) -> Scope {
    let own = &config.own;
    let (mut limits, mut timeouts) = (outer.limits, outer.timeouts);
    own.limits.apply(&mut limits);
    own.timeouts.apply(&mut timeouts);
    let errors = outer.errors.inside(pages(&own.errors, diagnostics));
    let own_log = own.access_log.as_ref();
    let access_log = own_log.map_or(outer.access_log, |log| log.value == Switch::On);
    Scope { middleware, limits, timeouts, errors, access_log }
}

/// Reads the pages of one level; those for one status first.
fn pages(config: &PagesConfig, diagnostics: &mut Diagnostics) -> Arc<[ErrorPage]> {
    let mut pages = Vec::new();
    for (status, path) in &config.0 {
        let statuses = match *status {
            ErrorStatus::Status(status) => status..=status,
            ErrorStatus::Class(class) => class * 100..=class * 100 + 99,
        };
        match read_regular(path, PAGE_BYTES_MAX) {
            Ok(body) => {
                let content_type = media_type(path.as_os_str().as_encoded_bytes());
                pages.push(ErrorPage { statuses, content_type, body: body.into() });
            }
            Err(error) => {
                let message = format!("cannot read {}: {error}", path.display());
                let help = "write the path of a file of at most 1 MiB";
                diagnostics.push(Diagnostic::error(path.span, message).help(help));
            }
        }
    }
    pages.sort_by_key(|page| page.statuses.clone().count());
    pages.into()
}
