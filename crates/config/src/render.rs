//! How diagnostics look: the line, carets under the characters, and what to write behind them.
//!
//! Columns are counted in characters, carets are placed by display width: tabs are shown as spaces,
//! wide characters take two columns, combining marks none. Control characters of the text never
//! reach the terminal.

use std::fmt::Write as _;

use stead_base::is_unseen;

use crate::{Diagnostic, Diagnostics, Severity, Sources, Span};

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// Plain text.
    Never,
    /// With ANSI escapes.
    Always,
}

/// Shown of many: nobody reads on, and often the first ones cause the rest.
const DIAGNOSTICS_SHOWN_MAX: usize = 100;
/// Columns shown of a line; of a longer one, a window around the place.
const LINE_COLUMNS_MAX: usize = 160;
const TAB_COLUMNS: usize = 4;

impl Diagnostics {
    /// Shows them, the first hundred, with an empty line after each.
    pub fn render(&self, sources: &Sources, color: Color) -> String {
        let mut out = String::new();
        for diagnostic in self.iter().take(DIAGNOSTICS_SHOWN_MAX) {
            let mut renderer = Renderer { sources, color, masked: &self.masked, out: &mut out };
            renderer.diagnostic(diagnostic);
            out.push('\n');
        }
        if self.len() > DIAGNOSTICS_SHOWN_MAX {
            let _ = writeln!(out, "and {} more\n", self.len() - DIAGNOSTICS_SHOWN_MAX);
        }
        out
    }

    /// All of them as a JSON array, for programs. Lines and columns count from 1, columns in
    /// characters; `start` and `end` are bytes.
    pub fn to_json(&self, sources: &Sources) -> serde_json::Value {
        self.iter().map(|diagnostic| json(diagnostic, sources)).collect()
    }
}

fn json(diagnostic: &Diagnostic, sources: &Sources) -> serde_json::Value {
    let related: Vec<serde_json::Value> = diagnostic
        .related
        .iter()
        .map(|(span, text)| serde_json::json!({ "message": text, "place": place(*span, sources) }))
        .collect();
    serde_json::json!({
        "severity": diagnostic.severity.as_str(),
        "message": diagnostic.message,
        "help": diagnostic.help,
        "place": diagnostic.span.map(|span| place(span, sources)),
        "related": related,
    })
}

fn place(span: Span, sources: &Sources) -> serde_json::Value {
    let (start, end) =
        (sources.position(span.file, span.start), sources.position(span.file, span.end));
    serde_json::json!({
        "file": sources.path(span.file).display().to_string(),
        "line": start.line,
        "column": start.column,
        "end_line": end.line,
        "end_column": end.column,
        "start": span.start,
        "end": span.end,
    })
}

struct Renderer<'a> {
    sources: &'a Sources,
    color: Color,
    masked: &'a [Span],
    out: &'a mut String,
}

/// One line of a file with marks under it.
struct Snippet<'a> {
    span: Span,
    label: &'a str,
    mark: char,
    arrow: &'static str,
}

impl Renderer<'_> {
    fn diagnostic(&mut self, diagnostic: &Diagnostic) {
        let code = match diagnostic.severity {
            Severity::Error => "1;31",
            Severity::Warning => "1;33",
        };
        let severity = self.paint(code, diagnostic.severity.as_str());
        let message = self.paint("1", &format!(": {}", safe(&diagnostic.message)));
        let _ = writeln!(self.out, "{severity}{message}");
        let help = diagnostic.help.as_deref().unwrap_or("");
        let main =
            diagnostic.span.map(|span| Snippet { span, label: help, mark: '^', arrow: "-->" });
        if main.is_none() && !help.is_empty() {
            let _ = writeln!(self.out, "  = {}", safe(help));
        }
        let related = diagnostic.related.iter();
        let related =
            related.map(|(span, label)| Snippet { span: *span, label, mark: '-', arrow: ":::" });
        let snippets: Vec<Snippet<'_>> = main.into_iter().chain(related).collect();
        let line = |snippet: &Snippet<'_>| {
            self.sources.position(snippet.span.file, snippet.span.start).line
        };
        let gutter = snippets.iter().map(line).max().unwrap_or(1).to_string().len();
        for snippet in &snippets {
            self.snippet(snippet, gutter, code);
        }
    }

    fn snippet(&mut self, snippet: &Snippet<'_>, gutter: usize, code: &str) {
        let span = snippet.span;
        let position = self.sources.position(span.file, span.start);
        let path = safe(&self.sources.path(span.file).display().to_string());
        let arrow = self.paint("1;34", snippet.arrow);
        let bar = self.paint("1;34", "|");
        let pad = " ".repeat(gutter);
        let _ = writeln!(self.out, "{pad}{arrow} {path}:{}:{}", position.line, position.column);
        let shown = self.line(span, position.line);
        let number = self.paint("1;34", &format!("{:>gutter$}", position.line));
        let _ = writeln!(self.out, "{pad} {bar}");
        let _ = writeln!(self.out, "{}", format!("{number} {bar} {}", shown.text).trim_end());
        let marks = String::from(snippet.mark).repeat(shown.width.max(1));
        let label = match snippet.label {
            "" => String::new(),
            label => format!(" {}", safe(label)),
        };
        let code = if snippet.mark == '^' { code } else { "1;34" };
        let marks = self.paint(code, &format!("{marks}{label}"));
        let _ = writeln!(self.out, "{pad} {bar} {}{marks}", " ".repeat(shown.before));
    }

    /// The line of a span as it is shown, and where the marks go under it.
    fn line(&self, span: Span, line: usize) -> Shown {
        let (text, start) = self.sources.line(span.file, line);
        let range = span.range();
        let mut cells = Vec::new();
        let (mut before, mut width) = (0, 0);
        for (at, c) in text.char_indices() {
            let at = start + at;
            let masked = self.masked.iter().any(|m| m.file == span.file && m.range().contains(&at));
            let (cell, columns) = cell(if masked && !matches!(c, '"' | '\'') { '*' } else { c });
            if at < range.start {
                before += columns;
            } else if at < range.end {
                width += columns;
            }
            cells.push((cell, columns));
        }
        Shown::window(&cells, before, width)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        match self.color {
            Color::Never => text.to_owned(),
            Color::Always => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

/// A line as shown, with the columns before the marks and under them.
struct Shown {
    text: String,
    before: usize,
    width: usize,
}

impl Shown {
    /// Cuts a long line down to what stands around the marks.
    fn window(cells: &[(String, usize)], before: usize, width: usize) -> Self {
        let total: usize = cells.iter().map(|(_, columns)| columns).sum();
        let text =
            |cells: &[(String, usize)]| cells.iter().map(|(text, _)| text.as_str()).collect();
        if total <= LINE_COLUMNS_MAX {
            return Self { text: text(cells), before, width };
        }
        let first = before.saturating_sub(LINE_COLUMNS_MAX / 4);
        let (mut column, mut kept, mut skipped) = (0, String::new(), None);
        for (cell, columns) in cells {
            if column >= first && column + columns <= first + LINE_COLUMNS_MAX {
                skipped.get_or_insert(column);
                kept.push_str(cell);
            }
            column += columns;
        }
        let skipped = skipped.unwrap_or(0);
        let cut = skipped > 0;
        let width = width.min((skipped + LINE_COLUMNS_MAX).saturating_sub(before));
        let text = format!(
            "{}{kept}{}",
            if cut { "…" } else { "" },
            if skipped + LINE_COLUMNS_MAX < total { "…" } else { "" }
        );
        Self { text, before: before - skipped + usize::from(cut), width }
    }
}

/// A character as it is shown, and the columns that it takes.
fn cell(c: char) -> (String, usize) {
    match c {
        '\t' => (" ".repeat(TAB_COLUMNS), TAB_COLUMNS),
        c if is_unseen(c) => ("\u{fffd}".to_owned(), 1),
        c => (c.to_string(), columns(c)),
    }
}

/// SECURITY: text of the configuration is shown on a terminal; escapes and direction overrides are
/// not passed on.
fn safe(text: &str) -> String {
    text.chars().map(|c| if is_unseen(c) { '\u{fffd}' } else { c }).collect()
}

/// The columns of a character on a terminal, by the ranges of Unicode's East Asian Width (UAX 11)
/// and combining marks that occur in practice.
fn columns(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}'
        | '\u{483}'..='\u{489}'
        | '\u{591}'..='\u{5bd}'
        | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}'
        | '\u{200b}'..='\u{200d}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}'
        | '\u{feff}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, marked: &str, expect: &str) {
        let mut sources = Sources::default();
        let file = sources.add("stead.toml", text);
        let start = text.find(marked).unwrap();
        let span = Span::new(file, start..start + marked.len());
        let diagnostics: Diagnostics = Diagnostic::error(span, "wrong").help("write `x`").into();
        assert_eq!(
            diagnostics.render(&sources, Color::Never),
            format!("error: wrong\n{expect}\n\n")
        );
    }

    #[test]
    fn carets_stand_under_the_characters() {
        check("a = 1", "1", " --> stead.toml:1:5\n  |\n1 | a = 1\n  |     ^ write `x`");
        check("\ta = 1", "a", " --> stead.toml:1:2\n  |\n1 |     a = 1\n  |     ^ write `x`");
        check(
            "s = '日本' # x",
            "x",
            " --> stead.toml:1:12\n  |\n1 | s = '日本' # x\n  |              ^ write `x`",
        );
        check(
            "s = 'e\u{301}' #x",
            "x",
            " --> stead.toml:1:11\n  |\n1 | s = 'e\u{301}' #x\n  |          ^ write `x`",
        );
        check("日本 = 1", "日本", " --> stead.toml:1:1\n  |\n1 | 日本 = 1\n  | ^^^^ write `x`");
        check(
            "a = '''x\ny'''",
            "'''x\ny'''",
            " --> stead.toml:1:5\n  |\n1 | a = '''x\n  |     ^^^^ write `x`",
        );
    }

    #[test]
    fn long_lines_are_cut_and_controls_replaced() {
        let text = format!("a = '{}' # \u{1b}[31m here {}", "x".repeat(500), "y".repeat(500));
        let mut sources = Sources::default();
        let file = sources.add("stead.toml", text.as_str());
        let at = text.find("here").unwrap();
        let diagnostics: Diagnostics =
            Diagnostic::error(Span::new(file, at..at + 4), "wrong").into();
        let shown = diagnostics.render(&sources, Color::Never);
        assert!(!shown.contains('\u{1b}') && shown.contains('…'));
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() < 180), "{shown}");
        let column = |line: &str, what: &str| line.split(what).next().unwrap().chars().count();
        assert_eq!(column(lines[3], "here"), column(lines[4], "^^^^"), "{shown}");
    }

    #[test]
    fn of_very_many_the_first_are_shown_and_the_others_counted() {
        let mut diagnostics = Diagnostics::new();
        (0..3000).for_each(|n| diagnostics.push(Diagnostic::error(None, format!("number {n}"))));
        let shown = diagnostics.render(&Sources::default(), Color::Never);
        assert_eq!(shown.matches("error: ").count(), DIAGNOSTICS_SHOWN_MAX);
        assert!(shown.ends_with("error: number 99\n\nand 2900 more\n\n"), "{shown}");
    }

    #[test]
    fn secrets_are_masked_wherever_their_line_is_shown() {
        let mut sources = Sources::default();
        let file = sources.add("stead.toml", "t = { key = 'hunter2', x = 1 }");
        let mut diagnostics: Diagnostics =
            Diagnostic::error(Span::new(file, 23..24), "wrong").into();
        diagnostics.masked.push(Span::new(file, 12..21));
        let shown = diagnostics.render(&sources, Color::Never);
        assert!(shown.contains("key = '*******', x") && !shown.contains("hunter2"), "{shown}");
    }
}
