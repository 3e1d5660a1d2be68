//! Which configuration is meant.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::{ConfigArgs, Misuse};

const HERE: &str = "stead.toml";
const SYSTEM: &str = "/etc/stead/stead.toml";

/// The configuration that was asked for, else the one here, else the system's.
///
/// # Errors
/// There is none, or root would run a file of somebody else's that merely lies here.
pub(crate) fn locate(args: &ConfigArgs) -> anyhow::Result<PathBuf> {
    if let Some(path) = &args.config {
        return Ok(path.clone());
    }
    let here = Path::new(HERE);
    if let Ok(facts) = here.metadata() {
        let user = rustix::process::getuid();
        let caller = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse::<u32>().ok());
        let is_trusted = facts.uid() == 0 || Some(facts.uid()) == caller;
        if user.is_root() && !is_trusted {
            let what = format!("{HERE} here belongs to another user");
            return Err(Misuse::error(format!(
                "{what}; name it with `-c {HERE}` to run it as root"
            )));
        }
        return Ok(here.to_owned());
    }
    let system = Path::new(SYSTEM);
    if !system.exists() {
        return Err(Misuse::error(format!(
            "no {HERE} here and no {SYSTEM}: write one with `stead init`, or name one with `-c FILE`"
        )));
    }
    Ok(system.to_owned())
}
