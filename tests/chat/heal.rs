//! Heal: a network that was cut is one again, and so are its channels and names.

use std::time::Duration;

use chord_chat::chat::event::Event;
use chord_chat::sim::{Cut, Links};

use crate::town::{SECOND, Town, at};

const NODES: u16 = 8;

/// How long two rings may take to become one.
const UNITED_WITHIN: Duration = Duration::from_secs(15);

/// What was told, in short.
fn in_short(event: &Event) -> Option<String> {
    match event {
        Event::Message { text, late: true, history: true, .. } => Some(format!("{text}, late")),
        Event::Message { text, late: false, history: true, .. } => Some(format!("{text}, earlier")),
        Event::Message { text, .. } => Some(text.clone()),
        Event::Healed { members, .. } => Some(format!("healed: {}", members.len())),
        Event::Renamed { nick, was, .. } => Some(format!("{was} is {nick}")),
        _ => None,
    }
}

fn is_message(event: &Event, wanted: &str) -> bool {
    matches!(event, Event::Message { text, .. } if text == wanted)
}

impl Town {
    /// People who are all in `#rust`, in another network for each seed.
    fn by_seed(seed: u64) -> Town {
        let mut town = Town::new(seed, Links::good());
        for n in 0..NODES {
            town.comes_by(n, &format!("n{n}"), (0 < n).then_some(0));
            town.says(n, "join rust");
        }
        town.run(20 * SECOND);
        town
    }

    fn comes_by(&mut self, n: u16, nick: &str, bootstrap: Option<u16>) {
        self.starts_by(self.node(n, nick), bootstrap.map(at));
        self.run(SECOND);
    }

    /// Who is even cannot reach who is odd.
    fn cut(&mut self) {
        self.network.partition(Cut::Silent, |node| u32::from(node.addr().port() % 2));
        self.run(60 * SECOND);
    }

    /// How many are on the side of the cut where this person is.
    fn in_part_of(&self, n: u16) -> usize {
        self.people().into_iter().filter(|other| other % 2 == n % 2).count()
    }

    fn heal(&mut self) {
        self.network.heal();
        self.run(UNITED_WITHIN);
    }
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[test]
fn after_a_cut_everyone_is_shown_what_the_others_said_once_and_that_the_network_has_healed() {
    for seed in 0..8 {
        let mut town = Town::by_seed(seed);
        town.says(0, "send rust before");
        for n in 0..NODES {
            assert_eq!(town.take(n, in_short), ["before"], "seed {seed}");
        }
        town.cut();
        town.says(0, "send rust even one");
        town.says(1, "send rust odd one");
        town.says(1, "send rust odd two");
        town.says(2, "send rust even two");
        for n in 0..NODES {
            let own = if n % 2 == 0 { ["even one", "even two"] } else { ["odd one", "odd two"] };
            assert_eq!(town.take(n, in_short), own, "seed {seed}");
        }
        town.heal();
        for n in 0..NODES {
            let shown = town.take(n, in_short);
            assert_eq!(shown.first().map(String::as_str), Some("healed: 8"), "seed {seed}, n{n}: {shown:?}");
            let plain = shown.iter().skip(1).map(|text| {
                let plain = text.strip_suffix(", late").or(text.strip_suffix(", earlier"));
                plain.unwrap_or_else(|| panic!("seed {seed}, n{n}: {text} is marked")).to_owned()
            });
            let plain = plain.collect();
            let other = if n % 2 == 0 { ["odd one", "odd two"] } else { ["even one", "even two"] };
            assert_eq!(sorted(plain), other, "seed {seed}, n{n}: {shown:?}");
        }
        town.says(3, "send rust after");
        for n in 0..NODES {
            assert_eq!(town.take(n, in_short), ["after"], "seed {seed}");
        }
    }
}

#[test]
fn a_cut_that_heals_as_soon_as_both_parts_have_spoken_is_told_of_at_once() {
    for seed in 0..24 {
        let mut town = Town::by_seed(seed);
        town.forget();
        town.network.partition(Cut::Silent, |node| u32::from(node.addr().port() % 2));
        // The parts have hardly noticed that they are parts.
        town.run(3 * SECOND);
        town.types(0, "send rust even");
        town.types(1, "send rust odd");
        for _ in 0..100 {
            let has_both = |town: &Town| {
                ["even", "odd"].iter().all(|text| town.count(|event| is_message(event, text)) == 4)
            };
            if has_both(&town) {
                break;
            }
            town.run(SECOND / 20);
        }
        town.heal();
        for n in 0..NODES {
            let shown = town.take(n, in_short);
            let other = if n % 2 == 0 { "odd" } else { "even" };
            assert!(shown.iter().any(|text| text.starts_with(other)), "seed {seed}, n{n}: {shown:?}");
            assert!(shown.iter().any(|text| text.starts_with("healed")), "seed {seed}, n{n}: {shown:?}");
        }
    }
}

/// When the two meet, neither knows for certain that what the other has is of another part.
#[test]
fn what_is_said_to_two_roots_that_have_just_become_it_is_shown_to_all_at_once() {
    for seed in 0..24 {
        let mut town = Town::by_seed(seed);
        town.forget();
        let root = town.keepers("#rust", 1)[0];
        town.network.crash(at(root));
        town.network.partition(Cut::Silent, |node| u32::from(node.addr().port() % 2));
        let speakers = [0, 1].map(|part| (0..NODES).find(|&n| n % 2 == part && n != root).unwrap());
        for speaker in speakers {
            town.types(speaker, &format!("send rust {speaker}"));
        }
        let heard = |town: &Town, speaker: u16| {
            town.count(|event| is_message(event, &speaker.to_string())) == town.in_part_of(speaker)
        };
        for _ in 0..200 {
            if speakers.iter().all(|&speaker| heard(&town, speaker)) {
                break;
            }
            town.run(SECOND / 20);
        }
        assert!(speakers.iter().all(|&speaker| heard(&town, speaker)), "seed {seed}");
        town.heal();
        for n in town.people() {
            let shown = town.take(n, in_short);
            let other = speakers[usize::from(n % 2 == 0)].to_string();
            assert!(shown.iter().any(|text| text.starts_with(&other)), "seed {seed}, n{n}: {shown:?}");
        }
    }
}

#[test]
fn a_cut_in_which_nobody_spoke_is_told_of_when_it_has_healed() {
    let mut town = Town::by_seed(1);
    town.cut();
    town.forget();
    town.heal();
    for n in 0..NODES {
        assert_eq!(town.take(n, in_short), ["healed: 8"], "n{n}");
    }
}

#[test]
fn who_was_cut_off_alone_for_a_moment_is_shown_what_they_missed_as_such() {
    for seed in 0..8 {
        let mut town = Town::by_seed(seed);
        let cut_off = at(seed as u16);
        town.network.partition(Cut::Silent, move |node| u32::from(node == cut_off));
        town.run(8 * SECOND);
        let other = (seed as u16 + 1) % NODES;
        town.says(other, "send rust meanwhile");
        town.run(8 * SECOND);
        town.heal();
        town.says(other, "send rust after");
        let shown = town.take(seed as u16, in_short);
        let messages: Vec<_> = shown.iter().filter(|text| !text.starts_with("healed")).collect();
        assert_eq!(messages, ["meanwhile, earlier", "after"], "seed {seed}");
    }
}

#[test]
fn of_two_who_have_one_name_after_a_cut_the_later_gets_another() {
    let mut town = Town::by_seed(1);
    town.cut();
    town.comes_by(20, "zoe", Some(0));
    town.comes_by(21, "zoe", Some(1));
    town.forget();
    town.heal();
    town.run(30 * SECOND);
    assert_eq!(town.take(20, in_short), Vec::<String>::new());
    assert_eq!(town.take(21, in_short), ["zoe is zoe2"]);
    town.says(21, "send rust it is me");
    assert_eq!(town.network.get(at(21)).unwrap().chat().nick().as_str(), "zoe2");
}

#[test]
fn who_wants_only_the_last_messages_is_shown_late_ones_and_nothing_before() {
    let mut late = 0;
    for seed in 0..4 {
        let mut town = Town::by_seed(seed);
        let long = "x".repeat(3_900);
        for i in 0..200 {
            town.types(0, &format!("send rust {i} {long}"));
        }
        town.comes_by(20, "zoe", Some(0));
        // What she wants is more than one answer holds, and there is more before it.
        town.says(20, "join rust --history 70");
        town.cut();
        town.says(1, "send rust odd");
        town.says(2, "send rust even");
        town.forget();
        town.heal();
        town.run(30 * SECOND);
        let shown = town.take(20, in_short);
        assert_eq!(shown.len(), 2, "seed {seed}: {shown:?}");
        assert!(shown[0].starts_with("healed") && shown[1].starts_with("odd"), "seed {seed}: {shown:?}");
        late += usize::from(shown[1] == "odd, late");
    }
    assert!(0 < late, "in one of these networks it comes late");
}
