//! Keys of other servers, for those who bring them along: what to write instead.
//!
//! Asked only where a key is unknown, and before a key of ours that is spelled alike.

/// What to write in place of a key of nginx, Apache or Caddy; or that there is nothing yet.
pub(crate) fn advice(key: &str) -> Option<&'static str> {
    let has = |prefix: &&(&str, &str)| key.starts_with(prefix.0);
    let exact = KEYS.iter().find(|(keys, _)| keys.contains(&key));
    exact.map(|(_, advice)| *advice).or_else(|| {
        let found = PREFIXES.iter().find(has);
        found.map(|(_, advice)| *advice)
    })
}

const NO_PROXY: &str = "this version hands no requests on to other servers";
const NO_TLS: &str =
    "this version has no TLS: let a proxy in front speak it, and name it in `trusted_proxies`";

const KEYS: &[(&[&str], &str)] = &[
    (&["proxy", "reverse_proxy", "upstream", "upstreams", "backend", "balance", "cgi"], NO_PROXY),
    (&["fastcgi", "php", "php_fastcgi", "uwsgi_pass", "scgi_pass", "grpc_pass"], NO_PROXY),
    (&["tls", "ssl", "https", "acme", "certificate", "certificate_key", "cert", "key"], NO_TLS),
    (&["http2", "http3", "quic"], "this version speaks HTTP/1.1 only"),
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
    &[("fastcgi_", NO_PROXY), ("proxy_", NO_PROXY), ("ssl_", NO_TLS), ("tls_", NO_TLS)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_call_it_is_known() {
        assert_eq!(advice("proxy_set_header"), Some(NO_PROXY));
        assert_eq!(advice("ssl_certificate"), Some(NO_TLS));
        assert_eq!(advice("proxyy"), None);
        let mut names: Vec<_> = KEYS.iter().flat_map(|(keys, _)| *keys).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "one advice a key");
    }
}
