//! What becomes of a host's certificate, whatever its authority does.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use stead_acme::{
    Authority, ChallengeKind, Condition, Front, KeyType, Report, Roots, Settings, Store,
};
use tempfile::TempDir;

use crate::Listeners;
use crate::directory::{Directory, Script};

const HOST: &str = "a.example";
/// A second host, which has no certificate: once it has one, whatever was to be done for the first
/// was begun long before, however busy the machine is.
const OTHER: &str = "b.example";

struct Case {
    state: TempDir,
    listeners: Arc<Listeners>,
    directory: Arc<Directory>,
}

impl Case {
    fn new(script: Script) -> Self {
        Self::with(&[ChallengeKind::Http, ChallengeKind::TlsAlpn], script)
    }

    fn with(kinds: &[ChallengeKind], script: Script) -> Self {
        let listeners = Arc::new(Listeners::new(kinds));
        let directory = Directory::start(&listeners, script);
        Self { state: tempfile::tempdir().expect("a folder"), listeners, directory }
    }

    fn settings(&self) -> Settings {
        Settings {
            folder: self.state.path().join("acme"),
            directory: self.directory.url(),
            email: Some("who@example.org".to_owned()),
            key_type: KeyType::P256,
            roots: Roots::parse(self.directory.root.as_bytes()).expect("a root"),
            binding: None,
        }
    }

    fn open(&self) -> Authority {
        self.open_for(&[HOST])
    }

    fn open_for(&self, hosts: &[&str]) -> Authority {
        let front: Arc<dyn Front> = Arc::clone(&self.listeners) as _;
        let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
        Authority::open(self.settings(), hosts, front).expect("opens")
    }

    fn store(&self) -> Store {
        let settings = self.settings();
        Store::open(&settings.folder, &settings.directory).expect("opens")
    }

    /// What is remembered of the host.
    #[expect(clippy::disallowed_methods, reason = "our own record")]
    fn record(&self) -> (PathBuf, Option<serde_json::Value>) {
        let path = self.store().folder().join(format!("{HOST}.json"));
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        (path, serde_json::from_str(&text).ok())
    }

    /// When the certificate was issued, once the record tells: the last that is done of an order.
    fn issued_at(&self) -> Option<u64> {
        self.record().1.and_then(|record| record["issued_at_unix_s"].as_u64())
    }

    /// Whether the authority was asked when to renew, and the answer is kept.
    fn is_asked(&self) -> bool {
        self.record().1.is_some_and(|record| !record["ask_at_unix_s"].is_null())
    }

    /// Sets back when the certificate was issued, and has it renewed now.
    fn age(&self, by: Duration) {
        let (path, record) = self.record();
        let (mut record, issued_at) = record.zip(self.issued_at()).expect("a record");
        record["issued_at_unix_s"] = (issued_at - by.as_secs()).into();
        record["renew_at_unix_s"] = issued_at.into();
        std::fs::write(&path, record.to_string()).expect("writes");
    }

    /// Runs until the host's report is as it should be.
    async fn until(&self, authority: &Authority, is: impl Fn(&Report) -> bool) -> Report {
        self.until_of(HOST, authority, is).await
    }

    /// Runs until what is to be done for the first host is begun, if anything is.
    async fn rests(&self, authority: &Authority) {
        self.until_of(OTHER, authority, |report| report.issued == 1).await;
    }

    async fn until_of(
        &self,
        host: &str,
        authority: &Authority,
        is: impl Fn(&Report) -> bool,
    ) -> Report {
        let run = tokio::spawn(authority.clone().run());
        let began = Instant::now();
        let report = loop {
            let mut reports = authority.reports().into_iter();
            let report = reports.find(|report| report.host == host).expect("a report");
            if is(&report) {
                break report;
            }
            assert!(began.elapsed() < PATIENCE, "{report:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        run.abort();
        let _ = run.await;
        report
    }

    async fn issue(&self) -> Report {
        // Asked when to renew it, which is remembered last: nothing is written after that.
        let is_done = |report: &Report| report.issued == 1 && self.is_asked();
        self.until(&self.open(), is_done).await
    }
}

/// Longer than anything takes here, on a busy machine too.
const PATIENCE: Duration = Duration::from_mins(1);

fn after(moment: Option<SystemTime>) -> Duration {
    let moment = moment.expect("a moment");
    moment.duration_since(SystemTime::now()).unwrap_or_default()
}

#[tokio::test]
async fn a_certificate_is_issued_stored_and_found_by_the_next_process() {
    let case = Case::new(Script::default());
    let report = case.issue().await;
    assert!(matches!(report.condition, Condition::Valid(_)), "{report:?}");
    let days = after(report.renew_at).as_secs() / 86_400;
    assert!((56..=60).contains(&days), "renewed in {days} days");
    assert!(!report.ends_soon);
    assert!(!case.listeners.shows_challenges(), "a challenge is shown no longer than needed");
    assert_eq!(case.listeners.installed(HOST), 1);

    let again = case.open_for(&[HOST, OTHER]);
    assert_eq!(case.listeners.installed(HOST), 2, "installed before anything runs");
    case.rests(&again).await;
    assert_eq!((case.directory.orders_of(HOST), case.directory.issued()), (1, 2));
    assert_eq!(case.directory.script().accounts, 1);
}

#[tokio::test]
async fn two_that_share_a_folder_order_once() {
    let case = Case::new(Script::default());
    let (one, other) = (case.open(), case.open());
    let running = tokio::spawn(other.clone().run());
    case.until(&one, |report| report.condition != Condition::Pending).await;
    while other.reports()[0].condition == Condition::Pending {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.abort();
    assert_eq!(case.directory.issued(), 1);
    assert_eq!(case.directory.script().accounts, 1);
    assert_eq!(case.listeners.installed(HOST), 2, "both serve it");
}

#[tokio::test]
async fn whoever_waits_shows_what_the_other_has_to_prove() {
    for kind in [ChallengeKind::Http, ChallengeKind::TlsAlpn] {
        let case = Case::with(&[kind], Script::default());
        // The authority looks at `case.listeners` alone, and these order first.
        let elsewhere = Arc::new(Listeners::new(&[kind]));
        let front: Arc<dyn Front> = Arc::clone(&elsewhere) as _;
        let hosts = vec![HOST.to_owned()];
        let orders = Authority::open(case.settings(), hosts, front).expect("opens");
        let ordering = tokio::spawn(orders.clone().run());
        while case.store().lock(HOST).expect("opens").is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let waiting = case.open();
        let report = case.until(&waiting, |report| report.condition != Condition::Pending).await;
        ordering.abort();
        assert_eq!((report.issued, orders.reports()[0].issued), (0, 1), "{report:?}");
        assert!(!case.listeners.shows_challenges() && !elsewhere.shows_challenges());
    }
}

#[tokio::test]
async fn who_waits_for_a_lock_orders_nothing() {
    let case = Case::new(Script::default());
    let lock = case.store().lock(HOST).expect("opens").expect("free");
    let authority = case.open_for(&[HOST, OTHER]);
    case.rests(&authority).await;
    assert_eq!((case.directory.asked("/order"), case.directory.orders_of(HOST)), (1, 0));
    drop(lock);
    case.until(&authority, |report| report.condition != Condition::Pending).await;
}

#[tokio::test]
async fn the_authority_is_asked_when_to_renew() {
    let window = (40 * 86_400, 50 * 86_400);
    let case = Case::new(Script { window: Some(window), ..Script::default() });
    let is_asked = |report: &Report| {
        report.renew_at.is_some_and(|at| after(Some(at)) < Duration::from_hours(51 * 24))
    };
    let report = case.until(&case.open(), is_asked).await;
    let days = after(report.renew_at).as_secs() / 86_400;
    assert!((39..=50).contains(&days), "renewed in {days} days");
}

#[tokio::test]
async fn a_window_that_stays_in_the_past_orders_no_sooner_than_a_day_and_a_half_later() {
    let case = Case::new(Script { window: Some((-200, -100)), ..Script::default() });
    let is_asked = |report: &Report| {
        report.renew_at.is_some_and(|at| after(Some(at)) < Duration::from_hours(37))
    };
    // Told by the status too.
    let report = case.until(&case.open(), is_asked).await;
    assert!(after(report.renew_at) > Duration::from_hours(35), "{report:?}");
    case.rests(&case.open_for(&[HOST, OTHER])).await;
    assert_eq!(case.directory.orders_of(HOST), 1);

    case.age(Duration::from_hours(37));
    let report = case.until(&case.open(), |report| report.issued >= 1).await;
    assert!(after(report.renew_at) > Duration::from_hours(35), "{report:?}");
    assert_eq!((case.directory.orders_of(HOST), case.directory.replacements()), (2, 1));
}

#[tokio::test]
async fn what_an_authority_asks_to_wait_is_waited() {
    let refusals = vec![(429, "rateLimited", Some("7200"))];
    let case = Case::new(Script { refusals, ..Script::default() });
    let report = case.until(&case.open(), |report| report.failures == 1).await;
    assert!(after(report.try_at) >= Duration::from_secs(7_100), "{report:?}");
    let error = report.last_error.expect("an error");
    assert_eq!(error, "place an order: rateLimited: as the script says");

    // A restart changes nothing about it.
    let again = case.open_for(&[HOST, OTHER]);
    assert!(after(again.reports()[0].try_at) >= Duration::from_secs(7_100));
    case.rests(&again).await;
    assert_eq!((case.directory.asked("/order"), case.directory.orders_of(HOST)), (2, 0));
}

#[tokio::test]
async fn an_authority_that_is_away_for_a_moment_is_asked_again() {
    let case = Case::new(Script { outages: 3, ..Script::default() });
    let report = case.issue().await;
    assert_eq!(report.failures, 0);
}

#[tokio::test]
async fn one_that_stays_away_leaves_what_is_served_and_is_tried_later() {
    let case = Case::new(Script { validity: Duration::from_secs(5), ..Script::default() });
    case.issue().await;
    case.directory.script().outages = u32::MAX;
    let report = case.until(&case.open(), |report| report.failures == 1).await;
    assert!(after(report.try_at) <= Duration::from_secs(6), "{report:?}");
    assert!(report.condition.not_after().is_some(), "the old one stays");
    assert!(report.ends_soon, "{report:?}");
}

#[tokio::test]
async fn the_other_kind_is_tried_when_one_fails() {
    let takes = vec![ChallengeKind::TlsAlpn];
    let case = Case::new(Script { takes, ..Script::default() });
    let report = case.issue().await;
    assert!(matches!(report.condition, Condition::Valid(_)), "{report:?}");
    assert_eq!(case.directory.asked("/show/0/http-01"), 1);
    assert_eq!(case.directory.asked("/show/1/tls-alpn-01"), 1);
    assert!(!case.listeners.shows_challenges());
}

#[tokio::test]
async fn a_challenge_that_fails_says_why() {
    let case =
        Case::with(&[ChallengeKind::Http], Script { takes: Vec::new(), ..Script::default() });
    let report = case.until(&case.open(), |report| report.failures == 1).await;
    let error = report.last_error.expect("an error");
    assert_eq!(error, "http-01 failed: unauthorized: as the script says");
    assert!(after(report.try_at) > Duration::from_mins(7));
}

#[tokio::test]
async fn without_a_listener_nothing_is_ordered() {
    let case = Case::with(&[], Script::default());
    let report = case.until(&case.open(), |report| report.failures == 1).await;
    assert!(report.last_error.expect("an error").contains("no listener can prove a host"));
    assert_eq!(case.directory.asked("/order"), 0);
}

#[tokio::test]
async fn an_account_that_was_forgotten_is_made_anew() {
    let case = Case::new(Script::default());
    case.issue().await;
    case.age(Duration::from_hours(37));
    case.directory.script().knows_accounts = false;
    let report = case.until(&case.open(), |report| report.issued >= 1).await;
    assert_eq!(report.failures, 0);
    assert_eq!(case.directory.script().accounts, 2);
    assert!(case.store().folder().join("account.json.old").exists());
}

#[tokio::test]
async fn an_end_in_the_middle_leaves_no_lock_and_no_challenge() {
    let case = Case::new(Script::default());
    let authority = case.open();
    let run = tokio::spawn(authority.run());
    while case.directory.asked("/order") == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    run.abort();
    let _ = run.await;
    assert!(!case.listeners.shows_challenges());
    // What was being done where it may block comes to its end first.
    let began = Instant::now();
    while case.store().lock(HOST).expect("opens").is_none() {
        assert!(began.elapsed() < PATIENCE, "the lock is held");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!case.listeners.shows_challenges());
}

#[tokio::test]
async fn a_disk_that_hangs_holds_nobody_else_up() {
    let case = Case::new(Script::default());
    let authority = case.open();
    let new = case.store().folder().join(format!("{HOST}.pem.new"));
    let writer = std::fs::File::create(new).expect("makes");
    writer.lock().expect("locks");
    let run = tokio::spawn(authority.clone().run());
    while case.listeners.installed(HOST) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(case.store().certificate(HOST).is_none(), "its writer waits");
    drop(writer);
    while case.store().certificate(HOST).is_none() {
        assert_eq!(authority.reports()[0].failures, 0, "the loop went on meanwhile");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    run.abort();
}

/// One that had ended once counted as a success and took the place of the one that was served.
#[tokio::test]
async fn what_cannot_be_served_takes_the_place_of_nothing() {
    const DAY_S: i64 = 86_400;
    let expired: fn(&mut Script) = |script| script.begun_s = 91 * DAY_S;
    let early: fn(&mut Script) = |script| script.begun_s = -DAY_S;
    let long: fn(&mut Script) = |script| script.repeats = 1_600;
    for (change, expected) in
        [(expired, "it ended 1d ago"), (early, "it begins in "), (long, "larger than 64 KiB")]
    {
        let case = Case::new(Script::default());
        case.issue().await;
        let kept = case.store().certificate(HOST).expect("the good one");
        case.age(Duration::from_hours(37));
        change(&mut case.directory.script());
        let report = case.until(&case.open(), |report| report.failures == 1).await;
        let error = report.last_error.as_deref().expect("an error");
        assert!(error.starts_with("the issued certificate cannot be used: "), "{error}");
        assert!(error.contains(expected), "{error}");
        assert_eq!((report.issued, report.condition), (0, Condition::Valid(kept.not_after())));
        assert!(after(report.try_at) > Duration::from_mins(5), "{report:?}");
        let stored = case.store().certificate(HOST).expect("still there");
        assert_eq!(stored.pem(), kept.pem(), "{error}");
        // By the process that ordered it, and by the next one that found it.
        assert_eq!(case.listeners.installed(HOST), 2);
    }
}

#[tokio::test]
async fn a_clock_a_little_ahead_of_ours_is_waited_for() {
    let case = Case::new(Script { begun_s: -3, ..Script::default() });
    let report = case.issue().await;
    assert_eq!(report.failures, 0);
    let certificate = case.store().certificate(HOST).expect("kept");
    assert!(certificate.not_before() <= SystemTime::now());
}

#[tokio::test]
async fn what_no_listener_takes_is_not_kept() {
    let case = Case::new(Script::default());
    case.listeners.refuse(true);
    let report = case.until(&case.open(), |report| report.failures == 1).await;
    let error = report.last_error.as_deref().expect("an error");
    assert_eq!(error, "the issued certificate cannot be used: as the test says");
    assert_eq!((report.issued, report.condition), (0, Condition::Pending));
    assert!(case.store().certificate(HOST).is_none());
    assert!(after(report.try_at) > Duration::from_hours(30), "it counted at the authority");
}
