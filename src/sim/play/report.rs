//! What came of a play.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Plan;
use crate::sim::chat::{Lost, Promise, Seen};

/// With how many decimals a number is tried that is to be as short as it was typed.
const DECIMALS_MAX: usize = 12;

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
    /// What is missing in the end of what was acknowledged: on a node that should keep it, or on the screen of
    /// a member who stayed.
    pub lost: Lost,
    /// What is not as it should be in the end, if anything.
    pub unrest: Option<String>,
    /// How long after the faults stopped everything was as it should be, to 2 s.
    pub rest_after: Duration,
    /// The longest time that a channel had no root that works, in some part of the network, to 50 ms: from the first
    /// fault until there is rest.
    pub outage: Duration,
    /// How many nodes were killed.
    pub killed: u32,
    /// How many nodes were killed and started again.
    pub restarted: u32,
    /// How often all were.
    pub blackouts: u32,
    /// How many nodes were frozen.
    pub froze: u32,
    /// How many nodes are there in the end.
    pub nodes: usize,
}

impl Report {
    /// Whether all promises were kept.
    pub fn is_kept(&self) -> bool {
        self.broken.is_empty() && self.lost == Lost::default() && self.unrest.is_none()
    }

    fn broken(&self, promise: Promise) -> u64 {
        self.broken.get(&promise).copied().unwrap_or_default()
    }

    /// How often promises were broken that have no line of their own.
    fn otherwise_broken(&self) -> u64 {
        let has_line = |promise: Promise| [Promise::Once, Promise::Order].contains(&promise);
        self.broken.iter().filter(|(promise, _)| !has_line(**promise)).map(|(_, count)| count).sum()
    }

    /// The command that plays the same again.
    pub fn command(&self) -> String {
        let Plan { nodes, seed, length, kills, freezes, split, loss, .. } = &self.plan;
        let Plan { restarts, blackouts, duplicates, .. } = &self.plan;
        let (minutes, loss) = (minutes(*length), percent(*loss));
        let split = time(split.unwrap_or_default());
        let mut command = format!(
            "chat sim --nodes {nodes} --seed {seed} --minutes {minutes} --kill {kills} --freeze {freezes} --split {split} --loss {loss}%"
        );
        if 0 < *restarts {
            command += &format!(" --restart {restarts}");
        }
        if 0 < *blackouts {
            command += &format!(" --blackout {blackouts}");
        }
        if 0.0 < *duplicates {
            command += &format!(" --duplicate {}%", percent(*duplicates));
        }
        command
    }

    /// The faults that were asked for and not played, each with the reason.
    fn not_played(&self) -> impl Iterator<Item = String> {
        let Plan { kills, restarts, freezes, .. } = self.plan;
        let why_no_kill = "who is killed leaves two others at least, who keep what it kept";
        let why_no_freeze = "nobody was there who could be frozen";
        let faults = [
            ("kills", kills, self.killed, why_no_kill),
            ("restarts", restarts, self.restarted, why_no_kill),
            ("freezes", freezes, self.froze, why_no_freeze),
        ];
        let missing = faults.into_iter().filter(|(_, asked, played, _)| played < asked);
        missing.map(|(what, asked, played, why)| format!("{what}: {asked} asked, {played} played: {why}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { nodes, split, loss, duplicates, .. } = &self.plan;
        let length = length(self.plan.length);
        write!(f, "{nodes} people, {length}: {} killed, {} frozen", self.killed, self.froze)?;
        if 0 < self.restarted {
            write!(f, ", {} restarted", self.restarted)?;
        }
        if 0 < self.blackouts {
            write!(f, ", all switched off and on {} times", self.blackouts)?;
        }
        if let Some(split) = split {
            write!(f, ", cut in two for {} s", split.as_secs_f64())?;
        }
        write!(f, ", {} % of the messages between nodes lost", percent(*loss))?;
        if 0.0 < *duplicates {
            write!(f, ", {} % doubled", percent(*duplicates))?;
        }
        writeln!(f)?;
        for fault in self.not_played() {
            writeln!(f, "  {fault}")?;
        }
        writeln!(f, "  sent                  {:>8}", self.said)?;
        writeln!(f, "  acknowledged          {:>8}", self.seen.stored + self.seen.delivered)?;
        writeln!(f, "  failed, and told so   {:>8}", self.seen.failed)?;
        writeln!(f, "  received              {:>8}", self.seen.shown + self.seen.private)?;
        writeln!(f, "  lost                  {:>8}", self.lost.messages)?;
        writeln!(f, "  not shown to a member {:>8}", self.lost.showings)?;
        writeln!(f, "  doubled               {:>8}", self.broken(Promise::Once))?;
        writeln!(f, "  out of order          {:>8}", self.broken(Promise::Order))?;
        writeln!(f, "  otherwise wrong       {:>8}", self.otherwise_broken())?;
        writeln!(f, "  longest time without a working root {:.2} s", self.outage.as_secs_f64())?;
        let ring = if self.nodes == 1 {
            "ring of 1 node".to_owned()
        } else {
            format!("ring of {} nodes", self.nodes)
        };
        match &self.unrest {
            None => writeln!(
                f,
                "  {ring}: ideal, every record on its nodes, every member up to date, silent; {:.1} s after the last fault",
                self.rest_after.as_secs_f64()
            )?,
            Some(why) => writeln!(f, "  {ring}: not at rest: {why}")?,
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

fn length(length: Duration) -> String {
    let tenths = |value: f64| (value * 10.0).round() / 10.0;
    let seconds = length.as_secs_f64();
    if seconds < 60.0 { format!("{} s", tenths(seconds)) } else { format!("{} min", tenths(seconds / 60.0)) }
}

/// A part as it was typed in percent, so that it is read as the same part again.
fn percent(part: f64) -> String {
    shortest(part * 100.0, |percent| percent / 100.0 == part)
}

/// A length as it was typed in minutes.
fn minutes(length: Duration) -> String {
    let is_same = |minutes: f64| Duration::try_from_secs_f64(minutes * 60.0) == Ok(length);
    shortest(length.as_secs_f64() / 60.0, is_same)
}

/// The number with the fewest digits that means the same as `about`, which was calculated and may differ in the last
/// one.
fn shortest(about: f64, is_same: impl Fn(f64) -> bool) -> String {
    let rounded = (0..=DECIMALS_MAX).map(|decimals| format!("{about:.decimals$}"));
    let nearest = [about, about.next_up(), about.next_down()].map(|number| number.to_string());
    let means_the_same = |text: &String| text.parse().is_ok_and(&is_same);
    rounded.chain(nearest).find(means_the_same).unwrap_or_else(|| about.to_string())
}

/// A time as it is written on the command line.
fn time(time: Duration) -> String {
    match time.subsec_nanos() {
        0 => format!("{}s", time.as_secs()),
        nanos if nanos.is_multiple_of(1_000_000) => format!("{}ms", time.as_millis()),
        _ => format!("{}ns", time.as_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_plays_the_same_again() {
        let report = |plan| Report { plan, ..Report::default() };
        let plan = Plan { nodes: 8, seed: 3, loss: 0.05, ..Plan::default() };
        let command = "chat sim --nodes 8 --seed 3 --minutes 5 --kill 0 --freeze 0 --split 0s --loss 5%";
        assert_eq!(report(plan.clone()).command(), command);
        let short =
            Plan { length: Duration::from_millis(600), split: Some(Duration::from_millis(200)), ..plan };
        assert!(report(short.clone()).command().contains("--minutes 0.01 --kill 0 --freeze 0 --split 200ms"));
        let more = Plan { restarts: 2, blackouts: 1, duplicates: 0.01, ..short };
        assert!(report(more).command().ends_with("--loss 5% --restart 2 --blackout 1 --duplicate 1%"));
    }

    #[test]
    fn every_broken_promise_is_counted_in_one_line() {
        let promises = [
            Promise::Said,
            Promise::Once,
            Promise::Order,
            Promise::Left,
            Promise::State,
            Promise::Kept,
            Promise::Value,
            Promise::Name,
            Promise::Ring,
        ];
        for promise in promises {
            let text = Report { broken: [(promise, 7)].into(), ..Report::default() }.to_string();
            let line = match promise {
                Promise::Once => "doubled",
                Promise::Order => "out of order",
                _ => "otherwise wrong",
            };
            let counted: Vec<_> = text.lines().filter(|line| line.ends_with("       7")).collect();
            assert_eq!(counted.len(), 1, "{promise:?}: {text}");
            assert!(counted[0].trim_start().starts_with(line), "{promise:?}: {text}");
        }
    }

    #[test]
    fn percents_and_minutes_stand_as_they_were_typed() {
        let typed = (0..=100).map(|percent| percent.to_string());
        let fractions = ["0.1", "0.07", "0.5", "1.1", "2.5", "6.9", "7.3", "12.34", "33.333", "0.0000001"];
        for text in typed.chain(fractions.map(str::to_owned)) {
            let number: f64 = text.parse().unwrap();
            let part = number / 100.0;
            assert_eq!(percent(part), text);
            let report = Report { plan: Plan { loss: part, ..Plan::default() }, ..Report::default() };
            assert!(report.to_string().contains(&format!(", {text} % of the messages")), "{report}");
            assert!(report.command().ends_with(&format!(" --loss {text}%")), "{}", report.command());
            if 0.0 < number {
                assert_eq!(minutes(Duration::from_secs_f64(number * 60.0)), text);
            }
        }
        for part in [1.0 / 3.0, 0.1 + 0.2, std::f64::consts::PI / 100.0] {
            assert!((percent(part).parse::<f64>().unwrap() / 100.0 - part).abs() <= f64::EPSILON * part);
        }
    }

    #[test]
    fn a_report_says_what_was_not_played_and_counts_in_words_that_fit() {
        let plan = Plan { kills: 10, freezes: 1, length: Duration::from_secs(6), ..Plan::default() };
        let text = Report { plan, killed: 2, froze: 1, nodes: 1, ..Report::default() }.to_string();
        assert!(text.starts_with("20 people, 6 s: 2 killed, 1 frozen, 0 %"), "{text}");
        assert!(text.contains("\n  kills: 10 asked, 2 played: who is killed"), "{text}");
        assert!(!text.contains("freezes"), "{text}");
        assert!(text.contains("ring of 1 node: "), "{text}");
    }
}
