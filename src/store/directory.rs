//! Where a person's data lies: the platform's directory for data, then this program's, then the nick's.

use std::path::PathBuf;

use anyhow::Context;
use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};

use crate::id::Id;
use crate::records::name::Nick;

/// The longest name of a directory, in bytes, that is made from a nick; file systems allow 255.
const NAME_BYTES_MAX: usize = 200;

/// The directory of `nick`: two people on one machine have two.
///
/// Fails if the platform does not say where data lies, for example without a home directory.
pub fn data_directory(nick: &Nick) -> anyhow::Result<PathBuf> {
    let strategy = choose_native_strategy().context(
        "no home directory is known: say with --data-dir DIR where to keep data, or --ephemeral to keep none",
    )?;
    Ok(strategy.data_dir().join("chord-chat").join(directory_name(nick.as_str())))
}

/// A name that every file system takes, and that no two nicks share, even where capitals do not count.
fn directory_name(nick: &str) -> String {
    let mut name = String::new();
    for char in nick.chars() {
        if (char.is_alphanumeric() && !char.is_uppercase()) || matches!(char, '-' | '_') {
            name.push(char);
        } else {
            let mut bytes = [0; 4];
            name.extend(char.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02x}")));
        }
    }
    if name.len() <= NAME_BYTES_MAX { name } else { format!("%{}", Id::hash(nick)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_nick_has_a_directory_of_its_own_within_that_of_the_program() {
        let nicks = ["alice", "Alice", "..", "a/b", "a%2fb", "con.", "日本語", "a\\b", "%"];
        let names: Vec<String> = nicks.iter().map(|nick| directory_name(nick)).collect();
        assert_eq!(names[..4], ["alice", "%41lice", "%2e%2e", "a%2fb"]);
        for (i, name) in names.iter().enumerate() {
            assert!(!name.contains(['/', '\\', '.']), "{name}");
            assert!(!names[..i].contains(name), "{name}");
        }
        let longest = directory_name(&"🦀".repeat(32));
        assert!(longest.len() <= NAME_BYTES_MAX && longest != directory_name(&"🐢".repeat(32)));
    }
}
