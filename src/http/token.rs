//! The token that a request must bear which changes something.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, ensure};

use crate::id::Id;

/// How many random bytes a new one has.
const BYTES: usize = 16;

/// The shortest one that a file may hold, in characters.
const CHARS_MIN: usize = 16;

/// The longest one, in bytes.
const BYTES_MAX: usize = 256;

/// What whoever may change something knows.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A new one.
    ///
    /// # Errors
    ///
    /// If the system gives no random numbers.
    pub fn new() -> anyhow::Result<Token> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).context("the system gives no random numbers")?;
        Ok(Token(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The one in this file, which is made, with a new one, if it is not there; only its owner may read it.
    ///
    /// # Errors
    ///
    /// If it cannot be read or made, or holds no word of 16 to 256 characters.
    pub fn in_file(path: &Path) -> anyhow::Result<Token> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let token = Token::new()?;
                token.write(path).with_context(|| format!("cannot make {}", path.display()))?;
                return Ok(token);
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let word = text.trim();
        let is_word = word.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(
            is_word && (CHARS_MIN..=BYTES_MAX).contains(&word.len()),
            "{} holds no token, which is one word of {CHARS_MIN} to {BYTES_MAX} characters",
            path.display()
        );
        Ok(Token(word.to_owned()))
    }

    fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        writeln!(options.open(path)?, "{self}")
    }

    /// Whether `word` is this one.
    ///
    /// The hashes are compared, so how long it takes says nothing about the token.
    pub(super) fn is(&self, word: &[u8]) -> bool {
        Id::hash(&self.0) == Id::hash(word)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_once_and_read_from_then_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let token = Token::in_file(&path).unwrap();
        assert_eq!(Token::in_file(&path).unwrap(), token);
        assert_ne!(Token::new().unwrap(), token);
        assert!(token.is(token.to_string().as_bytes()) && !token.is(b"") && !token.is(b"another"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_without_a_token_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        for text in ["", "short", "two words that are long", &"a".repeat(300)] {
            std::fs::write(&path, text).unwrap();
            let error = Token::in_file(&path).unwrap_err().to_string();
            assert!(error.contains("holds no token"), "{error}");
        }
        assert!(Token::in_file(directory.path()).is_err(), "a directory");
    }
}
