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
        Play { mutant, ..Play::new(&plan, |_| {}) }.through()
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
