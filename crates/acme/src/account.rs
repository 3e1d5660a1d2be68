//! The account at the authority: made once for each authority, kept, and found again.
//!
//! Its key is P-256. The account of a process is opened when the first attempt needs it, and opened
//! anew after a failure, because the authority's directory may have changed meanwhile.

use std::time::Duration;

use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::aside::aside;
use crate::failure::{Cause, Failure};
use crate::https_client::HttpsClient;
use crate::settings::Settings;
use crate::store::Store;
use crate::tries::Tries;

/// The account, opened when it is needed.
pub(crate) struct Accounts {
    settings: Settings,
    store: Store,
    open: Mutex<Option<Open>>,
}

/// An account that answered.
#[derive(Clone)]
pub(crate) struct Open {
    pub(crate) account: Account,
    pub(crate) client: HttpsClient,
}

impl Open {
    /// A failure of `doing`, with what the authority asked to wait.
    pub(crate) fn failure(&self, doing: &str, error: &instant_acme::Error) -> Failure {
        Failure::of(doing, error, self.client.take_retry_after())
    }
}

impl Accounts {
    pub(crate) fn new(settings: Settings, store: Store) -> Self {
        Self { settings, store, open: Mutex::default() }
    }

    /// The account; made if there is none yet.
    pub(crate) async fn open(&self) -> Result<Open, Failure> {
        let mut open = self.open.lock().await;
        if let Some(open) = &*open {
            return Ok(open.clone());
        }
        // Reads the system's roots.
        let roots = self.settings.roots.clone();
        let client = aside(move || HttpsClient::new(&roots))
            .await
            .map_err(|message| Failure::new(Cause::Refused, message))?;
        let account = self.find_or_create(&client).await?;
        Ok(open.insert(Open { account, client }).clone())
    }

    /// After a failure: the next attempt asks for the directory again, and if the authority forgot
    /// the account, for another account.
    pub(crate) async fn close(&self, cause: Cause) {
        *self.open.lock().await = None;
        if cause == Cause::AccountGone {
            match self.stored(Store::retire_account).await {
                Ok(()) => tracing::warn!("the ACME account is gone at {}", self.settings.directory),
                // Another host's attempt found out first.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => tracing::error!("the gone ACME account stays: {error}"),
            }
        }
    }

    async fn find_or_create(&self, client: &HttpsClient) -> Result<Account, Failure> {
        let _lock = loop {
            let lock = self.stored(Store::lock_account).await;
            match lock.map_err(|error| stored("lock the account", &error))? {
                Some(lock) => break lock,
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
        };
        let failure = |doing: &str, error: &instant_acme::Error| {
            Failure::of(doing, error, client.take_retry_after())
        };
        if let Some(kept) = self.stored(Store::account).await.as_deref().and_then(parse) {
            let Kept { contact, credentials } = kept;
            // Only once: what the client takes it does not give back, and the next attempt comes.
            let opened = builder(client).from_credentials(credentials).await;
            let account = opened.map_err(|error| failure("open the account", &error))?;
            if contact != self.contact() {
                self.tell_contact(&account, client).await?;
            }
            return Ok(account);
        }
        let mut tries = Tries::default();
        let made = loop {
            let made = self.create(client).await;
            let Some(wait) = tries.wait(&made) else { break made };
            tokio::time::sleep(wait).await;
        };
        let (account, credentials) = made.map_err(|error| failure("make an account", &error))?;
        self.keep(&credentials).await?;
        tracing::info!("made an ACME account at {}", self.settings.directory);
        Ok(account)
    }

    async fn create(
        &self,
        client: &HttpsClient,
    ) -> Result<(Account, AccountCredentials), instant_acme::Error> {
        let contact = self.contact();
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let binding = self.settings.binding.as_ref();
        let binding = binding.map(|of| ExternalAccountKey::new(of.key_id.clone(), &of.key));
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let directory = self.settings.directory.clone();
        builder(client).create(&new, directory, binding.as_ref()).await
    }

    /// The configuration may name another address than the account was made with.
    async fn tell_contact(&self, account: &Account, client: &HttpsClient) -> Result<(), Failure> {
        let contact = self.contact();
        let words: Vec<&str> = contact.iter().map(String::as_str).collect();
        let mut tries = Tries::default();
        let told = loop {
            let told = account.update_contacts(&words).await;
            let Some(wait) = tries.wait(&told) else { break told };
            tokio::time::sleep(wait).await;
        };
        told.map_err(|error| {
            Failure::of("tell the email address", &error, client.take_retry_after())
        })?;
        match self.stored(Store::account).await.as_deref().and_then(parse) {
            Some(kept) => self.keep(&kept.credentials).await,
            None => Ok(()),
        }
    }

    async fn keep(&self, credentials: &AccountCredentials) -> Result<(), Failure> {
        let credentials = serde_json::to_value(credentials).unwrap_or_default();
        let account = json!({
            "version": VERSION,
            "directory": self.settings.directory,
            "contact": self.contact(),
            "credentials": credentials,
        });
        let text = format!("{account:#}\n");
        let kept = self.stored(move |store| store.keep_account(&text)).await;
        kept.map_err(|error| stored("keep the account", &error))
    }

    /// What the store says, asked where it may block.
    async fn stored<T: Send + 'static>(&self, ask: impl FnOnce(&Store) -> T + Send + 'static) -> T {
        let store = self.store.clone();
        aside(move || ask(&store)).await
    }

    fn contact(&self) -> Vec<String> {
        self.settings.email.iter().map(|email| format!("mailto:{email}")).collect()
    }
}

/// An account as it is stored.
struct Kept {
    contact: Vec<String>,
    credentials: AccountCredentials,
}

fn parse(text: &str) -> Option<Kept> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    if value.get("version")?.as_u64()? != VERSION {
        return None;
    }
    let contact = value.get("contact")?.as_array()?;
    let contact = contact.iter().filter_map(|of| of.as_str().map(str::to_owned)).collect();
    let credentials = serde_json::from_value(value.get_mut("credentials")?.take()).ok()?;
    Some(Kept { contact, credentials })
}

fn builder(client: &HttpsClient) -> instant_acme::AccountBuilder {
    Account::builder_with_http(Box::new(client.clone()))
}

fn stored(doing: &str, error: &std::io::Error) -> Failure {
    Failure::new(Cause::Passing, format!("{doing}: {error}"))
}

/// Of the file's form.
const VERSION: u64 = 1;
/// How often somebody looks whether another process is done.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(250);
