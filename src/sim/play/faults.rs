//! What goes wrong in a play.

use std::time::Duration;

use rand::RngExt;

use super::{Play, Told, part};
use crate::id::NodeHandle;
use crate::sim::Cut;
use crate::time::Time;

/// How long a node is frozen.
pub(super) const FREEZE: Duration = Duration::from_secs(20);

/// How long it takes until a node that was killed is started again, at most.
const AWAY_MAX: Duration = Duration::from_secs(40);

/// The same where all were killed at once.
const BLACKOUT_MAX: Duration = Duration::from_secs(15);

/// How long it is waited until a node that did not find the ring is started once more.
const START_AGAIN: Duration = Duration::from_secs(10);

/// If fewer nodes than this are there, none is killed.
const KILLED_OF_MIN: usize = 3;

/// Something that is done to nodes or to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Kill,
    Restart,
    Blackout,
    /// A node is started again that was killed.
    Return(NodeHandle),
    Freeze,
    Cut,
    Heal,
}

impl<F: FnMut(Told<'_>) + 'static> Play<F> {
    pub(super) fn plan_faults(&mut self, start: Time) {
        let (span, plan) = (self.plan.length, self.plan.clone());
        let mut faults = Vec::new();
        let rng = self.network.rng();
        let counts = [
            (Fault::Kill, plan.kills),
            (Fault::Restart, plan.restarts),
            (Fault::Blackout, plan.blackouts),
            (Fault::Freeze, plan.freezes),
        ];
        for (fault, count) in counts {
            for _ in 0..count {
                faults.push((start + span.mul_f64(rng.random_range(0.05..0.9)), fault));
            }
        }
        if let Some(split) = plan.split {
            let room = span.saturating_sub(split).mul_f64(0.9);
            let at = start + room.mul_f64(rng.random_range(0.05..1.0));
            faults.extend([(at, Fault::Cut), (at + split, Fault::Heal)]);
        }
        self.faults = faults;
        self.sort_faults();
    }

    fn sort_faults(&mut self) {
        self.faults.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    }

    fn fail_in(&mut self, pause: Duration, fault: Fault) {
        self.faults.push((self.network.now() + pause, fault));
        self.sort_faults();
    }

    /// Something goes wrong for so long.
    pub(super) fn disturb(&mut self, duration: Duration) {
        self.disturbed_until = self.disturbed_until.max(self.network.now() + duration);
        self.oracle.borrow_mut().disturbed_until(self.disturbed_until);
    }

    pub(super) fn fail(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => self.kill(),
            Fault::Restart => self.restart(),
            Fault::Blackout => self.black_out(),
            Fault::Return(node) => self.starts_again(node),
            Fault::Freeze => {
                let Some(node) = self.someone() else { return };
                self.report.froze += 1;
                self.note(&format!("{} is frozen for {} s", self.cast.nick(node), FREEZE.as_secs()));
                self.network.freeze(node, FREEZE);
                self.disturb(FREEZE);
            }
            Fault::Cut => {
                let salt = self.network.rng().random();
                let cut = if self.network.rng().random() { Cut::Silent } else { Cut::Refused };
                self.salt = Some(salt);
                let all = self.network.machines().map(|node| node.chord().me());
                let (one, other) = all.partition(|&node| part(salt, node) == 0);
                self.parted = vec![one, other];
                self.network.partition(cut, move |node| part(salt, node));
                self.note("the network is cut in two");
                self.disturb(self.plan.split.unwrap_or_default());
            }
            Fault::Heal => self.heal(),
        }
    }

    pub(super) fn heal(&mut self) {
        if self.salt.take().is_some() {
            self.network.heal();
            self.disturb(Duration::ZERO);
            self.note("the network is whole again");
        }
    }

    fn kill(&mut self) {
        if self.plan.kills <= self.report.killed {
            return;
        }
        match self.crash(self.plan.kills - self.report.killed, "killed") {
            Some(gone) => self.report.killed += gone.len() as u32,
            // Two may die again once what they kept has been copied.
            None => self.fail_in(Duration::from_secs(1), Fault::Kill),
        }
    }

    fn restart(&mut self) {
        if self.plan.restarts <= self.report.restarted {
            return;
        }
        match self.crash(self.plan.restarts - self.report.restarted, "killed, to be started again") {
            Some(gone) => {
                self.report.restarted += gone.len() as u32;
                for node in gone {
                    let pause = AWAY_MAX.mul_f64(self.network.rng().random_range(0.0..1.0));
                    self.fail_in(pause, Fault::Return(node));
                }
            }
            None => self.fail_in(Duration::from_secs(1), Fault::Restart),
        }
    }

    /// One node is killed, or two neighbours at once; not so many that nobody keeps what is acknowledged.
    fn crash(&mut self, most: u32, how: &str) -> Option<Vec<NodeHandle>> {
        let both = 1 < most && self.network.rng().random();
        let mut ready = self.ready();
        while KILLED_OF_MIN <= ready.len() {
            let index = self.network.rng().random_range(0..ready.len());
            let node = ready.swap_remove(index);
            let mut gone = vec![node];
            let next = self.network.get(node).and_then(|node| node.chord().successors().first().copied());
            gone.extend(next.filter(|&next| both && self.network.get(next).is_some()));
            let is_kept = self.oracle.borrow().is_kept_somewhere_without(&self.network, &gone);
            if is_kept && !self.are_forgotten_without(&gone) {
                let nicks: Vec<_> = gone.iter().map(|&node| self.cast.nick(node).to_string()).collect();
                self.note(&format!("{} {how}", nicks.join(" and ")));
                self.network.crash_at_once(&gone);
                self.disturb(Duration::ZERO);
                return Some(gone);
            }
        }
        None
    }

    /// Whether nobody is left in some part, without `gone`, of those whom the other part may remember: then the two
    /// would not find each other again.
    pub(super) fn are_forgotten_without(&self, gone: &[NodeHandle]) -> bool {
        let stays = |&node: &NodeHandle| {
            self.network.get(node).is_some() && !gone.contains(&node) && !self.cast.has_exited(node)
        };
        let goes = |node: &NodeHandle| gone.contains(node);
        self.parted.iter().any(|part| part.iter().any(goes) && !part.iter().any(stays))
    }

    /// All nodes are killed at once, whatever they are doing, and started again one after the other.
    fn black_out(&mut self) {
        let all: Vec<NodeHandle> = self.network.machines().map(|node| node.chord().me()).collect();
        self.report.blackouts += 1;
        self.note("all nodes are killed");
        self.network.crash_at_once(&all);
        self.disturb(BLACKOUT_MAX);
        for node in all {
            let pause = BLACKOUT_MAX.mul_f64(self.network.rng().random_range(0.0..1.0));
            self.fail_in(pause, Fault::Return(node));
        }
    }

    /// Someone whose node was killed starts it again, and once more if it does not find the ring.
    fn starts_again(&mut self, node: NodeHandle) {
        if self.network.get(node).is_none() && !self.cast.has_exited(node) {
            self.comes_back(node);
            self.disturb(Duration::ZERO);
            self.fail_in(START_AGAIN, Fault::Return(node));
        }
    }

    /// Whoever is to be started again is, now.
    pub(super) fn bring_all_back(&mut self) {
        while self.faults.iter().any(|(_, fault)| matches!(fault, Fault::Return(_))) {
            for (_, fault) in std::mem::take(&mut self.faults) {
                if let Fault::Return(node) = fault {
                    self.starts_again(node);
                }
            }
            self.run_for(START_AGAIN);
        }
    }
}
