//! From settings to a handler: everything that can be wrong with them, found before anything
//! serves.
//!
//! SECURITY: `root` goes with a wildcard and `file` without one, so that a prefix and a directory
//! that disagree about a slash cannot be written (SECURITY.md 40).

use std::hash::RandomState;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stead_config::{Diagnostic, Diagnostics, Settings, Spanned};
use stead_core::{BuildContext, Handler};
use stead_sys::file::{self, FileKind, Lookup, Start};

use super::cache::Limits;
use super::mime::{self, Types};
use super::tree::{CONFIGURED, Origin, Tree};
use super::{Files, FilesConfig};

/// Builds the handler.
pub(super) fn build(
    settings: &Settings,
    context: &BuildContext<'_>,
) -> Result<Box<dyn Handler>, Diagnostics> {
    let config: FilesConfig = settings.decode()?;
    let mut wrong = Diagnostics::new();
    let origin = origin(&config, settings, context, &mut wrong);
    check_index(&config.index, &mut wrong);
    check_types(&config, &mut wrong);
    check_fallback(&config, &mut wrong);
    let Some(origin) = origin.filter(|_| !wrong.has_errors()) else { return Err(wrong) };
    if let (Some(root), Some(fallback)) = (&config.root, &config.fallback) {
        doubt_fallback(root, fallback, context);
    }
    let limits = config.cache.0.as_ref().map_or(Limits::default(), |cache| Limits {
        entries: u64::from(cache.entries) / 2,
        bytes: cache.memory.0,
        open_files: u64::from(cache.open_files),
    });
    let types = config.types.0.into_iter().map(|(ending, kind)| (ending.value, kind.value));
    let tree = Tree {
        origin,
        index: config.index.into_iter().map(|name| name.value).collect(),
        listing: config.listing,
        hidden: config.hidden,
        precompressed: config.precompressed,
        types: Types::new(types),
    };
    Ok(Box::new(Files {
        tree: Arc::new(tree),
        wildcard: context.wildcard(),
        fallback: config
            .fallback
            .map(|path| format!("{CONFIGURED}{}", path.trim_start_matches('/'))),
        cache: context.local(),
        limits,
        boundary: RandomState::new(),
    }))
}

/// `root` with a wildcard or `file` without one, and it must be there.
fn origin(
    config: &FilesConfig,
    settings: &Settings,
    context: &BuildContext<'_>,
    wrong: &mut Diagnostics,
) -> Option<Origin> {
    let checked = match (&config.root, &config.file) {
        (Some(root), None) => check_root(root, context).map(|()| Origin::Root(root.value.clone())),
        (None, Some(file)) => {
            check_file(file, config, context).map(|()| Origin::File(file.value.clone()))
        }
        (Some(root), Some(file)) => {
            let error = Diagnostic::error(file.span, "`root` and `file` exclude each other");
            Err(error.help("write only one of them").related(root.span, "the other is here"))
        }
        (None, None) => {
            let help = match context.wildcard() {
                Some(_) => "add `root = \"public\"`, the directory to serve",
                None => "add `file = \"robots.txt\"`, the file to serve",
            };
            Err(Diagnostic::error(settings.span(), "`files` does not say what to serve").help(help))
        }
    };
    checked.map_err(|diagnostic| wrong.push(diagnostic)).ok()
}

fn check_root(root: &Spanned<PathBuf>, context: &BuildContext<'_>) -> Result<(), Diagnostic> {
    if context.wildcard().is_none() {
        let message = "`root` needs a route whose path ends in a wildcard, which names the file";
        let help = "end the route's path in `/{*file}`, or write `file = \"…\"` for a single file";
        return Err(Diagnostic::error(root.span, message).help(help));
    }
    let directory =
        file::open_root(root, Lookup::MaySleep).map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory => {
                let message = format!("`root` is no directory: {}", shown(root));
                Diagnostic::error(root.span, message)
                    .help("write the directory that holds the files")
            }
            _ => unreachable_path("root", root, &error),
        })?;
    let start = Start::Beneath(directory.as_fd());
    match file::facts_at(start, Path::new("."), Lookup::MaySleep) {
        Ok(_) => Ok(()),
        Err(error) => Err(unreachable_path("root", root, &error)),
    }
}

fn check_file(
    path: &Spanned<PathBuf>,
    config: &FilesConfig,
    context: &BuildContext<'_>,
) -> Result<(), Diagnostic> {
    if context.wildcard().is_some() {
        let message = "`file` is one file, but the route's path ends in a wildcard";
        let help = "write `root = \"…\"`, the directory that the wildcard looks in, or take the \
                    wildcard out of the path";
        return Err(Diagnostic::error(path.span, message).help(help));
    }
    let facts = file::facts_at(Start::Anywhere, path, Lookup::MaySleep);
    let facts = facts.map_err(|error| unreachable_path("file", path, &error))?;
    if facts.kind != FileKind::Regular {
        let message = format!("`file` is no regular file: {}", shown(path));
        let help = "write a file, or `root` and a path that ends in a wildcard for a directory";
        return Err(Diagnostic::error(path.span, message).help(help));
    }
    let key = if config.listing { "listing" } else { "fallback" };
    if config.listing || config.fallback.is_some() {
        let message = format!("`{key}` needs `root`");
        return Err(Diagnostic::error(path.span, message).help(format!("take `{key}` out")));
    }
    Ok(())
}

fn unreachable_path(key: &str, path: &Spanned<PathBuf>, error: &io::Error) -> Diagnostic {
    let (message, help) = match error.kind() {
        io::ErrorKind::NotFound => {
            let help = "create it, or write a path that exists; relative ones start from this file";
            (format!("`{key}` does not exist: {}", shown(path)), help)
        }
        _ => (
            format!("`{key}` cannot be opened: {}: {error}", shown(path)),
            "see to its permissions",
        ),
    };
    Diagnostic::error(path.span, message).help(help)
}

/// The path in full, since a relative one starts from the file that names it.
fn shown(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.display().to_string().escape_debug().to_string()
}

fn check_index(index: &[Spanned<String>], wrong: &mut Diagnostics) {
    for name in index {
        if matches!(name.as_str(), "" | "." | "..") || name.contains(['/', '\0']) {
            let error = Diagnostic::error(name.span, "`index` takes names of files");
            wrong.push(error.help("write a name without `/`, such as `\"index.html\"`"));
        }
    }
}

fn check_types(config: &FilesConfig, wrong: &mut Diagnostics) {
    for (ending, kind) in &config.types {
        if ending.is_empty() || ending.contains(['.', '/']) || ending.len() > mime::ENDING_BYTES_MAX
        {
            let error = Diagnostic::error(ending.span, "`types` takes endings without a dot");
            wrong.push(error.help("write what follows the last dot, such as `md`"));
        }
        if !mime::is_media_type(kind) {
            let error = Diagnostic::error(kind.span, "this is no media type");
            wrong.push(error.help("write one such as `\"text/plain; charset=utf-8\"`"));
        }
    }
}

fn check_fallback(config: &FilesConfig, wrong: &mut Diagnostics) {
    let Some(fallback) = &config.fallback else { return };
    let named = fallback.strip_prefix('/').is_some_and(|path| {
        path.split('/').all(|segment| !matches!(segment, "" | "." | "..")) && !path.contains('\0')
    });
    if !named {
        let error =
            Diagnostic::error(fallback.span, "`fallback` takes the path of a file in `root`");
        wrong.push(error.help("begin with `/`, such as `\"/index.html\"`"));
    }
}

/// A fallback that is not there answers nothing; it may still come, with the next build of a site.
fn doubt_fallback(root: &Path, fallback: &Spanned<String>, context: &BuildContext<'_>) {
    let path = root.join(fallback.trim_start_matches('/'));
    let facts = file::facts_at(Start::Anywhere, &path, Lookup::MaySleep);
    let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    if facts.as_ref().err().is_some_and(is_missing) {
        let message = format!("`fallback` does not exist: {}", shown(&path));
        let help = "create it, or write the path of a file in `root`";
        context.warn(Diagnostic::warning(fallback.span, message).help(help));
    }
}
