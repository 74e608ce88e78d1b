//! Heal: a network that was cut is one again, and so are its channels and names.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use chord_chat::chat::event::Event;
use chord_chat::id::NodeHandle;
use chord_chat::node::{Command, Node};
use chord_chat::sim::{Cut, Links, Network, Observer};

const NODES: u16 = 8;

/// How long two rings may take to become one.
const UNITED_WITHIN: Duration = Duration::from_secs(15);

/// What each person was shown, in short.
#[derive(Default)]
struct Shown(Vec<(NodeHandle, String)>);

impl Observer<Node> for Shown {
    fn told(&mut self, _: &Network<Node>, node: NodeHandle, event: &Event) {
        let text = match event {
            Event::Message { text, late: true, history: true, .. } => format!("{text}, late"),
            Event::Message { text, late: false, history: true, .. } => format!("{text}, earlier"),
            Event::Message { text, .. } => text.clone(),
            Event::Healed { members, .. } => format!("healed: {}", members.len()),
            Event::Renamed { nick, was, .. } => format!("{was} is {nick}"),
            _ => return,
        };
        self.0.push((node, text));
    }
}

struct Town {
    network: Network<Node>,
    shown: Rc<RefCell<Shown>>,
}

impl Town {
    /// People who are all in `#rust`.
    fn new(seed: u64) -> Town {
        let shown = Rc::new(RefCell::new(Shown::default()));
        let mut network = Network::new(seed, Links::good());
        network.observe(shown.clone());
        let mut town = Town { network, shown };
        for n in 0..NODES {
            town.comes(n, &format!("n{n}"), (0 < n).then_some(0));
            town.say(n, "join rust");
        }
        town.network.run_for(Duration::from_secs(20));
        town
    }

    fn comes(&mut self, n: u16, nick: &str, bootstrap: Option<u16>) {
        self.network.add(Node::new(nick.parse().unwrap(), at(n), self.network.now()));
        self.network.command(at(n), Command::Start { bootstrap: bootstrap.map(at) });
        self.network.run_for(Duration::from_secs(1));
    }

    fn say(&mut self, n: u16, line: &str) {
        self.network.command(at(n), Command::Line(line.to_owned()));
        self.network.run_for(Duration::from_secs(1));
    }

    /// Who is even cannot reach who is odd.
    fn cut(&mut self) {
        self.network.partition(Cut::Silent, |node| u32::from(node.addr().port() % 2));
        self.network.run_for(Duration::from_secs(60));
    }

    fn heal(&mut self) {
        self.network.heal();
        self.network.run_for(UNITED_WITHIN);
    }

    /// What the person was shown since this was asked last.
    fn take(&mut self, n: u16) -> Vec<String> {
        let mut shown = self.shown.borrow_mut();
        let (taken, kept) = std::mem::take(&mut shown.0).into_iter().partition(|(node, _)| *node == at(n));
        shown.0 = kept;
        taken.into_iter().map(|(_, text)| text).collect()
    }

    fn forget(&mut self) {
        self.shown.borrow_mut().0.clear();
    }
}

fn at(n: u16) -> NodeHandle {
    NodeHandle::new(([127, 0, 0, 1], 7000 + n).into())
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[test]
fn after_a_cut_everyone_is_shown_what_the_others_said_once_and_that_the_network_has_healed() {
    for seed in 0..8 {
        let mut town = Town::new(seed);
        town.say(0, "send rust before");
        for n in 0..NODES {
            assert_eq!(town.take(n), ["before"], "seed {seed}");
        }
        town.cut();
        town.say(0, "send rust even one");
        town.say(1, "send rust odd one");
        town.say(1, "send rust odd two");
        town.say(2, "send rust even two");
        for n in 0..NODES {
            let own = if n % 2 == 0 { ["even one", "even two"] } else { ["odd one", "odd two"] };
            assert_eq!(town.take(n), own, "seed {seed}");
        }
        town.heal();
        for n in 0..NODES {
            let shown = town.take(n);
            assert_eq!(shown.first().map(String::as_str), Some("healed: 8"), "seed {seed}, n{n}: {shown:?}");
            let plain = shown.iter().skip(1).map(|text| {
                let plain = text.strip_suffix(", late").or(text.strip_suffix(", earlier"));
                plain.unwrap_or_else(|| panic!("seed {seed}, n{n}: {text} is marked")).to_owned()
            });
            let plain = plain.collect();
            let other = if n % 2 == 0 { ["odd one", "odd two"] } else { ["even one", "even two"] };
            assert_eq!(sorted(plain), other, "seed {seed}, n{n}: {shown:?}");
        }
        town.say(3, "send rust after");
        for n in 0..NODES {
            assert_eq!(town.take(n), ["after"], "seed {seed}");
        }
    }
}

#[test]
fn a_cut_in_which_nobody_spoke_is_told_of_when_it_has_healed() {
    let mut town = Town::new(1);
    town.cut();
    town.forget();
    town.heal();
    for n in 0..NODES {
        assert_eq!(town.take(n), ["healed: 8"], "n{n}");
    }
}

#[test]
fn who_was_cut_off_alone_for_a_moment_is_shown_what_they_missed_as_such() {
    for seed in 0..8 {
        let mut town = Town::new(seed);
        let cut_off = at(seed as u16);
        town.network.partition(Cut::Silent, move |node| u32::from(node == cut_off));
        town.network.run_for(Duration::from_secs(8));
        let other = (seed as u16 + 1) % NODES;
        town.say(other, "send rust meanwhile");
        town.network.run_for(Duration::from_secs(8));
        town.heal();
        town.say(other, "send rust after");
        let shown = town.take(seed as u16);
        let messages: Vec<_> = shown.iter().filter(|text| !text.starts_with("healed")).collect();
        assert_eq!(messages, ["meanwhile, earlier", "after"], "seed {seed}");
    }
}

#[test]
fn of_two_who_have_one_name_after_a_cut_the_later_gets_another() {
    let mut town = Town::new(1);
    town.cut();
    town.comes(20, "zoe", Some(0));
    town.comes(21, "zoe", Some(1));
    town.forget();
    town.heal();
    town.network.run_for(Duration::from_secs(30));
    assert_eq!(town.take(20), Vec::<String>::new());
    assert_eq!(town.take(21), ["zoe is zoe2"]);
    town.say(21, "send rust it is me");
    assert_eq!(town.network.get(at(21)).unwrap().chat().nick().as_str(), "zoe2");
}

#[test]
fn who_wants_only_the_last_messages_is_shown_late_ones_and_nothing_before() {
    let mut late = 0;
    for seed in 0..4 {
        let mut town = Town::new(seed);
        let long = "x".repeat(3_900);
        for i in 0..200 {
            town.network.command(at(0), Command::Line(format!("send rust {i} {long}")));
        }
        town.comes(20, "zoe", Some(0));
        // What she wants is more than one answer holds, and there is more before it.
        town.say(20, "join rust --history 70");
        town.cut();
        town.say(1, "send rust odd");
        town.say(2, "send rust even");
        town.forget();
        town.heal();
        town.network.run_for(Duration::from_secs(30));
        let shown = town.take(20);
        assert_eq!(shown.len(), 2, "seed {seed}: {shown:?}");
        assert!(shown[0].starts_with("healed") && shown[1].starts_with("odd"), "seed {seed}: {shown:?}");
        late += usize::from(shown[1] == "odd, late");
    }
    assert!(0 < late, "in one of these networks it comes late");
}
