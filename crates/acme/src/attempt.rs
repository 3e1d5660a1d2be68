//! One order from its beginning to a certificate (RFC 8555 §7.4).
//!
//! Order → prove that the host is ours → finalize with a fresh key → download. What passes by
//! itself, such as a spent nonce, is tried again in place; anything else ends the attempt.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};

use crate::account::{LOOK_EVERY, Open};
use crate::aside::aside;
use crate::certificate::Certificate;
use crate::challenge::{Challenge, ChallengeKind, Showing};
use crate::failure::{self, Cause, Failure};
use crate::front::Front;
use crate::settings::KeyType;
use crate::store::Store;
use crate::tries::Tries;

/// What is wanted of one attempt.
pub(crate) struct Attempt<'a> {
    pub(crate) host: &'a str,
    pub(crate) kind: ChallengeKind,
    pub(crate) key_type: KeyType,
    pub(crate) front: &'a Arc<dyn Front>,
    /// Where other processes find what proves the host.
    pub(crate) store: &'a Store,
    /// What the new certificate takes the place of, for authorities that want to know.
    pub(crate) replaces: Option<&'a Certificate>,
}

impl Attempt<'_> {
    pub(crate) async fn run(&self, open: &Open) -> Result<Certificate, Failure> {
        let mut order = self.order(open).await?;
        let shown = self.prove(open, &mut order).await?;
        self.ready(open, &mut order).await?;
        drop(shown);
        let key = self.finalize(open, &mut order).await?;
        let mut tries = Tries::default();
        let chain = loop {
            let chain = order.poll_certificate(&PATIENCE).await;
            let Some(wait) = tries.wait(&chain) else { break chain };
            tokio::time::sleep(wait).await;
        };
        let chain = chain.map_err(|error| open.failure("fetch the certificate", &error))?;
        let (pem, host) = (format!("{}{chain}", key.serialize_pem()), self.host.to_owned());
        aside(move || Certificate::parse(&pem, &host)).await.map_err(|error| {
            Failure::new(Cause::Refused, format!("the issued certificate cannot be used: {error}"))
        })
    }

    async fn order(&self, open: &Open) -> Result<Order, Failure> {
        let identifiers = [Identifier::Dns(self.host.to_owned())];
        let leaf = self.replaces.and_then(|of| of.chain().first());
        let replaced = leaf.and_then(|leaf| CertificateIdentifier::try_from(leaf).ok());
        if let Some(replaced) = replaced {
            let placed = place(open, &NewOrder::new(&identifiers).replaces(replaced)).await;
            // RFC 9773 §5: an authority may not know what is replaced, or that it can be.
            match placed.map_err(|error| (failure::cause(&error), error)) {
                Ok(order) => return Ok(order),
                Err((Cause::Refused | Cause::Challenge, error)) => {
                    tracing::debug!("{}: ordered without what it replaces: {error}", self.host);
                }
                Err((_, error)) => return Err(open.failure("place an order", &error)),
            }
        }
        let placed = place(open, &NewOrder::new(&identifiers)).await;
        placed.map_err(|error| open.failure("place an order", &error))
    }

    /// Shows the challenge and says so; what is shown ends with the result.
    async fn prove(&self, open: &Open, order: &mut Order) -> Result<Option<Showing>, Failure> {
        let mut tries = Tries::default();
        let challenge = loop {
            match self.challenge(order).await {
                Ok(challenge) => break challenge,
                Err(Unproved::Failure(failure)) => return Err(failure),
                Err(Unproved::Error(error)) => {
                    let Some(wait) = tries.wait_after(&error) else {
                        return Err(open.failure("ask what to prove", &error));
                    };
                    tokio::time::sleep(wait).await;
                }
            }
        };
        let Some(challenge) = challenge else { return Ok(None) };
        let shown = Showing::ours(self.front, self.store, self.host, challenge).await;
        // Whoever waits for us has it too by then.
        tokio::time::sleep(LOOK_EVERY * 2).await;
        let mut tries = Tries::default();
        while let Err(error) = self.announce(order).await {
            match tries.wait_after(&error) {
                Some(wait) => tokio::time::sleep(wait).await,
                // One whose answer was lost is refused the second time.
                None if tries.is_begun() => break,
                None => return Err(open.failure("offer the challenge", &error)),
            }
        }
        Ok(Some(shown))
    }

    /// What is to be shown; none where the host was proved lately.
    async fn challenge(&self, order: &mut Order) -> Result<Option<Challenge>, Unproved> {
        let mut authorizations = order.authorizations();
        let Some(authorization) = authorizations.next().await else { return Ok(None) };
        let mut authorization = authorization?;
        match authorization.status {
            // Of an earlier order, and good for this one.
            AuthorizationStatus::Valid => return Ok(None),
            AuthorizationStatus::Pending => {}
            status => {
                let message = format!("the authority says that {} is {status:?}", self.host);
                return Err(Unproved::Failure(Failure::new(Cause::Challenge, message)));
            }
        }
        let Some(challenge) = authorization.challenge(self.challenge_type()) else {
            let message = format!("the authority takes no {} for this host", self.kind.as_str());
            return Err(Unproved::Failure(Failure::new(Cause::Challenge, message)));
        };
        let authorization = challenge.key_authorization();
        Ok(Some(match self.kind {
            ChallengeKind::Http => Challenge::Http {
                token: challenge.token.clone(),
                text: authorization.as_str().to_owned(),
            },
            ChallengeKind::TlsAlpn => {
                let (host, digest) = (self.host.to_owned(), authorization.digest());
                let made = aside(move || challenge_certificate(&host, digest.as_ref())).await;
                made.map_err(|error| Unproved::Failure(crypto("make a challenge", &error)))?
            }
        }))
    }

    /// Tells the authority that it may look.
    async fn announce(&self, order: &mut Order) -> Result<(), Error> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            if let Some(mut challenge) = authorization?.challenge(self.challenge_type()) {
                challenge.set_ready().await?;
            }
        }
        Ok(())
    }

    fn challenge_type(&self) -> ChallengeType {
        match self.kind {
            ChallengeKind::Http => ChallengeType::Http01,
            ChallengeKind::TlsAlpn => ChallengeType::TlsAlpn01,
        }
    }

    /// Waits until the authority has seen the challenge.
    async fn ready(&self, open: &Open, order: &mut Order) -> Result<(), Failure> {
        if matches!(order.state().status, OrderStatus::Ready | OrderStatus::Valid) {
            return Ok(());
        }
        let mut tries = Tries::default();
        let polled = loop {
            let polled = order.poll_ready(&PATIENCE).await;
            let Some(wait) = tries.wait(&polled) else { break polled };
            tokio::time::sleep(wait).await;
        };
        match polled {
            Ok(OrderStatus::Ready | OrderStatus::Valid) => Ok(()),
            Ok(_) => Err(self.unproved(order).await),
            Err(error) => {
                let mut failure = open.failure("wait for the challenge", &error);
                if let (Error::Api(_), Cause::Refused) = (&error, failure.cause) {
                    failure.cause = Cause::Challenge;
                }
                Err(failure)
            }
        }
    }

    /// Why the authority did not take the challenge, as far as it says.
    async fn unproved(&self, order: &mut Order) -> Failure {
        let mut said = None;
        let mut authorizations = order.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            if authorization.refresh().await.is_ok() {
                let problem = authorization.challenges.iter().find_map(|of| of.error.as_ref());
                said = problem.map(failure::problem_text).or(said);
            }
        }
        let said = said.unwrap_or_else(|| "the authority does not say why".to_owned());
        Failure::new(Cause::Challenge, format!("{} failed: {said}", self.kind.as_str()))
    }

    async fn finalize(&self, open: &Open, order: &mut Order) -> Result<KeyPair, Failure> {
        let (key_type, host) = (self.key_type, self.host.to_owned());
        // RSA takes hundreds of milliseconds.
        let made = aside(move || {
            let key = key_type.generate()?;
            Ok((request(&host, &key)?, key))
        });
        let (request, key) =
            made.await.map_err(|error: rcgen::Error| crypto("make a key", &error))?;
        let mut tries = Tries::default();
        let sent = loop {
            let sent = order.finalize_csr(&request).await;
            let Some(wait) = tries.wait(&sent) else { break sent };
            tokio::time::sleep(wait).await;
            // One whose answer was lost is not sent twice.
            if let Ok(state) = order.refresh().await
                && matches!(state.status, OrderStatus::Processing | OrderStatus::Valid)
            {
                break Ok(());
            }
        };
        sent.map_err(|error| open.failure("finalize the order", &error))?;
        Ok(key)
    }
}

async fn place(open: &Open, new: &NewOrder<'_>) -> Result<Order, Error> {
    let mut tries = Tries::default();
    loop {
        let placed = open.account.new_order(new).await;
        let Some(wait) = tries.wait(&placed) else { return placed };
        tokio::time::sleep(wait).await;
    }
}

/// Why nothing was shown.
enum Unproved {
    Error(Error),
    Failure(Failure),
}

impl From<Error> for Unproved {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// The certificate of RFC 8737 §3: self-signed, with the digest in a critical extension.
fn challenge_certificate(host: &str, digest: &[u8]) -> Result<Challenge, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new([host.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key)?.der().to_vec();
    Ok(Challenge::TlsAlpn { certificate, key: key.serialize_der() })
}

/// The request for a certificate, in DER. The name is where names belong, and nowhere else.
fn request(host: &str, key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    let mut params = CertificateParams::new([host.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?.der().to_vec())
}

fn crypto(doing: &str, error: &rcgen::Error) -> Failure {
    Failure::new(Cause::Refused, format!("{doing}: {error}"))
}

/// How long an authority may take to look at a challenge, and to issue.
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(FIRST_LOOK).backoff(1.5).timeout(Duration::from_mins(2));
const FIRST_LOOK: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::prelude::{FromDer, X509Certificate};

    #[test]
    fn the_proof_is_a_certificate_with_the_digest_in_a_critical_extension() {
        let challenge = challenge_certificate("a.example", &[7; 32]).expect("makes");
        let Challenge::TlsAlpn { certificate, .. } = challenge else { panic!("{challenge:?}") };
        let (_, parsed) = X509Certificate::from_der(&certificate).expect("parses");
        let mut extensions = parsed.extensions().iter();
        let extension = extensions.find(|of| of.oid.to_id_string() == "1.3.6.1.5.5.7.1.31");
        let extension = extension.expect("acmeIdentifier");
        assert!(extension.critical);
        // OCTET STRING of 32 bytes (RFC 8737 §3).
        assert_eq!(extension.value[..2], [4, 32]);
        assert_eq!(extension.value[2..], [7; 32]);
    }
}
