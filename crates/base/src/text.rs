//! Text that others wrote, before a person reads it on a terminal or in a line of a log.

/// Whether a character is not seen itself but changes what is: control characters, and those of
/// Unicode that turn the direction, break the line, or have no width.
pub fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_a_line_round_is_unseen_and_letters_are_not() {
        assert!(
            ['\n', '\u{1b}', '\u{7f}', '\u{202e}', '\u{200b}', '\u{feff}'].map(is_unseen)
                == [true; 6]
        );
        assert!(['a', ' ', 'é', '漢', '\u{301}'].map(is_unseen) == [false; 5]);
    }
}
