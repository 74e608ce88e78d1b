//! What the Tab key offers: made from the command table and from what the session has seen.

use crate::chat::command::{Command, Kind};
use crate::repl::known::Known;

/// How many candidates are offered at once: a list that does not fit the screen would halt the display.
const CANDIDATES_MAX: usize = 48;

/// Every command that the chat knows.
pub type CommandTable = &'static [&'static Command];

/// What can stand where the word that ends `line` stands: where that word begins, and the candidates.
pub fn candidates(line: &str, table: CommandTable, known: &Known) -> (usize, Vec<String>) {
    let start = line.rfind(char::is_whitespace).map_or(0, |at| at + blank_len(&line[at..]));
    let (before, word) = line.split_at(start);
    let mut words = before.split_whitespace();
    let mut found = match words.next() {
        None => commands(word, table),
        Some(name) => arguments(name, words.count(), word, table, known),
    };
    found.truncate(CANDIDATES_MAX);
    if let [only] = &mut found[..] {
        only.push(' ');
    }
    (start, found)
}

fn blank_len(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

fn commands(word: &str, table: CommandTable) -> Vec<String> {
    let (slash, prefix) = match word.strip_prefix('/') {
        Some(rest) => ("/", rest),
        None => ("", word),
    };
    table
        .iter()
        .filter(|command| command.name.starts_with(prefix))
        .map(|command| format!("{slash}{}", command.name))
        .collect()
}

fn arguments(name: &str, index: usize, word: &str, table: CommandTable, known: &Known) -> Vec<String> {
    let name = name.strip_prefix('/').unwrap_or(name);
    let Some(command) = table.iter().find(|command| command.name == name) else { return Vec::new() };
    let Some(argument) = command.arguments.get(index).or(command.arguments.last()) else { return Vec::new() };
    match argument.kind {
        Kind::Text if word.is_empty() => Vec::new(),
        // In a text, the names of people are completed.
        Kind::Text => nicks(word, known),
        // Only the last argument of a line goes on and on; nothing follows the others.
        _ if command.arguments.len() <= index => Vec::new(),
        Kind::Channel => channels(word, name == "leave", known),
        Kind::Person => nicks(word, known),
        Kind::Target if word.starts_with('#') => channels(word, false, known),
        Kind::Target if word.is_empty() => [nicks(word, known), channels("#", false, known)].concat(),
        Kind::Target => nicks(word, known),
        Kind::Command => commands(word, table),
        Kind::Key => Vec::new(),
        Kind::Switch | Kind::Count => Some(argument.name)
            .filter(|name| name.starts_with("--") && name.starts_with(word))
            .map(str::to_owned)
            .into_iter()
            .collect(),
    }
}

/// Channels that begin with `word`, with `#` or without it, as the word has it.
fn channels(word: &str, only_joined: bool, known: &Known) -> Vec<String> {
    let (sign, prefix) = match word.strip_prefix('#') {
        Some(rest) => ("#", rest),
        None => ("", word),
    };
    known
        .channels()
        .filter(|channel| channel.as_str().starts_with(prefix))
        .filter(|channel| !only_joined || known.has_joined(channel))
        .map(|channel| format!("{sign}{}", channel.as_str()))
        .collect()
}

fn nicks(word: &str, known: &Known) -> Vec<String> {
    known.nicks().map(|nick| nick.as_str().to_owned()).filter(|nick| nick.starts_with(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::command::COMMANDS;
    use crate::chat::event::Event;

    fn check(line: &str, start: usize, expected: &[&str]) {
        let mut known = Known::default();
        let members = ["alice", "bob", "böb"].map(|nick| nick.parse().unwrap()).to_vec();
        known.learn(&Event::Joined { channel: "rust".parse().unwrap(), members });
        known.learn(&Event::Channels { channels: vec!["ruby".parse().unwrap(), "日本".parse().unwrap()] });
        let (at, candidates) = candidates(line, COMMANDS, &known);
        assert_eq!(
            (at, candidates.iter().map(String::as_str).collect::<Vec<_>>()),
            (start, expected.to_vec())
        );
    }

    #[test]
    fn the_first_word_is_a_command_with_or_without_slash() {
        check("j", 0, &["join "]);
        check("/j", 0, &["/join "]);
        check("wh", 0, &["who", "whois"]);
        check("", 0, &COMMANDS.iter().map(|command| command.name).collect::<Vec<_>>());
        check("zz", 0, &[]);
        check("  se", 2, &["send "]);
    }

    #[test]
    fn the_table_says_what_follows() {
        check("join ru", 5, &["ruby", "rust"]);
        check("/join #ru", 6, &["#ruby", "#rust"]);
        check("join 日", 5, &["日本 "]);
        check("leave ru", 6, &["rust "]);
        check("msg b", 4, &["bob", "böb"]);
        check("msg bob hi a", 11, &["alice "]);
        check("send rust ", 10, &[]);
        check("trace ", 6, &["alice", "bob", "böb", "#ruby", "#rust", "#日本"]);
        check("trace #rus", 6, &["#rust "]);
        check("trace bob ", 10, &["--linear "]);
        check("help le", 5, &["leave "]);
        check("join rust r", 10, &[]);
        check("exit ", 5, &[]);
        check("nonsense r", 9, &[]);
    }
}
