//! Who makes room, in which order, and who is left alone.

use std::cell::RefCell;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use stead_core::{Blocking, Job, Peer, Worker};

use super::*;
use crate::park::ACTIVE_MANY;

struct Nobody;

impl Blocking for Nobody {
    fn run(&self, job: Job) {
        drop(job);
    }
}

/// What the park told of the connections that it closed: their listeners, which the tests use as
/// names.
#[derive(Default)]
struct Told(RefCell<Vec<u16>>);

impl Wake for Told {
    fn wake(&self, _: Token, _: std::os::fd::OwnedFd, _: Option<crate::Held>) {}

    fn closed(&self, why: Closed, listener: u16, _: Peer, _: Left) {
        assert_eq!(why, Closed::Pressure);
        self.0.borrow_mut().push(listener);
    }
}

struct Woken(AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs `test` with an empty park.
fn with_park(test: impl FnOnce(&Park)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let worker = Worker::new(0, Arc::default(), Arc::default(), Box::new(Nobody));
        test(&Park::new(Rc::new(worker), || {}).expect("a park"));
    });
}

/// Lets connection `name` rest as if it had begun `ago` earlier; its peer stays open as long as
/// what is returned.
fn rest(
    park: &Park,
    name: u16,
    wait: Wait,
    limit: Option<Duration>,
    ago: Duration,
) -> (Token, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let token = park.admit(Peer::Unix, name, None);
    park.rest(token, ours.into(), wait, limit, None).expect("it rests");
    backdate(park, token, ago);
    (token, theirs)
}

fn backdate(park: &Park, token: Token, ago: Duration) {
    let mut inner = park.inner.borrow_mut();
    let record = &mut inner.slab[token.index];
    let ago = u64::try_from(ago.as_millis()).expect("short");
    record.deadline = Tick::from_millis(record.deadline.as_millis() - ago);
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn security_36_room_is_made_by_idle_tasks_then_the_silent_then_the_longest_idle() {
    with_park(|park| {
        let told = Told::default();
        let woken = Arc::new(Woken(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&woken));
        assert!(park.is_dry() && !park.make_room(&told));
        let idle = Some(seconds(75));
        let kept = [
            rest(park, 1, Wait::Idle, idle, seconds(40)),
            rest(park, 2, Wait::Idle, None, seconds(50)),
            rest(park, 3, Wait::Idle, idle, seconds(30)),
            rest(park, 4, Wait::FirstByte, Some(seconds(10)), seconds(3)),
            // Not long enough to be told from an honest one.
            rest(park, 5, Wait::FirstByte, Some(seconds(10)), seconds(1) / 2),
            rest(park, 9, Wait::FirstByte, None, seconds(0)),
        ];
        let busy = park.admit(Peer::Unix, 6, None);
        park.arm(busy, Wait::Task, seconds(10), &waker);
        let (_, private) = rest(park, 8, Wait::Kept, idle, seconds(60));
        let task = park.admit(Peer::Unix, 7, None);
        park.arm(task, Wait::IdleTask, seconds(75), &waker);
        assert!(!park.is_dry() && !park.makes_room(task));

        assert!(park.make_room(&told));
        assert!(park.makes_room(task) && park.is_expired(task));
        assert_eq!((woken.0.load(Ordering::Relaxed), told.0.borrow().len()), (1, 0));
        assert_eq!(park.leaving(), 1);
        while park.make_room(&told) {}
        assert_eq!(*told.0.borrow(), [4, 2, 1, 3, 5]);
        assert!(park.is_dry() && park.make_room_at_once(&told));
        assert_eq!(*told.0.borrow(), [4, 2, 1, 3, 5, 9]);
        assert!(park.is_dry() && !park.make_room_at_once(&told));
        // Who is active is untouched.
        assert!(park.facts(busy).is_some() && !park.makes_room(busy));
        assert_eq!(park.len(), 3);
        park.remove(task);
        assert_eq!((park.len(), park.leaving()), (2, 0));
        drop((kept, private));
    });
}

/// One that was told to go and waits on stood at the head of its list, and hid all others.
#[test]
fn who_was_told_to_go_hides_nobody_and_may_stay() {
    with_park(|park| {
        let told = Told::default();
        let tasks = [1, 2].map(|name| park.admit(Peer::Unix, name, None));
        let arm = |token| park.arm(token, Wait::IdleTask, seconds(75), Waker::noop());
        tasks.into_iter().for_each(arm);
        assert!(park.make_room(&told) && park.makes_room(tasks[0]));
        tasks.into_iter().for_each(arm);
        assert!(!park.is_dry() && park.make_room(&told) && park.makes_room(tasks[1]));
        assert_eq!(park.leaving(), 2);
        // Both were at work meanwhile.
        for token in [tasks[0], tasks[1], tasks[1]] {
            park.stays(token);
        }
        assert_eq!(park.leaving(), 0);
        tasks.into_iter().for_each(arm);
        assert!(park.make_room(&told) && park.makes_room(tasks[0]));
        for token in tasks {
            park.remove(token);
        }
        assert_eq!((park.len(), park.leaving()), (0, 0));
    });
}

#[test]
fn what_makes_room_at_once_is_closed_at_once() {
    with_park(|park| {
        let told = Told::default();
        let task = park.admit(Peer::Unix, 1, None);
        park.arm(task, Wait::IdleTask, FOR_EVER, Waker::noop());
        let (_, peer) = rest(park, 2, Wait::Idle, Some(seconds(75)), seconds(0));
        assert!(park.make_room_at_once(&told) && !park.make_room_at_once(&told));
        assert!(!park.makes_room(task) && !park.is_dry());
        peer.set_nonblocking(true).expect("non-blocking");
        assert_eq!(std::io::Read::read(&mut &peer, &mut [0]).expect("the end"), 0);
    });
}

#[test]
fn security_36_shorter_waits_end_those_who_rest_longer_and_no_others() {
    with_park(|park| {
        let told = Told::default();
        let idle = Some(seconds(75));
        let kept = [
            rest(park, 60, Wait::Idle, idle, seconds(60)),
            rest(park, 50, Wait::Idle, idle, seconds(50)),
            rest(park, 40, Wait::Idle, idle, seconds(40)),
            rest(park, 30, Wait::Idle, idle, seconds(30)),
            rest(park, 9, Wait::Idle, None, seconds(1_000)),
            rest(park, 8, Wait::FirstByte, Some(seconds(10)), seconds(8)),
        ];
        let half = |length: Duration| length / 2;
        assert_eq!(park.shorten(half, 1, &told), 1);
        assert_eq!(park.shorten(half, usize::MAX, &told), 3);
        assert_eq!(*told.0.borrow(), [60, 50, 40, 8]);
        assert_eq!(park.shorten(half, usize::MAX, &told), 0);
        assert_eq!(park.shorten(|length| length, usize::MAX, &told), 0);
        drop(kept);
    });
}

#[test]
fn who_is_forgotten_twice_takes_nobody_along() {
    with_park(|park| {
        let first = park.admit(Peer::Unix, 1, None);
        park.remove(first);
        let second = park.admit(Peer::Unix, 2, None);
        park.arm(second, Wait::IdleTask, seconds(75), Waker::noop());
        park.remove(first);
        assert!(park.make_room(&Told::default()) && park.makes_room(second));
        assert_eq!((park.len(), park.leaving()), (1, 1));
    });
}

/// What a worker does with a connection whose time is over may ask the park, which was borrowed.
#[test]
fn whoever_is_told_of_the_end_of_a_wait_may_ask_the_park() {
    struct Asks<'a>(&'a Park, RefCell<Vec<usize>>);
    impl Wake for Asks<'_> {
        fn wake(&self, _: Token, _: std::os::fd::OwnedFd, _: Option<crate::Held>) {}

        fn closed(&self, why: Closed, _: u16, _: Peer, _: Left) {
            assert_eq!(why, Closed::Deadline(Wait::Idle));
            self.1.borrow_mut().push(self.0.len());
            let token = self.0.admit(Peer::Unix, 0, None);
            self.0.arm(token, Wait::Task, seconds(1) / 2, Waker::noop());
        }
    }
    with_park(|park| {
        let kept = [1, 2].map(|name| rest(park, name, Wait::Idle, Some(seconds(5)), seconds(6)));
        let asks = Asks(park, RefCell::default());
        park.look_at_deadlines(&asks);
        assert_eq!((asks.1.take(), park.len()), (vec![1, 1], 2));
        // What was armed then is looked at in time.
        assert!(park.check_at.get().is_some_and(|tick| tick <= clock::now() + seconds(1) / 2));
        drop(kept);
    });
}

/// Resting connections are no crowd, however many: only what holds a task is.
#[test]
fn active_connections_beyond_a_number_are_a_crowd() {
    with_park(|park| {
        let tokens: Vec<_> = (0..=ACTIVE_MANY).map(|_| park.admit(Peer::Unix, 0, None)).collect();
        assert!(park.is_crowded());
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        park.rest(tokens[0], ours.into(), Wait::Idle, None, None).expect("it rests");
        assert!(!park.is_crowded());
        park.remove(tokens[1]);
        park.admit(Peer::Unix, 0, None);
        park.admit(Peer::Unix, 0, None);
        assert!(park.is_crowded());
    });
}
