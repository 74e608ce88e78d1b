//! What a node answers, compared with what its `openapi.json` says, by schemathesis: it makes requests from that
//! file, right and wrong ones, and looks at each answer.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::ring;

/// The version is named: another one may look at more.
const PACKAGE: &str = "schemathesis==4.32.5";

const INSTALLED: &str = "schemathesis is installed with pip: install python3 and python3-venv (for example by \
    apt-get), and let pip reach its registry, or a mirror of it";

/// How long installing it may take, which is done once.
const INSTALL_TIME_MAX: Duration = Duration::from_secs(300);

/// How long it may make requests, in seconds, and how long it may take until it has said what it found: on a busy
/// machine it is slow to begin and to end.
const TEST_SECONDS_MAX: &str = "45";
const TEST_TIME_MAX: Duration = Duration::from_secs(180);

/// How many requests it makes of each kind at most, and from what seed.
const EXAMPLES_MAX: &str = "10";
const SEED: &str = "17";

/// Where DNS answers late, or not at all, the node says so of the names that it is given.
const CONFIGURATION: &str = r#"
[[operations]]
include-path = "/dht/join"
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 504]
"#;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The program, in an environment of its own, which is made if it is not there.
fn schemathesis() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGE);
    let program = place.join("bin/schemathesis");
    if !program.exists() {
        let mut venv = Command::new("python3");
        run(venv.args(["-m", "venv"]).arg(&place), INSTALL_TIME_MAX, INSTALLED);
        let mut pip = Command::new(place.join("bin/pip"));
        run(pip.args(["install", "--quiet", PACKAGE]), INSTALL_TIME_MAX, INSTALLED);
    }
    program
}

/// Runs a program that must end well, and in time.
fn run(command: &mut Command, time_max: Duration, hint: &str) {
    let output = tempfile::NamedTempFile::new().unwrap();
    let file = |file: &File| Stdio::from(file.try_clone().unwrap());
    command.stdin(Stdio::null()).stdout(file(output.as_file())).stderr(file(output.as_file()));
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}; {hint}"));
    let deadline = Instant::now() + time_max;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if deadline <= Instant::now() => {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            None => thread::park_timeout(LOOK_EVERY),
        }
    };
    let told = fs::read_to_string(output.path()).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{status:?} within {time_max:?}; {hint}\n{told}");
}

#[test]
fn every_answer_is_one_that_the_openapi_file_describes() {
    let program = schemathesis();
    let [a, _b, _c] = ring();
    let mut command = Command::new(program);
    command.args(["run", &format!("http://{}/openapi.json", a.http)]);
    command.args(["--header", &format!("Authorization: Bearer {}", a.token)]);
    // The answers of the first two do not end, and the node ends with that of the last.
    for path in ["/events", "/dht/watch", "/dht/leave"] {
        command.args(["--exclude-path", path]);
    }
    command.args(["--phases", "coverage,fuzzing", "--max-examples", EXAMPLES_MAX, "--seed", SEED]);
    command.args(["--max-time", TEST_SECONDS_MAX, "--continue-on-failure", "--no-color"]);
    // Nothing is remembered from run to run, neither in its database nor in the directory where it runs.
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("schemathesis.toml"), CONFIGURATION).unwrap();
    command.args(["--generation-database", "none"]).current_dir(place.path());
    run(&mut command, TEST_TIME_MAX, "what it has found:");
}
