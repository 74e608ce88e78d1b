//! Values: what was acknowledged as written holds until something later is written.
//!
//! Which of two writes is the later one, their versions say: the oracle learns these from what roots tell their copies.
//! So in any network, what is there in the end is no earlier than what was acknowledged.
//! As long as nothing goes wrong there is one root, and what it tells is no earlier than what was acknowledged before it
//! was asked.
//!
//! What a root writes for its own user leaves it in no message: of that, nothing is claimed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Oracle, Promise};
use crate::chat::payload::Payload;
use crate::chat::value::Put;
use crate::chord::message::Number;
use crate::id::NodeHandle;
use crate::node::Node;
use crate::records::value::{ValueKey, Version, Written};
use crate::records::{ACKNOWLEDGED, Message, RecordKey, Statement};
use crate::sim::Network;
use crate::time::Time;

#[derive(Debug, Default)]
pub(super) struct Values {
    /// What people will write or wrote, each text once.
    texts: BTreeSet<(ValueKey, Vec<u8>)>,
    keys: BTreeMap<ValueKey, Known>,
    /// What is to be written, and since when; nothing is left once that is answered, and answers may come again.
    puts: BTreeMap<(NodeHandle, Number), Option<(Time, Put)>>,
    gets: BTreeMap<(NodeHandle, Number), Option<Asked>>,
}

/// What is known of a key.
#[derive(Debug, Default)]
struct Known {
    /// The newest version of each value, and of its deletion.
    versions: BTreeMap<Option<Vec<u8>>, Version>,
    /// The newest version that was acknowledged.
    acknowledged: Option<Version>,
    /// The same since something went wrong last.
    in_calm: Option<Version>,
}

/// Somebody wants to see a value.
#[derive(Debug)]
struct Asked {
    key: ValueKey,
    /// What was acknowledged by then.
    least: Option<Version>,
}

impl Values {
    /// Something goes wrong: from now on there may be several roots.
    pub(super) fn are_disturbed(&mut self) {
        self.keys.values_mut().for_each(|known| known.in_calm = None);
        self.gets.values_mut().flatten().for_each(|asked| asked.least = None);
    }

    fn learn(&mut self, key: &ValueKey, Written { version, value }: &Written) {
        let known = self.keys.entry(key.clone()).or_default();
        let newest = known.versions.entry(value.clone()).or_insert(*version);
        *newest = (*newest).max(*version);
    }

    /// A node asks the root of a key; on its way, a request is seen at each hop.
    pub(super) fn are_asked(&mut self, now: Time, origin: NodeHandle, id: Number, payload: &Payload) {
        match payload {
            Payload::Put(put) => {
                self.puts.entry((origin, id)).or_insert_with(|| Some((now, put.clone())));
            }
            Payload::Get(key) => {
                let least = self.keys.get(key).and_then(|known| known.in_calm);
                self.gets.entry((origin, id)).or_insert_with(|| Some(Asked { key: key.clone(), least }));
            }
            _ => {}
        }
    }

    /// A root tells its copies.
    pub(super) fn are_told(&mut self, message: &Message) {
        let Message::Merge { statements, .. } = message else { return };
        for (key, statement) in statements {
            if let (RecordKey::Value(key), Statement::Written(written, _)) = (key, statement) {
                self.learn(key, written);
            }
        }
    }

    fn acknowledged(&self) -> impl Iterator<Item = (&ValueKey, Version)> {
        self.keys.iter().filter_map(|(key, known)| Some((key, known.acknowledged?)))
    }
}

fn version(node: &Node, key: &ValueKey) -> Option<Version> {
    node.records().value(key).map(|written| written.version)
}

impl Oracle {
    /// Someone will write `text`, which nobody writes a second time, under `key`.
    pub fn will_put(&mut self, key: &ValueKey, text: &str) {
        let is_new = self.values.texts.insert((key.clone(), text.as_bytes().to_vec()));
        assert!(is_new, "each text is written once: {text:?}");
    }

    /// `root` answers that something is written.
    pub(super) fn on_wrote(
        &mut self,
        network: &Network<Node>,
        root: NodeHandle,
        asked: (NodeHandle, Number),
    ) {
        let Some((since, Put { key, value })) = self.values.puts.get_mut(&asked).and_then(Option::take)
        else {
            return;
        };
        let Some(written) = network.get(root).and_then(|node| node.records().value(&key)) else { return };
        // No clock is behind that of the network.
        if written.version.at < since {
            let what = format!("{:?} is told that {key} is {value:?}, and {root:?} has {written:?}", asked.0);
            return self.breaks(network.now(), Promise::Value, what);
        }
        // If it is another by now, or another root's, that is acknowledged by itself.
        if written.value != value || written.version.root != root {
            return;
        }
        self.seen.written += 1;
        self.values.learn(&key, written);
        let is_calm = self.is_calm(network.now());
        let Some(known) = self.values.keys.get_mut(&key) else { return };
        let newest = Some(written.version);
        known.acknowledged = known.acknowledged.max(newest);
        known.in_calm = known.in_calm.max(newest.filter(|_| is_calm));
    }

    /// A root answers what is under a key.
    pub(super) fn on_value_told(&mut self, now: Time, asked: (NodeHandle, Number), value: &Option<Vec<u8>>) {
        let Some(Asked { key, least }) = self.values.gets.get_mut(&asked).and_then(Option::take) else {
            return;
        };
        let newest = self.values.keys.get(&key).and_then(|known| known.versions.get(value)).copied();
        if newest < least {
            let what =
                format!("{:?} is told that {key} is {value:?}, and not what was written later", asked.0);
            self.breaks(now, Promise::Value, what);
        }
    }

    /// `node` is shown a value.
    pub(super) fn on_value(&mut self, now: Time, node: NodeHandle, key: &ValueKey, value: Option<&Vec<u8>>) {
        if let Some(value) = value
            && !self.values.texts.contains(&(key.clone(), value.clone()))
        {
            let what = format!("{node:?} is shown a value of {key} which nobody has written: {value:?}");
            self.breaks(now, Promise::Value, what);
        }
    }

    /// The root of each key has what was acknowledged there, or something later.
    pub(super) fn check_values<'a>(&self, root: impl Fn(&RecordKey) -> &'a Node) -> Result<(), String> {
        for (key, acknowledged) in self.values.acknowledged() {
            let root = root(&RecordKey::Value(key.clone()));
            let known = version(root, key);
            if known < Some(acknowledged) {
                let root = root.chord().me();
                return Err(format!("{key} was written as {acknowledged:?}, and {root:?} has {known:?}"));
            }
        }
        Ok(())
    }

    /// Whether each value that was acknowledged, or a later one, stays on a node that runs when others are `gone`, and
    /// is on as many as it was acknowledged by.
    pub(super) fn are_values_kept_without(&self, there: &[&Node], gone: &[NodeHandle]) -> bool {
        self.values.acknowledged().all(|(key, acknowledged)| {
            let keepers = there.iter().filter(|node| Some(acknowledged) <= version(node, key));
            let others = keepers.clone().filter(|node| !gone.contains(&node.chord().me())).count();
            0 < others && (ACKNOWLEDGED.min(there.len()) <= keepers.count() || gone.is_empty())
        })
    }
}
