//! Stead and nginx serving the same folder.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::pair::Pair;
use crate::stead::quoted;
use crate::{DocTree, Folder, Nginx, Stead};

/// Both servers on one folder.
pub struct Both {
    /// The real files.
    pub tree: DocTree,
    /// nginx.
    pub nginx: Nginx,
    /// Stead, with one server `docs`.
    pub stead: Stead,
    _folder: Folder,
}

/// Connections to each server at a time.
const CONNECTIONS: usize = 4;
/// Requests that are on their way at once on one connection.
const PIPELINED: usize = 16;

impl Both {
    /// On the real files.
    pub fn start() -> Self {
        let tree = DocTree::find();
        let root = tree.root().to_owned();
        Self::of(tree, &root)
    }

    /// On another folder.
    pub fn of(tree: DocTree, root: &Path) -> Self {
        let folder = Folder::new();
        let nginx = Nginx::start(root);
        let config = format!(
            "[log]\naccess = \"off\"\n[server.docs]\nlisten = [\"127.0.0.1:0\"]\n\
             [[server.docs.route]]\npath = \"/{{*file}}\"\nfiles = {}\n",
            quoted(root)
        );
        let stead = Stead::start(&folder, &config);
        Self { tree, nginx, stead, _folder: folder }
    }

    /// A connection to each.
    pub fn pair(&self) -> Pair {
        Pair::open(self.nginx.port(), self.stead.port("docs"))
    }

    /// What is in the tree, as far as it is wanted; directories end in a slash.
    pub fn paths(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let paths = self.tree.paths();
        assert!(paths.len() > 10, "{} is no tree of files", self.tree.root().display());
        paths.into_iter().filter(|path| wanted(path)).collect()
    }

    /// Shares the items among several connections, a few at a time.
    pub fn in_batches<T: Sync>(&self, items: &[T], visit: impl Fn(&mut Pair, &[T]) + Sync) {
        let next = AtomicUsize::new(0);
        let batches: Vec<&[T]> = items.chunks(PIPELINED).collect();
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| {
                    let mut pair = self.pair();
                    while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                        visit(&mut pair, batch);
                    }
                });
            }
        });
    }
}
