//! `monitor`: looks at all nodes again and again, and shows them.
//!
//! monitor -> each node: GET /nodeinfo, once in a look, many nodes at a time; GET /db of the one that is looked into
//! node -> monitor: its place, its records, its counters; its values

mod ask;
mod reach;
mod screen;
mod table;
mod view;
mod watch;

use std::future::poll_fn;
use std::time::{Duration, Instant};

use anyhow::Context;
use ratatui::crossterm::event::Event;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until, timeout};

use self::ask::Questions;
use self::reach::Reach;
use self::screen::Screen;
use self::view::{After, View};
use self::watch::Watch;
use super::say;
use super::state::Lab;
use crate::repl::colour::Colour;
use crate::repl::session;
use crate::repl::signals::Signals;

/// The pause between the beginnings of two looks; it is longer where nodes take longer to answer.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long answers may wait to be drawn, so that many are drawn at once.
const DRAW_PAUSE: Duration = Duration::from_millis(100);

/// How the nodes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    /// Once, and not again and again.
    pub(super) once: bool,
    /// As JSON.
    pub(super) json: bool,
}

/// `monitor`.
pub(super) async fn monitor(lab: &Lab, manner: Manner) -> anyhow::Result<()> {
    match manner {
        Manner { once: false, json: false } => show(lab).await,
        Manner { once: false, json: true } => stream(lab).await,
        Manner { once: true, json } => tell_once(lab, json).await,
    }
}

/// Tells one look, as text or as JSON.
async fn tell_once(lab: &Lab, json: bool) -> anyhow::Result<()> {
    let (mut watch, mut questions) = (Watch::default(), Questions::new());
    let mut ticks = ticks();
    // What a node does in a second shows when it is looked at for the second time.
    for _ in 0..2 {
        ticks.tick().await;
        begin_look(lab, &mut watch, &mut questions, None)?;
        take_answers(&mut watch, &mut questions).await?;
    }
    if json {
        return tell_json(&watch);
    }
    table::text(&watch, Instant::now()).iter().try_for_each(|line| say(line))
}

/// Tells one look after the other as JSON.
async fn stream(lab: &Lab) -> anyhow::Result<()> {
    let (mut watch, mut questions) = (Watch::default(), Questions::new());
    let mut reach = Reach::new(lab, Instant::now());
    let mut ticks = ticks();
    loop {
        ticks.tick().await;
        let lab = reach.lab(Instant::now(), &watch).await;
        begin_look(lab, &mut watch, &mut questions, None)?;
        // Who needs longer is told of in one of the next looks, and keeps nobody waiting.
        if let Ok(taken) = timeout(LOOK_EVERY, take_answers(&mut watch, &mut questions)).await {
            taken?;
        }
        tell_json(&watch)?;
    }
}

fn tell_json(watch: &Watch) -> anyhow::Result<()> {
    say(&table::json(watch, Instant::now(), session::now()).context("a look is no JSON")?)
}

/// Reads which nodes there are now, and asks them; one of them perhaps for all that it keeps.
fn begin_look(
    lab: &Lab,
    watch: &mut Watch,
    questions: &mut Questions,
    inside: Option<&str>,
) -> anyhow::Result<()> {
    let nodes = lab.state()?.nodes;
    for (node, was_silent) in watch.begin_look(Instant::now(), nodes) {
        let lab = (inside == Some(node.name.as_str())).then(|| lab.clone());
        questions.ask(node, was_silent, lab);
    }
    Ok(())
}

/// Takes the answers until all who were asked have answered, or are silent.
async fn take_answers(watch: &mut Watch, questions: &mut Questions) -> anyhow::Result<()> {
    while let Some(answer) = questions.next().await {
        let (node, answer) = answer.context("a question was broken off")?;
        watch.on_answer(Instant::now(), &node, answer);
    }
    Ok(())
}

fn ticks() -> Interval {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Shows the nodes on the whole screen until the user, or a signal, ends it.
async fn show(lab: &Lab) -> anyhow::Result<()> {
    let mut signals = Signals::catch().context("cannot catch signals")?;
    let mut continued =
        signal(SignalKind::from_raw(Signal::CONT.as_raw())).context("cannot catch a signal")?;
    let mut screen = Screen::take()?;
    let mut keys = screen::keys()?;
    let (mut watch, mut questions) = (Watch::default(), Questions::new());
    let mut view = View::new(Colour::of_environment() == Colour::ON);
    let mut reach = Reach::new(lab, Instant::now());
    let mut ticks = ticks();
    let mut draw_at = None;
    loop {
        let until_drawn = async {
            match draw_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        // Whether what has happened is to be seen at once.
        let at_once = tokio::select! {
            biased;
            _ = poll_fn(|cx| signals.poll_next(cx)) => return Ok(()),
            event = keys.recv() => match event {
                Some(event) => {
                    if on_events(event, &mut keys, &mut view, &watch) == After::Quit {
                        return Ok(());
                    }
                    true
                }
                // The terminal has gone.
                None => return Ok(()),
            },
            _ = continued.recv() => {
                screen.take_again()?;
                true
            }
            _ = ticks.tick() => {
                let lab = reach.lab(Instant::now(), &watch).await;
                view.trouble = begin_look(lab, &mut watch, &mut questions, view.looks_into()).err().map(|error| format!("{error:#}"));
                true
            }
            Some(answer) = questions.next() => {
                let mut next = Some(answer);
                while let Some(answer) = next {
                    let (node, answer) = answer.context("a question was broken off")?;
                    watch.on_answer(Instant::now(), &node, answer);
                    next = questions.next_now();
                }
                false
            }
            () = until_drawn => true,
        };
        if at_once {
            screen.draw(|frame| view.draw(frame, lab, &watch, Instant::now()))?;
            draw_at = None;
        } else {
            draw_at.get_or_insert_with(|| tokio::time::Instant::now() + DRAW_PAUSE);
        }
    }
}

/// Takes the keys that were pressed since the last time.
fn on_events(event: Event, keys: &mut mpsc::Receiver<Event>, view: &mut View, watch: &Watch) -> After {
    let mut next = Some(event);
    while let Some(event) = next {
        if let Event::Key(key) = event
            && view.on_key(key, watch, Instant::now()) == After::Quit
        {
            return After::Quit;
        }
        next = keys.try_recv().ok();
    }
    After::GoOn
}
