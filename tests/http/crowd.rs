//! More requests at once than are served at a time.

use std::thread;
use std::time::{Duration, Instant};

use super::client::{Line, Request};
use super::{ring, with_token};

/// How many connections are open at once, and how many of them a node serves at a time.
const CONNECTIONS: usize = 640;
const SERVED: usize = 512;

/// How many requests come on each: 10,240 in all.
const REQUESTS: usize = 16;

/// After what time a node ends a connection on which nothing comes.
const IDLE_TIME_MAX: Duration = Duration::from_secs(10);

fn question() -> Request {
    Request::new("GET", "/db/k")
}

/// More questions than are taken at a time are refused, and none is left without an answer; meanwhile the user joins
/// a channel and is heard there.
#[test]
fn many_at_once_are_bounded_and_do_not_disturb_the_chat() {
    let [a, b, _c] = ring();
    assert_eq!(with_token(&a, "PUT", "/db/k", b"v").status, 201);
    let begun = Instant::now();
    let mut lines: Vec<Line> = (0..CONNECTIONS).map(|_| Line::open(b.http)).collect();
    lines.iter_mut().for_each(|line| line.write(question()));
    let mut statuses: Vec<u16> = lines[..SERVED].iter_mut().map(|line| line.read().status).collect();
    let waiting = lines[SERVED..].iter().filter(|line| line.is_silent()).count();
    assert!(
        waiting == CONNECTIONS - SERVED || IDLE_TIME_MAX < begun.elapsed(),
        "{waiting} wait until others end"
    );
    thread::scope(|scope| {
        let ask = |(place, mut line): (usize, Line)| {
            let unread = usize::from(SERVED <= place);
            (1..REQUESTS).for_each(|_| line.write(question()));
            (1..REQUESTS + unread).map(|_| line.read().status).collect::<Vec<u16>>()
        };
        let threads: Vec<_> =
            lines.into_iter().enumerate().map(|line| scope.spawn(move || ask(line))).collect();
        b.say("join rust");
        b.wait_for("\"event\":\"joined\"");
        b.say("send rust hello");
        b.wait_for(r#""event":"message","channel":"rust","from":"b","text":"hello""#);
        statuses.extend(threads.into_iter().flat_map(|thread| thread.join().unwrap()));
    });
    assert_eq!(statuses.len(), CONNECTIONS * REQUESTS);
    assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
}
