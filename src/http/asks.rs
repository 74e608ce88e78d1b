//! The questions under way: each answer finds the request that waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::chat::ask::{Answer, Ask, Ticket};
use crate::id::NodeHandle;
use crate::node::Command;

/// How long a question may take; whoever asked is told then that nobody answers.
pub(super) const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);

/// How many questions may be under way: the user's own are not disturbed by more.
const ASKS_MAX: usize = 256;

/// Why a question was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// Too many are under way.
    TooMany,
    /// Nobody has answered in time.
    Late,
    /// The node has stopped.
    Stopped,
}

#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    asked: HashMap<Ticket, oneshot::Sender<Answer>>,
}

/// Asks the node.
#[derive(Clone, Debug)]
pub struct Asks {
    commands: mpsc::Sender<Command>,
    waiting: Arc<Mutex<Waiting>>,
}

impl Asks {
    /// Asks the node that takes these commands.
    pub fn new(commands: mpsc::Sender<Command>) -> Asks {
        Asks { commands, waiting: Arc::default() }
    }

    /// The node has answered.
    pub fn answered(&self, ticket: Ticket, answer: Answer) {
        if let Some(asked) = self.with(|waiting| waiting.asked.remove(&ticket)) {
            // Whoever asked may have gone.
            let _ = asked.send(answer);
        }
    }

    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer, Unanswered> {
        let (sender, answer) = oneshot::channel();
        let ticket = self.with(|waiting| {
            (waiting.asked.len() < ASKS_MAX).then(|| {
                waiting.last += 1;
                let ticket = Ticket(waiting.last);
                waiting.asked.insert(ticket, sender);
                ticket
            })
        });
        let guard = Guard { asks: self, ticket: ticket.ok_or(Unanswered::TooMany)? };
        let asked = async {
            let command = Command::Ask(guard.ticket, ask);
            self.commands.send(command).await.map_err(|_| Unanswered::Stopped)?;
            answer.await.map_err(|_| Unanswered::Stopped)
        };
        timeout(ANSWER_TIME_MAX, asked).await.unwrap_or(Err(Unanswered::Late))
    }

    /// Unites the ring with that of another node, if that is in another; whether it comes to that shows later.
    pub async fn unite(&self, node: NodeHandle) {
        // A node that is not in its ring yet, or leaves it, has nothing to unite.
        let _ = self.ask(Ask::Unite(node)).await;
    }

    /// The node leaves in good order.
    pub(super) async fn leave(&self) -> Result<(), Unanswered> {
        self.commands.send(Command::Exit).await.map_err(|_| Unanswered::Stopped)
    }

    /// How many questions are under way.
    pub(super) fn under_way(&self) -> usize {
        self.with(|waiting| waiting.asked.len())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Waiting) -> T) -> T {
        act(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Forgets a question when nobody waits for its answer any more, however that came about.
struct Guard<'a> {
    asks: &'a Asks,
    ticket: Ticket,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.asks.with(|waiting| waiting.asked.remove(&self.ticket));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks() -> (Asks, mpsc::Receiver<Command>) {
        let (sender, commands) = mpsc::channel(ASKS_MAX * 2);
        (Asks::new(sender), commands)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_reaches_who_has_asked_and_a_late_one_nobody() {
        let (asks, mut commands) = asks();
        let answering = async {
            let Some(Command::Ask(first, _)) = commands.recv().await else { panic!("a question") };
            asks.answered(Ticket(first.0 + 1), Answer::NotReady);
            asks.answered(first, Answer::Done);
            first
        };
        let (answer, ticket) = tokio::join!(asks.ask(Ask::Node), answering);
        assert_eq!(answer, Ok(Answer::Done));
        assert_eq!(asks.ask(Ask::Node).await, Err(Unanswered::Late));
        asks.answered(ticket, Answer::Done);
        assert_eq!(asks.under_way(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_are_under_way_and_who_goes_makes_room() {
        let (asks, _commands) = asks();
        let mut all: Vec<_> = (0..ASKS_MAX).map(|_| Box::pin(asks.ask(Ask::Node))).collect();
        for one in &mut all {
            assert!(futures_poll(one.as_mut()).await.is_none());
        }
        assert_eq!(asks.ask(Ask::Node).await, Err(Unanswered::TooMany));
        all.pop();
        assert_eq!(asks.under_way(), ASKS_MAX - 1);
    }

    /// What a future gives at once, if anything.
    async fn futures_poll<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn a_node_that_has_stopped_is_told_of() {
        let (asks, commands) = asks();
        drop(commands);
        assert_eq!(asks.ask(Ask::Node).await, Err(Unanswered::Stopped));
    }
}
