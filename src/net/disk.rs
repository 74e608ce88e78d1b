//! The disk beside the network: nothing leaves the node before what it rests on is on the disk; see
//! [`crate::machine::batches`].
//!
//! Where nothing changes for a while, a batch with nothing in it finds out whether the file is still there.
//!
//! A disk that fails, or is too slow, is given up for the rest of the run: the chat goes on without it.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::machine::Output;
use crate::machine::batches::Batches;
use crate::store::Writer;

/// How long a batch may take to be written.
const WRITE_TIME_MAX: Duration = Duration::from_secs(2);

/// How many outputs may wait for the disk.
const HELD_MAX: usize = 65_536;

/// How long after a batch the next one is begun, with something in it or not.
const BATCH_EVERY: Duration = Duration::from_secs(60);

/// What is told of a disk that was given up for its slowness.
const TOO_SLOW: &str = "it takes too long to write";

/// The disk of a driver, or none.
pub(super) struct Disk<E, M> {
    writer: Option<Writer>,
    batches: Batches<Instant, E, M>,
    /// When the batch was begun that is being written.
    begun_at: Option<Instant>,
    /// What the writer has answered.
    answer: Option<Result<(), String>>,
}

impl<E, M> Disk<E, M> {
    /// Without a writer nothing is kept, and nothing waits.
    pub fn new(writer: Option<Writer>) -> Disk<E, M> {
        let mut batches = Batches::default();
        if writer.is_some() {
            batches.begin_by(Instant::now() + BATCH_EVERY);
        }
        Disk { writer, batches, begun_at: None, answer: None }
    }

    /// Takes what a machine has put out, and gives it back if it may leave the node now.
    pub fn take(&mut self, now: Instant, output: Output<E, M>) -> Option<Output<E, M>> {
        match output {
            Output::Keep(_) if self.writer.is_none() => None,
            output => self.batches.take(now, output),
        }
    }

    /// What may leave the node now that did not before, if anything.
    pub fn release(&mut self) -> Option<Output<E, M>> {
        self.batches.release()
    }

    /// Goes on: hears what the writer has answered, and begins the next batch if it is time.
    /// Returns why the disk was given up, if it was.
    pub fn go_on(&mut self, now: Instant) -> Option<String> {
        let writer = self.writer.as_mut()?;
        let answer = self.answer.take().or_else(|| self.begun_at.and_then(|_| writer.try_done()));
        match answer {
            Some(Ok(())) => {
                self.begun_at = None;
                self.batches.written();
                self.batches.begin_by(now + BATCH_EVERY);
            }
            Some(Err(reason)) => return Some(self.give_up(reason)),
            None => {}
        }
        let is_late = self.begun_at.is_some_and(|begun| begun + WRITE_TIME_MAX <= now);
        if is_late || HELD_MAX < self.batches.held() {
            return Some(self.give_up(TOO_SLOW.to_owned()));
        }
        if let Some(next) = self.batches.begin(now) {
            self.begun_at = Some(now);
            if !self.writer.as_ref().is_some_and(|writer| writer.begin(next)) {
                return Some(self.give_up("the thread that writes has ended".to_owned()));
            }
        }
        None
    }

    fn give_up(&mut self, reason: String) -> String {
        self.writer = None;
        self.begun_at = None;
        self.batches.give_up();
        reason
    }

    /// When [`Disk::go_on`] is due, whatever the writer answers.
    pub fn due(&self) -> Option<Instant> {
        self.begun_at.map(|begun| begun + WRITE_TIME_MAX).or(self.batches.due())
    }

    /// Waits until the writer has answered; for ever if nothing is being written.
    pub async fn answered(&mut self) {
        match &mut self.writer {
            Some(writer) if self.begun_at.is_some() && self.answer.is_none() => {
                let answer = writer.done().await;
                self.answer =
                    Some(answer.unwrap_or_else(|| Err("the thread that writes has ended".to_owned())));
            }
            _ if self.answer.is_some() => {}
            _ => std::future::pending().await,
        }
    }

    /// Writes what has waited, and closes the file; gives up after the time that a batch may take.
    pub async fn close(self) {
        let Some(mut writer) = self.writer else { return };
        let is_writing = self.begun_at.is_some() && self.answer.is_none();
        let closing = async {
            // There is nobody left to tell that one of these has failed.
            if is_writing {
                let _ = writer.done().await;
            }
            let rest = self.batches.into_rest();
            if !rest.is_empty() && writer.begin(rest) {
                let _ = writer.done().await;
            }
            writer.close().await;
        };
        // The end of the process closes what is not closed by then.
        let _ = timeout(WRITE_TIME_MAX, closing).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as blocking;

    use super::*;
    use crate::machine::Keep;
    use crate::machine::batches::Changes;

    type Said = Output<&'static str, u32>;

    /// A disk whose batches are done when the test says so, and how.
    fn disk() -> (Disk<&'static str, u32>, blocking::Sender<Result<(), &'static str>>) {
        let (permit, permitted) = blocking::channel();
        let writer = Writer::start(move |_| permitted.recv().unwrap_or(Err("the test is over"))).unwrap();
        (Disk::new(Some(writer)), permit)
    }

    fn keep(key: u8, within: Duration) -> Said {
        Output::Keep(Keep { key: vec![key], value: None, within })
    }

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    fn released(disk: &mut Disk<&'static str, u32>) -> Vec<Said> {
        std::iter::from_fn(|| disk.release()).collect()
    }

    #[test]
    fn what_rests_on_the_disk_leaves_after_it_and_in_order() {
        run(async {
            let (mut disk, permit) = disk();
            let now = Instant::now();
            assert_eq!(disk.take(now, Output::Event("before")), Some(Output::Event("before")));
            assert_eq!(disk.take(now, keep(1, Duration::ZERO)), None);
            assert_eq!(disk.take(now, Output::Event("first")), None);
            assert_eq!(disk.go_on(now), None);
            // The first batch is being written: this goes into the second.
            for output in [keep(2, Duration::ZERO), Output::Event("second"), Output::Stop] {
                assert_eq!(disk.take(now, output), None);
            }
            assert_eq!((disk.go_on(now), released(&mut disk)), (None, vec![]));
            permit.send(Ok(())).unwrap();
            disk.answered().await;
            assert_eq!((disk.go_on(now), released(&mut disk)), (None, vec![Output::Event("first")]));
            permit.send(Ok(())).unwrap();
            disk.answered().await;
            assert_eq!(disk.go_on(now), None);
            assert_eq!(released(&mut disk), [Output::Event("second"), Output::Stop]);
            assert_eq!(disk.take(now, Output::Event("after")), Some(Output::Event("after")));
        });
    }

    #[test]
    fn what_may_wait_holds_nothing_back_and_is_written_in_time() {
        run(async {
            let (mut disk, permit) = disk();
            let (now, within) = (Instant::now(), Duration::from_secs(1));
            assert_eq!(disk.take(now, keep(1, within)), None);
            assert_eq!(disk.take(now, Output::Stop), Some(Output::Stop));
            assert_eq!((disk.go_on(now), disk.begun_at, disk.due()), (None, None, Some(now + within)));
            assert_eq!((disk.go_on(now + within), disk.begun_at), (None, Some(now + within)));
            permit.send(Ok(())).unwrap();
            disk.answered().await;
            assert_eq!((disk.go_on(now + within), disk.due()), (None, Some(now + within + BATCH_EVERY)));
        });
    }

    #[test]
    fn a_file_that_is_no_longer_there_is_found_out_though_nothing_changes() {
        run(async {
            let (mut disk, permit) = disk();
            let now = Instant::now();
            disk.take(now, keep(1, Duration::ZERO));
            assert_eq!(disk.go_on(now), None);
            permit.send(Ok(())).unwrap();
            disk.answered().await;
            assert_eq!((disk.go_on(now), disk.due()), (None, Some(now + BATCH_EVERY)));
            assert_eq!((disk.go_on(now + BATCH_EVERY), disk.begun_at), (None, Some(now + BATCH_EVERY)));
            // This goes into the next one, and what rests on it waits.
            disk.take(now + BATCH_EVERY, keep(2, Duration::ZERO));
            assert_eq!(disk.take(now + BATCH_EVERY, Output::Event("stored")), None);
            permit.send(Err("it was deleted")).unwrap();
            disk.answered().await;
            assert_eq!(disk.go_on(now + BATCH_EVERY).as_deref(), Some("it was deleted"));
            assert_eq!(released(&mut disk), [Output::Event("stored")]);
        });
    }

    #[test]
    fn a_disk_that_fails_or_is_too_slow_is_given_up_and_what_waited_leaves() {
        run(async {
            for is_slow in [true, false] {
                let (mut disk, permit) = disk();
                let now = Instant::now();
                disk.take(now, keep(1, Duration::ZERO));
                disk.take(now, Output::Event("stored"));
                assert_eq!(disk.go_on(now), None);
                let reason = match is_slow {
                    true => disk.go_on(now + WRITE_TIME_MAX),
                    false => {
                        permit.send(Err("no room")).unwrap();
                        disk.answered().await;
                        disk.go_on(now)
                    }
                };
                assert_eq!(reason.as_deref(), Some(if is_slow { TOO_SLOW } else { "no room" }));
                assert_eq!(released(&mut disk), [Output::Event("stored")]);
                disk.take(now, keep(2, Duration::ZERO));
                assert_eq!(disk.take(now, Output::Stop), Some(Output::Stop));
                assert_eq!((disk.go_on(now), disk.due()), (None, None), "it is told once");
            }
        });
    }

    #[test]
    fn only_so_much_waits_for_the_disk() {
        run(async {
            let (mut disk, _permit) = disk();
            let now = Instant::now();
            disk.take(now, keep(1, Duration::ZERO));
            for message in 0..HELD_MAX as u32 {
                let to = crate::id::NodeHandle::new(([127, 0, 0, 1], 7000).into());
                disk.take(now, Output::Send { to, message });
            }
            assert_eq!(disk.go_on(now), None);
            disk.take(now, Output::Stop);
            assert_eq!(disk.go_on(now).as_deref(), Some(TOO_SLOW));
            assert_eq!(released(&mut disk).len(), HELD_MAX + 1);
        });
    }

    #[test]
    fn what_waits_is_written_before_the_file_is_closed() {
        run(async {
            let (tell, written) = blocking::channel();
            let writer = Writer::start(move |changes: &Changes| {
                tell.send(changes.len()).map_err(|_| "the test is over")
            });
            let mut disk: Disk<(), ()> = Disk::new(Some(writer.unwrap()));
            let now = Instant::now();
            disk.take(now, Output::Keep(Keep { key: vec![1], value: None, within: Duration::ZERO }));
            disk.go_on(now);
            for key in [2, 3] {
                let within = Duration::from_secs(10);
                disk.take(now, Output::Keep(Keep { key: vec![key], value: None, within }));
            }
            disk.close().await;
            assert_eq!(written.iter().collect::<Vec<_>>(), [1, 2]);
        });
    }
}
