//! A program with the real front ends and a node that does what the test tells it.
//!
//! The program is this test's own executable, which is started again to run the one test that calls
//! [`program`]; so the front ends get a process of their own, with its terminal, signals and exit status.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::{env, process, thread};

use chord_chat::chat::command::COMMANDS;
use chord_chat::chat::event::{Event, MessageId, Recipient, RingOrigin, SentState};
use chord_chat::id::NodeHandle;
use chord_chat::node;
use chord_chat::records::name::{ChannelName, Nick};
use chord_chat::repl::session::NodeLink;
use chord_chat::{json, repl};
use tokio::sync::mpsc;

/// Where the program finds the test; without it the program does nothing.
const TEST_ADDRESS: &str = "CHAT_TEST_ADDRESS";
const JSON: &str = "CHAT_TEST_JSON";

/// The test's side of the program's node.
pub struct Puppet {
    listener: TcpListener,
    stream: Option<TcpStream>,
}

impl Puppet {
    pub fn new() -> Puppet {
        Puppet { listener: TcpListener::bind("127.0.0.1:0").unwrap(), stream: None }
    }

    /// How to start the program.
    pub fn command(&self, json: bool) -> Command {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "the_program", "--nocapture", "--test-threads=1"]);
        command.env(TEST_ADDRESS, self.listener.local_addr().unwrap().to_string());
        command.env("TERM", "xterm-256color").env("NO_COLOR", "1").env("RUST_BACKTRACE", "0");
        if json {
            command.env(JSON, "1");
        }
        command
    }

    /// Tells the node what to do; the first call waits until the program runs.
    pub fn tell(&mut self, order: &str) {
        self.try_to_tell(order).unwrap();
    }

    /// Tells the node what to do, if the program still runs.
    pub fn try_to_tell(&mut self, order: &str) -> io::Result<()> {
        let stream = self.stream.get_or_insert_with(|| self.listener.accept().unwrap().0);
        stream.write_all(format!("{order}\n").as_bytes())
    }
}

/// What the program does: like `main`, with a node that obeys the test.
pub fn program() {
    let Ok(address) = env::var(TEST_ADDRESS) else { return };
    // The test harness has begun a line.
    println!();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = runtime.block_on(async {
        let (commands, commands_receiver) = mpsc::channel(16);
        let (events_sender, events) = mpsc::channel(16);
        let (orders_sender, orders) = mpsc::channel(16);
        thread::spawn(move || read_orders(&address, &orders_sender));
        let node = run_node(commands_receiver, orders, events_sender);
        let link = NodeLink { commands, events };
        let front = async {
            match env::var_os(JSON) {
                Some(_) => json::run(link).await,
                None => repl::run(&nick("alice"), COMMANDS, None, link).await,
            }
        };
        tokio::pin!(front);
        // As in `main`: when the front end has had enough, it does not wait for the node.
        tokio::select! {
            ending = &mut front => ending,
            () = node => front.await,
        }
    });
    runtime.shutdown_background();
    let status = match result.and_then(repl::session::Ending::into_result) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "chat: {error:#}");
            1
        }
    };
    process::exit(status);
}

fn read_orders(address: &str, orders: &mpsc::Sender<String>) {
    let stream = TcpStream::connect(address).unwrap();
    for order in BufReader::new(stream).lines() {
        let Ok(order) = order else { return };
        if orders.blocking_send(order).is_err() {
            return;
        }
    }
}

fn nick(name: &str) -> Nick {
    name.parse().unwrap()
}

fn said(from: &str, text: &str) -> Event {
    let author = if from == "alice" { me() } else { NodeHandle::new(([127, 0, 0, 1], 7001).into()) };
    Event::Message {
        channel: "rust".parse().unwrap(),
        from: nick(from),
        text: text.to_owned(),
        id: MessageId { author, counter: 1 },
        epoch: 1,
        seq: 1,
        history: false,
        late: false,
    }
}

fn error(message: &str) -> Event {
    Event::Error { command: "node".into(), message: message.to_owned() }
}

fn me() -> NodeHandle {
    NodeHandle::new(([127, 0, 0, 1], 7000).into())
}

async fn run_node(
    mut commands: mpsc::Receiver<node::Command>,
    mut orders: mpsc::Receiver<String>,
    events: mpsc::Sender<Event>,
) {
    let mut stubborn = false;
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(node::Command::Exit) if stubborn => {}
                Some(node::Command::Exit) | None => break,
                Some(node::Command::Line(line)) => {
                    for event in answer(&line) {
                        events.send(event).await.unwrap();
                    }
                }
                Some(node::Command::Start { .. } | node::Command::Ask(..)) => {}
            },
            order = orders.recv() => match order.as_deref().map(|order| order.split_once(' ').unwrap_or((order, ""))) {
                Some(("ready", _)) => {
                    let ring = RingOrigin::Created;
                    events.send(Event::Ready { nick: nick("alice"), node: me(), ring }).await.unwrap();
                }
                Some(("say", text)) => events.send(said("bob", text)).await.unwrap(),
                Some(("error", text)) => events.send(error(text)).await.unwrap(),
                Some(("stubborn", _)) => stubborn = true,
                Some(("stop", _)) => break,
                Some(("panic", _)) => panic!("as the test wants it"),
                Some(order) => panic!("{order:?}"),
                // The test is over.
                None => break,
            },
        }
    }
    // Nobody hears it if the program is stopping at once.
    let _ = events.send(Event::Bye { not_handed_over: vec![] }).await;
}

fn answer(line: &str) -> Vec<Event> {
    let mut words = line.splitn(3, ' ');
    let (name, channel, text) = (words.next(), words.next(), words.next());
    let channel = channel.unwrap_or("none").parse::<ChannelName>();
    match (name, channel, text) {
        (Some("join"), Ok(channel), _) => {
            vec![Event::Joined { channel, members: vec![nick("alice"), nick("bob")] }]
        }
        (Some("send"), Ok(channel), Some(text)) => {
            let id = MessageId { author: me(), counter: 1 };
            let to = Recipient::Channel(channel);
            let sent = Event::Sent { id, to, text: text.to_owned(), state: SentState::Delivered };
            vec![said("alice", text), sent]
        }
        (Some(""), ..) => vec![],
        _ => vec![error(&format!("unknown: {line}"))],
    }
}
