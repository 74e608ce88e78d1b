//! What a message is about, for counting.

use crate::chat::payload::Payload;
use crate::chord::Message;
use crate::chord::message::{Answer, Body};
use crate::records;

/// What `message` is about; give it to [`crate::sim::Network::classify`].
pub fn kind(message: &Message<Payload>) -> &'static str {
    match message {
        Message::GetNeighbors { .. }
        | Message::Neighbors { .. }
        | Message::GetNewNeighbors { .. }
        | Message::SameNeighbors { .. }
        | Message::Notify
        | Message::NewPredecessor
        | Message::ListChanged
        | Message::HaveLeft { .. } => "stabilize",
        Message::Displaced { .. } | Message::Remember { .. } => "unite",
        Message::Ping { .. } | Message::Pong { .. } => "rectify",
        Message::NotMember => "not a member",
        Message::Place { .. } => "find place",
        Message::Leaving { .. }
        | Message::LeavingHeard { .. }
        | Message::Gone { .. }
        | Message::GoneHeard { .. } => "leave of the ring",
        Message::GetNextHop { .. } | Message::NextHop { .. } => "trace",
        Message::Route(route) => match &route.body {
            Body::FindRoot => "find root",
            Body::FindPlace => "find place",
            Body::Unite => "unite",
            Body::Request(payload) => of_payload(payload),
        },
        Message::Reply { answer: Answer::Root, .. } => "find root",
        Message::Reply { answer: Answer::Payload(payload), .. }
        | Message::Request { payload, .. }
        | Message::Tell(payload) => of_payload(payload),
    }
}

fn of_payload(payload: &Payload) -> &'static str {
    match payload {
        Payload::Records(records::Message::Merge { .. } | records::Message::Merged) => "merge",
        Payload::Records(records::Message::Fetch { .. } | records::Message::Fetched { .. }) => "takeover",
        Payload::Records(records::Message::Offer { .. } | records::Message::Offered { .. }) => "repair",
        Payload::Claim(_) | Payload::Claimed(_) => "name",
        Payload::Renew(_) | Payload::Renewed(_) => "renew",
        Payload::WereShown(_) | Payload::Shown(_) => "letters",
        Payload::Delivery(_) => "delivery",
        Payload::MemberChanged(_) => "member",
        _ => "chat",
    }
}

/// Whether messages of this kind are sent in a network in which nothing happens, each half minute: leases are
/// renewed, and copies are told and compared.
pub fn is_lease(kind: &str) -> bool {
    matches!(kind, "name" | "renew" | "merge" | "repair")
}

/// Whether messages of this kind are sent in a network in which nothing happens, all the time.
pub fn is_heartbeat(kind: &str) -> bool {
    matches!(kind, "stabilize" | "rectify" | "find root" | "find place" | "unite")
}
