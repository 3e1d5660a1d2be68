//! What keeps every host's certificate valid, beside the workers.
//!
//! One task a host: look at what is stored → wait until it is due → take the host's lock → look
//! again, because another process may have been faster → attempt → store → install → wait. A few
//! attempts at a time, so that a start with a thousand hosts is no storm. What is stored is
//! installed before the work begins, so that the first handshake finds it.
//!
//! Ended wherever it waits: what was under way is dropped, its lock with it, and its challenge
//! is forgotten.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use instant_acme::CertificateIdentifier;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::account::{Accounts, LOOK_EVERY};
use crate::aside::aside;
use crate::attempt::Attempt;
use crate::certificate::Certificate;
use crate::challenge::{Challenge, Showing};
use crate::ending::{Announced, ends_soon};
use crate::failure::{Cause, Failure};
use crate::front::Front;
use crate::record::Record;
use crate::report::{Condition, Report, Reports};
use crate::schedule::{Window, between_orders, chance, renewal, within};
use crate::settings::Settings;
use crate::step::{Step, due, next};
use crate::store::Store;

/// The certificates of some hosts, at one authority.
#[derive(Clone)]
pub struct Authority(Arc<Work>);

impl Authority {
    /// Installs what is stored for `hosts`. Nothing is ordered before [`Self::run`].
    ///
    /// # Errors
    /// The store cannot be opened.
    pub fn open(settings: Settings, hosts: Vec<String>, front: Arc<dyn Front>) -> io::Result<Self> {
        let store = Store::open(&settings.folder, &settings.directory)?;
        let work = Work {
            accounts: Accounts::new(settings.clone(), store.clone()),
            settings,
            store,
            front,
            reports: Reports::default(),
            announced: Announced::default(),
            attempts: Semaphore::new(ATTEMPTS_AT_ONCE),
            served: Mutex::default(),
            hosts: hosts.into_iter().map(|host| (host, AtomicU64::new(0))).collect(),
        };
        work.hosts.keys().for_each(|host| work.begin(host));
        Ok(Self(Arc::new(work)))
    }

    /// Keeps the certificates valid, for ever. On a tokio runtime with time and sockets, once.
    ///
    /// # Cancel safety
    /// Dropped, it ends at once; what was under way is ordered again by the next start.
    pub async fn run(self) {
        let mut tasks = JoinSet::new();
        let mut hosts = HashMap::new();
        for host in self.0.hosts.keys().cloned() {
            let id = tasks.spawn(self.0.clone().keep(host.clone(), Duration::ZERO)).id();
            hosts.insert(id, host);
        }
        while let Some(ended) = tasks.join_next_with_id().await {
            // Only a panic ends one.
            let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
            let Some(host) = hosts.remove(&id) else { continue };
            tracing::error!("what keeps the certificate of {host} panicked and starts again");
            let id = tasks.spawn(self.0.clone().keep(host.clone(), AFTER_PANIC)).id();
            hosts.insert(id, host);
        }
    }

    /// Every host's certificate as it is now, by name.
    pub fn reports(&self) -> Vec<Report> {
        self.0.reports.all()
    }
}

/// At once, of all hosts together: an authority counts orders by the hour.
const ATTEMPTS_AT_ONCE: usize = 4;
/// How long one attempt may take, waits for the authority included.
const ATTEMPT_MAX: Duration = Duration::from_mins(10);
/// By how much the clock of an authority may be ahead of ours.
const EARLY_MAX: Duration = Duration::from_mins(5);
/// Between two questions for the window, as the authority says but within this.
const ASK_MIN: Duration = Duration::from_mins(1);
const ASK_MAX: Duration = Duration::from_hours(24);
/// What panicked once may do so again and again.
const AFTER_PANIC: Duration = Duration::from_mins(10);
/// After a question that failed (RFC 9773 §4.3.3).
const ASK_AFTER_FAILURE: Duration = Duration::from_hours(6);

struct Work {
    settings: Settings,
    accounts: Accounts,
    store: Store,
    front: Arc<dyn Front>,
    reports: Reports,
    announced: Announced,
    attempts: Semaphore,
    /// What each host's listeners serve now.
    served: Mutex<HashMap<String, Arc<str>>>,
    /// With how many certificates were issued to us for each.
    hosts: BTreeMap<String, AtomicU64>,
}

impl Work {
    /// What is stored from an earlier process.
    fn begin(&self, host: &str) {
        let mut record = self.store.record(host);
        // PERF: what is kept is synced, which a start with a thousand hosts would feel.
        if record.restarted() {
            self.remember(host, &record);
        }
        let certificate = self.store.certificate(host);
        if let Some(certificate) = &certificate {
            self.install_stored(host, certificate);
        }
        self.show(host, certificate.as_ref(), &record);
    }

    /// Keeps one host's certificate valid, for ever, after a rest.
    async fn keep(self: Arc<Self>, host: String, rest: Duration) {
        tokio::time::sleep(rest).await;
        loop {
            let (certificate, record) = self.look_aside(&host).await;
            let rest = match next(certificate.as_ref(), &record, SystemTime::now()) {
                Step::Order => self.order(&host).await,
                Step::Ask => self.ask(&host, certificate).await,
                Step::Wait(left) => left,
            };
            tokio::time::sleep(rest).await;
        }
    }

    async fn look_aside(self: &Arc<Self>, host: &str) -> (Option<Certificate>, Record) {
        self.aside(host, Self::look).await
    }

    /// Lets something be done for a host where it may block.
    async fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        host: &str,
        work: impl FnOnce(&Self, &str) -> T + Send + 'static,
    ) -> T {
        let (this, host) = (Arc::clone(self), host.to_owned());
        aside(move || work(&this, &host)).await
    }

    /// Reads what is stored, and serves it if another process renewed it.
    fn look(&self, host: &str) -> (Option<Certificate>, Record) {
        let certificate = self.store.certificate(host);
        let mut record = self.store.record(host);
        if let Some(certificate) = &certificate {
            self.install_stored(host, certificate);
            // What somebody put there, or was killed before it wrote when to renew.
            record.renew_at.get_or_insert_with(|| {
                renewal(certificate.not_before(), certificate.not_after(), 0.0)
            });
        }
        self.show(host, certificate.as_ref(), &record);
        (certificate, record)
    }

    /// One attempt, under the host's lock; gives how long to rest before the next look.
    async fn order(self: &Arc<Self>, host: &str) -> Duration {
        let Ok(turn) = self.attempts.acquire().await else { return LOOK_EVERY };
        let _lock = match self.aside(host, |work, host| work.store.lock(host)).await {
            Ok(Some(lock)) => lock,
            Ok(None) => {
                // Others may order meanwhile.
                drop(turn);
                self.stand_by(host).await;
                return Duration::ZERO;
            }
            Err(error) => {
                let message = format!("take the lock: {error}");
                return self.failed(host, Failure::new(Cause::Passing, message), 1).await;
            }
        };
        // Whoever held it may have ordered, or failed.
        let (old, record) = self.look_aside(host).await;
        if next(old.as_ref(), &record, SystemTime::now()) != Step::Order {
            return Duration::ZERO;
        }
        let kinds = self.front.kinds();
        let place = (record.refusals as usize).checked_rem(kinds.len()).unwrap_or(0);
        let Some(kind) = kinds.get(place).copied() else {
            let message = "no listener can prove a host: one needs port 80, or 443 with TLS";
            return self.failed(host, Failure::new(Cause::Refused, message), 1).await;
        };
        let attempt = Attempt {
            host,
            kind,
            key_type: self.settings.key_type,
            front: &self.front,
            store: &self.store,
            replaces: old.as_ref(),
        };
        tracing::info!("ordering a certificate for {host} by {}", kind.as_str());
        let whole = async { attempt.run(&self.accounts.open().await?).await };
        let result = tokio::time::timeout(ATTEMPT_MAX, whole).await.unwrap_or_else(|_| {
            Err(Failure::new(Cause::Passing, "the authority took too long, all in all"))
        });
        let result = match result {
            Ok(issued) => {
                // An authority's clock may be a little ahead.
                let early = issued.not_before().duration_since(SystemTime::now());
                let early = early.ok().filter(|early| *early <= EARLY_MAX);
                tokio::time::sleep(early.unwrap_or_default()).await;
                self.aside(host, move |work, host| work.issued(host, &issued)).await
            }
            Err(failure) => Err(failure),
        };
        match result {
            Ok(rest) => rest,
            Err(failure) => {
                self.accounts.close(failure.cause).await;
                self.failed(host, failure, kinds.len()).await
            }
        }
    }

    /// Waits while another process orders, and shows what proves the host here too. What that one
    /// stores is found by the next look.
    async fn stand_by(self: &Arc<Self>, host: &str) {
        let mut shown: Option<Showing> = None;
        let began = Instant::now();
        while began.elapsed() < ATTEMPT_MAX {
            let looked = self.aside(host, |work, host| match work.store.lock(host) {
                Ok(None) => Some(work.store.challenge(host).as_deref().and_then(Challenge::parse)),
                _ => None,
            });
            let Some(challenge) = looked.await else { return };
            if shown.as_ref().map(Showing::challenge) != challenge.as_ref() {
                drop(shown.take());
                shown = challenge.map(|challenge| Showing::anothers(&self.front, host, challenge));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Serves and keeps what was issued, in place of the one before only if it can be served; gives
    /// how long to rest where it could not be remembered.
    fn issued(&self, host: &str, certificate: &Certificate) -> Result<Duration, Failure> {
        let (from, until) = (certificate.not_before(), certificate.not_after());
        let rest = between_orders(from, until);
        let useless = |why: String| Failure {
            // It counts at the authority: what comes next may be no better.
            retry_after: Some(rest),
            ..Failure::new(Cause::Refused, format!("the issued certificate cannot be used: {why}"))
        };
        let now = SystemTime::now();
        certificate.check_time(now).map_err(|why| useless(why.to_string()))?;
        let counted = self.hosts.get(host);
        if let Some(count) = counted {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let record = Record::issued(renewal(from, until, chance()), now);
        // Told first: whoever sees the new certificate finds it in the status.
        self.show(host, Some(certificate), &record);
        self.install(host, certificate).map_err(|why| {
            if let Some(count) = counted {
                count.fetch_sub(1, Ordering::Relaxed);
            }
            useless(why)
        })?;
        // Served all the same; but a disk that keeps nothing must not make us order all the time.
        self.store.keep_certificate(host, certificate).map_err(|error| {
            Failure::new(Cause::Refused, format!("keep the certificate: {error}"))
        })?;
        tracing::info!("the certificate of {host} was issued");
        // Without it two thirds of the life are reckoned anew.
        let is_kept = self.remember(host, &record);
        Ok(if is_kept { Duration::ZERO } else { rest })
    }

    /// Remembers a failure; gives how long to rest where it could not be remembered.
    async fn failed(self: &Arc<Self>, host: &str, failure: Failure, kinds: usize) -> Duration {
        self.aside(host, move |work, host| work.note_failure(host, &failure, kinds)).await
    }

    fn note_failure(&self, host: &str, failure: &Failure, kinds: usize) -> Duration {
        let certificate = self.store.certificate(host);
        let mut record = self.store.record(host);
        let wait = record.fail(failure, kinds, SystemTime::now());
        let rest = if self.remember(host, &record) { Duration::ZERO } else { wait };
        self.show(host, certificate.as_ref(), &record);
        let unit = if wait >= Duration::from_mins(10) { 60 } else { 1 };
        let again = stead_base::format_duration(Duration::from_secs(wait.as_secs() / unit * unit));
        tracing::warn!("no certificate for {host}: {failure}; tried again in {again}");
        rest
    }

    /// Asks the authority when it wants to be asked for a renewal (RFC 9773 §4.1); gives how long
    /// to rest where the answer could not be remembered.
    async fn ask(self: &Arc<Self>, host: &str, certificate: Option<Certificate>) -> Duration {
        let Some(certificate) = certificate else { return LOOK_EVERY };
        let answer = self.window(&certificate).await;
        self.aside(host, move |work, host| work.note_window(host, &certificate, answer)).await
    }

    fn note_window(
        &self,
        host: &str,
        certificate: &Certificate,
        answer: Option<(Window, Duration)>,
    ) -> Duration {
        let stored = self.store.certificate(host);
        if stored.is_none_or(|stored| stored.pem() != certificate.pem()) {
            // Another process renewed it meanwhile.
            return Duration::ZERO;
        }
        let mut record = self.store.record(host);
        let mut wait = ASK_AFTER_FAILURE;
        if let Some((window, asked)) = answer {
            wait = asked.clamp(ASK_MIN, ASK_MAX);
            // A moment that was chosen stays chosen as long as the window stays.
            if record.window != Some(window) {
                record.window = Some(window);
                let (from, until) = (certificate.not_before(), certificate.not_after());
                record.renew_at = Some(within(window, from, until, chance()));
            }
        }
        record.ask_at = SystemTime::now().checked_add(wait);
        if self.remember(host, &record) { Duration::ZERO } else { wait }
    }

    async fn window(&self, certificate: &Certificate) -> Option<(Window, Duration)> {
        let open = self.accounts.open().await.ok()?;
        let identifier = CertificateIdentifier::try_from(certificate.chain().first()?).ok()?;
        let (answer, wait) = open.account.renewal_info(&identifier).await.ok()?;
        let suggested = answer.suggested_window;
        let moment = |of: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(of.max(0) as u64);
        let start = moment(suggested.start.unix_timestamp());
        Some((Window { start, end: moment(suggested.end.unix_timestamp()) }, wait))
    }

    /// Serves what is stored, as far as that is possible.
    fn install_stored(&self, host: &str, certificate: &Certificate) {
        if let Err(error) = self.install(host, certificate) {
            tracing::error!("the certificate of {host} cannot be served: {error}");
        }
    }

    fn install(&self, host: &str, certificate: &Certificate) -> Result<(), String> {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        if served.get(host).is_none_or(|served| **served != *certificate.pem()) {
            self.front.install(host, certificate)?;
            served.insert(host.to_owned(), certificate.pem().into());
        }
        Ok(())
    }

    /// Whether it could be written.
    fn remember(&self, host: &str, record: &Record) -> bool {
        let kept = self.store.keep_record(host, record);
        let kept = kept.inspect_err(|error| {
            tracing::error!("{}: {error}", self.store.folder().display());
        });
        kept.is_ok()
    }

    fn show(&self, host: &str, certificate: Option<&Certificate>, record: &Record) {
        let now = SystemTime::now();
        let condition = certificate.map_or(Condition::Pending, |of| {
            let until = of.not_after();
            if until < now { Condition::Expired(until) } else { Condition::Valid(until) }
        });
        let ending = certificate.filter(|certificate| ends_soon(certificate, record, now));
        match ending {
            Some(certificate) => self.announced.announce(host, certificate, record, now),
            None => self.announced.forget(host),
        }
        self.reports.set(Report {
            host: host.to_owned(),
            condition,
            ends_soon: ending.is_some(),
            renew_at: certificate.and_then(|certificate| due(certificate, record, now)),
            try_at: record.try_at,
            failures: record.failures,
            last_error: record.last_error.clone(),
            issued: self.hosts.get(host).map_or(0, |count| count.load(Ordering::Relaxed)),
        });
    }
}
