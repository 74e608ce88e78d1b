//! The connections to other machines. They are made anew where a node there says nothing: it may have been started,
//! or have ended, since they were made.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::watch::Watch;
use crate::lab::state::Lab;

/// How often they are made anew at most.
const EVERY: Duration = Duration::from_secs(5);

/// A network, and its connections that are being made.
pub(super) struct Reach {
    lab: Lab,
    coming: Option<JoinHandle<anyhow::Result<Lab>>>,
    began: Instant,
}

impl Reach {
    pub(super) fn new(lab: &Lab, now: Instant) -> Reach {
        Reach { lab: lab.clone(), coming: None, began: now }
    }

    /// The network with the connections that there are now.
    pub(super) async fn lab(&mut self, now: Instant, watch: &Watch) -> &Lab {
        if let Some(made) = self.coming.take_if(|coming| coming.is_finished())
            && let Ok(Ok(lab)) = made.await
        {
            self.lab = lab;
        }
        let is_missed = watch.shown(now).any(|node| node.node.remote.is_some() && node.reason().is_some());
        if is_missed && self.coming.is_none() && self.began + EVERY <= now {
            self.began = now;
            let lab = self.lab.clone();
            // Whom it does not reach, each node that is there says.
            self.coming = Some(tokio::spawn(async move { Ok(lab.linked_anew().await?.0) }));
        }
        &self.lab
    }
}
