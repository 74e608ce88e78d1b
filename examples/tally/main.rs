//! Tally: words are counted on a ring, each at the root of its key.
//!
//! ```text
//! cargo run --example tally -- --addr 127.0.0.1:7100
//! cargo run --example tally -- --addr 127.0.0.1:7101 --bootstrap 127.0.0.1:7100
//! ```
//!
//! Then type `add <word>` or `count <word>`; the end of input is the end of the node.

mod tally;

use chord_chat::application::Order;
use chord_chat::id::NodeHandle;
use chord_chat::net::{Clock, Config, Driver, News, bootstrap};
use tally::{ADD, COUNT, Tally};

#[derive(clap::Parser)]
struct Options {
    #[arg(long)]
    addr: std::net::SocketAddr,
    #[arg(long)]
    bootstrap: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = <Options as clap::Parser>::parse();
    let listener = tokio::net::TcpListener::bind(options.addr).await?;
    let me = NodeHandle::new(listener.local_addr()?);
    let (config, clock) = (Config::new("tally"), Clock::start());
    let order = match &options.bootstrap[..] {
        [] => Order::Create,
        others => Order::Join(bootstrap(me, me.addr(), &config, others).await?.0),
    };
    let (driver, mut controls) = Driver::new(Tally::host(me, clock.now())?, listener, config, clock);
    controls.commands.send(order).await?;
    println!("{me}");
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let order = match line.split_once(' ') {
                Some(("add", word)) => Order::Command((ADD, word.to_owned())),
                Some(("count", word)) => Order::Command((COUNT, word.to_owned())),
                _ => {
                    println!("add <word> or count <word>");
                    continue;
                }
            };
            let _ = controls.commands.blocking_send(order);
        }
        let _ = controls.commands.blocking_send(Order::Leave);
    });
    let telling = tokio::spawn(async move {
        while let Some(news) = controls.news.recv().await {
            if let News::Event(event) = news {
                println!("{event}");
            }
        }
    });
    driver.run().await;
    Ok(telling.await?)
}
