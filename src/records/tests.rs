//! The laws of merge, and the limits.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::channel::{Entry, LOG_MAX, Place};
use super::lease::{LEASE, RENEW_EVERY};
use super::mailbox::MAIL_KEPT_FOR;
use super::name::Person;
use super::value::{DELETED_KEPT_FOR, KEY_CHARS_MAX, NotAKey, Usage, VALUES_BYTES_MAX, VALUES_MAX, Version};
use super::*;

pub(super) const NOW: Time = Time::from_micros(1_800_000_000_000_000);

fn node(n: u16) -> NodeHandle {
    NodeHandle::new(([127, 0, 0, 1], 7000 + n).into())
}

pub(super) fn rust() -> RecordKey {
    RecordKey::Channel("rust".parse().unwrap())
}

fn alice() -> RecordKey {
    RecordKey::Name("alice".parse().unwrap())
}

fn member(n: u16, version: u64, joined: bool) -> Membership {
    Membership { node: node(n), version, joined, nick: format!("n{n}").parse().unwrap() }
}

pub(super) fn entry(author: u16, counter: u64, epoch: u64, root: u16, seq: u64) -> Entry {
    Entry {
        place: Place { epoch, root: node(root), seq },
        id: MessageId { author: node(author), counter },
        from: "n".parse().unwrap(),
        text: "text".to_owned(),
        at: NOW,
    }
}

pub(super) fn bobs_mail() -> RecordKey {
    RecordKey::Mailbox("bob".parse().unwrap())
}

pub(super) fn letter(counter: u64, text: Option<&str>, at: Time) -> Letter {
    let id = MessageId { author: node(1), counter };
    Letter { id, to: Person::new([2; 16]), text: text.map(str::to_owned), from: "n".parse().unwrap(), at }
}

fn key_of_value(key: &str) -> ValueKey {
    key.parse().unwrap()
}

pub(super) fn value_of(key: &str) -> RecordKey {
    RecordKey::Value(key_of_value(key))
}

pub(super) fn written(at: Time, root: u16, value: Option<&[u8]>) -> Statement {
    let version = Version { at, root: node(root) };
    Statement::Written(Written { version, value: value.map(<[u8]>::to_vec) }, Age::NEW)
}

/// Statements about one channel, one name, one mailbox and two values, few enough to be about the same things often.
fn any_statement() -> impl Strategy<Value = (RecordKey, Statement)> {
    let age = (0u64..1_000_000).prop_map(Age);
    let claim = (0..4u16, 0..4u64, 0..3u64, any::<bool>());
    prop_oneof![
        (0..4u16, 0..4u64, any::<bool>(), age.clone()).prop_map(|(n, version, joined, age)| (
            rust(),
            Statement::Member(member(n, version, joined), age)
        )),
        // A message may have several places, given by several roots; a place has one message.
        (0..3u16, 0..3u64, 1..3u64, 0..2u16, age.clone()).prop_map(|(author, counter, epoch, root, age)| {
            let seq = 1 + u64::from(author) * 3 + counter;
            (rust(), Statement::Message(entry(author, counter, epoch, root, seq), age))
        }),
        // A letter that was sent again may have come to two roots.
        (0..3u64, any::<bool>(), 0..2u64, age.clone()).prop_map(|(counter, waits, later, age)| {
            let letter = letter(counter, waits.then_some("text"), NOW + Duration::from_secs(later));
            (bobs_mail(), Statement::Letter(letter, age))
        }),
        (0..3u8, 0..3u64, age.clone()).prop_map(|(who, later, age)| {
            let at = NOW + Duration::from_secs(later);
            (bobs_mail(), Statement::Holder(Holder { at, person: Person::new([who; 16]) }, age))
        }),
        any_written(),
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

/// Of one version there may be several values, where a peer is confused.
fn any_written() -> impl Strategy<Value = (RecordKey, Statement)> {
    let written = (0..4u64, 0..2u16, prop::option::of(0..3usize), (0u64..1_000_000).prop_map(Age));
    (0..2u8, written).prop_map(|(key, (later, root, bytes, age))| {
        let version = Version { at: NOW + Duration::from_secs(later), root: node(root) };
        let written = Written { version, value: bytes.map(|bytes| vec![0; bytes]) };
        (value_of(["apple", "pear"][usize::from(key)]), Statement::Written(written, age))
    })
}

fn merged(statements: &[(RecordKey, Statement)]) -> Records {
    let mut records = Records::default();
    for (key, statement) in statements {
        records.merge(NOW, key, statement.clone());
    }
    records
}

/// All that a copy tells another, whatever the order in which it learnt it.
pub(super) fn told(records: &Records) -> BTreeSet<(RecordKey, Statement)> {
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

    #[test]
    fn the_room_that_values_take_is_what_a_count_of_them_says(
        deeds in prop::collection::vec((any_written(), 0..4u8), 0..40),
    ) {
        let mut records = Records::default();
        for ((key, statement), deed) in deeds {
            match deed {
                0 => records.drop_record(&key),
                1 => {
                    let Statement::Written(_, age) = statement else { unreachable!("it is written") };
                    records.prune(age.made(NOW) + DELETED_KEPT_FOR);
                }
                2 => drop(records.merge(NOW, &key, Statement::Holder(Holder { at: NOW, person: Person::new([0; 16]) }, Age::NEW))),
                _ => drop(records.merge(NOW, &key, statement)),
            }
            let mut counted = Usage::default();
            for (key, held) in &records.held {
                let (RecordKey::Value(key), Record::Value(value)) = (key, &held.record) else { continue };
                let Some(written) = value.written() else { continue };
                counted += Usage::of(key.as_str().len(), written.value.as_ref().map_or(0, Vec::len));
            }
            prop_assert_eq!(records.values, counted);
            prop_assert_eq!(counted.count, records.held.len(), "nothing else is kept");
        }
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
        records.merge(NOW, &rust(), Statement::Message(entry(1, seq, 1, 1, seq), Age::NEW));
    }
    assert!(!records.merge(NOW, &rust(), Statement::Message(entry(1, 5, 1, 1, 5), Age::NEW)));
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
    assert!(records.merge(NOW, &rust(), Statement::Message(entry(1, 1, 1, 1, 1), Age::NEW)));

    let nth = |n: usize| RecordKey::Channel(format!("c{n}").parse().unwrap());
    for n in records.held.len()..RECORDS_MAX {
        assert!(records.merge(NOW, &nth(n), join(0, 1)));
    }
    assert!(!records.has_room_for(&nth(RECORDS_MAX), &join(0, 1)));
    assert!(!records.has_room_for_messages(&"one-more".parse().unwrap()));
    for n in RECORDS_MAX..COPIES * RECORDS_MAX {
        assert!(records.merge(NOW, &nth(n), join(0, 1)), "what another root has taken");
    }
    assert!(!records.merge(NOW, &nth(COPIES * RECORDS_MAX), join(0, 1)));
}

#[test]
fn a_letter_that_a_root_has_taken_its_copies_keep() {
    let mut records = Records::default();
    let nth = |n| Statement::Letter(letter(n, None, NOW), Age::NEW);
    let full = (0..).find(|&n| {
        let has_room = records.has_room_for(&bobs_mail(), &nth(n));
        assert!(records.merge(NOW, &bobs_mail(), nth(n)), "{n}");
        !has_room
    });
    assert_eq!(full, Some(2000));
}

#[test]
fn a_message_longer_than_a_root_takes_is_no_statement() {
    let mut records = Records::default();
    for length in [0, TEXT_BYTES_MAX + 1] {
        let entry = Entry { text: "a".repeat(length), ..entry(1, 1, 1, 1, 1) };
        assert!(!records.merge(NOW, &rust(), Statement::Message(entry, Age::NEW)));
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
        assert!(records.merge(NOW, &rust(), Statement::Message(entry, Age::NEW)));
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
    records.merge(NOW, &bobs_mail(), Statement::Letter(letter(1, Some("text"), NOW), Age::NEW));
    let holder = Holder { at: NOW, person: Person::new([2; 16]) };
    records.merge(NOW, &bobs_mail(), Statement::Holder(holder, Age::NEW));
    let bob = "bob".parse().unwrap();
    records.prune(NOW + MAIL_KEPT_FOR - Duration::from_micros(1));
    let mailbox = records.mailbox(&bob).unwrap();
    assert_eq!((mailbox.waiting(holder.person).len(), mailbox.holder()), (1, Some(holder)));
    records.prune(NOW + MAIL_KEPT_FOR);
    assert!(records.mailbox(&bob).is_none() && records.journal.is_empty());
    let old = Age::NEW.after(MAIL_KEPT_FOR);
    let late = NOW + MAIL_KEPT_FOR;
    assert!(!records.merge(late, &bobs_mail(), Statement::Letter(letter(1, Some("text"), NOW), old)));
}

#[test]
fn a_letter_that_was_shown_does_not_wait_again() {
    let mut records = Records::default();
    let person = Person::new([2; 16]);
    for text in [Some("text"), None, Some("text")] {
        records.merge(NOW, &bobs_mail(), Statement::Letter(letter(1, text, NOW), Age::NEW));
    }
    let mailbox = records.mailbox(&"bob".parse().unwrap()).unwrap();
    assert!(mailbox.waiting(person).is_empty() && mailbox.letter(&letter(1, None, NOW).id).is_some());
}

#[test]
fn what_was_deleted_stays_deleted_when_an_older_copy_comes_back() {
    let (put, del) = (written(NOW, 1, Some(b"red")), written(NOW + Duration::from_secs(1), 1, None));
    let mut copy = merged(&[(value_of("apple"), put.clone())]);
    let mut root = merged(&[(value_of("apple"), put.clone()), (value_of("apple"), del.clone())]);
    assert!(!root.merge(NOW, &value_of("apple"), put));
    assert!(copy.merge(NOW, &value_of("apple"), del));
    for records in [root, copy] {
        assert_eq!(records.value(&key_of_value("apple")).map(|known| &known.value), Some(&None));
    }
}

#[test]
fn it_is_remembered_for_14_days_that_a_value_was_deleted() {
    let mut records = merged(&[(value_of("apple"), written(NOW, 1, Some(b"red")))]);
    records.prune(NOW + 2 * DELETED_KEPT_FOR);
    assert!(records.value(&key_of_value("apple")).is_some(), "a value is kept until it is deleted");
    assert!(records.merge(NOW, &value_of("apple"), written(NOW, 2, None)));
    records.prune(NOW + DELETED_KEPT_FOR - Duration::from_micros(1));
    assert!(records.value(&key_of_value("apple")).is_some());
    records.prune(NOW + DELETED_KEPT_FOR);
    assert!(records.held.is_empty() && records.journal.is_empty());
    let old = written(NOW, 2, None).aged(DELETED_KEPT_FOR);
    assert!(!records.merge(NOW + DELETED_KEPT_FOR, &value_of("apple"), old));
    assert!(records.held.is_empty());
}

#[test]
fn of_what_two_roots_have_written_the_later_holds_and_what_comes_then_is_later_still() {
    let second = Duration::from_secs(1);
    let version = |records: &Records, now, root: u16| {
        Version::after(records.value(&key_of_value("apple")).map(|known| known.version), now, node(root))
    };
    let mut roots = [Records::default(), Records::default()];
    for (i, records) in roots.iter_mut().enumerate() {
        for n in 0..2_u8 {
            let version = version(records, NOW + second * i as u32, i as u16);
            records.merge(
                NOW,
                &value_of("apple"),
                Statement::Written(Written { version, value: Some(vec![n]) }, Age::NEW),
            );
        }
    }
    let [mut one, mut other] = roots;
    let earlier = told(&one);
    for (key, statement) in told(&other) {
        assert!(one.merge(NOW, &key, statement));
    }
    for (key, statement) in earlier {
        assert!(!other.merge(NOW, &key, statement));
    }
    let last = other.value(&key_of_value("apple")).unwrap();
    assert_eq!((one.value(&key_of_value("apple")), &last.value), (Some(last), &Some(vec![1])));
    let next = version(&one, NOW, 0);
    assert!(last.version < next, "also by a clock that is behind");
}

#[test]
fn a_value_from_the_far_future_is_not_learnt_and_blocks_nothing() {
    let apple = value_of("apple");
    let mut records = Records::default();
    let too_late = NOW + CLOCK_AHEAD_MAX + Duration::from_micros(1);
    for at in [too_late, Time::from_micros(u64::MAX)] {
        records.learn(NOW, &apple, written(at, 1, Some(b"for ever")));
        assert!(records.held.is_empty());
    }
    records.learn(NOW, &apple, written(NOW + CLOCK_AHEAD_MAX, 1, Some(b"a fast clock")));
    let known = records.value(&key_of_value("apple")).unwrap().version;
    let version = Version::after(Some(known), NOW, node(2));
    records.write(
        NOW,
        &apple,
        Statement::Written(Written { version, value: Some(b"later".to_vec()) }, Age::NEW),
    );
    assert_eq!(records.value(&key_of_value("apple")).unwrap().value.as_deref(), Some(&b"later"[..]));
}

#[test]
fn a_node_takes_so_many_values_as_a_root_and_more_for_others() {
    let nth = |n: usize| key_of_value(&format!("k{n}"));
    let key = |n| RecordKey::Value(nth(n));
    let mut records = Records::default();
    for n in 0..VALUES_MAX {
        assert!(records.has_room_for_value(&nth(n), 1));
        assert!(records.merge(NOW, &key(n), written(NOW, 1, Some(b"x"))));
    }
    assert!(!records.has_room_for_value(&nth(VALUES_MAX), 1));
    assert!(records.has_room_for_value(&nth(0), VALUE_BYTES_MAX), "what is known is not one more");
    assert!(
        records.has_room_for(&rust(), &Statement::Member(member(1, 1, true), Age::NEW)),
        "the chat goes on"
    );
    for n in VALUES_MAX..COPIES * VALUES_MAX {
        assert!(records.merge(NOW, &key(n), written(NOW, 1, Some(b"x"))), "a copy of another root's");
    }
    assert!(!records.merge(NOW, &key(COPIES * VALUES_MAX), written(NOW, 1, Some(b"x"))));
    let later = NOW + Duration::from_secs(1);
    assert!(records.has_room_for_value(&nth(0), 0) && records.merge(NOW, &key(0), written(later, 1, None)));
    records.prune(later + DELETED_KEPT_FOR);
    assert!(records.merge(NOW, &key(0), written(later, 1, Some(b"x"))), "what is forgotten makes room");
}

#[test]
fn a_value_that_grows_needs_room_for_the_difference() {
    let nth = |n: usize| key_of_value(&format!("k{n}"));
    let (mut records, value) = (Records::default(), vec![0; VALUE_BYTES_MAX]);
    let mut count = 0;
    while records.has_room_for_value(&nth(count), VALUE_BYTES_MAX) {
        assert!(records.merge(NOW, &RecordKey::Value(nth(count)), written(NOW, 1, Some(&value))));
        count += 1;
    }
    assert!(count < VALUES_MAX && records.values.bytes <= VALUES_BYTES_MAX);
    let small = "one that is small";
    assert!(records.merge(NOW, &value_of(small), written(NOW, 1, Some(b""))));
    let left = VALUES_BYTES_MAX - records.values.bytes;
    let has_room = |key: &str, bytes| records.has_room_for_value(&key_of_value(key), bytes);
    assert!(has_room(small, left) && !has_room(small, left + 1), "{left}");
    assert!(!has_room("one that is new", left));
    assert!(has_room("k0", VALUE_BYTES_MAX), "another of the same size");
}

#[test]
fn the_longest_values_and_keys_are_told_in_parts_that_fit_into_frames() {
    let long_key = |n: usize| key_of_value(&format!("{n:🗝>KEY_CHARS_MAX$}"));
    for (count, value) in [(20, Some(vec![255; VALUE_BYTES_MAX])), (4000, None)] {
        let mut records = Records::default();
        for n in 0..count {
            let statement = written(NOW, 1, value.as_deref());
            assert!(records.merge(NOW, &RecordKey::Value(long_key(n)), statement));
        }
        let (mut reached, mut told, mut parts) = (0, 0, 0);
        while told < count {
            let (statements, next) = records.statements_after(NOW, reached, |_, _, _| true);
            (reached, told, parts) = (next, told + statements.len(), parts + 1);
            let message = Message::Merge { migrates: None, statements };
            let bytes = crate::wire::encode(&message);
            assert!(bytes.len() < crate::wire::FRAME_BYTES_MAX / 2, "{} bytes", bytes.len());
            assert_eq!(crate::wire::decode::<Message>(&bytes).unwrap(), message);
        }
        assert!(1 < parts);
    }
}

#[test]
fn a_key_is_a_text_without_control_characters_of_at_most_256_characters() {
    let longest = "ä".repeat(256);
    for good in ["a", "a b", "#rust", "--path", &longest] {
        assert_eq!(good.parse::<ValueKey>().unwrap().as_str(), good);
    }
    let too_long = format!("{longest}a");
    for (bad, why) in [
        ("", NotAKey::Empty),
        (&too_long, NotAKey::TooLong),
        ("a\n", NotAKey::BadCharacter),
        ("\u{9b}2J", NotAKey::BadCharacter),
    ] {
        assert_eq!(bad.parse::<ValueKey>(), Err(why), "{bad:?}");
        assert!(crate::wire::decode::<ValueKey>(&crate::wire::encode(&bad)).is_err(), "{bad:?}");
    }
}

#[test]
fn a_value_longer_than_a_root_takes_is_no_statement() {
    let mut records = Records::default();
    assert!(!records.merge(NOW, &value_of("apple"), written(NOW, 1, Some(&vec![0; VALUE_BYTES_MAX + 1]))));
    assert!(records.merge(NOW, &value_of("apple"), written(NOW, 1, Some(&vec![0; VALUE_BYTES_MAX]))));
}
