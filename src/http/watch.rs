//! `GET /dht/watch`: the ring as it changes, for whoever looks at it.
//!
//! One walk goes round and round while someone looks, for all who do: from successor to successor, so many nodes a
//! second, each of which tells what it knows.
//! Whoever comes is told first of all nodes that are known.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::events::SIGN_OF_LIFE;
use super::serve::Site;
use crate::chat::ask::{Answer, Ask};
use crate::chat::survey::{KEPT_MAX, RecordKind, Sent, Surveyed};
use crate::id::{Id, NodeHandle};
use crate::json::{Finger, Node, finger, node};
use crate::net::Passed;

/// The pause between two questions: 125 nodes are asked in a second at most.
const QUESTION_PAUSE: Duration = Duration::from_millis(8);

/// How many nodes may be asked at a time.
const QUESTIONS_MAX: usize = 16;

/// How long a node may take to answer; another round asks again.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(1500);

/// How long a round takes at least.
const ROUND_TIME_MIN: Duration = Duration::from_millis(500);

/// How many nodes are told of.
const NODES_MAX: usize = 1024;

/// How many neighbours of one node are believed.
const NEIGHBOURS_MAX: usize = 64;

/// How many fingers of one node are shown: one for each bit of an id.
const FINGERS_MAX: usize = 160;

/// For how long messages are gathered that have passed.
const MOMENT: Duration = Duration::from_millis(100);

/// How many different ones are told of at once.
const MESSAGES_MAX: usize = 128;

/// How much news waits for whoever looks; who is further behind is let go, and begins anew.
const NEWS_MAX: usize = 4096;

/// What is told of the ring, as JSON.
type News = Arc<str>;

/// The ring as far as it is known, and those who look at it.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    ring: Arc<Mutex<Ring>>,
    news: broadcast::Sender<News>,
}

#[derive(Debug, Default)]
struct Ring {
    is_walked: bool,
    nodes: BTreeMap<Id, Seen>,
}

/// A node that was met.
#[derive(Debug)]
struct Seen {
    at: NodeHandle,
    /// What was told of it last.
    news: News,
    /// Whether it did not answer in the last round.
    is_silent: bool,
    /// Of how many messages it has told.
    sent: u64,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch { ring: Arc::default(), news: broadcast::Sender::new(NEWS_MAX) }
    }
}

/// Something that is told.
#[derive(Serialize)]
#[serde(rename_all = "lowercase", tag = "event")]
enum Told {
    /// A node, new or changed.
    Node(Box<Shown>),
    /// A node is not there any more.
    Gone {
        node: Node,
        /// Whether it has left in good order.
        left: bool,
    },
    /// The walk has come round.
    Round { nodes: usize },
    /// Messages have gone from node to node.
    Passed { messages: Vec<Message> },
}

/// Messages that have gone of late from one node to another, about one thing.
#[derive(Serialize)]
struct Message {
    from: Node,
    to: Node,
    topic: &'static str,
}

/// A node as it is shown.
#[derive(Serialize)]
struct Shown {
    node: Node,
    predecessor: Option<Node>,
    successors: Vec<Node>,
    fingers: Vec<Finger>,
    records_as_root: u32,
    records_as_copy: u32,
    /// The first of them.
    kept: Vec<Record>,
}

#[derive(Serialize)]
struct Record {
    id: String,
    kind: &'static str,
    root: bool,
}

impl Shown {
    fn new(at: NodeHandle, surveyed: &Surveyed) -> Shown {
        Shown {
            node: node(&at),
            predecessor: surveyed.predecessor.as_ref().map(node),
            successors: surveyed.successors.iter().take(NEIGHBOURS_MAX).map(node).collect(),
            fingers: surveyed.fingers.iter().take(FINGERS_MAX).map(|(from, at)| finger(*from, at)).collect(),
            records_as_root: surveyed.records_as_root,
            records_as_copy: surveyed.records_as_copy,
            kept: surveyed
                .kept
                .iter()
                .take(KEPT_MAX)
                .map(|kept| Record { id: kept.id.to_string(), kind: kind(kept.kind), root: kept.as_root })
                .collect(),
        }
    }
}

fn kind(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Channel => "channel",
        RecordKind::Name => "name",
        RecordKind::Mailbox => "mailbox",
        RecordKind::Value => "value",
    }
}

/// `GET /dht/watch`.
pub(super) async fn watch(State(site): State<Site>) -> Response {
    let (known, news) = site.watch.clone().begin(&site);
    let later = stream::unfold(news, async |mut news| {
        // Who is too far behind connects again, and is told of all that is known.
        let next = news.recv().await.ok()?;
        Some((next, news))
    });
    let told = stream::iter(known).chain(later);
    let events = told.map(|news| Ok::<_, Infallible>(sse::Event::default().data(&*news)));
    Sse::new(events).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE)).into_response()
}

impl Watch {
    /// Someone begins to look: what is known, and what comes.
    fn begin(&self, site: &Site) -> (Vec<News>, broadcast::Receiver<News>) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let news = self.news.subscribe();
        if !ring.is_walked {
            ring.is_walked = true;
            let site = site.clone();
            tokio::spawn(async move {
                // The walk ends when nobody looks any more.
                tokio::select! {
                    () = walk(&site) => {}
                    () = tell_of_messages(&site) => {}
                }
            });
        }
        (ring.nodes.values().map(|seen| seen.news.clone()).collect(), news)
    }

    /// Whether nobody looks any more: then the walk ends.
    fn ends(&self) -> bool {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = self.news.receiver_count() == 0;
        if ends {
            *ring = Ring::default();
        }
        ends
    }

    /// A node has answered.
    fn show(&self, me: Option<NodeHandle>, at: NodeHandle, surveyed: &Surveyed) {
        let news = written(&Told::Node(Box::new(Shown::new(at, surveyed))));
        let seen = Seen { at, news: news.clone(), is_silent: false, sent: surveyed.sent };
        let known = self.with(|ring| ring.nodes.insert(at.id(), seen));
        if known.is_none_or(|known| known.news != news) {
            self.tell(news);
        }
        // Those of this node are told of at once, by `tell_of_messages`.
        let others = surveyed.messages.iter().filter(|message| ![at, message.to].map(Some).contains(&me));
        let of = |sent: &Sent| Message { from: node(&at), to: node(&sent.to), topic: sent.topic.name() };
        let messages: Vec<Message> = others.take(MESSAGES_MAX).map(of).collect();
        if !messages.is_empty() {
            self.tell(written(&Told::Passed { messages }));
        }
    }

    /// Of how many of its messages a node has told.
    fn sent(&self, at: NodeHandle) -> u64 {
        self.with(|ring| ring.nodes.get(&at.id()).map_or(0, |seen| seen.sent))
    }

    /// The walk has come round.
    ///
    /// Whom nobody names any more is gone, and who is named and has not answered twice.
    fn end_round(&self, round: &Round) {
        let gone: Vec<NodeHandle> = self.with(|ring| {
            let gone = ring.nodes.extract_if(.., |_, seen| {
                let is_silent = !round.met.contains(&seen.at);
                let was_silent = std::mem::replace(&mut seen.is_silent, is_silent);
                is_silent && (was_silent || !round.found.contains(&seen.at))
            });
            gone.map(|(_, seen)| seen.at).collect()
        });
        for at in gone {
            self.tell(written(&Told::Gone { node: node(&at), left: round.left.contains(&at) }));
        }
        self.tell(written(&Told::Round { nodes: round.met.len() }));
    }

    fn tell(&self, news: News) {
        // Whoever looked may have gone just now.
        let _ = self.news.send(news);
    }

    fn with<T>(&self, act: impl FnOnce(&mut Ring) -> T) -> T {
        act(&mut self.ring.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn written(told: &Told) -> News {
    serde_json::to_string(told).expect("it has texts, numbers and lists alone").into()
}

/// Goes round and round until nobody looks any more.
async fn walk(site: &Site) {
    let mut pace = interval(QUESTION_PAUSE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = Instant::now() + ROUND_TIME_MIN;
        let mut round = Round::default();
        let me = match site.asks.ask(Ask::Node).await {
            Ok(Answer::Node(about)) => Some(about.node),
            _ => None,
        };
        if let Some(me) = me {
            round.find(me);
        }
        loop {
            if site.watch.ends() {
                return;
            }
            while round.asked.len() < QUESTIONS_MAX
                && let Some(at) = round.waiting.pop_front()
            {
                pace.tick().await;
                round.ask(site, at);
            }
            let Some(answered) = round.asked.join_next().await else { break };
            let (at, surveyed) = answered.expect("a question is neither aborted, nor does it panic");
            if let Some(surveyed) = surveyed {
                site.watch.show(me, at, &surveyed);
                round.met.insert(at);
                round.left.extend(surveyed.left.iter().take(NEIGHBOURS_MAX));
                let named = surveyed.successors.iter().chain(&surveyed.predecessor);
                named.take(NEIGHBOURS_MAX).for_each(|&at| round.find(at));
            }
        }
        site.watch.end_round(&round);
        sleep_until(next).await;
    }
}

/// Tells of the messages that pass, those of a moment at once, until the node ends.
async fn tell_of_messages(site: &Site) {
    let mut messages = site.traffic.watch();
    let mut moments = interval(MOMENT);
    moments.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut passed = BTreeSet::new();
    loop {
        tokio::select! {
            message = messages.recv() => match message {
                Ok(message) if passed.len() < MESSAGES_MAX => drop(passed.insert(message)),
                // It is a picture, not a record: some may be missed.
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            _ = moments.tick(), if !passed.is_empty() => {
                let of = |Passed { from, to, topic }| Message { from: node(&from), to: node(&to), topic };
                let messages = std::mem::take(&mut passed).into_iter().map(of).collect();
                site.watch.tell(written(&Told::Passed { messages }));
            }
        }
    }
}

/// One way round the ring.
#[derive(Default)]
struct Round {
    /// All that were named.
    found: BTreeSet<NodeHandle>,
    /// Those of them that are still to be asked.
    waiting: VecDeque<NodeHandle>,
    /// Those that have answered.
    met: BTreeSet<NodeHandle>,
    /// Those that have left of late.
    left: BTreeSet<NodeHandle>,
    asked: JoinSet<(NodeHandle, Option<Box<Surveyed>>)>,
}

impl Round {
    fn find(&mut self, at: NodeHandle) {
        if self.found.len() < NODES_MAX && self.found.insert(at) {
            self.waiting.push_back(at);
        }
    }

    fn ask(&mut self, site: &Site, at: NodeHandle) {
        let (asks, known) = (site.asks.clone(), site.watch.sent(at));
        self.asked.spawn(async move {
            let answer = timeout(ANSWER_TIME_MAX, asks.ask(Ask::Survey { node: at, known })).await;
            match answer {
                Ok(Ok(Answer::Survey(surveyed))) => (at, Some(surveyed)),
                _ => (at, None),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use serde_json::{Value, json};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;
    use crate::chat::ask::About;
    use crate::chat::survey::Topic;
    use crate::http::{Asks, Events, Token};
    use crate::net::{Clock, Config, Driver, NETWORK};
    use crate::node::{Command, Node};

    /// Longer than a round takes in which nobody answers.
    const LONG: Duration = Duration::from_secs(60);

    fn at(port: u16) -> NodeHandle {
        NodeHandle::new(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// What a node is served with, and its questions.
    async fn site() -> (Site, mpsc::Receiver<Command>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let clock = Clock::start();
        let node = Node::new("a".parse().unwrap(), at(1), clock.now());
        let (_, controls) = Driver::new(node, listener, Config::new(NETWORK.to_owned()), clock);
        let (sender, commands) = mpsc::channel(64);
        let token = Token::new().unwrap();
        (Site::new(Asks::new(sender), Events::default(), controls.traffic, token), commands)
    }

    /// What a node tells that names these.
    fn surveyed(nodes: &[NodeHandle]) -> Surveyed {
        Surveyed {
            predecessor: None,
            successors: nodes.to_vec(),
            left: vec![at(3)],
            fingers: Vec::new(),
            kept: Vec::new(),
            records_as_root: 0,
            records_as_copy: 0,
            sent: 0,
            messages: Vec::new(),
        }
    }

    /// Answers for a ring of these nodes, each of which names all, until nobody asks any more.
    /// Those from the second list answer nothing.
    async fn answer(site: &Site, commands: &mut mpsc::Receiver<Command>, nodes: &[u16], silent: &[u16]) {
        let nodes: Vec<NodeHandle> = nodes.iter().map(|port| at(*port)).collect();
        while let Ok(Some(Command::Ask(ticket, ask))) = timeout(LONG, commands.recv()).await {
            let told = match ask {
                Ask::Node => Answer::Node(Box::new(About {
                    node: at(1),
                    nick: "a".parse().unwrap(),
                    predecessor: None,
                    successors: Vec::new(),
                    fingers: Vec::new(),
                    records_as_root: 0,
                    records_as_copy: 0,
                })),
                Ask::Survey { node, .. } if silent.iter().any(|port| at(*port) == node) => continue,
                Ask::Survey { .. } => Answer::Survey(Box::new(surveyed(&nodes))),
                other => panic!("{other:?} is not asked"),
            };
            site.asks.answered(ticket, told);
        }
    }

    /// What is told up to the end of a round.
    async fn round(news: &mut broadcast::Receiver<News>) -> Vec<Value> {
        let mut round = Vec::new();
        loop {
            let told: Value = serde_json::from_str(&news.recv().await.unwrap()).unwrap();
            if told["event"] == "round" {
                return round;
            }
            round.push(told);
        }
    }

    fn gone(port: u16, left: bool) -> Value {
        json!({ "event": "gone", "node": node(&at(port)), "left": left })
    }

    #[tokio::test(start_paused = true)]
    async fn what_others_send_one_another_is_told_and_what_this_node_sends_or_gets_is_not_told_again() {
        let (site, _commands) = site().await;
        let mut news = site.watch.news.subscribe();
        let of = |port| Sent { to: at(port), topic: Topic::Chat };
        let told = Surveyed { sent: 7, messages: vec![of(1), of(3)], ..surveyed(&[]) };
        site.watch.show(Some(at(1)), at(1), &told);
        site.watch.show(Some(at(1)), at(2), &told);
        assert_eq!(site.watch.sent(at(2)), 7, "of these it need not tell again");
        site.watch.end_round(&Round::default());
        let told = round(&mut news).await;
        let passed = Vec::from_iter(told.iter().filter(|told| told["event"] == "passed"));
        let message = json!({ "from": node(&at(2)), "to": node(&at(3)), "topic": "chat" });
        assert_eq!(passed, [&json!({ "event": "passed", "messages": [message] })]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_asked_when_nobody_looks() {
        let (site, mut commands) = site().await;
        let (known, mut news) = site.watch.begin(&site);
        assert!(known.is_empty());
        let looking = async move {
            for _ in 0..3 {
                round(&mut news).await;
            }
        };
        // It ends only because no question comes for long.
        tokio::join!(looking, answer(&site, &mut commands, &[1, 2], &[]));
        let (known, _news) = site.watch.begin(&site);
        assert!(known.is_empty(), "what was seen then is not known now");
        assert!(timeout(LONG, commands.recv()).await.is_ok(), "whoever looks again begins again");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_named_and_silent_once_is_not_gone_and_who_is_silent_twice_is() {
        let (site, mut commands) = site().await;
        let (_, mut news) = site.watch.begin(&site);
        let told = tokio::select! {
            told = round(&mut news) => told,
            () = answer(&site, &mut commands, &[1, 2, 3], &[]) => unreachable!("it is walked"),
        };
        assert_eq!(told.len(), 3);
        let told = tokio::select! {
            told = async { [round(&mut news).await, round(&mut news).await] } => told,
            () = answer(&site, &mut commands, &[1, 2, 3], &[2]) => unreachable!("it is walked"),
        };
        // That the others name no others is no news.
        assert_eq!(told, [vec![], vec![gone(2, false)]]);
        let told = tokio::select! {
            told = round(&mut news) => told,
            () = answer(&site, &mut commands, &[1], &[]) => unreachable!("it is walked"),
        };
        assert!(told.contains(&gone(3, true)), "whom nobody names is gone at once, and has left: {told:?}");
    }
}
