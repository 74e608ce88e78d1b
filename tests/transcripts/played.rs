//! A transcript with real processes, which print plain lines into pipes.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chord_chat::id::NodeHandle;

use crate::script::{Nodes, Script};

/// How long anything may take before the test fails.
const TIME_MAX: Duration = Duration::from_secs(30);

/// What is typed at the end: when it is answered, all that came before has been shown.
const LAST_QUESTION: &str = "help help";
const LAST_ANSWER: &str = "help [<command>]";

/// Somebody at a process.
struct Person {
    who: String,
    child: Child,
    input: ChildStdin,
    output: Arc<(Mutex<Vec<String>>, Condvar)>,
    /// What they should have seen so far.
    expected: Vec<String>,
    has_left: bool,
}

impl Person {
    fn start(who: &str, bootstrap: Option<SocketAddr>) -> Person {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat"));
        command.args(["--nick", who, "--addr", "127.0.0.1:0", "--ephemeral"]);
        command.args(bootstrap.iter().flat_map(|addr| ["--bootstrap".to_owned(), addr.to_string()]));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, lines) =
            (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
        let output = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let printed = output.clone();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                printed.0.lock().unwrap().push(line);
                printed.1.notify_all();
            }
        });
        Person { who: who.to_owned(), child, input, output, expected: Vec::new(), has_left: false }
    }

    /// Waits until enough has been printed, and returns it.
    fn wait(&self, enough: impl Fn(&[String]) -> bool) -> Vec<String> {
        let deadline = Instant::now() + TIME_MAX;
        let mut lines = self.output.0.lock().unwrap();
        while !enough(&lines) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            lines = self.output.1.wait_timeout(lines, left).unwrap().0;
        }
        lines.clone()
    }

    /// The node, once it has told where it is.
    fn node(&self) -> NodeHandle {
        let address = |line: &String| line.strip_prefix("  address  ").map(str::to_owned);
        let lines = self.wait(|lines| lines.iter().any(|line| address(line).is_some()));
        let address =
            lines.iter().find_map(address).unwrap_or_else(|| panic!("{} is ready: {lines:?}", self.who));
        NodeHandle::new(address.parse().unwrap())
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        // Whoever has ended already cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Checks that everybody sees what is written, and nothing else.
pub fn check(path: &Path, script: &Script) {
    let mut people: Vec<Person> = Vec::new();
    let mut nodes = Nodes::default();
    for step in &script.steps {
        if step.starts {
            let first = people.first().map(|first| first.node().addr());
            let person = Person::start(&step.who, first);
            nodes.add(&step.who, person.node());
            people.push(person);
        } else {
            let person =
                people.iter_mut().find(|person| person.who == step.who).expect("who types has started");
            writeln!(person.input, "{}", nodes.concrete(&step.line)).unwrap();
            person.has_left |= step.line == "exit";
        }
        for person in &mut people {
            let theirs = step.shown.iter().filter(|(who, _)| *who == person.who);
            person.expected.extend(theirs.map(|(_, line)| line.clone()));
            let wanted = |lines: &[String]| lines.iter().filter(|line| script.wants(line)).count();
            person.wait(|lines| person.expected.len() <= wanted(lines));
        }
    }
    for person in &mut people {
        if !person.has_left {
            writeln!(person.input, "{LAST_QUESTION}").unwrap();
        }
        let is_last = |line: &String| if person.has_left { line == "Bye." } else { line == LAST_ANSWER };
        let mut lines =
            person.wait(|lines| lines.iter().filter(|line| is_last(line)).count() > person.count(is_last));
        if !person.has_left {
            let end = lines.iter().rposition(is_last).expect("the last question was answered");
            lines.truncate(end);
        }
        let lines: Vec<String> =
            lines.iter().filter(|line| script.wants(line)).map(|line| nodes.general(line)).collect();
        assert_eq!(lines, person.expected, "{}: {}", path.display(), person.who);
    }
}

impl Person {
    /// How many lines like this are in the transcript.
    fn count(&self, is_one: impl Fn(&String) -> bool) -> usize {
        let counted = self.expected.iter().filter(|line| is_one(line)).count();
        // Whoever has left says so once, and that is in the transcript.
        counted - usize::from(self.has_left)
    }
}
