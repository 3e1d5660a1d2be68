//! An ACME directory in this process (RFC 8555 §7), over real TLS, that obeys a [`Script`].
//!
//! It checks no signature: whether requests are well formed is proved against a real authority.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer,
    KeyPair,
};
use rustls::pki_types::{CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use stead_acme::ChallengeKind;

use crate::Listeners;

/// What the authority does, and what it did.
pub(crate) struct Script {
    /// How long certificates are valid.
    pub(crate) validity: Duration,
    /// How long before now that begins; after now where it is negative.
    pub(crate) begun_s: i64,
    /// How often the chain repeats its certificate.
    pub(crate) repeats: usize,
    /// Answers to the next orders in place of what was asked: status, type, `Retry-After`.
    pub(crate) refusals: Vec<(u16, &'static str, Option<&'static str>)>,
    /// Connections that are closed before an answer.
    pub(crate) outages: u32,
    /// The window in which it wants to be asked, in seconds from now.
    pub(crate) window: Option<(i64, i64)>,
    /// Whether it knows the accounts that it made.
    pub(crate) knows_accounts: bool,
    /// The kinds of challenges that it takes.
    pub(crate) takes: Vec<ChallengeKind>,
    /// What it was asked, without its own address.
    pub(crate) asked: Vec<String>,
    /// Accounts that it made.
    pub(crate) accounts: usize,
    /// Orders with their state.
    pub(crate) orders: Vec<Order>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            validity: Duration::from_hours(90 * 24),
            begun_s: 0,
            repeats: 1,
            refusals: Vec::new(),
            outages: 0,
            window: None,
            knows_accounts: true,
            takes: vec![ChallengeKind::Http, ChallengeKind::TlsAlpn],
            asked: Vec::new(),
            accounts: 0,
            orders: Vec::new(),
        }
    }
}

pub(crate) struct Order {
    host: String,
    status: &'static str,
    error: Option<Value>,
    replaces: Value,
    chain: String,
}

/// A directory that answers until the process ends.
pub(crate) struct Directory {
    pub(crate) script: Mutex<Script>,
    /// The root of its own certificate.
    pub(crate) root: String,
    port: u16,
    listeners: Arc<Listeners>,
    issuer: Issuer<'static, KeyPair>,
}

impl Directory {
    pub(crate) fn start(listeners: &Arc<Listeners>, script: Script) -> Arc<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "root of a test");
        let key = KeyPair::generate().expect("a key");
        let root = params.self_signed(&key).expect("signs").pem();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let this = Arc::new(Self {
            script: Mutex::new(script),
            root,
            port: listener.local_addr().expect("an address").port(),
            listeners: Arc::clone(listeners),
            issuer: Issuer::new(params, key),
        });
        let config = this.tls();
        let served = Arc::clone(&this);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (this, config) = (Arc::clone(&served), Arc::clone(&config));
                std::thread::spawn(move || this.serve(stream, config));
            }
        });
        this
    }

    pub(crate) fn url(&self) -> String {
        self.at("dir")
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often something was asked.
    pub(crate) fn asked(&self, path: &str) -> usize {
        self.script().asked.iter().filter(|asked| *asked == path).count()
    }

    /// How many certificates there are.
    pub(crate) fn issued(&self) -> usize {
        self.script().orders.iter().filter(|order| !order.chain.is_empty()).count()
    }

    /// How many orders were placed for a host.
    pub(crate) fn orders_of(&self, host: &str) -> usize {
        self.script().orders.iter().filter(|order| order.host == host).count()
    }

    /// How many orders named what they replace.
    pub(crate) fn replacements(&self) -> usize {
        self.script().orders.iter().filter(|order| !order.replaces.is_null()).count()
    }

    fn at(&self, path: &str) -> String {
        format!("https://localhost:{}/{path}", self.port)
    }

    fn tls(&self) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let leaf = leaf.signed_by(&key, &self.issuer).expect("signs").der().clone();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf], key.into());
        Arc::new(config.expect("a configuration"))
    }

    fn serve(&self, stream: TcpStream, config: Arc<ServerConfig>) {
        let is_away = {
            let mut script = self.script();
            let is_away = script.outages > 0;
            script.outages = script.outages.saturating_sub(1);
            is_away
        };
        if is_away {
            return;
        }
        let Ok(connection) = ServerConnection::new(config) else { return };
        let mut stream = BufReader::new(StreamOwned::new(connection, stream));
        while let Some((method, path, body)) = read_request(&mut stream) {
            let answer = self.answer(&method, &path, &body);
            let body = answer.body.map(|body| body.to_string()).or(answer.text).unwrap_or_default();
            let head = format!(
                "HTTP/1.1 {} X\r\nReplay-Nonce: n\r\nContent-Length: {}\r\n{}\r\n",
                answer.status,
                body.len(),
                answer.fields
            );
            let body = if method == "HEAD" { "" } else { &body };
            if stream.get_mut().write_all(format!("{head}{body}").as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let payload = payload(body);
        let mut script = self.script();
        let script = &mut *script;
        script.asked.push(path.to_owned());
        let mut words = path.trim_start_matches('/').split('/');
        let (word, number) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let order = number.parse::<usize>().ok();
        match (method, word, order) {
            ("GET", "dir", _) => self.directory(script),
            ("HEAD", "nonce", _) => Answer::of(200, Value::Null),
            ("GET", "window", _) => window(script),
            ("POST", "account", _) => {
                script.accounts += 1;
                script.knows_accounts = true;
                Answer::of(201, json!({ "status": "valid" })).field("Location", &self.at("me/1"))
            }
            ("POST", "me", _) => Answer::of(200, json!({ "status": "valid" })),
            ("POST", "order", None) => self.new_order(script, &payload),
            ("POST", word, Some(order)) => {
                self.of_order(script, word, order, words.next(), &payload)
            }
            _ => Answer::problem(404, "malformed"),
        }
    }

    fn directory(&self, script: &Script) -> Answer {
        let mut directory = json!({
            "newNonce": self.at("nonce"),
            "newAccount": self.at("account"),
            "newOrder": self.at("order"),
        });
        if script.window.is_some() {
            directory["renewalInfo"] = json!(self.at("window"));
        }
        Answer::of(200, directory)
    }

    fn new_order(&self, script: &mut Script, payload: &Value) -> Answer {
        if !script.knows_accounts {
            return Answer::problem(400, "accountDoesNotExist");
        }
        if !script.refusals.is_empty() {
            let (status, kind, retry_after) = script.refusals.remove(0);
            let answer = Answer::problem(status, kind);
            return match retry_after {
                Some(wait) => answer.field("Retry-After", wait),
                None => answer,
            };
        }
        let number = script.orders.len();
        script.orders.push(Order {
            host: payload["identifiers"][0]["value"].as_str().unwrap_or_default().to_owned(),
            status: "pending",
            error: None,
            replaces: payload["replaces"].clone(),
            chain: String::new(),
        });
        self.order(script, number, 201).field("Location", &self.at(&format!("order/{number}")))
    }

    fn order(&self, script: &Script, number: usize, status: u16) -> Answer {
        let order = &script.orders[number];
        let mut body = json!({
            "status": order.status,
            "identifiers": [{ "type": "dns", "value": order.host }],
            "authorizations": [self.at(&format!("authorization/{number}"))],
            "finalize": self.at(&format!("finalize/{number}")),
        });
        if !order.replaces.is_null() {
            body["replaces"] = order.replaces.clone();
        }
        if !order.chain.is_empty() {
            body["certificate"] = json!(self.at(&format!("chain/{number}")));
        }
        Answer::of(status, body)
    }

    fn of_order(
        &self,
        script: &mut Script,
        word: &str,
        number: usize,
        kind: Option<&str>,
        payload: &Value,
    ) -> Answer {
        if number >= script.orders.len() {
            return Answer::problem(404, "malformed");
        }
        match (word, kind) {
            ("order", _) => self.order(script, number, 200),
            ("authorization", _) => self.authorization(script, number),
            ("show", Some(kind)) => {
                let asked =
                    if kind == "http-01" { ChallengeKind::Http } else { ChallengeKind::TlsAlpn };
                let order = &mut script.orders[number];
                let takes = script.takes.contains(&asked);
                if takes && self.listeners.prove(asked, &order.host, &token(number)) {
                    order.status = "ready";
                } else {
                    order.status = "invalid";
                    order.error = Some(problem("unauthorized", 403));
                }
                Answer::of(200, challenge(self, number, kind, "processing"))
            }
            ("finalize", _) => {
                let request = payload["csr"].as_str().unwrap_or_default();
                let chain = self.issue(request, script).repeat(script.repeats);
                let order = &mut script.orders[number];
                (order.chain, order.status) = (chain, "valid");
                self.order(script, number, 200)
            }
            ("chain", _) => Answer {
                text: Some(script.orders[number].chain.clone()),
                ..Answer::of(200, Value::Null)
            },
            _ => Answer::problem(404, "malformed"),
        }
    }

    fn authorization(&self, script: &Script, number: usize) -> Answer {
        let order = &script.orders[number];
        let status = match order.status {
            "ready" | "valid" => "valid",
            status => status,
        };
        let challenges = ["http-01", "tls-alpn-01"].map(|kind| {
            let mut challenge = challenge(self, number, kind, status);
            if let Some(error) = &order.error {
                challenge["error"] = error.clone();
            }
            challenge
        });
        let identifier = json!({ "type": "dns", "value": order.host });
        Answer::of(
            200,
            json!({
                "identifier": identifier, "status": status, "challenges": challenges,
            }),
        )
    }

    fn issue(&self, request: &str, script: &Script) -> String {
        let der = URL_SAFE_NO_PAD.decode(request).expect("base64url");
        let request = CertificateSigningRequestDer::from(der);
        let mut request = CertificateSigningRequestParams::from_der(&request).expect("a request");
        let shift = Duration::from_secs(script.begun_s.unsigned_abs());
        let now = SystemTime::now();
        let from = if script.begun_s < 0 { now + shift } else { now - shift };
        request.params.not_before = from.into();
        request.params.not_after = (from + script.validity).into();
        request.params.use_authority_key_identifier_extension = true;
        request.signed_by(&self.issuer).expect("signs").pem()
    }
}

fn challenge(directory: &Directory, number: usize, kind: &str, status: &str) -> Value {
    let url = directory.at(&format!("show/{number}/{kind}"));
    json!({ "type": kind, "url": url, "token": token(number), "status": status })
}

fn token(number: usize) -> String {
    format!("token-{number}")
}

/// RFC 9773 §4.2.
fn window(script: &Script) -> Answer {
    let Some((start, end)) = script.window else { return Answer::problem(404, "malformed") };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let at = |offset: i64| rfc3339(now.as_secs() as i64 + offset);
    let body = json!({ "suggestedWindow": { "start": at(start), "end": at(end) } });
    Answer::of(200, body).field("Retry-After", "3600")
}

/// Only of days that lie in this century (civil from days, H. Hinnant).
fn rfc3339(unix_s: i64) -> String {
    let (days, rest) = (unix_s.div_euclid(86_400), unix_s.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

struct Answer {
    status: u16,
    fields: String,
    body: Option<Value>,
    text: Option<String>,
}

impl Answer {
    fn of(status: u16, body: Value) -> Self {
        let body = (!body.is_null()).then_some(body);
        Self { status, fields: String::new(), body, text: None }
    }

    fn problem(status: u16, kind: &str) -> Self {
        Self::of(status, problem(kind, status))
    }

    fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.extend([name, ": ", value, "\r\n"]);
        self
    }
}

fn problem(kind: &str, status: u16) -> Value {
    let kind = format!("urn:ietf:params:acme:error:{kind}");
    json!({ "type": kind, "detail": "as the script says", "status": status })
}

/// What a signed request carries.
fn payload(body: &[u8]) -> Value {
    let signed: Value = serde_json::from_slice(body).unwrap_or_default();
    let payload = signed["payload"].as_str().unwrap_or_default();
    let payload = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    serde_json::from_slice(&payload).unwrap_or_default()
}

fn read_request(stream: &mut impl BufRead) -> Option<(String, String, Vec<u8>)> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut length = 0;
    loop {
        let mut field = String::new();
        stream.read_line(&mut field).ok()?;
        let field = field.trim().to_ascii_lowercase();
        if field.is_empty() {
            break;
        }
        if let Some(value) = field.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((method, path, body))
}
