//! Users and the hashes of their passwords: reading, checking, and remembering who was right.
//!
//! SECURITY: a check takes as long for an unknown name as for a known one, because it hashes the
//! password as it would for one of the users, always the same one for a name. Comparisons of hashes
//! take constant time in the libraries. What is remembered is a keyed hash (BLAKE2s, RFC 7693 §2.9)
//! with a key of this process, never a password.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use blake2::Blake2sMac256;
use blake2::digest::{FixedOutput, KeyInit, Update};
use stead_base::Tick;
use stead_config::{Diagnostic, Diagnostics, Map, Secret, Spanned};
use stead_disk::read_regular;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::lines::{self, WrongLine};

/// Users by name.
pub(crate) struct Users {
    /// Positions in `hashes`.
    names: HashMap<Box<[u8]>, usize>,
    hashes: Vec<Hash>,
    /// Chooses whose hash stands for an unknown name's.
    decoy: RandomState,
    secret: [u8; 32],
    remembered: Mutex<HashMap<Proof, Tick>>,
}

/// A name and a password that belong together, under a keyed hash.
type Proof = [u8; 32];

/// How long a right password is remembered. A page and what it loads is one check; longer would
/// save little more, and what is left behind in memory should be little.
const REMEMBER_FOR: Duration = Duration::from_mins(1);
/// Right passwords that are remembered at a time: about 256 KiB.
const REMEMBERED_MAX: usize = 4_096;

/// A password's hash in a form that is slow to guess.
enum Hash {
    Bcrypt(Box<str>),
    /// A PHC string.
    Argon2id(Box<str>),
}

/// Higher costs take seconds a password.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=15;
/// Memory that one Argon2 check may take, in KiB.
const ARGON2_MEMORY_KIB_MAX: u32 = 256 << 10;
/// Passes over that memory.
const ARGON2_PASSES_MAX: u32 = 64;
/// Lanes that a check may have.
const ARGON2_LANES_MAX: u32 = 64;

impl Users {
    /// Users of a file and of the configuration; what is wrong with them goes to `wrong`.
    pub(crate) fn build(
        file: Option<&Spanned<PathBuf>>,
        inline: &Map<Secret>,
        wrong: &mut Diagnostics,
    ) -> Self {
        let random = RandomState::new();
        let mut secret = [0; 32];
        for (index, word) in secret.chunks_exact_mut(8).enumerate() {
            word.copy_from_slice(&random.hash_one(index).to_le_bytes());
        }
        let mut users = Self {
            names: HashMap::new(),
            hashes: Vec::new(),
            decoy: RandomState::new(),
            secret,
            remembered: Mutex::default(),
        };
        if let Some(file) = file
            && let Err(errors) =
                lines::parse(file, |line| users.add_line(line).map(|()| None::<()>))
        {
            wrong.append(errors);
        }
        for (name, hash) in inline {
            let added = hash.reveal(read).map_err(|error| WrongLine {
                message: format!("the hash cannot be read: {error}"),
                help: lines::what_to_name(error.kind()).to_owned(),
            });
            if let Err(line) = added.and_then(|hash| users.add(name, &hash)) {
                wrong.push(Diagnostic::error(name.span, line.message).help(line.help));
            }
        }
        users
    }

    /// One line of an htpasswd file.
    fn add_line(&mut self, line: &str) -> Result<(), WrongLine> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        // SECURITY: the message does not show the line, which may be a password.
        let (name, hash) = line.split_once(':').ok_or_else(|| WrongLine {
            message: "there is no colon between name and hash".to_owned(),
            help: "write what `htpasswd -nB NAME` prints".to_owned(),
        })?;
        self.add(name, hash)
    }

    fn add(&mut self, name: &str, hash: &str) -> Result<(), WrongLine> {
        if name.is_empty() || name.contains(':') || name.chars().any(char::is_control) {
            return Err(WrongLine {
                message: "a user's name is empty, or holds a colon or a control character"
                    .to_owned(),
                help: "write a name of letters, digits and other visible characters".to_owned(),
            });
        }
        let hash = Hash::parse(hash).map_err(|weak| WrongLine {
            message: format!("the password of `{}` is {weak}", name.escape_debug()),
            help: format!(
                "write what `htpasswd -nB {}` prints behind the colon",
                name.escape_debug()
            ),
        })?;
        if self.names.insert(name.as_bytes().into(), self.hashes.len()).is_some() {
            return Err(WrongLine {
                message: format!("the user `{}` stands here twice", name.escape_debug()),
                help: "take one of the two out".to_owned(),
            });
        }
        self.hashes.push(hash);
        Ok(())
    }

    /// Whether this is the user's password. Takes long: only for the blocking pool.
    pub(crate) fn verify(&self, name: &[u8], password: &[u8]) -> bool {
        let known = self.names.get(name).copied();
        let count = self.hashes.len().max(1) as u64;
        let index = known.unwrap_or_else(|| (self.decoy.hash_one(name) % count) as usize);
        let is_right = self.hashes.get(index).is_some_and(|hash| hash.verify(password));
        is_right && known.is_some()
    }

    /// Keeps in mind for a while that this was the user's password.
    pub(crate) fn remember(&self, name: &[u8], password: &[u8], now: Tick) {
        let proof = self.proof(name, password);
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.retain(|_, until| *until > now);
        }
        if remembered.len() >= REMEMBERED_MAX {
            // As many users within a minute: begin again rather than search for the oldest.
            remembered.clear();
        }
        remembered.insert(proof, now + REMEMBER_FOR);
    }

    /// Whether that is kept in mind.
    pub(crate) fn remembers(&self, name: &[u8], password: &[u8], now: Tick) -> bool {
        let proof = self.proof(name, password);
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.get(&proof).is_some_and(|until| *until > now)
    }

    fn proof(&self, name: &[u8], password: &[u8]) -> Proof {
        let mut mac = <Blake2sMac256 as KeyInit>::new(&self.secret.into());
        mac.update(&(name.len() as u64).to_le_bytes());
        mac.update(name);
        mac.update(password);
        mac.finalize_fixed().into()
    }
}

impl Hash {
    /// Reads a hash.
    ///
    /// # Errors
    /// What it is instead, as in "the password of `x` is …".
    fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(rest) = ["$2a$", "$2b$", "$2y$"].iter().find_map(|id| text.strip_prefix(id)) {
            return match rest.split_once('$') {
                Some((cost, digest)) if is_bcrypt(cost, digest) => Ok(Self::Bcrypt(text.into())),
                _ => Err("no complete bcrypt hash of a cost from 4 to 15"),
            };
        }
        if text.starts_with("$argon2id$") {
            return match PasswordHash::new(text).map(|hash| is_bearable(&hash)) {
                Ok(true) => Ok(Self::Argon2id(text.into())),
                Ok(false) => Err(
                    "an Argon2id hash without a digest, or of more than 256 MiB, 64 passes or 64 lanes",
                ),
                Err(_) => Err("no complete Argon2id hash"),
            };
        }
        Err(match text {
            "" => "missing",
            _ if text.starts_with("$apr1$") || text.starts_with("$1$") => {
                "an MD5 hash, which is guessed quickly"
            }
            _ if text.starts_with("{SHA}") || text.starts_with("{SSHA}") => {
                "a SHA-1 hash, which is guessed quickly"
            }
            _ if text.starts_with("$argon2") => "an Argon2 hash of another kind than Argon2id",
            _ if text.starts_with('$') || text.starts_with('{') => "a hash of an unknown kind",
            _ => "plain text, or a hash of crypt, which is guessed quickly",
        })
    }

    fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Argon2id(hash) => PasswordHash::new(hash)
                .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok()),
        }
    }
}

fn is_bcrypt(cost: &str, digest: &str) -> bool {
    let is_cost = cost.len() == 2 && cost.parse().is_ok_and(|cost| BCRYPT_COSTS.contains(&cost));
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    is_cost && digest.len() == 53 && digest.bytes().all(is_digit)
}

/// Whether a check ends soon and in bounded memory.
fn is_bearable(hash: &PasswordHash<'_>) -> bool {
    let Ok(parameters) = argon2::Params::try_from(hash) else { return false };
    hash.hash.is_some()
        && hash.salt.is_some()
        && parameters.m_cost() <= ARGON2_MEMORY_KIB_MAX
        && parameters.t_cost() <= ARGON2_PASSES_MAX
        && parameters.p_cost() <= ARGON2_LANES_MAX
}

fn read(path: &Path) -> io::Result<String> {
    let bytes = read_regular(path, HASH_BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is no text in UTF-8"))
}

/// More than any hash has.
const HASH_BYTES_MAX: u64 = 4 << 10;

/// How many passwords the process checks at a time.
#[derive(Debug, Default)]
pub(crate) struct Verifications {
    running: OnceLock<Arc<Semaphore>>,
    waiting: AtomicUsize,
}

/// Requests that may wait for each one that is being checked: at a quarter of a second a check, a
/// quarter of a minute.
const WAITING_PER_PERMIT: usize = 64;

impl Verifications {
    /// Leave for one check, when it is its turn; `None` where too many wait already. One for each
    /// of `workers`: each has a core to burn and a blocking pool of a few threads, which also reads
    /// files.
    pub(crate) async fn permit(&self, workers: usize) -> Option<OwnedSemaphorePermit> {
        let running = self.running.get_or_init(|| Arc::new(Semaphore::new(workers)));
        let waiting = Waiting::begin(&self.waiting);
        if waiting.others >= workers * WAITING_PER_PERMIT {
            return None;
        }
        Arc::clone(running).acquire_owned().await.ok()
    }
}

/// Counts one that waits, also where it gives up.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    others: usize,
}

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        Self { others: count.fetch_add(1, Ordering::Relaxed), count }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
