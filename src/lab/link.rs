//! A connection to another machine, by the system's ssh: to the program there, and to the HTTP of its nodes.
//!
//! here -> there: [`Request`], on the standard input of one ssh
//! there -> here: [`Answer`], on its standard output
//! here -> a node there: HTTP, through a socket that the same ssh forwards
//!
//! A command has one such connection to each machine, and it ends with the command: the nodes' HTTP stays on
//! loopback there, and nobody logs in for every request.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::hosted::{Answer, Request, Seen};
use super::hosts::{Program, Remote};
use crate::http::Token;
use crate::store::shell_word;

/// How long it may take to reach a machine, and to hear what runs there.
pub(super) const REACH_TIME_MAX: Duration = Duration::from_secs(8);

/// How long copying the program may take.
const COPY_TIME_MAX: Duration = Duration::from_secs(180);

/// How long ssh may take to tell why it has ended.
const REASON_TIME_MAX: Duration = Duration::from_secs(1);

/// The longest answer, and the longest reason, in bytes: an answer has a few hundred for each node.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
const REASON_BYTES_MAX: u64 = 16 << 10;

/// No question to the user, no connection of another command, and a machine that has gone is noticed.
const SETTINGS: [&str; 7] = [
    "BatchMode=yes",
    "ConnectTimeout=5",
    "ControlMaster=no",
    "ControlPath=none",
    "LogLevel=ERROR",
    "ServerAliveCountMax=2",
    "ServerAliveInterval=3",
];

impl Remote {
    fn ssh(&self) -> Command {
        let mut command = Command::new(&self.ssh[0]);
        command.args(&self.ssh[1..]).arg("-T");
        for setting in SETTINGS {
            command.args(["-o", setting]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    fn start(&self, command: &mut Command) -> anyhow::Result<Child> {
        command.spawn().with_context(|| format!("cannot start {}", self.ssh[0]))
    }

    /// A failure on the way there, and what the user can do.
    fn unreached(&self, reason: &str) -> anyhow::Error {
        let (host, ssh) = (&self.host, self.ssh.join(" "));
        anyhow!("{host}: {reason}; see whether {ssh} -o BatchMode=yes {host} true works")
    }

    /// Copies the program there, and the token of the network, if it is not there yet.
    pub(super) async fn install(&self, program: &Program, token: &Token) -> anyhow::Result<()> {
        let (dir, name) = (word(&self.dir), word(&self.program));
        if self.has(&format!("test -x {dir}/{name}")).await? {
            return Ok(());
        }
        // The program comes last, and as a whole: where it is, everything is.
        let script = format!(
            "umask 077 && mkdir -p {dir} && read -r token && echo \"$token\" >{dir}/token && \
             cat >{dir}/{name}.$$ && chmod 700 {dir}/{name}.$$ && mv {dir}/{name}.$$ {dir}/{name}"
        );
        let sent = [format!("{token}\n").as_bytes(), &program.bytes].concat();
        match timeout(COPY_TIME_MAX, self.run(&script, &sent)).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => bail!("{}: the program cannot be written to {} there", self.host, self.dir),
            Ok(Err(error)) => Err(error),
            Err(_) => bail!("{}: the program is not copied within {} s", self.host, COPY_TIME_MAX.as_secs()),
        }
    }

    async fn has(&self, test: &str) -> anyhow::Result<bool> {
        let answer = timeout(REACH_TIME_MAX, self.run(test, b"")).await;
        answer.unwrap_or_else(|_| Err(self.unreached("no answer")))
    }

    /// Whether a script succeeds there, given this on its standard input.
    async fn run(&self, script: &str, input: &[u8]) -> anyhow::Result<bool> {
        // Whatever the user's shell there is, `sh` reads the script.
        let mut child =
            self.start(self.ssh().args(["--", &self.host, &format!("sh -c {}", word(script))]))?;
        if let Some(mut stdin) = child.stdin.take() {
            // Who does not read all of it says why.
            let _ = stdin.write_all(input).await;
        }
        let output = child.wait_with_output().await.context("ssh cannot be waited for")?;
        match output.status.code() {
            // This status is that of ssh itself.
            None | Some(255) => {
                let reason = last_line(&output.stderr).unwrap_or_else(|| "ssh has ended".to_owned());
                Err(self.unreached(&reason))
            }
            Some(status) => Ok(status == 0),
        }
    }
}

/// A word for the shell there, whatever is in it.
fn word(text: &str) -> String {
    shell_word(Path::new(text))
}

fn last_line(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

/// A connection that is there.
#[derive(Debug)]
pub(super) struct Link {
    remote: Remote,
    talk: Mutex<Talk>,
    /// Here the sockets are, each named by the port that it leads to; nobody else may enter.
    sockets: TempDir,
    ports: BTreeSet<u16>,
    /// The nodes there, as they were when the connection was made.
    pub(super) seen: Vec<Seen>,
}

#[derive(Debug)]
struct Talk {
    /// It ends with this.
    ssh: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    errors: ChildStderr,
}

impl Link {
    /// Connects, with a way to every node that runs there. `ports` are those of the nodes' HTTP, as far as they are
    /// known.
    pub(super) async fn open(remote: &Remote, ports: BTreeSet<u16>) -> anyhow::Result<Link> {
        let link = Link::open_for(remote, ports).await?;
        let http = |seen: &Seen| seen.node.at.filter(|_| seen.runs).map(|at| at.http.port());
        let needed: BTreeSet<u16> = link.seen.iter().filter_map(http).collect();
        if needed.is_subset(&link.ports) { Ok(link) } else { Link::open_for(remote, needed).await }
    }

    /// Connects, with a way to these ports and no others.
    pub(super) async fn open_for(remote: &Remote, ports: BTreeSet<u16>) -> anyhow::Result<Link> {
        let sockets = tempfile::Builder::new().prefix("chat-net-").tempdir();
        let sockets = sockets.context("cannot make a directory for sockets")?;
        let mut command = remote.ssh();
        for port in &ports {
            let socket = sockets.path().join(port.to_string());
            command.arg("-L").arg(format!("{}:127.0.0.1:{port}", socket.display()));
        }
        let (dir, program) = (word(&remote.dir), word(&remote.program));
        command.args(["-o", "ExitOnForwardFailure=yes", "--", &remote.host]);
        command.arg(format!("{dir}/{program} net --dir {dir} hosted"));
        let mut ssh = remote.start(&mut command)?;
        let talk = match (ssh.stdin.take(), ssh.stdout.take(), ssh.stderr.take()) {
            (Some(input), Some(output), Some(errors)) => {
                Mutex::new(Talk { ssh, input, output: BufReader::new(output), errors })
            }
            _ => bail!("{}: ssh has no pipes", remote.host),
        };
        let mut link = Link { remote: remote.clone(), talk, sockets, ports, seen: Vec::new() };
        link.seen = link.look().await?;
        Ok(link)
    }

    /// A connection to the HTTP of a node at this port.
    pub(super) async fn connect(&self, port: u16) -> anyhow::Result<UnixStream> {
        UnixStream::connect(self.sockets.path().join(port.to_string()))
            .await
            .with_context(|| format!("there is no way to port {port} of {}", self.remote.host))
    }

    /// The nodes there, as they are.
    pub(super) async fn look(&self) -> anyhow::Result<Vec<Seen>> {
        match self.ask(Request::Look, REACH_TIME_MAX).await? {
            Answer::Seen(seen) => Ok(seen),
            Answer::Done | Answer::Failed(_) => bail!("{}: the answer does not fit", self.remote.host),
        }
    }

    /// Has something done there, for which it may take so long.
    pub(super) async fn ask(&self, request: Request, time_max: Duration) -> anyhow::Result<Answer> {
        let mut talk = self.talk.lock().await;
        match timeout(time_max, talk.exchange(&request)).await {
            Ok(Ok(Answer::Failed(reason))) => bail!("{}: {reason}", self.remote.host),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(reason)) => Err(self.remote.unreached(&reason)),
            Err(_) => Err(self.remote.unreached(&format!("no answer within {} s", time_max.as_secs()))),
        }
    }

    /// What comes after an answer, up to the end.
    pub(super) async fn copy_rest(&self) -> anyhow::Result<()> {
        let mut talk = self.talk.lock().await;
        loop {
            let part = talk.output.fill_buf().await.context("ssh cannot be read")?;
            if part.is_empty() {
                return Ok(());
            }
            super::write(part)?;
            let count = part.len();
            talk.output.consume(count);
        }
    }
}

impl Talk {
    /// The answer, or why there is none.
    async fn exchange(&mut self, request: &Request) -> Result<Answer, String> {
        let request = serde_json::to_string(request).map_err(|error| error.to_string())?;
        if self.input.write_all((request + "\n").as_bytes()).await.is_err() {
            return Err(self.reason().await);
        }
        loop {
            let mut line = Vec::new();
            let limited = (&mut self.output).take(ANSWER_BYTES_MAX).read_until(b'\n', &mut line).await;
            if limited.is_err() || line.last() != Some(&b'\n') {
                return Err(self.reason().await);
            }
            // What the files of a shell print at its start comes before.
            if let Ok(answer) = serde_json::from_slice(&line) {
                return Ok(answer);
            }
        }
    }

    /// Why ssh has ended.
    async fn reason(&mut self) -> String {
        let mut told = Vec::new();
        let mut errors = (&mut self.errors).take(REASON_BYTES_MAX);
        let _ = timeout(REASON_TIME_MAX, errors.read_to_end(&mut told)).await;
        let _ = timeout(REASON_TIME_MAX, self.ssh.wait()).await;
        last_line(&told).unwrap_or_else(|| "the connection has ended".to_owned())
    }
}
