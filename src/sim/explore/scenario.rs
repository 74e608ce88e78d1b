//! What shall be explored.

use std::fmt;

use super::search;
use crate::id::NodeHandle;
use crate::sim::{Flight, Order, Simulated, Violation, World};

/// How many states are explored unless the scenario says otherwise.
const STATES_MAX: usize = 1_000_000;

/// A machine whose states can be told apart and put in order.
pub trait Explorable: Simulated<Command: Clone, Message: Ord> + Clone + Ord {}

impl<M: Simulated<Command: Clone, Message: Ord> + Clone + Ord> Explorable for M {}

/// One thing that a script does.
pub enum Act<M: Explorable> {
    /// Gives a node a command; nothing happens if it does not run.
    Command(NodeHandle, M::Command),
    /// Starts a node.
    Start(M),
    /// Kills a node. Each of the peers that are named hears that its connection broke;
    /// whoever sends to the node later gets the message back.
    /// What the node has sent may arrive or be lost, with [`Order::Fifo`] from some message on.
    Crash(NodeHandle, Vec<NodeHandle>),
    /// Cuts a node off without a word: what is sent to it is lost, and what it has sent as with a crash.
    CutOff(NodeHandle),
    /// Lets it be as late as the node's next wake-up, and wakes it.
    Wake(NodeHandle),
    /// The act that follows waits until the node runs and the condition holds.
    When(NodeHandle, Condition<M>, Box<Act<M>>),
}

/// What a script may wait for.
pub type Condition<M> = fn(&M) -> bool;

impl<M: Explorable> Act<M> {
    /// `self`, but not before `condition` holds at `node`.
    pub fn when(self, node: NodeHandle, condition: Condition<M>) -> Act<M> {
        Act::When(node, condition, Box::new(self))
    }

    /// What is done, without what it waits for.
    pub(super) fn itself(&self) -> &Act<M> {
        match self {
            Act::When(_, _, act) => act.itself(),
            act => act,
        }
    }
}

impl<M: Explorable> fmt::Display for Act<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Act::Command(node, command) => write!(f, "{node:?} is asked for {command:?}"),
            Act::Start(machine) => write!(f, "{:?} starts", machine.me()),
            Act::Crash(node, _) => write!(f, "{node:?} crashes"),
            Act::CutOff(node) => write!(f, "{node:?} falls silent"),
            Act::Wake(node) => write!(f, "{node:?} wakes up"),
            Act::When(_, _, act) => act.fmt(f),
        }
    }
}

/// Where an exploration begins, and what may happen in it.
///
/// `H` is what is remembered of the events that machines tell their users: it belongs to
/// the state, so the less of it there is, the fewer states there are.
pub struct Scenario<'a, M: Explorable, H: Clone + Ord = ()> {
    pub(super) start: World<M>,
    pub(super) scripts: Vec<Vec<Act<M>>>,
    pub(super) order: Order,
    pub(super) losses: u32,
    pub(super) duplicates: u32,
    pub(super) states_max: usize,
    pub(super) history: H,
    pub(super) remember: Remember<'a, M, H>,
    pub(super) always: Option<Check<'a, M, H>>,
    pub(super) at_once: Option<AtOnce<'a, M>>,
    pub(super) news_at_once: Option<NewsAtOnce<'a>>,
    pub(super) ends_at_once: bool,
}

type Remember<'a, M, H> = Box<dyn Fn(&mut H, NodeHandle, &<M as crate::machine::Machine>::Event) + 'a>;
type Check<'a, M, H> = Box<dyn Fn(&World<M>, &H) -> Result<(), String> + 'a>;
type AtOnce<'a, M> =
    Box<dyn Fn(NodeHandle, NodeHandle, &<M as crate::machine::Machine>::Message) -> bool + 'a>;
type NewsAtOnce<'a> = Box<dyn Fn(NodeHandle) -> bool + 'a>;

impl<'a, M: Explorable> Scenario<'a, M> {
    /// What begins with `start`: its machines, its time, and what is under way in it.
    pub fn new(start: World<M>) -> Scenario<'a, M> {
        Scenario::remembering(start, (), |(), _, _| ())
    }
}

impl<'a, M: Explorable, H: Clone + Ord> Scenario<'a, M, H> {
    /// What begins with `start`, where the checks need to know what users were told before:
    /// `remember` adds each event to what is remembered, which is `history` at the start.
    pub fn remembering(
        start: World<M>,
        history: H,
        remember: impl Fn(&mut H, NodeHandle, &M::Event) + 'a,
    ) -> Scenario<'a, M, H> {
        Scenario {
            start,
            scripts: Vec::new(),
            order: Order::Any,
            losses: 0,
            duplicates: 0,
            states_max: STATES_MAX,
            history,
            remember: Box::new(remember),
            always: None,
            at_once: None,
            news_at_once: None,
            ends_at_once: false,
        }
    }

    /// These acts take place one after the other, at any time; those of several scripts in any order.
    pub fn script(mut self, acts: impl IntoIterator<Item = Act<M>>) -> Self {
        self.scripts.push(acts.into_iter().collect());
        self
    }

    /// In what order messages of one pair arrive; any by default.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Up to so many messages may be lost.
    pub fn losses(mut self, losses: u32) -> Self {
        self.losses = losses;
        self
    }

    /// Up to so many messages may arrive twice.
    pub fn duplicates(mut self, duplicates: u32) -> Self {
        self.duplicates = duplicates;
        self
    }

    /// The exploration panics when it finds more states than this.
    pub fn states_max(mut self, states_max: usize) -> Self {
        self.states_max = states_max;
        self
    }

    /// Checks every state, not only those at rest.
    pub fn always(mut self, check: impl Fn(&World<M>, &H) -> Result<(), String> + 'a) -> Self {
        self.always = Some(Box::new(check));
        self
    }

    /// Messages of which `at_once(from, to, message)` holds arrive before anything else happens.
    ///
    /// They are neither lost nor doubled. This leaves orders out, so it is for messages that are not the subject of the
    /// scenario, and the claim must say so.
    pub fn at_once(mut self, at_once: impl Fn(NodeHandle, NodeHandle, &M::Message) -> bool + 'a) -> Self {
        self.at_once = Some(Box::new(at_once));
        self
    }

    /// Where `news_at_once(node)` holds, `node` hears that a connection broke before anything else happens, but
    /// after what the peer had sent if messages arrive in order.
    ///
    /// This leaves orders out, too.
    pub fn news_at_once(mut self, news_at_once: impl Fn(NodeHandle) -> bool + 'a) -> Self {
        self.news_at_once = Some(Box::new(news_at_once));
        self
    }

    /// Once all acts have taken place, whatever is not from a node that has crashed arrives at once.
    ///
    /// This leaves orders out, too: those of what follows on the last act.
    pub fn ends_at_once(mut self) -> Self {
        self.ends_at_once = true;
        self
    }

    pub(super) fn arrives_at_once(&self, flight: &Flight<M::Message>) -> bool {
        match flight {
            Flight::Message { from, to, message } => {
                self.at_once.as_ref().is_some_and(|at_once| at_once(*from, *to, message))
            }
            Flight::Unreachable { node, .. } => {
                self.news_at_once.as_ref().is_some_and(|news_at_once| news_at_once(*node))
            }
        }
    }

    /// Explores everything.
    ///
    /// Where nothing is left to happen, `at_rest` checks the claim; it may go on with the
    /// world it is given, for instance by [`World::settle`].
    /// A violation tells the shortest way to it, if that is found within the limit of states.
    pub fn explore(
        &self,
        mut at_rest: impl FnMut(&mut World<M>, &H) -> Result<(), String>,
    ) -> Result<Report, Violation> {
        search::explore(self, &mut at_rest)
    }
}

/// How large an exploration was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Distinct states, without those in which something arrives at once.
    pub states: usize,
    /// Those of them in which nothing is left to happen.
    pub finals: usize,
    /// Ways from one of them to another.
    pub transitions: usize,
}
