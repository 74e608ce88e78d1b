//! The laws of merge, and the limits.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::channel::{Entry, LOG_MAX, Place};
use super::lease::{LEASE, RENEW_EVERY};
use super::mailbox::MAIL_KEPT_FOR;
use super::name::Person;
use super::*;

const NOW: Time = Time::from_micros(1_800_000_000_000_000);

fn node(n: u16) -> NodeHandle {
    NodeHandle::new(([127, 0, 0, 1], 7000 + n).into())
}

fn rust() -> RecordKey {
    RecordKey::Channel("rust".parse().unwrap())
}

fn alice() -> RecordKey {
    RecordKey::Name("alice".parse().unwrap())
}

fn member(n: u16, version: u64, joined: bool) -> Membership {
    Membership { node: node(n), version, joined, nick: format!("n{n}").parse().unwrap() }
}

fn entry(author: u16, counter: u64, epoch: u64, root: u16, seq: u64) -> Entry {
    Entry {
        place: Place { epoch, root: node(root), seq },
        id: MessageId { author: node(author), counter },
        from: "n".parse().unwrap(),
        text: "text".to_owned(),
        at: NOW,
    }
}

fn bobs_mail() -> RecordKey {
    RecordKey::Mailbox("bob".parse().unwrap())
}

fn letter(counter: u64, text: Option<&str>, at: Time) -> Letter {
    let id = MessageId { author: node(1), counter };
    Letter { id, to: Person::new([2; 16]), text: text.map(str::to_owned), from: "n".parse().unwrap(), at }
}

/// Statements about one channel, one name and one mailbox, few enough to be about the same things often.
fn any_statement() -> impl Strategy<Value = (RecordKey, Statement)> {
    let age = (0u64..1_000_000).prop_map(Age);
    let claim = (0..4u16, 0..4u64, 0..3u64, any::<bool>());
    prop_oneof![
        (0..4u16, 0..4u64, any::<bool>(), age.clone()).prop_map(|(n, version, joined, age)| (
            rust(),
            Statement::Member(member(n, version, joined), age)
        )),
        // A message may have several places, given by several roots; a place has one message.
        (0..3u16, 0..3u64, 1..3u64, 0..2u16).prop_map(|(author, counter, epoch, root)| {
            let seq = 1 + u64::from(author) * 3 + counter;
            (rust(), Statement::Message(entry(author, counter, epoch, root, seq)))
        }),
        // A letter that was sent again may have come to two roots.
        (0..3u64, any::<bool>(), 0..2u64).prop_map(|(counter, waits, later)| {
            let letter = letter(counter, waits.then_some("text"), NOW + Duration::from_secs(later));
            (bobs_mail(), Statement::Letter(letter))
        }),
        (0..3u8, 0..3u64).prop_map(|(who, later)| {
            let at = NOW + Duration::from_secs(later);
            (bobs_mail(), Statement::Holder(Holder { at, person: Person::new([who; 16]) }))
        }),
        (claim, age).prop_map(|((n, version, since, held), age)| {
            let claim = Claim {
                holder: node(n),
                person: Person::of_node(node(n).id()),
                version,
                since: Time::from_micros(since),
                held,
            };
            (alice(), Statement::Claim(claim, age))
        }),
    ]
}

fn merged(statements: &[(RecordKey, Statement)]) -> Records {
    let mut records = Records::default();
    for (key, statement) in statements {
        records.merge(NOW, key, statement.clone());
    }
    records
}

/// All that a copy tells another, whatever the order in which it learnt it.
fn told(records: &Records) -> BTreeSet<(RecordKey, Statement)> {
    records.statements_after(NOW, 0, |_, _, _| true).0.into_iter().collect()
}

proptest! {
    #[test]
    fn merge_is_commutative(statements in prop::collection::vec(any_statement(), 0..24).prop_shuffle()) {
        let mut sorted = statements.clone();
        sorted.sort();
        prop_assert_eq!(told(&merged(&statements)), told(&merged(&sorted)));
    }

    #[test]
    fn merge_is_idempotent_and_associative(
        a in prop::collection::vec(any_statement(), 0..12),
        b in prop::collection::vec(any_statement(), 0..12),
        c in prop::collection::vec(any_statement(), 0..12),
    ) {
        let learn = |records: &mut Records, from: &Records| {
            for (key, statement) in told(from) {
                records.merge(NOW, &key, statement);
            }
        };
        let (a, b, c) = (merged(&a), merged(&b), merged(&c));
        let mut left = a.clone();
        learn(&mut left, &b);
        learn(&mut left, &c);
        let mut right = b.clone();
        learn(&mut right, &c);
        let mut all = a.clone();
        learn(&mut all, &right);
        prop_assert_eq!(told(&left), told(&all));
        let revision = all.revision();
        learn(&mut all, &left);
        prop_assert_eq!(all.revision(), revision, "what is known is no news");
    }

    #[test]
    fn the_journal_holds_each_statement_once(statements in prop::collection::vec(any_statement(), 0..40)) {
        let records = merged(&statements);
        let subjects: BTreeSet<_> = records.journal.values().collect();
        prop_assert_eq!(subjects.len(), records.journal.len());
        prop_assert_eq!(told(&records).len(), records.journal.len());
        let half = records.revision() / 2;
        let (early, late) = (records.statements_after(NOW, 0, |_, _, _| true), records.statements_after(NOW, half, |_, _, _| true));
        prop_assert!(late.0.iter().all(|statement| early.0.contains(statement)));
    }
}

#[test]
fn who_left_does_not_come_back_with_an_old_list() {
    // "The migration will join the lists of old and new participants to a union": a union of plain sets
    // brings back who has left.
    let old_root = merged(&[(rust(), Statement::Member(member(1, 1, true), Age::NEW))]);
    let mut new_root = merged(&[(rust(), Statement::Member(member(1, 2, false), Age::NEW))]);
    for (key, statement) in told(&old_root) {
        assert!(!new_root.merge(NOW, &key, statement));
    }
    let name = "rust".parse().unwrap();
    assert!(!new_root.channel(&name).unwrap().is_member(NOW, node(1)));
}

#[test]
fn a_lease_ends_at_the_same_time_on_every_copy() {
    let mut root = merged(&[(rust(), Statement::Member(member(1, 1, true), Age::NEW))]);
    let mut copy = Records::default();
    // However often the two tell each other, late as they are.
    let mut now = NOW;
    for _ in 0..10 {
        now = now + RENEW_EVERY / 4;
        for (key, statement) in root.statements_after(now, 0, |_, _, _| true).0 {
            copy.merge(now, &key, statement);
        }
        for (key, statement) in copy.statements_after(now, 0, |_, _, _| true).0 {
            root.merge(now, &key, statement);
        }
    }
    let name = "rust".parse().unwrap();
    for records in [&root, &copy] {
        let channel = records.channel(&name).unwrap();
        assert!(channel.is_member(NOW + LEASE - Duration::from_millis(1), node(1)));
        assert!(!channel.is_member(NOW + LEASE, node(1)));
        assert_eq!(channel.lost_members(NOW, NOW + LEASE).count(), 1);
        assert_eq!(channel.lost_members(NOW + LEASE, NOW + LEASE + LEASE).count(), 0);
    }
}

#[test]
fn the_earliest_live_claim_has_the_name() {
    let claim = |n, version, since, held| {
        let claim = Claim {
            holder: node(n),
            person: Person::of_node(node(n).id()),
            version,
            since: Time::from_micros(since),
            held,
        };
        (alice(), Statement::Claim(claim, Age::NEW))
    };
    let holder = |records: &Records, now| {
        let nick = "alice".parse().unwrap();
        records.claims(&nick).unwrap().holder(now).map(|claim| claim.holder)
    };
    let records = merged(&[claim(2, 1, 20, true), claim(1, 1, 10, true)]);
    assert_eq!(holder(&records, NOW), Some(node(1)));
    assert_eq!(holder(&records, NOW + LEASE), None);
    let records = merged(&[claim(2, 1, 20, true), claim(1, 2, 10, false)]);
    assert_eq!(holder(&records, NOW), Some(node(2)));
}

#[test]
fn copies_that_know_different_people_at_one_node_do_not_know_the_same() {
    let claim = |person, version| {
        let (holder, since) = (node(1), Time::from_micros(version));
        let claim = Claim { holder, person: Person::new([person; 16]), version, since, held: true };
        (alice(), Statement::Claim(claim, Age::NEW))
    };
    let digest = |records: &Records| records.digest(NOW, &alice(), None);
    let (former, now) = (merged(&[claim(1, 1)]), merged(&[claim(1, 1), claim(2, 2)]));
    assert_ne!(digest(&former), digest(&now));
    assert_eq!(digest(&merged(&[claim(2, 2), claim(1, 1)])), digest(&now));
    let (_, Statement::Claim(latest, _)) = claim(2, 3) else { unreachable!("it is a claim") };
    let renewal =
        |since| Statement::Claim(Claim { since: Time::from_micros(since), ..latest.clone() }, Age::NEW);
    assert!(now.is_renewal(NOW, &alice(), &renewal(2)) && !former.is_renewal(NOW, &alice(), &renewal(1)));
}

#[test]
fn the_log_keeps_the_newest_messages_and_takes_no_older_one_back() {
    let max = LOG_MAX as u64;
    let mut records = Records::default();
    for seq in 1..=max + 10 {
        records.merge(NOW, &rust(), Statement::Message(entry(1, seq, 1, 1, seq)));
    }
    assert!(!records.merge(NOW, &rust(), Statement::Message(entry(1, 5, 1, 1, 5))));
    let name = "rust".parse().unwrap();
    let log = &records.channel(&name).unwrap().log;
    assert_eq!(log.len(), LOG_MAX);
    assert_eq!(log.after(None).next().unwrap().place.seq, 11);
    assert_eq!(log.before(log.after(None).next().unwrap().place).unwrap().seq, 10);
    assert_eq!(records.journal.len(), LOG_MAX);
}

#[test]
fn what_has_no_room_is_dropped_and_what_is_known_goes_on() {
    let mut records = Records::default();
    let nth = |n: usize| NodeHandle::new(([127, 0, (n / 256) as u8, (n % 256) as u8], 7000).into());
    let join = |n: usize, version| {
        let membership = Membership { node: nth(n), version, joined: true, nick: "n".parse().unwrap() };
        Statement::Member(membership, Age::NEW)
    };
    for n in 0..STATEMENTS_MAX {
        assert!(records.merge(NOW, &rust(), join(n, 1)));
    }
    let name = "rust".parse().unwrap();
    assert!(!records.has_room_for(&rust(), &join(STATEMENTS_MAX, 1)));
    assert!(records.has_room_for(&rust(), &join(0, 2)));
    assert!(records.has_room_for_messages(&name), "who is in a full channel goes on talking");
    assert!(!records.merge(NOW, &rust(), join(STATEMENTS_MAX, 1)));
    assert!(records.merge(NOW, &rust(), join(0, 2)));
    assert!(records.merge(NOW, &rust(), Statement::Message(entry(1, 1, 1, 1, 1))));

    for n in records.held.len()..RECORDS_MAX {
        let key = RecordKey::Channel(format!("c{n}").parse().unwrap());
        assert!(records.merge(NOW, &key, join(0, 1)));
    }
    assert!(!records.has_room(&alice()));
    assert!(!records.merge(NOW, &RecordKey::Channel("one-more".parse().unwrap()), join(0, 1)));
}

#[test]
fn a_message_longer_than_a_root_takes_is_no_statement() {
    let mut records = Records::default();
    for length in [0, TEXT_BYTES_MAX + 1] {
        let entry = Entry { text: "a".repeat(length), ..entry(1, 1, 1, 1, 1) };
        assert!(!records.merge(NOW, &rust(), Statement::Message(entry)));
    }
    assert_eq!(records.keys().count(), 0);
}

#[test]
fn what_is_too_old_is_forgotten_and_not_taken_back() {
    let hour = Duration::from_secs(3600);
    let mut records = merged(&[
        (rust(), Statement::Member(member(1, 1, true), Age::NEW)),
        (rust(), Statement::Member(member(2, 1, false), Age::NEW)),
    ]);
    records.prune(NOW + hour);
    assert_eq!((records.keys().count(), records.journal.len()), (0, 0));
    let old = Age(hour.as_millis() as u64);
    assert!(!records.merge(NOW + hour, &rust(), Statement::Member(member(1, 1, true), old)));
    assert_eq!(records.keys().count(), 0);
}

#[test]
fn a_record_that_is_longer_than_a_frame_is_told_in_parts() {
    let mut records = Records::default();
    for seq in 1..=LOG_MAX as u64 {
        let entry = Entry { text: "a".repeat(TEXT_BYTES_MAX), ..entry(1, seq, 1, 1, seq) };
        assert!(records.merge(NOW, &rust(), Statement::Message(entry)));
    }
    let (mut reached, mut told) = (0, 0);
    loop {
        let (statements, next) = records.statements_after(NOW, reached, |_, key, _| *key == rust());
        if statements.is_empty() {
            break;
        }
        told += statements.len();
        let bytes = crate::wire::encode(&Message::Merge { migrates: None, statements }).len();
        assert!(bytes < crate::wire::FRAME_BYTES_MAX / 2, "{bytes} bytes");
        reached = next;
    }
    assert_eq!(told, LOG_MAX);
    assert_eq!(records.statements_after(NOW, u64::MAX, |_, _, _| true).0, []);
}

#[test]
fn a_letter_waits_for_14_days_and_who_had_the_name_is_remembered_as_long() {
    let mut records = Records::default();
    records.merge(NOW, &bobs_mail(), Statement::Letter(letter(1, Some("text"), NOW)));
    let holder = Holder { at: NOW, person: Person::new([2; 16]) };
    records.merge(NOW, &bobs_mail(), Statement::Holder(holder));
    let bob = "bob".parse().unwrap();
    records.prune(NOW + MAIL_KEPT_FOR - Duration::from_micros(1));
    let mailbox = records.mailbox(&bob).unwrap();
    assert_eq!((mailbox.waiting(holder.person).len(), mailbox.holder()), (1, Some(holder)));
    records.prune(NOW + MAIL_KEPT_FOR);
    assert!(records.mailbox(&bob).is_none() && records.journal.is_empty());
    let late = NOW + MAIL_KEPT_FOR;
    assert!(!records.merge(late, &bobs_mail(), Statement::Letter(letter(1, Some("text"), NOW))));
}

#[test]
fn a_letter_that_was_shown_does_not_wait_again() {
    let mut records = Records::default();
    let person = Person::new([2; 16]);
    for text in [Some("text"), None, Some("text")] {
        records.merge(NOW, &bobs_mail(), Statement::Letter(letter(1, text, NOW)));
    }
    let mailbox = records.mailbox(&"bob".parse().unwrap()).unwrap();
    assert!(mailbox.waiting(person).is_empty() && mailbox.letter(&letter(1, None, NOW).id).is_some());
}
