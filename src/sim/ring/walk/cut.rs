//! A walk in which the network is cut in two, and made whole again.
//!
//! Nobody goes as long as there are two rings: a member that only one of them knows would be lost.

use super::*;

impl Walk {
    /// Whether nothing gets from one of the two to the other.
    pub(super) fn are_cut(&self, a: NodeHandle, b: NodeHandle) -> bool {
        self.part.contains(&a) != self.part.contains(&b)
    }

    pub(super) fn someone_asks(&mut self) {
        let i = self.pick(self.nodes.len());
        let node = self.nodes[i].me();
        self.tell(|| format!("{node:?} asks after those that it has lost"));
        self.nodes[i].ask_lost();
        self.collect(node);
    }

    /// Not while somebody leaves: it was asked whether one part can do without it.
    pub(super) fn cut_or_heal(&mut self) {
        if self.nodes.iter().any(Node::is_leaving) {
            return;
        }
        if self.part.is_empty() { self.cut() } else { self.heal() }
    }

    /// Cuts the network into parts that can each do without the other.
    fn cut(&mut self) {
        let part: BTreeSet<NodeHandle> =
            self.addresses.clone().into_iter().filter(|_| self.random.random_bool(0.5)).collect();
        let (there, here): (Vec<_>, Vec<_>) =
            self.nodes.iter().map(Node::me).partition(|node| part.contains(node));
        if there.is_empty() || here.is_empty() || self.unites || !self.may_go(&there) || !self.may_go(&here) {
            return;
        }
        self.tell(|| format!("{there:?} are cut off"));
        self.part = part;
        // Some connections break at once.
        for (a, b) in there.iter().flat_map(|&a| here.iter().flat_map(move |&b| [(a, b), (b, a)])) {
            if self.random.random_bool(0.5) {
                self.in_flight.push((a, Input::Unreachable { peer: b, undelivered: Vec::new() }));
            }
        }
    }

    /// Whether, without these nodes, somebody who stays remembers somebody of the other part who stays.
    ///
    /// What nobody knows any more cannot be found again.
    pub(super) fn parts_know_each_other_without(&self, gone: &[NodeHandle]) -> bool {
        let stays = |node: NodeHandle| {
            let there = self.index(node).map(|i| &self.nodes[i]);
            there.is_some_and(Node::is_member) && !gone.contains(&node)
        };
        let knows_another = |chord: &Node| {
            let known =
                chord.remembered().chain(chord.predecessor()).chain(chord.successors().iter().copied());
            known.into_iter().any(|node| stays(node) && self.are_cut(node, chord.me()))
        };
        let is_whole = self.part.is_empty()
            || !self.nodes.iter().any(|chord| gone.iter().any(|&gone| self.are_cut(chord.me(), gone)));
        is_whole || self.nodes.iter().any(|chord| stays(chord.me()) && knows_another(chord))
    }

    /// A message that does not get through comes back, and who waits for it learns of it.
    pub(super) fn stop(&mut self, to: NodeHandle, input: NodeInput) {
        if let Input::Message { from, message } = input {
            self.in_flight.push((from, Input::Unreachable { peer: to, undelivered: vec![message] }));
            self.in_flight.push((to, Input::Unreachable { peer: from, undelivered: Vec::new() }));
        }
    }

    pub(super) fn heal(&mut self) {
        if self.part.is_empty() {
            return;
        }
        // What says that a node cannot be reached is no news of the time after.
        let crosses = |walk: &Walk, to: NodeHandle, input: &NodeInput| match input {
            Input::Message { from: other, .. } | Input::Unreachable { peer: other, .. } => {
                walk.are_cut(*other, to)
            }
            _ => false,
        };
        while let Some(i) = self.in_flight.iter().position(|(to, input)| crosses(self, *to, input)) {
            let (to, input) = self.in_flight.swap_remove(i);
            self.tell(|| format!("{to:?} <- {input:?}"));
            self.deliver(to, input);
        }
        self.tell(|| "the network is whole".to_owned());
        let part = std::mem::take(&mut self.part);
        // Who was out of reach has been forgotten.
        self.candidates.retain(|node, best| part.contains(node) == part.contains(best));
        self.unites = true;
    }

    /// Each part is one ring. After a cut there are two, whose nodes come to know one another in any order:
    /// until they are one ring that may lose a member, only each list by itself is right.
    pub(super) fn check_parts(&mut self) -> Result<(), Violation> {
        if self.unites && self.may_go(&[]) {
            self.tell(|| "there is one ring".to_owned());
            self.unites = false;
        }
        if self.unites {
            return Walk::members(&self.nodes).iter().try_for_each(check_list);
        }
        for part in [false, true] {
            let in_part = |chord: &&Node| self.part.contains(&chord.me()) == part;
            let stays = |chord: &&Node| in_part(chord) && !chord.is_leaving();
            let members = Walk::members(self.nodes.iter().filter(in_part));
            let stay = Walk::members(self.nodes.iter().filter(stays));
            if !stay.is_empty() {
                check(&members).or_else(|_| check(&stay))?;
            }
        }
        Ok(())
    }
}
