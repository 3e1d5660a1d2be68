//! `stead check`: every error of every file, with its place and what to write instead.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use stead::command::Checked;
use stead_config::Color;

use crate::locate::locate;
use crate::output;
use crate::{ConfigArgs, WRONG_USE};

pub(crate) fn check(args: &ConfigArgs, full: bool, json: bool) -> anyhow::Result<ExitCode> {
    let path = locate(args)?;
    let checked = stead::command::check(&path);
    let code = if checked.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(WRONG_USE) };
    if json {
        output::print(format_args!("{:#}", checked.diagnostics.to_json(&checked.sources)))?;
        return Ok(code);
    }
    print(&checked);
    match &checked.configuration {
        Some(_) if full && checked.is_ok() => {
            output::print(
                stead_config::full(&checked.document, &stead::command::vocabulary()).trim_end(),
            )?;
        }
        Some(configuration) if checked.is_ok() => {
            let servers = counted(configuration.servers.iter().count(), "server");
            let routes = counted(configuration.route_count(), "route");
            let path = path.display();
            let warnings = warnings(&checked);
            output::print(format_args!("{path}: {servers}, {routes}, no errors{warnings}"))?;
        }
        _ => output::tell(format_args!("{}: {}", path.display(), errors(&checked))),
    }
    Ok(code)
}

/// Shows errors and warnings on stderr.
pub(crate) fn print(checked: &Checked) {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let color =
        if std::io::stderr().is_terminal() && !is_plain { Color::Always } else { Color::Never };
    let text = checked.diagnostics.render(&checked.sources, color);
    // The blank line after the last one stays.
    text.strip_suffix('\n').into_iter().for_each(output::tell);
}

/// The last line after errors of a configuration that was to start.
pub(crate) fn summary(checked: &Checked, path: &Path) -> String {
    format!("{}: {}, nothing started", path.display(), errors(checked))
}

/// How many errors there are, and warnings beside them.
pub(crate) fn errors(checked: &Checked) -> String {
    let errors = counted(checked.diagnostics.error_count(), "error");
    format!("{errors}{}", warnings(checked))
}

/// How many warnings there are, if there are some.
fn warnings(checked: &Checked) -> String {
    match checked.diagnostics.len() - checked.diagnostics.error_count() {
        0 => String::new(),
        count => format!(", {}", counted(count, "warning")),
    }
}

pub(crate) fn counted(count: usize, noun: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{end}")
}
