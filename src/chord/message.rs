//! What nodes of the ring say to one another.

use serde::{Deserialize, Serialize};

use crate::id::{Id, NodeHandle};

/// The number of a question or request; its sender never uses it twice, not even after a restart.
pub type Number = u64;

/// A message of the ring; `P` is what the application says.
///
/// A new variant goes to the end: its place is its number on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Message<P> {
    /// Stabilize: asks for [`Message::Neighbors`]; sent to the successor and to the node before it.
    GetNeighbors {
        /// Given back in the answer.
        question: Number,
    },
    /// Answers [`Message::GetNeighbors`].
    Neighbors {
        /// The question that this answers.
        question: Number,
        /// The predecessor, if known.
        predecessor: Option<NodeHandle>,
        /// The successor list, nearest first; in a small ring it ends with the sender.
        successors: Vec<NodeHandle>,
    },
    /// Stabilize: "I might be your predecessor"; not answered.
    Notify,
    /// Rectify: "are you there?"; answered by [`Message::Pong`].
    Ping {
        /// Given back in the answer.
        question: Number,
    },
    /// Answers [`Message::Ping`].
    Pong {
        /// The question that this answers.
        question: Number,
    },
    /// Answers whatever only a member can answer: the sender has not joined, or has left.
    NotMember,
    /// Join and unite: answers a [`Body::FindPlace`] or [`Body::Unite`]; sent by the node before the place.
    Place {
        /// The number of the routed message that this answers.
        id: Number,
        /// The successor list of the sender, nearest first; in a small ring it ends with the sender.
        successors: Vec<NodeHandle>,
    },
    /// Leave: the sender would like to go; its successor answers with [`Message::LeavingHeard`].
    Leaving {
        /// Given back in the answer.
        question: Number,
        /// The predecessor of the sender, if known.
        predecessor: Option<NodeHandle>,
        /// The successor list of the sender; in a small ring it ends with the sender.
        successors: Vec<NodeHandle>,
    },
    /// Answers [`Message::Leaving`].
    LeavingHeard {
        /// The question that this answers.
        question: Number,
        /// Whether the sender is now root of what the leaver was; otherwise the leaver tries again.
        accepted: bool,
    },
    /// Leave: the sender's successor is the root now, and the sender goes; answered by its predecessor
    /// with [`Message::GoneHeard`].
    Gone {
        /// Given back in the answer.
        question: Number,
        /// The successor list of the sender; in a small ring it ends with the sender.
        successors: Vec<NodeHandle>,
    },
    /// A message on its way to the root of a key.
    Route(Route<P>),
    /// Answers a routed or direct request: goes straight to the origin.
    Reply {
        /// The number of the request.
        id: Number,
        /// How many times the request was handed on.
        hops: u8,
        /// The answer.
        answer: Answer<P>,
    },
    /// A request to this very node, answered by [`Message::Reply`].
    Request {
        /// Given back in the reply.
        id: Number,
        /// What the application asks.
        payload: P,
    },
    /// Something for the application of this very node; not answered.
    Tell(P),
    /// Trace: asks for the next hop towards a key; answered by [`Message::NextHop`].
    GetNextHop {
        /// Given back in the answer.
        question: Number,
        /// Whose root is looked for.
        key: Id,
        /// Whether to name the successor rather than the closest known node.
        linear: bool,
        /// Whether the one before took the receiver for the root.
        last: bool,
        /// Nodes that did not answer and should not be named.
        avoid: Vec<NodeHandle>,
    },
    /// Answers [`Message::GetNextHop`].
    NextHop {
        /// The question that this answers.
        question: Number,
        /// Where to ask next.
        step: Step,
    },
    /// Rectify: there is a node between the receiver and the sender, which was its successor; the
    /// receiver stabilizes, and does not answer.
    NewPredecessor,
    /// Answers [`Message::Gone`]: the sender does without the receiver.
    GoneHeard {
        /// The question that this answers.
        question: Number,
    },
    /// Unite: the sender has another successor than the receiver, which asks through that one for its
    /// place; not answered.
    Displaced {
        /// The successor of the sender now, which does not know the receiver.
        by: NodeHandle,
    },
    /// Stabilize: the successor list of the sender has changed; its predecessor stabilizes soon, and does
    /// not answer.
    ListChanged,
    /// Stabilize: asks for [`Message::Neighbors`] if those are others than the receiver told last; answered
    /// by [`Message::SameNeighbors`] if they are the same.
    GetNewNeighbors {
        /// Given back in the answer.
        question: Number,
        /// The digest of what the receiver told last.
        known: u64,
    },
    /// Answers [`Message::GetNewNeighbors`].
    SameNeighbors {
        /// The question that this answers.
        question: Number,
    },
    /// Join, leave: the receiver has come, or takes the place of the sender, and from now on asks those that
    /// the sender has lost as well; not answered.
    Remember {
        /// Whom the sender has lost.
        lost: Vec<Lost>,
    },
    /// Stabilize: these have left in good order of late, so who finds them in no list any more need not ask
    /// after them; sent before [`Message::Neighbors`], and not answered.
    HaveLeft {
        /// Who.
        nodes: Vec<NodeHandle>,
    },
}

impl<P> Message<P> {
    /// The number of the lookup that `origin` begins or repeats with this message, if it is one of its own:
    /// on its way to the root of a key, or to the place of a node.
    pub fn lookup_of(&self, origin: NodeHandle) -> Option<Number> {
        match self {
            Message::Route(route) if route.origin == origin => Some(route.id),
            _ => None,
        }
    }

    /// What the application says in it, if it does.
    pub fn payload(&self) -> Option<&P> {
        match self {
            Message::Route(Route { body: Body::Request(payload), .. })
            | Message::Reply { answer: Answer::Payload(payload), .. }
            | Message::Request { payload, .. }
            | Message::Tell(payload) => Some(payload),
            _ => None,
        }
    }

    /// Whether it asks for the root of a key or the way there, or answers that.
    pub fn is_of_lookup(&self) -> bool {
        matches!(
            self,
            Message::Route(_) | Message::Reply { .. } | Message::GetNextHop { .. } | Message::NextHop { .. }
        )
    }
}

/// A peer that does not answer, and may be in another ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lost {
    /// Who does not answer.
    pub node: NodeHandle,
    /// In how many seconds it is forgotten.
    pub seconds: u32,
}

/// A message on its way to the root of a key, handed on from hop to hop.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Route<P> {
    /// Whose root it is for.
    pub key: Id,
    /// Who sent it and gets the reply.
    pub origin: NodeHandle,
    /// The origin's number for it; the same when it is sent again.
    pub id: Number,
    /// How many times it has been handed on.
    pub hops: u8,
    /// Whether the node that sent it took the receiver to be the root.
    pub last: bool,
    /// What it is for.
    pub body: Body<P>,
}

/// What a routed message is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Body<P> {
    /// "Who is the root?"; answered with [`Answer::Root`].
    FindRoot,
    /// Join: "where is my place?"; the key is the joiner's id; answered by [`Message::Place`].
    FindPlace,
    /// A request to the application at the root; answered with [`Answer::Payload`].
    Request(P),
    /// Unite: "where is my place in your ring?"; the key is the id of the origin, which is a member
    /// already; answered by [`Message::Place`].
    Unite,
}

/// What a [`Message::Reply`] says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Answer<P> {
    /// The sender is the root.
    Root,
    /// What the application answers.
    Payload(P),
}

/// Where the way to a key goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Step {
    /// It ends here: the sender is the root.
    Here,
    /// The next node to ask.
    To(NodeHandle),
    /// The sender knows nobody nearer, or does not know yet whether it is the root.
    Unknown,
}
