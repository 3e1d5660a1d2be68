//! Splits Rust text into code, comments and the insides of strings, line by line.
//!
//! Just enough of the lexical structure (The Rust Reference, "Lexical structure") for a rule to say
//! "this word in code" and "this word in a comment" without mistaking one for the other.

/// One Rust file, line by line.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) lines: Vec<Line>,
}

/// One line of a Rust file.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// The code: comments and the insides of strings are left out.
    pub(crate) code: String,
    /// The text of its comments, without the marks before it.
    pub(crate) comment: String,
    /// All columns of the line.
    pub(crate) columns: usize,
    /// The columns that lie inside strings.
    pub(crate) string_columns: usize,
}

impl Source {
    pub(crate) fn new(text: &str) -> Self {
        let mut lexer = Lexer { rest: text.chars().collect(), at: 0, lines: vec![Line::default()] };
        lexer.run();
        if lexer.lines.last().is_some_and(|line| line.columns == 0) {
            lexer.lines.pop();
        }
        Self { lines: lexer.lines }
    }

    /// Every line with its number, from 1.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines.iter().enumerate().map(|(index, line)| (index + 1, line))
    }
}

impl Line {
    /// The words of the code, in order.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
    }

    /// The name that an item of this keyword declares on this line: `fn`, `mod`, `struct`, …
    pub(crate) fn declared(&self, keyword: &str) -> Option<&str> {
        let mut words = self.words().skip_while(|word| *word != keyword).skip(1);
        // `fn(u8)` is a type and `keyword!` a macro: the name must follow after a space.
        let place = self.code.find(&format!("{keyword} "))?;
        let before = self.code[..place].chars().next_back();
        let is_word = before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '"');
        words.next().filter(|_| is_word)
    }
}

/// What a character belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Text,
}

struct Lexer {
    rest: Vec<char>,
    at: usize,
    lines: Vec<Line>,
}

impl Lexer {
    fn run(&mut self) {
        while let Some(c) = self.peek(0) {
            match (c, self.peek(1)) {
                ('/', Some('/')) => self.line_comment(),
                ('/', Some('*')) => self.block_comment(),
                ('"', _) => self.string(),
                ('r', Some('"' | '#')) if !self.in_word() => self.raw_string(),
                ('b' | 'c', Some('r'))
                    if !self.in_word() && matches!(self.peek(2), Some('"' | '#')) =>
                {
                    self.take(Part::Code);
                    self.raw_string();
                }
                ('\'', _) => self.quote(),
                _ => self.take(Part::Code),
            }
        }
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|c| c != '\n') {
            self.take(Part::Comment);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.peek(0).is_some() {
            let pair = (self.peek(0), self.peek(1));
            let step = match pair {
                (Some('/'), Some('*')) => 1,
                (Some('*'), Some('/')) => -1,
                _ => 0,
            };
            depth += step;
            self.take(Part::Comment);
            if step != 0 {
                self.take(Part::Comment);
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.take(Part::Code);
        while let Some(c) = self.peek(0) {
            if c == '"' {
                return self.take(Part::Code);
            }
            self.take(Part::Text);
            if c == '\\' {
                self.take(Part::Text);
            }
        }
    }

    /// At `r`: a raw string, or a raw identifier, which is code.
    fn raw_string(&mut self) {
        let hashes = self.rest[self.at + 1..].iter().take_while(|&&c| c == '#').count();
        if self.peek(1 + hashes) != Some('"') {
            return self.take(Part::Code);
        }
        for _ in 0..hashes + 2 {
            self.take(Part::Code);
        }
        while self.peek(0).is_some() {
            let closes = self.peek(0) == Some('"')
                && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#'));
            if closes {
                for _ in 0..=hashes {
                    self.take(Part::Code);
                }
                return;
            }
            self.take(Part::Text);
        }
    }

    /// At `'`: a character, or a lifetime, which is code.
    fn quote(&mut self) {
        match (self.peek(1), self.peek(2)) {
            (Some('\\'), _) => {
                self.take(Part::Code);
                self.take(Part::Text);
                self.take(Part::Text);
                while self.peek(0).is_some_and(|c| c != '\'' && c != '\n') {
                    self.take(Part::Text);
                }
                self.take(Part::Code);
            }
            (Some(_), Some('\'')) => {
                self.take(Part::Code);
                self.take(Part::Text);
                self.take(Part::Code);
            }
            _ => self.take(Part::Code),
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    /// Whether the character before this one continues a word: the `r` of `for"` starts no string.
    fn in_word(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|before| self.rest.get(before));
        before.is_some_and(|c| c.is_alphanumeric() || *c == '_')
    }

    fn take(&mut self, part: Part) {
        let Some(c) = self.peek(0) else { return };
        self.at += 1;
        if c == '\n' {
            self.lines.push(Line::default());
            return;
        }
        let Some(line) = self.lines.last_mut() else { return };
        line.columns += 1;
        match part {
            Part::Code => line.code.push(c),
            Part::Comment => line.comment.push(c),
            Part::Text => line.string_columns += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, code: &str, comment: &str) {
        let source = Source::new(text);
        assert_eq!(source.lines[0].code, code, "code of {text}");
        assert_eq!(source.lines[0].comment, comment, "comment of {text}");
    }

    #[test]
    fn parts() {
        check("let a = 1; // one", "let a = 1; ", "// one");
        check("f(\"// no\")", "f(\"\")", "");
        check(r#"f("a\"b") // c"#, "f(\"\") ", "// c");
        check(r##"f(r#"a"b"#, x)"##, "f(r#\"\"#, x)", "");
        check("br\"a\\\" // c", "br\"\" ", "// c");
        check("let c = '\"'; // c", "let c = ''; ", "// c");
        check("let c = '\\''; x", "let c = ''; x", "");
        check("fn f<'a>(a: &'a str) {}", "fn f<'a>(a: &'a str) {}", "");
        check("a /* b /* c */ d */ e", "a  e", "/* b /* c */ d */");
        check("let r#type = 1;", "let r#type = 1;", "");
        check("'\\u{1F600}' x", "'' x", "");
    }

    #[test]
    fn a_string_goes_over_lines() {
        let source = Source::new("let a = \"x // y\n unsafe z\"; // c\n");
        assert_eq!(source.lines.len(), 2);
        assert_eq!(source.lines[1].code, "\"; ");
        assert_eq!(source.lines[1].string_columns, 9);
    }

    #[test]
    fn declared_names() {
        let line = |text: &str| Source::new(text).lines.remove(0);
        assert_eq!(line("pub(crate) fn parse(a: u8)").declared("fn"), Some("parse"));
        assert_eq!(line("mod tests {").declared("mod"), Some("tests"));
        assert_eq!(line("type Step = fn() -> u8;").declared("fn"), None);
        assert_eq!(line("a_fn b").declared("fn"), None);
    }
}
