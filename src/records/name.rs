//! Names of channels and people: parsed once, at the edge, and right from then on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::Id;

/// The longest nick or channel name, in characters.
pub const NAME_CHARS_MAX: usize = 32;

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAName {
    /// It is empty.
    Empty,
    /// It has more than [`NAME_CHARS_MAX`] characters.
    TooLong,
    /// It has a blank, a control character or an invisible one.
    BadCharacter,
    /// A nick begins with `#`, `@` or `/`, which have a meaning in commands.
    BadStart,
}

impl fmt::Display for NotAName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotAName::Empty => f.write_str("a name is not empty"),
            NotAName::TooLong => write!(f, "a name has at most {NAME_CHARS_MAX} characters"),
            NotAName::BadCharacter => f.write_str("a name has no blanks and no control characters"),
            NotAName::BadStart => f.write_str("a nick does not begin with #, @ or /"),
        }
    }
}

impl std::error::Error for NotAName {}

fn check(name: &str) -> Result<(), NotAName> {
    if name.is_empty() {
        return Err(NotAName::Empty);
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(NotAName::TooLong);
    }
    let is_bad = |char: char| {
        let is_blank = char.is_whitespace() || is_blank_letter(char) || is_variation_selector(char);
        is_blank || char.is_control() || is_invisible(char)
    };
    if name.chars().any(is_bad) {
        return Err(NotAName::BadCharacter);
    }
    Ok(())
}

/// Characters that show nothing or turn the direction of writing: with them, two names look the same.
pub fn is_invisible(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Letters and symbols that are drawn as nothing: with them a text can be longer than it looks.
pub fn is_blank_letter(char: char) -> bool {
    matches!(char,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}'
        | '\u{3164}' | '\u{ffa0}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0080}'..='\u{e0fff}')
}

/// Marks that choose how the character before them is drawn: with them, too, two names look the same.
fn is_variation_selector(char: char) -> bool {
    matches!(char, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// The name of a channel, without `#`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChannelName(String);

impl ChannelName {
    /// The name without `#`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ChannelName {
    type Err = NotAName;

    /// Reads `rust` and `#rust` as the same channel.
    fn from_str(text: &str) -> Result<ChannelName, NotAName> {
        let name = text.strip_prefix('#').unwrap_or(text);
        check(name)?;
        Ok(ChannelName(name.to_owned()))
    }
}

impl TryFrom<String> for ChannelName {
    type Error = NotAName;

    fn try_from(name: String) -> Result<ChannelName, NotAName> {
        check(&name)?;
        Ok(ChannelName(name))
    }
}

impl From<ChannelName> for String {
    fn from(name: ChannelName) -> String {
        name.0
    }
}

impl fmt::Display for ChannelName {
    /// Writes the name with `#`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The name of a person.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Nick(String);

impl Nick {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Nick {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Nick, NotAName> {
        Nick::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Nick {
    type Error = NotAName;

    fn try_from(name: String) -> Result<Nick, NotAName> {
        check(&name)?;
        if name.starts_with(['#', '@', '/']) {
            return Err(NotAName::BadStart);
        }
        Ok(Nick(name))
    }
}

impl From<Nick> for String {
    fn from(nick: Nick) -> String {
        nick.0
    }
}

impl fmt::Display for Nick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Nick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who someone is, whatever their name and wherever their node: made at the first start, and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Person([u8; 16]);

impl Person {
    /// The person with these bytes, which nobody else may have.
    pub const fn new(bytes: [u8; 16]) -> Person {
        Person(bytes)
    }

    /// The bytes that make the person.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The person at a node of which nothing is kept: as long as it runs, that is one person.
    pub fn of_node(id: Id) -> Person {
        Person(std::array::from_fn(|i| id.as_bytes()[i]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_the_same_with_and_without_its_sign() {
        assert_eq!("rust".parse::<ChannelName>(), "#rust".parse());
        assert_eq!("#rust".parse::<ChannelName>().unwrap().to_string(), "#rust");
        assert_ne!("##rust".parse::<ChannelName>(), "#rust".parse());
    }

    #[test]
    fn a_bad_name_is_refused_with_the_rule() {
        let channel = |text: &str| text.parse::<ChannelName>().unwrap_err();
        let nick = |text: &str| text.parse::<Nick>().unwrap_err();
        assert_eq!(
            (channel(""), channel("#"), nick("")),
            (NotAName::Empty, NotAName::Empty, NotAName::Empty)
        );
        assert_eq!(channel(&"a".repeat(33)), NotAName::TooLong);
        assert_eq!(nick(&"é".repeat(33)), NotAName::TooLong);
        for bad in [
            "a b",
            "a\tb",
            "a\u{1b}[31m",
            "a\u{a0}b",
            "a\u{200b}b",
            "a\u{202e}b",
            "a\u{85}",
            "a\u{fe0f}",
            "\u{3164}",
        ] {
            assert_eq!((channel(bad), nick(bad)), (NotAName::BadCharacter, NotAName::BadCharacter));
        }
        assert_eq!(
            (nick("#a"), nick("@a"), nick("/a")),
            (NotAName::BadStart, NotAName::BadStart, NotAName::BadStart)
        );
        assert!("é".repeat(32).parse::<Nick>().is_ok());
        assert!("日本語".parse::<ChannelName>().is_ok());
    }

    #[test]
    fn a_peer_cannot_send_a_bad_name() {
        let bytes = crate::wire::encode(&"a\nb");
        assert!(crate::wire::decode::<ChannelName>(&bytes).is_err());
        assert!(crate::wire::decode::<Nick>(&bytes).is_err());
    }
}
