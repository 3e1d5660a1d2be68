//! What the router asks of a request, so that it knows no shell.

/// A request whose head has been parsed.
pub trait Request {
    /// The method, as it came.
    fn method(&self) -> &str;

    /// The host without its port, in any case, perhaps with a dot at the end.
    fn host(&self) -> Option<&[u8]>;

    /// The path, as [`canonicalize`](crate::canonicalize) wrote it.
    fn path(&self) -> &str;

    /// Calls `each` with every value of the field `name` (lower case) until one returns true, and
    /// says whether one did.
    fn header(&self, name: &str, each: &mut dyn FnMut(&[u8]) -> bool) -> bool;

    /// What stands behind `?`, as it came.
    fn query(&self) -> Option<&[u8]>;
}

/// A request made by hand: for `stead explain`, and for tests.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// The method.
    pub method: String,
    /// The host without its port.
    pub host: Option<String>,
    /// The canonical path.
    pub path: String,
    /// What stands behind `?`.
    pub query: Option<String>,
    /// The header fields, names in any case.
    pub headers: Vec<(String, String)>,
}

impl Request for Sample {
    fn method(&self) -> &str {
        &self.method
    }

    fn host(&self) -> Option<&[u8]> {
        self.host.as_deref().map(str::as_bytes)
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn header(&self, name: &str, each: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let mut fields = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        fields.any(|(_, value)| each(value.as_bytes()))
    }

    fn query(&self) -> Option<&[u8]> {
        self.query.as_deref().map(str::as_bytes)
    }
}
