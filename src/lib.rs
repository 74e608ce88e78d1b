//! Chat without a server: every running `chat` is a node of a Chord ring.
//!
//! The core computes, the shell acts: a node is a value that turns inputs into outputs
//! (see [`machine::Machine`]); sockets, clocks, files and terminals stand outside it.
//!
//! # Where to begin
//!
//! | to | read |
//! | --- | --- |
//! | see what a node is | [`node::Node`], then [`machine`] |
//! | follow the ring | [`chord`]: one file is one conversation, with the paper beside it |
//! | see what the ring keeps | [`records`] |
//! | add a command | [`chat`], and [`chat::command::COMMANDS`] |
//! | run a node in a program | [`net::Driver`] |
//! | try many nodes at once | [`sim::network`] |
//! | write a front end | [`chat::event::Event`], and [`repl::session`] |
//!
//! `docs/architecture.md` has the whole map, and `docs/protocol.md` the bytes.
//!
//! # Two nodes say hello
//!
//! ```
//! use std::cell::RefCell;
//! use std::rc::Rc;
//! use std::time::Duration;
//!
//! use chord_chat::chat::event::Event;
//! use chord_chat::id::NodeHandle;
//! use chord_chat::node::{Command, Node};
//! use chord_chat::sim::{Links, Network, Observer, START};
//!
//! /// The private messages that people are shown.
//! #[derive(Default)]
//! struct Shown(Vec<String>);
//!
//! impl Observer<Node> for Shown {
//!     fn told(&mut self, _: &Network<Node>, _: NodeHandle, event: &Event) {
//!         if let Event::Private { from, text, .. } = event {
//!             self.0.push(format!("{from}: {text}"));
//!         }
//!     }
//! }
//!
//! let alice = NodeHandle::new("192.0.2.1:7000".parse()?);
//! let bob = NodeHandle::new("192.0.2.2:7000".parse()?);
//!
//! let shown = Rc::new(RefCell::new(Shown::default()));
//! let mut network = Network::new(0, Links::good());
//! network.observe(shown.clone());
//! network.add(Node::new("alice".parse()?, alice, START));
//! network.add(Node::new("bob".parse()?, bob, START));
//!
//! network.command(alice, Command::Start { bootstrap: None });
//! network.command(bob, Command::Start { bootstrap: Some(alice) });
//! network.run_for(Duration::from_secs(1));
//! network.command(bob, Command::Line("msg alice hello".to_owned()));
//! network.run_for(Duration::from_secs(1));
//! assert_eq!(shown.borrow().0, ["bob: hello"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod id;
pub mod time;
pub mod machine;
pub mod chord;
pub mod application;
pub mod records;
pub mod chat;
pub mod node;
pub mod wire;
pub mod store;
pub mod net;
pub mod sim;
pub mod repl;
pub mod json;
pub mod http;
pub mod lab;
pub mod simulate;
pub mod cli;
