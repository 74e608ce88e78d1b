//! A write that nobody answers, and a start at which nobody answers.

use std::time::Duration;

use chord_chat::chat::event::{Event, RingOrigin};
use chord_chat::id::NodeHandle;
use chord_chat::node::Node;
use chord_chat::node::kept::Kept;
use chord_chat::records::COPIES;
use chord_chat::records::name::Person;
use chord_chat::records::value::ValueKey;
use chord_chat::sim::{Latency, Links};

use crate::town::{REST, SECOND, Town, at, someone_else};

const NETWORK: &str = "town";

impl Town {
    /// A person with what is on the disk of `disk`.
    fn node_with_disk(&self, n: u16, nick: &str, disk: NodeHandle) -> Node {
        let kept = Kept::read(self.network.on_disk(disk));
        let person = Person::of_node(at(n).id());
        self.node(n, nick).with_disk(self.network.now(), kept, person, NETWORK)
    }

    fn starts_with_disk(&mut self, n: u16, disk: NodeHandle, bootstrap: Option<NodeHandle>) {
        let node = self.node_with_disk(n, &format!("p{n}"), disk);
        self.starts_by(node, bootstrap);
    }

    fn value(&self, n: u16, key: &str) -> Option<Vec<u8>> {
        let key: ValueKey = key.parse().unwrap();
        self.network.get(at(n))?.records().value(&key).and_then(|written| written.value.clone())
    }

    /// What somebody was told of a value.
    fn told_of_value(&self, n: u16) -> Vec<String> {
        self.told(n, |event| match event {
            Event::Written { was_there, .. } => Some(format!("written, was there: {was_there}")),
            Event::Value { value, .. } => Some(
                value.as_ref().map_or_else(String::new, |value| String::from_utf8_lossy(value).into_owned()),
            ),
            Event::Error { message, .. } => Some(message.clone()),
            _ => None,
        })
    }
}

#[test]
fn who_begins_a_ring_by_mistake_is_in_that_of_the_others_that_they_knew() {
    let mut town = Town::new(7, Links::good());
    town.network.give_disks(Latency::Constant(Duration::from_millis(1)));
    for n in 0..6 {
        town.starts_with_disk(n, at(n), (0 < n).then(|| at(0)));
        town.run(SECOND);
    }
    town.run(REST);
    town.network.crash(at(3));
    town.run(REST);
    // Those who are there know nobody at this address; and whoever starts is told of none of them.
    town.starts_with_disk(20, at(3), None);
    town.run(SECOND);
    let begun =
        town.told(20, |event| matches!(event, Event::Ready { ring: RingOrigin::Created, .. }).then_some(()));
    assert_eq!(begun.len(), 1, "it begins a ring");
    town.run(REST);
    let mut people: Vec<NodeHandle> = town.people().into_iter().map(at).collect();
    people.sort_by_key(NodeHandle::id);
    for (place, &node) in people.iter().enumerate() {
        let next = people[(place + 1) % people.len()];
        assert_eq!(town.network.get(node).unwrap().chord().successors().first(), Some(&next), "{node:?}");
    }
}

#[test]
fn a_write_whose_root_crashes_before_it_answers_is_done_once_more_over_what_was_written_in_between() {
    let mut town = Town::of(9, Links::good());
    let keepers = town.keepers("apple", COPIES);
    let author = someone_else(9, &keepers);
    let other = someone_else(9, &[&keepers[..], &[author]].concat());
    town.types(author, "put apple red");
    let red = Some(b"red".to_vec());
    let has_copy = |town: &Town| keepers[1..].iter().any(|&n| town.value(n, "apple") == red);
    while !has_copy(&town) {
        town.run(Duration::from_micros(100));
    }
    assert!(town.told_of_value(author).is_empty(), "the root has not answered");
    // The author hears of the crash a little later than the others.
    town.network.freeze(at(author), 3 * SECOND);
    town.network.crash(at(keepers[0]));
    town.says(other, "put apple green");
    assert_eq!(town.told_of_value(other), ["written, was there: true"], "the first write is seen");
    assert!(town.told_of_value(author).is_empty());
    town.run(REST);
    assert_eq!(town.told_of_value(author), ["written, was there: true"]);
    town.says(other, "get apple");
    assert_eq!(town.told_of_value(other).last().unwrap(), "red");
}
