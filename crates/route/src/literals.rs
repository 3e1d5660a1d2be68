//! The table from (fork, literal segment) to what lies behind it; hosts use it too.
//!
//! Open addressing, built once from the configuration. Since no key is ever added by a request, the
//! number of probes is bounded by the configuration alone: the builder tries seeds and sizes until
//! the longest probe is short, so no choice of paths can make lookups slower. A segment is scanned,
//! hashed and compared eight bytes at a time.

/// A table with fixed keys.
#[derive(Clone, Debug)]
pub(crate) struct Literals {
    entries: Box<[Entry]>,
    text: Box<[u8]>,
    seed: u64,
    /// Entries that a lookup looks at, at most.
    probes: usize,
}

/// PERF: 24 bytes, and the first word holds all of most segments, so that a hit is one cache line.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The first eight bytes of the text, zero behind its end.
    word: u64,
    fork: u32,
    len: u32,
    /// Where the whole text begins.
    text: u32,
    value: u32,
}

const VACANT: Entry = Entry { word: 0, fork: u32::MAX, len: 0, text: 0, value: 0 };

/// A piece of text that ends at the next slash or at the end of its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) start: usize,
    pub(crate) end: usize,
    word: u64,
    hash: u64,
}

impl Literals {
    /// Builds a table from keys, each a fork and a text without a slash, with their values. No key
    /// may stand twice.
    pub(crate) fn build(keys: &[(u32, &str, u32)]) -> Self {
        let mut size = (keys.len() * 2).next_power_of_two();
        let mut attempt = 0;
        loop {
            let table = Self::place(keys, size, SEEDS[attempt % SEEDS.len()]);
            attempt += 1;
            if table.probes <= PROBES_MAX || attempt == ATTEMPTS_MAX {
                return table;
            }
            if attempt.is_multiple_of(SEEDS.len()) {
                size *= 2;
            }
        }
    }

    fn place(keys: &[(u32, &str, u32)], size: usize, seed: u64) -> Self {
        let mut entries = vec![VACANT; size.max(1)];
        let mut text = Vec::new();
        let mut probes = usize::from(!keys.is_empty());
        for &(fork, key, value) in keys {
            let piece = Piece::scan(key.as_bytes(), 0, seed);
            let mut index = piece.index(fork, entries.len());
            let mut probe = 1;
            while entries[index].fork != VACANT.fork {
                index = (index + 1) & (entries.len() - 1);
                probe += 1;
            }
            probes = probes.max(probe);
            let (word, len, at) = (piece.word, key.len() as u32, text.len() as u32);
            entries[index] = Entry { word, fork, len, text: at, value };
            text.extend_from_slice(key.as_bytes());
        }
        Self { entries: entries.into(), text: text.into(), seed, probes }
    }

    /// Scans the piece of `bytes` that begins at `start`, which is at most their length.
    #[inline]
    pub(crate) fn scan(&self, bytes: &[u8], start: usize) -> Piece {
        Piece::scan(bytes, start, self.seed)
    }

    /// The value of (`fork`, `piece`); `piece` was scanned from `bytes` by this table.
    #[inline]
    pub(crate) fn find(&self, fork: u32, piece: &Piece, bytes: &[u8]) -> Option<u32> {
        let len = (piece.end - piece.start) as u32;
        let mut index = piece.index(fork, self.entries.len());
        for _ in 0..self.probes {
            let entry = &self.entries[index];
            if entry.word == piece.word && entry.fork == fork && entry.len == len {
                let tail = entry.text as usize + WORD..entry.text as usize + entry.len as usize;
                if piece.end - piece.start <= WORD
                    || self.text.get(tail) == bytes.get(piece.start + WORD..piece.end)
                {
                    return Some(entry.value);
                }
            }
            if entry.fork == VACANT.fork {
                return None;
            }
            index = (index + 1) & (self.entries.len() - 1);
        }
        None
    }
}

impl Piece {
    #[inline]
    fn scan(bytes: &[u8], start: usize, seed: u64) -> Self {
        let mut at = start;
        let mut hash = seed;
        let mut first = 0;
        loop {
            let word = word_at(bytes, at);
            let len = slash_in(word).min(bytes.len() - at);
            // Zero behind the piece's end, so that its words do not depend on what follows it.
            let word = if len < WORD { word & ((1 << (8 * len)) - 1) } else { word };
            if at == start {
                first = word;
            }
            hash = fold(hash ^ word, MULTIPLIER);
            at += len;
            if len < WORD {
                return Self { start, end: at, word: first, hash };
            }
        }
    }

    #[inline]
    fn index(&self, fork: u32, size: usize) -> usize {
        let spread = fold(self.hash ^ u64::from(fork), MULTIPLIER.rotate_left(32));
        spread as usize & (size - 1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// The eight bytes from `at` on, the first one lowest; zeros behind the end.
#[inline]
fn word_at(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    if let Some(word) = rest.first_chunk::<WORD>() {
        return u64::from_le_bytes(*word);
    }
    match bytes.last_chunk::<WORD>() {
        _ if rest.is_empty() => 0,
        Some(word) => u64::from_le_bytes(*word) >> (8 * (WORD - rest.len())),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// How many bytes stand before the first slash in `word`; 8 if there is none.
#[inline]
fn slash_in(word: u64) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const SLASH: u64 = 0x2F;
    let slashes = word ^ (ONES * SLASH);
    // The lowest bit that this leaves marks the first byte that was zero; bits above may lie.
    let zeros = slashes.wrapping_sub(ONES) & !slashes & (ONES << 7);
    (zeros.trailing_zeros() / 8) as usize
}

/// Multiplies to 128 bits and adds the halves up: mixes every bit into every other.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    wide as u64 ^ (wide >> 64) as u64
}

const WORD: usize = 8;

/// Odd, with bits spread evenly: 2^64 over the golden ratio.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// Digits of pi: any words do that are not like each other.
const SEEDS: [u64; 4] =
    [0x243F_6A88_85A3_08D3, 0x1319_8A2E_0370_7344, 0xA409_3822_299F_31D0, 0x082E_FA98_EC4E_6C89];

/// Probes that a table is content with: two to six cache lines at the very worst.
const PROBES_MAX: usize = 12;

/// Rebuilds before a table takes what it has; each fourth one doubles its size.
const ATTEMPTS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn find(table: &Literals, fork: u32, path: &str, start: usize) -> Option<u32> {
        let piece = table.scan(path.as_bytes(), start);
        table.find(fork, &piece, path.as_bytes())
    }

    #[test]
    fn probes_stay_few_however_many_keys() {
        let names: Vec<_> = (0..20_000).map(|n| format!("resource{n}")).collect();
        let keys: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(n, name)| (n as u32 % 7, name.as_str(), n as u32))
            .collect();
        let table = Literals::build(&keys);
        assert!(table.probes <= PROBES_MAX, "{}", table.probes);
        for (fork, name, value) in keys {
            assert_eq!(find(&table, fork, name, 0), Some(value));
            assert_eq!(find(&table, fork + 7, name, 0), None);
        }
    }

    #[test]
    fn an_empty_table_holds_nothing() {
        let table = Literals::build(&[]);
        assert_eq!(find(&table, 0, "", 0), None);
        assert_eq!(find(&table, 0, "a", 0), None);
    }

    #[test]
    fn an_entry_is_24_bytes() {
        assert_eq!(size_of::<Entry>(), 24);
    }

    proptest! {
        /// A piece is the same whatever stands around it, and only whole pieces are found.
        #[test]
        fn pieces_are_found_wherever_they_stand(
            keys in prop::collection::hash_map((0..3_u32, "[ab\0é]{0,20}"), any::<u32>(), 0..30),
            other in "[ab]{0,20}",
            before in "[ab/]{0,10}",
            after in "[ab/]{0,10}",
        ) {
            let list: Vec<_> = keys.iter().map(|((f, key), v)| (*f, key.as_str(), *v)).collect();
            let table = Literals::build(&list);
            let lookup = |fork, key: &str| {
                let path = format!("{before}{key}/{after}");
                [find(&table, fork, &path, before.len()), find(&table, fork, key, 0)]
            };
            for ((fork, key), value) in &keys {
                prop_assert_eq!(lookup(*fork, key), [Some(*value); 2]);
            }
            let keys: HashMap<_, _> = keys.into_iter().collect();
            prop_assert_eq!(lookup(1, &other), [keys.get(&(1, other.clone())).copied(); 2]);
        }
    }
}
