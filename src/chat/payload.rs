//! What nodes say to one another about the chat and its records.

use serde::{Deserialize, Serialize};

use super::{claim, heal, history, join, leave, mail, msg, renew, send, survey, value};
use crate::id::{IdPrefix, NodeHandle};
use crate::records;
use crate::records::channel::{MessageId, Place};
use crate::records::name::{ChannelName, Nick};
use crate::records::value::ValueKey;

/// The payload of the ring's messages.
///
/// A new variant goes to the end: its place is its number on the wire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Payload {
    /// About records; see [`records::Message`].
    Records(records::Message),
    /// "This is not done, for this reason"; answers any request.
    Refused(String),
    /// "It is done, and enough copies have it"; answers [`Payload::Leave`], [`Payload::Mail`] and
    /// [`Payload::MailShown`].
    Done,
    /// Claims, renews or gives up a name, at its root; answered by [`Payload::Claimed`].
    Claim(claim::Request),
    /// Answers [`Payload::Claim`].
    Claimed(claim::Answer),
    /// "Whose is this name?", to its root; answered by [`Payload::Found`].
    LookUp(Nick),
    /// Answers [`Payload::LookUp`].
    Found(claim::Found),
    /// "Which node's id begins so?", to the root of the first such id; answered by [`Payload::NodeFound`].
    FindNode(IdPrefix),
    /// Answers [`Payload::FindNode`].
    NodeFound(msg::NodeFound),
    /// A private message, to the node of its receiver; answered by [`Payload::PrivateHeard`].
    Private(msg::Request),
    /// Answers [`Payload::Private`].
    PrivateHeard(msg::Heard),
    /// Joins a channel, at its root; answered by [`Payload::Joined`].
    Join(join::Request),
    /// Answers [`Payload::Join`].
    Joined(join::Answer),
    /// Leaves a channel, at its root; answered by [`Payload::Done`].
    Leave(leave::Request),
    /// Messages for a channel, to its root; answered by [`Payload::Stored`].
    Send(send::Request),
    /// A message, from the channel's root to a member; not answered.
    Delivery(send::Delivery),
    /// Renews a membership and asks for what was missed, at the channel's root; answered by
    /// [`Payload::Renewed`].
    Renew(renew::Request),
    /// Answers [`Payload::Renew`].
    Renewed(renew::Answer),
    /// Someone came to a channel or went, from its root to a member; not answered.
    MemberChanged(join::MemberChanged),
    /// "Who is in this channel?", to its root; answered by [`Payload::Members`].
    Who(ChannelName),
    /// Answers [`Payload::Who`].
    Members(Vec<(Nick, NodeHandle)>),
    /// "What was said in this channel?", to its root; answered by [`Payload::Past`].
    History(history::Request),
    /// Answers [`Payload::History`].
    Past(history::Answer),
    /// "Enough copies have the messages, the last one in this place"; answers [`Payload::Send`].
    Stored(Place),
    /// "This record was two, and is one again", from its root to whom it concerns; not answered.
    Healed(heal::Healed),
    /// A private message for someone who is away, to the root of their name; answered by [`Payload::Done`].
    Mail(mail::Request),
    /// "Which letters wait for me?", to the root of a name; answered by [`Payload::Letters`].
    FetchMail(mail::Fetch),
    /// Answers [`Payload::FetchMail`].
    Letters(mail::Letters),
    /// "I have shown these letters", to the root of a name; answered by [`Payload::Done`].
    MailShown(mail::Shown),
    /// "I have shown these messages of yours", from the receiver of letters to their author; not answered.
    Receipt(Vec<MessageId>),
    /// "A letter waits for you", from the root of a name to its holder; not answered.
    MailWaits(Nick),
    /// Writes or deletes a value, at the root of its key; answered by [`Payload::Wrote`].
    Put(value::Put),
    /// Answers [`Payload::Put`].
    Wrote {
        /// Whether there was a value before.
        was_there: bool,
    },
    /// "What is under this key?", to its root; answered by [`Payload::Value`].
    Get(ValueKey),
    /// Answers [`Payload::Get`]: the value, if there is one.
    Value(Option<Vec<u8>>),
    /// "Where do you stand, what do you keep, and what have you sent?", to any node; answered by
    /// [`Payload::Surveyed`].
    Survey {
        /// Of how many of its messages the node has told already.
        known: u64,
    },
    /// Answers [`Payload::Survey`].
    Surveyed(survey::Surveyed),
    /// "Which of these letters of mine have been shown?", to the root of a name; answered by [`Payload::Shown`].
    WereShown(mail::WereShown),
    /// Answers [`Payload::WereShown`]: those that have.
    Shown(Vec<MessageId>),
}

impl From<records::Message> for Payload {
    fn from(message: records::Message) -> Payload {
        Payload::Records(message)
    }
}
