//! The `chat` program.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use chord_chat::chat::command::COMMANDS;
use chord_chat::chat::event::Event;
use chord_chat::cli::Options;
use chord_chat::http::{self, Asks, Events, HealthOptions, Token};
use chord_chat::id::NodeHandle;
use chord_chat::net::{
    Clock, Config, Driver, NETWORK, News, address_towards, bootstrap, find_known, look_up,
};
use chord_chat::node::kept::Kept;
use chord_chat::node::{Command, Node};
use chord_chat::records::name::{Nick, Person};
use chord_chat::repl::session::NodeLink;
use chord_chat::repl::text::Text;
use chord_chat::store::{self, Damage, FILE_NAME, Writer, data_directory, shell_word};
use chord_chat::{json, lab, repl, simulate};
use rustix::system::uname;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// From how many hosts it is told that they speak another version or belong to another network.
const PARTED_MAX: usize = 100;

/// How many events wait for the front end, which takes them at once.
const EVENTS_MAX: usize = 1024;

/// How often a node that was in a ring before looks for it, and how long it waits in between.
const ROUNDS: usize = 3;
const ROUND_PAUSE: Duration = Duration::from_millis(500);

/// How long to wait until it is looked again who is at --bootstrap: at first and, twice as long each time, at last,
/// where nobody else is there and where somebody is.
///
/// A server of names may say for half a minute that there is nobody, although somebody has come meanwhile.
const LOOK_PAUSE_MIN: Duration = Duration::from_secs(1);
const LOOK_PAUSE_ALONE: Duration = Duration::from_secs(5);
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(60);

/// In which file of the directory the lines are kept that the user types.
const TYPED_FILE: &str = "typed";

/// How long the node may take to close its connections after it has left.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == "sim") {
        return main_of_sim();
    }
    if std::env::args_os().nth(1).is_some_and(|word| word == "net") {
        return end(lab::run(lab::Options::of_process()));
    }
    if std::env::args_os().nth(1).is_some_and(|word| word == "health") {
        return end(http::health(&HealthOptions::of_process()));
    }
    end(run(&Options::of_process()))
}

fn end(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, whatever the reason holds; and a standard error that is closed is no new failure.
            let reason = repl::safe::line(&format!("{error:#}"));
            let _ = writeln!(io::stderr(), "chat: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// `chat sim`.
fn main_of_sim() -> ExitCode {
    simulate::run(&simulate::Options::of_process()).unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "chat: the report cannot be written: {error}");
        ExitCode::FAILURE
    })
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
    let nick = own_nick(options)?;
    let Disk { kept, writer, typed, data_options, mut notes } = open_disk(options, &nick)?;
    let config = Config::new(options.network.clone());
    let web = open_web(options).await?;
    let clock = Clock::start();
    let place = find_place(options, kept.as_ref(), &config, &mut notes);
    let place = match &web {
        // Whoever asks meanwhile is told that it is not in the ring.
        Some((listener, _)) => http::refuse_until(listener, place).await,
        None => place.await,
    };
    let Place { listener, node, bootstrap } = place.map_err(|error| after_notes(&notes, &error))?;
    let person = new_person()?;
    let mut machine = Node::new(nick.clone(), node, clock.now()).with_history(options.history);
    machine = machine.with_data_options(data_options);
    machine = match kept {
        Some(kept) => machine.with_disk(clock.now(), kept, person, &options.network),
        None => machine.with_person(person),
    };
    let (mut driver, controls) = Driver::new(machine, listener, config, clock);
    if let Some(writer) = writer {
        driver = driver.with_disk(writer);
    }
    controls.commands.send(Command::Start { bootstrap }).await.context("the node has stopped")?;
    let (events_sender, events) = mpsc::channel(EVENTS_MAX);
    for note in notes {
        events_sender.send(node_error(note)).await.context("the front end has stopped")?;
    }
    // Both end when the node has stopped.
    let running = tokio::spawn(driver.run());
    let asks = Asks::new(controls.commands.clone());
    let watched = Events::default();
    let passing_on = tokio::spawn(pass_on(controls.news, events_sender, asks.clone(), watched.clone()));
    let looking =
        options.or_begin.then(|| tokio::spawn(keep_looking(options.bootstrap.clone(), node, asks.clone())));
    let serve = |(listener, token)| http::serve(listener, asks, watched, controls.traffic, token);
    let serving = web.map(|web| tokio::spawn(serve(web)));
    let ending = run_front_end(options, &nick, typed, NodeLink { commands: controls.commands, events }).await;
    if ending.is_err() {
        // Whoever stops at once does not wait for the node either.
        controls.abort.cancel();
    }
    // What is not closed by then, the end of the process closes.
    let _ = timeout(CLOSE_TIME_MAX, running).await;
    passing_on.abort();
    for task in [serving, looking].into_iter().flatten() {
        task.abort();
    }
    ending
}

/// The name of the user, or of the host where nobody sits at the node.
fn own_nick(options: &Options) -> anyhow::Result<Nick> {
    if let Some(nick) = &options.nick {
        return Ok(nick.clone());
    }
    let system = uname();
    let host = system.nodename().to_string_lossy();
    let name = host.split('.').next().unwrap_or_default();
    name.parse().map_err(|rule| {
        anyhow!("{name:?}, the host's name, cannot be that of a node: {rule}; give --nick NAME")
    })
}

/// Looks again and again who is at --bootstrap, for as long as the node runs: nodes that have begun a ring at the
/// same time so come to be in one.
async fn keep_looking(addresses: Vec<String>, me: NodeHandle, asks: Asks) {
    let mut pause = LOOK_PAUSE_MIN;
    loop {
        sleep(pause).await;
        let mut others = look_up(&addresses).await;
        others.retain(|node| *node != me);
        pause = pause_after(pause, others.is_empty());
        for node in others {
            asks.unite(node).await;
        }
    }
}

/// How long to wait until the next look, after one that came after `pause` and found somebody or nobody.
fn pause_after(pause: Duration, is_alone: bool) -> Duration {
    (pause * 2).min(if is_alone { LOOK_PAUSE_ALONE } else { LOOK_PAUSE_MAX })
}

/// Where the node is served over HTTP, if it is, and the token for what changes something.
async fn open_web(options: &Options) -> anyhow::Result<Option<(TcpListener, Token)>> {
    let Some(address) = options.http else { return Ok(None) };
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot serve HTTP at {address}"))?;
    let bound = listener.local_addr().context("cannot tell where HTTP is served")?;
    let (token, where_it_is) = match &options.http_token_file {
        Some(file) => (Token::in_file(file)?, format!("the token is in {}", file.display())),
        None => {
            let token = Token::new()?;
            let told = format!("the token is {token}");
            (token, told)
        }
    };
    eprintln!("chat: HTTP at http://{bound}; {where_it_is}");
    Ok(Some((listener, token)))
}

/// The reason why a start has failed, after what the user should know all the same: in one line.
fn after_notes(notes: &[String], error: &anyhow::Error) -> anyhow::Error {
    let reason = format!("{error:#}");
    anyhow!(notes.iter().chain([&reason]).map(String::as_str).collect::<Vec<_>>().join("; "))
}

/// What is on the disk, if there is one, and what the user should know of it.
#[derive(Default)]
struct Disk {
    kept: Option<Kept>,
    writer: Option<Writer>,
    /// Where the lines are kept that the user types.
    typed: Option<PathBuf>,
    /// What is to be said on the command line to take the same directory, whatever the nick.
    data_options: String,
    notes: Vec<String>,
}

fn open_disk(options: &Options, nick: &Nick) -> anyhow::Result<Disk> {
    let directory = match (&options.data_dir, options.ephemeral) {
        (_, true) => return Ok(Disk::default()),
        (Some(directory), false) => directory.clone(),
        (None, false) => {
            let network = Some(&options.network[..]).filter(|network| *network != NETWORK);
            data_directory(nick, network)?
        }
    };
    let opened = store::open(&directory)?;
    let kept = Kept::read(opened.items);
    if let Some(network) = kept.network.as_ref().filter(|network| **network != options.network) {
        return Err(anyhow!(
            "the data in {} belongs to the network {network}, not to {}: choose another directory with --data-dir DIR, or --network {network}",
            directory.display(),
            options.network
        ));
    }
    let mut notes = Vec::new();
    match opened.damage {
        Some(Damage::SetAside(path)) => notes.push(format!(
            "the file with what this node kept was damaged: it is now {}, and a new one was begun",
            path.display()
        )),
        Some(Damage::Empty) => notes.push(format!(
            "the file with what this node kept was empty: {} was begun anew",
            directory.join(FILE_NAME).display()
        )),
        None => {}
    }
    if 0 < kept.unreadable {
        notes.push(format!(
            "{} things in {} could not be read and were passed over: another version of chat may have written them",
            kept.unreadable,
            directory.display()
        ));
    }
    let typed = Some(directory.join(TYPED_FILE));
    let data_options = format!(" --data-dir {}", shell_word(&directory));
    Ok(Disk { kept: Some(kept), writer: Some(opened.writer), typed, data_options, notes })
}

fn new_person() -> anyhow::Result<Person> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("the system gives no random numbers")?;
    Ok(Person::new(bytes))
}

/// Where a node listens, and whom it knows of the ring, if anybody.
struct Place {
    listener: TcpListener,
    node: NodeHandle,
    bootstrap: Option<NodeHandle>,
}

async fn find_place(
    options: &Options,
    kept: Option<&Kept>,
    config: &Config,
    notes: &mut Vec<String>,
) -> anyhow::Result<Place> {
    let listener = listen(options, kept).await?;
    let bound = listener.local_addr().context("cannot tell where this node listens")?;
    let node = NodeHandle::new(reached_at(options, bound).await?);
    let known = kept.map_or(&[][..], |kept| &kept.known);
    let bootstrap = find_ring(options, node, bound, config, known, notes).await?;
    Ok(Place { listener, node, bootstrap })
}

/// The address that others are told.
async fn reached_at(options: &Options, bound: SocketAddr) -> anyhow::Result<SocketAddr> {
    let told = options.advertised(bound);
    if !told.ip().is_unspecified() {
        return Ok(told);
    }
    let ip = address_towards(&look_up(&options.bootstrap).await, bound).with_context(|| {
        let names = options.bootstrap.join(", ");
        format!("no way to {names}, so it is not known at which address others reach this node: give --advertise IP:PORT")
    })?;
    Ok(SocketAddr::new(ip, told.port()))
}

/// Listens where the user says; where any port will do, at that of the time before, if it is free: so a
/// node that restarts is the same node.
async fn listen(options: &Options, kept: Option<&Kept>) -> anyhow::Result<TcpListener> {
    let former = kept.and_then(|kept| kept.node).map(|node| node.addr());
    if let Some(former) = former
        && options.addr.port() == 0
        && former.ip() == options.addr.ip()
        && let Ok(listener) = TcpListener::bind(former).await
    {
        return Ok(listener);
    }
    TcpListener::bind(options.addr).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => anyhow!(
            "another program listens at {}: choose another port, or port 0 for any that is free",
            options.addr
        ),
        io::ErrorKind::AddrNotAvailable => {
            anyhow!("{} is not an address of this machine", options.addr.ip())
        }
        _ => anyhow!("cannot listen at {}: {error}", options.addr),
    })
}

/// A node of the ring to join, or nobody if this one begins a ring.
///
/// Where many nodes are switched on again at once, some look for others that look themselves and do not
/// answer yet: so who was told whom to ask asks again.
async fn find_ring(
    options: &Options,
    node: NodeHandle,
    bound: SocketAddr,
    config: &Config,
    known: &[NodeHandle],
    notes: &mut Vec<String>,
) -> anyhow::Result<Option<NodeHandle>> {
    if options.or_begin {
        // All at once, as others that are started now do not answer yet: they are found later.
        let named = look_up(&options.bootstrap).await;
        return Ok(find_known(node, bound, config, &[&named, known].concat()).await);
    }
    let rounds = if options.bootstrap.is_empty() { 1 } else { ROUNDS };
    for round in 1..=rounds {
        let tried = match bootstrap(node, bound, config, &options.bootstrap).await {
            Ok((found, tried)) => {
                for (address, why) in tried.0 {
                    eprintln!("chat: {address} leads to no ring: {why}; the next one was tried");
                }
                return Ok(Some(found));
            }
            Err(tried) => tried,
        };
        if known.is_empty() && !tried.0.is_empty() {
            return Err(anyhow!("no node of a ring was found: {tried}"));
        }
        if let Some(found) = find_known(node, bound, config, known).await {
            return Ok(Some(found));
        }
        if round < rounds {
            sleep(ROUND_PAUSE).await;
        } else if !known.is_empty() {
            let others = known.len();
            let given = if tried.0.is_empty() { String::new() } else { format!("{tried}; ") };
            notes.push(format!(
                "{given}none of the {others} nodes that this one knew answers: it has begun a ring of its own"
            ));
        }
    }
    Ok(None)
}

/// Hands the news of the driver to the front end, and answers to those who asked, until the node has stopped.
async fn pass_on(
    mut news: mpsc::Receiver<News<Event>>,
    events: mpsc::Sender<Event>,
    asks: Asks,
    watched: Events,
) {
    let mut parted = BTreeSet::new();
    while let Some(news) = news.recv().await {
        let event = match news {
            News::Event(Event::Answer { ticket, answer }) => {
                asks.answered(ticket, answer);
                continue;
            }
            News::Event(event) => event,
            // Each attempt ends the same way: once is enough.
            News::Parted { address, .. } if PARTED_MAX <= parted.len() || !parted.insert(address.ip()) => {
                continue;
            }
            News::Parted { address, why } => node_error(format!("parted from {address}: {why}")),
            News::TooLong { to, bytes } => {
                node_error(format!("a message of {bytes} bytes to {to} was too long to send"))
            }
            News::DiskLost(reason) => node_error(format!(
                "the disk cannot be written ({reason}): nothing is kept on it any more; the chat goes on without it until the next start"
            )),
            News::Missed(count) => {
                node_error(format!("{count} events were lost, because they were not read in time"))
            }
        };
        watched.tell(&event, repl::session::now());
        if events.send(event).await.is_err() {
            return;
        }
    }
}

fn node_error(message: String) -> Event {
    Event::Error { command: "node".to_owned(), message }
}

async fn run_front_end(
    options: &Options,
    nick: &Nick,
    typed: Option<PathBuf>,
    link: NodeLink,
) -> anyhow::Result<()> {
    let ending = match (options.json, options.headless) {
        (true, false) => json::run(link).await?,
        (true, true) => repl::run_headless(link, json::Json).await?,
        (false, true) => repl::run_headless(link, Text::for_readers()).await?,
        (false, false) => repl::run(nick, COMMANDS, typed, link).await?,
    };
    ending.into_result()
}

#[cfg(test)]
mod tests {
    use std::iter::successors;

    use super::*;

    #[test]
    fn who_finds_nobody_looks_again_every_few_seconds_and_who_finds_somebody_once_a_minute() {
        let seconds = |is_alone: bool, count: usize| {
            let pauses = successors(Some(LOOK_PAUSE_MIN), move |&pause| Some(pause_after(pause, is_alone)));
            pauses.take(count).map(|pause| pause.as_secs()).collect::<Vec<_>>()
        };
        assert_eq!(seconds(true, 6), [1, 2, 4, 5, 5, 5]);
        assert_eq!(seconds(false, 8), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause_after(LOOK_PAUSE_MAX, true), LOOK_PAUSE_ALONE, "all others have gone");
    }
}
