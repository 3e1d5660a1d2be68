//! Where what outlives the process is kept: certificates that were issued, and their keys.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use stead_disk::make_directory;

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

/// Makes it where it is missing, and warns of who else may put keys there.
///
/// # Errors
/// What the system said.
pub(crate) fn make(directory: &Path) -> io::Result<()> {
    make_directory(directory)?;
    if let Some(who) = others(directory)? {
        tracing::warn!(
            "{}, where certificates and keys are kept, {who}: who can write there can put others \
             in their place",
            directory.display()
        );
    }
    Ok(())
}

/// Who can write in a directory beside this user and root, in words. Not an error: where containers
/// mount such a directory, often anybody may.
fn others(directory: &Path) -> io::Result<Option<&'static str>> {
    let facts = std::fs::metadata(directory)?;
    Ok(if facts.uid() != rustix::process::geteuid().as_raw() && facts.uid() != 0 {
        Some("belongs to another user")
    } else if facts.mode() & 0o022 != 0 {
        Some("can be written by others (chmod go-w)")
    } else {
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn security_others_who_may_write_are_warned_of() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        make(&state).expect("makes");
        for (mode, is_told) in [(0o755, false), (0o775, true), (0o757, true), (0o700, false)] {
            set_permissions(&state, Permissions::from_mode(mode)).expect("changes");
            make(&state).expect("is there");
            assert_eq!(others(&state).expect("looks").is_some(), is_told, "{mode:o}");
        }
    }

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
