//! Two nodes that repair: the root of a channel and another node that has it.

use super::super::Subject;
use super::super::age::Age;
use super::super::channel::{Entry, KEPT_FOR, LOG_MAX, Membership, MessageId};
use super::super::mailbox::{Letter, MAIL_KEPT_FOR};
use super::super::name::Person;
use super::*;
use crate::chord::{self as ring, Output, Upcall};
use crate::machine::Input;

const START: Time = Time::from_micros(1_800_000_000_000_000);

/// The root of a channel and another node that has it.
struct Pair {
    nodes: Vec<(Chord<Message>, Records)>,
    key: RecordKey,
    now: Time,
}

impl Pair {
    fn new() -> Pair {
        let mut ring = [7000, 7001].map(|port| NodeHandle::new(([127, 0, 0, 1], port).into()));
        ring.sort();
        let key = RecordKey::Channel("rust".parse().unwrap());
        let mut nodes: Vec<_> =
            ring.iter().map(|&me| (Chord::ideal(&ring, me, 16, START), Records::default())).collect();
        nodes.sort_by_key(|(chord, _)| chord.is_root(key.id()) != Some(true));
        let mut pair = Pair { nodes, key, now: START };
        assert_eq!(pair.repair(), 0, "the first round is yet to come");
        pair
    }

    fn learn(&mut self, node: usize, counters: std::ops::RangeInclusive<u64>, now: Time) {
        let author = self.nodes[0].0.me();
        for seq in counters {
            let place = Place { epoch: 1, root: author, seq };
            let id = MessageId { author, counter: seq };
            let entry = Entry { place, id, from: "n".parse().unwrap(), text: "text".to_owned(), at: now };
            self.nodes[node].1.merge(now, &self.key, Statement::Message(entry, Age::NEW));
        }
    }

    /// One round of repair; returns how many times one tells the other messages.
    fn repair(&mut self) -> usize {
        self.wake_after(REPAIR_EVERY)
    }

    fn wake_after(&mut self, pause: Duration) -> usize {
        self.now = self.now + pause;
        let mut told = 0;
        for (chord, records) in &mut self.nodes {
            records.on_wakeup(self.now, chord);
        }
        while let Some((from, output)) = self.next_output() {
            match output {
                Output::Send { to, message } => {
                    told += usize::from(format!("{message:?}").contains("Merge {"));
                    let from = self.nodes[from].0.me();
                    let (chord, _) = self.nodes.iter_mut().find(|(chord, _)| chord.me() == to).unwrap();
                    chord.handle(self.now, Input::Message { from, message });
                }
                Output::Upcall(Upcall::Deliver { request, .. } | Upcall::Receive { request }) => {
                    let (chord, records) = &mut self.nodes[from];
                    let ring::Request { origin, id, payload } = request;
                    let answer = records.on_request(self.now, chord, origin, payload).unwrap();
                    chord.reply_read(self.now, origin, id, answer);
                }
                Output::Upcall(Upcall::Reply { id, from: root, payload }) => {
                    let (chord, records) = &mut self.nodes[from];
                    records.on_reply(self.now, chord, id, root, payload);
                }
                Output::Upcall(_) => {}
            }
        }
        told
    }

    /// The root tells its copy everything, and then the copy the root.
    fn settle(&mut self) {
        assert_ne!((self.repair(), self.repair()), (0, 0));
    }

    fn next_output(&mut self) -> Option<(usize, Output<Message>)> {
        for (chord, records) in &mut self.nodes {
            records.push(self.now, chord);
        }
        self.nodes.iter_mut().enumerate().find_map(|(i, (chord, _))| Some((i, chord.next_output()?)))
    }

    /// A member's lease is renewed, and this node hears of it.
    fn renew(&mut self, node: usize, version: u64) {
        let member = self.nodes[0].0.me();
        let nick = "n".parse().unwrap();
        let membership = Membership { node: member, version, joined: true, nick };
        self.nodes[node].1.merge(self.now, &self.key, Statement::Member(membership, Age::NEW));
    }

    fn is_equal(&self) -> bool {
        let digest = |node: usize| self.nodes[node].1.digest(self.now, &self.key, None);
        digest(0) == digest(1)
    }

    fn horizon(&self, node: usize) -> Option<u64> {
        self.nodes[node].1.horizon(&self.key).map(|place| place.seq)
    }
}

#[test]
fn two_copies_that_have_dropped_differently_fall_silent() {
    const MORE: u64 = LOG_MAX as u64 + 300;
    for (root, copy) in [(301..=MORE, 1..=MORE), (1..=MORE, 301..=MORE), (1..=MORE, 1..=900)] {
        let mut pair = Pair::new();
        pair.learn(0, root.clone(), START);
        pair.learn(1, copy.clone(), START);
        pair.settle();
        assert_eq!(pair.repair(), 0, "{root:?} {copy:?}");
    }
    // The root has dropped by its clock what the copy still keeps, and the other way round.
    for (early, late) in [(0, 1), (1, 0)] {
        let mut pair = Pair::new();
        pair.learn(0, 1..=20, START);
        pair.learn(1, 1..=20, START);
        pair.learn(late, 21..=30, START + KEPT_FOR);
        pair.learn(early, 21..=25, START + KEPT_FOR);
        pair.nodes[early].1.prune(START + KEPT_FOR);
        assert_eq!((pair.horizon(early), pair.horizon(late)), (Some(20), None));
        pair.settle();
        assert_eq!(pair.repair(), 0, "{early} first");
    }
}

#[test]
fn what_one_copy_forgets_a_moment_before_the_other_is_not_kept_alive() {
    let over = START + MAIL_KEPT_FOR;
    for early in [0, 1] {
        let mut pair = Pair::new();
        let mails = (0..).map(|i| RecordKey::Mailbox(format!("n{i}").parse().unwrap()));
        pair.key = mails.into_iter().find(|key| pair.nodes[0].0.is_root(key.id()) == Some(true)).unwrap();
        let id = MessageId { author: pair.nodes[0].0.me(), counter: 1 };
        let (to, from) = (Person::new([2; 16]), "n".parse().unwrap());
        let letter = Letter { id, to, text: Some("text".to_owned()), from, at: START };
        pair.nodes[0].1.merge(START, &pair.key, Statement::Letter(letter, Age::NEW));
        pair.now = over - 4 * REPAIR_EVERY;
        pair.settle();
        pair.nodes[early].1.prune(over);
        assert_eq!(pair.nodes[early].1.keys().count(), 0);
        let told = [pair.repair(), pair.repair(), pair.repair()];
        assert_eq!(told, [2 * (1 - early), 0, 0], "the root is told what is not over, and tells it once");
        assert!(pair.nodes.iter().all(|(_, records)| records.keys().count() == 0));
    }
}

#[test]
fn a_copy_asks_after_all_of_many_records_in_one_round() {
    let mut pair = Pair::new();
    let copy = pair.nodes[1].0.me();
    let keys = (0..).map(|i| RecordKey::Channel(format!("c{i}").parse().unwrap()));
    let of_the_root = keys.filter(|key| pair.nodes[0].0.is_root(key.id()) == Some(true));
    let keys: BTreeSet<RecordKey> = of_the_root.take(3 * OFFERS_MAX).collect();
    for key in &keys {
        let member = Membership { node: copy, version: 1, joined: true, nick: "n".parse().unwrap() };
        pair.nodes[1].1.merge(pair.now, key, Statement::Member(member, Age::NEW));
    }
    pair.repair();
    pair.wake_after(REPAIR_GOES_ON);
    pair.wake_after(REPAIR_GOES_ON);
    assert!(pair.nodes[0].1.keys().map(|(key, _)| key).eq(&keys));
}

/// The copy has asked the root, which tells it to keep the record, and then answers what was true before.
fn is_answered_late(pair: &mut Pair, digest: u64) -> &Records {
    let (root, keys) = (pair.nodes[0].0.me(), BTreeSet::from([pair.key.clone()]));
    let (chord, records) = &mut pair.nodes[1];
    records.offer_keys(START, chord, keys.clone());
    let id = *records.repair.under_way.first_key_value().unwrap().0;
    records.keep_for(root, &keys);
    records.on_offered(START, chord, id, root, Offered { digest, horizon: None, keep: false });
    records
}

#[test]
fn what_the_root_lacks_it_is_told_although_it_tells_something_meanwhile() {
    let mut pair = Pair::new();
    pair.learn(1, 1..=5, START);
    let records = is_answered_late(&mut pair, 0);
    let step = records.repair.under_way.values().next();
    assert!(matches!(step, Some(Step::Told(Told { keep: true, .. }))), "{step:?}");
}

#[test]
fn what_the_root_tells_a_node_to_keep_is_not_dropped_for_an_earlier_answer() {
    let mut pair = Pair::new();
    pair.learn(1, 1..=5, START);
    let digest = pair.nodes[1].1.digest(START, &pair.key, None);
    assert_eq!(is_answered_late(&mut pair, digest).keys().count(), 1);
}

/// While a cut network heals, a node may take itself for the root and tell others to keep what is not its own.
#[test]
fn a_record_is_dropped_when_nobody_wants_it_kept_any_more() {
    let at = |port| NodeHandle::new(([127, 0, 0, 1], port).into());
    for (is_wanted, left) in [(true, 1), (false, 0)] {
        let mut pair = Pair::new();
        pair.learn(1, 1..=5, START);
        let (chord, records) = &mut pair.nodes[1];
        let keys = BTreeSet::from([pair.key.clone()]);
        let digest = records.digest(START, &pair.key, None);
        let [first, gone, last, another] = [7002, 7003, 7004, 7005].map(at);
        for keeper in [first, gone, last] {
            records.keep_for(keeper, &keys);
        }
        records.offer_keys(START, chord, keys);
        for (asked, keep) in [(another, false), (last, false), (gone, false), (first, is_wanted)] {
            let id = *records.repair.under_way.first_key_value().unwrap().0;
            if asked == gone {
                assert!(records.offer_failed(START, chord, id, Failure::Unreachable));
                continue;
            }
            records.on_offered(START, chord, id, asked, Offered { digest, horizon: None, keep });
        }
        assert!(records.repair.under_way.is_empty());
        assert_eq!(records.keys().count(), left);
    }
}

#[test]
fn who_leaves_soon_after_a_restart_has_told_the_root_what_was_on_the_disk() {
    let mut pair = Pair::new();
    let (author, at) = (pair.nodes[0].0.me(), pair.now);
    let place = Place { epoch: 1, root: author, seq: 1 };
    let id = MessageId { author, counter: 1 };
    let entry = Entry { place, id, from: "n".parse().unwrap(), text: "text".to_owned(), at };
    let (now, key) = (pair.now, pair.key.clone());
    let (chord, records) = &mut pair.nodes[1];
    records.restore(now, &key, Subject::Message(id), Statement::Message(entry, Age::NEW));
    assert_eq!(records.unsure(chord).collect::<Vec<_>>(), [&key]);
    records.make_sure(now, chord);
    assert_eq!(pair.wake_after(Duration::ZERO), 2, "the root lacks it, and tells its copies");
    assert!(pair.is_equal() && !pair.nodes[0].1.channel(&"rust".parse().unwrap()).unwrap().log.is_empty());
    let (chord, records) = &mut pair.nodes[1];
    assert_eq!(records.unsure(chord).count(), 0);
    records.make_sure(now + MAKE_SURE_EVERY, chord);
    assert_eq!(pair.wake_after(Duration::ZERO), 0, "it is told once");
}

#[test]
fn what_the_root_lacks_it_is_told_once() {
    let mut pair = Pair::new();
    pair.learn(0, 1..=20, START);
    pair.learn(1, 1..=25, START);
    pair.settle();
    assert_eq!(pair.repair(), 0);
    assert!(pair.is_equal());
}

#[test]
fn a_renewal_that_the_root_has_missed_reaches_it_once_the_lease_has_ended_there() {
    let mut pair = Pair::new();
    pair.renew(0, 1);
    pair.settle();
    pair.renew(0, 2);
    pair.renew(1, 3);
    assert!(pair.is_equal(), "both hold");
    pair.repair();
    pair.renew(1, 4);
    assert_ne!(pair.repair(), 0, "after two minutes, that of the root has ended");
    assert!(pair.is_equal());
    let RecordKey::Channel(name) = &pair.key else { panic!("{}", pair.key) };
    let root = pair.nodes[0].1.channel(name).unwrap();
    assert!(root.is_member(pair.now, pair.nodes[0].0.me()));
}
