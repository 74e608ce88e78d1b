//! Plain tokio TCP, its parties on threads as the nodes are.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc as blocking;
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::arrivals::Arrivals;
use super::host::{Host, runtime};
use super::{FRAME_BYTES, MEMBERS};

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
        self.0.send(Job { count, times }).expect("the thread runs");
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

/// Accepts one connection and serves it.
fn server<F>(host: &Host, serve: impl FnOnce(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send,
{
    let (tell, told) = blocking::channel();
    host.run(async move {
        let (listener, address) = listen().await;
        tell.send(address).expect("someone waits");
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        serve(stream).await;
    });
    told.recv().expect("the thread runs")
}

fn receivers(host: &Host, arrivals: &Arrivals) -> Vec<SocketAddr> {
    let receiver = |_| {
        let arrivals = arrivals.clone();
        server(host, async move |mut stream| {
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

/// Starts a thread that is connected to `targets` and measures what `once` does with them.
fn sender(
    targets: Vec<SocketAddr>,
    once: impl AsyncFn(&mut [TcpStream]) -> Duration + Send + 'static,
) -> Sender {
    let (jobs, mut asked) = mpsc::unbounded_channel::<Job>();
    thread::spawn(move || {
        runtime().block_on(async {
            let mut streams = Vec::new();
            for address in targets {
                streams.push(connect(address).await);
            }
            while let Some(job) = asked.recv().await {
                let mut times = Vec::with_capacity(job.count);
                for _ in 0..job.count {
                    times.push(once(&mut streams).await);
                }
                job.times.send(times).expect("someone waits");
            }
        });
    });
    Sender(jobs)
}

/// Request and echo.
pub fn echo() -> Sender {
    let echo = server(&Host::Own, async |mut stream| {
        let mut frame = [0; SENT_BYTES];
        while stream.read_exact(&mut frame).await.is_ok() {
            stream.write_all(&frame).await.expect("the client reads");
        }
    });
    sender(vec![echo], async |streams| {
        let mut frame = [7; SENT_BYTES];
        let started = Instant::now();
        streams[0].write_all(&frame).await.expect("the server reads");
        streams[0].read_exact(&mut frame).await.expect("the server echoes");
        started.elapsed()
    })
}

async fn write_to_all(streams: &mut [TcpStream], frame: &[u8]) {
    for stream in streams {
        stream.write_all(frame).await.expect("the receiver reads");
    }
}

/// One writes `frames` to all receivers, each with a write of its own.
pub fn fan_out(host: &Host, frames: usize) -> Sender {
    let arrivals = Arrivals::new();
    let receivers = receivers(host, &arrivals);
    sender(receivers, async move |streams| {
        arrivals.expect(frames * MEMBERS * SENT_BYTES);
        let started = Instant::now();
        for _ in 0..frames {
            write_to_all(streams, &[7; SENT_BYTES]).await;
        }
        arrivals.complete().await - started
    })
}

/// One writes a frame to a hub, which writes it to all receivers.
pub fn fan_out_of_hub() -> Sender {
    let arrivals = Arrivals::new();
    let receivers = receivers(&Host::Own, &arrivals);
    let hub = server(&Host::Own, async move |mut stream| {
        let mut streams = Vec::new();
        for address in receivers {
            streams.push(connect(address).await);
        }
        let mut frame = [0; SENT_BYTES];
        while stream.read_exact(&mut frame).await.is_ok() {
            write_to_all(&mut streams, &frame).await;
        }
    });
    sender(vec![hub], async move |streams| {
        arrivals.expect(MEMBERS * SENT_BYTES);
        let started = Instant::now();
        write_to_all(streams, &[7; SENT_BYTES]).await;
        arrivals.complete().await - started
    })
}
