//! `put`, `get`, `del`: a value under a key, which anyone may write (see [`crate::records::value`]).
//!
//! n -> … -> root of the key: Put { key, value }       no value: it is deleted
//! root -> n: Wrote { was_there }                      once enough copies have it
//! n -> … -> root of the key: Get { key }
//! root -> n: Value { value }                          once enough copies have what it says

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::{Argument, Command, Kind, Refusal, Words};
use super::payload::Payload;
use super::{Chat, Context, Pending, Then};
use crate::chord;
use crate::id::NodeHandle;
use crate::records::age::Age;
use crate::records::value::{VALUE_BYTES_MAX, ValueKey, Version, Written};
use crate::records::{Mutant, RecordKey, Statement};

pub(super) const PUT: Command = Command {
    name: "put",
    arguments: &[Argument::required("key", Kind::Key), Argument::required("value", Kind::Text)],
    about: "Keep a value under a key, for everyone: what was there before is replaced",
    run: put,
};

pub(super) const GET: Command = Command {
    name: "get",
    arguments: &[Argument::required("key", Kind::Key), Argument::optional("--path", Kind::Switch)],
    about: "Show the value under a key; with --path also which node answers, and the way there",
    run: get,
};

pub(super) const DEL: Command = Command {
    name: "del",
    arguments: &[Argument::required("key", Kind::Key)],
    about: "Delete the value under a key",
    run: del,
};

fn put(chat: &mut Chat, cx: &mut Context<'_>, words: &mut Words<'_>) -> Result<(), Refusal> {
    let key = words.key()?;
    let value = words.rest()?.as_bytes().to_vec();
    if VALUE_BYTES_MAX < value.len() {
        return Err(Refusal::because(value_rule(value.len())));
    }
    chat.write_value(cx, key, Some(value));
    Ok(())
}

fn get(chat: &mut Chat, cx: &mut Context<'_>, words: &mut Words<'_>) -> Result<(), Refusal> {
    let key = words.key()?;
    let shows_path = words.switch("--path")?;
    words.end()?;
    if shows_path {
        let id = cx.chord.trace(cx.now, RecordKey::Value(key.clone()).id(), false);
        chat.pending.insert(id, Pending::PathTo(key));
    } else {
        chat.ask_for_value(cx, key, Vec::new());
    }
    Ok(())
}

fn del(chat: &mut Chat, cx: &mut Context<'_>, words: &mut Words<'_>) -> Result<(), Refusal> {
    let key = words.key()?;
    words.end()?;
    chat.write_value(cx, key, None);
    Ok(())
}

/// What is answered to a value that is too large.
fn value_rule(bytes: usize) -> String {
    format!("a value has at most {VALUE_BYTES_MAX} bytes, this one has {bytes}")
}

/// Writes or deletes a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Put {
    /// Under which key.
    pub key: ValueKey,
    /// The value; nothing deletes the one that is there.
    pub value: Option<Vec<u8>>,
}

impl Chat {
    /// The way to a key has been found, or not: whoever is the root by then is asked.
    pub(super) fn ask_for_value(
        &mut self,
        cx: &mut Context<'_>,
        key: ValueKey,
        path: Vec<(NodeHandle, Duration)>,
    ) {
        let id = cx.ask_root(&RecordKey::Value(key.clone()), Payload::Get(key.clone()));
        self.pending.insert(id, Pending::Get(key, path));
    }

    fn write_value(&mut self, cx: &mut Context<'_>, key: ValueKey, value: Option<Vec<u8>>) {
        let deletes = value.is_none();
        let put = Payload::Put(Put { key: key.clone(), value });
        let id = cx.ask_root(&RecordKey::Value(key.clone()), put);
        self.pending.insert(id, if deletes { Pending::Del(key) } else { Pending::Put(key) });
    }

    pub(super) fn on_put(
        &mut self,
        cx: &mut Context<'_>,
        request: &chord::Request<Payload>,
        Put { key, value }: Put,
    ) {
        let bytes = value.as_ref().map_or(0, Vec::len);
        if VALUE_BYTES_MAX < bytes {
            return cx.reply_read(request, Payload::Refused(value_rule(bytes)));
        }
        let known = cx.records.value(&key);
        let was_there = known.is_some_and(|known| known.value.is_some());
        let version = Version::after(known.map(|known| known.version), cx.now, self.me);
        let is_done = was_there && cx.records.is(Mutant::KeepsTheFirstValue);
        // Also where nothing is known of it: who deletes may be on one side of a cut, and the value on the other.
        if !is_done {
            if !cx.records.has_room_for_value(&key, bytes) {
                let reason = "the node that should keep this value has no room for more".to_owned();
                return cx.reply_read(request, Payload::Refused(reason));
            }
            cx.records.write(
                cx.now,
                &RecordKey::Value(key),
                Statement::Written(Written { version, value }, Age::NEW),
            );
        }
        let (origin, id) = (request.origin, request.id);
        self.after_write(cx, Then::Answer { origin, id, payload: Payload::Wrote { was_there } });
    }

    pub(super) fn on_get(&mut self, cx: &Context<'_>, request: &chord::Request<Payload>, key: &ValueKey) {
        let value = cx.records.value(key).and_then(|known| known.value.clone());
        let (origin, id) = (request.origin, request.id);
        self.after_write(cx, Then::AnswerRead { origin, id, payload: Payload::Value(value) });
    }
}
