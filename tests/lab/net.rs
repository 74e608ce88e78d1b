//! A directory with a network, all nodes of which end with the test.

use std::path::Path;
use std::process::{Command, Output};
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

    fn run(&self, command: &str) -> Output {
        let mut chat = Command::new(env!("CARGO_BIN_EXE_chat"));
        chat.args(["net", "--dir"]).arg(self.dir()).args(command.split(' ')).env("RUST_BACKTRACE", "0");
        chat.output().unwrap()
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

    /// The processes of the nodes.
    pub fn pids(&self) -> Vec<Pid> {
        let state = std::fs::read(self.dir().join("net.json")).unwrap();
        let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
        let pid =
            |node: &serde_json::Value| Pid::from_raw(i32::try_from(node["pid"].as_i64().unwrap()).unwrap());
        state["nodes"].as_array().unwrap().iter().map(|node| pid(node).unwrap()).collect()
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
