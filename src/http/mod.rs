//! HTTP: the node for programs that speak it, and for browsers.
//!
//! program -> here: a request
//! here -> node: [`Command::Ask`](crate::node::Command::Ask)
//! node -> here: [`Event::Answer`](crate::chat::event::Event::Answer)
//! here -> program: JSON, as `openapi.json` describes it
//!
//! | path | what it does |
//! | --- | --- |
//! | `GET /nodeinfo` | what the node knows of itself |
//! | `GET /db` | the values that the node keeps |
//! | `GET`, `PUT`, `DELETE /db/{key}` | the value under a key |
//! | `GET /dht/find/{key}` | the way to the root of a key |
//! | `GET /dht/peers` | all nodes, in the order of the ring |
//! | `PUT /dht/join` | unites the ring with those of other nodes |
//! | `POST /dht/leave` | the node leaves in good order |
//! | `GET /channels` | the channels that the user is in |
//! | `GET`, `POST /channels/{name}/messages` | what was said in a channel; the user says something there |
//! | `PUT`, `DELETE /channels/{name}/membership` | the user joins a channel, or leaves it |
//! | `POST /users/{nick}/messages` | the user says something to a person |
//! | `GET /` | a page: the ring as it changes, and the chat |
//! | `GET /dht/watch` | the ring as it changes |
//! | `GET /dht/peers/view`, `GET /db/view/{key}` | pages with the ring and the way to a key |
//! | `GET /events` | the user's events as they come |
//! | `GET /metrics` | figures for Prometheus |
//! | `GET /openapi.json` | all this, for machines |
//!
//! Reading is free to whoever reaches the address; what changes something needs the token.
//! A page of another site, which the user's browser shows, can do neither: see `guard`.

mod asks;
mod events;
mod guard;
mod health;
mod metrics;
mod page;
mod reply;
mod routes;
mod serve;
mod talk;
mod token;
mod views;
mod watch;

pub use self::asks::Asks;
pub use self::events::Events;
pub use self::health::{HealthOptions, health};
pub(crate) use self::routes::ROOT;
pub use self::serve::{refuse_until, serve};
pub use self::token::Token;
