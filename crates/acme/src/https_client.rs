//! The HTTPS client of the background thread.
//!
//! TLS only, with the system's roots and those that the configuration names. Every request has a
//! time limit and every answer a size limit; what the authority asks to wait is remembered, because
//! the ACME client keeps only an error's body.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};

use crate::settings::Roots;

/// Sends requests, and remembers what the last refusal asked to wait.
#[derive(Clone)]
pub(crate) struct HttpsClient {
    client: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    asked: Arc<Mutex<Option<SystemTime>>>,
}

impl HttpsClient {
    /// # Errors
    /// No root can be trusted, or TLS cannot be had.
    pub(crate) fn new(roots: &Roots) -> Result<Self, String> {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(trusted(roots)?)
            .with_no_client_auth();
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_WITHIN));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(1)
            .build(connector);
        Ok(Self { client, asked: Arc::default() })
    }

    /// What is left of the wait that the last refusal asked for; asked once.
    pub(crate) fn take_retry_after(&self) -> Option<Duration> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        asked.duration_since(SystemTime::now()).ok()
    }
}

impl HttpClient for HttpsClient {
    fn request(
        &self,
        mut request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(OURSELVES));
        let (asked, sent) = (Arc::clone(&self.asked), self.client.request(request));
        Box::pin(async move {
            let whole = async {
                let (parts, body) = sent.await.map_err(|error| with_causes(&error))?.into_parts();
                let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
                let body = body.map_err(Error::Other)?.to_bytes();
                Ok(BytesResponse { parts, body: Box::new(body) })
            };
            let answer: Result<BytesResponse, Error> = tokio::time::timeout(ANSWER_WITHIN, whole)
                .await
                .unwrap_or_else(|_| Err(Error::Other("no answer within 30 s".into())));
            if let Ok(answer) = &answer
                && (answer.parts.status.is_client_error() || answer.parts.status.is_server_error())
            {
                let until = retry_after(&answer.parts.headers, SystemTime::now());
                *asked.lock().unwrap_or_else(PoisonError::into_inner) = until;
            }
            answer
        })
    }
}

/// With its causes: the outermost says only that it failed.
fn with_causes(error: &dyn std::error::Error) -> Error {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    Error::Other(text.into())
}

/// Until when an answer asks to wait (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<SystemTime> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => now.checked_add(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok(),
    }
}

fn trusted(own: &Roots) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    roots.add_parsable_certificates(own.0.iter().cloned());
    if roots.is_empty() {
        return Err("this machine trusts no authority: install ca-certificates".to_owned());
    }
    Ok(roots)
}

const OURSELVES: &str = concat!("stead/", env!("CARGO_PKG_VERSION"));
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// A directory or a chain has some 10 KiB.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// The requests of one order follow each other closely.
const IDLE_FOR: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_seconds_or_dates() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_700);
        let check = |value: &str, after: Option<u64>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(value).expect("a value"));
            let until = retry_after(&headers, now);
            let left = until.map(|until| until.duration_since(now).unwrap_or_default().as_secs());
            assert_eq!(left, after, "{value}");
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(77));
        check("soon", None);
        check("-1", None);
        check("18446744073709551615", None);
    }
}
