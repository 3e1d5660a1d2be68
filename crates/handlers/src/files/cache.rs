//! What one worker remembers of one handler's files: entries by key, each looked at again after a
//! second.
//!
//! Three rings, so that none can push another out: contents in memory, open files, and paths
//! without a file. Each evicts by CLOCK (Corbató, "A Paging Experiment with the Multics System",
//! 1968): a hand goes round, takes what was not used since it last passed, and spares the rest
//! once. Nobody else touches it, so a hit is a hash lookup and no lock.
//!
//! INVARIANT: a ring never holds more than its limits say; an entry is in one ring and in the
//! index, or in neither.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use stead_base::Tick;
use stead_core::Process;

use super::entry::Entry;
use super::tree::Root;
use super::turn::Turns;

/// How long an entry is believed without looking again.
pub(crate) const FRESH_FOR: Duration = Duration::from_secs(1);

/// How long an entry stays that nobody asks for: an open file keeps a deleted one on the disk.
const UNUSED_FOR: Duration = Duration::from_mins(1);

/// Places of each ring looked at in one sweep, once a second.
const SWEEP_PLACES: usize = 1024;

/// Longer keys are not kept: they are no files that visitors ask for.
const KEY_BYTES_MAX: usize = 1024;

/// What an entry costs beside its key and content: fields, version, places. An estimate.
const ENTRY_BYTES: u64 = 768;

/// What one worker's cache may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Entries, of every ring.
    pub(crate) entries: u64,
    /// Bytes, all rings together.
    pub(crate) bytes: u64,
    /// Open files.
    pub(crate) open_files: u64,
}

impl Limits {
    /// One worker's share of the limits of the process.
    pub(crate) fn share(self, workers: usize) -> Self {
        let part = |total: u64| if total == 0 { 0 } else { (total / workers as u64).max(1) };
        Self {
            entries: part(self.entries),
            bytes: part(self.bytes),
            open_files: part(self.open_files),
        }
    }
}

/// The cache of one worker.
pub(crate) struct Cache {
    inner: RefCell<Inner>,
    listings: Turns,
}

struct Inner {
    process: Arc<Process>,
    index: HashMap<Rc<str>, Place>,
    rings: [Ring; 3],
    root: Option<(Arc<Root>, Tick)>,
    swept: Tick,
}

/// Where an entry is.
#[derive(Clone, Copy)]
struct Place {
    ring: usize,
    at: usize,
}

/// What was found.
pub(crate) struct Found {
    /// What the path stood for when it was last looked at.
    pub(crate) entry: Arc<Entry>,
    /// Whether that was less than a second ago.
    pub(crate) fresh: bool,
}

impl Cache {
    /// An empty cache.
    pub(crate) fn new(limits: Limits, process: Arc<Process>) -> Self {
        // Contents get most of the memory; paths without a file need little more than their names.
        let ring = |sixteenths: u64, entries: u64, open_files: u64| {
            Ring::new(Limits { bytes: limits.bytes / 16 * sixteenths, entries, open_files })
        };
        let rings = [
            ring(12, limits.entries, 0),
            ring(3, limits.open_files, limits.open_files),
            ring(1, limits.entries, 0),
        ];
        let inner = RefCell::new(Inner {
            process,
            index: HashMap::new(),
            rings,
            root: None,
            swept: Tick::default(),
        });
        Self { inner, listings: Turns::default() }
    }

    /// Listings of directories, one at a time.
    pub(crate) fn listings(&self) -> &Turns {
        &self.listings
    }

    /// What is known of `key`.
    pub(crate) fn find(&self, key: &str, now: Tick) -> Option<Found> {
        let mut inner = self.inner.borrow_mut();
        let place = *inner.index.get(key)?;
        let slot = inner.rings[place.ring].slots.get_mut(place.at)?.as_mut()?;
        slot.used = true;
        let fresh = now.since(slot.checked) < FRESH_FOR;
        Some(Found { entry: Arc::clone(&slot.entry), fresh })
    }

    /// Keeps what `key` stood for at `checked`, in place of what it stood for before.
    pub(crate) fn insert(&self, key: &str, entry: &Arc<Entry>, checked: Tick) {
        let mut inner = self.inner.borrow_mut();
        inner.remove(key);
        let (bytes, open_files) = entry.holds();
        let cost =
            Limits { entries: 1, bytes: bytes + ENTRY_BYTES + 2 * key.len() as u64, open_files };
        let ring = match **entry {
            Entry::File(_) if open_files > 0 => 1,
            Entry::File(_) => 0,
            _ => 2,
        };
        if key.len() > KEY_BYTES_MAX || !inner.make_room(ring, &cost) {
            return;
        }
        // Without a descriptor to keep, the file is opened again by the next request for it.
        let Some(permit) = Permit::take(&inner.process, open_files as usize) else { return };
        let key: Rc<str> = Rc::from(key);
        let entry = Arc::clone(entry);
        let slot = Slot { key: Rc::clone(&key), entry, checked, used: false, cost, permit };
        let at = inner.rings[ring].put(slot);
        inner.index.insert(key, Place { ring, at });
    }

    /// The open root, unless it was opened a second ago.
    pub(crate) fn root(&self, now: Tick) -> Option<Arc<Root>> {
        let inner = self.inner.borrow();
        let (root, opened) = inner.root.as_ref()?;
        (now.since(*opened) < FRESH_FOR).then(|| Arc::clone(root))
    }

    /// Keeps the root as it was opened at `opened`.
    pub(crate) fn set_root(&self, root: &Arc<Root>, opened: Tick) {
        self.inner.borrow_mut().root = Some((Arc::clone(root), opened));
    }

    /// Once a second: lets go of what nobody asked for in a minute.
    pub(crate) fn sweep(&self, now: Tick) {
        let mut inner = self.inner.borrow_mut();
        if now.since(inner.swept) < FRESH_FOR {
            return;
        }
        inner.swept = now;
        let Inner { index, rings, root, .. } = &mut *inner;
        for ring in rings {
            ring.sweep(now, |key| {
                index.remove(key);
            });
        }
        if index.is_empty() {
            index.shrink_to_fit();
        }
        if root.as_ref().is_some_and(|(_, opened)| now.since(*opened) >= UNUSED_FOR) {
            *root = None;
        }
    }
}

impl Inner {
    fn remove(&mut self, key: &str) {
        if let Some(place) = self.index.remove(key) {
            self.rings[place.ring].take(place.at);
        }
    }

    /// Evicts until `cost` fits into a ring; `false` if it never does.
    fn make_room(&mut self, ring: usize, cost: &Limits) -> bool {
        let Self { index, rings, .. } = self;
        let ring = &mut rings[ring];
        if !ring.could_hold(cost) {
            return false;
        }
        while !ring.has_room(cost) {
            let Some(slot) = ring.evict() else { return false };
            index.remove(&*slot.key);
        }
        true
    }
}

/// Entries of one sort with their limits.
struct Ring {
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    hand: usize,
    sweep_hand: usize,
    limits: Limits,
    held: Limits,
}

struct Slot {
    key: Rc<str>,
    entry: Arc<Entry>,
    /// When it was last looked at.
    checked: Tick,
    /// Whether it was asked for since the hand passed.
    used: bool,
    cost: Limits,
    #[expect(dead_code, reason = "held for what dropping it gives back")]
    permit: Permit,
}

/// Descriptors that an entry may keep, out of those of the whole process; given back when dropped.
struct Permit {
    process: Arc<Process>,
    count: usize,
}

impl Permit {
    fn take(process: &Arc<Process>, count: usize) -> Option<Self> {
        let taken = count == 0 || process.open_files.take(count);
        taken.then(|| Self { process: Arc::clone(process), count })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.count > 0 {
            self.process.open_files.release(self.count);
        }
    }
}

impl Ring {
    fn new(limits: Limits) -> Self {
        let (slots, free, held) = (Vec::new(), Vec::new(), Limits::default());
        Self { slots, free, hand: 0, sweep_hand: 0, limits, held }
    }

    fn could_hold(&self, cost: &Limits) -> bool {
        cost.entries <= self.limits.entries
            && cost.bytes <= self.limits.bytes
            && cost.open_files <= self.limits.open_files
    }

    fn has_room(&self, cost: &Limits) -> bool {
        self.held.entries + cost.entries <= self.limits.entries
            && self.held.bytes + cost.bytes <= self.limits.bytes
            && self.held.open_files + cost.open_files <= self.limits.open_files
    }

    fn put(&mut self, slot: Slot) -> usize {
        self.held.entries += slot.cost.entries;
        self.held.bytes += slot.cost.bytes;
        self.held.open_files += slot.cost.open_files;
        let Some(at) = self.free.pop() else {
            self.slots.push(Some(slot));
            return self.slots.len() - 1;
        };
        self.slots[at] = Some(slot);
        at
    }

    fn take(&mut self, at: usize) -> Option<Slot> {
        let slot = self.slots.get_mut(at)?.take()?;
        self.free.push(at);
        self.held.entries -= slot.cost.entries;
        self.held.bytes -= slot.cost.bytes;
        self.held.open_files -= slot.cost.open_files;
        Some(slot)
    }

    /// Takes out the next entry that was not used since the hand passed it; none if there is none
    /// at all. Two rounds reach every entry with its mark wiped.
    fn evict(&mut self) -> Option<Slot> {
        for _ in 0..2 * self.slots.len() {
            let at = self.hand % self.slots.len();
            self.hand = at + 1;
            match &mut self.slots[at] {
                Some(slot) if slot.used => slot.used = false,
                Some(_) => return self.take(at),
                None => {}
            }
        }
        None
    }

    fn sweep(&mut self, now: Tick, mut forget: impl FnMut(&str)) {
        for _ in 0..self.slots.len().min(SWEEP_PLACES) {
            let at = self.sweep_hand % self.slots.len();
            self.sweep_hand = at + 1;
            let stale = |slot: &Slot| now.since(slot.checked) >= UNUSED_FOR;
            if self.slots[at].as_ref().is_some_and(stale)
                && let Some(slot) = self.take(at)
            {
                forget(&slot.key);
            }
        }
        if self.held.entries == 0 {
            (self.slots, self.free) = (Vec::new(), Vec::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::entry::{Content, FileEntry, Parts, Variant};
    use proptest::prelude::*;
    use std::os::fd::AsFd;
    use stead_core::OpenFile;

    const LIMITS: Limits = Limits { entries: 8, bytes: 1 << 20, open_files: 2 };

    fn at(millis: u64) -> Tick {
        Tick::from_millis(millis)
    }

    fn missing() -> Arc<Entry> {
        Arc::new(Entry::Missing)
    }

    fn is_known(cache: &Cache, key: &str) -> bool {
        cache.find(key, at(0)).is_some()
    }

    #[test]
    fn an_entry_is_fresh_for_a_second() {
        let cache = Cache::new(LIMITS, Arc::default());
        cache.insert("a", &missing(), at(5_000));
        assert!(cache.find("a", at(5_999)).is_some_and(|found| found.fresh));
        assert!(cache.find("a", at(6_000)).is_some_and(|found| !found.fresh));
        cache.insert("a", &missing(), at(6_000));
        assert!(cache.find("a", at(6_999)).is_some_and(|found| found.fresh));
        assert!(cache.find("b", at(0)).is_none());
    }

    #[test]
    fn what_is_used_survives_a_flood_of_what_is_not() {
        let cache = Cache::new(LIMITS, Arc::default());
        cache.insert("hot", &missing(), at(0));
        for n in 0..1_000 {
            assert!(is_known(&cache, "hot"), "{n}");
            cache.insert(&n.to_string(), &missing(), at(0));
        }
        assert!(is_known(&cache, "999") && !is_known(&cache, "1"));
        assert_eq!(cache.inner.borrow().index.len(), 8);
    }

    #[test]
    fn keys_that_are_too_long_and_caches_without_room_keep_nothing() {
        let cache = Cache::new(LIMITS, Arc::default());
        cache.insert(&"x".repeat(KEY_BYTES_MAX + 1), &missing(), at(0));
        assert!(cache.inner.borrow().index.is_empty());
        let none = Cache::new(Limits::default(), Arc::default());
        none.insert("a", &missing(), at(0));
        assert!(!is_known(&none, "a"));
    }

    #[test]
    fn what_nobody_asks_for_goes_after_a_minute() {
        let cache = Cache::new(LIMITS, Arc::default());
        cache.insert("old", &missing(), at(0));
        cache.insert("new", &missing(), at(59_000));
        cache.sweep(at(59_999));
        assert!(is_known(&cache, "old"));
        cache.sweep(at(61_000));
        assert!(!is_known(&cache, "old") && is_known(&cache, "new"));
        cache.sweep(at(200_000));
        let inner = cache.inner.borrow();
        assert!(inner.index.is_empty() && inner.rings[2].slots.is_empty());
        drop(inner);
        cache.insert("again", &missing(), at(200_000));
        assert!(is_known(&cache, "again"));
    }

    /// An entry with an open file, and one with that many bytes in memory.
    fn file(bytes: Option<usize>) -> Arc<Entry> {
        let opened = tempfile::tempfile().expect("a file");
        let facts = stead_sys::file::facts(opened.as_fd()).expect("facts");
        let content = match bytes {
            Some(bytes) => Content::Memory(vec![0; bytes].into()),
            None => Content::Open(Arc::new(OpenFile::new(opened.into(), facts))),
        };
        let parts =
            Parts { facts, looked: 0, media_type: "a/b", coding: None, varies: false, content };
        let mut entry = FileEntry::default();
        entry.variants[0] = Some(Arc::new(Variant::new(parts)));
        Arc::new(Entry::File(Box::new(entry)))
    }

    #[test]
    fn memory_and_open_files_are_bounded_apart() {
        let cache = Cache::new(LIMITS, Arc::default());
        cache.insert("missing", &missing(), at(0));
        for n in 0..100 {
            cache.insert(&format!("small{n}"), &file(Some(200_000)), at(0));
            cache.insert(&format!("large{n}"), &file(None), at(0));
        }
        let held = |ring: usize| cache.inner.borrow().rings[ring].held;
        // Twelve sixteenths of a mebibyte hold three contents of 200,000 bytes.
        assert_eq!((held(0).entries, held(0).open_files), (3, 0));
        assert_eq!((held(1).entries, held(1).open_files), (2, 2));
        assert!(is_known(&cache, "missing") && is_known(&cache, "small99"));
        cache.insert("huge", &file(Some(1 << 20)), at(0));
        assert!(!is_known(&cache, "huge") && is_known(&cache, "small99"));
        // An entry that changes its sort moves, and nothing is counted twice.
        cache.insert("small99", &missing(), at(0));
        assert_eq!((held(0).entries, held(2).entries), (2, 2));
    }

    #[test]
    fn workers_share_the_limits_of_the_process() {
        let limits = Limits { entries: 10, bytes: 100, open_files: 3 };
        assert_eq!(limits.share(4), Limits { entries: 2, bytes: 25, open_files: 1 });
        assert_eq!(limits.share(1), limits);
        assert_eq!(Limits::default().share(8), Limits::default());
    }

    proptest! {
        #[test]
        fn limits_hold_and_index_and_rings_agree(
            steps in proptest::collection::vec((0..30_u8, any::<bool>()), 0..200),
        ) {
            let cache = Cache::new(LIMITS, Arc::default());
            for (now, (key, insert)) in steps.into_iter().enumerate() {
                let (key, now) = (format!("key{key}"), at(now as u64 * 700));
                if insert { cache.insert(&key, &missing(), now) } else { cache.sweep(now) }
                let inner = cache.inner.borrow();
                let held: u64 = inner.rings.iter().map(|ring| ring.held.entries).sum();
                prop_assert_eq!(held, inner.index.len() as u64);
                let bounded = |ring: &Ring| ring.held.entries <= ring.limits.entries;
                prop_assert!(inner.rings.iter().all(bounded));
                for (key, place) in &inner.index {
                    let slot = inner.rings[place.ring].slots[place.at].as_ref();
                    prop_assert!(slot.is_some_and(|slot| slot.key == *key));
                }
            }
        }
    }
}
