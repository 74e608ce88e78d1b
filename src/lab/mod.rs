//! `chat net`: a network of many nodes, for who learns from a ring or studies one.
//!
//! command -> node: a request over HTTP, see [`crate::http`]
//! node -> command: JSON
//!
//! One network is one directory: `net.json` says which nodes there are, `token` has what lets the commands change
//! them, and each node has a file for what it tells.
//! A node is a process of its own that goes on when the command has ended: `chat --headless --http`.
//! On another machine, this same program looks after its nodes, and is asked by ssh.

mod boot;
mod client;
mod find;
mod hosted;
mod hosts;
mod link;
mod options;
mod process;
mod progress;
mod look;
mod monitor;
mod state;
mod stop;
mod values;

use std::fmt;
use std::io::{self, IsTerminal, Write};

use anyhow::Context;

pub use self::options::Options;
use self::options::{Command, On};
use self::state::Lab;
use crate::repl;

/// Carries out one command.
///
/// # Errors
///
/// Whatever it could not do, in words.
pub fn run(options: Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    match runtime.block_on(carry_out(options)) {
        Err(error) if error.is::<NotRead>() => Ok(()),
        result => result,
    }
}

async fn carry_out(Options { dir, command }: Options) -> anyhow::Result<()> {
    let lab = Lab::new(dir)?.linked(command.node()).await?;
    match command {
        Command::Boot { count, on } => boot::boot(&lab, count, &on).await,
        Command::Add => boot::add(&lab, 1, &On::default()).await,
        Command::Addmany { count, on } => boot::add(&lab, count, &on).await,
        Command::Ps => look::ps(&lab).await,
        Command::Nodeinfo { node } => look::node_info(&lab, &node).await,
        Command::Logs { node, follow } => look::logs(&lab, &node, follow).await,
        Command::Monitor { once, json } => monitor::monitor(&lab, monitor::Manner { once, json }).await,
        Command::Find { key, linear } => find::find(&lab, &key, linear).await,
        Command::Store { value } => values::store(&lab, &value).await,
        Command::Put { key, value } => values::put(&lab, &key, value.as_bytes()).await,
        Command::Storemany { count } => values::store_many(&lab, count).await,
        Command::Lookup { value } => values::get(&lab, &value).await,
        Command::Get { key, path: false } => values::get(&lab, &key).await,
        Command::Get { key, path: true } => values::get_with_path(&lab, &key).await,
        Command::Delete { key } => values::delete(&lab, &key).await,
        Command::Load { file } => values::load(&lab, &file).await,
        Command::Leave { node } => stop::leave(&lab, &node).await,
        Command::Kill { node } => stop::kill(&lab, &node).await,
        Command::Killall => stop::kill_all(&lab).await,
        Command::Hosted => hosted::serve(&lab).await,
    }
}

/// So many nodes, in words.
fn nodes(count: usize) -> String {
    if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") }
}

/// Who reads what a command says has gone, as with `| head`: then there is nobody to be told more.
#[derive(Debug)]
struct NotRead;

impl fmt::Display for NotRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads what is said")
    }
}

impl std::error::Error for NotRead {}

/// Writes a line for the user.
fn say(line: &str) -> anyhow::Result<()> {
    write((line.to_owned() + "\n").as_bytes())
}

/// Tells what does not end the command.
fn warn(line: &str) {
    // A standard error that is closed is no failure.
    let _ = writeln!(io::stderr(), "chat: {}", repl::safe::line(line));
}

/// Tells on standard error what is no part of what was asked for.
fn aside(line: &str) {
    // A standard error that is closed is no failure.
    let _ = writeln!(io::stderr(), "{}", repl::safe::line(line));
}

/// Writes what somebody has kept: as it is, but on a terminal without the power to command that.
fn show(value: &[u8]) -> anyhow::Result<()> {
    if io::stdout().is_terminal() {
        return say(&repl::safe::line(&String::from_utf8_lossy(value)));
    }
    write(value)?;
    write(b"\n")
}

fn write(bytes: &[u8]) -> anyhow::Result<()> {
    io::stdout().write_all(bytes).map_err(|_| NotRead.into())
}
