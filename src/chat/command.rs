//! The commands that a person types: one constant table, from which parsing, help and completion are made.

use std::ops::RangeInclusive;

use super::event::Recipient;
use super::{Chat, Context, TEXT_BYTES_MAX};
use super::{exit, help, history, join, leave, msg, names, ring, send, trace, value, who, whois};
use crate::id::IdPrefix;
use crate::records::name::{ChannelName, Nick, NotAName};
use crate::records::value::{NotAKey, ValueKey};

/// All commands, in the order in which `help` lists them.
pub const COMMANDS: &[&Command] = &[
    &msg::COMMAND,
    &join::COMMAND,
    &leave::COMMAND,
    &send::COMMAND,
    &history::COMMAND,
    &exit::COMMAND,
    &help::COMMAND,
    &who::COMMAND,
    &whois::COMMAND,
    &names::NAMES,
    &names::CHANNELS,
    &ring::COMMAND,
    &trace::COMMAND,
    &value::PUT,
    &value::GET,
    &value::DEL,
];

/// A command that a person can type.
#[derive(Debug)]
pub struct Command {
    /// What is typed first, without `/`.
    pub name: &'static str,
    /// What follows it, in order; optional ones last.
    pub arguments: &'static [Argument],
    /// What it does, in one line.
    pub about: &'static str,
    /// Carries it out.
    pub(super) run: Run,
}

/// What carries out a command: reads the words after its name, then acts.
pub(super) type Run = fn(&mut Chat, &mut Context<'_>, &mut Words<'_>) -> Result<(), Refusal>;

/// What may follow a command's name.
#[derive(Debug)]
pub struct Argument {
    /// How the usage line calls it.
    pub name: &'static str,
    /// What it is, which says how it is read and completed.
    pub kind: Kind,
    /// Whether the command can do without it.
    pub optional: bool,
}

impl Argument {
    /// An argument that must be there.
    pub const fn required(name: &'static str, kind: Kind) -> Argument {
        Argument { name, kind, optional: false }
    }

    /// An argument that may be left out.
    pub const fn optional(name: &'static str, kind: Kind) -> Argument {
        Argument { name, kind, optional: true }
    }
}

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A channel, with or without `#`.
    Channel,
    /// A person: a nick, a node's id of 40 digits, or `@` and a unique prefix of it.
    Person,
    /// A channel with its `#`, or a person.
    Target,
    /// The name of a command.
    Command,
    /// The key of a value: a word.
    Key,
    /// Everything to the end of the line.
    Text,
    /// A word that is there or not, such as `--linear`.
    Switch,
    /// A number; where its name begins with `--`, that name comes before it.
    Count,
}

impl Command {
    /// How to type it: `send <channel> <message>`.
    pub fn usage(&self) -> String {
        self.arguments.iter().fold(self.name.to_owned(), |usage, argument| {
            match (argument.kind, argument.optional) {
                (Kind::Switch, _) => format!("{usage} [{}]", argument.name),
                (Kind::Count, _) if argument.name.starts_with("--") => {
                    format!("{usage} [{} <count>]", argument.name)
                }
                (_, true) => format!("{usage} [<{}>]", argument.name),
                (_, false) => format!("{usage} <{}>", argument.name),
            }
        })
    }
}

/// Why a command is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// An argument is missing, or there is one too many.
    Usage,
    /// Anything else, in words.
    Because(String),
}

impl Refusal {
    pub(super) fn because(reason: impl Into<String>) -> Refusal {
        Refusal::Because(reason.into())
    }

    pub(super) fn describe(self, command: &Command) -> String {
        match self {
            Refusal::Usage => format!("usage: {}", command.usage()),
            Refusal::Because(reason) => reason,
        }
    }
}

/// Reads a line: its first word, the command of that name, and what follows; nothing from an empty line.
pub(super) fn read(line: &str) -> Option<(&str, Option<&'static Command>, Words<'_>)> {
    let mut words = Words(line);
    let name = words.next()?;
    let name = name.strip_prefix('/').unwrap_or(name);
    Some((name, find(name), words))
}

/// The command of that name.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().copied().find(|command| command.name == name)
}

/// What follows a command's name.
pub(super) struct Words<'a>(&'a str);

impl<'a> From<&'a str> for Words<'a> {
    fn from(line: &'a str) -> Words<'a> {
        Words(line)
    }
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let line = self.0.trim_start();
        let end = line.find(char::is_whitespace).unwrap_or(line.len());
        let (word, rest) = line.split_at(end);
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }

    pub(super) fn word(&mut self) -> Result<&'a str, Refusal> {
        self.next().ok_or(Refusal::Usage)
    }

    pub(super) fn channel(&mut self) -> Result<ChannelName, Refusal> {
        self.word()?.parse().map_err(|error| refuse_name("channel", error))
    }

    pub(super) fn nick(&mut self) -> Result<Nick, Refusal> {
        self.word()?.parse().map_err(|error| refuse_name("person", error))
    }

    pub(super) fn person(&mut self) -> Result<Recipient, Refusal> {
        let word = self.word()?;
        if let Some(prefix) = word.strip_prefix('@') {
            return match prefix.parse::<IdPrefix>() {
                Ok(prefix) if msg::PREFIX_DIGITS_MIN <= prefix.digits() => Ok(Recipient::Node(prefix)),
                _ => Err(Refusal::because(format!(
                    "{word}: after @ come at least {} hexadecimal digits of a node's id",
                    msg::PREFIX_DIGITS_MIN
                ))),
            };
        }
        match (word.len(), word.parse::<IdPrefix>()) {
            (40, Ok(id)) => Ok(Recipient::Node(id)),
            _ => word.parse().map(Recipient::Nick).map_err(|error| refuse_name("person", error)),
        }
    }

    pub(super) fn key(&mut self) -> Result<ValueKey, Refusal> {
        self.word()?.parse().map_err(|error: NotAKey| Refusal::Because(error.to_string()))
    }

    /// Everything to the end of the line, which is something.
    pub(super) fn rest(&mut self) -> Result<&'a str, Refusal> {
        let rest = std::mem::take(&mut self.0).trim();
        if rest.is_empty() { Err(Refusal::Usage) } else { Ok(rest) }
    }

    pub(super) fn text(&mut self) -> Result<String, Refusal> {
        let text = self.rest()?;
        if TEXT_BYTES_MAX < text.len() {
            let reason = format!("a message has at most {TEXT_BYTES_MAX} bytes, this one has {}", text.len());
            return Err(Refusal::Because(reason));
        }
        Ok(text.to_owned())
    }

    pub(super) fn switch(&mut self, name: &str) -> Result<bool, Refusal> {
        match self.next() {
            None => Ok(false),
            Some(word) if word == name => Ok(true),
            Some(_) => Err(Refusal::Usage),
        }
    }

    /// A number in `range`, if there is one.
    pub(super) fn count(&mut self, range: RangeInclusive<usize>) -> Result<Option<usize>, Refusal> {
        let Some(word) = self.next() else { return Ok(None) };
        match word.parse() {
            Ok(count) if range.contains(&count) => Ok(Some(count)),
            _ => {
                let (least, most) = range.into_inner();
                Err(Refusal::because(format!("{word}: a count is a number from {least} to {most}")))
            }
        }
    }

    pub(super) fn optional(&mut self) -> Option<&'a str> {
        self.next()
    }

    pub(super) fn end(&mut self) -> Result<(), Refusal> {
        if self.next().is_none() { Ok(()) } else { Err(Refusal::Usage) }
    }
}

fn refuse_name(what: &str, error: NotAName) -> Refusal {
    Refusal::Because(format!("not the name of a {what}: {error}"))
}
