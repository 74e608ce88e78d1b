//! `GET /db/{key}` of 16 real nodes over loopback, beside an echo over plain TCP of as many bytes each way.
//!
//! `cargo bench --bench http`.
//! Every connection asks one node for keys at random, most of which another node keeps.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run ends at once")]

mod client;
mod echo;
mod node;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use client::Client;

const NODES: usize = 16;
const KEYS: usize = 256;
const CONNECTIONS: usize = 64;

/// How many requests follow on each other when times are taken.
const ONE_BY_ONE: usize = 5_000;

/// How long requests are counted, and before that not.
const COUNTED: Duration = Duration::from_secs(10);
const WARM_UP: Duration = Duration::from_secs(1);

fn main() {
    let nodes = node::ring(NODES);
    for key in 0..KEYS {
        let put = format!("PUT /db/k{key} HTTP/1.1\r\nAuthorization: Bearer {}\r\n", nodes[0].token);
        assert_eq!(Client::of(nodes[0].http).request(&put, b"a value of a few words"), 201);
    }
    let echo = echo::serve();
    println!("| | p50 | p99 | requests/s with {CONNECTIONS} connections |\n| --- | --- | --- | --- |");
    let ask = |client: &mut Client, n: usize| {
        assert_eq!(client.request(&format!("GET /db/k{} HTTP/1.1\r\n", n % KEYS), b""), 200);
    };
    let say = |client: &mut Client, _: usize| client.echo();
    show("echo over plain TCP", &[echo], say);
    show("get over HTTP", &nodes.iter().map(|node| node.http).collect::<Vec<_>>(), ask);
    for node in &nodes {
        assert_eq!(Client::of(node.http).request("GET /nodeinfo HTTP/1.1\r\n", b""), 200);
    }
}

/// What one request after the other takes, and how many are served when many connections ask.
fn show(what: &str, at: &[SocketAddr], request: impl Fn(&mut Client, usize) + Sync) {
    let mut clients: Vec<Client> = at.iter().map(|&at| Client::of(at)).collect();
    let mut times: Vec<Duration> = (0..ONE_BY_ONE)
        .map(|n| {
            let begin = Instant::now();
            request(&mut clients[n % at.len()], n * 7);
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    let counts = (AtomicBool::new(false), AtomicBool::new(false));
    let (counting, over) = (&counts.0, &counts.1);
    let request = &request;
    let served: usize = thread::scope(|scope| {
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|connection| {
                let at = at[connection % at.len()];
                scope.spawn(move || {
                    let (mut client, mut served) = (Client::of(at), 0);
                    for n in connection.. {
                        request(&mut client, n * 31);
                        served += usize::from(counting.load(Ordering::Relaxed));
                        if over.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                    served
                })
            })
            .collect();
        // What is measured is what is served meanwhile.
        thread::sleep(WARM_UP);
        counting.store(true, Ordering::Relaxed);
        thread::sleep(COUNTED);
        counting.store(false, Ordering::Relaxed);
        over.store(true, Ordering::Relaxed);
        connections.into_iter().map(|connection| connection.join().unwrap()).sum()
    });
    let per_second = served as f64 / COUNTED.as_secs_f64();
    let (p50, p99) = (times[ONE_BY_ONE / 2], times[ONE_BY_ONE * 99 / 100]);
    println!("| {what} | {p50:.0?} | {p99:.0?} | {per_second:.0} |");
}
