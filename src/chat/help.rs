//! `help`: what can be typed.

use super::command::{self, Argument, COMMANDS, Command, Kind, Refusal, Words};
use super::event::Event;
use super::{Chat, Context};

pub(super) const COMMAND: Command = Command {
    name: "help",
    arguments: &[Argument::optional("command", Kind::Command)],
    about: "Show all commands, or what one does",
    run,
};

fn run(_: &mut Chat, cx: &mut Context<'_>, words: &mut Words<'_>) -> Result<(), Refusal> {
    let name = words.optional();
    words.end()?;
    let text = match name.map(|name| name.strip_prefix('/').unwrap_or(name)) {
        None => overview(),
        Some(name) => match command::find(name) {
            Some(command) => format!("{}\n    {}", command.usage(), command.about),
            None => return Err(Refusal::because(format!("there is no command {name:?}; help lists them"))),
        },
    };
    cx.tell(Event::Help { text });
    Ok(())
}

/// All commands: how to type each, and what it does.
pub fn overview() -> String {
    let width = COMMANDS.iter().map(|command| command.usage().len()).max().unwrap_or(0);
    let lines: Vec<String> =
        COMMANDS.iter().map(|command| format!("{:width$}  {}", command.usage(), command.about)).collect();
    lines.join("\n")
}
