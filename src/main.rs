//! The `chat` program.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use chord_chat::chat::event::Event;
use chord_chat::cli::Options;
use chord_chat::node::Command;
use chord_chat::repl::session::NodeLink;
use chord_chat::{json, repl};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How many commands wait for the node, and how many events for the user.
const COMMANDS_MAX: usize = 64;
const EVENTS_MAX: usize = 1024;

/// How long the node may take to close its connections after it has left.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let options = Options::of_process();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, whatever the reason holds; and a standard error that is closed is no new failure.
            let reason = repl::safe::line(&format!("{error:#}"));
            let _ = writeln!(io::stderr(), "chat: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    // One thread is enough: the node is one task, and those who wait for the user have their own threads.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(chat(options));
    // Looking up a host name cannot be cancelled; the end does not wait for it.
    runtime.shutdown_background();
    result
}

/// Runs the node and the front end side by side until the node has stopped.
async fn chat(options: &Options) -> anyhow::Result<()> {
    let (commands, commands_receiver) = mpsc::channel(COMMANDS_MAX);
    let (events_sender, events) = mpsc::channel(EVENTS_MAX);
    let mut node = Box::pin(run_node(options, commands_receiver, events_sender));
    let mut front = Box::pin(run_front_end(options, NodeLink { commands, events }));
    tokio::select! {
        ending = &mut front => {
            // Whoever stops at once does not wait for the node either.
            if ending.is_ok() && let Ok(stopped) = timeout(CLOSE_TIME_MAX, node).await {
                stopped?;
            }
            ending
        }
        stopped = &mut node => {
            stopped?;
            front.await
        }
    }
}

async fn run_front_end(options: &Options, link: NodeLink) -> anyhow::Result<()> {
    let ending = match options.json {
        true => json::run(link).await?,
        false => repl::run(&options.nick, &[], link).await?,
    };
    ending.into_result()
}

async fn run_node(
    options: &Options,
    _commands: mpsc::Receiver<Command>,
    _events: mpsc::Sender<Event>,
) -> anyhow::Result<()> {
    anyhow::bail!("no node can run at {} yet", options.addr)
}
