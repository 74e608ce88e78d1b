//! Where a person's data lies: the platform's directory for data, then this program's, then one for the nick
//! and the network.

use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use anyhow::Context;
use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};

use crate::id::Id;
use crate::records::name::Nick;

/// The longest name of a directory, in bytes, that is made from a nick; file systems allow 255.
const NAME_BYTES_MAX: usize = 200;

/// The directory of `nick`, in the usual network or in another one: two people on one machine have two, and
/// what one network keeps does not come to another.
///
/// Fails if the platform does not say where data lies, for example without a home directory.
pub fn data_directory(nick: &Nick, network: Option<&str>) -> anyhow::Result<PathBuf> {
    let root =
        data_root().context("say with --data-dir DIR where to keep data, or --ephemeral to keep none")?;
    Ok(root.join(directory_name(nick.as_str(), network)))
}

/// The directory of all that this program keeps.
///
/// Fails if the platform does not say where data lies, for example without a home directory.
pub fn data_root() -> anyhow::Result<PathBuf> {
    let strategy = choose_native_strategy().context("no home directory is known")?;
    Ok(strategy.data_dir().join("chord-chat"))
}

/// A name that every file system takes, and that nobody else has, even where capitals do not count.
fn directory_name(nick: &str, network: Option<&str>) -> String {
    let mut name = escaped(nick);
    if let Some(network) = network {
        // No escaped text has this sign.
        name.push('+');
        name.push_str(&escaped(network));
    }
    if name.len() <= NAME_BYTES_MAX { name } else { format!("%{}", Id::hash(&name)) }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for char in text.chars() {
        if (char.is_alphanumeric() && !char.is_uppercase()) || matches!(char, '-' | '_') {
            escaped.push(char);
        } else {
            let mut bytes = [0; 4];
            escaped.extend(char.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02x}")));
        }
    }
    escaped
}

/// A path as it is typed in a shell.
pub fn shell_word(path: &Path) -> String {
    let path = path.to_string_lossy();
    let is_plain = |char: char| {
        char.is_alphanumeric()
            || char == MAIN_SEPARATOR
            || matches!(char, '/' | '.' | '-' | '_' | '+' | '%' | ':')
    };
    if path.chars().all(is_plain) { path.into_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_can_be_typed_in_a_shell() {
        let word = |path: &str| shell_word(Path::new(path));
        assert_eq!(
            word("/home/bob/.local/share/chord-chat/%42ob+lab"),
            "/home/bob/.local/share/chord-chat/%42ob+lab"
        );
        assert_eq!(word("/home/Bob Smith/$x"), "'/home/Bob Smith/$x'");
        assert_eq!(word("bob's"), r"'bob'\''s'");
    }

    #[test]
    fn every_nick_has_a_directory_of_its_own_within_that_of_the_program() {
        let nicks = ["alice", "Alice", "..", "a/b", "a%2fb", "con.", "日本語", "a\\b", "%", "a+b"];
        let mut names: Vec<String> = nicks.iter().map(|nick| directory_name(nick, None)).collect();
        assert_eq!(names[..4], ["alice", "%41lice", "%2e%2e", "a%2fb"]);
        names.extend(nicks.iter().map(|nick| directory_name(nick, Some("lab"))));
        names.extend([directory_name("a", Some("b")), directory_name("🦀", Some(&"🦀".repeat(16)))]);
        for nick in ["🦀", "🐢"] {
            names.push(directory_name(&nick.repeat(32), None));
        }
        for (i, name) in names.iter().enumerate() {
            assert!(!name.contains(['/', '\\', '.']) && name.len() <= NAME_BYTES_MAX, "{name}");
            assert!(!names[..i].contains(name), "{name}");
        }
    }
}
