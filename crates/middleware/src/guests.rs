//! The clients that `allow` and `deny` list: in the configuration, in a file, or both.

use std::path::PathBuf;

use stead_config::{Config, Diagnostics, Network, Origin, Settings, Spanned};
use stead_core::Origins;

use crate::lines::{self, WrongLine};

/// Settings of `allow` and `deny`. All apply at start, when the file is read too.
#[derive(Config)]
#[config(shorthand = "clients")]
pub(crate) struct GuestsConfig {
    /// Networks (`"10.0.0.0/8"`), addresses, and the words `"private"`, `"loopback"` and `"unix"`.
    #[config(default = [])]
    clients: Vec<Origin>,
    /// A file with more of them, one a line; `#` begins a comment.
    file: Option<Spanned<PathBuf>>,
}

impl GuestsConfig {
    /// The clients that are meant.
    ///
    /// # Errors
    /// Nobody is listed, or all that is wrong with the file.
    pub(crate) fn compile(&self, settings: &Settings) -> Result<Origins, Diagnostics> {
        let of_file = match &self.file {
            Some(file) => lines::parse(file, parse)?,
            None if self.clients.is_empty() => {
                return Err(settings.error(format!("`{}` lists nobody", settings.name())));
            }
            None => Vec::new(),
        };
        Ok(self.clients.iter().copied().chain(of_file).collect())
    }
}

fn parse(line: &str) -> Result<Option<Origin>, WrongLine> {
    let text = line.split('#').next().unwrap_or_default().trim();
    match text {
        "" => Ok(None),
        "private" => Ok(Some(Origin::Private)),
        "loopback" => Ok(Some(Origin::Loopback)),
        "unix" => Ok(Some(Origin::Unix)),
        text => {
            text.parse::<Network>().map(|network| Some(Origin::Network(network))).map_err(|wrong| {
                let shown = text.escape_debug();
                let problem = if wrong.problem.is_empty() { "" } else { ": " };
                let meant = wrong.meant.unwrap_or_else(|| "10.0.0.0/8".to_owned());
                WrongLine {
                    message: format!("`{shown}` is not a network{problem}{}", wrong.problem),
                    help: format!("write `{meant}`"),
                }
            })
        }
    }
}
