//! `stead explain`: what answers a request, and why not the others.

use std::process::ExitCode;

use clap::Args;
use stead::command::Question;

use crate::check::{errors, print};
use crate::locate::locate;
use crate::output::{self, tell};
use crate::{ConfigArgs, WRONG_USE};

#[derive(Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The request's method.
    #[arg(short = 'X', long, default_value = "GET")]
    method: String,
    /// A header field, as `Name: value`; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "FIELD")]
    headers: Vec<String>,
    /// Only this server; without it those on the URL's port, or all.
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// <http://host/path?query>, or a path alone.
    url: String,
}

pub(crate) fn explain(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let path = locate(&args.config)?;
    let checked = stead::command::check(&path);
    print(&checked);
    if !checked.is_ok() {
        tell(format_args!("{}: {}", path.display(), errors(&checked)));
        return Ok(ExitCode::from(WRONG_USE));
    }
    let mut headers = Vec::new();
    for field in &args.headers {
        let Some((name, value)) = field.split_once(':') else {
            tell(format_args!("error: a header field is written `Name: value`, not `{field}`"));
            return Ok(ExitCode::from(WRONG_USE));
        };
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let question = Question {
        method: args.method.clone(),
        url: args.url.clone(),
        headers,
        server: args.server.clone(),
    };
    match stead::command::explain(&checked, &question) {
        Ok(explanations) => {
            for line in explanations.iter().flat_map(|explanation| &explanation.lines) {
                output::print(line)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(message) => {
            tell(format_args!("error: {message}"));
            Ok(ExitCode::from(WRONG_USE))
        }
    }
}
