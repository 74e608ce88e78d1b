//! One order: each author's messages as they were written, and those of a channel by their place.
//!
//! What stands before something that a member was shown is marked as late, and nothing else is: so what is not
//! marked comes in the order of the places, which is the same for everyone.

use super::{Oracle, Promise, Weather};
use crate::chat::event::MessageId;
use crate::id::NodeHandle;
use crate::node::Node;
use crate::records::channel::Place;
use crate::records::name::ChannelName;
use crate::sim::Network;

impl Oracle {
    /// Checks that a message which is shown has its own place and stands after what was shown before, or is
    /// marked as late.
    pub(super) fn check_order(
        &mut self,
        network: &Network<Node>,
        node: NodeHandle,
        channel: &ChannelName,
        id: MessageId,
        (epoch, seq): (u64, u64),
        late: bool,
    ) {
        let now = network.now();
        let Some(place) = self.place(network, channel, id, (epoch, seq)) else {
            if network.get(node).is_none() {
                // It was the root itself, and has ended at once.
                return;
            }
            let what = format!("{node:?} is shown {id} at {epoch}, {seq}, where nobody has it");
            return self.breaks(now, Promise::Order, what);
        };
        self.check_place(network, channel, id, place);
        let may_be_late = !late || self.weather == Weather::Split;
        let screen = &mut self.person(node).screen;
        let (newest, is_right) = screen.stands(channel, place, late);
        if !is_right || !may_be_late {
            let marked = if late { "late" } else { "not late" };
            let what = format!("{node:?} is shown {id} as {marked} at {place:?}, after {newest:?}");
            self.breaks(now, Promise::Order, what);
        } else if !late && !screen.follows(channel, id) {
            let what = format!("{node:?} is shown {id} after a later one of its author");
            self.breaks(now, Promise::Order, what);
        }
    }

    /// Where a message stands that is shown at this number of this epoch.
    fn place(
        &self,
        network: &Network<Node>,
        channel: &ChannelName,
        id: MessageId,
        (epoch, seq): (u64, u64),
    ) -> Option<Place> {
        let is_it = |place: &Place| (place.epoch, place.seq) == (epoch, seq);
        let told = self.messages.get(&id).and_then(|message| message.told.iter().copied().find(is_it));
        // A root that is a member itself is told nothing.
        let logs = network.machines().filter_map(|node| node.records().channel(channel));
        let mut places = logs.filter_map(|channel| channel.log.get(&id)).map(|entry| entry.place);
        told.or_else(|| places.find(is_it))
    }

    /// A place has one message, and a message has one place; several where there were two roots, but of each
    /// root's term only one.
    fn check_place(&mut self, network: &Network<Node>, channel: &ChannelName, id: MessageId, place: Place) {
        let there = *self.places.entry((channel.clone(), place)).or_insert(id);
        if there != id {
            let what = format!("{id} and {there} both stand at {place:?} in {channel}");
            self.breaks(network.now(), Promise::Order, what);
        }
        let one_root = self.weather != Weather::Split;
        let Some(message) = self.messages.get_mut(&id) else { return };
        message.places.insert(place);
        let of_term = |other: &&Place| (other.epoch, other.root) == (place.epoch, place.root);
        if 1 < message.places.iter().filter(of_term).count() || (one_root && 1 < message.places.len()) {
            let what = format!("{id} has several places: {:?}", message.places);
            self.breaks(network.now(), Promise::Order, what);
        }
    }
}
