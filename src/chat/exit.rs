//! `exit`: a person goes in good order (item 7 of the assignment).
//!
//! 1. What has been sent is brought to its end.
//! 2. All channels are left, and the name is given up.
//! 3. The successor is told all records, until it has them, and other roots what was on the disk of theirs.
//! 4. The neighbours close the gap; see `chord/leave.rs`.
//!
//! Whatever does not answer, it is over after [`EXIT_DEADLINE`].

use std::time::Duration;

use super::command::{Command, Refusal, Words};
use super::event::Event;
use super::{Chat, Context, Pending, Stage};
use crate::id::NodeHandle;
use crate::records::{Migrated, RecordKey, Why};
use crate::time::Time;

/// How long it takes at most to leave.
///
/// Before it, questions may take half a second to be answered, and after it connections a second to close:
/// all together takes at most 5 s.
pub const EXIT_DEADLINE: Duration = Duration::from_millis(3400);

/// How long until a leave is tried again that the successor could not follow.
const TRY_AGAIN: Duration = Duration::from_millis(100);

pub(super) const COMMAND: Command = Command {
    name: "exit",
    arguments: &[],
    about: "Leave all channels, hand over what this node keeps, and end",
    run,
};

fn run(chat: &mut Chat, cx: &mut Context<'_>, words: &mut Words<'_>) -> Result<(), Refusal> {
    words.end()?;
    chat.exit(cx);
    Ok(())
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Leaving {
    step: Step,
    deadline: Time,
    retry: Option<Time>,
    /// What the successor becomes the root of, once it takes over.
    handed_over: Vec<RecordKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Sending,
    LeavingChannels,
    HandingOver,
    LeavingRing,
}

impl Leaving {
    /// Whether the user is in their channels still, unless they have left one themselves.
    pub(super) fn is_in_channels(&self) -> bool {
        self.step == Step::Sending
    }

    pub(super) fn next_wakeup(&self) -> Time {
        self.retry.map_or(self.deadline, |retry| retry.min(self.deadline))
    }
}

impl Chat {
    /// Whether the user is there: neither still starting nor leaving.
    pub fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// Whether this node tells its successor all that it keeps: what comes now waits for the successor.
    pub fn is_handing_over(&self) -> bool {
        matches!(&self.stage, Stage::Leaving(leaving) if Step::HandingOver <= leaving.step)
    }

    /// Leaves in good order.
    pub fn exit(&mut self, cx: &mut Context<'_>) {
        match self.stage {
            Stage::New | Stage::Starting(_) => self.leave_ring(cx),
            Stage::Ready => self.begin(cx, Step::Sending),
            Stage::Leaving(_) | Stage::Over => {}
        }
    }

    /// Leaves without a name to give up.
    pub(super) fn leave_ring(&mut self, cx: &mut Context<'_>) {
        if cx.chord.is_member() {
            self.begin(cx, Step::HandingOver);
        } else {
            self.end(cx);
        }
    }

    fn begin(&mut self, cx: &mut Context<'_>, step: Step) {
        self.stage = Stage::Leaving(Leaving {
            step,
            deadline: cx.now + EXIT_DEADLINE,
            retry: None,
            handed_over: Vec::new(),
        });
        self.go_on_leaving(cx);
    }

    /// Takes the steps that can be taken.
    pub(super) fn go_on_leaving(&mut self, cx: &mut Context<'_>) {
        loop {
            let Stage::Leaving(leaving) = &mut self.stage else { return };
            leaving.retry.take_if(|retry| *retry <= cx.now);
            let (step, is_due) = (leaving.step, leaving.retry.is_none());
            if leaving.deadline <= cx.now {
                return self.end(cx);
            }
            // The successor gets everything before this node goes, and what is another's to keep, its root.
            cx.records.hurry();
            cx.records.make_sure(cx.now, cx.chord);
            match step {
                Step::Sending if self.outboxes.is_empty() && !self.is_joining() => {
                    self.leave_everything(cx);
                    self.set_step(Step::LeavingChannels);
                }
                Step::LeavingChannels if !self.is_waiting_to_leave() => self.set_step(Step::HandingOver),
                Step::HandingOver if is_due && self.has_handed_over(cx) => {
                    self.set_step(Step::LeavingRing);
                    self.remember_handed_over(cx);
                    cx.chord.leave(cx.now);
                }
                _ => return,
            }
        }
    }

    fn set_step(&mut self, step: Step) {
        if let Stage::Leaving(leaving) = &mut self.stage {
            leaving.step = step;
        }
    }

    fn remember_handed_over(&mut self, cx: &Context<'_>) {
        if let Stage::Leaving(leaving) = &mut self.stage {
            leaving.handed_over = records_as_root(cx).cloned().collect();
        }
    }

    fn is_joining(&self) -> bool {
        self.pending.values().any(|pending| matches!(pending, Pending::Join(_) | Pending::Leave(_)))
    }

    fn leave_everything(&mut self, cx: &mut Context<'_>) {
        for channel in self.joined().cloned().collect::<Vec<_>>() {
            self.leave_channel(cx, channel);
        }
        self.release_name(cx);
    }

    fn is_waiting_to_leave(&self) -> bool {
        self.pending.values().any(|pending| matches!(pending, Pending::Leave(_) | Pending::Release))
    }

    /// Whether the successor has everything, and nobody waits for this node to acknowledge something.
    fn has_handed_over(&self, cx: &Context<'_>) -> bool {
        match cx.chord.successors().first() {
            Some(&successor) => {
                let is_settled = cx.records.is_settled(cx.chord) && cx.records.has_migrated();
                let is_sure = cx.records.unsure(cx.chord).next().is_none();
                self.writes.is_empty() && is_settled && is_sure && cx.records.is_handed_over_to(successor)
            }
            None => cx.chord.is_alone(),
        }
    }

    /// The successor has taken over, if there is one, and the neighbours close the gap.
    pub fn on_ring_left(&mut self, cx: &mut Context<'_>, to: Option<NodeHandle>) {
        if let (Stage::Leaving(leaving), Some(peer)) = (&mut self.stage, to) {
            for key in std::mem::take(&mut leaving.handed_over) {
                self.on_migrated(cx, Migrated { key, incoming: false, peer, why: Why::Leave });
            }
        }
        self.end(cx);
    }

    /// The successor could not take over: what it lacks is handed over, then it is asked again.
    pub fn on_leave_refused(&mut self, cx: &mut Context<'_>) {
        if let Stage::Leaving(leaving) = &mut self.stage {
            leaving.step = Step::HandingOver;
            leaving.retry = Some(cx.now + TRY_AGAIN);
        }
    }

    /// Ends, and says what was not handed over.
    pub(super) fn end(&mut self, cx: &mut Context<'_>) {
        let mut not_handed_over = Vec::new();
        if let Stage::Leaving(leaving) = &self.stage {
            for (to, outbox) in &self.outboxes {
                not_handed_over.push(format!("{} messages to {to}", outbox.len()));
            }
            for channel in self.sessions.keys() {
                not_handed_over.push(format!("the leave of {channel}"));
            }
            if self.pending.values().any(|pending| matches!(pending, Pending::Release)) {
                not_handed_over.push(format!("that the name {} is free", self.nick));
            }
            if leaving.step < Step::LeavingRing && !cx.chord.is_alone() {
                let unsure = cx.records.unsure(cx.chord);
                not_handed_over.extend(records_as_root(cx).chain(unsure).map(ToString::to_string));
            }
        }
        self.stage = Stage::Over;
        cx.tell(Event::Bye { not_handed_over });
    }
}

/// The records whose root this node is.
fn records_as_root<'a>(cx: &'a Context<'_>) -> impl Iterator<Item = &'a RecordKey> {
    cx.records.keys().filter(|&(_, id)| cx.chord.is_root(id) == Some(true)).map(|(key, _)| key)
}
