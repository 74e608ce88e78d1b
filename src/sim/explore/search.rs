//! How the states of a scenario are gone through, and how a violation is told.

use std::collections::{HashSet, VecDeque};
use std::rc::Rc;

use super::model::{Choice, Model, State};
use super::scenario::{Explorable, Report, Scenario};
use crate::sim::{Violation, World};

/// In which order states are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The newest first: comes to an end, and to a violation, soon.
    Depth,
    /// The oldest first: comes to each state by a shortest way.
    Breadth,
}

type AtRest<'a, M, H> = dyn FnMut(&mut World<M>, &H) -> Result<(), String> + 'a;

/// Explores everything in `scenario`.
pub(super) fn explore<M: Explorable, H: Clone + Ord>(
    scenario: &Scenario<'_, M, H>,
    at_rest: &mut AtRest<'_, M, H>,
) -> Result<Report, Violation> {
    let mut model = Model::new(scenario);
    let mut found = Found::new(model.first_state());
    let violated = match found.search(&mut model, Way::Depth, at_rest) {
        Ok(()) => return Ok(found.report()),
        Err(Halt::TooLarge) => panic!(
            "the scenario has more than {} states; make it smaller, or raise its `states_max`",
            scenario.states_max
        ),
        Err(Halt::Violated(violated)) => violated,
    };
    // A way that was found by going deep is long: look for the shortest.
    let mut again = Found::new(model.first_state());
    Err(match again.search(&mut model, Way::Breadth, at_rest) {
        Err(Halt::Violated(shorter)) => again.tell(&mut model, shorter),
        Ok(()) | Err(Halt::TooLarge) => found.tell(&mut model, violated),
    })
}

/// What a search has found so far.
struct Found {
    states: Vec<Rc<State>>,
    known: HashSet<Rc<State>>,
    /// From which state, and by what choice, each state was first reached.
    origins: Vec<Option<(u32, Choice)>>,
    finals: usize,
    transitions: usize,
}

/// Why a search ended early.
enum Halt {
    Violated(Violated),
    TooLarge,
}

struct Violated {
    /// The place of the state where it was found.
    place: u32,
    /// What was about to happen there, if that is what failed.
    choice: Option<Choice>,
    what: String,
}

impl Found {
    fn new(first: State) -> Found {
        let first = Rc::new(first);
        Found {
            states: vec![Rc::clone(&first)],
            known: HashSet::from([first]),
            origins: vec![None],
            finals: 0,
            transitions: 0,
        }
    }

    fn report(&self) -> Report {
        Report { states: self.states.len(), finals: self.finals, transitions: self.transitions }
    }

    fn search<M: Explorable, H: Clone + Ord>(
        &mut self,
        model: &mut Model<'_, '_, M, H>,
        way: Way,
        at_rest: &mut AtRest<'_, M, H>,
    ) -> Result<(), Halt> {
        let mut frontier = VecDeque::from([0]);
        let mut choices = Vec::new();
        loop {
            let next = if way == Way::Depth { frontier.pop_back() } else { frontier.pop_front() };
            let Some(place) = next else { return Ok(()) };
            let state = Rc::clone(&self.states[place as usize]);
            choices.clear();
            model.choices(&state, &mut choices);
            self.finals += usize::from(choices.is_empty());
            check(model, &state, choices.is_empty(), at_rest)
                .map_err(|what| Halt::Violated(Violated { place, choice: None, what }))?;
            for &choice in &choices {
                self.transitions += 1;
                let next = model
                    .after(&state, choice, |model, passed, _| check_always(model, passed))
                    .map_err(|what| Halt::Violated(Violated { place, choice: Some(choice), what }))?;
                let next = Rc::new(next);
                if !self.known.insert(Rc::clone(&next)) {
                    continue;
                }
                if self.states.len() == model.scenario.states_max {
                    return Err(Halt::TooLarge);
                }
                frontier.push_back(u32::try_from(self.states.len()).expect("memory ends before 2^32 states"));
                self.states.push(next);
                self.origins.push(Some((place, choice)));
            }
        }
    }

    /// The way to a violation, as a story.
    fn tell<M: Explorable, H: Clone + Ord>(
        &self,
        model: &mut Model<'_, '_, M, H>,
        violated: Violated,
    ) -> Violation {
        let Violated { mut place, choice, what } = violated;
        let mut way = Vec::from_iter(choice.map(|choice| (place, choice)));
        while let Some((origin, choice)) = self.origins[place as usize] {
            way.push((origin, choice));
            place = origin;
        }
        let mut lines = Vec::new();
        for (place, choice) in way.into_iter().rev() {
            // What fails at the end is told by `what`.
            let _ = model.after(&self.states[place as usize], choice, |model, passed, choice| {
                check_always(model, passed)?;
                lines.push(model.describe(passed, choice));
                Ok(())
            });
        }
        let steps = lines.iter().enumerate();
        let mut story: String = steps.map(|(i, line)| format!("{:>4}. {line}\n", i + 1)).collect();
        story.push_str(&format!("found after {} states", self.states.len()));
        Violation { what, story }
    }
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
