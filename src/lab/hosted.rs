//! What the program does that was copied to another machine: it looks after the nodes there.
//!
//! here -> there: [`Request`]
//! there -> here: [`Answer`]
//!
//! Each is one line of JSON, on the standard input and output of `chat net --dir DIR hosted`.
//! The network has a directory there as it has one here, with the state of the nodes there.
//! It ends when its standard input does: so nothing is left of it when whoever asks has gone.

use std::io::BufRead;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::boot::Start;
use super::progress::Progress;
use super::state::{Lab, Node};
use super::{boot, look, say, stop};

/// How long nobody may ask anything: a network that was cut tells neither side.
const IDLE_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How many requests wait to be carried out: whoever asks waits for each answer.
const REQUESTS_MAX: usize = 1;

/// What is to be done with the nodes there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    /// Which there are; answered by [`Answer::Seen`].
    Look,
    /// Starts nodes, and waits until each is in the ring; answered by [`Answer::Done`].
    Start(Start),
    /// Ends nodes at once; answered by [`Answer::Done`].
    Kill {
        /// Which.
        names: Vec<String>,
    },
    /// A node has been asked to leave: waits until it has; answered by [`Answer::Done`].
    Leaves {
        /// Which.
        name: String,
    },
    /// What a node has told; answered by [`Answer::Done`], and then its log follows as it is, up to the end.
    Log {
        /// Which.
        name: String,
        /// Whether to go on as it tells more.
        follow: bool,
    },
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// The nodes.
    Seen(Vec<Seen>),
    /// It is done.
    Done,
    /// It could not be done, for this reason.
    Failed(String),
}

/// A node, and how it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) node: Node,
    pub(super) runs: bool,
    /// How much memory it takes, in KiB.
    pub(super) memory: Option<u64>,
}

/// Carries out what is asked on standard input, until that ends.
pub(super) async fn serve(lab: &Lab) -> anyhow::Result<()> {
    let (sender, mut requests) = mpsc::channel(REQUESTS_MAX);
    // Reading cannot be cancelled; the end of the process does not wait for it.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    while let Ok(Some(line)) = timeout(IDLE_TIME_MAX, requests.recv()).await {
        let answered = async {
            let request = serde_json::from_str(&line).context("the request does not fit")?;
            carry_out(lab, request).await
        };
        // Whoever waits for this one asks nothing else: what comes now is the end.
        let answer = tokio::select! {
            biased;
            answer = answered => answer,
            _ = requests.recv() => return Ok(()),
        };
        let answer = match answer {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(()),
            Err(error) => Answer::Failed(format!("{error:#}")),
        };
        tell(&answer)?;
    }
    Ok(())
}

fn tell(answer: &Answer) -> anyhow::Result<()> {
    say(&serde_json::to_string(answer).context("the answer is no JSON")?)
}

/// What is to be answered, unless all has been said.
async fn carry_out(lab: &Lab, request: Request) -> anyhow::Result<Option<Answer>> {
    match request {
        Request::Look => {
            let seen = |node: Node| Seen { runs: node.runs(), memory: node.memory(), node };
            return Ok(Some(Answer::Seen(lab.state()?.nodes.into_iter().map(seen).collect())));
        }
        Request::Start(start) => {
            let mut locked = lab.lock()?;
            locked.state.forget_gone();
            boot::start_here(&mut locked, lab, &start, &Progress::hidden()).await?;
        }
        Request::Kill { names } => stop::kill_here(lab, &names).await?,
        Request::Leaves { name } => stop::wait_for_leave(lab, &lab.node(&name)?).await?,
        Request::Log { name, follow } => {
            let node = lab.node(&name)?;
            let log = look::open_log(lab, &name)?;
            tell(&Answer::Done)?;
            look::show_log(Some(&node), log, follow).await?;
            return Ok(None);
        }
    }
    Ok(Some(Answer::Done))
}
