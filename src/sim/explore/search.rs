//! How the states of a scenario are gone through, and how a violation is told.

use std::collections::HashSet;

use super::model::{Choice, Model, State};
use super::scenario::{Explorable, Report, Scenario};
use crate::sim::{Violation, World};

type AtRest<'a, M, H> = dyn FnMut(&mut World<M>, &H) -> Result<(), String> + 'a;

/// How many states are looked at to find a shorter way to a violation: all of them are kept, and how each was reached.
const BROAD_MAX: usize = 1_000_000;

/// Explores everything in `scenario`.
pub(super) fn explore<M: Explorable, H: Clone + Ord>(
    scenario: &Scenario<'_, M, H>,
    at_rest: &mut AtRest<'_, M, H>,
) -> Result<Report, Violation> {
    let mut model = Model::new(scenario);
    let violated = match go_deep(&mut model, at_rest) {
        Ok(report) => return Ok(report),
        Err(Halt::TooLarge) => panic!(
            "the scenario has more than {} states; make it smaller, or raise its `states_max`",
            scenario.states_max
        ),
        Err(Halt::Violated(violated)) => violated,
    };
    // A way that was found by going deep is long: look for the shortest.
    Err(match go_broad(&mut model, at_rest) {
        Err(Halt::Violated(shorter)) => tell(&mut model, shorter),
        Ok(()) | Err(Halt::TooLarge) => tell(&mut model, violated),
    })
}

/// Why a search ended early.
enum Halt {
    Violated(Violated),
    TooLarge,
}

struct Violated {
    /// States from the start on, and what happened in each; in the last one only if that is what failed.
    way: Vec<(State, Choice)>,
    what: String,
    /// How many states had been found.
    states: usize,
}

/// How many sets the fingerprints are spread over: a set that grows takes three times its room for a moment, and
/// these grow one after the other.
const SETS: usize = 1 << u8::BITS;

/// The fingerprints of the states that were found.
struct Known {
    sets: Vec<HashSet<u64>>,
    len: usize,
}

impl Known {
    fn new() -> Known {
        Known { sets: vec![HashSet::new(); SETS], len: 0 }
    }

    /// Returns whether it is new.
    fn insert(&mut self, state: &State) -> bool {
        let (set, fingerprint) = state.fingerprint();
        let is_new = self.sets[usize::from(set)].insert(fingerprint);
        self.len += usize::from(is_new);
        is_new
    }
}

/// What was found.
struct Found {
    known: Known,
    max: usize,
    finals: usize,
    transitions: usize,
}

impl Found {
    fn new(first: &State, max: usize) -> Found {
        let mut known = Known::new();
        known.insert(first);
        Found { known, max, finals: 0, transitions: 0 }
    }

    /// Checks a state, and returns what can happen in it.
    fn look<M: Explorable, H: Clone + Ord>(
        &mut self,
        model: &Model<'_, '_, M, H>,
        state: &State,
        at_rest: &mut AtRest<'_, M, H>,
    ) -> Result<Vec<Choice>, String> {
        let mut choices = Vec::new();
        model.choices(state, &mut choices);
        self.finals += usize::from(choices.is_empty());
        check(model, state, choices.is_empty(), at_rest)?;
        Ok(choices)
    }

    /// What follows on a choice, if it is new.
    fn follow<M: Explorable, H: Clone + Ord>(
        &mut self,
        model: &mut Model<'_, '_, M, H>,
        state: &State,
        choice: Choice,
    ) -> Result<Option<State>, String> {
        self.transitions += 1;
        let next = model.after(state, choice, |model, passed, _| check_always(model, passed))?;
        Ok(self.known.insert(&next).then_some(next))
    }

    fn is_too_large(&self) -> bool {
        self.max < self.known.len
    }

    fn violated(&self, way: Vec<(State, Choice)>, what: String) -> Halt {
        Halt::Violated(Violated { way, what, states: self.known.len })
    }
}

/// A state on the way to that which is looked at.
struct Step {
    state: State,
    /// What can happen in it and was not tried.
    left: Vec<Choice>,
    /// What is tried.
    choice: Option<Choice>,
}

/// The newest state first: no states are kept but those on the way, and an end is reached soon.
fn go_deep<M: Explorable, H: Clone + Ord>(
    model: &mut Model<'_, '_, M, H>,
    at_rest: &mut AtRest<'_, M, H>,
) -> Result<Report, Halt> {
    let first = model.first_state();
    let mut found = Found::new(&first, model.scenario.states_max);
    let mut steps: Vec<Step> = Vec::new();
    let way =
        |steps: Vec<Step>| steps.into_iter().filter_map(|step| Some((step.state, step.choice?))).collect();
    let mut new = Some(first);
    loop {
        if let Some(state) = new.take() {
            match found.look(model, &state, at_rest) {
                Ok(left) => steps.push(Step { state, left, choice: None }),
                Err(what) => return Err(found.violated(way(steps), what)),
            }
        }
        let Some(step) = steps.last_mut() else { break };
        step.choice = step.left.pop();
        match step.choice.map(|choice| found.follow(model, &step.state, choice)) {
            Some(Ok(next)) => new = next,
            Some(Err(what)) => return Err(found.violated(way(steps), what)),
            None => _ = steps.pop(),
        }
        if found.is_too_large() {
            return Err(Halt::TooLarge);
        }
    }
    Ok(Report { states: found.known.len, finals: found.finals, transitions: found.transitions })
}

/// The oldest state first: comes to each by a shortest way.
fn go_broad<M: Explorable, H: Clone + Ord>(
    model: &mut Model<'_, '_, M, H>,
    at_rest: &mut AtRest<'_, M, H>,
) -> Result<(), Halt> {
    let first = model.first_state();
    let mut found = Found::new(&first, BROAD_MAX.min(model.scenario.states_max));
    // Each state, and from which one, and by what choice, it was first reached.
    let mut states = vec![(first, None)];
    let way = |states: &[(State, Option<(usize, Choice)>)], mut place: usize, choice: Option<Choice>| {
        let mut way = Vec::from_iter(choice.map(|choice| (states[place].0.clone(), choice)));
        while let Some((origin, choice)) = states[place].1 {
            way.push((states[origin].0.clone(), choice));
            place = origin;
        }
        way.reverse();
        way
    };
    let mut place = 0;
    while let Some((state, _)) = states.get(place) {
        let state = state.clone();
        let choices = found
            .look(model, &state, at_rest)
            .map_err(|what| found.violated(way(&states, place, None), what))?;
        for choice in choices {
            match found.follow(model, &state, choice) {
                Ok(Some(next)) => states.push((next, Some((place, choice)))),
                Ok(None) => {}
                Err(what) => return Err(found.violated(way(&states, place, Some(choice)), what)),
            }
            if found.is_too_large() {
                return Err(Halt::TooLarge);
            }
        }
        place += 1;
    }
    Ok(())
}

/// The way to a violation, as a story.
fn tell<M: Explorable, H: Clone + Ord>(model: &mut Model<'_, '_, M, H>, violated: Violated) -> Violation {
    let mut lines = Vec::new();
    for (state, choice) in &violated.way {
        // What fails at the end is told by `what`.
        let _ = model.after(state, *choice, |model, passed, choice| {
            check_always(model, passed)?;
            lines.push(model.describe(passed, choice));
            Ok(())
        });
    }
    let steps = lines.iter().enumerate();
    let mut story: String = steps.map(|(i, line)| format!("{:>4}. {line}\n", i + 1)).collect();
    story.push_str(&format!("found after {} states", violated.states));
    Violation { what: violated.what, story }
}

fn check<M: Explorable, H: Clone + Ord>(
    model: &Model<'_, '_, M, H>,
    state: &State,
    rests: bool,
    at_rest: &mut AtRest<'_, M, H>,
) -> Result<(), String> {
    check_always(model, state)?;
    if !rests {
        return Ok(());
    }
    match model.waiting(state) {
        Some(act) => Err(format!("nothing is left to happen, but this waits: {act}")),
        None => at_rest(&mut model.world(state), model.history(state)),
    }
}

fn check_always<M: Explorable, H: Clone + Ord>(
    model: &Model<'_, '_, M, H>,
    state: &State,
) -> Result<(), String> {
    match &model.scenario.always {
        Some(always) => always(&model.world(state), model.history(state)),
        None => Ok(()),
    }
}
