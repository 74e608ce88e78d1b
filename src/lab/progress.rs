//! How far a command is that takes long: one bar on standard error, where that is a terminal, and nothing elsewhere.

use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use super::warn;

/// How often it is drawn anew that time passes.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// The bar; it is taken away when the command ends.
#[derive(Clone, Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// One that nothing is known of yet.
    pub(super) fn new() -> anyhow::Result<Progress> {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {elapsed}");
        let bar = ProgressBar::no_length().with_style(style.context("the bar cannot be drawn")?);
        Ok(Progress(bar))
    }

    /// One that nobody sees.
    pub(super) fn hidden() -> Progress {
        Progress(ProgressBar::hidden())
    }

    /// The next stage begins, of so many parts.
    pub(super) fn begin(&self, stage: &'static str, parts: usize) {
        self.0.set_length(parts as u64);
        self.0.set_position(0);
        self.0.set_message(stage);
        // A bar that is hidden needs no thread that draws it.
        if !self.0.is_hidden() {
            self.0.enable_steady_tick(DRAW_EVERY);
        }
    }

    /// So many more parts are done.
    pub(super) fn advance(&self, parts: usize) {
        self.0.inc(parts as u64);
    }

    /// So many parts are done by now.
    pub(super) fn reach(&self, parts: usize) {
        self.0.set_position(parts as u64);
    }

    /// Tells what does not end the command, above the bar.
    pub(super) fn warn(&self, line: &str) {
        self.0.suspend(|| warn(line));
    }

    /// Writes something in the place of the bar, which comes again below.
    pub(super) fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }

    /// All is done.
    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}
