//! `whois`: where a person is.
//!
//! n -> … -> root of the nick: LookUp
//! root -> n: Found

use super::claim::Found;
use super::command::{Argument, Command, Kind, Refusal, Words};
use super::event::Event;
use super::payload::Payload;
use super::{Chat, Context, Pending};
use crate::id::NodeHandle;
use crate::records::RecordKey;
use crate::records::name::Nick;

pub(super) const COMMAND: Command = Command {
    name: "whois",
    arguments: &[Argument::required("nick", Kind::Person)],
    about: "Show the node of a person, and the node that keeps the name",
    run,
};

fn run(chat: &mut Chat, cx: &mut Context<'_>, words: &mut Words<'_>) -> Result<(), Refusal> {
    let nick = words.nick()?;
    words.end()?;
    let id = cx.ask_root(&RecordKey::Name(nick.clone()), Payload::LookUp(nick.clone()));
    chat.pending.insert(id, Pending::Whois(nick));
    Ok(())
}

impl Chat {
    pub(super) fn on_whois(&mut self, cx: &mut Context<'_>, nick: Nick, found: Found, root: NodeHandle) {
        match found {
            Found { holder: Some(node), .. } => {
                self.meet(&nick, node);
                cx.tell(Event::Whois { nick, node, root });
            }
            Found { holder: None, person: Some(_) } => {
                cx.error("whois", format!("{nick} is away; what msg sends them waits until they are back"));
            }
            Found { holder: None, person: None } => cx.error("whois", format!("nobody has the name {nick}")),
        }
    }
}
