//! One response as a client sees it.

/// Status, fields and body of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Fields in their order, names in lower case.
    pub fields: Vec<(String, String)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of the first field of this name, given in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The same, `-` where there is none.
    pub fn value(&self, name: &str) -> &str {
        self.field(name).unwrap_or("-")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the server closes the connection after it.
    pub fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Parses the head, without the empty line that ends it.
    pub(crate) fn parse_head(head: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        let Some(status) = status.and_then(|status| status.parse().ok()) else {
            return Err(format!("no status line: {first:?}"));
        };
        let mut fields = Vec::new();
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                return Err(format!("no field: {line:?}"));
            };
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Self { status, fields, body: Vec::new() })
    }
}

/// One part of a `multipart/byteranges` body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its fields, names in lower case.
    pub fields: Vec<(String, String)>,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// Splits a `multipart/byteranges` answer (RFC 9110 §14.6); `None` if it is none, or malformed.
pub fn parts(answer: &Answer) -> Option<Vec<Part>> {
    let boundary = answer.field("content-type")?.split_once("boundary=")?.1;
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter may stand at the very start.
    let body = [b"\r\n", answer.body.as_slice()].concat();
    let mut pieces = split(&body, delimiter.as_bytes());
    pieces.next()?;
    let mut parts = Vec::new();
    for piece in pieces {
        if piece.starts_with(b"--") {
            return Some(parts);
        }
        let end = find(piece, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(piece.get(2..end)?).into_owned();
        let fields = head.split("\r\n").map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        parts.push(Part { fields: fields.collect(), body: piece.get(end + 4..)?.to_vec() });
    }
    None
}

/// Where a text begins in another.
pub fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn split<'a>(mut text: &'a [u8], delimiter: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let Some(at) = find(text, delimiter) else {
            done = true;
            return Some(text);
        };
        let (piece, rest) = text.split_at(at);
        text = rest.get(delimiter.len()..).unwrap_or_default();
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_multipart_answer() {
        let body =
            b"--x\r\nContent-Range: bytes 0-1/9\r\n\r\nab\r\n--x\r\nA: b\r\n\r\n\r\n\r\n--x--\r\n";
        let kind = "multipart/byteranges; boundary=x".to_owned();
        let fields = vec![("content-type".to_owned(), kind)];
        let answer = Answer { status: 206, fields, body: body.to_vec() };
        let parts = parts(&answer).expect("two parts");
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[0].body, b"ab");
        assert_eq!(parts[0].fields, [("content-range".to_owned(), "bytes 0-1/9".to_owned())]);
        assert_eq!(parts[1].body, b"\r\n");
    }
}
