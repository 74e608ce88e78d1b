//! The program itself: 32 processes that form a ring.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::figures::{median, quantile, show_figure};
use super::{FRAME_BYTES, is_ephemeral};

const PROCESSES: usize = 32;
const STARTS: usize = 20;
const CHANNELS: usize = 5;
const MESSAGES: usize = 1_000;

/// How long the nodes may take to come to rest.
const SETTLE_SECONDS_MAX: usize = 30;

/// How long the nodes that do nothing are measured.
const IDLE: Duration = Duration::from_secs(30);

/// How many ticks of the system's clock, in which it counts a process's time, make a second.
const TICKS: f64 = 100.0;

struct Chat {
    child: Child,
    input: ChildStdin,
    events: mpsc::Receiver<Value>,
    /// From the start of the process to its first event, `ready`.
    start: Duration,
    addr: String,
    /// Where it keeps its data.
    _directory: TempDir,
}

impl Chat {
    fn start(nick: &str, bootstrap: Option<&str>) -> Chat {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat"));
        command.args(["--json", "--nick", nick, "--addr", "127.0.0.1:0", "--network", "bench"]);
        let directory = tempfile::tempdir().expect("a directory");
        match is_ephemeral() {
            true => command.arg("--ephemeral"),
            false => command.arg("--data-dir").arg(directory.path()),
        };
        command.args(bootstrap.iter().flat_map(|&addr| ["--bootstrap", addr]));
        let started = Instant::now();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let input = child.stdin.take().expect("its input");
        let (tell, events) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let event: Value = serde_json::from_str(&line).expect("an object on each line");
                // Whoever would read may have ended.
                let _ = tell.send(event);
            }
        });
        let mut chat =
            Chat { child, input, events, start: Duration::ZERO, addr: String::new(), _directory: directory };
        let ready = chat.wait_for("ready");
        chat.start = started.elapsed();
        ready["addr"].as_str().expect("an address").clone_into(&mut chat.addr);
        chat
    }

    fn wait_for(&self, name: &str) -> Value {
        loop {
            let event = self.events.recv_timeout(Duration::from_secs(10)).expect("an event");
            if event["event"] == name {
                return event;
            }
        }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("the program reads");
    }

    fn exit(&mut self) {
        self.say("exit");
        self.wait_for("bye");
        self.child.wait().expect("it ends");
    }

    /// Its memory, in MiB.
    fn memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
    }

    /// The time that it has used, in seconds.
    fn time_used(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let (_, fields) = stat.rsplit_once(')').expect("the name in brackets");
        let ticks = |i| fields.split_whitespace().nth(i).and_then(|field| field.parse().ok());
        ticks(11).zip(ticks(12)).map(|(user, system): (f64, f64)| user + system).expect("numbers") / TICKS
    }
}

/// How long private messages take from the line that is typed to the line that says `delivered`.
fn talk(chat: &mut Chat, to: &str) -> Vec<Duration> {
    let line = format!("msg {to} {}", "x".repeat(FRAME_BYTES));
    let mut times = Vec::with_capacity(MESSAGES);
    for _ in 0..MESSAGES {
        let started = Instant::now();
        chat.say(&line);
        while chat.wait_for("sent")["state"] != "delivered" {}
        times.push(started.elapsed());
    }
    times
}

/// What has gone over the loopback interface so far, in bytes.
fn on_loopback() -> u64 {
    let interfaces = fs::read_to_string("/proc/net/dev").expect("Linux tells");
    let line = interfaces.lines().find_map(|line| line.trim().strip_prefix("lo:")).expect("a loopback");
    line.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).expect("a number")
}

/// Waits until one second is like the one before; on a machine with other traffic, for so long at most.
fn settle() {
    let (mut last, mut before) = (on_loopback(), u64::MAX);
    for _ in 0..SETTLE_SECONDS_MAX {
        // What goes by in a second is what is compared.
        thread::sleep(Duration::from_secs(1));
        let now = on_loopback();
        let (this, then) = (now - last, before);
        (last, before) = (now, this);
        if this.abs_diff(then) < then / 10 {
            return;
        }
    }
}

/// How long one more node takes until it is ready, and memory and time of idle nodes.
pub fn measure() {
    println!("\n{PROCESSES} processes of the program, one ring");
    let mut chats = vec![Chat::start("p0", None)];
    for i in 1..PROCESSES {
        let bootstrap = chats[0].addr.clone();
        chats.push(Chat::start(&format!("p{i}"), Some(&bootstrap)));
    }
    settle();
    let mut starts = Vec::new();
    for i in 0..STARTS {
        let bootstrap = chats[i % PROCESSES].addr.clone();
        let mut late = Chat::start(&format!("late{i}"), Some(&bootstrap));
        starts.push(late.start);
        late.exit();
    }
    let millis = |q| quantile(&starts, q).as_secs_f64() * 1e3;
    show_figure("start of one more until it is ready, p50", millis(0.5), "ms", Some(100.0));
    show_figure("start of one more until it is ready, slowest", millis(1.0), "ms", None);
    for chat in &mut chats {
        for channel in 0..CHANNELS {
            chat.say(&format!("join #idle{channel}"));
        }
        for _ in 0..CHANNELS {
            chat.wait_for("joined");
        }
    }
    let talk = talk(&mut chats[0], "p1");
    let micros = |q| quantile(&talk, q).as_secs_f64() * 1e6;
    show_figure("msg typed → delivered, through pipes and JSON, p50", micros(0.5), "µs", None);
    show_figure("msg typed → delivered, through pipes and JSON, p99", micros(0.99), "µs", None);
    let times_used = |chats: &[Chat]| chats.iter().map(Chat::time_used).sum::<f64>();
    settle();
    let before = times_used(&chats);
    // What is measured is what happens while nobody does anything.
    thread::sleep(IDLE);
    let share = (times_used(&chats) - before) / IDLE.as_secs_f64() / PROCESSES as f64;
    let memory: Vec<f64> = chats.iter().map(Chat::memory).collect();
    show_figure("memory of an idle node, p50", median(&memory), "MiB", Some(8.0));
    show_figure("memory of an idle node, greatest", memory.iter().copied().fold(0.0, f64::max), "MiB", None);
    show_figure("an idle node's share of a core, 5 channels", share * 100.0, "%", None);
    for chat in chats.iter_mut().rev() {
        chat.exit();
    }
}
