//! Strangers: who connects is heard, one task each, and only then reported.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::greeting::Greeter;
use super::peers::Report;

/// How long to wait when the system cannot give one more connection, so that a node
/// without free files neither ends nor spins.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts and hears whoever connects, until it is aborted.
pub(super) async fn listen<T: Send + 'static>(
    listener: TcpListener,
    greeter: Greeter,
    reports: mpsc::Sender<Report<T>>,
) {
    let mut greetings = JoinSet::new();
    let mut oldest = VecDeque::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = greetings.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    make_room(&mut oldest, greeter.config.greetings_max);
                    let hearing = hear(stream, address, greeter.clone(), reports.clone());
                    oldest.push_back(greetings.spawn(hearing));
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }
}

/// Someone who means well has greeted before so many others have connected.
fn make_room(oldest: &mut VecDeque<AbortHandle>, greetings_max: usize) {
    if oldest.len() < greetings_max {
        return;
    }
    oldest.retain(|greeting| !greeting.is_finished());
    while greetings_max <= oldest.len() {
        if let Some(greeting) = oldest.pop_front() {
            greeting.abort();
        }
    }
}

async fn hear<T: Send>(
    stream: TcpStream,
    address: SocketAddr,
    greeter: Greeter,
    reports: mpsc::Sender<Report<T>>,
) {
    let report = match stream.set_nodelay(true) {
        Ok(()) => match greeter.hear(stream).await {
            Ok(Some(greeted)) => Report::Called(greeted),
            Err(why) if why.is_between_nodes() => Report::Parted { address, why },
            Ok(None) | Err(_) => return,
        },
        Err(_) => return,
    };
    // Without a driver there is nobody to tell.
    let _ = reports.send(report).await;
}
