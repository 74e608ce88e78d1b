//! Processes of `chat --json`: started, talked to, killed, and ended when a test is over.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chord_chat::chord::SUCCESSORS;
use chord_chat::id::{Id, NodeHandle};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take before the test fails; what is measured has tighter bounds.
pub const TIME_MAX: Duration = Duration::from_secs(30);

/// How many events of each node are shown when a test fails.
const EVENTS_SHOWN: usize = 25;

/// How often a question is asked again whose answer is not yet the right one.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// How to start a node, which keeps nothing on the disk unless it is told where.
pub fn chat(nick: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat"));
    command.args(["--nick", nick]).args(arguments).env("RUST_BACKTRACE", "0");
    if !arguments.contains(&"--data-dir") {
        command.arg("--ephemeral");
    }
    command
}

/// A process of `chat --json`.
pub struct Node {
    pub nick: String,
    child: Child,
    stdin: Option<ChildStdin>,
    log: Arc<Log>,
    handle: Option<NodeHandle>,
}

/// What a process has printed.
#[derive(Default)]
struct Log {
    written: Mutex<Written>,
    changed: Condvar,
}

#[derive(Default)]
struct Written {
    /// Each event, and when its line was read.
    events: Vec<(Instant, Value)>,
    errors: String,
    open: usize,
}

/// A place in the log of a node: what comes later is after it.
#[derive(Clone, Copy, Default)]
pub struct Mark(usize);

impl Node {
    /// A node that begins a ring.
    pub fn first(nick: &str) -> Node {
        Node::spawn(nick, &["--addr", "127.0.0.1:0"]).ready()
    }

    /// A node that has joined the ring of `via`.
    pub fn join(nick: &str, via: &Node) -> Node {
        Node::start(nick, via).ready()
    }

    /// A node that is about to join the ring of `via`.
    pub fn start(nick: &str, via: &Node) -> Node {
        let via = via.addr().to_string();
        Node::spawn(nick, &["--addr", "127.0.0.1:0", "--bootstrap", &via])
    }

    /// A process that may or may not become a node.
    pub fn spawn(nick: &str, arguments: &[&str]) -> Node {
        Node::run(nick, chat(nick, arguments))
    }

    /// The same, but the process cannot write more than so many blocks of 512 bytes into a file.
    pub fn spawn_limited(nick: &str, arguments: &[&str], blocks: usize) -> Node {
        let plain = chat(nick, arguments);
        let mut command = Command::new("sh");
        // The signal that tells of the limit would end the process: ignored, it leaves an error.
        command.args(["-c", "trap '' XFSZ; ulimit -f $0; exec \"$@\"", &blocks.to_string()]);
        command.arg(plain.get_program()).args(plain.get_args());
        Node::run(nick, command)
    }

    /// The process of this command, which runs `chat` with this nick.
    pub fn run(nick: &str, mut command: Command) -> Node {
        command.arg("--json");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Log::default());
        log.written.lock().unwrap().open = 2;
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        thread::spawn({
            let log = log.clone();
            move || log.read_events(BufReader::new(stdout))
        });
        thread::spawn({
            let log = log.clone();
            move || log.read_errors(stderr)
        });
        let stdin = child.stdin.take();
        Node { nick: nick.to_owned(), child, stdin, log, handle: None }
    }

    /// The node once it is a member of its ring.
    pub fn ready(mut self) -> Node {
        let ready = self.wait("ready", |event| is(event, "ready"));
        let addr: SocketAddr = text(&ready, "addr").parse().unwrap();
        let handle = NodeHandle::new(addr);
        assert_eq!(text(&ready, "id"), handle.id().to_string(), "an id is the hash of the address");
        self.handle = Some(handle);
        self
    }

    pub fn handle(&self) -> NodeHandle {
        self.handle.expect("the node was ready once")
    }

    pub fn addr(&self) -> SocketAddr {
        self.handle().addr()
    }

    pub fn id(&self) -> Id {
        self.handle().id()
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Types a line.
    pub fn types(&mut self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
    }

    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("the input has not ended");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).unwrap();
    }

    /// Nothing more is typed.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Ends the process as a crash does, and waits until it is gone.
    pub fn crash(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What comes from now on is after this.
    pub fn mark(&self) -> Mark {
        Mark(self.log.written.lock().unwrap().events.len())
    }

    /// The first event that is wanted, waited for.
    pub fn wait(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.wait_after(Mark(0), what, wanted).1
    }

    /// The first event after `mark` that is wanted, and when it came.
    pub fn wait_after(&self, mark: Mark, what: &str, wanted: impl Fn(&Value) -> bool) -> (Instant, Value) {
        let mut next = mark.0;
        self.log.wait(&self.nick, what, |written| {
            let found = written.events[next..].iter().find(|(_, event)| wanted(event)).cloned();
            next = written.events.len();
            found
        })
    }

    /// Waits until `count` events after `mark` are wanted, and returns them.
    pub fn wait_for(
        &self,
        mark: Mark,
        count: usize,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Vec<Value> {
        let (mut next, mut found) = (mark.0, Vec::new());
        self.log.wait(&self.nick, what, |written| {
            found.extend(
                written.events[next..].iter().map(|(_, event)| event).filter(|event| wanted(event)).cloned(),
            );
            next = written.events.len();
            (count <= found.len()).then(|| std::mem::take(&mut found))
        })
    }

    /// Types a line, and waits for the event that answers it.
    pub fn ask(&mut self, line: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mark = self.mark();
        self.types(line);
        self.wait_after(mark, line, wanted).1
    }

    /// All events so far.
    pub fn events(&self) -> Vec<Value> {
        self.log.written.lock().unwrap().events.iter().map(|(_, event)| event.clone()).collect()
    }

    /// All events after `mark`.
    pub fn events_after(&self, mark: Mark) -> Vec<Value> {
        self.events().split_off(mark.0)
    }

    /// What this node knows of its ring.
    pub fn ring(&mut self) -> Value {
        self.ask("ring", |event| is(event, "ring_state"))
    }

    pub fn join_channel(&mut self, channel: &str) {
        self.ask(&format!("join #{channel}"), |event| is(event, "joined") && event["channel"] == channel);
    }

    /// Sends a message, and waits until it is stored.
    pub fn send(&mut self, channel: &str, text: &str) {
        let line = format!("send #{channel} {text}");
        let sent = self.ask(&line, |event| is(event, "sent") && event["state"] != "queued");
        assert_eq!(sent["state"], "stored", "{line}: {sent}");
    }

    /// The node that keeps a channel or a name, as this node finds it.
    pub fn root_of(&mut self, target: &str) -> Id {
        let trace =
            self.ask(&format!("trace {target}"), |event| is(event, "trace") && event["target"] == target);
        text(&trace["root"], "id").parse().unwrap()
    }

    /// How often this message was shown.
    pub fn count(&self, wanted: &str) -> usize {
        self.events().iter().filter(|event| is_message(event, wanted)).count()
    }

    pub fn wait_for_message(&self, wanted: &str) -> Value {
        self.wait(wanted, |event| is_message(event, wanted))
    }

    /// Whether everything was read that the process will ever print.
    pub fn has_ended(&self) -> bool {
        self.log.written.lock().unwrap().open == 0
    }

    /// Waits until the process has ended: its status, and what it said on standard error.
    pub fn status(&mut self) -> (ExitStatus, String) {
        let errors = self.log.wait(&self.nick, "the end of the output", |written| {
            (written.open == 0).then(|| written.errors.clone())
        });
        (self.child.wait().unwrap(), errors)
    }

    /// Waits until the process has ended in good order.
    pub fn expect_bye(&mut self) {
        let bye = self.wait("bye", |event| is(event, "bye"));
        let (status, errors) = self.status();
        assert_eq!((status.code(), &errors[..]), (Some(0), ""), "{}: {bye}", self.nick);
        assert_eq!(bye.get("not_handed_over"), None);
    }

    pub fn exit(&mut self) {
        self.types("exit");
        self.expect_bye();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.log.last(&self.nick, self.handle));
        }
        // Whoever has ended already cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Log {
    fn read_events(&self, lines: impl BufRead) {
        for line in lines.lines() {
            let Ok(line) = line else { break };
            let event: Value = serde_json::from_str(&line).unwrap_or(Value::String(line));
            self.change(|written| written.events.push((Instant::now(), event)));
        }
        self.change(|written| written.open -= 1);
    }

    fn read_errors(&self, mut errors: impl Read) {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = errors.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..count]);
            self.change(|written| written.errors.push_str(&text));
        }
        self.change(|written| written.open -= 1);
    }

    fn change(&self, change: impl FnOnce(&mut Written)) {
        change(&mut self.written.lock().unwrap());
        self.changed.notify_all();
    }

    fn wait<T>(&self, nick: &str, what: &str, mut found: impl FnMut(&Written) -> Option<T>) -> T {
        let deadline = Instant::now() + TIME_MAX;
        let mut written = self.written.lock().unwrap();
        loop {
            if let Some(found) = found(&written) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let over = written.open == 0;
            if left.is_zero() || over {
                let why = if over { "the process has ended" } else { "no time is left" };
                // The lock is given back, so that the last events can be shown.
                drop(written);
                panic!("{nick}: waited for {what:?}, and {why}");
            }
            written = self.changed.wait_timeout(written, left).unwrap().0;
        }
    }

    /// What the node printed last.
    fn last(&self, nick: &str, handle: Option<NodeHandle>) -> String {
        let written = self.written.lock().unwrap();
        // What was asked again and again says little.
        let told: Vec<&Value> =
            written.events.iter().map(|(_, event)| event).filter(|event| !is(event, "ring_state")).collect();
        let skipped = told.len().saturating_sub(EVENTS_SHOWN);
        let events: Vec<String> = told[skipped..].iter().map(|event| format!("  {event}\n")).collect();
        format!("{nick} ({handle:?}), after {skipped} events:\n{}{}", events.concat(), written.errors)
    }
}

pub fn is(event: &Value, name: &str) -> bool {
    event["event"] == name
}

pub fn is_message(event: &Value, wanted: &str) -> bool {
    is(event, "message") && event["text"] == wanted
}

/// A field that holds a text.
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("a text {field} in {value}"))
}

/// A ring of `count` nodes, whose nicks are `n0`, `n1`, …; they join through different nodes, all at once.
pub fn ring_of(count: usize) -> Vec<Node> {
    let mut nodes = vec![Node::first("n0")];
    while nodes.len() < count {
        // Each round doubles the ring.
        let more = nodes.len().min(count - nodes.len());
        let starting: Vec<Node> =
            (0..more).map(|i| Node::start(&format!("n{}", nodes.len() + i), &nodes[i])).collect();
        nodes.extend(starting.into_iter().map(Node::ready));
    }
    wait_for_ring(&mut nodes);
    nodes
}

/// Waits until every node knows its true place among `nodes`, which are all nodes of the ring.
pub fn wait_for_ring(nodes: &mut [Node]) {
    nodes.sort_by_key(Node::id);
    let ids: Vec<Id> = nodes.iter().map(Node::id).collect();
    for node in nodes {
        wait_until(&format!("the ring around {}", node.nick), || is_in_place(node, &ids));
    }
}

/// Whether a node's ring is as it should be, where all nodes of the ring have these ids, in their order.
pub fn is_in_place(node: &mut Node, ids: &[Id]) -> bool {
    let ring = node.ring();
    let place = ids.iter().position(|id| *id == node.id()).expect("the node is in the ring");
    let others: Vec<String> = ids[place + 1..].iter().chain(&ids[..place]).map(Id::to_string).collect();
    let id = |node: &Value| node["id"].as_str().map(str::to_owned);
    let successors: Option<Vec<String>> = ring["successors"].as_array().unwrap().iter().map(id).collect();
    let expected: Vec<String> = others.iter().take(SUCCESSORS).cloned().collect();
    id(&ring["predecessor"]) == others.last().cloned() && successors == Some(expected)
}

/// Asks until the answer is yes.
pub fn wait_until(what: &str, mut answer: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIME_MAX;
    while !answer() {
        assert!(Instant::now() < deadline, "waited for {what}");
        thread::park_timeout(ASK_EVERY);
    }
}

/// The node with this id, taken out of `nodes`.
pub fn take(nodes: &mut Vec<Node>, id: Id) -> Node {
    let place = nodes.iter().position(|node| node.id() == id).expect("the node is one of these");
    nodes.remove(place)
}

/// The middle and nearly the last of some times.
pub fn figures(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    format!(
        "{} times: p50 {:.1?}, p99 {:.1?}, longest {:.1?}",
        times.len(),
        at(50),
        at(99),
        times[times.len() - 1]
    )
}
