//! The application: it counts.
//!
//! A vote is named by who cast it and the id of its message, and a tally is a set of votes: so it does
//! not matter how often, on which ways, or in which order a vote comes to the root.
//! What a node counts is lost if it crashes; whoever wants more keeps copies at the successors.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chord_chat::application::{
    Answer, Application, Command, Context, Host, MessageId, NotRegistered, Reply, Request, Update,
};
use chord_chat::id::{Id, NodeHandle};
use chord_chat::time::Time;

/// A word, and some of its votes.
type Votes = (String, Vec<(NodeHandle, MessageId)>);

pub const ADD: Command<String, usize> = Command::new("add");
pub const COUNT: Command<String, usize> = Command::new("count");
/// The answer says what has arrived.
const MERGE: Command<Votes, Votes> = Command::new("merge");

/// How many votes one message carries: they fit into a frame.
const VOTES_MAX: usize = 10_000;
const SEND_AGAIN: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tally {
    pub votes: BTreeMap<String, BTreeSet<(NodeHandle, MessageId)>>,
    /// When votes that belong elsewhere are sent there.
    next_sending: Time,
    /// What the successor has not acknowledged yet, while this node leaves.
    handing_over: BTreeSet<MessageId>,
}

impl Application for Tally {
    type Command = (Command<String, usize>, String);
    type Event = String;

    fn on_command(&mut self, cx: &mut Context<Tally>, (command, word): Self::Command) {
        cx.request(Id::hash(&word), command, word, |_, cx, reply| match reply.answer {
            Ok(count) => cx.emit(count.to_string()),
            Err(failure) => cx.emit(format!("failed: {failure}")),
        });
    }

    fn on_update(&mut self, cx: &mut Context<Tally>, _: Update) {
        self.next_sending = cx.now();
    }

    fn next_wakeup(&self) -> Option<Time> {
        Some(self.next_sending)
    }

    fn on_wakeup(&mut self, cx: &mut Context<Tally>) {
        self.next_sending = cx.now() + SEND_AGAIN;
        for votes in self.messages() {
            let key = Id::hash(&votes.0);
            if cx.is_root(key) == Some(false) {
                cx.request(key, MERGE, votes, Tally::came_home);
            }
        }
    }

    fn on_leaving(&mut self, cx: &mut Context<Tally>, successor: NodeHandle) {
        let all = self.messages().map(|votes| cx.request_to(successor, MERGE, votes, Tally::handed_over));
        self.handing_over = all.collect();
        if self.handing_over.is_empty() {
            cx.handed_over(successor);
        }
    }
}

impl Tally {
    pub fn host(me: NodeHandle, now: Time) -> Result<Host<Tally>, NotRegistered> {
        let mut host = Host::new(Tally::default(), me, now);
        host.register(ADD, Tally::add)?;
        host.register(COUNT, |tally, _, request| Answer::Ok(tally.count(&request.payload)))?;
        host.register(MERGE, Tally::merge)?;
        Ok(host)
    }

    pub fn count(&self, word: &str) -> usize {
        self.votes.get(word).map_or(0, BTreeSet::len)
    }

    /// All votes, so many at a time as a message carries.
    fn messages(&self) -> impl Iterator<Item = Votes> + use<> {
        self.votes.clone().into_iter().flat_map(|(word, votes)| {
            let votes = Vec::from_iter(votes);
            votes.chunks(VOTES_MAX).map(|votes| (word.clone(), votes.to_vec())).collect::<Vec<_>>()
        })
    }

    fn add(&mut self, _: &mut Context<Tally>, request: Request<String, usize>) -> Answer<usize> {
        let word = request.payload;
        if 100 < word.len() {
            return Answer::refused("a word has at most 100 bytes");
        }
        self.votes.entry(word.clone()).or_default().insert((request.from, request.id));
        Answer::Ok(self.count(&word))
    }

    fn merge(&mut self, cx: &mut Context<Tally>, request: Request<Votes, Votes>) -> Answer<Votes> {
        let (word, votes) = request.payload;
        let before = self.count(&word);
        self.votes.entry(word.clone()).or_default().extend(&votes);
        if let (true, Some(successor)) = (cx.is_leaving() && before < self.count(&word), cx.successor()) {
            self.on_leaving(cx, successor);
        }
        Answer::Ok((word, votes))
    }

    fn handed_over(&mut self, cx: &mut Context<Tally>, reply: Reply<Votes>) {
        if let (true, Some(successor), Ok(_)) =
            (self.handing_over.remove(&reply.id), reply.from, reply.answer)
            && self.handing_over.is_empty()
        {
            cx.handed_over(successor);
        }
    }

    fn came_home(&mut self, cx: &mut Context<Tally>, reply: Reply<Votes>) {
        // What is not acknowledged is sent again.
        let Ok((word, arrived)) = reply.answer else { return };
        let arrived = BTreeSet::from_iter(arrived);
        if let (Some(false), Some(votes)) = (cx.is_root(Id::hash(&word)), self.votes.get_mut(&word)) {
            votes.retain(|vote| !arrived.contains(vote));
            self.votes.retain(|_, votes| !votes.is_empty());
        }
    }
}
