//! Every order: a node leaves while others ask for its key.

use super::*;
use crate::sim::{Act, Order as Arrival, Report, Scenario, World};

/// A ring of so many nodes, at rest.
fn ring(nodes: u16) -> World<Host<Probe>> {
    let mut world = World::new(0);
    for number in 1..=nodes {
        world.add(Probe::host(node(number)));
        world.command(node(number), if number == 1 { Order::Create } else { Order::Join(node(1)) });
        world.settle(20 * usize::from(number));
    }
    world
}

fn ask(number: u16, key: Id) -> [Act<Host<Probe>>; 1] {
    [Act::Command(node(number), Order::Command(Do::Ask(key, 5)))]
}

fn leave(number: u16) -> [Act<Host<Probe>>; 1] {
    [Act::Command(node(number), Order::Leave)]
}

/// What was served, and what was answered.
type Seen = (Vec<MessageId>, Vec<Result<u8, Failure>>);

fn explore(asking: &[u16], leaver: u16) -> Report {
    let key = node(leaver).id();
    let remember = |seen: &mut Seen, _: NodeHandle, told: &Told| match told {
        Told::Served(_, id, ..) => seen.0.push(*id),
        Told::Replied(_, _, answer) => seen.1.push(answer.clone()),
        _ => {}
    };
    let mut scenario = Scenario::remembering(ring(3), Seen::default(), remember).script(leave(leaver));
    for number in asking {
        scenario = scenario.script(ask(*number, key));
    }
    let scenario = scenario.order(Arrival::Fifo);
    let report = scenario.explore(|world, (served, answered)| {
        if world.get(node(leaver)).is_some() {
            return Err("it has not left".to_owned());
        }
        let twice = (1..served.len()).any(|i| served[i..].contains(&served[i - 1]));
        match answered.iter().all(Result::is_ok) && answered.len() == asking.len() && !twice {
            true => Ok(()),
            false => Err(format!("served: {served:?}, answered: {answered:?}")),
        }
    });
    report.unwrap_or_else(|violation| panic!("{violation}"))
}

#[test]
fn a_request_for_a_leaver_is_served_once_and_answered_in_every_order() {
    for leaver in [2, 3] {
        let report = explore(&[1], leaver);
        assert!(1 < report.finals, "{report:?}");
    }
}
