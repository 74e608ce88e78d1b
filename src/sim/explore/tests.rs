use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::*;
use crate::id::NodeHandle;
use crate::machine::{Input, Machine, Output};
use crate::sim::toys::{AddOne, Clerk, Counter, Entry, Errand, Parcel, Register, Rule, Version, Write, node};
use crate::sim::{Flight, Order, START, Simulated, Violation, World};

fn world<M: Simulated>(machines: impl IntoIterator<Item = M>) -> World<M> {
    let mut world = World::new(0);
    for machine in machines {
        world.add(machine);
    }
    world
}

fn write(number: u16) -> Act<Register> {
    Act::Command(node(number), Write)
}

fn add(number: u16) -> Act<Counter> {
    Act::Command(node(number), AddOne)
}

/// All registers hold the same.
fn agree(world: &mut World<Register>, _: &()) -> Result<(), String> {
    let values: BTreeSet<Version> = world.machines().map(|register| register.value).collect();
    if values.len() == 1 { Ok(()) } else { Err(format!("the registers differ: {values:?}")) }
}

/// Two registers of three are written at once.
fn two_writes(rule: Rule) -> Scenario<'static, Register> {
    Scenario::new(world(Register::all(3, rule))).script([write(1)]).script([write(2)])
}

fn steps(violation: &Violation) -> usize {
    violation.story.lines().count() - 1
}

#[test]
fn registers_agree_in_every_order_if_the_newest_version_wins() {
    let report = two_writes(Rule::Newest).explore(agree).unwrap();
    assert!(report.finals < report.states && report.states <= report.transitions, "{report:?}");
}

#[test]
fn an_order_in_which_registers_differ_is_found_if_the_last_message_wins() {
    let violation = two_writes(Rule::Last).explore(agree).unwrap_err();
    assert!(violation.what.starts_with("the registers differ"), "{violation}");
    assert_eq!(steps(&violation), 6, "two writes, four messages: {violation}");
    assert!(violation.story.contains(&format!("1. {:?} is asked for Write\n", node(1))), "{violation}");
}

#[test]
fn one_writer_needs_messages_in_order() {
    let scenario =
        |order| Scenario::new(world(Register::all(2, Rule::Last))).script([write(1), write(1)]).order(order);
    scenario(Order::Fifo).explore(agree).unwrap();
    scenario(Order::Any).explore(agree).unwrap_err();
}

#[test]
fn a_counter_loses_what_is_read_and_written_by_two_at_once() {
    let all_counted = |reads_first| {
        let scenario = Scenario::new(world(Counter::all(3, reads_first))).script([add(2)]).script([add(3)]);
        scenario.explore(|world, ()| {
            let total = world.get(node(1)).map(|server| server.total);
            if total == Some(2) { Ok(()) } else { Err(format!("{total:?} of 2 were counted")) }
        })
    };
    let violation = all_counted(true).unwrap_err();
    assert_eq!(violation.what, "Some(1) of 2 were counted");
    assert_eq!(steps(&violation), 8);
    assert_eq!(all_counted(false), Ok(Report { states: 9, finals: 1, transitions: 12 }));
}

/// Every order one by one, with nothing left out: what each machine is at the end.
fn by_brute_force<M: Explorable>(
    scenario: &dyn Fn() -> World<M>,
    acts: &[(NodeHandle, M::Command)],
) -> BTreeSet<Vec<M>> {
    let mut ends = BTreeSet::new();
    // A way is the list of choices from the start; the last one is changed until there is no other.
    let mut way: Vec<usize> = Vec::new();
    loop {
        let mut world = scenario();
        let mut left = acts.to_vec();
        let mut widths = Vec::new();
        for depth in 0.. {
            let width = left.len() + world.in_flight().len();
            if width == 0 {
                break;
            }
            widths.push(width);
            if way.len() == depth {
                way.push(0);
            }
            match way[depth].checked_sub(left.len()) {
                Some(flight) => world.deliver(flight, Order::Any),
                None => {
                    let (node, command) = left.remove(way[depth]);
                    world.command(node, command);
                }
            }
        }
        ends.insert(world.machines().cloned().collect());
        loop {
            let Some(choice) = way.pop() else { return ends };
            if choice + 1 < widths[way.len()] {
                way.push(choice + 1);
                break;
            }
        }
    }
}

fn explored<M: Explorable>(scenario: &Scenario<'_, M>) -> BTreeSet<Vec<M>> {
    let mut ends = BTreeSet::new();
    let rest = |world: &mut World<M>, (): &()| {
        ends.insert(world.machines().cloned().collect());
        Ok(())
    };
    scenario.explore(rest).unwrap();
    ends
}

#[test]
fn the_ends_are_those_that_trying_every_order_gives() {
    for rule in [Rule::Newest, Rule::Last] {
        let all = by_brute_force(&|| world(Register::all(3, rule)), &[(node(1), Write), (node(2), Write)]);
        assert_eq!(explored(&two_writes(rule)), all);
    }
    for reads_first in [false, true] {
        let acts = [(node(2), AddOne), (node(3), AddOne)];
        let all = by_brute_force(&|| world(Counter::all(3, reads_first)), &acts);
        let scenario = Scenario::new(world(Counter::all(3, reads_first))).script([add(2)]).script([add(3)]);
        assert_eq!(explored(&scenario), all);
    }
}

#[test]
fn as_many_messages_are_lost_and_doubled_as_allowed() {
    let counted = |losses, duplicates| {
        let scenario = Scenario::new(world(Counter::all(2, false))).script([add(2), add(2)]);
        let mut totals = BTreeSet::new();
        let rest = |world: &mut World<Counter>, (): &()| {
            totals.extend(world.get(node(1)).map(|server| server.total));
            Ok(())
        };
        scenario.losses(losses).duplicates(duplicates).explore(rest).unwrap();
        Vec::from_iter(totals)
    };
    assert_eq!(counted(0, 0), [2]);
    assert_eq!(counted(1, 0), [1, 2]);
    assert_eq!(counted(0, 2), [2, 3, 4]);
    assert_eq!(counted(2, 1), [0, 1, 2, 3]);
}

#[test]
fn what_is_sent_to_a_node_that_crashed_comes_back() {
    let scenario = Scenario::new(world((1..=2).map(Clerk::new)))
        .script([Act::Command(node(1), Errand::Send(node(2), 0..1))])
        .script([Act::Crash(node(2), vec![node(1)])]);
    let mut ends = BTreeSet::new();
    let rest = |world: &mut World<Clerk>, (): &()| {
        ends.extend(world.get(node(1)).map(Clerk::entries));
        Ok(())
    };
    scenario.explore(rest).unwrap();
    let broken = Entry::Unreachable(node(2), vec![]);
    let back = Entry::Unreachable(node(2), vec![Parcel(0)]);
    let expected = [vec![broken.clone()], vec![broken.clone(), back.clone()], vec![back, broken]];
    assert_eq!(ends, BTreeSet::from(expected));
}

#[test]
fn what_is_under_way_to_a_node_that_crashed_comes_back_at_once_if_messages_have_an_order() {
    let scenario = Scenario::new(world((1..=2).map(Clerk::new)))
        .script([Act::Command(node(1), Errand::Send(node(2), 0..2))])
        .script([Act::Crash(node(2), vec![node(1)])])
        .order(Order::Fifo);
    let mut ends = BTreeSet::new();
    let rest = |world: &mut World<Clerk>, (): &()| {
        ends.extend(world.get(node(1)).map(Clerk::entries));
        Ok(())
    };
    scenario.explore(rest).unwrap();
    let back = |parcels: &[u64]| Entry::Unreachable(node(2), parcels.iter().copied().map(Parcel).collect());
    // Both had arrived, or one, or none; or they were sent when the crash had been heard of.
    let expected = [vec![back(&[])], vec![back(&[1])], vec![back(&[0, 1])], vec![back(&[]), back(&[0, 1])]];
    assert_eq!(ends, BTreeSet::from(expected));
}

/// What clerks do: one sends another the parcels 0 and 1, or crashes, and all others hear of it.
#[derive(Clone, Copy)]
enum Deed {
    Send(u16, u16),
    Crash(u16),
}

const CLERKS: u16 = 3;

fn others(number: u16) -> Vec<NodeHandle> {
    (1..=CLERKS).filter(|other| *other != number).map(node).collect()
}

/// A state of clerks, with nothing left out of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Office {
    clerks: BTreeMap<NodeHandle, Clerk>,
    /// The oldest first.
    in_flight: Vec<Flight<Parcel>>,
    done: Vec<bool>,
}

impl Office {
    fn give(&mut self, to: NodeHandle, input: Input<Errand, Parcel>) {
        let Some(clerk) = self.clerks.get_mut(&to) else { return };
        let mut outputs = Vec::new();
        clerk.handle(START, input, &mut outputs);
        self.in_flight.extend(outputs.into_iter().filter_map(|output| match output {
            Output::Send { to: peer, message } => Some(Flight::Message { from: to, to: peer, message }),
            _ => None,
        }));
    }

    /// Takes all messages out that are under way from one to another.
    fn take_all(&mut self, from: NodeHandle, to: NodeHandle) -> Vec<Parcel> {
        let is_one = |flight: &mut Flight<Parcel>| {
            matches!(flight, Flight::Message { .. }) && flight.pair() == (from, to)
        };
        let taken = self.in_flight.extract_if(.., is_one).map(|flight| match flight {
            Flight::Message { message, .. } => message,
            Flight::Unreachable { .. } => unreachable!("only messages are taken"),
        });
        taken.collect()
    }

    fn hears(&mut self, node: NodeHandle, peer: NodeHandle) {
        let undelivered =
            if self.clerks.contains_key(&peer) { Vec::new() } else { self.take_all(node, peer) };
        self.give(node, Input::Unreachable { peer, undelivered });
    }

    fn next(&self, deeds: &[Deed]) -> Vec<Office> {
        let mut next = Vec::new();
        let mut follow = |change: &dyn Fn(&mut Office)| {
            let mut office = self.clone();
            change(&mut office);
            next.push(office);
        };
        for (place, deed) in deeds.iter().enumerate().filter(|(place, _)| !self.done[*place]) {
            follow(&|office| {
                office.done[place] = true;
                match *deed {
                    Deed::Send(from, to) => {
                        office.give(node(from), Input::Command(Errand::Send(node(to), 0..2)));
                    }
                    Deed::Crash(number) => {
                        office.clerks.remove(&node(number));
                        let news = |hears| Flight::Unreachable {
                            node: hears,
                            peer: node(number),
                            undelivered: Vec::new(),
                        };
                        office.in_flight.extend(others(number).into_iter().map(news));
                    }
                }
            });
        }
        for (place, flight) in self.in_flight.iter().enumerate() {
            let (from, to) = flight.pair();
            if self.in_flight[..place].iter().any(|earlier| earlier.pair() == (from, to)) {
                continue;
            }
            let Flight::Message { message, .. } = flight else {
                follow(&|office| {
                    office.in_flight.remove(place);
                    office.hears(to, from);
                });
                continue;
            };
            let is_news = |other: &Flight<Parcel>| {
                matches!(other, Flight::Unreachable { .. }) && other.pair() == (to, from)
            };
            if self.clerks.contains_key(&to) {
                follow(&|office| {
                    office.in_flight.remove(place);
                    office.give(to, Input::Message { from, message: *message });
                });
            } else if !self.in_flight.iter().any(is_news) {
                follow(&|office| office.hears(from, to));
            }
            if !self.clerks.contains_key(&from) {
                follow(&|office| _ = office.take_all(from, to));
            }
        }
        next
    }

    /// What the clerks are in the end, by trying every order.
    fn ends(deeds: &[Deed]) -> BTreeSet<Vec<Clerk>> {
        let clerks = (1..=CLERKS).map(|number| (node(number), Clerk::new(number))).collect();
        let first = Office { clerks, in_flight: Vec::new(), done: deeds.iter().map(|_| false).collect() };
        let mut known = BTreeSet::from([first.clone()]);
        let mut left = vec![first];
        let mut ends = BTreeSet::new();
        while let Some(office) = left.pop() {
            let next = office.next(deeds);
            if next.is_empty() {
                ends.insert(office.clerks.into_values().collect());
            }
            left.extend(next.into_iter().filter(|office| known.insert(office.clone())));
        }
        ends
    }
}

#[test]
fn the_ends_after_crashes_are_those_that_trying_every_order_gives() {
    let sends = [Deed::Send(1, 2), Deed::Send(2, 1), Deed::Send(2, 3), Deed::Send(3, 2)];
    for crashes in [&[Deed::Crash(2)][..], &[Deed::Crash(2), Deed::Crash(3)]] {
        let deeds = [&sends[..], crashes].concat();
        let act = |deed: &Deed| match *deed {
            Deed::Send(from, to) => Act::Command(node(from), Errand::Send(node(to), 0..2)),
            Deed::Crash(number) => Act::Crash(node(number), others(number)),
        };
        let scenario = deeds
            .iter()
            .fold(Scenario::new(world((1..=CLERKS).map(Clerk::new))).order(Order::Fifo), |scenario, deed| {
                scenario.script([act(deed)])
            });
        let (ends, expected) = (explored(&scenario), Office::ends(&deeds));
        assert!(20 < expected.len(), "{}", expected.len());
        assert!(ends == expected, "{} ends, and not {}", ends.len(), expected.len());
    }
}

#[test]
fn a_node_may_start_later_and_an_act_may_wait() {
    let start = Act::Start(Clerk::new(2));
    let send = Act::Command(node(2), Errand::Send(node(1), 0..1));
    let stop = Act::Command(node(2), Errand::GoHome).when(node(1), |clerk: &Clerk| !clerk.book.is_empty());
    let scenario = Scenario::new(world([Clerk::new(1)])).script([start, send]).script([stop]);
    let report = scenario.explore(|world, ()| {
        let here = (world.get(node(1)).map(Clerk::got), world.get(node(2)).is_some());
        if here == (Some(vec![0]), false) { Ok(()) } else { Err(format!("{here:?}")) }
    });
    assert_eq!(report, Ok(Report { states: 5, finals: 1, transitions: 4 }));

    let never = Act::Crash(node(1), vec![]).when(node(1), |clerk: &Clerk| !clerk.book.is_empty());
    let violation =
        Scenario::new(world([Clerk::new(1)])).script([never]).explore(|_, ()| Ok(())).unwrap_err();
    assert!(violation.what.contains("this waits: "), "{violation}");
}

#[test]
fn waking_a_node_lets_time_pass_until_it_is_due() {
    let due = START + Duration::from_secs(3);
    let clerk = Clerk::waking(1, Duration::from_secs(1), due);
    let scenario = Scenario::new(world([clerk])).script([Act::Wake(node(1))]);
    let rest = |world: &mut World<Clerk>, (): &()| {
        assert_eq!(world.now(), due);
        world.settle(2);
        let woken: Vec<_> =
            world.machines().flat_map(|clerk| &clerk.book).map(|(at, _)| at.since(due)).collect();
        assert_eq!(woken, [0, 1, 2].map(Duration::from_secs));
        Ok(())
    };
    assert_eq!(scenario.explore(rest), Ok(Report { states: 2, finals: 1, transitions: 1 }));
}

#[test]
fn what_users_were_told_can_be_part_of_the_claim() {
    let told = |history: &mut Vec<Version>, teller: NodeHandle, version: &Version| {
        if teller == node(3) {
            history.push(*version);
        }
    };
    let scenario = Scenario::remembering(world(Register::all(3, Rule::Newest)), Vec::new(), told);
    let mut told = BTreeSet::new();
    let rest = |_: &mut World<Register>, history: &Vec<Version>| {
        told.insert(history.clone());
        Ok(())
    };
    scenario.script([write(1)]).script([write(2)]).explore(rest).unwrap();
    // Both versions 1 by their rank, or both after the greater, or a version 2 that saw the other.
    assert!(told.iter().all(|versions| versions.len() == 2 && versions.is_sorted()));
    assert!(3 <= told.len(), "{told:?}");
}

#[test]
fn a_check_of_every_state_finds_what_heals_later_and_by_the_shortest_way() {
    let differ = |world: &World<Register>, (): &()| {
        let values: BTreeSet<Version> = world.machines().map(|register| register.value).collect();
        if values.len() < 3 { Ok(()) } else { Err("three values".to_owned()) }
    };
    let violation = two_writes(Rule::Newest).always(differ).explore(agree).unwrap_err();
    assert_eq!(violation.what, "three values");
    assert_eq!(steps(&violation), 2, "{violation}");
}

#[test]
fn messages_that_arrive_at_once_leave_fewer_orders() {
    let all = two_writes(Rule::Newest).explore(agree).unwrap();
    let fewer = two_writes(Rule::Newest).at_once(|_, to, _| to == node(3)).explore(agree).unwrap();
    assert!(2 * fewer.states < 3 * all.states && fewer.states < all.states, "{fewer:?} {all:?}");
}

#[test]
fn a_machine_that_panics_is_a_violation_with_its_story() {
    let violation = two_writes(Rule::Alone).explore(agree).unwrap_err();
    assert_eq!(violation.what, "the machine panicked, as told above");
    assert_eq!(steps(&violation), 2, "{violation}");
}

#[test]
fn a_scenario_that_is_too_large_says_so() {
    let scenario = two_writes(Rule::Newest).states_max(5);
    let panicked = catch_unwind(AssertUnwindSafe(|| scenario.explore(agree))).unwrap_err();
    let text = panicked.downcast_ref::<String>().unwrap();
    assert_eq!(text, "the scenario has more than 5 states; make it smaller, or raise its `states_max`");
}

#[test]
fn many_states_are_explored_within_seconds() {
    let writes = (1..=4).map(write);
    let scenario = Scenario::new(world(Register::all(4, Rule::Newest))).states_max(3_000_000);
    let scenario = writes.fold(scenario, |scenario, act| scenario.script([act]));
    let started = std::time::Instant::now();
    let report = scenario.explore(agree).unwrap();
    eprintln!("{report:?} in {:?}", started.elapsed());
    assert!(10_000 < report.states);
}

#[test]
fn what_a_crashed_node_has_sent_arrives_or_is_lost_and_in_order_its_end_is_lost() {
    let got = |order| {
        let scenario = Scenario::new(world((1..=2).map(Clerk::new)))
            .script([Act::Command(node(1), Errand::Send(node(2), 0..2)), Act::Crash(node(1), vec![node(2)])])
            .order(order);
        let mut got = BTreeSet::new();
        let rest = |world: &mut World<Clerk>, (): &()| {
            let clerk = world.get(node(2)).ok_or("gone")?;
            assert_eq!(clerk.book.len(), clerk.got().len() + 1, "it hears of the crash");
            got.insert(clerk.got());
            Ok(())
        };
        scenario.explore(rest).unwrap();
        Vec::from_iter(got)
    };
    assert_eq!(got(Order::Fifo), [vec![], vec![0], vec![0, 1]]);
    assert_eq!(got(Order::Any), [vec![], vec![0], vec![0, 1], vec![1], vec![1, 0]]);
}

#[test]
fn what_is_sent_to_a_node_that_was_cut_off_is_lost_without_a_word() {
    let scenario = Scenario::new(world((1..=2).map(Clerk::new)))
        .script([Act::Command(node(1), Errand::Send(node(2), 0..1))])
        .script([Act::CutOff(node(2))]);
    let rest = |world: &mut World<Clerk>, (): &()| {
        world.command(node(1), Errand::Send(node(2), 1..2));
        world.run_dry();
        let heard = world.get(node(1)).map(Clerk::entries);
        if heard == Some(vec![]) { Ok(()) } else { Err(format!("{heard:?}")) }
    };
    scenario.explore(rest).unwrap();
}

#[test]
fn news_that_is_heard_at_once_comes_before_what_others_send() {
    let books = |at_once| {
        let crash = Act::Crash(node(2), vec![node(1)]);
        let scenario = Scenario::new(world((1..=3).map(Clerk::new)))
            .script([crash, Act::Command(node(3), Errand::Send(node(1), 0..1))])
            .news_at_once(move |hears| at_once && hears == node(1));
        let mut books = BTreeSet::new();
        let rest = |world: &mut World<Clerk>, (): &()| {
            books.extend(world.get(node(1)).map(Clerk::entries));
            Ok(())
        };
        scenario.explore(rest).unwrap();
        books
    };
    let (broken, got) = (Entry::Unreachable(node(2), vec![]), Entry::Got(node(3), Parcel(0)));
    let news_first = vec![broken.clone(), got.clone()];
    assert_eq!(books(true), BTreeSet::from([news_first.clone()]));
    assert_eq!(books(false), BTreeSet::from([news_first, vec![got, broken]]));
}

#[test]
fn what_follows_on_the_last_act_may_arrive_at_once() {
    let all = two_writes(Rule::Newest).explore(agree).unwrap();
    let fewer = two_writes(Rule::Newest).ends_at_once().explore(agree).unwrap();
    assert!(fewer.states < all.states && fewer.transitions < all.transitions, "{fewer:?} {all:?}");
    assert_eq!(fewer.finals, all.finals, "one write saw the other, or neither did");
    // What the dead have sent comes late all the same.
    let crash = Act::Crash(node(1), vec![]);
    let late = two_writes(Rule::Newest).script([crash]).ends_at_once().explore(|_, ()| Ok(())).unwrap();
    assert!(fewer.finals < late.finals, "{late:?}");
}

#[test]
fn states_in_which_something_arrives_at_once_are_checked_and_told_but_not_counted() {
    let scenario = || {
        let start = world(Register::all(3, Rule::Newest));
        Scenario::new(start).script([write(1)]).at_once(|_, _, _| true)
    };
    assert_eq!(scenario().explore(agree), Ok(Report { states: 2, finals: 1, transitions: 1 }));
    let equal = |world: &World<Register>, (): &()| {
        let value = |number| world.get(node(number)).map(|register| register.value);
        if value(2) == value(3) { Ok(()) } else { Err("they differ".to_owned()) }
    };
    let violation = scenario().always(equal).explore(agree).unwrap_err();
    assert_eq!((&violation.what[..], steps(&violation)), ("they differ", 2), "{violation}");
}

#[test]
fn what_arrives_at_once_must_come_to_an_end() {
    let scenario = |parcels| {
        let errand = Act::Command(node(1), Errand::Send(node(2), 0..parcels));
        Scenario::new(world((1..=2).map(Clerk::new))).script([errand]).at_once(|_, _, _| true)
    };
    scenario(900).explore(|_, ()| Ok(())).unwrap();
    let violation = scenario(1_100).explore(|_, ()| Ok(())).unwrap_err();
    assert!(violation.what.contains("does not come to an end"), "{violation}");
}
