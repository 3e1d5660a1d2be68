//! What a worker gives up while the process runs short of connections or of memory.
//!
//! Nothing while it is calm: the worker is woken when a budget is three quarters full. From there
//! on idle connections are kept for less and less time; from nine tenths on the longest idle are
//! closed until it is less. Each worker closes its own and looks at what all hold after each, so
//! that together they close no more than is needed. Where nothing idle is left anywhere, requests
//! that take more are refused ([`crate::chain::sheds`]): [`stead_core::Level::Overloaded`].
//!
//! Before anything idle is closed for the sake of memory, heads and handshakes that are not whole
//! end, and streams of HTTP/2 whose peer takes nothing ([`crate::stalled`]).
//!
//! INVARIANT: no other exchange under way is ever cut by any of this.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use stead_base::Tick;
use stead_core::{Level, Memory, Process, SCARCE, Scarcity, TIGHT};
use stead_net::Wait;

use crate::events;
use crate::stalled::{STALLED_LEAST, Stalled};
use crate::state::State;

/// How often a worker looks while it is not calm.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often and how long others are given time to make room.
const ROOM_LOOKS: usize = 20;
const ROOM_LOOK: Duration = Duration::from_millis(5);
/// Connections closed in one turn.
const CLOSED_PER_TURN: usize = 256;
/// What closing an idle connection frees at least, nearly all of it the kernel's.
const CONNECTION_BYTES: u64 = 4 << 10;
/// How long idle connections are spared where streams stand still: who began with that as memory
/// became scarce has stood for long enough then.
const SPARED_FOR: Duration = Duration::from_secs(STALLED_LEAST.as_secs() + 1);
/// An idle connection that is new is left alone at any pressure below nine tenths.
const IDLE_LEAST: Duration = Duration::from_secs(1);

/// A worker's part.
#[derive(Default)]
pub(crate) struct Relief {
    /// It said that nothing idle is left here.
    is_dry: Cell<bool>,
    /// The sample of memory that it acted upon.
    sample: Cell<u64>,
    /// Connections that it still closes for the sake of memory.
    for_memory: Cell<usize>,
    /// Streams that go before those.
    pub(crate) stalled: Stalled,
    /// Since when memory is scarce.
    scarce_since: Cell<Option<Tick>>,
}

/// Gives way whenever the budgets ask for it, as long as the worker runs.
pub(crate) async fn keep_relieving(state: Rc<State>) {
    let worker = Rc::clone(&state.worker);
    loop {
        worker.process.pressure.tightens(worker.index).await;
        while state.relieve() > Level::Calm {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = worker.process.pressure.is_urged(worker.index) => {}
            }
        }
    }
}

/// Moves the process to the level that its budgets ask for, and gives that; whoever sees it change
/// tells of it.
pub fn weigh(process: &Process) -> Level {
    if let Some((before, after)) = process.weigh() {
        events::level(before, after, process.fill());
    }
    process.level()
}

impl State {
    /// Waits a moment where every place is taken and nothing rests here, for other workers to close
    /// what rests there. Meanwhile connections wait in the listener's queue.
    pub(crate) async fn await_room(&self) {
        for _ in 0..ROOM_LOOKS {
            let process = &self.worker.process;
            let is_hopeless = process.level() == Level::Overloaded;
            if !process.connections.is_full() || is_hopeless || !self.park.is_dry() {
                return;
            }
            process.pressure.urge();
            tokio::time::sleep(ROOM_LOOK).await;
        }
    }

    /// Takes a place for a new connection. Where there is none, the one that rests longest gives
    /// its own; `false` if none rests.
    pub(crate) fn take_place(&self) -> bool {
        let process = &self.worker.process;
        let connections = &process.connections;
        let take = || !process.worker_is_full(self.open_public.get()) && connections.take(1);
        let mut taken = take();
        while !taken && self.park.make_room_at_once(self) {
            taken = take();
        }
        if connections.reaches(TIGHT) {
            self.weigh();
        }
        // Between two looks a storm could take all that is left.
        if self.excess() > 0 && !self.park.make_room(self) {
            self.set_dry(true);
            self.weigh();
        }
        taken
    }

    /// Whether a listener's peers would not understand an answer in the clear.
    pub(crate) fn is_mute(&self, listener: u16) -> bool {
        let facts = self.listener(listener);
        self.server(facts.server).streams.is_some() || facts.opening.tls.is_some()
    }

    /// What a connection of this server waits for while it rests: those of private servers make no
    /// room for others.
    pub(crate) fn at_rest(&self, server: u16, wait: Wait) -> Wait {
        if self.server(server).private { Wait::Kept } else { wait }
    }

    /// Gives up what the budgets ask for; the level that is left.
    fn relieve(&self) -> Level {
        if self.weigh() > Level::Calm {
            let is_news = self.note_sample() && !self.stalled_go_first();
            self.shorten_waits(is_news);
            self.close_longest();
            let is_full = self.worker.process.fill().percent >= SCARCE;
            // Whoever is about to end makes room, too.
            self.set_dry(is_full && self.park.is_dry() && self.park.leaving() == 0);
        }
        self.weigh()
    }

    fn weigh(&self) -> Level {
        weigh(&self.worker.process)
    }

    /// Whether what takes more than there is left is refused: nothing idle is left to close.
    pub(crate) fn is_overloaded(&self) -> bool {
        self.worker.process.level() == Level::Overloaded
    }

    /// Whether memory is among what has run short.
    pub(crate) fn lacks_memory(&self) -> bool {
        self.worker.process.pressure.memory().percent() >= SCARCE
    }

    /// Closes those that rest for longer than they now may.
    fn shorten_waits(&self, is_news: bool) {
        let fill = self.worker.process.fill();
        let most = match fill.of {
            Scarcity::Connections => CLOSED_PER_TURN,
            Scarcity::Memory if is_news => self.a_tenth(),
            // What was freed shows only in the next sample.
            Scarcity::Memory => 0,
        };
        self.park.shorten(|limit| shortened(limit, fill.percent), most, self);
    }

    /// Decides how many connections to close for the sake of memory; whether there is a sample that
    /// was not seen yet.
    fn note_sample(&self) -> bool {
        let memory = self.worker.process.pressure.memory();
        let is_news = self.relief.sample.replace(memory.sample) != memory.sample;
        if is_news {
            let workers = self.worker.process.workers();
            self.relief.for_memory.set(to_close(memory, workers, self.a_tenth()));
            if memory.percent() >= TIGHT {
                self.park.give_back();
            }
        }
        is_news
    }

    /// Ends streams that stand still where memory is scarce; whether idle connections may stay
    /// until the next sample.
    fn stalled_go_first(&self) -> bool {
        let now = self.worker.now();
        let since = self.lacks_memory().then(|| self.relief.scarce_since.get().unwrap_or(now));
        self.relief.scarce_since.set(since);
        let is_turn = since.is_some_and(|since| now - since < SPARED_FOR);
        let goes_first = since.is_some() && self.relief.stalled.wake() && is_turn;
        if goes_first {
            self.relief.for_memory.set(0);
        }
        goes_first
    }

    /// A tenth of what rests, and one: it may be others who hold the memory.
    fn a_tenth(&self) -> usize {
        let parked = self.worker.counters.connections_parked.value();
        usize::try_from(parked / 10).unwrap_or(usize::MAX).saturating_add(1)
    }

    /// Connections of the process beyond nine tenths, but for those that are about to end here.
    fn excess(&self) -> usize {
        self.worker.process.connections.excess(SCARCE).saturating_sub(self.park.leaving())
    }

    fn close_longest(&self) {
        let mut for_memory = self.relief.for_memory.get();
        for closed in 0..self.excess().max(for_memory).min(CLOSED_PER_TURN) {
            // Others close theirs too.
            let is_enough = closed >= for_memory && self.excess() == 0;
            if is_enough || !self.park.make_room(self) {
                break;
            }
        }
        for_memory = for_memory.saturating_sub(CLOSED_PER_TURN);
        self.relief.for_memory.set(for_memory);
    }

    /// Says whether nothing idle is left on this worker.
    pub(crate) fn set_dry(&self, is_dry: bool) {
        let pressure = &self.worker.process.pressure;
        match (self.relief.is_dry.replace(is_dry), is_dry) {
            (false, true) => pressure.runs_dry(),
            (true, false) => pressure.is_dry_no_longer(),
            _ => {}
        }
    }
}

/// What is left of a wait: all of it up to three quarters, a second from nine tenths on, and in a
/// straight line between.
fn shortened(limit: Duration, percent: u8) -> Duration {
    let least = limit.min(IDLE_LEAST);
    let left = u32::from(SCARCE.saturating_sub(percent.max(TIGHT)));
    least + limit.saturating_sub(least) * left / u32::from(SCARCE - TIGHT)
}

/// How many connections a worker closes for a sample of memory: as many as would free its share of
/// what is too much, and no more than `most`.
fn to_close(memory: Memory, workers: usize, most: usize) -> usize {
    if memory.percent() < SCARCE {
        return 0;
    }
    let excess = memory.used.saturating_sub(memory.max / 100 * u64::from(SCARCE));
    let share = excess / CONNECTION_BYTES / workers as u64;
    usize::try_from(share).unwrap_or(usize::MAX).clamp(1, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn security_36_waits_shrink_in_a_straight_line() {
        let check = |limit: u64, percent: u8, left: u64| {
            let left = Duration::from_millis(left);
            assert_eq!(shortened(Duration::from_millis(limit), percent), left, "at {percent} %");
        };
        check(76_000, 0, 76_000);
        check(76_000, 75, 76_000);
        check(76_000, 76, 71_000);
        check(76_000, 84, 31_000);
        check(76_000, 90, 1_000);
        check(76_000, 100, 1_000);
        // What was short stays as it is.
        check(400, 100, 400);
    }

    #[test]
    fn security_36_memory_closes_its_share_and_no_more_than_is_allowed_at_once() {
        let check = |used: u64, workers: usize, most: usize, expect: usize| {
            let memory = Memory { used, max: 100 << 20, sample: 1 };
            assert_eq!(to_close(memory, workers, most), expect, "{used} B used");
        };
        check(89 << 20, 1, 5_000, 0);
        check(92 << 20, 1, 5_000, 512);
        check(92 << 20, 2, 5_000, 256);
        check(92 << 20, 1, 11, 11);
        check(91 << 20, 64, 1, 1);
    }
}
