//! A folder of one test, removed with all that is in it.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A temporary folder.
pub struct Folder(TempDir);

impl Folder {
    /// An empty one.
    pub fn new() -> Self {
        // Short, because the path of a unix socket has at most 107 bytes.
        Self(tempfile::Builder::new().prefix("stead-e2e-").tempdir().expect("a temporary folder"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of something in it.
    pub fn join(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    /// Writes a file, and the folders that it needs.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("a folder for the file");
        }
        fs::write(&path, content).expect("a file");
        path
    }

    /// Makes a folder in it.
    pub fn make(&self, path: &str) -> PathBuf {
        let path = self.join(path);
        fs::create_dir_all(&path).expect("a folder");
        path
    }

    /// The bytes of a file.
    pub fn bytes(&self, path: &str) -> Vec<u8> {
        use std::io::Read;
        let mut bytes = Vec::new();
        let file = fs::File::open(self.join(path))
            .and_then(|file| file.take(64 << 20).read_to_end(&mut bytes));
        file.unwrap_or_else(|error| panic!("{path}: {error}"));
        bytes
    }

    /// The text of a file in it; empty where there is none.
    pub fn read(&self, path: &str) -> String {
        text_of(&self.join(path))
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

/// The text of a file of a test; empty where there is none.
#[allow(clippy::disallowed_methods, reason = "files that a test wrote, of bounded size")]
pub fn text_of(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
