//! Stead's own log on standard error: one line an event, its levels by module, changed at run time.
//!
//! A line is `TIME LEVEL MODULE: MESSAGE`. A module is Stead's word for a part of itself; code that
//! belongs to none goes by the default level and by the name of its crate.
//!
//! SECURITY: a message may hold what a peer or a file chose: no control character of it is written.

use std::fmt::{self, Write};
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use stead::command::LogLevels;
use stead_base::is_unseen;
use stead_config::{Level, Levels, Module};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt as lines, reload};

/// The levels that count, and what changes them.
pub(crate) struct ServerLog {
    levels: Mutex<Levels>,
    filter: reload::Handle<ByModule, Registry>,
}

impl ServerLog {
    /// Logs to standard error from here on.
    pub(crate) fn start(levels: Levels) -> Arc<dyn LogLevels> {
        let (filter, handle) = reload::Layer::new(ByModule(levels));
        let lines = lines::layer()
            .event_format(Line)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            // It would say so on standard error, which is what failed.
            .log_internal_errors(false);
        // Set once in a process; a second try changes nothing.
        let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
        Arc::new(Self { levels: Mutex::new(levels), filter: handle })
    }
}

impl fmt::Debug for ServerLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerLog").field(&self.levels()).finish()
    }
}

impl LogLevels for ServerLog {
    fn levels(&self) -> Levels {
        *self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, module: Option<Module>, level: Level) -> Levels {
        // Held from the reading to the writing: whoever changes another module waits for it.
        let mut known = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let mut levels = *known;
        levels.set(module, level);
        // What holds the filter lives as long as the process.
        if self.filter.modify(|filter| *filter = ByModule(levels)).is_ok() {
            *known = levels;
        }
        *known
    }
}

/// Lets through what the level of its module allows.
struct ByModule(Levels);

impl ByModule {
    fn allows(&self, metadata: &Metadata<'_>) -> bool {
        let level = match module(metadata.target()) {
            Ok(module) => self.0.of(module),
            Err(_) => self.0.default,
        };
        level_of(metadata) <= level
    }
}

impl<S: Subscriber> Layer<S> for ByModule {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.allows(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.allows(metadata)
    }

    /// PERF: what nobody wants is not even looked at: the events of an exchange cost a load.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(filter(self.0.most()))
    }
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}

/// The level that the configuration knows an event by.
///
/// PERF: exchanges are events of `debug` with a target of their own: those of `trace` are compiled
/// out of this program, since the protocol of HTTP/2 has a hundred of them in each request.
fn level_of(metadata: &Metadata<'_>) -> Level {
    match *metadata.level() {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG if metadata.target() != EXCHANGES => Level::Debug,
        _ => Level::Trace,
    }
}

/// What the events of exchanges have for a target.
const EXCHANGES: &str = "stead_serve::exchanges";

/// The module that a Rust path belongs to, or else the name of its crate.
fn module(path: &str) -> Result<Module, &str> {
    let (name, rest) = path.split_once("::").unwrap_or((path, ""));
    match name {
        "stead" if rest.starts_with("admin") => Ok(Module::Admin),
        "stead" | "stead_acme" | "stead_tls" => Ok(Module::Process),
        "stead_serve" if rest.starts_with("access_log") => Ok(Module::Log),
        "stead_serve" | "stead_net" => Ok(Module::Serve),
        other => Err(other),
    }
}

/// How a line looks.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut message = String::new();
        context.format_fields(Writer::new(&mut message), event)?;
        SystemTime.format_time(&mut writer)?;
        let name = match module(metadata.target()) {
            Ok(module) => module.as_str(),
            Err(name) => name,
        };
        let level = level_of(metadata);
        let color = if writer.has_ansi_escapes() { color(level) } else { "" };
        let end = if color.is_empty() { "" } else { "\x1b[0m" };
        write!(writer, " {color}{:>5}{end} {name}: ", level.as_str().to_ascii_uppercase())?;
        harmless(&mut writer, &message)?;
        writer.write_char('\n')
    }
}

fn harmless(out: &mut impl Write, message: &str) -> fmt::Result {
    for character in message.chars() {
        if is_unseen(character) {
            write!(out, "{}", character.escape_default())?;
        } else {
            out.write_char(character)?;
        }
    }
    Ok(())
}

fn color(level: Level) -> &'static str {
    match level {
        Level::Error => "\x1b[31m",
        Level::Warn => "\x1b[33m",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_belong_to_modules() {
        assert_eq!(module("stead_serve::events"), Ok(Module::Serve));
        assert_eq!(module("stead_serve::access_log::writer"), Ok(Module::Log));
        assert_eq!(module("stead::admin"), Ok(Module::Admin));
        assert_eq!(module("stead::run"), Ok(Module::Process));
        assert_eq!(module("other::thing"), Err("other"));
    }

    #[test]
    fn of_two_changes_at_once_none_is_lost() {
        let levels =
            Levels { default: Level::Info, process: None, serve: None, log: None, admin: None };
        // The filter lives here and filters nothing: other tests have their own subscribers.
        let (_filter, handle) = reload::Layer::new(ByModule(levels));
        let held = ServerLog { levels: Mutex::new(levels), filter: handle };
        let (held, together) = (&held, &std::sync::Barrier::new(Module::ALL.len()));
        for level in [Level::Trace, Level::Error].into_iter().cycle().take(100) {
            std::thread::scope(|threads| {
                for module in Module::ALL {
                    threads.spawn(move || {
                        together.wait();
                        assert_eq!(held.change(Some(module), level).of(module), level);
                    });
                }
            });
            for module in Module::ALL {
                assert_eq!(held.levels().of(module), level, "{module:?}");
            }
        }
    }

    #[test]
    fn a_message_cannot_end_its_line() {
        let mut out = String::new();
        harmless(&mut out, "a\n2026 ERROR \x1b[2J\u{9b}b").expect("written");
        assert_eq!(out, r"a\n2026 ERROR \u{1b}[2J\u{9b}b");
    }
}
