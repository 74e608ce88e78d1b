//! A process of `chat --json --http`, which ends with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take.
const TIME_MAX: Duration = Duration::from_secs(30);

/// How often it is looked whether something is so that nobody tells of.
const LOOK_EVERY: Duration = Duration::from_millis(50);

const HEADLESS: &str = "--headless";

pub struct Node {
    process: Process,
    told: Arc<Told>,
    addr: SocketAddr,
    pub http: SocketAddr,
    /// The token that was told at the start, if it was.
    pub token: String,
}

/// What a process has printed: events in lines, and on standard error.
#[derive(Default)]
struct Told {
    text: Mutex<[String; 2]>,
    more: Condvar,
}

impl Told {
    fn read(&self, from: impl Read, which: usize) {
        for line in BufReader::new(from).lines() {
            let Ok(line) = line else { return };
            self.text.lock().unwrap()[which] += &(line + "\n");
            self.more.notify_all();
        }
    }

    /// The first line with `word` in it.
    fn wait(&self, which: usize, word: &str) -> String {
        let lines = self.text.lock().unwrap();
        let misses = |text: &mut [String; 2]| !text[which].contains(word);
        let (text, end) = self.more.wait_timeout_while(lines, TIME_MAX, misses).unwrap();
        assert!(!end.timed_out(), "{word} was not told: {text:?}");
        text[which].lines().find(|line| line.contains(word)).unwrap().to_owned()
    }
}

/// It ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that is not in a ring yet.
pub struct Starting {
    process: Process,
    told: Arc<Told>,
    pub http: SocketAddr,
    token: String,
}

impl Starting {
    /// A node that begins a ring, or joins that of `bootstrap`.
    pub fn begin(nick: &str, bootstrap: Option<SocketAddr>, arguments: &[&str]) -> Starting {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat"));
        command.args([
            "--nick",
            nick,
            "--addr",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--ephemeral",
            "--json",
        ]);
        command.args(arguments).env("RUST_BACKTRACE", "0");
        if let Some(bootstrap) = bootstrap {
            command.args(["--bootstrap", &bootstrap.to_string()]);
        }
        let typed = if arguments.contains(&HEADLESS) { Stdio::null() } else { Stdio::piped() };
        let mut child = command.stdin(typed).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let told = Arc::new(Told::default());
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (events, errors) = (told.clone(), told.clone());
        thread::spawn(move || events.read(stdout, 0));
        thread::spawn(move || errors.read(stderr, 1));
        let served = told.wait(1, "HTTP at ");
        let http =
            served.split("http://").nth(1).and_then(|rest| rest.split(';').next()).unwrap().parse().unwrap();
        let token =
            served.split("the token is ").nth(1).filter(|rest| !rest.starts_with("in ")).unwrap_or_default();
        Starting { process: Process(child), told, http, token: token.to_owned() }
    }
}

impl Node {
    /// A node that begins a ring, or joins that of `bootstrap`, and is ready.
    pub fn start(nick: &str, bootstrap: Option<SocketAddr>, arguments: &[&str]) -> Node {
        let Starting { process, told, http, token } = Starting::begin(nick, bootstrap, arguments);
        let ready: Value = serde_json::from_str(&told.wait(0, "\"ready\"")).unwrap();
        Node { process, told, addr: ready["addr"].as_str().unwrap().parse().unwrap(), http, token }
    }

    /// A node that nobody sits at, in a ring of its own.
    pub fn start_headless(nick: &str) -> Node {
        Node::start(nick, None, &[HEADLESS])
    }

    /// Asks the process to end, as a service manager does.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// It says nothing from now on.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// It goes on.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process.0), signal).unwrap();
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The user types a line.
    pub fn say(&self, line: &str) {
        writeln!(self.process.0.stdin.as_ref().unwrap(), "{line}").unwrap();
    }

    /// The user is told something with `word` in it.
    pub fn wait_for(&self, word: &str) {
        self.told.wait(0, word);
    }

    /// How the process ends by itself.
    pub fn ends(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the process ends", || {
            status = self.process.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

/// Waits for what no event tells.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIME_MAX;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {TIME_MAX:?}");
        thread::park_timeout(LOOK_EVERY);
    }
}
