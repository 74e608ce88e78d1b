//! The driver beside plain tokio TCP, with the same frames of 200 bytes, in the same run.
//!
//! `cargo bench --bench net`; pinned to one core or two by `taskset`, both sides alike.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command as Process, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chord_chat::id::NodeHandle;
use chord_chat::machine::{Input, Machine, Output};
use chord_chat::net::{Clock, Config, Controls, Driver, News};
use chord_chat::time::Time;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

const FRAME_BYTES: usize = 200;
const ROUND_TRIPS: usize = 20_000;
const PEERS: usize = 32;
const FRAMES_EACH: usize = 20_000;

/// With this argument, this program is the node whose memory is measured.
const IDLE: &str = "--idle-node";

fn main() {
    if std::env::args().any(|argument| argument == IDLE) {
        return idle_node();
    }
    println!("request and echo, {FRAME_BYTES} bytes, between two threads");
    let plain = p50(plain_round_trips());
    let driver = p50(driver_round_trips());
    println!("  plain TCP p50 {plain:?}, driver p50 {driver:?}: {:.2} times", ratio(driver, plain));
    println!("one sender, {PEERS} receivers, {FRAMES_EACH} frames of {FRAME_BYTES} bytes each");
    let plain = plain_fan_out();
    let driver = driver_fan_out();
    println!(
        "  plain TCP, unbatched {:.0} frames/s, driver {:.0} frames/s: {:.2} times",
        rate(plain),
        rate(driver),
        ratio(plain, driver)
    );
    println!("memory of a process with one driver and {PEERS} idle connections");
    println!("  {}", memory());
}

fn p50(mut times: Vec<Duration>) -> Duration {
    times.drain(..times.len() / 10);
    times.sort_unstable();
    times[times.len() / 2]
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

fn rate(time: Duration) -> f64 {
    (PEERS * FRAMES_EACH) as f64 / time.as_secs_f64()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("a bound listener");
    (listener, address)
}

fn plain_round_trips() -> Vec<Duration> {
    let (tell, told) = oneshot::channel();
    let server = thread::spawn(move || {
        runtime().block_on(async {
            let (listener, address) = listen().await;
            tell.send(address).expect("the client waits");
            let (mut stream, _) = listener.accept().await.expect("the client connects");
            stream.set_nodelay(true).expect("a socket");
            let mut frame = [0; FRAME_BYTES + 4];
            while stream.read_exact(&mut frame).await.is_ok() {
                stream.write_all(&frame).await.expect("the client reads");
            }
        });
    });
    let times = runtime().block_on(async {
        let mut stream = TcpStream::connect(told.await.expect("an address")).await.expect("a server");
        stream.set_nodelay(true).expect("a socket");
        let mut frame = [0; FRAME_BYTES + 4];
        let mut times = Vec::with_capacity(ROUND_TRIPS);
        for _ in 0..ROUND_TRIPS {
            let started = Instant::now();
            stream.write_all(&frame).await.expect("the server reads");
            stream.read_exact(&mut frame).await.expect("the server echoes");
            times.push(started.elapsed());
        }
        times
    });
    server.join().expect("the server ends");
    times
}

fn plain_fan_out() -> Duration {
    let (tell, told) = oneshot::channel();
    let receivers = thread::spawn(move || {
        runtime().block_on(async {
            let (listener, address) = listen().await;
            tell.send(address).expect("the sender waits");
            let mut tasks = Vec::new();
            for _ in 0..PEERS {
                let (mut stream, _) = listener.accept().await.expect("the sender connects");
                tasks.push(tokio::spawn(async move {
                    let mut bytes = vec![0; 64 << 10];
                    while 0 < stream.read(&mut bytes).await.expect("the sender ends well") {}
                }));
            }
            for task in tasks {
                task.await.expect("a receiver");
            }
        });
    });
    let started = runtime().block_on(async {
        let address = told.await.expect("an address");
        let mut streams = Vec::new();
        for _ in 0..PEERS {
            let stream = TcpStream::connect(address).await.expect("a receiver");
            stream.set_nodelay(true).expect("a socket");
            streams.push(stream);
        }
        let started = Instant::now();
        let frame = [0; FRAME_BYTES + 4];
        for _ in 0..FRAMES_EACH {
            for stream in &mut streams {
                stream.write_all(&frame).await.expect("the receiver reads");
            }
        }
        started
    });
    receivers.join().expect("the receivers end");
    started.elapsed()
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Message {
    Request(Vec<u8>),
    Echo(Vec<u8>),
    Delivery(Vec<u8>),
}

enum Command {
    Request(NodeHandle),
    Deliver(Vec<NodeHandle>),
    Stop,
}

/// Echoes requests, and counts what else it gets.
struct Bench {
    me: NodeHandle,
    count: usize,
}

impl Machine for Bench {
    type Command = Command;
    type Event = usize;
    type Message = Message;

    fn me(&self) -> NodeHandle {
        self.me
    }

    fn handle(&mut self, _: Time, input: Input<Command, Message>, outputs: &mut Vec<Output<usize, Message>>) {
        let body = || vec![7; FRAME_BYTES - 3];
        match input {
            Input::Command(Command::Request(to)) => {
                outputs.push(Output::Send { to, message: Message::Request(body()) });
            }
            Input::Command(Command::Deliver(peers)) => {
                for to in peers {
                    outputs.push(Output::Send { to, message: Message::Delivery(body()) });
                }
            }
            Input::Command(Command::Stop) => outputs.push(Output::Stop),
            Input::Message { from, message: Message::Request(body) } => {
                outputs.push(Output::Send { to: from, message: Message::Echo(body) });
            }
            Input::Message { .. } => {
                self.count += 1;
                if self.count.is_multiple_of(FRAMES_EACH) || self.count <= ROUND_TRIPS {
                    outputs.push(Output::Event(self.count));
                }
            }
            Input::Unreachable { peer, undelivered } => {
                panic!("{peer} is there, but did not get {} messages", undelivered.len())
            }
            Input::Wakeup => {}
        }
    }

    fn next_wakeup(&self) -> Option<Time> {
        None
    }
}

async fn driver() -> (NodeHandle, Driver<Bench>, Controls<Bench>) {
    let (listener, address) = listen().await;
    let me = NodeHandle::new(address);
    let (driver, controls) = Driver::new(Bench { me, count: 0 }, listener, Config::default(), Clock::start());
    (me, driver, controls)
}

fn driver_round_trips() -> Vec<Duration> {
    let (tell, told) = oneshot::channel();
    let server = thread::spawn(move || {
        runtime().block_on(async {
            let (me, driver, controls) = driver().await;
            tell.send((me, controls.abort)).expect("the client waits");
            driver.run().await;
        });
    });
    let times = runtime().block_on(async {
        let (_, driver, mut controls) = driver().await;
        let task = tokio::spawn(driver.run());
        let (server, abort) = told.await.expect("a server");
        let mut times = Vec::with_capacity(ROUND_TRIPS);
        for _ in 0..ROUND_TRIPS {
            let started = Instant::now();
            controls.commands.send(Command::Request(server)).await.expect("the driver runs");
            controls.news.recv().await.expect("the server echoes");
            times.push(started.elapsed());
        }
        controls.commands.send(Command::Stop).await.expect("the driver runs");
        task.await.expect("the driver stops");
        abort.cancel();
        times
    });
    server.join().expect("the server ends");
    times
}

fn driver_fan_out() -> Duration {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (done, mut counted) = mpsc::unbounded_channel();
    let receivers = thread::spawn(move || {
        runtime().block_on(async {
            let mut tasks = Vec::new();
            for _ in 0..PEERS {
                let (me, driver, mut controls) = driver().await;
                tell.send((me, controls.abort)).expect("the sender waits");
                let done = done.clone();
                tasks.push(tokio::spawn(async move {
                    while let Some(news) = controls.news.recv().await {
                        if matches!(news, News::Event(count) if count == FRAMES_EACH) {
                            done.send(()).expect("the sender waits");
                        }
                    }
                }));
                tasks.push(tokio::spawn(async {
                    driver.run().await;
                }));
            }
            for task in tasks {
                task.await.expect("a receiver");
            }
        });
    });
    let time = runtime().block_on(async {
        let (_, driver, controls) = driver().await;
        let task = tokio::spawn(driver.run());
        let (mut peers, mut aborts) = (Vec::new(), Vec::new());
        for _ in 0..PEERS {
            let (peer, abort) = told.recv().await.expect("a receiver");
            peers.push(peer);
            aborts.push(abort);
        }
        let started = Instant::now();
        for _ in 0..FRAMES_EACH {
            controls.commands.send(Command::Deliver(peers.clone())).await.expect("the driver runs");
        }
        for _ in 0..PEERS {
            counted.recv().await.expect("a receiver gets all");
        }
        let time = started.elapsed();
        controls.commands.send(Command::Stop).await.expect("the driver runs");
        task.await.expect("the driver stops");
        for abort in aborts {
            abort.cancel();
        }
        time
    });
    receivers.join().expect("the receivers end");
    time
}

/// Prints its address, and its memory once all peers have said something.
fn idle_node() {
    runtime().block_on(async {
        let (me, driver, mut controls) = driver().await;
        println!("{}", me.addr());
        tokio::spawn(driver.run());
        for _ in 0..PEERS {
            controls.news.recv().await.expect("a peer");
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        println!("{}", status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("unknown here"));
    });
}

fn memory() -> String {
    let program = std::env::current_exe().expect("this program");
    let mut child = Process::new(program).arg(IDLE).stdout(Stdio::piped()).spawn().expect("a child");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut line = move || lines.next().expect("a line").expect("a line of text");
    let node = NodeHandle::new(line().parse().expect("an address"));
    let memory = runtime().block_on(async {
        let mut peers = Vec::new();
        for _ in 0..PEERS {
            let (_, driver, controls) = driver().await;
            tokio::spawn(driver.run());
            controls.commands.send(Command::Deliver(vec![node])).await.expect("the driver runs");
            peers.push(controls);
        }
        tokio::task::spawn_blocking(move || (line(), peers)).await.map(|(memory, _)| memory)
    });
    child.wait().expect("the child ends");
    memory.expect("a line")
}
