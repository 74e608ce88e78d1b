//! The commands that a person types: one constant table, from which parsing, help and completion are made.

/// A command that a person can type.
#[derive(Debug)]
pub struct Command {
    /// What is typed first, without `/`.
    pub name: &'static str,
    /// What follows it, in order; optional ones last.
    pub arguments: &'static [Argument],
    /// What it does, in one line.
    pub about: &'static str,
}

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
    /// Everything to the end of the line.
    Text,
    /// A word that is there or not, such as `--linear`.
    Switch,
}
