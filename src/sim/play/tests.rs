//! The oracle notices each mistake.

use super::*;
use crate::sim::chat::Promise;

/// In one of how many plays each must be noticed.
const PLAYS: u64 = 4;

/// What came of plays in which all nodes make a mistake.
fn reports(mutant: Option<Mutant>) -> impl Iterator<Item = Report> {
    (0..PLAYS).map(move |seed| {
        let length = Duration::from_secs(60);
        let split = Some(Duration::from_secs(10));
        let plan = Plan { nodes: 8, seed, length, kills: 1, freezes: 1, split, ..Plan::default() };
        mutant.map_or_else(|| play(&plan, |_| {}), |mutant| play_with(mutant, &plan, |_| {}))
    })
}

fn is_noticed(mutant: Mutant, notices: impl Fn(&Report) -> bool) {
    assert!(reports(Some(mutant)).any(|report| notices(&report)), "{mutant:?}");
}

#[test]
fn without_a_mistake_nothing_is_noticed() {
    for report in reports(None) {
        assert!(report.is_kept(), "{report}");
    }
}

/// What happened to the nodes in a play, and what came of it.
fn faults(plan: &Plan) -> (Vec<(Duration, String)>, Report) {
    let told = Rc::new(RefCell::new(Vec::new()));
    let tell = Rc::clone(&told);
    let report = play(plan, move |Told { at, what }| {
        if let What::Fault(what) = what {
            tell.borrow_mut().push((at, what.to_owned()));
        }
    });
    (told.take(), report)
}

/// When this happened first.
fn first(faults: &[(Duration, String)], what: &str) -> Duration {
    faults.iter().find(|(_, told)| told.contains(what)).expect("it happened").0
}

#[test]
fn while_all_nodes_are_down_no_channel_has_a_root_that_works() {
    for seed in 0..PLAYS {
        let length = Duration::from_secs(60);
        let (told, report) = faults(&Plan { nodes: 4, seed, length, blackouts: 1, ..Plan::default() });
        assert!(report.is_kept(), "{report}");
        let dark = first(&told, "is started again") - first(&told, "all nodes are killed");
        assert!(Duration::ZERO < dark && dark <= report.outage, "dark for {dark:?}: {report}");
    }
}

#[test]
fn roots_are_looked_at_until_there_is_rest() {
    let (nodes, length) = (3, Duration::from_secs(1));
    let report = play(&Plan { nodes, length, freezes: nodes, ..Plan::default() }, |_| {});
    assert!(report.is_kept(), "{report}");
    assert!(report.froze == nodes && FREEZE - length < report.outage, "all stand still at once: {report}");
}

#[test]
fn the_oracle_notices_what_is_acknowledged_sooner() {
    is_noticed(Mutant::AcknowledgesSooner, |report| report.broken.contains_key(&Promise::Kept));
}

#[test]
fn the_oracle_notices_mail_that_is_struck_off_after_it_was_acknowledged() {
    let notices = |report: &Report| report.unrest.as_ref().is_some_and(|why| why.contains("struck off"));
    is_noticed(Mutant::StrikesLettersOff, notices);
}

#[test]
fn the_oracle_notices_messages_that_are_all_marked_as_late() {
    is_noticed(Mutant::MarksAllAsLate, |report| report.broken.contains_key(&Promise::Order));
}

#[test]
fn the_oracle_notices_that_copies_are_compared_without_pause() {
    let notices = |report: &Report| report.unrest.as_ref().is_some_and(|why| why.contains("\"repair\""));
    is_noticed(Mutant::RepairsWithoutPause, notices);
}

#[test]
fn the_oracle_notices_a_value_that_is_not_written_and_is_said_to_be() {
    is_noticed(Mutant::KeepsTheFirstValue, |report| report.broken.contains_key(&Promise::Value));
}
