//! The fixed record of one connection, and the slab that holds them.
//!
//! A connection has one record from accept to close; while it is parked the record is all that it
//! has. Records live in chunks of 256, so that nothing is reserved ahead and nothing ever moves.

use std::any::Any;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::task::Waker;

use stead_base::Tick;
use stead_core::Peer;

/// Names one connection; stale once the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Token {
    pub(crate) fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub(crate) fn from_u64(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// What a connection waits for: which deadline runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Wait {
    /// Its very first byte.
    FirstByte,
    /// The next request's first byte, parked.
    Idle,
    /// The next request's first byte, still as a task.
    Quiet,
    /// The next request, as a task for as long as the connection is open: HTTP/2 without a stream.
    IdleTask,
    /// The next request's first byte, parked, and kept whoever needs room.
    Kept,
    /// Anything that its task decides by itself.
    Task,
}

/// No record; also: in no list.
pub(crate) const NONE: u32 = u32::MAX;
/// In no deadline list.
pub(crate) const NO_LIST: u8 = u8::MAX;

/// What a connection needs again when it wakes; the park does not look at it.
pub type Held = Box<dyn Any>;

/// What a record keeps besides: never both at once.
pub(crate) enum Kept {
    /// Active: whom to wake when its deadline is over.
    Waker(Waker),
    /// Parked, or nobody yet. PERF: boxed twice, so that no plaintext connection's record grows for
    /// it.
    Held(Option<Box<Held>>),
}

impl Kept {
    pub(crate) fn waker(&self) -> Option<&Waker> {
        match self {
            Self::Waker(waker) => Some(waker),
            Self::Held(_) => None,
        }
    }

    /// Takes what was held out.
    pub(crate) fn take(&mut self) -> Option<Held> {
        match std::mem::replace(self, Self::Held(None)) {
            Self::Held(held) => held.map(|held| *held),
            Self::Waker(_) => None,
        }
    }
}

/// What rests of a connection.
pub(crate) struct Record {
    /// Held while parked; an active connection's task holds it.
    pub(crate) descriptor: Option<OwnedFd>,
    pub(crate) generation: u32,
    pub(crate) deadline: Tick,
    /// Neighbours in the deadline list, or the next free record.
    pub(crate) previous: u32,
    pub(crate) next: u32,
    pub(crate) kept: Kept,
    address: [u8; 16],
    port: u16,
    /// The listener it came by, as the owner of the park counts them.
    pub(crate) listener: u16,
    pub(crate) requests: u32,
    /// When the connection is kept no longer, in tenths of a second since the machine started;
    /// `NONE` for never.
    age_ends: u32,
    pub(crate) list: u8,
    pub(crate) wait: Wait,
    flags: u8,
}

// All eight bits of `flags` are used. The record has one more byte to spare.
const UNIX: u8 = 1;
const IPV4: u8 = 2;
/// The descriptor is in the park's epoll set, armed or not.
const WATCHED: u8 = 4;
const EXPIRED: u8 = 8;
const IN_USE: u8 = 16;
/// Its task was told to end it.
const MAKES_ROOM: u8 = 128;
/// The deadline that runs is a step towards the end of the connection's age.
const AGES: u8 = 32;
/// The client speaks TLS with the proxy that passes the connection on.
const PROXIED_TLS: u8 = 64;

impl Record {
    fn vacant(next: u32) -> Self {
        Self {
            descriptor: None,
            generation: 0,
            deadline: Tick::default(),
            previous: NONE,
            next,
            kept: Kept::Held(None),
            address: [0; 16],
            port: 0,
            listener: 0,
            requests: 0,
            age_ends: NONE,
            list: NO_LIST,
            wait: Wait::Task,
            flags: 0,
        }
    }

    pub(crate) fn peer(&self) -> Peer {
        if self.flags & UNIX != 0 {
            return Peer::Unix;
        }
        let address = Ipv6Addr::from(self.address);
        let ip = match address.to_ipv4_mapped() {
            Some(address) if self.flags & IPV4 != 0 => IpAddr::V4(address),
            _ => IpAddr::V6(address),
        };
        Peer::Tcp(SocketAddr::new(ip, self.port))
    }

    pub(crate) fn set_peer(&mut self, peer: Peer) {
        self.flags &= !(UNIX | IPV4);
        match peer {
            Peer::Unix => self.flags |= UNIX,
            Peer::Tcp(address) => {
                self.port = address.port();
                self.address = match address.ip() {
                    IpAddr::V4(ip) => {
                        self.flags |= IPV4;
                        ip.to_ipv6_mapped().octets()
                    }
                    IpAddr::V6(ip) => ip.octets(),
                };
            }
        }
    }

    fn flag(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn set_flag(&mut self, flag: u8, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.flag(WATCHED)
    }

    pub(crate) fn set_watched(&mut self, on: bool) {
        self.set_flag(WATCHED, on);
    }

    pub(crate) fn is_expired(&self) -> bool {
        self.flag(EXPIRED)
    }

    pub(crate) fn set_expired(&mut self, on: bool) {
        self.set_flag(EXPIRED, on);
    }

    pub(crate) fn is_proxied_tls(&self) -> bool {
        self.flag(PROXIED_TLS)
    }

    pub(crate) fn set_proxied_tls(&mut self) {
        self.set_flag(PROXIED_TLS, true);
    }

    pub(crate) fn makes_room(&self) -> bool {
        self.flag(MAKES_ROOM)
    }

    pub(crate) fn set_makes_room(&mut self, on: bool) {
        self.set_flag(MAKES_ROOM, on);
    }

    pub(crate) fn ages(&self) -> bool {
        self.flag(AGES)
    }

    pub(crate) fn set_ages(&mut self, on: bool) {
        self.set_flag(AGES, on);
    }

    /// When the connection is kept no longer, to a tenth of a second.
    pub(crate) fn age_ends(&self) -> Option<Tick> {
        (self.age_ends != NONE).then(|| Tick::from_millis(u64::from(self.age_ends) * AGE_STEP))
    }

    pub(crate) fn set_age_ends(&mut self, end: Tick) {
        // A machine that runs for 13 years without a restart keeps its connections.
        self.age_ends = u32::try_from(end.as_millis().div_ceil(AGE_STEP)).unwrap_or(NONE);
    }
}

/// Milliseconds in which ages are counted, so that they fit into 32 bits.
const AGE_STEP: u64 = 100;

const CHUNK: usize = 256;

/// All records of one worker.
pub(crate) struct Slab {
    chunks: Vec<Box<[Record]>>,
    free: u32,
    used: usize,
}

impl Slab {
    pub(crate) fn new() -> Self {
        Self { chunks: Vec::new(), free: NONE, used: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.used
    }

    pub(crate) fn insert(&mut self, peer: Peer, listener: u16) -> Token {
        if self.free == NONE {
            self.grow();
        }
        let index = self.free;
        self.used += 1;
        let record = &mut self[index];
        let (next, generation) = (record.next, record.generation.wrapping_add(1));
        *record = Record::vacant(NONE);
        record.generation = generation;
        record.listener = listener;
        record.flags = IN_USE;
        record.set_peer(peer);
        self.free = next;
        Token { index, generation }
    }

    /// Frees a record; its descriptor, if it has one, is closed.
    pub(crate) fn remove(&mut self, token: Token) {
        let free = self.free;
        let Some(record) = self.find(token) else { return };
        let generation = record.generation;
        *record = Record::vacant(free);
        record.generation = generation;
        self.free = token.index;
        self.used -= 1;
    }

    /// The record that `token` names, unless its connection is gone.
    pub(crate) fn find(&mut self, token: Token) -> Option<&mut Record> {
        let chunk = self.chunks.get_mut(token.index as usize / CHUNK)?;
        let record = &mut chunk[token.index as usize % CHUNK];
        (record.generation == token.generation && record.flag(IN_USE)).then_some(record)
    }

    /// Tells `each` of the connections among `count` records from `from` on; where to go on, while
    /// there are more.
    pub(crate) fn survey(
        &self,
        from: u32,
        count: u32,
        mut each: impl FnMut(&Record),
    ) -> Option<u32> {
        let all = (self.chunks.len() * CHUNK) as u32;
        let end = from.saturating_add(count).min(all);
        (from..end)
            .map(|index| &self[index])
            .filter(|record| record.flag(IN_USE))
            .for_each(&mut each);
        (end < all).then_some(end)
    }

    /// Tokens of all connections.
    pub(crate) fn tokens(&self) -> Vec<Token> {
        let records = self.chunks.iter().flat_map(|chunk| chunk.iter());
        let used = records.enumerate().filter(|(_, record)| record.flag(IN_USE));
        used.map(|(index, record)| Token { index: index as u32, generation: record.generation })
            .collect()
    }

    fn grow(&mut self) {
        let first = (self.chunks.len() * CHUNK) as u32;
        let last = first + CHUNK as u32 - 1;
        let next = |index: u32| if index == last { NONE } else { index + 1 };
        self.chunks.push((first..=last).map(|index| Record::vacant(next(index))).collect());
        self.free = first;
    }

    /// Gives unused chunks at the end back. Their generations are forgotten, which is why the
    /// caller must have no event of a closed connection pending.
    pub(crate) fn shrink(&mut self) {
        let before = self.chunks.len();
        while self.chunks.last().is_some_and(|chunk| !chunk.iter().any(|r| r.flag(IN_USE))) {
            self.chunks.pop();
        }
        if self.chunks.len() == before {
            return;
        }
        self.chunks.shrink_to_fit();
        self.free = NONE;
        for index in (0..(self.chunks.len() * CHUNK) as u32).rev() {
            if !self[index].flag(IN_USE) {
                self[index].next = self.free;
                self.free = index;
            }
        }
    }
}

impl std::ops::Index<u32> for Slab {
    type Output = Record;

    fn index(&self, index: u32) -> &Record {
        &self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }
}

impl std::ops::IndexMut<u32> for Slab {
    fn index_mut(&mut self, index: u32) -> &mut Record {
        &mut self.chunks[index as usize / CHUNK][index as usize % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_keeps_its_budget() {
        assert!(size_of::<Record>() <= 96, "{} bytes", size_of::<Record>());
        assert_eq!(size_of::<Kept>(), size_of::<Waker>());
    }

    #[test]
    fn an_age_is_kept_to_a_tenth_of_a_second() {
        let mut record = Record::vacant(NONE);
        assert_eq!(record.age_ends(), None);
        record.set_age_ends(Tick::from_millis(86_400_001));
        assert_eq!(record.age_ends(), Some(Tick::from_millis(86_400_100)));
        record.set_age_ends(Tick::from_millis(u64::MAX));
        assert_eq!(record.age_ends(), None);
    }

    #[test]
    fn a_stale_token_finds_nothing() {
        let mut slab = Slab::new();
        let first = slab.insert(Peer::Unix, 0);
        slab.remove(first);
        let second = slab.insert(Peer::Tcp("127.0.0.1:80".parse().expect("address")), 7);
        assert_eq!(first.index, second.index);
        assert!(slab.find(first).is_none());
        let record = slab.find(second).expect("the second");
        assert_eq!(record.peer().to_string(), "127.0.0.1");
        for peer in ["[2001:db8::1]:7", "192.0.2.1:9"] {
            let peer = Peer::Tcp(peer.parse().expect("address"));
            record.set_peer(peer);
            assert_eq!(record.peer(), peer);
        }
        record.set_peer(Peer::Unix);
        assert_eq!(record.peer(), Peer::Unix);
        assert_eq!(record.listener, 7);
        slab.remove(first);
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn unused_chunks_are_given_back() {
        let mut slab = Slab::new();
        let tokens: Vec<_> = (0..1000).map(|_| slab.insert(Peer::Unix, 0)).collect();
        tokens[1..].iter().for_each(|token| slab.remove(*token));
        slab.shrink();
        assert_eq!((slab.len(), slab.chunks.len()), (1, 1));
        let again: Vec<_> = (0..300).map(|_| slab.insert(Peer::Unix, 0)).collect();
        assert_eq!(slab.len(), 301);
        assert!(again.iter().all(|token| token.index != tokens[0].index));
    }
}
