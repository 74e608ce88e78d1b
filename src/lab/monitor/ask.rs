//! Asks many nodes at a time: who is silent keeps nobody else waiting.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use super::watch::Answer;
use crate::lab::boot::place;
use crate::lab::look::values;
use crate::lab::state::{Lab, Node};
use crate::repl::safe;

/// How long a node may take to answer; then it is silent, until it answers the next time.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);

/// How many nodes are asked at a time of those that answered the last time, and as many of those that were silent: so
/// these take no place of the others.
const AT_A_TIME: usize = 64;

/// Questions under way.
#[derive(Debug)]
pub(super) struct Questions {
    places: Arc<Semaphore>,
    places_of_silent: Arc<Semaphore>,
    tasks: JoinSet<(Node, Answer)>,
}

impl Questions {
    pub(super) fn new() -> Questions {
        Questions {
            places: Arc::new(Semaphore::new(AT_A_TIME)),
            places_of_silent: Arc::new(Semaphore::new(AT_A_TIME)),
            tasks: JoinSet::new(),
        }
    }

    /// Asks a node, as soon as there is a place; which values it keeps only where the network is given to which it
    /// belongs.
    pub(super) fn ask(&mut self, node: Node, was_silent: bool, lab: Option<Lab>) {
        let places = if was_silent { &self.places_of_silent } else { &self.places }.clone();
        self.tasks.spawn(async move {
            let _place = places.acquire_owned().await;
            let answer = ask(&node, lab.as_ref()).await;
            (node, answer)
        });
    }

    /// The next answer; nothing if none is under way.
    pub(super) async fn next(&mut self) -> Option<Result<(Node, Answer), JoinError>> {
        self.tasks.join_next().await
    }

    /// The next answer, if it is there already.
    pub(super) fn next_now(&mut self) -> Option<Result<(Node, Answer), JoinError>> {
        self.tasks.try_join_next()
    }
}

async fn ask(node: &Node, lab: Option<&Lab>) -> Answer {
    if let Err(error) = node.link() {
        return Answer::Silent(safe::line(&format!("{error:#}")));
    }
    if node.is_unknown() {
        return Answer::Silent("its machine has not told of it yet".to_owned());
    }
    if !node.runs() {
        return Answer::Gone;
    }
    if node.at.is_none() {
        return Answer::Starts;
    }
    let asked = async {
        let place = Box::new(place(node).await?);
        let values = match lab {
            Some(lab) => Some(values(lab, node).await?),
            None => None,
        };
        anyhow::Ok(Answer::Place { place, memory: node.memory(), values })
    };
    match timeout(ANSWER_TIME_MAX, asked).await {
        Ok(Ok(answer)) => answer,
        // It has ended meanwhile.
        _ if !node.runs() => Answer::Gone,
        Ok(Err(error)) => Answer::Silent(safe::line(&format!("{error:#}"))),
        Err(_) => Answer::Silent(format!("no answer within {} s", ANSWER_TIME_MAX.as_secs())),
    }
}
