//! `[tls.NAME]` from the configuration to what listeners show: files read, everything wrong with
//! them reported where they are named.

use std::path::PathBuf;
use std::sync::Arc;

use stead_config::{
    Configuration, Diagnostic, Diagnostics, Listen, ServerConfig, Span, Spanned, TlsConfig,
    TlsVersion,
};
use stead_core::Process;
use stead_tls::{Chooser, Clients, Entry, EntryOptions, Part, Source, Version, Watch};

use crate::acme::Orders;
use crate::background::Task;

/// The certificates of a configuration.
#[derive(Default)]
pub(crate) struct Certificates {
    pub(crate) entries: Vec<Arc<Entry>>,
    /// What authorities issue.
    pub(crate) orders: Option<Orders>,
}

impl Certificates {
    /// Reads every certificate; what is wrong is reported.
    pub(crate) fn load(
        configuration: &Configuration,
        process: &Process,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let mut entries = Vec::new();
        for (name, config) in &configuration.tls {
            match Entry::load(options(name, config), &process.shared) {
                Ok(entry) => entries.push(Arc::new(entry)),
                Err(problems) => {
                    for problem in problems {
                        let span = place(config, problem.part).unwrap_or(name.span);
                        let error = Diagnostic::error(span, problem.message);
                        diagnostics.push(error.help(problem.help));
                    }
                }
            }
        }
        Self { entries, orders: Orders::compile(configuration, diagnostics) }
    }

    /// What a listener shows; `None` where it speaks in the clear.
    pub(crate) fn chooser(&self, server: &ServerConfig, listen: &Listen) -> Option<Chooser> {
        let entries = listen.certificates().filter_map(|name| self.named(name)).collect();
        let orders = self.orders.as_ref().filter(|_| listen.orders_certificates());
        match orders {
            Some(orders) => Some(orders.chooser(entries, server, listen.http2)),
            None => Chooser::new(entries, listen.http2),
        }
    }

    fn named(&self, name: &str) -> Option<Arc<Entry>> {
        self.entries.iter().find(|entry| &**entry.name() == name).cloned()
    }
}

/// What reads certificates again and announces those that end; `None` where there are none.
pub(crate) fn watch(entries: &[Arc<Entry>]) -> Option<Task> {
    if entries.is_empty() {
        return None;
    }
    let mut watch = Watch::new(entries.to_vec());
    Some(Task::new("certificates", async move {
        loop {
            // Looking touches the disk.
            let looking = tokio::task::spawn_blocking(move || {
                watch.look();
                watch
            });
            match looking.await {
                Ok(looked) => watch = looked,
                Err(_) => return,
            }
            tokio::time::sleep(Watch::EVERY).await;
        }
    }))
}

fn options(name: &Spanned<String>, config: &TlsConfig) -> EntryOptions {
    let file = |path: &Spanned<PathBuf>| Source::File(path.value.clone());
    let version = |version: &Spanned<TlsVersion>| match version.value {
        TlsVersion::Tls12 => Version::Tls12,
        TlsVersion::Tls13 => Version::Tls13,
    };
    EntryOptions {
        name: name.value.clone(),
        certificate: file(&config.certificate),
        key: file(&config.key),
        clients: config
            .clients
            .as_ref()
            .map(|clients| Clients { ca: file(&clients.ca), required: clients.required }),
        versions: config.versions.iter().map(version).collect(),
    }
}

/// Where the file is named that a problem is of.
fn place(config: &TlsConfig, part: Part) -> Option<Span> {
    match part {
        Part::Certificate => Some(config.certificate.span),
        Part::Key => Some(config.key.span),
        Part::Clients => config.clients.as_ref().map(|clients| clients.ca.span),
    }
}
