//! A transcript in the simulator.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chord_chat::chat::event::Event;
use chord_chat::id::NodeHandle;
use chord_chat::node::{Command, Node};
use chord_chat::repl::colour::Colour;
use chord_chat::repl::session::Render;
use chord_chat::repl::text::Text;
use chord_chat::sim::{Links, Network, Observer};
use chord_chat::time::Time;

use crate::script::{Nodes, Script, Step};

/// How long it takes until nothing more is shown.
const QUIET_AFTER: Duration = Duration::from_secs(3);

/// What everybody sees, rendered as they see it.
#[derive(Default)]
struct Screens {
    texts: BTreeMap<NodeHandle, Text>,
    lines: Vec<(NodeHandle, String)>,
}

impl Observer<Node> for Screens {
    fn told(&mut self, network: &Network<Node>, node: NodeHandle, event: &Event) {
        self.show_due(network.now());
        let text =
            self.texts.entry(node).or_insert_with(|| Text::new(Colour::OFF, Arc::new(Mutex::default())));
        let shown = text.render(event, network.now());
        self.lines.extend(shown.lines().map(|line| (node, line.to_owned())));
    }
}

impl Screens {
    /// What was not shown at once.
    fn show_due(&mut self, now: Time) {
        for (&node, text) in &mut self.texts {
            let shown = text.render_due(now);
            self.lines.extend(shown.lines().map(|line| (node, line.to_owned())));
        }
    }
}

fn node(place: usize) -> NodeHandle {
    NodeHandle::new(([127, 0, 0, 1], 7000 + place as u16).into())
}

/// The same transcript with what is shown in the simulator.
pub fn play(script: &Script) -> Script {
    let mut network = Network::new(0, Links::good());
    let screens = Rc::new(RefCell::new(Screens::default()));
    network.observe(screens.clone());
    let people = script.people();
    let mut nodes = Nodes::default();
    let mut played = Script { title: script.title.clone(), steps: Vec::new() };
    for step in &script.steps {
        let place = people.iter().position(|who| *who == step.who).expect("who types has started");
        let me = node(place);
        if step.starts {
            nodes.add(&step.who, me);
            network.add(Node::new(step.who.parse().unwrap(), me, network.now()));
            let bootstrap = (0 < place).then(|| node(0));
            network.command(me, Command::Start { bootstrap });
        } else {
            network.command(me, Command::Line(nodes.concrete(&step.line)));
        }
        network.run_for(QUIET_AFTER);
        screens.borrow_mut().show_due(network.now());
        let lines = std::mem::take(&mut screens.borrow_mut().lines);
        let mut shown = Vec::new();
        for (place, who) in people.iter().enumerate() {
            let theirs = lines.iter().filter(|(at, line)| *at == node(place) && script.wants(line));
            shown.extend(theirs.map(|(_, line)| ((*who).to_owned(), nodes.general(line))));
        }
        played.steps.push(Step { shown, ..step.clone() });
    }
    played
}
