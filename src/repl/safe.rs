//! The text of others, made harmless for a terminal.
//!
//! A terminal obeys what it is sent: a message that holds an escape sequence could move the cursor,
//! forge a line of somebody else, or change the title of the window.
//! So every character that commands instead of showing is replaced by one that shows.
//! Everything else passes, in any script, with its combining characters; so do the two joiners,
//! which Persian, the Indic scripts and emoji need and which can only join what they stand between.

use crate::records::name::{is_blank_letter, is_invisible};

/// Where a line of a text ends when it is shown in one line.
const LINE_END: char = '⏎';

/// `text` in one line, without any character that commands a terminal.
pub fn line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\t' => safe.push(' '),
            // What a terminal, a pager or an editor may take for the end of a line.
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                safe.push(LINE_END);
                safe.push(' ');
            }
            _ => safe.push(shown(char)),
        }
    }
    safe
}

/// `text` with its line ends, and without any other character that commands a terminal.
///
/// Only for what this program says: in the text of others, a line end could forge a line.
pub fn lines(text: &str) -> String {
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn shown(char: char) -> char {
    match char {
        // Unicode has a picture for each of the old control characters.
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(char)).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\u{7f}' => '␡',
        '\u{200c}' | '\u{200d}' => char,
        _ if char.is_control() || is_invisible(char) || is_blank_letter(char) => char::REPLACEMENT_CHARACTER,
        _ => char,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_commands_a_terminal_is_shown_instead() {
        for (hostile, safe) in [
            ("\u{1b}[2J\u{1b}[H", "␛[2J␛[H"),
            ("\u{1b}]0;owned\u{7}", "␛]0;owned␇"),
            ("\u{9b}31mred", "\u{fffd}31mred"),
            ("\u{90}q\u{9c}", "\u{fffd}q\u{fffd}"),
            ("a\u{8}b\u{7f}", "a␈b␡"),
            ("nul\0", "nul␀"),
            ("\u{202e}gnp.exe", "\u{fffd}gnp.exe"),
            ("a\u{2066}b\u{2069}", "a\u{fffd}b\u{fffd}"),
            ("\u{feff}bom\u{200b}", "\u{fffd}bom\u{fffd}"),
            ("\u{e0041}\u{e007f}", "\u{fffd}\u{fffd}"),
            ("\u{3164}", "\u{fffd}"),
            ("col\tumn", "col umn"),
        ] {
            assert_eq!(line(hostile), safe, "{hostile:?}");
        }
    }

    #[test]
    fn a_message_of_many_lines_is_one_line() {
        assert_eq!(line("a\nalice> exit"), "a⏎ alice> exit");
        assert_eq!(line("a\r\nb\rc"), "a⏎ b⏎ c");
        assert_eq!(line("a\u{85}b\u{2028}c\u{2029}d\u{b}e\u{c}f"), "a⏎ b⏎ c⏎ d⏎ e⏎ f");
        assert_eq!(lines("a\nb\u{1b}c\n"), "a\nb␛c");
    }

    #[test]
    fn every_script_passes() {
        for text in [
            "Grüße",
            "日本語",
            "שלום",
            "مرحبا",
            "می\u{200c}خواهم",
            "e\u{301}",
            "👩\u{200d}💻",
            "❤\u{fe0f}",
            "🇨🇿",
        ] {
            assert_eq!(line(text), text);
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_shown_commands(text in "\\PC*|[\\x00-\\x{a0}\\x{2000}-\\x{2070}]*|.*") {
            prop_assert!(line(&text).chars().all(|char| !char.is_control()));
            prop_assert_eq!(line(&line(&text)), line(&text));
        }
    }
}
