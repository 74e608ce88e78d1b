//! The talk between a user and a node, with both sides played by the test, on a clock that does not wait.

#![expect(clippy::unwrap_used, reason = "what a test does not expect fails it")]

mod samples;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chord_chat::chat::event::{Event, Recipient, SentState};
use chord_chat::json::Json;
use chord_chat::node::Command;
use chord_chat::repl::colour::Colour;
use chord_chat::repl::session::{self, Ending, NodeLink, Render, Seat, Stop, Typed, is_exit};
use chord_chat::repl::text::Text;
use samples::{channel, samples};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// Both ends of a session.
struct Table {
    node_hears: mpsc::Receiver<Command>,
    node_says: mpsc::Sender<Event>,
    begun: oneshot::Receiver<()>,
    user_types: mpsc::Sender<Typed>,
    user_sees: mpsc::Receiver<String>,
    signals: mpsc::Sender<Stop>,
    session: JoinHandle<Ending>,
}

fn sit_down() -> Table {
    sit_down_before(Json)
}

fn sit_down_before(render: impl Render + Send + 'static) -> Table {
    let (commands, node_hears) = mpsc::channel(4);
    let (node_says, events) = mpsc::channel(4);
    let (begin, begun) = oneshot::channel();
    let (user_types, typed) = mpsc::channel(4);
    let (shown, user_sees) = mpsc::channel(4);
    let (signals, mut signals_receiver) = mpsc::channel(4);
    let (link, seat) = (NodeLink { commands, events }, Seat { begin, typed, shown });
    let session = tokio::spawn(async move {
        let stop = move |cx: &mut Context<'_>| match signals_receiver.poll_recv(cx) {
            Poll::Ready(Some(stop)) => Poll::Ready(stop),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        };
        session::run(link, seat, render, stop).await
    });
    Table { node_hears, node_says, begun, user_types, user_sees, signals, session }
}

async fn sit_down_ready() -> Table {
    let mut table = sit_down();
    table.node_says.send(ready()).await.unwrap();
    table.expect_shown("ready").await;
    (&mut table.begun).await.unwrap();
    table
}

impl Table {
    async fn types(&self, line: &str) {
        self.user_types.send(Typed::Line(line.into())).await.unwrap();
    }

    async fn expect_shown(&mut self, event: &str) {
        let line = self.user_sees.recv().await.unwrap();
        assert!(line.contains(&format!("\"event\":\"{event}\"")), "{line}");
    }

    async fn expect_command(&mut self, command: Command) {
        assert_eq!(self.node_hears.recv().await, Some(command));
    }

    /// The node says good-bye and stops.
    async fn bye(self, not_handed_over: &[&str]) -> Ending {
        let not_handed_over = not_handed_over.iter().map(|what| (*what).to_owned()).collect();
        self.node_says.send(Event::Bye { not_handed_over }).await.unwrap();
        drop(self.node_says);
        drop(self.node_hears);
        self.session.await.unwrap()
    }
}

fn ready() -> Event {
    samples().remove(0)
}

fn line(text: &str) -> Command {
    Command::Line(text.into())
}

fn error(message: &str) -> Event {
    Event::Error { command: "node".into(), message: message.into() }
}

fn sent(state: SentState) -> Event {
    let id = samples().iter().find_map(|event| match event {
        Event::Sent { id, .. } => Some(*id),
        _ => None,
    });
    Event::Sent { id: id.unwrap(), to: Recipient::Channel(channel("rust")), text: "hi".into(), state }
}

const LEFT: Ending = Ending::Left { not_handed_over: vec![] };

#[tokio::test(start_paused = true)]
async fn lines_go_to_the_node_and_events_to_the_user() {
    let mut table = sit_down_ready().await;
    table.types("join #rust").await;
    table.expect_command(line("join #rust")).await;
    table.node_says.send(samples()[2].clone()).await.unwrap();
    table.expect_shown("joined").await;
    table.types("/exit").await;
    table.expect_command(Command::Exit).await;
    assert_eq!(table.bye(&[]).await, LEFT);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_before_the_node_is_ready() {
    let mut table = sit_down();
    assert!(table.begun.try_recv().is_err());
    table.node_says.send(ready()).await.unwrap();
    (&mut table.begun).await.unwrap();
}

#[test]
fn exit_is_recognised_as_it_is_typed() {
    assert!(["exit", "/exit", "  exit \r"].into_iter().all(is_exit));
    assert!(!["exits", "exit now", "", "//exit"].into_iter().any(is_exit));
}

#[tokio::test(start_paused = true)]
async fn at_the_end_of_input_commands_are_finished_first() {
    let mut table = sit_down_ready().await;
    table.types("send rust hi").await;
    table.user_types.send(Typed::End).await.unwrap();
    table.expect_command(line("send rust hi")).await;
    table.node_says.send(sent(SentState::Queued)).await.unwrap();
    table.expect_shown("sent").await;
    let early = timeout(Duration::from_millis(400), table.node_hears.recv()).await;
    assert!(early.is_err(), "the node was told to leave before the message was stored: {early:?}");
    table.node_says.send(sent(SentState::Stored)).await.unwrap();
    table.expect_command(Command::Exit).await;
    assert_eq!(table.bye(&[]).await, LEFT);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_never_answered_does_not_keep_the_node() {
    let mut table = sit_down_ready().await;
    table.types("whois bob").await;
    table.types("exit").await;
    table.expect_command(line("whois bob")).await;
    let start = Instant::now();
    table.expect_command(Command::Exit).await;
    assert!(start.elapsed() <= Duration::from_secs(11));
    assert_eq!(table.bye(&[]).await, LEFT);
}

#[tokio::test(start_paused = true)]
async fn a_signal_leaves_without_finishing() {
    for stop in [Stop::Interrupt, Stop::Terminate] {
        let mut table = sit_down_ready().await;
        table.types("whois bob").await;
        table.expect_command(line("whois bob")).await;
        table.signals.send(stop).await.unwrap();
        table.expect_command(Command::Exit).await;
        assert_eq!(table.bye(&[]).await, LEFT);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_interrupt_stops_at_once() {
    let mut table = sit_down_ready().await;
    table.signals.send(Stop::Terminate).await.unwrap();
    table.expect_command(Command::Exit).await;
    table.signals.send(Stop::Terminate).await.unwrap();
    table.signals.send(Stop::Interrupt).await.unwrap();
    assert_eq!(table.session.await.unwrap(), Ending::AtOnce);

    let mut table = sit_down_ready().await;
    table.user_types.send(Typed::Interrupt).await.unwrap();
    table.expect_command(Command::Exit).await;
    table.user_types.send(Typed::Interrupt).await.unwrap();
    assert_eq!(table.session.await.unwrap(), Ending::AtOnce);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_hangs_is_given_up() {
    let mut table = sit_down_ready().await;
    table.types("exit").await;
    table.expect_command(Command::Exit).await;
    assert_eq!((&mut table.session).await.unwrap(), Ending::Hung);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_start_ends_the_session_with_its_reason() {
    let table = sit_down();
    table.node_says.send(error("the nick alice is taken; alice2 is free")).await.unwrap();
    let ending = table.bye(&[]).await;
    assert_eq!(ending, Ending::Failed { reason: "the nick alice is taken; alice2 is free".into() });
    assert_eq!(ending.into_result().unwrap_err().to_string(), "the nick alice is taken; alice2 is free");
}

#[tokio::test(start_paused = true)]
async fn what_was_told_before_a_start_failed_belongs_to_the_reason() {
    let table = sit_down();
    for i in 0..20 {
        table.node_says.send(error(&format!("note {i}"))).await.unwrap();
    }
    table.node_says.send(error("the nick alice is taken")).await.unwrap();
    let Ending::Failed { reason } = table.bye(&[]).await else { panic!("it has failed") };
    assert_eq!(reason, "note 0; note 1; note 2; note 3; the nick alice is taken");

    let mut table = sit_down();
    table.node_says.send(error("the file was damaged")).await.unwrap();
    table.node_says.send(ready()).await.unwrap();
    (&mut table.begun).await.unwrap();
    table.node_says.send(error("the disk is full")).await.unwrap();
    assert_eq!(table.bye(&[]).await, Ending::Failed { reason: "the disk is full".into() });
}

#[tokio::test(start_paused = true)]
async fn a_start_that_the_user_breaks_off_is_no_failure() {
    let table = sit_down();
    table.signals.send(Stop::Interrupt).await.unwrap();
    assert_eq!(table.session.await.unwrap(), LEFT, "also when the node does not hear it");
}

#[tokio::test(start_paused = true)]
async fn what_was_not_handed_over_is_told() {
    let mut table = sit_down_ready().await;
    table.types("exit").await;
    table.expect_command(Command::Exit).await;
    let ending = table.bye(&["channel #rust", "name alice"]).await;
    let reason = ending.into_result().unwrap_err().to_string();
    assert_eq!(reason, "left, but could not hand over channel #rust, name alice");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_by_itself_has_failed() {
    let table = sit_down_ready().await;
    table.node_says.send(error("the disk is full")).await.unwrap();
    assert_eq!(table.bye(&[]).await, Ending::Failed { reason: "the disk is full".into() });

    let table = sit_down_ready().await;
    drop(table.node_says);
    let Ending::Failed { .. } = table.session.await.unwrap() else { panic!("nobody asked it to stop") };
}

#[tokio::test(start_paused = true)]
async fn when_nobody_sees_the_output_the_node_leaves_quietly() {
    let mut table = sit_down_ready().await;
    table.user_sees.close();
    table.expect_command(Command::Exit).await;
    assert_eq!(table.bye(&[]).await, LEFT);
}

#[tokio::test(start_paused = true)]
async fn a_user_who_does_not_read_does_not_slow_the_node_and_is_told() {
    let mut table = sit_down_ready().await;
    let mut said = 0u64;
    for _ in 0..200 {
        // All this is taken although nothing is read.
        table.node_says.send(error(&"x".repeat(100_000))).await.unwrap();
        said += 1;
    }
    let mut shown = 0;
    let lost = loop {
        let line = table.user_sees.recv().await.unwrap();
        if let Some((_, rest)) = line.split_once("\"message\":\"")
            && let Some((count, _)) = rest.split_once(" events are not shown")
        {
            break count.parse::<u64>().unwrap();
        }
        shown += 1;
    };
    assert!(0 < lost);
    assert_eq!(shown + lost, said);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_listen_does_not_keep_a_signal() {
    let table = sit_down_ready().await;
    for i in 0..6 {
        table.types(&format!("send rust {i}")).await;
    }
    table.signals.send(Stop::Interrupt).await.unwrap();
    table.signals.send(Stop::Interrupt).await.unwrap();
    assert_eq!(table.session.await.unwrap(), Ending::AtOnce);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_too_long_is_answered_by_an_error() {
    let mut table = sit_down_ready().await;
    table.user_types.send(Typed::TooLong(65_536)).await.unwrap();
    let line = table.user_sees.recv().await.unwrap();
    assert!(line.contains("a line has at most 65536 bytes"), "{line}");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_for_a_second_is_told_of() {
    let mut table = sit_down_before(Text::new(Colour::OFF, Arc::default()));
    table.node_says.send(ready()).await.unwrap();
    assert!(table.user_sees.recv().await.unwrap().starts_with("You are alice."));
    let start = Instant::now();
    table.node_says.send(sent(SentState::Queued)).await.unwrap();
    assert_eq!(table.user_sees.recv().await.unwrap(), "… waits for #rust: \"hi\"\n");
    let waited = start.elapsed();
    assert!(Duration::from_millis(900) < waited && waited < Duration::from_secs(2), "{waited:?}");
    table.node_says.send(sent(SentState::Stored)).await.unwrap();
    assert_eq!(table.user_sees.recv().await.unwrap(), "✓ kept for #rust: \"hi\"\n");
    table.node_says.send(sent(SentState::Queued)).await.unwrap();
    table.node_says.send(sent(SentState::Stored)).await.unwrap();
    assert_eq!(table.user_sees.recv().await.unwrap(), "✓ kept for #rust: \"hi\"\n", "nothing before it");
    table.types("exit").await;
    table.expect_command(Command::Exit).await;
    assert_eq!(table.bye(&[]).await, LEFT);
}
