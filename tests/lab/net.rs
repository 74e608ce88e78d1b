//! A directory with a network, all nodes of which end with the test.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// How long a process may take to end.
const END_TIME_MAX: Duration = Duration::from_secs(10);

pub struct Net(tempfile::TempDir);

impl Net {
    pub fn new() -> Net {
        Net(tempfile::tempdir().unwrap())
    }

    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    /// A command of `chat net` for this network.
    pub fn command(&self, command: &str) -> Command {
        let mut chat = Command::new(env!("CARGO_BIN_EXE_chat"));
        chat.args(["net", "--dir"]).arg(self.dir()).args(command.split(' ')).env("RUST_BACKTRACE", "0");
        chat
    }

    fn run(&self, command: &str) -> Output {
        self.command(command).output().unwrap()
    }

    /// Ends a command as soon as it has started so many nodes, whether they are in the ring or not.
    pub fn end_once_started(&self, command: &str, nodes: usize) {
        let mut begun = self.command(command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + END_TIME_MAX;
        let file = self.dir().join("net.json");
        let started = |text: String| text.matches("\"pid\"").count();
        while std::fs::read_to_string(&file).map_or(0, started) < nodes {
            assert!(Instant::now() < deadline, "{command} starts nothing");
            thread::yield_now();
        }
        begun.kill().unwrap();
        begun.wait().unwrap();
    }

    /// What a terminal is sent by a command.
    pub fn on_a_terminal(&self, command: &str) -> String {
        let mut terminal = rexpect::session::spawn_command(self.command(command), Some(10_000)).unwrap();
        terminal.exp_eof().unwrap()
    }

    /// What a command says that is carried out.
    pub fn done(&self, command: &str) -> String {
        let output = self.run(command);
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Why a command is not carried out.
    pub fn refused(&self, command: &str) -> String {
        let output = self.run(command);
        assert_eq!(
            (output.status.code(), output.stdout.as_slice()),
            (Some(1), &b""[..]),
            "{command}: {output:?}"
        );
        String::from_utf8(output.stderr).unwrap()
    }

    /// Begins a command that goes on, of which this is read that it says on standard error or standard output.
    pub fn begin(&self, command: &str) -> Child {
        self.command(command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn state(&self) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.dir().join("net.json")).unwrap()).unwrap()
    }

    /// The processes of the nodes.
    pub fn pids(&self) -> Vec<Pid> {
        let state = self.state();
        let pid =
            |node: &serde_json::Value| Pid::from_raw(i32::try_from(node["pid"].as_i64().unwrap()).unwrap());
        state["nodes"].as_array().unwrap().iter().map(|node| pid(node).unwrap()).collect()
    }

    /// The names of the nodes, and where each serves HTTP.
    pub fn nodes(&self) -> Vec<(String, SocketAddr)> {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let node =
            |node: &serde_json::Value| (text(&node["name"]), text(&node["at"]["http"]).parse().unwrap());
        self.state()["nodes"].as_array().unwrap().iter().map(node).collect()
    }

    /// The names of the nodes, in the order of their ids.
    pub fn around_the_ring(&self) -> Vec<String> {
        let told = self.done("ps");
        let columns = |row: &str| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let mut rows: Vec<_> = told.lines().skip(1).map(columns).collect();
        rows.sort_by(|a, b| a[2].cmp(&b[2]));
        rows.into_iter().map(|row| row[0].clone()).collect()
    }

    /// Ends a node as something else than this program would.
    pub fn end_without_telling(&self, pid: Pid) {
        kill_process(pid, Signal::KILL).unwrap();
        let deadline = Instant::now() + END_TIME_MAX;
        while is_there(pid) {
            assert!(Instant::now() < deadline, "the process does not end");
            thread::yield_now();
        }
    }

    /// Whether no process has this directory in its command line.
    pub fn is_over(&self) -> bool {
        let dir = self.dir().to_str().unwrap();
        let processes = std::fs::read_dir("/proc").unwrap();
        let lines = processes.filter_map(|it| std::fs::read(it.unwrap().path().join("cmdline")).ok());
        lines.filter(|line| String::from_utf8_lossy(line).contains(dir)).count() == 0
    }
}

/// Whether a process runs: one that has ended, but whose end nobody has taken note of, does not.
fn is_there(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    test_kill_process(pid).is_ok() && stat.is_ok_and(|stat| !stat.contains(") Z "))
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = self.run("killall");
    }
}
