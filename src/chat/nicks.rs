//! The nicks that the user has had: what was written to them by these waits there.
//!
//! They are kept on the disk with the person: who finds their nick taken, and comes back under another one, gets
//! their mail all the same; see `mail`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::mail::NOTED_EVERY;
use crate::records::mailbox::MAIL_KEPT_FOR;
use crate::records::name::Nick;
use crate::time::Time;

/// How many are remembered, with the present one.
const NICKS_MAX: usize = 8;

/// How long a nick is remembered after the user had it last: for so long its root may take mail for them, and for
/// so long again the last letter may wait.
const REMEMBERED_FOR: Duration = MAIL_KEPT_FOR.saturating_mul(2);

/// The nicks of one person, and when they had each last.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Nicks {
    pub(super) had: BTreeMap<Nick, Time>,
    /// Which former one was last asked about.
    asked: Option<Nick>,
}

impl Nicks {
    /// The user has `nick` now.
    pub(super) fn note(&mut self, now: Time, nick: &Nick) {
        if self.had.get(nick).is_some_and(|at| now < *at + NOTED_EVERY) {
            return;
        }
        self.had.insert(nick.clone(), now);
        self.had.retain(|_, at| now < *at + REMEMBERED_FOR);
        while NICKS_MAX < self.had.len() {
            let oldest = self.had.iter().min_by_key(|(_, at)| **at).map(|(nick, _)| nick.clone());
            oldest.and_then(|oldest| self.had.remove(&oldest)).expect("more than none are remembered");
        }
    }

    /// All but the present one.
    pub(super) fn former(&self, present: &Nick) -> impl Iterator<Item = &Nick> {
        self.had.keys().filter(move |nick| *nick != present)
    }

    /// The next one in turn of those.
    pub(super) fn next_former(&mut self, present: &Nick) -> Option<Nick> {
        let after = |nick: &&Nick| self.asked.as_ref() < Some(*nick);
        let next = self.former(present).find(after).or_else(|| self.former(present).next()).cloned();
        self.asked.clone_from(&next);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nick(number: u64) -> Nick {
        format!("n{number}").parse().unwrap()
    }

    fn day(number: u64) -> Time {
        Time::from_micros(1_800_000_000_000_000) + Duration::from_secs(number * 24 * 60 * 60)
    }

    fn former(nicks: &Nicks, present: u64) -> Vec<Nick> {
        nicks.former(&nick(present)).cloned().collect()
    }

    #[test]
    fn the_last_nicks_are_remembered_for_as_long_as_mail_may_wait_there() {
        let mut nicks = Nicks::default();
        for number in 0..=8 {
            nicks.note(day(number), &nick(number));
        }
        assert_eq!(former(&nicks, 8), (1..8).map(nick).collect::<Vec<_>>());
        // Who has one for long, has had it until now.
        for today in 8..=34 {
            nicks.note(day(today), &nick(8));
        }
        assert_eq!(former(&nicks, 8), [nick(7)]);
        nicks.note(day(35), &nick(1));
        assert_eq!(former(&nicks, 1), [nick(8)]);
    }

    #[test]
    fn one_after_the_other_is_asked_about() {
        let mut nicks = Nicks::default();
        assert_eq!(nicks.next_former(&nick(1)), None);
        for number in 0..4 {
            nicks.note(day(0), &nick(number));
        }
        let asked: Vec<_> = (0..5).filter_map(|_| nicks.next_former(&nick(1))).collect();
        assert_eq!(asked, [0, 2, 3, 0, 2].map(nick));
    }
}
