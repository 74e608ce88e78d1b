//! Colours, where there is a terminal that has them and a user who wants them.

use std::env;
use std::io::{self, IsTerminal};

use crate::id::Id;

/// Of the 256 colours of terminals those that can be read on black and on white: the test below measures it.
const NICK_COLOURS: [u8; 12] = [31, 33, 63, 64, 97, 98, 130, 132, 135, 160, 163, 166];

/// Whether to colour, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    on: bool,
}

impl Colour {
    /// Text as it is.
    pub const OFF: Colour = Colour { on: false };
    /// Text with colours.
    pub const ON: Colour = Colour { on: true };

    /// Colours if standard output is a terminal that has them, unless `NO_COLOR` is set
    /// (<https://no-color.org>).
    pub fn of_environment() -> Colour {
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let unable = env::var_os("TERM").is_none_or(|term| term == "dumb");
        Colour { on: io::stdout().is_terminal() && !unwanted && !unable }
    }

    /// A nick, always in the same colour.
    pub fn nick(self, nick: &str) -> String {
        // A hash that is the same in every process, so that everybody sees bob in the same colour.
        let hash = usize::from(Id::hash(nick).as_bytes()[0]);
        self.paint(&format!("38;5;{}", NICK_COLOURS[hash % NICK_COLOURS.len()]), nick)
    }

    /// What is told by the way.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// What went wrong.
    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// What stands out.
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The relative luminance of a colour of the cube from 16 to 231 (WCAG 2).
    fn luminance(colour: u8) -> f64 {
        let cube = colour - 16;
        let linear = |level: u8| {
            let value = f64::from([0u8, 95, 135, 175, 215, 255][usize::from(level)]) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(cube / 36) + 0.7152 * linear(cube / 6 % 6) + 0.0722 * linear(cube % 6)
    }

    #[test]
    fn a_nick_can_be_read_on_black_and_on_white() {
        for colour in NICK_COLOURS {
            let on_black = (luminance(colour) + 0.05) / 0.05;
            let on_white = 1.05 / (luminance(colour) + 0.05);
            assert!(on_black >= 3.0 && on_white >= 3.0, "{colour}: {on_black:.1} {on_white:.1}");
        }
    }

    #[test]
    fn a_nick_keeps_its_colour() {
        assert_eq!(Colour::ON.nick("alice"), Colour::ON.nick("alice"));
        assert_ne!(Colour::ON.nick("alice"), Colour::ON.nick("bob").replace("bob", "alice"));
        assert_eq!(Colour::OFF.nick("alice"), "alice");
    }
}
