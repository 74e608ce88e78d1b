//! Plain tokio TCP: each party is a thread with a runtime of its own, as the nodes are.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc as blocking;
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::arrivals::Arrivals;
use super::{FRAME_BYTES, MEMBERS, RATE_MESSAGES, runtime};

/// A frame and its length field.
const SENT_BYTES: usize = FRAME_BYTES + 4;

/// What a thread is asked to measure: how many times, and where the times go.
struct Job {
    count: usize,
    times: blocking::Sender<Vec<Duration>>,
}

/// A thread that measures on request.
pub struct Sender(mpsc::UnboundedSender<Job>);

impl Sender {
    /// Measures so many times.
    pub fn measure(&self, count: usize) -> Vec<Duration> {
        let (times, measured) = blocking::channel();
        self.0.send(Job { count, times }).ok().expect("the thread runs");
        measured.recv().expect("the thread runs")
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("a bound listener");
    (listener, address)
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("a listener");
    stream.set_nodelay(true).expect("a socket");
    stream
}

/// Starts a thread that accepts one connection and serves it.
fn server<F: Future<Output = ()>>(serve: impl FnOnce(TcpStream) -> F + Send + 'static) -> SocketAddr {
    let (tell, told) = blocking::channel();
    thread::spawn(move || {
        runtime().block_on(async {
            let (listener, address) = listen().await;
            tell.send(address).expect("someone waits");
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("a socket");
            serve(stream).await;
        });
    });
    told.recv().expect("the thread runs")
}

fn receivers(arrivals: &Arrivals) -> Vec<SocketAddr> {
    let receiver = |_| {
        let arrivals = arrivals.clone();
        server(async move |mut stream| {
            let mut bytes = vec![0; 64 << 10];
            loop {
                match stream.read(&mut bytes).await {
                    Ok(read) if 0 < read => arrivals.add(read),
                    _ => return,
                }
            }
        })
    };
    (0..MEMBERS).map(receiver).collect()
}

/// Request and echo.
pub fn echo() -> Sender {
    let address = server(async |mut stream| {
        let mut frame = [0; SENT_BYTES];
        while stream.read_exact(&mut frame).await.is_ok() {
            stream.write_all(&frame).await.expect("the client reads");
        }
    });
    let (jobs, mut asked) = mpsc::unbounded_channel::<Job>();
    thread::spawn(move || {
        runtime().block_on(async {
            let mut stream = connect(address).await;
            let mut frame = [7; SENT_BYTES];
            while let Some(job) = asked.recv().await {
                let mut times = Vec::with_capacity(job.count);
                for _ in 0..job.count {
                    let started = Instant::now();
                    stream.write_all(&frame).await.expect("the server reads");
                    stream.read_exact(&mut frame).await.expect("the server echoes");
                    times.push(started.elapsed());
                }
                job.times.send(times).expect("someone waits");
            }
        });
    });
    Sender(jobs)
}

async fn write_to_all(streams: &mut [TcpStream], frame: &[u8]) {
    for stream in streams {
        stream.write_all(frame).await.expect("the receiver reads");
    }
}

/// One writes to all receivers; or one writes to a hub, which does.
pub fn fan_out(through_hub: bool) -> Sender {
    let arrivals = Arrivals::new();
    let mut receivers = receivers(&arrivals);
    if through_hub {
        let hub = server(async move |mut stream| {
            let mut streams = Vec::new();
            for address in receivers {
                streams.push(connect(address).await);
            }
            let mut frame = [0; SENT_BYTES];
            while stream.read_exact(&mut frame).await.is_ok() {
                write_to_all(&mut streams, &frame).await;
            }
        });
        receivers = vec![hub];
    }
    let (jobs, mut asked) = mpsc::unbounded_channel::<Job>();
    thread::spawn(move || {
        runtime().block_on(async {
            let mut streams = Vec::new();
            for address in receivers {
                streams.push(connect(address).await);
            }
            while let Some(job) = asked.recv().await {
                let mut times = Vec::with_capacity(job.count);
                for _ in 0..job.count {
                    arrivals.expect(MEMBERS * SENT_BYTES);
                    let started = Instant::now();
                    write_to_all(&mut streams, &[7; SENT_BYTES]).await;
                    times.push(arrivals.complete().await - started);
                }
                job.times.send(times).expect("someone waits");
            }
        });
    });
    Sender(jobs)
}

/// One writes many frames to all receivers, each with a write of its own.
pub fn flood() -> Sender {
    let arrivals = Arrivals::new();
    let receivers = receivers(&arrivals);
    let (jobs, mut asked) = mpsc::unbounded_channel::<Job>();
    thread::spawn(move || {
        runtime().block_on(async {
            let mut streams = Vec::new();
            for address in receivers {
                streams.push(connect(address).await);
            }
            while let Some(job) = asked.recv().await {
                let mut times = Vec::with_capacity(job.count);
                for _ in 0..job.count {
                    arrivals.expect(RATE_MESSAGES * MEMBERS * SENT_BYTES);
                    let started = Instant::now();
                    for _ in 0..RATE_MESSAGES {
                        write_to_all(&mut streams, &[7; SENT_BYTES]).await;
                    }
                    times.push(arrivals.complete().await - started);
                }
                job.times.send(times).expect("someone waits");
            }
        });
    });
    Sender(jobs)
}
