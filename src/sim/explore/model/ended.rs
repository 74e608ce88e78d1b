//! What becomes of messages to and from nodes that have crashed or are cut off.

use super::{Choice, Model, State, Traits, is_running, started, take};
use crate::id::NodeHandle;
use crate::sim::explore::scenario::{Act, Explorable};
use crate::sim::{Flight, Order};

impl<'s, M: Explorable, H: Clone + Ord> Model<'s, '_, M, H> {
    /// Whether it comes back with the news that the connection has broken, which are under way to its sender.
    pub(super) fn waits_for_news(&self, state: &State, flight: u32) -> bool {
        let Traits { is_message, to, back, .. } = *self.traits(flight);
        let is_news = |other: &u32| !self.traits(*other).is_message && self.traits(*other).pair == back;
        is_message
            && self.scenario.order == Order::Fifo
            && !is_running(state, to)
            && state.in_flight.iter().any(is_news)
    }

    /// Whether it is a message of a node that an act has ended.
    pub(super) fn is_from_the_dead(&self, state: &State, flight: u32) -> bool {
        let Traits { is_message, from, .. } = *self.traits(flight);
        let is_ended = |from: usize| self.ended_by(state, self.nodes[from]).is_some();
        is_message && !is_running(state, from) && from.is_some_and(is_ended)
    }

    /// The act that has ended the node, if it does not run any more; the first one, if there are several.
    fn ended_by(&self, state: &State, node: NodeHandle) -> Option<&'s Act<M>> {
        if self.machine(state, node).is_some() {
            return None;
        }
        let done = |(script, done): (&'s Vec<Act<M>>, &u16)| &script[..usize::from(*done)];
        let mut acts = self.scenario.scripts.iter().zip(&state.acts).flat_map(done);
        acts.find(|act| ended(act) == Some(node))
    }

    /// Whether nothing will ever come of it, so that a state is the same without it: who would get it has ended for
    /// good, and so has who would get it back.
    pub(super) fn is_void(&self, state: &State, flight: u32) -> bool {
        let Traits { is_message, from, to, .. } = *self.traits(flight);
        let is_gone = |node: Option<usize>| {
            let is = |machine: &M| self.index(machine.me()) == node;
            !is_running(state, node) && !self.scenario.scripts.iter().flatten().filter_map(started).any(is)
        };
        let is_cut_off = |to: usize| self.is_cut_off(state, self.nodes[to]);
        is_gone(to) && (!is_message || is_gone(from) || to.is_some_and(is_cut_off))
    }

    pub(super) fn is_cut_off(&self, state: &State, node: NodeHandle) -> bool {
        self.ended_by(state, node).is_some_and(|act| matches!(act.itself(), Act::CutOff(_)))
    }

    /// What is heard when it arrives, if it is news or if nobody runs where it goes.
    ///
    /// That somebody cannot be reached is at the sender when the message would have been there.
    /// If messages have an order, all of the same pair comes back at the same time: it was on one connection.
    pub(super) fn news(&self, state: &State, flight: u32) -> Option<Flight<M::Message>> {
        let news = match self.flights.get(flight).clone() {
            news @ Flight::Unreachable { .. } => news,
            message if self.is_cut_off(state, message.pair().1) => return None,
            message => message.bounced()?,
        };
        let Flight::Unreachable { node, peer, mut undelivered } = news else { return None };
        self.machine(state, node)?;
        let returning = self.returning(state, flight);
        let others = state.in_flight.iter().filter(|other| self.is_message_of(**other, returning));
        undelivered.extend(others.filter_map(|other| match self.flights.get(*other) {
            Flight::Message { message, .. } => Some(message.clone()),
            Flight::Unreachable { .. } => None,
        }));
        Some(Flight::Unreachable { node, peer, undelivered })
    }

    /// The pair whose messages come back when it is heard that the receiver of this one, or whom it is about, does
    /// not run.
    pub(super) fn returning(&self, state: &State, flight: u32) -> Option<u32> {
        let Traits { is_message, from, to, pair, back, .. } = *self.traits(flight);
        let (pair, peer) = if is_message { (pair, to) } else { (back, from) };
        (self.scenario.order == Order::Fifo && !is_running(state, peer)).then_some(pair)
    }

    /// Whether it is a message of this pair, if there is one.
    pub(super) fn is_message_of(&self, flight: u32, pair: Option<u32>) -> bool {
        self.traits(flight).is_message && pair == Some(self.traits(flight).pair)
    }

    /// Loses a message whose sender has crashed, and with [`Order::Fifo`] all that it has sent after it.
    pub(super) fn cut(&self, state: &mut State, flight: u32) {
        if self.scenario.order == Order::Any {
            return take(&mut state.in_flight, flight);
        }
        let pair = Some(self.traits(flight).pair);
        state.in_flight.retain(|other| !self.is_message_of(*other, pair));
    }

    /// The news of its sender's crash, where messages were lost by this choice.
    pub(super) fn news_of_cut(&self, state: &State, choice: Choice) -> Option<u32> {
        let Choice::Cut(flight) = choice else { return None };
        let is_news = |other: &u32| self.traits(*other).pair == self.traits(flight).pair;
        state.in_flight.iter().copied().find(is_news).filter(|_| self.scenario.order == Order::Fifo)
    }

    /// Ends the machine at `node`, and with it the news that were under way to it.
    pub(super) fn end(&self, state: &mut State, node: NodeHandle) {
        let Some(index) = self.index(node) else { return };
        state.machines[index] = None;
        let mut in_flight = std::mem::take(&mut state.in_flight);
        in_flight.retain(|flight| {
            let Traits { is_message, to, .. } = *self.traits(*flight);
            (is_message || to != Some(index)) && !self.is_void(state, *flight)
        });
        state.in_flight = in_flight;
    }
}

/// The node that `act` ends, if it does.
pub(super) fn ended<M: Explorable>(act: &Act<M>) -> Option<NodeHandle> {
    match act.itself() {
        Act::Crash(node, _) | Act::CutOff(node) => Some(*node),
        _ => None,
    }
}
