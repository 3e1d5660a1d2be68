//! `stead schema`, and the reference pages that are made from the registered kinds.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::output::print;

pub(crate) fn schema() -> anyhow::Result<ExitCode> {
    print(format_args!("{:#}", stead_config::schema(&stead::command::vocabulary())))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn write(directory: &Path) -> anyhow::Result<ExitCode> {
    for page in stead_config::reference(&stead::command::vocabulary()) {
        let path = directory.join(&page.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, &page.text)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
