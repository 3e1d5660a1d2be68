//! Keys of other servers, for those who bring them along: what to write instead.
//!
//! Asked only where a key is unknown, and before a key of ours that is spelled alike.

/// What to write in place of a key of nginx, Apache or Caddy; or that there is nothing yet.
pub(crate) fn advice(key: &str) -> Option<&'static str> {
    find(KEYS, key).or_else(|| tls_advice(key)).or_else(|| {
        let found = PREFIXES.iter().find(|(prefix, _)| key.starts_with(prefix));
        found.map(|(_, advice)| *advice)
    })
}

/// The same of what is about TLS alone, for tables of listeners.
pub(crate) fn tls_advice(key: &str) -> Option<&'static str> {
    find(TLS_KEYS, key).or_else(|| key.starts_with("ssl_").then_some(TLS_TABLE))
}

/// The same inside of a `[tls.NAME]`.
pub(crate) fn certificate_advice(key: &str) -> Option<&'static str> {
    find(CERTIFICATE_KEYS, key).or_else(|| find(TLS_KEYS, key))
}

type Advice = (&'static [&'static str], &'static str);

fn find(table: &[Advice], key: &str) -> Option<&'static str> {
    table.iter().find(|(keys, _)| keys.contains(&key)).map(|(_, advice)| *advice)
}

const NO_PROXY: &str = "this version hands no requests on to other servers";
const TLS_TABLE: &str = "write `[tls.main]` with `certificate` and `key`, and \
                         `listen = [{ address = \":443\", tls = \"main\" }]`";
const CLIENTS: &str = "write `clients = { ca = \"…\" }` in `[tls.NAME]`";

/// What is about TLS.
const TLS_KEYS: &[Advice] = &[
    (
        &[
            "tls",
            "ssl",
            "https",
            "certificate",
            "certificates",
            "certificate_key",
            "cert",
            "key",
            "ssl_certificate",
            "ssl_certificate_key",
        ],
        TLS_TABLE,
    ),
    (
        &["acme", "lets_encrypt", "letsencrypt", "auto_https", "certbot"],
        "write `listen = [{ address = \":443\", tls = \"auto\" }]`, and `[acme]` at the top",
    ),
    (
        &["ssl_protocols", "protocols", "tls_versions", "min_version", "ssl_min_version"],
        "write `versions = [\"1.2\", \"1.3\"]` in `[tls.NAME]`, which is the default",
    ),
    (
        &[
            "ssl_client_certificate",
            "ssl_verify_client",
            "client_certificate",
            "client_auth",
            "client_ca",
            "verify_client",
            "ca",
            "mtls",
        ],
        CLIENTS,
    ),
    (
        &[
            "ssl_ciphers",
            "ssl_prefer_server_ciphers",
            "ssl_dhparam",
            "ssl_ecdh_curve",
            "ciphers",
            "cipher_suites",
            "curves",
            "dhparam",
            "ssl_conf_command",
        ],
        "take it out: all that is offered is safe, and the client chooses",
    ),
    (
        &[
            "ssl_session_cache",
            "ssl_session_timeout",
            "ssl_session_tickets",
            "ssl_session_ticket_key",
            "session_tickets",
            "session_cache",
            "tickets",
        ],
        "take it out: tickets are there, and their keys change by themselves",
    ),
    (
        &[
            "ssl_stapling",
            "ssl_stapling_verify",
            "ssl_stapling_file",
            "ssl_stapling_responder",
            "ssl_trusted_certificate",
            "ssl_ocsp",
            "ssl_ocsp_cache",
            "ocsp",
            "stapling",
        ],
        "take it out: this version knows no OCSP",
    ),
    (&["ssl_crl", "crl"], "take it out: this version looks at no lists of revoked certificates"),
    (
        &["ssl_password_file", "password", "passphrase", "key_password"],
        "take it out, and write the key without a password: \
         `openssl pkey -in key.pem -out plain.pem`",
    ),
    (&["ssl_early_data", "early_data"], "take it out: data before the handshake can be replayed"),
    (&["ssl_handshake_timeout"], "write `timeouts = { tls_handshake = \"20s\" }`"),
    (&["ssl_reject_handshake"], "take it out: a host that no certificate names is answered 421"),
];

/// What others call the keys of a `[tls.NAME]`.
const CERTIFICATE_KEYS: &[Advice] = &[
    (
        &["cert", "chain", "fullchain", "certificates", "cert_file", "ssl_certificate"],
        "write `certificate`",
    ),
    (
        &["private_key", "privkey", "key_file", "certificate_key", "ssl_certificate_key"],
        "write `key`",
    ),
    (
        &["hosts", "names", "domains", "server_name"],
        "take it out: the certificate says whom it is for",
    ),
    (
        &["required", "verify", "ca", "ca_file", "client_ca", "client_auth"],
        "write `clients = { ca = \"…\", required = true }`",
    ),
    (
        &["ssl_protocols", "protocols", "min_version", "max_version"],
        "write `versions = [\"1.2\", \"1.3\"]`",
    ),
    (&["http2", "alpn"], "write `http2` in the listener: it is on by default"),
];

const KEYS: &[Advice] = &[
    (&["proxy", "reverse_proxy", "upstream", "upstreams", "backend", "balance", "cgi"], NO_PROXY),
    (&["fastcgi", "php", "php_fastcgi", "uwsgi_pass", "scgi_pass", "grpc_pass"], NO_PROXY),
    (&["http2"], "it is on: a listener turns it off by `{ address = \":443\", http2 = false }`"),
    (&["http3", "quic"], "this version speaks HTTP/1.1 and HTTP/2"),
    (
        &["proxy_protocol"],
        "write `listen = [{ address = \":8081\", proxy_protocol = [\"10.0.0.0/8\"] }]`",
    ),
    (&["limit_rate", "limit_rate_after"], "this version does not slow answers down"),
    (&["satisfy", "map", "if", "geo"], "there is none in this version: write routes with matchers"),
    (
        &["server_name", "server_names", "host", "hostname", "domain", "domains"],
        "write `[server.web.site.NAME]` with `hosts = [\"example.com\"]`",
    ),
    (&["location", "locations", "handle"], "write `[[server.web.route]]` with `path = \"/…\"`"),
    (&["root", "alias", "document_root"], "write `files = { root = \"…\" }` in a route"),
    (&["try_files"], "write `files = { root = \"…\", fallback = \"/index.html\" }` in a route"),
    (&["index"], "write `files = { root = \"…\", index = [\"index.html\"] }` in a route"),
    (&["autoindex", "browse"], "write `files = { root = \"…\", listing = true }` in a route"),
    (&["file_server", "static"], "write `files = { root = \"…\" }`"),
    (&["return"], "write `respond = { status = 403 }` or `redirect = \"…\"`"),
    (&["error_page", "error_pages"], "write `errors = { 404 = \"404.html\" }`"),
    (&["port", "bind", "address"], "write `listen = [\":8080\"]`"),
    (&["client_max_body_size"], "write `limits = { body = \"1MiB\" }`"),
    (&["keepalive_timeout"], "write `timeouts = { idle = \"75s\" }`"),
    (&["client_header_timeout"], "write `timeouts = { header = \"10s\" }`"),
    (&["client_body_timeout"], "write `timeouts = { body_idle = \"30s\" }`"),
    (&["send_timeout"], "write `timeouts = { write_idle = \"30s\" }`"),
    (&["gzip", "brotli", "encode", "zstd"], "write `middleware = [\"compress\"]`"),
    (
        &["add_header", "header", "more_set_headers"],
        "write `middleware = [{ headers = { response = { set = { X-Name = \"…\" } } } }]`",
    ),
    (&["expires"], "write `middleware = [{ cache_control = { value = { max_age = \"30d\" } } }]`"),
    (
        &["auth_basic", "auth_basic_user_file", "basicauth"],
        "write `middleware = [{ basic_auth = { file = \"users.htpasswd\" } }]`",
    ),
    (
        &["limit_req", "limit_req_zone"],
        "write `middleware = [{ rate_limit = { rate = \"10/s\", burst = 20 } }]`",
    ),
    (
        &["limit_conn", "limit_conn_zone"],
        "write `limits = { connections_per_ip = 10 }` of the server",
    ),
    (
        &["set_real_ip_from", "real_ip_header"],
        "write `trusted_proxies = [\"10.0.0.0/8\"]` of the server",
    ),
    (
        &["access_log"],
        "write `[log]` with `access = { file = \"…\" }`; `access_log` is of sites \
                       and routes",
    ),
    (&["log_format"], "write `[log]` with `format = { template = '…' }`"),
    (&["error_log"], "Stead's own log is standard error: write `[log]` with `level = \"info\"`"),
    (&["worker_processes", "worker_connections"], "write `[process]` with `workers = \"auto\"`"),
    (&["user", "group", "chroot", "daemon"], "start Stead as that user, as by `User=` of systemd"),
    (&["server_tokens"], "Stead names no version"),
];

const PREFIXES: &[(&str, &str)] =
    &[("fastcgi_", NO_PROXY), ("proxy_", NO_PROXY), ("tls_", TLS_TABLE)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_call_it_is_known() {
        assert_eq!(advice("proxy_set_header"), Some(NO_PROXY));
        assert_eq!(advice("ssl_certificate"), Some(TLS_TABLE));
        assert_eq!(advice("ssl_whatever"), Some(TLS_TABLE));
        assert_eq!(advice("ssl_verify_client"), Some(CLIENTS));
        assert_eq!(certificate_advice("cert"), Some("write `certificate`"));
        assert_eq!(certificate_advice("root"), None);
        assert_eq!(advice("proxyy"), None);
        for table in [&[KEYS, TLS_KEYS][..], &[CERTIFICATE_KEYS]] {
            let rows = table.iter().flat_map(|table| *table);
            let mut names: Vec<_> = rows.flat_map(|(keys, _)| *keys).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "one advice a key");
        }
    }
}
