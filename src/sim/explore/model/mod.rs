//! The states of a scenario, and how one follows from another.

mod ended;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use self::ended::ended;
use super::scenario::{Act, Explorable, Scenario};
use super::table::Table;
use crate::id::NodeHandle;
use crate::machine::{Input, Output};
use crate::sim::{Flight, Order, What, World, carried};
use crate::time::Time;

/// How many messages may arrive at once, one after the other: a scenario in which this does not end is wrong.
const DUE_MAX: usize = 1_000;

/// A state, in numbers.
///
/// Two states are equal exactly when these are: what is under way is sorted, with
/// [`Order::Fifo`] by pair only, so that the order within a pair remains.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    now: Time,
    history: u32,
    losses: u32,
    duplicates: u32,
    /// How many acts of each script have taken place.
    acts: Box<[u16]>,
    /// For each node, the number of its machine's state while it runs.
    machines: Box<[Option<u32>]>,
    in_flight: Vec<u32>,
}

impl State {
    /// Two numbers that another state has with a chance of 2^-72: that among 300 million two have the same is one
    /// chance in 100,000, and each byte more costs half a gigabyte.
    pub(super) fn fingerprint(&self) -> (u8, u64) {
        let hash = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, self).hash(&mut hasher);
            hasher.finish()
        };
        let [first, ..] = hash(0).to_be_bytes();
        (first, hash(1))
    }
}

/// One thing that can happen next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Choice {
    /// What is under way arrives; the number is that of the flight.
    Deliver(u32),
    /// It arrives, and will arrive again.
    Repeat(u32),
    Lose(u32),
    /// Its sender has crashed: it is lost, with what was sent after it if messages have an order.
    /// In that case whoever will hear of the crash hears it then: that it were lost earlier would make no difference.
    Cut(u32),
    /// The next act of a script.
    Act(usize),
}

/// What makes a machine take a step: with its state and the time, it determines the outcome.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Cause {
    Flight(u32),
    Act(usize, u16),
}

/// What is known of a flight in any state.
#[derive(Clone, Copy)]
struct Traits {
    /// Whether it is a message, and not news.
    is_message: bool,
    /// Whom it is from or about, and to whom it goes, as places among the nodes; none for who never runs.
    from: Option<usize>,
    to: Option<usize>,
    /// The number of its pair, and that of the same two the other way round.
    pair: u32,
    back: u32,
    /// Whether the scenario says that it arrives before anything else happens.
    at_once: bool,
}

struct Outcome<M: Explorable> {
    machine: Option<u32>,
    sent: Vec<u32>,
    told: Vec<M::Event>,
}

pub(super) struct Model<'s, 'a, M: Explorable, H: Clone + Ord> {
    pub(super) scenario: &'s Scenario<'a, M, H>,
    /// Every node that runs in the scenario, now or later; its place is its number.
    nodes: Vec<NodeHandle>,
    machines: Table<M>,
    flights: Table<Flight<M::Message>>,
    pairs: Table<(NodeHandle, NodeHandle)>,
    /// What is known of each flight.
    traits: Vec<Traits>,
    histories: Table<H>,
    /// What came of each step that some machine took, by its state, the time and the cause.
    outcomes: HashMap<(u32, Time, Cause), Rc<Outcome<M>>>,
    buffer: Vec<u8>,
}

impl<'s, 'a, M: Explorable, H: Clone + Ord> Model<'s, 'a, M, H> {
    pub(super) fn new(scenario: &'s Scenario<'a, M, H>) -> Self {
        let started = scenario.scripts.iter().flatten().filter_map(|act| started(act).map(M::me));
        let mut nodes: Vec<NodeHandle> = scenario.start.machines().map(M::me).chain(started).collect();
        nodes.sort_unstable();
        nodes.dedup();
        Model {
            scenario,
            nodes,
            machines: Table::new(),
            flights: Table::new(),
            pairs: Table::new(),
            traits: Vec::new(),
            histories: Table::new(),
            outcomes: HashMap::new(),
            buffer: Vec::new(),
        }
    }

    pub(super) fn first_state(&mut self) -> State {
        let start = &self.scenario.start;
        let machines = self
            .nodes
            .iter()
            .map(|node| start.get(*node).map(|machine| self.machines.number(machine.clone())));
        let mut state = State {
            now: start.now(),
            history: self.histories.number(self.scenario.history.clone()),
            losses: self.scenario.losses,
            duplicates: self.scenario.duplicates,
            acts: self.scenario.scripts.iter().map(|_| 0).collect(),
            machines: machines.collect(),
            in_flight: Vec::new(),
        };
        let in_flight: Vec<u32> =
            start.in_flight().iter().map(|flight| self.flight(flight.clone())).collect();
        self.launch(&mut state, &in_flight);
        state
    }

    fn flight(&mut self, flight: Flight<M::Message>) -> u32 {
        let number = self.flights.number(flight);
        if self.traits.len() <= number as usize {
            let flight = self.flights.get(number);
            let (from, to) = flight.pair();
            self.traits.push(Traits {
                is_message: matches!(flight, Flight::Message { .. }),
                from: self.index(from),
                to: self.index(to),
                pair: self.pairs.number((from, to)),
                back: self.pairs.number((to, from)),
                at_once: self.scenario.arrives_at_once(flight),
            });
        }
        number
    }

    fn traits(&self, flight: u32) -> &Traits {
        &self.traits[flight as usize]
    }

    /// Adds flights to those under way, and keeps them sorted.
    fn launch(&self, state: &mut State, flights: &[u32]) {
        let flights = flights.iter().copied().filter(|flight| !self.is_void(state, *flight));
        state.in_flight.extend(Vec::from_iter(flights));
        match self.scenario.order {
            Order::Any => state.in_flight.sort_unstable(),
            Order::Fifo => state.in_flight.sort_by_key(|flight| self.traits(*flight).pair),
        }
    }

    /// All that can happen next, each thing once.
    pub(super) fn choices(&self, state: &State, choices: &mut Vec<Choice>) {
        if let Some(flight) = self.due(state) {
            return choices.push(Choice::Deliver(flight));
        }
        for flight in self.arrivals(state) {
            choices.push(Choice::Deliver(flight));
            if !self.traits(flight).is_message {
                continue;
            }
            if self.is_from_the_dead(state, flight) {
                choices.push(Choice::Cut(flight));
                continue;
            }
            if 0 < state.losses {
                choices.push(Choice::Lose(flight));
            }
            if 0 < state.duplicates && is_running(state, self.traits(flight).to) {
                choices.push(Choice::Repeat(flight));
            }
        }
        for script in 0..state.acts.len() {
            if self.next_act(state, script).is_some_and(|act| self.can_take_place(state, act)) {
                choices.push(Choice::Act(script));
            }
        }
    }

    /// What arrives before anything else happens, if something does.
    fn due(&self, state: &State) -> Option<u32> {
        let ends_at_once = self.scenario.ends_at_once && self.waiting(state).is_none();
        let is_due = |flight: &u32| {
            self.traits(*flight).at_once || (ends_at_once && !self.is_from_the_dead(state, *flight))
        };
        self.arrivals(state).find(is_due)
    }

    /// What may be the next to arrive, each thing once.
    fn arrivals(&self, state: &State) -> impl Iterator<Item = u32> {
        let key = |flight: u32| match self.scenario.order {
            Order::Any => flight,
            Order::Fifo => self.traits(flight).pair,
        };
        // Equal ones are neighbours; of a pair in order, only the first can arrive.
        let first =
            state.in_flight.chunk_by(move |one, other| key(*one) == key(*other)).map(|equal| equal[0]);
        first.filter(move |flight| !self.waits_for_news(state, *flight))
    }

    /// The act that some script still has to do.
    pub(super) fn waiting(&self, state: &State) -> Option<&'s Act<M>> {
        (0..state.acts.len()).find_map(|script| self.next_act(state, script))
    }

    /// What is remembered.
    pub(super) fn history(&self, state: &State) -> &H {
        self.histories.get(state.history)
    }

    fn next_act(&self, state: &State, script: usize) -> Option<&'s Act<M>> {
        self.scenario.scripts[script].get(usize::from(state.acts[script]))
    }

    fn can_take_place(&self, state: &State, act: &Act<M>) -> bool {
        match act {
            Act::When(node, condition, act) => {
                self.machine(state, *node).is_some_and(condition) && self.can_take_place(state, act)
            }
            Act::Start(machine) => self.machine(state, machine.me()).is_none(),
            Act::Command(..) | Act::Crash(..) | Act::CutOff(_) | Act::Wake(_) => true,
        }
    }

    fn index(&self, node: NodeHandle) -> Option<usize> {
        self.nodes.binary_search(&node).ok()
    }

    fn machine(&self, state: &State, node: NodeHandle) -> Option<&M> {
        Some(self.machines.get(state.machines[self.index(node)?]?))
    }

    /// The state that follows when the choice is made and all that is due then has arrived; `pass` is told each
    /// step before it is made, and may end it.
    ///
    /// Fails when a machine panics.
    pub(super) fn after(
        &mut self,
        state: &State,
        choice: Choice,
        mut pass: impl FnMut(&Self, &State, Choice) -> Result<(), String>,
    ) -> Result<State, String> {
        let mut next = state.clone();
        let mut choice = choice;
        for _ in 0..DUE_MAX {
            pass(self, &next, choice)?;
            self.make(&mut next, choice)?;
            match self.news_of_cut(&next, choice).or_else(|| self.due(&next)) {
                Some(flight) => choice = Choice::Deliver(flight),
                None => return Ok(next),
            }
        }
        Err(format!("what arrives at once does not come to an end within {DUE_MAX} steps"))
    }

    fn make(&mut self, state: &mut State, choice: Choice) -> Result<(), String> {
        match choice {
            Choice::Deliver(flight) => {
                take(&mut state.in_flight, flight);
                self.deliver(state, flight)?;
            }
            Choice::Repeat(flight) => {
                state.duplicates -= 1;
                self.deliver(state, flight)?;
            }
            Choice::Lose(flight) => {
                state.losses -= 1;
                take(&mut state.in_flight, flight);
            }
            Choice::Cut(flight) => self.cut(state, flight),
            Choice::Act(script) => {
                let act = self.next_act(state, script);
                let cause = Cause::Act(script, state.acts[script]);
                state.acts[script] += 1;
                if let Some(act) = act {
                    self.act(state, act, cause)?;
                }
            }
        }
        Ok(())
    }

    fn deliver(&mut self, state: &mut State, flight: u32) -> Result<(), String> {
        let Traits { is_message, from, to, .. } = *self.traits(flight);
        let (hears, heard) = if is_message && is_running(state, to) {
            (to, flight)
        } else {
            let Some(news) = self.news(state, flight) else { return Ok(()) };
            let returning = self.returning(state, flight);
            state.in_flight.retain(|other| !self.is_message_of(*other, returning));
            (if is_message { from } else { to }, self.flight(news))
        };
        let Some(hears) = hears else { return Ok(()) };
        self.step(state, hears, Cause::Flight(heard), |model| model.flights.get(heard).clone().into_input().1)
    }

    fn act(&mut self, state: &mut State, act: &'s Act<M>, cause: Cause) -> Result<(), String> {
        match act {
            Act::Command(node, command) => {
                if let Some(index) = self.index(*node) {
                    return self.step(state, index, cause, |_| Input::Command(command.clone()));
                }
            }
            Act::Start(machine) => {
                if let Some(index) = self.index(machine.me()) {
                    state.machines[index] = Some(self.machines.number(machine.clone()));
                }
            }
            Act::Crash(node, peers) => {
                self.end(state, *node);
                let broken = peers.iter().map(|peer| Flight::Unreachable {
                    node: *peer,
                    peer: *node,
                    undelivered: Vec::new(),
                });
                let broken: Vec<u32> = broken.map(|flight| self.flight(flight)).collect();
                self.launch(state, &broken);
            }
            Act::CutOff(node) => self.end(state, *node),
            Act::Wake(node) => {
                let due = self.machine(state, *node).and_then(M::next_wakeup);
                if let (Some(index), Some(at)) = (self.index(*node), due) {
                    state.now = state.now.max(at);
                    return self.step(state, index, cause, |_| Input::Wakeup);
                }
            }
            Act::When(_, _, act) => return self.act(state, act, cause),
        }
        Ok(())
    }

    /// One step of the machine at a place among the nodes, if it runs; `input` belongs to `cause`.
    fn step(
        &mut self,
        state: &mut State,
        index: usize,
        cause: Cause,
        input: impl FnOnce(&Self) -> Input<M::Command, M::Message>,
    ) -> Result<(), String> {
        let Some(machine) = state.machines[index] else { return Ok(()) };
        let key = (machine, state.now, cause);
        let outcome = match self.outcomes.get(&key) {
            Some(outcome) => Rc::clone(outcome),
            None => {
                let input = input(self);
                let outcome = Rc::new(self.compute(machine, state.now, input)?);
                self.outcomes.insert(key, Rc::clone(&outcome));
                outcome
            }
        };
        state.machines[index] = outcome.machine;
        self.launch(state, &outcome.sent);
        if outcome.machine.is_none() {
            self.end(state, self.nodes[index]);
        }
        if !outcome.told.is_empty() {
            let mut history = self.histories.get(state.history).clone();
            for event in &outcome.told {
                (self.scenario.remember)(&mut history, self.nodes[index], event);
            }
            state.history = self.histories.number(history);
        }
        Ok(())
    }

    fn compute(
        &mut self,
        machine: u32,
        now: Time,
        input: Input<M::Command, M::Message>,
    ) -> Result<Outcome<M>, String> {
        let mut machine = self.machines.get(machine).clone();
        let from = machine.me();
        let mut outputs = Vec::new();
        // The machine is a copy, which nobody looks at after a panic.
        catch_unwind(AssertUnwindSafe(|| machine.handle(now, input, &mut outputs)))
            .map_err(|_| "the machine panicked, as told above".to_owned())?;
        let mut outcome = Outcome { machine: None, sent: Vec::new(), told: Vec::new() };
        let mut stops = false;
        for output in outputs {
            match output {
                Output::Send { to, message } => {
                    let message = carried(&message, &mut self.buffer);
                    outcome.sent.push(self.flight(Flight::Message { from, to, message }));
                }
                Output::Event(event) => outcome.told.push(event),
                Output::Stop => stops = true,
                // Disks are not explored.
                Output::Keep(_) => {}
            }
        }
        outcome.machine = (!stops).then(|| self.machines.number(machine));
        Ok(outcome)
    }

    /// The state as a world that can be looked at and gone on with.
    pub(super) fn world(&self, state: &State) -> World<M> {
        let machines = state.machines.iter().flatten().map(|machine| self.machines.get(*machine).clone());
        let in_flight = state.in_flight.iter().map(|flight| self.flights.get(*flight).clone());
        let acts = self.scenario.scripts.iter().flatten();
        let cut_off = acts.filter_map(ended).filter(|&node| self.is_cut_off(state, node));
        World::of(state.now, machines.collect(), in_flight.collect(), cut_off.collect())
    }

    pub(super) fn describe(&self, state: &State, choice: Choice) -> String {
        let input = |flight: u32| {
            let mut without = state.clone();
            take(&mut without.in_flight, flight);
            let arriving = match self.flights.get(flight) {
                message @ Flight::Message { .. } if is_running(state, self.traits(flight).to) => {
                    Some(message.clone())
                }
                _ => self.news(&without, flight),
            };
            match arriving.map(Flight::into_input::<()>) {
                Some((node, input)) => What::of(node, &input).to_string(),
                None => format!("{:?} is gone", self.flights.get(flight).pair().1),
            }
        };
        match choice {
            Choice::Deliver(flight) => input(flight),
            Choice::Repeat(flight) => format!("{} (not for the last time)", input(flight)),
            Choice::Lose(flight) | Choice::Cut(flight) => match self.flights.get(flight).clone() {
                Flight::Message { from, to, message } => What::Lost { from, to, message }.to_string(),
                Flight::Unreachable { .. } => String::new(),
            },
            Choice::Act(script) => self.next_act(state, script).map_or_else(String::new, Act::to_string),
        }
    }
}

/// The machine that `act` starts, if it does.
fn started<M: Explorable>(act: &Act<M>) -> Option<&M> {
    match act.itself() {
        Act::Start(machine) => Some(machine),
        _ => None,
    }
}

/// Whether a node runs at this place among the nodes.
fn is_running(state: &State, node: Option<usize>) -> bool {
    node.is_some_and(|node| state.machines[node].is_some())
}

/// Takes one of the flights with this number out, the first.
fn take(in_flight: &mut Vec<u32>, flight: u32) {
    let place = in_flight.iter().position(|one| *one == flight).expect("what is chosen is under way");
    in_flight.remove(place);
}
