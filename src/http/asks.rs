//! The questions under way: each answer finds the request that waits for it.
//!
//! here -> node: the question to a root
//! here -> node: the way to that root, if no answer comes soon: so it is known who is silent when none comes at all

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::chat::ask::{Answer, Ask, Ticket};
use crate::chord::Failure;
use crate::chord::trace::Way;
use crate::id::{Id, NodeHandle};
use crate::node::Command;

/// How long a question may take; whoever asked is told then that nobody answers, also if they wait for 3 s only.
pub(super) const ANSWER_TIME_MAX: Duration = Duration::from_millis(2800);

/// After what time without an answer it is looked who is silent on the way to the root: such a way ends by itself
/// before a question does.
const LOOK_AFTER: Duration = Duration::from_millis(250);

/// For how many questions that is looked at a time; the others are told that nobody answers.
const LOOKS_MAX: usize = 16;

/// How many questions may be under way: the user's own are not disturbed by more.
const ASKS_MAX: usize = 256;

/// Why a question was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// Too many are under way.
    TooMany,
    /// This node has not answered in time.
    Late,
    /// The root has not answered in time; the way there, as far as it is known.
    Silent(Option<Box<Way>>),
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
    looks: Arc<Semaphore>,
}

impl Asks {
    /// Asks the node that takes these commands.
    pub fn new(commands: mpsc::Sender<Command>) -> Asks {
        Asks { commands, waiting: Arc::default(), looks: Arc::new(Semaphore::new(LOOKS_MAX)) }
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

    /// Asks the root of `id`; if it does not answer, it is told who is silent.
    pub(super) async fn ask_root(&self, id: Id, ask: Ask) -> Result<Answer, Unanswered> {
        let deadline = Instant::now() + ANSWER_TIME_MAX;
        let mut asked = pin!(self.ask(ask));
        let mut answer = timeout(LOOK_AFTER, &mut asked).await.ok();
        if !answer.as_ref().is_none_or(is_of_silence) {
            return answer.unwrap_or(Err(Unanswered::Late));
        }
        let mut looked = pin!(self.look_for_silent(id));
        let mut way = None;
        while answer.is_none() {
            tokio::select! {
                biased;
                given = &mut asked => answer = Some(given),
                found = &mut looked, if way.is_none() => way = Some(found),
            }
        }
        match answer {
            Some(answer) if !is_of_silence(&answer) => answer,
            _ => {
                let way = match way {
                    Some(way) => way,
                    None => timeout_at(deadline, looked).await.unwrap_or_default(),
                };
                Err(Unanswered::Silent(way))
            }
        }
    }

    async fn look_for_silent(&self, id: Id) -> Option<Box<Way>> {
        let _place = self.looks.try_acquire().ok()?;
        match self.ask(Ask::Find { key: id, linear: false }).await {
            Ok(Answer::Way(way)) => Some(way),
            _ => None,
        }
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

/// Whether it means that no root has answered.
fn is_of_silence(answer: &Result<Answer, Unanswered>) -> bool {
    matches!(answer, Err(Unanswered::Late) | Ok(Answer::Failed(Failure::NoAnswer | Failure::Unreachable)))
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
    use crate::chord::trace::DeadEnd;

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

    /// Answers each way that is asked for with this one, and nothing else.
    async fn lead(asks: &Asks, commands: &mut mpsc::Receiver<Command>, way: &Way) {
        while let Some(command) = commands.recv().await {
            if let Command::Ask(ticket, Ask::Find { key, linear: false }) = command {
                assert_eq!(key, way.key);
                asks.answered(ticket, Answer::Way(Box::new(way.clone())));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_on_the_way_to_a_root_is_known_when_it_has_not_answered() {
        let (asks, mut commands) = asks();
        let node = NodeHandle::new(([127, 0, 0, 1], 4001).into());
        let key = Id::hash("k");
        let way =
            Way { key, linear: false, hops: Vec::new(), silent: vec![node], end: Err(DeadEnd::TooLong) };
        let get = || Ask::Get("k".parse().unwrap());
        let begun = Instant::now();
        let answer = tokio::select! {
            answer = asks.ask_root(key, get()) => answer,
            () = lead(&asks, &mut commands, &way) => unreachable!("it waits for more"),
        };
        assert_eq!(answer, Err(Unanswered::Silent(Some(Box::new(way.clone())))));
        assert_eq!(begun.elapsed(), ANSWER_TIME_MAX);
        // That the root cannot be reached is known at once, and then only the way is waited for.
        let failing = async {
            let Some(Command::Ask(first, Ask::Get(_))) = commands.recv().await else { panic!("a question") };
            asks.answered(first, Answer::Failed(Failure::Unreachable));
            lead(&asks, &mut commands, &way).await;
        };
        let answer = tokio::select! {
            answer = asks.ask_root(key, get()) => answer,
            () = failing => unreachable!("it waits for more"),
        };
        assert_eq!(answer, Err(Unanswered::Silent(Some(Box::new(way)))));
        // Where the way is not found either, it is told in time all the same.
        let begun = Instant::now();
        assert_eq!(asks.ask_root(key, get()).await, Err(Unanswered::Silent(None)));
        assert_eq!(begun.elapsed(), ANSWER_TIME_MAX);
        assert_eq!(asks.under_way(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_root_that_answers_soon_is_the_only_one_that_is_asked() {
        let (asks, mut commands) = asks();
        let answering = async {
            let Some(Command::Ask(ticket, _)) = commands.recv().await else { panic!("a question") };
            asks.answered(ticket, Answer::Done);
        };
        let (answer, ()) = tokio::join!(asks.ask_root(Id::hash("k"), Ask::Channels), answering);
        assert_eq!((answer, commands.try_recv().is_err()), (Ok(Answer::Done), true));
    }

    #[tokio::test]
    async fn a_node_that_has_stopped_is_told_of() {
        let (asks, commands) = asks();
        drop(commands);
        assert_eq!(asks.ask(Ask::Node).await, Err(Unanswered::Stopped));
    }
}
