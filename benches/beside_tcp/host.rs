//! Where the parties run: the same for plain TCP and for chat.

use std::thread;

use tokio::runtime::{Builder, Handle, Runtime};

/// Where a party runs.
pub enum Host {
    /// On a thread and a runtime of its own, as a process would.
    Own,
    /// On one thread with others.
    Shared(Handle),
}

impl Host {
    /// A thread for many.
    pub fn shared() -> Host {
        let runtime = runtime();
        let handle = runtime.handle().clone();
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        Host::Shared(handle)
    }

    /// Runs a party.
    pub fn run(&self, party: impl Future<Output = ()> + Send + 'static) {
        match self {
            Host::Own => {
                thread::spawn(move || runtime().block_on(party));
            }
            Host::Shared(handle) => {
                handle.spawn(party);
            }
        }
    }
}

/// A runtime of one thread.
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}
