//! Prints files and functions beyond the aims. Nothing fails: a long piece that reads straight
//! through is better than three that must be read together.

use super::Tree;
use super::source::Source;

/// Prints what is beyond the aims.
pub(crate) fn print(tree: &Tree) {
    for (path, source) in tree.rust() {
        let shown = path.display();
        let lines = lines_without_tests(source);
        if lines > FILE_LINES {
            println!("note: {shown}: {lines} lines without tests, the aim is {FILE_LINES}");
        }
        for (line, name, length) in functions(source) {
            if length > FUNCTION_LINES {
                println!(
                    "note: {shown}:{line}: `{name}` has {length} lines, the aim is {FUNCTION_LINES}"
                );
            }
        }
    }
}

fn lines_without_tests(source: &Source) -> usize {
    source.lines.iter().take_while(|line| line.code.trim() != "#[cfg(test)]").count()
}

/// Every function with a body: first line, name, number of lines.
fn functions(source: &Source) -> Vec<(usize, &str, usize)> {
    let mut found = Vec::new();
    for (number, line) in source.numbered() {
        if let Some(name) = line.declared("fn")
            && let Some(length) = body_length(source, number - 1)
        {
            found.push((number, name, length));
        }
    }
    found
}

/// Lines from this one to the end of the body that starts after it; `None` for a declaration.
fn body_length(source: &Source, start: usize) -> Option<usize> {
    let (mut braces, mut brackets) = (0_i32, 0_i32);
    for (offset, line) in source.lines[start..].iter().enumerate() {
        let from = if offset == 0 { line.code.find("fn ").unwrap_or(0) } else { 0 };
        for c in line.code[from..].chars() {
            match c {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets -= 1,
                '{' => braces += 1,
                '}' => {
                    braces -= 1;
                    if braces == 0 {
                        return Some(offset + 1);
                    }
                }
                ';' if braces == 0 && brackets == 0 => return None,
                _ => {}
            }
        }
    }
    None
}

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 70;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_functions() {
        let text = "trait A {\n    fn a(&self);\n    fn b(&self, x: [u8; 2]) {\n        \"}\";\n    }\n}\nfn c() {}\n";
        assert_eq!(functions(&Source::new(text)), [(3, "b", 3), (7, "c", 1)]);
    }

    #[test]
    fn tests_do_not_count() {
        let text = "fn a() {}\n\n#[cfg(test)]\nmod tests {}\n";
        assert_eq!(lines_without_tests(&Source::new(text)), 2);
    }
}
