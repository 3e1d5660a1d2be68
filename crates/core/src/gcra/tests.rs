//! Against a model, in any order, from many threads, with a million clients.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;
use crate::Client;

const SECOND: u64 = 1_000_000_000;

fn allowances(count: u32, burst: u32, clients_max: u32) -> Allowances {
    let rate = Frequency { count, per: Duration::from_secs(1) };
    Allowances::new(rate, burst, clients_max).expect("a burst that can be earned")
}

fn key(allowances: &Allowances, name: u64) -> Key {
    let mut key = allowances.key();
    key.write(&name.to_le_bytes());
    key.finish()
}

#[test]
fn a_burst_conforms_at_once_and_the_rest_at_the_rate() {
    let allowances = allowances(10, 3, 100);
    let key = key(&allowances, 1);
    let take = |now| allowances.take(key, now, Duration::ZERO);
    for _ in 0..3 {
        assert_eq!(take(SECOND), Verdict::Conforms(Duration::ZERO));
    }
    assert_eq!(take(SECOND), Verdict::Refused(Duration::from_millis(100)));
    assert_eq!(take(SECOND + SECOND / 20), Verdict::Refused(Duration::from_millis(50)));
    assert_eq!(take(SECOND + SECOND / 10), Verdict::Conforms(Duration::ZERO));
    assert!(matches!(take(SECOND + SECOND / 10), Verdict::Refused(_)));
    let standing = allowances.standing(key, SECOND + SECOND / 10);
    assert_eq!(standing, Standing { remaining: 0, whole_in: Duration::from_millis(300) });
    let standing = allowances.standing(key, 2 * SECOND);
    assert_eq!(standing, Standing { remaining: 3, whole_in: Duration::ZERO });
    let wait = |now| allowances.wait(key, now);
    assert_eq!(wait(SECOND + SECOND / 10), Some(Duration::from_millis(100)));
    assert_eq!(wait(SECOND + SECOND / 5), None);
    assert_eq!(allowances.wait(self::key(&allowances, 2), SECOND), None, "never seen");
    assert_eq!(take(SECOND + SECOND / 5), Verdict::Conforms(Duration::ZERO), "asking takes none");
}

#[test]
fn a_delay_makes_wait_what_would_be_refused() {
    let allowances = allowances(10, 1, 100);
    let key = key(&allowances, 1);
    let take = || allowances.take(key, SECOND, Duration::from_millis(200));
    assert_eq!(take(), Verdict::Conforms(Duration::ZERO));
    assert_eq!(take(), Verdict::Conforms(Duration::from_millis(100)));
    assert_eq!(take(), Verdict::Conforms(Duration::from_millis(200)));
    assert_eq!(take(), Verdict::Refused(Duration::from_millis(100)));
}

#[test]
fn what_takes_a_lifetime_to_earn_is_no_allowance() {
    let rate = Frequency { count: 1, per: Duration::from_hours(24) };
    assert!(Allowances::new(rate, 20_000, 1).is_some());
    assert!(Allowances::new(rate, 1_000_000, 1).is_none());
}

#[test]
fn addresses_of_one_network_are_one_client() {
    let allowances = allowances(1, 1, 1);
    let key = |ip: &str| {
        let mut key = allowances.key();
        key.write_client(Client::Ip(ip.parse().expect(ip)));
        key.finish()
    };
    assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
    assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
}

#[test]
fn a_million_clients_take_at_most_64_bytes_each() {
    const CLIENTS: u64 = 1_000_000;
    let allowances = allowances(1, 10, CLIENTS as u32);
    let mut most = 0.0_f64;
    for client in 0..CLIENTS {
        allowances.take(key(&allowances, client), SECOND, Duration::ZERO);
        if client >= CLIENTS / 100 && client.is_multiple_of(CLIENTS / 50) {
            most = most.max(allowances.bytes() as f64 / (client + 1) as f64);
        }
    }
    let each = allowances.bytes() as f64 / CLIENTS as f64;
    // Known clients of a full table, and of one of a thousand: O(1).
    let time = |clients: u64| {
        let start = std::time::Instant::now();
        for turn in 0..CLIENTS / 5 {
            let client = key(&allowances, turn * 7_919 % clients);
            allowances.take(client, SECOND, Duration::ZERO);
        }
        start.elapsed() / (CLIENTS / 5) as u32
    };
    let (few, all) = (time(1_000), time(CLIENTS));
    println!("{each:.1} bytes a client, {most:.1} on the way; {few:?} of 1,000, {all:?} of all");
    assert!(each <= 64.0 && most <= 64.0, "{each} {most}");
    // Each of them is still known, but for the few whose shard was full before the others.
    let known = (0..CLIENTS)
        .filter(|client| allowances.standing(key(&allowances, *client), SECOND).remaining < 10);
    let known = known.count() as u64;
    assert!(known >= CLIENTS - 10, "{known}");
}

#[test]
fn a_table_shrinks_when_its_clients_are_gone() {
    let allowances = allowances(1, 10, 1_000_000);
    for client in 0..50_000 {
        allowances.take(key(&allowances, client), SECOND, Duration::ZERO);
    }
    assert!(allowances.bytes() > 1_200_000);
    for turn in 0..200_000 {
        let client = key(&allowances, 50_000 + turn % 1_000);
        allowances.take(client, 60 * SECOND + turn, Duration::ZERO);
    }
    let held = allowances.bytes();
    assert!(held < 200_000, "{held} bytes for 1,000 clients");
}

#[test]
fn a_full_table_forgets_whose_allowance_is_nearest_to_whole() {
    let allowances = allowances(1, 1_000, 1_000);
    let abuser = key(&allowances, u64::MAX);
    for _ in 0..1_000 {
        allowances.take(abuser, SECOND, Duration::ZERO);
    }
    for client in 0..100_000 {
        let verdict = allowances.take(key(&allowances, client), SECOND, Duration::ZERO);
        assert_eq!(verdict, Verdict::Conforms(Duration::ZERO), "others go on");
    }
    assert!(matches!(allowances.take(abuser, SECOND, Duration::ZERO), Verdict::Refused(_)));
    assert!(allowances.bytes() < 64 * 1_000, "{} bytes", allowances.bytes());
}

#[test]
fn threads_share_one_allowance_exactly() {
    let allowances = Arc::new(allowances(1_000, 500, 1_000));
    let conforming: Arc<Vec<AtomicUsize>> = Arc::new((0..7).map(|_| AtomicUsize::new(0)).collect());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (allowances, conforming) = (Arc::clone(&allowances), Arc::clone(&conforming));
            scope.spawn(move || {
                for turn in 0..7 * 200 {
                    let client = turn % 7;
                    // The clock moves on by 7 requests' worth meanwhile, whoever is first.
                    let now = SECOND + (turn / 200) * 1_000_000;
                    let key = key(&allowances, client);
                    if let Verdict::Conforms(_) = allowances.take(key, now, Duration::ZERO) {
                        conforming[client as usize].fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    for count in conforming.iter() {
        let count = count.load(Ordering::Relaxed);
        // Threads that are behind ask with an earlier clock, which is never more generous.
        assert!((500..=506).contains(&count), "{count}");
    }
}

/// Takes at the same moment from many threads: exactly the burst.
#[test]
fn any_interleaving_gives_exactly_the_burst() {
    for burst in [1, 2, 17, 100] {
        let allowances = Arc::new(allowances(1, burst, 10));
        let conforming = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for _ in 0..burst {
                        let key = key(&allowances, 3);
                        if let Verdict::Conforms(_) = allowances.take(key, SECOND, Duration::ZERO) {
                            conforming.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(conforming.into_inner(), burst as usize);
    }
}

/// The model: one bucket of tokens for each client, in exact fractions (`interval` parts a token).
#[derive(Default)]
struct Model(HashMap<u64, (u64, u64)>);

impl Model {
    fn take(&mut self, client: u64, now: u64, interval: u64, burst: u64) -> bool {
        let (parts, last) = self.0.entry(client).or_insert((interval * burst, now));
        *parts = (*parts + (now - *last)).min(interval * burst);
        *last = now;
        let conforms = *parts >= interval;
        if conforms {
            *parts -= interval;
        }
        conforms
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn decisions_are_those_of_a_token_bucket(
        count in 1..50_u32,
        burst in 1..20_u32,
        asks in proptest::collection::vec((0..12_u64, 0..200_000_000_u64), 1..400),
    ) {
        let allowances = allowances(count, burst, 1_000);
        let mut model = Model::default();
        let mut now = SECOND;
        let mut conforming: HashMap<u64, Vec<u64>> = HashMap::new();
        for (client, later) in asks {
            now += later;
            let verdict = allowances.take(key(&allowances, client), now, Duration::ZERO);
            let expect = model.take(client, now, allowances.interval, u64::from(burst));
            prop_assert_eq!(matches!(verdict, Verdict::Conforms(_)), expect);
            if expect {
                conforming.entry(client).or_default().push(now);
            } else if let Verdict::Refused(again) = verdict {
                // What it says of coming back is true, and not too late.
                let standing = allowances.standing(key(&allowances, client), now + nanos(again));
                prop_assert_eq!(standing.remaining, 1);
            }
        }
        for moments in conforming.values() {
            for (first, start) in moments.iter().enumerate() {
                for (last, end) in moments.iter().enumerate().skip(first) {
                    let allowed = u64::from(burst) + (end - start) * u64::from(count) / SECOND;
                    prop_assert!(((last - first) as u64) < allowed);
                }
            }
        }
    }

    #[test]
    fn delayed_requests_leave_at_the_rate(
        count in 1..50_u32,
        burst in 1..5_u32,
        asks in proptest::collection::vec(0..100_000_000_u64, 1..100),
    ) {
        let allowances = allowances(count, burst, 1_000);
        let (mut now, mut left) = (SECOND, Vec::new());
        for later in asks {
            now += later;
            if let Verdict::Conforms(wait) =
                allowances.take(key(&allowances, 1), now, Duration::from_millis(300))
            {
                prop_assert!(wait <= Duration::from_millis(300));
                left.push(now + nanos(wait));
            }
        }
        prop_assert!(left.is_sorted(), "first come, first served");
        for (first, start) in left.iter().enumerate() {
            for (last, end) in left.iter().enumerate().skip(first) {
                let allowed = u64::from(burst) + (end - start) * u64::from(count) / SECOND;
                prop_assert!(((last - first) as u64) < allowed);
            }
        }
    }
}
