//! Where what outlives the process is kept: certificates that were issued, and their keys.

use std::path::{Path, PathBuf};

use crate::check::Checked;
use crate::runtime::{default_name, first_of};

/// The place for the configuration at `path`: `$STATE_DIRECTORY`, else `/var/lib/stead/NAME` as
/// root, else `$XDG_STATE_HOME/stead/NAME`, else `~/.local/state/stead/NAME`; `None` where there is
/// no home. It is made when something is kept.
pub fn state_directory(checked: &Checked, path: &Path) -> Option<PathBuf> {
    directory_for(checked.name.as_deref(), path)
}

/// The same, where the name is known, if there is one.
pub(crate) fn directory_for(name: Option<&str>, path: &Path) -> Option<PathBuf> {
    let name = name.map_or_else(|| default_name(path), str::to_owned);
    directory(&name, &|variable| std::env::var_os(variable).map(PathBuf::from))
}

fn directory(name: &str, variable: &dyn Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let non_empty = |name: &str| variable(name).filter(|value| !value.as_os_str().is_empty());
    if let Some(given) = non_empty("STATE_DIRECTORY") {
        return Some(first_of(given.as_os_str()));
    }
    if rustix::process::geteuid().is_root() {
        return Some(Path::new("/var/lib/stead").join(name));
    }
    let home = || non_empty("HOME").map(|home| home.join(".local/state"));
    non_empty("XDG_STATE_HOME").or_else(home).map(|state| state.join("stead").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_given_directory_is_taken_as_it_is() {
        let given = |name: &str| (name == "STATE_DIRECTORY").then(|| "/srv/state:/other".into());
        assert_eq!(directory("shop", &given), Some("/srv/state".into()));
    }

    #[test]
    fn without_one_the_name_decides() {
        let home = |name: &str| (name == "HOME").then(|| "/srv/ann".into());
        let found = directory("shop", &home).expect("a home");
        assert!(found.ends_with("stead/shop"), "{}", found.display());
        assert!(found.starts_with("/var/lib") || found.starts_with("/srv/ann/.local/state"));
    }
}
