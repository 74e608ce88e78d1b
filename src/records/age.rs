//! Age: how long ago a statement was made.
//!
//! Clocks of different nodes are not compared: with a statement travels its age, and each node
//! counts on from there by its own clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// How long ago its author, or its root, made a statement, in milliseconds.
///
/// Of one statement that is told with two ages, the greater one counts: were it the smaller one, two copies that tell
/// each other a statement would keep it alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Age(pub u64);

impl Age {
    /// The age of a statement that is being made.
    pub const NEW: Age = Age(0);

    /// How old is what was made at `made`, by the clock of this node.
    pub(super) fn since(made: Time, now: Time) -> Age {
        Age(u64::try_from(now.since(made).as_millis()).unwrap_or(u64::MAX))
    }

    /// When a statement was made that is so old, by the clock of this node.
    pub(super) fn made(self, now: Time) -> Time {
        now - Duration::from_millis(self.0)
    }

    /// The age so much later.
    pub fn after(self, time: Duration) -> Age {
        Age(self.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::channel::KEPT_FOR;
    use crate::records::mailbox::{Holder, MAIL_KEPT_FOR};
    use crate::records::name::Person;
    use crate::records::tests::{NOW, bobs_mail, entry, letter, rust, told, value_of, written};
    use crate::records::value::DELETED_KEPT_FOR;
    use crate::records::{Records, Statement, Subject};

    #[test]
    fn a_statement_is_kept_for_as_long_since_it_was_made_whatever_the_clocks_say() {
        let (message, person) = (entry(1, 1, 1, 1, 1), Person::new([2; 16]));
        let kinds = [
            (rust(), Subject::Message(message.id), Statement::Message(message, Age::NEW), KEPT_FOR),
            (
                bobs_mail(),
                Subject::Letter(letter(1, None, NOW).id),
                Statement::Letter(letter(1, Some("text"), NOW), Age::NEW),
                MAIL_KEPT_FOR,
            ),
            (
                bobs_mail(),
                Subject::Holder,
                Statement::Holder(Holder { at: NOW, person }, Age::NEW),
                MAIL_KEPT_FOR,
            ),
            (value_of("apple"), Subject::Written, written(NOW, 1, None), DELETED_KEPT_FOR),
        ];
        let hour = Duration::from_secs(3600);
        // The clock of who learns it is so far ahead of, or behind, that of the root, which says it is `NOW`.
        let clocks = (0..24 * 20).map(|hours| NOW + hour * hours);
        let clocks = clocks.chain([NOW + hour * 24 * 10_000, NOW - hour * 24 * 30, NOW - hour * 24 * 10_000]);
        for now in clocks {
            for (key, subject, statement, kept_for) in &kinds {
                let all_but = |left| *kept_for - Duration::from_millis(left);
                let mut records = Records::default();
                assert!(records.merge(now, key, statement.clone()), "{key} at {now:?}");
                let (told, _) = records.statements_after(now + hour, 0, |_, _, _| true);
                assert_eq!(told, [(key.clone(), statement.clone().aged(hour))]);
                records.prune(now + all_but(1));
                assert_eq!(records.keys().count(), 1, "{key} at {now:?}");
                records.prune(now + *kept_for);
                assert_eq!((records.keys().count(), records.journal.len()), (0, 0), "{key} at {now:?}");
                for (age, is_kept) in [(all_but(1), true), (*kept_for, false)] {
                    let mut records = Records::default();
                    assert_eq!(
                        records.merge(now, key, statement.clone().aged(age)),
                        is_kept,
                        "{key} at {now:?}"
                    );
                    let mut records = Records::default();
                    records.restore(now, key, subject.clone(), statement.clone().aged(age));
                    assert_eq!(records.keys().count(), usize::from(is_kept), "{key} at {now:?}");
                }
            }
        }
    }

    #[test]
    fn of_two_ages_of_a_statement_the_greater_one_counts() {
        let hour = Duration::from_secs(3600);
        let kinds = [
            (rust(), Statement::Message(entry(1, 1, 1, 1, 1), Age::NEW)),
            (bobs_mail(), Statement::Letter(letter(1, Some("text"), NOW), Age::NEW)),
            (bobs_mail(), Statement::Holder(Holder { at: NOW, person: Person::new([2; 16]) }, Age::NEW)),
            (value_of("apple"), written(NOW, 1, None)),
        ];
        for (key, statement) in kinds {
            for ages in [[0, 1], [1, 0]] {
                let mut records = Records::default();
                for hours in ages {
                    records.merge(NOW, &key, statement.clone().aged(hour * hours));
                }
                assert_eq!(told(&records), [(key.clone(), statement.clone().aged(hour))].into());
            }
        }
        // To strike a letter off does not keep it longer.
        let mut records = Records::default();
        records.merge(
            NOW,
            &bobs_mail(),
            Statement::Letter(letter(1, Some("text"), NOW), Age::NEW.after(hour)),
        );
        records.merge(NOW, &bobs_mail(), Statement::Letter(letter(1, None, NOW), Age::NEW));
        let struck_off = Statement::Letter(letter(1, None, NOW), Age::NEW.after(hour));
        assert_eq!(told(&records), [(bobs_mail(), struck_off)].into());
    }
}
