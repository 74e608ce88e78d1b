//! Hosts that serve ssh, each with a home directory of its own.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::namespaces::{Hosts, address};

const PORT: u16 = 2222;

/// Debian's place; a server of ssh starts itself again, and so must be named by its whole path.
const SSHD: &str = "/usr/sbin/sshd";

const INSTALLED: &str =
    "ssh and sshd are there: install openssh-client and openssh-server (for example by apt-get)";

/// How long a process may take to end, or a server to start.
const TIME_MAX: Duration = Duration::from_secs(10);

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A network on host 0, and the others by ssh.
pub struct Net<'a> {
    hosts: &'a Hosts,
    dir: TempDir,
    servers: Vec<Child>,
}

impl<'a> Net<'a> {
    /// With a server on every host but host 0; `h1` is host 1.
    pub fn new(hosts: &'a Hosts, count: usize) -> Net<'a> {
        let dir = tempfile::tempdir().unwrap();
        let mut net = Net { hosts, dir, servers: Vec::new() };
        for key in ["key", "host_key", "unknown_key"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(net.file(key));
            let made = keygen.status().unwrap_or_else(|error| panic!("{error}; {INSTALLED}"));
            assert!(made.success());
        }
        fs::copy(net.file("key.pub"), net.file("authorized")).unwrap();
        // The server keeps what it does before the login away from everything else there.
        fs::DirBuilder::new().recursive(true).mode(0o755).create("/run/sshd").unwrap();
        let mut config = String::new();
        for i in 1..count {
            let key = net.file("key");
            config += &format!("Host h{i}\n  HostName {}\n  IdentityFile {}\n", address(i), key.display());
            net.serve(i);
        }
        let dir = net.dir.path().display();
        config += &format!("Host locked\n  HostName {}\n  IdentityFile {dir}/unknown_key\n", address(1));
        config += &format!("Host *\n  Port {PORT}\n  User root\n  IdentitiesOnly yes\n");
        config += &format!("  UserKnownHostsFile {dir}/known\n  StrictHostKeyChecking accept-new\n");
        fs::write(net.file("config"), config).unwrap();
        net
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The home directory on host `i`.
    pub fn home(&self, i: usize) -> PathBuf {
        self.file(&format!("home{i}"))
    }

    fn serve(&mut self, i: usize) {
        let (config, home, dir) = (self.file(&format!("sshd{i}")), self.home(i), self.dir.path().display());
        fs::create_dir(&home).unwrap();
        // As the files of a shell may do, it prints something first.
        let text = format!(
            "ListenAddress {}:{PORT}\nHostKey {dir}/host_key\nAuthorizedKeysFile {dir}/authorized\n\
             StrictModes no\nUsePAM no\nPidFile none\n\
             ForceCommand cd {} && echo welcome && exec sh -c \"$SSH_ORIGINAL_COMMAND\"\n",
            address(i),
            home.display()
        );
        fs::write(&config, text).unwrap();
        let mut server = self.hosts.command(i, Path::new(SSHD));
        server.args(["-D", "-e", "-f"]).arg(config).stdin(Stdio::null());
        server.stderr(fs::File::create(self.file(&format!("log{i}"))).unwrap());
        self.servers.push(server.spawn().unwrap());
        self.wait_until("the server listens", || {
            fs::read_to_string(self.file(&format!("log{i}"))).unwrap().contains("listening")
        });
    }

    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + TIME_MAX;
        while !is_so() {
            assert!(Instant::now() < deadline, "{what}: not within {TIME_MAX:?}; {INSTALLED}");
            thread::park_timeout(LOOK_EVERY);
        }
    }

    fn command(&self, command: &str) -> Command {
        let mut chat = self.hosts.command(0, Path::new(env!("CARGO_BIN_EXE_chat")));
        chat.args(["net", "--dir"]).arg(self.file("lab")).args(command.split(' ')).env("RUST_BACKTRACE", "0");
        chat
    }

    /// What starts nodes: a command, and the file of hosts with this text.
    pub fn on(&self, command: &str, hosts: &str) -> Output {
        fs::write(self.file("hosts"), hosts).unwrap();
        let ssh = format!("ssh -F {}", self.file("config").display());
        self.command(command).arg("--hosts").arg(self.file("hosts")).args(["--ssh", &ssh]).output().unwrap()
    }

    pub fn run(&self, command: &str) -> Output {
        self.command(command).output().unwrap()
    }

    /// Begins a command that goes on.
    pub fn begin(&self, command: &str) -> Child {
        self.command(command).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// What a command says that is carried out.
    pub fn done(&self, command: &str) -> String {
        said(&self.run(command))
    }

    /// Nothing of the network runs any more, on none of the hosts.
    pub fn wait_until_over(&self) {
        self.wait_until("all processes have ended", || self.processes().is_empty());
    }

    /// Nodes, and what looks after them: each has the directory in its command line.
    fn processes(&self) -> Vec<Pid> {
        let dir = self.dir.path().display();
        let ours = [format!("{dir}/home"), format!("{dir}/lab")];
        let mut found = Vec::new();
        for process in fs::read_dir("/proc").unwrap() {
            let path = process.unwrap().path();
            let number =
                path.file_name().and_then(|name| name.to_str()?.parse().ok()).and_then(Pid::from_raw);
            let line = fs::read(path.join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            found.extend(number.filter(|_| ours.iter().any(|dir| line.contains(dir))));
        }
        found
    }
}

impl Drop for Net<'_> {
    fn drop(&mut self) {
        for pid in self.processes() {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
        for server in &mut self.servers {
            let _ = server.kill().and_then(|()| server.wait());
        }
    }
}

/// What was said by a command that was carried out.
pub fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Why a command was not carried out.
pub fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}
