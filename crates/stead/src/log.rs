//! `[log]` from the configuration to what writes: the access log's destination and shape.
//!
//! Compiled with everything else, before anything that runs is touched, so that an unknown
//! placeholder or a directory that is not there is an error of `check`.

use std::io;
use std::path::Path;
use std::sync::Arc;

use stead_config::{
    AccessLog as LogTo, Always, Diagnostic, Diagnostics, Escape as EscapeWord, Log, LogFormat,
    Sample, Spanned, Template,
};
use stead_serve::access_log::{
    ANSWER_HEADER, AccessLog, Destination, Escape, Format, HEADER, LineTemplate, Piece, Redaction,
    Sampling, Shape, Value,
};

/// The access log that a configuration asks for.
#[derive(Clone, Debug)]
pub(crate) struct LogPlan {
    /// `None` for no access log.
    destination: Option<Destination>,
    /// `None` for text on a terminal, else JSON.
    format: Option<Format>,
    sampling: Option<Sampling>,
    redaction: Redaction,
}

impl LogPlan {
    /// Compiles `[log]`; gives warnings beside it.
    pub(crate) fn compile(log: &Log, diagnostics: &mut Diagnostics) -> Option<Self> {
        let before = diagnostics.error_count();
        let destination = match &log.access {
            LogTo::Off => None,
            LogTo::Stdout => Some(Destination::Stdout),
            LogTo::Stderr => Some(Destination::Stderr),
            LogTo::File { file } => {
                check_file(file, diagnostics);
                Some(Destination::File(file.value.clone()))
            }
        };
        let format = match &log.format {
            LogFormat::Auto => None,
            LogFormat::Json => Some(Format::Json),
            LogFormat::Text => Some(Format::Text),
            LogFormat::Common => Some(Format::Common),
            LogFormat::Combined => Some(Format::Combined),
            LogFormat::Template { template, escape } => {
                let template = line_template(template, *escape, diagnostics);
                Some(Format::Template(Arc::new(template)))
            }
        };
        let redaction = redaction(log, diagnostics);
        let sampling = (log.sample.one_in > 1).then(|| sampling(&log.sample));
        let plan = Self { destination, format, sampling, redaction };
        (diagnostics.error_count() == before).then_some(plan)
    }

    /// Opens the log.
    pub(crate) fn open(
        &self,
        is_terminal: bool,
    ) -> Result<Option<Arc<AccessLog>>, (String, io::Error)> {
        let Some(destination) = self.destination.clone() else { return Ok(None) };
        let is_terminal = is_terminal && destination == Destination::Stdout;
        let auto = if is_terminal { Format::Text } else { Format::Json };
        let shape = Shape {
            format: self.format.clone().unwrap_or(auto),
            sampling: self.sampling.clone(),
            redaction: self.redaction.clone(),
        };
        let doing = format!("open the access log {destination}");
        match AccessLog::open(destination, shape) {
            Ok(log) => Ok(Some(Arc::new(log))),
            Err(error) => Err((doing, error)),
        }
    }
}

fn check_file(file: &Spanned<std::path::PathBuf>, diagnostics: &mut Diagnostics) {
    let path: &Path = &file.value;
    let directory = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    };
    if path.is_dir() {
        let message = format!("{} is a directory", path.display());
        let help = "write the path of a file, such as `\"access.log\"`";
        diagnostics.push(Diagnostic::error(file.span, message).help(help));
    } else if !directory.is_dir() {
        let message = format!("there is no directory {}", directory.display());
        let help = format!("make it: `mkdir -p {}`", directory.display());
        diagnostics.push(Diagnostic::error(file.span, message).help(help));
    }
}

fn line_template(
    template: &Template,
    escape: EscapeWord,
    diagnostics: &mut Diagnostics,
) -> LineTemplate {
    let names = template.names().map(|name| name.value.as_str());
    // Header fields are not in the list of names: any may be there.
    let fields = names.filter(|name| {
        let is_field = name.starts_with(HEADER) || name.starts_with(ANSWER_HEADER);
        is_field && Value::named(name).is_some()
    });
    let known: Vec<&str> = Value::NAMES.iter().map(|(name, _)| *name).chain(fields).collect();
    if let Err(errors) = template.check(&known) {
        for error in &errors {
            diagnostics.push(with_field(error, template));
        }
    }
    if template.names().next().is_none() {
        let message = "every line of this log would be the same";
        let help = "write placeholders, such as `{time} {status} {path}`";
        diagnostics.push(Diagnostic::error(template.span(), message).help(help));
    }
    let is_control = |piece: &stead_config::Piece| match piece {
        stead_config::Piece::Text(text) => text.contains(|c: char| c.is_control() && c != '\t'),
        stead_config::Piece::Placeholder(_) => false,
    };
    if template.pieces().iter().any(is_control) {
        let message = "a record is one line, and this template holds a control character";
        diagnostics.push(Diagnostic::error(template.span(), message).help("take it out"));
    }
    let pieces = template.pieces().iter().filter_map(|piece| match piece {
        stead_config::Piece::Text(text) => Some(Piece::Literal(text.clone())),
        stead_config::Piece::Placeholder(name) => Value::named(&name.value).map(Piece::Value),
    });
    let escape = match escape {
        EscapeWord::Text => Escape::Text,
        EscapeWord::Json => Escape::Json,
    };
    LineTemplate::new(pieces, escape)
}

/// Where nothing known is near, the name of a field was probably meant.
fn with_field(error: &Diagnostic, template: &Template) -> Diagnostic {
    let mut error = error.clone();
    let is_near = error.help.as_ref().is_some_and(|help| !help.contains(','));
    let name = template.names().find(|name| Some(name.span) == error.span);
    if let Some(name) = name.filter(|_| !is_near) {
        error.help = Some(format!(
            "write `{{{HEADER}{}}}` for a field of the request; docs/guide/log.md has every name",
            name.value
        ));
    }
    error
}

fn redaction(log: &Log, diagnostics: &mut Diagnostics) -> Redaction {
    let (query, headers) = (&log.redact.query, &log.redact.headers);
    for name in query.iter().filter(|name| name.value.trim().is_empty()) {
        let help = "write the name of a query parameter";
        diagnostics.push(Diagnostic::error(name.span, "this is no key").help(help));
    }
    for name in headers {
        let is_token = stead_core::Fields::new().try_append(name.value.as_bytes(), b"").is_ok();
        if !is_token {
            let help = "write letters, digits and `-`";
            diagnostics.push(Diagnostic::error(name.span, "this is no header name").help(help));
        }
    }
    let text = |name: &'_ Spanned<String>| name.value.clone();
    let (query, headers): (Vec<_>, Vec<_>) =
        (query.iter().map(text).collect(), headers.iter().map(text).collect());
    Redaction::new(query.iter().map(String::as_str), headers.iter().map(String::as_str))
}

fn sampling(sample: &Sample) -> Sampling {
    let class = |class: Always| sample.always.contains(&class);
    Sampling {
        one_in: sample.one_in,
        classes: [
            class(Always::Informational),
            class(Always::Success),
            class(Always::Redirection),
            class(Always::ClientError),
            class(Always::ServerError),
        ],
        cut: class(Always::Cut),
        slow: sample.slow.0,
    }
}
