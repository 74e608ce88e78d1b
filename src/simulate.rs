//! `chat sim`: plays a chat of many people in this process, while nodes are killed and frozen, the network
//! is cut and messages are lost, and tells which promises were kept; see [`crate::sim::play`].

use std::collections::BTreeMap;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::id::NodeHandle;
use crate::records::name::Nick;
use crate::repl::colour::Colour;
use crate::repl::known::Known;
use crate::repl::session::Render;
use crate::repl::text::Text;
use crate::sim::START;
use crate::sim::play::{LENGTH_MAX, NODES, Plan, Report, Told, What, play};
use crate::time::Time;

/// For how long the network is cut unless the user says so, or the play is short.
const SPLIT: Duration = Duration::from_secs(20);

/// How often it is told how far a play is, in simulated time.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// How long it takes, about, until one more person has come.
const COMING: Duration = Duration::from_millis(150);

const EXAMPLES: &str = "\
Examples:
  chat sim
  chat sim --nodes 50 --seed 7 --minutes 10 --kill 3 --freeze 2 --split 20s --loss 5%
  chat sim --nodes 8 --minutes 1 --kill 1 --verbose

The same options play the same again.
Exit status: 0 every promise was kept, 1 one was broken, 2 wrong usage.";

/// Play a chat of many people under faults, in this process, and count what was lost.
#[derive(Clone, Debug, PartialEq, Parser)]
#[command(name = "chat sim", bin_name = "chat sim", version, after_help = EXAMPLES)]
pub struct Options {
    /// How many people there are, each with a node.
    #[arg(long, value_name = "COUNT", default_value_t = 20, allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(nodes()))]
    pub nodes: u32,

    /// The number that every random choice follows from.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, allow_negative_numbers = true)]
    pub seed: u64,

    /// How long they chat, in simulated minutes; it may have a fraction.
    #[arg(long, value_name = "MINUTES", default_value = "5", allow_negative_numbers = true, value_parser = minutes)]
    pub minutes: Duration,

    /// How many nodes are killed, one or two neighbours at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 2, allow_negative_numbers = true)]
    pub kill: u32,

    /// How many nodes are killed, one or two neighbours at a time, and started again with what is on their disks.
    #[arg(long, value_name = "COUNT", default_value_t = 0, allow_negative_numbers = true)]
    pub restart: u32,

    /// How often all nodes are killed at once, and started again with what is on their disks.
    #[arg(long, value_name = "COUNT", default_value_t = 0, allow_negative_numbers = true)]
    pub blackout: u32,

    /// How many nodes are frozen for 20 s.
    #[arg(long, value_name = "COUNT", default_value_t = 1, allow_negative_numbers = true)]
    pub freeze: u32,

    /// For how long the network is cut in two, as 20s or 2m; 0s for not at all.
    ///
    /// Without it, 20s, or a third of a play that is shorter than a minute.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = duration)]
    pub split: Option<Duration>,

    /// Which part of the messages between nodes is lost without a word, as 5%.
    #[arg(long, value_name = "PERCENT", default_value = "1%", allow_hyphen_values = true, value_parser = percent)]
    pub loss: f64,

    /// Which part of the messages between nodes arrives twice, as 5%.
    #[arg(long, value_name = "PERCENT", default_value = "0%", allow_hyphen_values = true, value_parser = percent)]
    pub duplicate: f64,

    /// Tell the story: what people type, what they are told, and what is done to them.
    #[arg(long)]
    pub verbose: bool,
}

impl Options {
    /// The options of this process, whose first argument is `sim`.
    ///
    /// Where they are wrong it tells what is wrong and ends the process with status 2.
    pub fn of_process() -> Options {
        Options::try_from_arguments(std::env::args_os().skip(1)).unwrap_or_else(|error| error.exit())
    }

    fn try_from_arguments<T>(arguments: impl IntoIterator<Item = T>) -> Result<Options, clap::Error>
    where
        T: Into<std::ffi::OsString> + Clone,
    {
        let options = Options::try_parse_from(arguments)?;
        match options.split {
            Some(split) if options.minutes < split => {
                let message = format!(
                    "a cut of {} s is longer than the play, which lasts {} s: --split is at most --minutes",
                    split.as_secs_f64(),
                    options.minutes.as_secs_f64()
                );
                Err(Options::command().error(ErrorKind::ValueValidation, message))
            }
            _ => Ok(options),
        }
    }

    fn split(&self) -> Duration {
        let third = Duration::from_millis(u64::try_from(self.minutes.as_millis() / 3).unwrap_or(u64::MAX));
        self.split.unwrap_or(SPLIT.min(third))
    }

    fn plan(&self) -> Plan {
        Plan {
            nodes: self.nodes,
            seed: self.seed,
            length: self.minutes,
            kills: self.kill,
            restarts: self.restart,
            blackouts: self.blackout,
            freezes: self.freeze,
            split: Some(self.split()).filter(|split| !split.is_zero()),
            loss: self.loss,
            duplicates: self.duplicate,
        }
    }
}

/// Hears what happens in a play.
type Tell = Box<dyn FnMut(Told<'_>)>;

/// Plays, tells on standard output, and returns the exit status: whether every promise was kept.
///
/// How far the play is stands on standard error, if that is a terminal.
///
/// # Errors
///
/// If standard output cannot be written.
pub fn run(options: &Options) -> io::Result<ExitCode> {
    run_on(options, play, io::stdout())
}

fn run_on(
    options: &Options,
    play: impl FnOnce(&Plan, Tell) -> Report,
    mut out: impl Write,
) -> io::Result<ExitCode> {
    let story = options.verbose.then(|| Arc::new(Mutex::new(Story::new())));
    let teller = story.clone();
    let mut progress = (story.is_none() && io::stderr().is_terminal())
        .then(|| Progress::new(io::stderr(), options.nodes * COMING + options.minutes));
    let tell = move |told: Told<'_>| {
        if let Some(progress) = &mut progress {
            progress.tell(told.at);
        }
        if let Some(story) = &teller {
            story.lock().unwrap_or_else(std::sync::PoisonError::into_inner).tell(told);
        }
    };
    let report = play(&options.plan(), Box::new(tell));
    let told = match story {
        Some(story) => story.lock().unwrap_or_else(std::sync::PoisonError::into_inner).finish(),
        None => Ok(()),
    };
    match told.and_then(|()| writeln!(out, "{report}")).and_then(|()| out.flush()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ if report.is_kept() => Ok(ExitCode::SUCCESS),
        _ => Ok(ExitCode::FAILURE),
    }
}

/// Tells how far a play is, in one line, which is gone at the end.
struct Progress<W: Write> {
    out: W,
    /// How long the play takes, about, until the faults stop.
    total: Duration,
    next: Duration,
}

impl<W: Write> Progress<W> {
    fn new(out: W, total: Duration) -> Progress<W> {
        Progress { out, total, next: Duration::ZERO }
    }

    fn tell(&mut self, at: Duration) {
        if at < self.next {
            return;
        }
        self.next = at + PROGRESS_EVERY;
        let clock = |time: Duration| format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60);
        let line = match at < self.total {
            true => format!("{} of about {} are simulated", clock(at), clock(self.total)),
            false => format!("{} are simulated, until all is at rest", clock(at)),
        };
        // Whoever does not see it misses nothing.
        let _ = write!(self.out, "\r{line}\x1b[K").and_then(|()| self.out.flush());
    }
}

impl<W: Write> Drop for Progress<W> {
    fn drop(&mut self) {
        let _ = write!(self.out, "\r\x1b[K").and_then(|()| self.out.flush());
    }
}

/// Writes what happens as a transcript, as each person's terminal shows it.
struct Story {
    screens: BTreeMap<NodeHandle, (Text, Option<Nick>)>,
    /// When the next of them shows something that it has held back.
    due: Option<Time>,
    out: BufWriter<io::Stdout>,
    /// The first failure to write: nothing is written after it.
    result: io::Result<()>,
}

impl Story {
    fn new() -> Story {
        Story { screens: BTreeMap::new(), due: None, out: BufWriter::new(io::stdout()), result: Ok(()) }
    }

    fn tell(&mut self, Told { at, what }: Told<'_>) {
        self.show_due(START + at);
        match what {
            What::Line(node, line) => {
                let nick = self.name(node);
                self.line(START + at, &format!("{nick}> {line}"));
            }
            What::Fault(what) => self.line(START + at, &format!("-- {what}")),
            What::Event(node, event) => {
                let (screen, nick) = self.screens.entry(node).or_insert_with(|| {
                    (Text::new(Colour::OFF, Arc::new(Mutex::new(Known::default()))), None)
                });
                if let crate::chat::event::Event::Ready { nick: name, .. }
                | crate::chat::event::Event::Renamed { nick: name, .. } = event
                {
                    *nick = Some(name.clone());
                }
                let text = screen.render(event, START + at);
                self.due = self.due.into_iter().chain(screen.next_due()).min();
                self.show(START + at, node, &text);
            }
        }
    }

    /// Shows what the screens have held back until `now`.
    fn show_due(&mut self, now: Time) {
        while let Some(due) = self.due.filter(|due| *due <= now) {
            let texts: Vec<_> =
                self.screens.iter_mut().map(|(&node, (screen, _))| (node, screen.render_due(due))).collect();
            for (node, text) in texts {
                self.show(due, node, &text);
            }
            self.due = self.screens.values().filter_map(|(screen, _)| screen.next_due()).min();
        }
    }

    fn show(&mut self, at: Time, node: NodeHandle, text: &str) {
        let nick = self.name(node);
        for line in text.lines() {
            self.line(at, &format!("{nick}: {line}"));
        }
    }

    fn name(&self, node: NodeHandle) -> String {
        let nick = self.screens.get(&node).and_then(|(_, nick)| nick.as_ref());
        nick.map_or_else(|| node.addr().to_string(), ToString::to_string)
    }

    fn line(&mut self, at: Time, line: &str) {
        let at = at.since(START);
        let clock = format!("{:>3}:{:06.3}", at.as_secs() / 60, at.as_secs_f64() % 60.0);
        if self.result.is_ok() {
            self.result = writeln!(self.out, "{clock}  {line}");
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        std::mem::replace(&mut self.result, Ok(()))?;
        self.out.flush()
    }
}

fn nodes() -> std::ops::RangeInclusive<i64> {
    i64::from(*NODES.start())..=i64::from(*NODES.end())
}

fn minutes(text: &str) -> Result<Duration, String> {
    let rule = || format!("a number of minutes is more than 0, and at most {}", LENGTH_MAX.as_secs() / 60);
    let minutes: f64 = text.parse().map_err(|_| rule())?;
    let length = Duration::try_from_secs_f64(minutes * 60.0).map_err(|_| rule())?;
    if length.is_zero() || LENGTH_MAX < length { Err(rule()) } else { Ok(length) }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration =
        humantime::parse_duration(text).map_err(|_| "a time is written as 20s or 2m".to_owned())?;
    if LENGTH_MAX < duration { Err("a time is a day at most".to_owned()) } else { Ok(duration) }
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
    let percent = number.filter(|percent| (0.0..=50.0).contains(percent));
    percent
        .map(|percent| percent / 100.0)
        .ok_or_else(|| "a part is written as 5%, and is at most 50%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Mutant;
    use crate::sim::play::play_with;

    fn parse(arguments: &str) -> Result<Options, clap::Error> {
        Options::try_from_arguments(format!("sim {arguments}").split_whitespace())
    }

    #[test]
    fn the_definition_is_sound() {
        Options::command().debug_assert();
    }

    #[test]
    fn options_are_read() {
        let line = "--nodes 50 --seed 7 --minutes 10 --kill 3 --freeze 2 --split 20s --loss 5%";
        let plan = parse(&format!("{line} --restart 4 --blackout 1 --duplicate 2%")).unwrap().plan();
        let wanted = Plan {
            nodes: 50,
            seed: 7,
            length: Duration::from_secs(600),
            kills: 3,
            restarts: 4,
            blackouts: 1,
            freezes: 2,
            split: Some(Duration::from_secs(20)),
            loss: 0.05,
            duplicates: 0.02,
        };
        assert_eq!(plan, wanted);
        assert_eq!(parse("--split 0s").unwrap().plan().split, None);
        assert_eq!(parse("--minutes 0.5").unwrap().minutes, Duration::from_secs(30));
        let split = |line| parse(line).unwrap().plan().split.unwrap();
        assert_eq!(split("--minutes 5"), SPLIT);
        assert_eq!(split("--minutes 0.5"), Duration::from_secs(10), "a short play is cut for shorter");
        assert_eq!(split("--minutes 1 --split 60s"), Duration::from_secs(60));
    }

    #[test]
    fn a_broken_promise_is_a_failure_and_the_command_plays_the_same_again() {
        let run = |options: &Options| {
            let mut written = Vec::new();
            let play = |plan: &Plan, tell| play_with(Mutant::MarksAllAsLate, plan, tell);
            let status = run_on(options, play, &mut written).unwrap();
            (status, String::from_utf8(written).unwrap())
        };
        let (status, report) = run(&parse("--nodes 4 --seed 5 --minutes 0.3 --loss 7% --freeze 0").unwrap());
        assert_eq!(status, ExitCode::FAILURE);
        let last = report.lines().last().unwrap();
        let command = last.strip_prefix("A promise was broken. The same again: chat sim ").unwrap();
        assert!(report.lines().any(|line| line.starts_with("  at ")), "what was broken is told: {report}");
        let again = parse(command).unwrap();
        assert_eq!(run(&again), (status, report));
    }

    #[test]
    fn how_far_a_play_is_stands_in_one_line_that_is_gone_at_the_end() {
        let mut written = Vec::new();
        let mut progress = Progress::new(&mut written, Duration::from_secs(3_752));
        for second in [0, 1, 9, 10, 19, 3_760] {
            progress.tell(Duration::from_secs(second));
        }
        drop(progress);
        let lines = [
            "0:00 of about 62:32 are simulated",
            "0:10 of about 62:32 are simulated",
            "62:40 are simulated, until all is at rest",
            "",
        ];
        let expected: String = lines.iter().map(|line| format!("\r{line}\x1b[K")).collect();
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }

    #[test]
    fn wrong_options_are_refused_with_the_rule() {
        for (line, rule) in [
            ("--nodes 1", "2..=1000"),
            ("--minutes 0", "more than 0"),
            ("--minutes x", "more than 0"),
            ("--split 20", "20s or 2m"),
            ("--loss 51%", "at most 50%"),
            ("--loss=-1%", "at most 50%"),
            ("--loss -1%", "at most 50%"),
            ("--minutes -1", "more than 0"),
            ("--nodes -1", "2..=1000"),
            ("--kill -1", "--kill <COUNT>"),
            ("--split -5s", "20s or 2m"),
            ("--minutes 1 --split 10m", "a cut of 600 s is longer than the play, which lasts 60 s"),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(rule), "{line}: {error}");
        }
    }
}
