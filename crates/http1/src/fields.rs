//! The fields of one message: one buffer of bytes and a small array of spans.
//!
//! A head's field lines are copied into the buffer in one piece and described by spans, with known
//! names interned; nothing is allocated per field, and a cleared `Fields` keeps its capacity. Order
//! and repetition are kept. `reader` fills it from the wire, handlers by `append` and `set`.
//!
//! INVARIANT: every span lies inside `bytes`, and an entry without a known name has one that is not
//! in the table.

use std::fmt;

use stead_base::Reason;

use crate::name::{Known, Name};
use crate::scan;

/// Field names and values, in order.
#[derive(Clone, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    known: Option<Known>,
    /// Empty if the name is known.
    name: Span,
    value: Span,
}

/// A piece of a buffer of at most 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    #[inline]
    pub(crate) fn new(start: usize, len: usize) -> Self {
        debug_assert!(u32::try_from(start + len).is_ok(), "buffers stay below 4 GiB");
        Self { start: start as u32, len: len as u32 }
    }

    fn moved(self, by: usize) -> Self {
        Self::new(self.start as usize + by, self.len as usize)
    }

    #[inline]
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        let start = self.start as usize;
        bytes.get(start..start + self.len as usize).unwrap_or_default()
    }
}

impl Fields {
    /// No fields, no memory.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), entries: Vec::new() }
    }

    /// Removes all fields and keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// Gives memory back beyond `bytes_max` bytes of text; for pools of reused heads.
    pub fn shrink_to(&mut self, bytes_max: usize) {
        self.bytes.shrink_to(bytes_max);
        self.entries.shrink_to(bytes_max / 32);
    }

    /// How many fields there are; a repeated one counts each time.
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no field.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first value of a field.
    #[inline]
    pub fn get(&self, name: Name<'_>) -> Option<&[u8]> {
        let entry = self.entries.iter().find(self.matcher(name))?;
        Some(entry.value.of(&self.bytes))
    }

    /// All values of a field, in order.
    pub fn values<'a>(&'a self, name: Name<'a>) -> impl Iterator<Item = &'a [u8]> {
        self.entries.iter().filter(self.matcher(name)).map(|entry| entry.value.of(&self.bytes))
    }

    /// Whether the field is there.
    #[inline]
    pub fn contains(&self, name: Name<'_>) -> bool {
        self.position(name).is_some()
    }

    /// All fields in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (Name<'_>, &[u8])> {
        self.entries.iter().map(|entry| (self.name_of(entry), entry.value.of(&self.bytes)))
    }

    /// Whether a name holds an underscore, which some programs read as a hyphen.
    pub fn has_underscore(&self) -> bool {
        self.iter().any(|(name, _)| name.has_underscore())
    }

    /// Adds a field that our own code made; one from outside goes through [`Fields::try_append`].
    pub fn append(&mut self, name: Name<'_>, value: &[u8]) {
        self.append_checked(name, own_value(value));
    }

    /// Adds a field whose value has been found to be one.
    pub(crate) fn append_checked(&mut self, name: Name<'_>, value: &[u8]) {
        debug_assert!(scan::is_value(value), "it was not checked");
        let entry = self.store(name, value);
        self.entries.push(entry);
    }

    /// Puts one field in place of all of that name, where the first stood, else at the end.
    pub fn set(&mut self, name: Name<'_>, value: &[u8]) {
        let value = own_value(value);
        let Some(first) = self.position(name) else {
            return self.append_checked(name, value);
        };
        self.remove_from(first + 1, name);
        let Some(entry) = self.entries.get_mut(first) else { return };
        let (start, end) = (entry.value.start as usize, entry.value.start as usize + value.len());
        match self.bytes.get_mut(start..end) {
            // The old place is large enough: a value set again and again takes no new memory.
            Some(place) if value.len() <= entry.value.len as usize => {
                place.copy_from_slice(value);
                entry.value.len = value.len() as u32;
            }
            _ => {
                entry.value = Span::new(self.bytes.len(), value.len());
                self.bytes.extend_from_slice(value);
            }
        }
    }

    /// Removes all fields of that name; says whether there was one.
    pub fn remove(&mut self, name: Name<'_>) -> bool {
        self.remove_from(0, name)
    }

    /// Keeps only the fields of which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(Name<'_>, &[u8]) -> bool) {
        let Self { bytes, entries } = self;
        entries.retain(|entry| keep(entry.name(bytes), entry.value.of(bytes)));
    }

    /// Adds all fields of another, in order.
    pub fn extend_from(&mut self, other: &Self) {
        let by = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.entries.extend(other.entries.iter().map(|entry| Entry {
            known: entry.known,
            name: entry.name.moved(by),
            value: entry.value.moved(by),
        }));
    }

    /// Adds a field whose bytes come from a request or the configuration; blanks at the value's
    /// ends are dropped.
    ///
    /// # Errors
    /// `BadHeaderName` if the name is no token, `BadHeaderValue` if the value holds a control byte
    /// other than HTAB.
    pub fn try_append(&mut self, name: &[u8], value: &[u8]) -> Result<(), Reason> {
        let (name, value) = checked(name, value)?;
        self.append(name, value);
        Ok(())
    }

    /// Like [`Fields::set`], for bytes from a request or the configuration.
    ///
    /// # Errors
    /// As [`Fields::try_append`].
    pub fn try_set(&mut self, name: &[u8], value: &[u8]) -> Result<(), Reason> {
        let (name, value) = checked(name, value)?;
        self.set(name, value);
        Ok(())
    }

    /// Where the text begins that [`Fields::push_lines`] will add.
    #[inline]
    pub(crate) fn text_end(&self) -> usize {
        self.bytes.len()
    }

    /// Describes a field whose text [`Fields::push_lines`] adds before anyone reads it.
    #[inline]
    pub(crate) fn push_spans(&mut self, known: Option<Known>, name: Span, value: Span) {
        self.entries.push(Entry { known, name, value });
    }

    /// Adds the text of field lines that `push_spans` described.
    #[inline]
    pub(crate) fn push_lines(&mut self, lines: &[u8]) {
        self.bytes.extend_from_slice(lines);
    }

    fn position(&self, name: Name<'_>) -> Option<usize> {
        let matches = self.matcher(name);
        self.entries.iter().position(|entry| matches(&entry))
    }

    fn name_of(&self, entry: &Entry) -> Name<'_> {
        entry.name(&self.bytes)
    }

    /// A test for entries of that name. `name` may be a known one spelt out.
    #[inline]
    fn matcher<'a>(&'a self, name: Name<'a>) -> impl Fn(&&Entry) -> bool + 'a {
        let name = match name {
            Name::Other(bytes) => Name::from_bytes(bytes),
            known @ Name::Known(_) => known,
        };
        move |entry| match (name, entry.known) {
            (Name::Known(wanted), Some(known)) => wanted == known,
            (Name::Other(wanted), None) => entry.name.of(&self.bytes).eq_ignore_ascii_case(wanted),
            _ => false,
        }
    }

    fn store(&mut self, name: Name<'_>, value: &[u8]) -> Entry {
        let known = match name {
            Name::Known(known) => Some(known),
            Name::Other(bytes) => Known::from_bytes(bytes),
        };
        let start = self.bytes.len();
        if known.is_none() {
            debug_assert!(scan::is_token(name.as_bytes()), "a name of our own is no token");
            self.bytes.extend_from_slice(name.as_bytes());
        }
        let name = Span::new(start, self.bytes.len() - start);
        let value_span = Span::new(self.bytes.len(), value.len());
        self.bytes.extend_from_slice(value);
        Entry { known, name, value: value_span }
    }

    fn remove_from(&mut self, first: usize, name: Name<'_>) -> bool {
        let before = self.entries.len();
        let name = Name::from_bytes(name.as_bytes());
        let Self { bytes, entries } = self;
        let mut index = 0;
        entries.retain(|entry| {
            index += 1;
            index <= first || entry.name(bytes) != name
        });
        entries.len() != before
    }
}

impl Entry {
    fn name<'a>(&self, bytes: &'a [u8]) -> Name<'a> {
        match self.known {
            Some(known) => Name::Known(known),
            None => Name::Other(self.name.of(bytes)),
        }
    }
}

fn checked<'a>(name: &'a [u8], value: &'a [u8]) -> Result<(Name<'a>, &'a [u8]), Reason> {
    if !scan::is_token(name) {
        return Err(Reason::BadHeaderName);
    }
    if !scan::is_value(value) {
        return Err(Reason::BadHeaderValue);
    }
    Ok((Name::from_bytes(name), scan::trim(value)))
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.iter().map(|(name, value)| (name, value.escape_ascii().to_string()));
        f.debug_map().entries(entries).finish()
    }
}

/// A value of our own code. SECURITY: one with a control character is a mistake of ours; it is sent
/// empty rather than as a line of its own.
fn own_value(value: &[u8]) -> &[u8] {
    let is_clean = scan::is_value(value);
    debug_assert!(is_clean, "CR, LF, NUL or a control in a value of our own");
    if is_clean { value } else { b"" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{CONTENT_TYPE, HOST, SERVER, SET_COOKIE};

    fn sample() -> Fields {
        let mut fields = Fields::new();
        fields.append(HOST, b"a.example");
        fields.append(Name::Other(b"X-One"), b"1");
        fields.append(SET_COOKIE, b"a=1");
        fields.append(SET_COOKIE, b"b=2");
        fields
    }

    #[test]
    fn fields_keep_order_and_repetition() {
        let fields = sample();
        assert_eq!(fields.get(HOST), Some(&b"a.example"[..]));
        assert_eq!(fields.get(Name::Other(b"host")), Some(&b"a.example"[..]));
        assert_eq!(fields.get(Name::Other(b"x-one")), Some(&b"1"[..]));
        assert_eq!(fields.values(SET_COOKIE).collect::<Vec<_>>(), [b"a=1", b"b=2"]);
        assert!(fields.contains(SET_COOKIE) && !fields.contains(SERVER));
        assert_eq!(fields.len(), 4);
    }

    #[test]
    fn all_of_another_are_added_as_they_stand() {
        let mut fields = sample();
        let mut more = sample();
        assert!(more.remove(HOST));
        more.append(Name::Other(b"X-Two"), b"");
        fields.extend_from(&more);
        let text = bytes_of(&fields);
        assert_eq!(text, bytes_of(&sample()) + &bytes_of(&more));
        fields.set(SET_COOKIE, b"c");
        assert_eq!(fields.len(), 5);
    }

    #[test]
    fn set_replaces_all_in_the_first_place() {
        let mut fields = sample();
        fields.set(SET_COOKIE, b"c");
        fields.set(CONTENT_TYPE, b"text/html");
        fields.set(HOST, b"a-longer-name.example");
        let text = bytes_of(&fields);
        assert_eq!(
            text,
            "Host: a-longer-name.example\nX-One: 1\nSet-Cookie: c\nContent-Type: text/html\n"
        );
        assert!(fields.remove(HOST) && !fields.remove(HOST));
        fields.retain(|name, _| !matches!(name, Name::Other(_)));
        assert_eq!(fields.len(), 2);
    }

    #[test]
    fn a_value_set_again_takes_no_memory() {
        let mut fields = sample();
        fields.set(SERVER, b"0123456789");
        let size = fields.bytes.len();
        for value in [&b"1"[..], b"", b"0123456789", b"abc"] {
            fields.set(SERVER, value);
        }
        // Once shrunk a value's place stays small, so at most one new place was taken.
        assert!(fields.bytes.len() <= size + 13);
        assert_eq!(fields.get(SERVER), Some(&b"abc"[..]));
    }

    #[test]
    fn names_and_values_from_outside_are_checked() {
        let mut fields = Fields::new();
        assert_eq!(fields.try_append(b"X-A", b" v\t"), Ok(()));
        assert_eq!(fields.get(Name::Other(b"X-A")), Some(&b"v"[..]));
        for name in ["", "a b", "a:", "a\r\n", "ä", "a\0"] {
            assert_eq!(fields.try_set(name.as_bytes(), b"v"), Err(Reason::BadHeaderName));
        }
        for value in [&b"a\r\nb"[..], b"a\nb", b"a\rb", b"\0", b"\x7f", b"\x01"] {
            assert_eq!(fields.try_set(b"X-B", value), Err(Reason::BadHeaderValue));
        }
        assert_eq!(fields.try_set(b"x-a", b"\x80\xff\tz"), Ok(()));
        assert_eq!(fields.len(), 1);
    }

    fn bytes_of(fields: &Fields) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for (name, value) in fields.iter() {
            writeln!(text, "{name}: {}", value.escape_ascii()).unwrap();
        }
        text
    }
}
