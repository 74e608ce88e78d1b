//! A random walk through what can happen: a million steps of the strangest luck.
//!
//! ```text
//! let mut walk = Walk::<Node>::new().deliver(10, Order::Fifo).action(1, "crash", |world| ..);
//! let mut world = World::new(seed);
//! walk.run(&mut world, 1_000_000, |world| oracle(world)).unwrap();
//! ```

use rand::RngExt;

use super::world::{Violation, World};
use super::{Order, Simulated, What};

/// What a walk chooses from at each step.
pub struct Walk<'a, M: Simulated> {
    choices: Vec<(u32, Choice<'a, M>)>,
    total: u32,
}

enum Choice<'a, M: Simulated> {
    Deliver(Order),
    Lose,
    Wake,
    Action(&'static str, Action<'a, M>),
}

type Action<'a, M> = Box<dyn FnMut(&mut World<M>) + 'a>;

impl<'a, M: Simulated> Walk<'a, M> {
    /// A walk with nothing to choose from yet.
    pub fn new() -> Walk<'a, M> {
        Walk { choices: Vec::new(), total: 0 }
    }

    /// With this weight, something that is under way arrives.
    pub fn deliver(self, weight: u32, order: Order) -> Walk<'a, M> {
        self.with(weight, Choice::Deliver(order))
    }

    /// With this weight, something that is under way is lost.
    pub fn lose(self, weight: u32) -> Walk<'a, M> {
        self.with(weight, Choice::Lose)
    }

    /// With this weight, some node that wants to be woken is woken, and time passes accordingly.
    pub fn wake(self, weight: u32) -> Walk<'a, M> {
        self.with(weight, Choice::Wake)
    }

    /// With this weight, `action` is done, which the story calls `name`.
    ///
    /// It draws its own choices from [`World::rng`]; it may find that there is nothing to do.
    pub fn action(
        self,
        weight: u32,
        name: &'static str,
        action: impl FnMut(&mut World<M>) + 'a,
    ) -> Walk<'a, M> {
        self.with(weight, Choice::Action(name, Box::new(action)))
    }

    fn with(mut self, weight: u32, choice: Choice<'a, M>) -> Walk<'a, M> {
        self.choices.push((weight, choice));
        self.total += weight;
        self
    }

    /// Takes so many steps, and calls `check` after each.
    ///
    /// A step whose choice has nothing to do still counts. After a violation the world is
    /// as it was found.
    pub fn run(
        &mut self,
        world: &mut World<M>,
        steps: u64,
        mut check: impl FnMut(&mut World<M>) -> Result<(), String>,
    ) -> Result<(), Violation> {
        assert!(0 < self.total, "a walk has something to choose from");
        for step in 1..=steps {
            world.told.clear();
            self.step(world);
            check(world).map_err(|what| Violation {
                what: format!("step {step}: {what}"),
                story: world.trace.to_string(),
            })?;
        }
        Ok(())
    }

    fn step(&mut self, world: &mut World<M>) {
        let mut dice = world.rng.random_range(0..self.total);
        let drawn = self.choices.iter_mut().find(|(weight, _)| {
            let hit = dice < *weight;
            dice = dice.saturating_sub(*weight);
            hit
        });
        let Some((_, choice)) = drawn else { return };
        match choice {
            Choice::Deliver(order) => {
                if let Some(index) = any(world, world.in_flight().len()) {
                    world.deliver(index, *order);
                }
            }
            Choice::Lose => {
                if let Some(index) = any(world, world.in_flight().len()) {
                    world.lose(index);
                }
            }
            Choice::Wake => {
                let wants = |machine: &&M| machine.next_wakeup().is_some();
                let sleepers = world.machines().filter(wants).count();
                let Some(index) = any(world, sleepers) else { return };
                let node = world.machines().filter(wants).nth(index).map(M::me);
                node.map(|node| world.wake(node));
            }
            Choice::Action(name, action) => {
                world.trace.add(world.now(), || What::Note((*name).to_owned()));
                action(world);
            }
        }
    }
}

impl<M: Simulated> Default for Walk<'_, M> {
    fn default() -> Self {
        Walk::new()
    }
}

fn any<M: Simulated>(world: &mut World<M>, count: usize) -> Option<usize> {
    if count == 0 { None } else { Some(world.rng.random_range(0..count)) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sim::toys::{Clerk, Entry, Errand, Parcel, Register, Rule, Write, node};

    const STEPS: u64 = 10_000;

    fn registers(seed: u64, rule: Rule) -> World<Register> {
        let mut world = World::new(seed);
        Register::all(4, rule).for_each(|register| world.add(register));
        world
    }

    fn write(world: &mut World<Register>) {
        let writer = world.rng.random_range(1..=4);
        world.command(node(writer), Write);
    }

    /// No register ever goes back to an earlier version.
    fn never_back() -> impl FnMut(&mut World<Register>) -> Result<(), String> {
        let mut seen = BTreeMap::new();
        move |world| {
            for register in world.machines() {
                let before = seen.insert(register.me, register.value);
                if before.is_some_and(|before| register.value < before) {
                    return Err(format!("{:?} went back to {:?}", register.me, register.value));
                }
            }
            Ok(())
        }
    }

    #[test]
    fn a_walk_finds_the_register_that_goes_back_and_none_else() {
        let walk = |seed, rule| {
            let mut world = registers(seed, rule);
            let mut walk = Walk::new().deliver(3, Order::Any).action(1, "somebody writes", write);
            walk.run(&mut world, STEPS, never_back())
        };
        for seed in 0..10 {
            walk(seed, Rule::Newest).unwrap();
            let violation = walk(seed, Rule::Last).unwrap_err();
            assert!(violation.what.contains(" went back to "), "{violation}");
            assert!(violation.story.contains("somebody writes"), "{violation}");
            assert!(violation.story.contains(&format!("SEED={seed} ")), "{violation}");
            assert_eq!(walk(seed, Rule::Last), Err(violation));
        }
        assert_ne!(walk(0, Rule::Last), walk(1, Rule::Last));
    }

    #[test]
    fn a_message_to_a_node_that_crashed_comes_back() {
        let mut world = World::new(0);
        (1..=2).for_each(|number| world.add(Clerk::new(number)));
        world.command(node(1), Errand::Send(node(2), 0..1));
        world.crash(node(2));
        world.break_connection(node(1), node(2));
        Walk::new().deliver(1, Order::Fifo).run(&mut world, 5, |_| Ok(())).unwrap();
        let entries = world.get(node(1)).unwrap().entries();
        assert_eq!(entries.len(), 2);
        assert!(entries.contains(&Entry::Unreachable(node(2), vec![Parcel(0)])));
        assert!(entries.contains(&Entry::Unreachable(node(2), vec![])));
    }

    #[test]
    fn messages_of_a_pair_arrive_in_order_if_that_is_asked_for() {
        let walk = |order| {
            let mut world = World::new(0);
            (1..=3).for_each(|number| world.add(Clerk::new(number)));
            world.command(node(1), Errand::Send(node(2), 0..50));
            world.command(node(3), Errand::Send(node(2), 100..150));
            Walk::new().deliver(1, order).run(&mut world, 100, |_| Ok(())).unwrap();
            assert!(world.in_flight().is_empty());
            let got = world.get(node(2)).unwrap().got();
            assert!(!got.is_sorted());
            let (first, second): (Vec<u64>, Vec<u64>) = got.iter().partition(|number| **number < 100);
            first.is_sorted() && second.is_sorted()
        };
        assert!(walk(Order::Fifo));
        assert!(!walk(Order::Any));
    }

    #[test]
    fn time_passes_when_a_node_is_woken_and_messages_can_be_lost() {
        let second = std::time::Duration::from_secs(1);
        let mut world = World::new(0);
        world.add(Clerk::waking(1, second, crate::sim::START + second));
        world.add(Clerk::new(2));
        world.command(node(1), Errand::Send(node(2), 0..100));
        let mut walk = Walk::new().deliver(1, Order::Any).lose(1).wake(1);
        walk.run(&mut world, 1_000, |_| Ok(())).unwrap();
        let got = world.get(node(2)).unwrap().got().len();
        assert!((20..80).contains(&got), "{got} of 100 arrived");
        let woken = world.get(node(1)).unwrap().entries().len() as u32;
        assert!((250..420).contains(&woken), "{woken}");
        assert_eq!(world.now(), crate::sim::START + woken * second);
    }
}
