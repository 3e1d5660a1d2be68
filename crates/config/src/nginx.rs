//! nginx's variables, for those who bring them along: which placeholder says the same.
//!
//! A `$name` of nginx in a text with placeholders would stand there literally, and nobody would
//! notice before a client does. Names: the lists of variables of `ngx_http_core_module` and of the
//! log, proxy and TLS modules.

/// What a variable is called here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meant {
    /// The placeholder of this name, where it is known.
    Placeholder(&'static str),
    /// A field of the request, in lines of the log.
    Field,
    /// A field of the answer, in lines of the log.
    AnswerField,
    /// A group of an expression, by number.
    Group,
    /// Nothing in this version.
    Nothing,
}

/// What `name`, without its dollar, means to nginx; `None` where it means nothing.
pub(crate) fn meant(name: &str) -> Option<Meant> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Meant::Group);
    }
    if let Some((_, placeholder)) = VARIABLES.iter().find(|(known, _)| *known == name) {
        return Some(Meant::Placeholder(placeholder));
    }
    let has = |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty());
    match name {
        _ if has("sent_http_") => Some(Meant::AnswerField),
        _ if has("http_") => Some(Meant::Field),
        _ if WITHOUT.contains(&name) || PREFIXES.iter().any(|prefix| has(prefix)) => {
            Some(Meant::Nothing)
        }
        _ => None,
    }
}

/// The length of the variable's name at the start of `text`, behind a dollar: one digit, or a word.
pub(crate) fn variable_len(text: &str) -> usize {
    match text.as_bytes() {
        [b'0'..=b'9', ..] => 1,
        bytes => bytes.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count(),
    }
}

const VARIABLES: &[(&str, &str)] = &[
    ("args", "query"),
    ("binary_remote_addr", "client_ip"),
    ("body_bytes_sent", "bytes_body"),
    ("bytes_sent", "bytes_out"),
    ("document_uri", "path"),
    ("host", "host"),
    ("http_host", "host"),
    ("is_args", "?query"),
    ("msec", "unix_ms"),
    ("proxy_add_x_forwarded_for", "client_ip"),
    ("query_string", "query"),
    ("remote_addr", "client_ip"),
    ("request", "uri"),
    ("request_id", "request_id"),
    ("request_length", "bytes_in"),
    ("request_method", "method"),
    ("request_time", "duration_ms"),
    ("request_uri", "uri"),
    ("scheme", "scheme"),
    ("server_name", "host"),
    ("server_protocol", "version"),
    ("status", "status"),
    ("time_iso8601", "time"),
    ("time_local", "time_common"),
    ("uri", "path"),
];

const WITHOUT: &[&str] = &[
    "connection",
    "connection_requests",
    "document_root",
    "hostname",
    "https",
    "nginx_version",
    "pid",
    "pipe",
    "remote_port",
    "remote_user",
    "request_body",
    "request_filename",
    "server_addr",
    "server_port",
];

const PREFIXES: &[&str] = &["arg_", "cookie_", "proxy_", "ssl_", "upstream_"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nginx_knows_is_meant() {
        assert_eq!(meant("request_uri"), Some(Meant::Placeholder("uri")));
        assert_eq!(meant("1"), Some(Meant::Group));
        assert_eq!(meant("http_user_agent"), Some(Meant::Field));
        assert_eq!(meant("sent_http_x"), Some(Meant::AnswerField));
        assert_eq!(meant("upstream_addr"), Some(Meant::Nothing));
        for other in ["", "x", "HOME", "http_", "prices", "1a"] {
            assert_eq!(meant(other), None, "{other}");
        }
        assert_eq!(["1.50", "10", "host/x", "", "{"].map(variable_len), [1, 1, 4, 0, 0]);
    }
}
