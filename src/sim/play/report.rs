//! What came of a play.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Plan;
use crate::sim::chat::{Promise, Seen};

/// What came of a play.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// What was played.
    pub plan: Plan,
    /// How many messages people wrote.
    pub said: u64,
    /// What became of them.
    pub seen: Seen,
    /// How often each promise was broken.
    pub broken: BTreeMap<Promise, u64>,
    /// The first broken promises, and when that was.
    pub told: Vec<(Duration, String)>,
    /// How often a message that was acknowledged is missing in the end: on a node that should keep it, or on
    /// the screen of a member who stayed.
    pub lost: u64,
    /// What is not as it should be in the end, if anything.
    pub unrest: Option<String>,
    /// How long after the faults stopped everything was as it should be, to 2 s.
    pub rest_after: Duration,
    /// The longest time that a channel had no root that works, in some part of the network, to 50 ms.
    pub outage: Duration,
    /// How many nodes were killed.
    pub killed: u32,
    /// How many nodes were frozen.
    pub froze: u32,
    /// How many nodes are there in the end.
    pub nodes: usize,
}

impl Report {
    /// Whether all promises were kept.
    pub fn is_kept(&self) -> bool {
        self.broken.is_empty() && self.lost == 0 && self.unrest.is_none()
    }

    fn broken(&self, promise: Promise) -> u64 {
        self.broken.get(&promise).copied().unwrap_or_default()
    }

    /// The command that plays the same again.
    pub fn command(&self) -> String {
        let Plan { nodes, seed, length, kills, freezes, split, loss } = &self.plan;
        let mut command = format!("chat sim --nodes {nodes} --seed {seed}");
        match length.as_secs() {
            seconds if seconds.is_multiple_of(60) => command += &format!(" --minutes {}", seconds / 60),
            seconds => command += &format!(" --minutes {}", seconds as f64 / 60.0),
        }
        command += &format!(" --kill {kills} --freeze {freezes}");
        if let Some(split) = split {
            command += &format!(" --split {}s", split.as_secs_f64());
        }
        command + &format!(" --loss {}%", loss * 100.0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { nodes, length, split, loss, .. } = &self.plan;
        write!(f, "{nodes} people, {} min: {} killed, {} frozen", minutes(*length), self.killed, self.froze)?;
        if let Some(split) = split {
            write!(f, ", cut in two for {} s", split.as_secs_f64())?;
        }
        writeln!(f, ", {} % of the messages between nodes lost", loss * 100.0)?;
        writeln!(f, "  sent                  {:>8}", self.said)?;
        writeln!(f, "  acknowledged          {:>8}", self.seen.stored + self.seen.delivered)?;
        writeln!(f, "  failed, and told so   {:>8}", self.seen.failed)?;
        writeln!(f, "  received              {:>8}", self.seen.shown + self.seen.private)?;
        writeln!(f, "  lost                  {:>8}", self.lost)?;
        writeln!(f, "  doubled               {:>8}", self.broken(Promise::Once))?;
        writeln!(f, "  out of order          {:>8}", self.broken(Promise::Order))?;
        let others =
            [Promise::Said, Promise::Left, Promise::State, Promise::Kept, Promise::Name, Promise::Ring];
        writeln!(
            f,
            "  otherwise wrong       {:>8}",
            others.map(|promise| self.broken(promise)).iter().sum::<u64>()
        )?;
        writeln!(f, "  longest time without a working root {:.2} s", self.outage.as_secs_f64())?;
        match &self.unrest {
            None => writeln!(
                f,
                "  ring of {} nodes: ideal, every record on its nodes, every member up to date, silent; {:.1} s after the last fault",
                self.nodes,
                self.rest_after.as_secs_f64()
            )?,
            Some(why) => writeln!(f, "  ring of {} nodes: not at rest: {why}", self.nodes)?,
        }
        for (at, what) in &self.told {
            writeln!(f, "  at {:.3} s: {what}", at.as_secs_f64())?;
        }
        match self.is_kept() {
            true => write!(f, "Every promise was kept."),
            false => write!(f, "A promise was broken. The same again: {}", self.command()),
        }
    }
}

fn minutes(length: Duration) -> f64 {
    (length.as_secs_f64() / 6.0).round() / 10.0
}
