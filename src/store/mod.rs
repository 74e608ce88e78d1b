//! The disk: one file in a directory of its own, written by one thread.
//!
//! ```text
//!            batches, one at a time
//! driver ─────────────────────────────► ┌──────────────┐  one transaction
//!    ▲                                  │ writer thread│ ────────────────► chat.redb
//!    └───────────────────────────────── └──────────────┘
//!            "it is on the disk", or why it is not
//! ```
//!
//! What is kept are values under keys: bytes, of which only the machine knows what they say.
//! The file has a lock: a second process on the same directory is refused.
//! A file that is damaged is set aside under another name, and a new one begun.
//! With each batch it is looked whether the file is still where it was: one that was deleted can be written as
//! long as the process runs, and nobody will find it afterwards.

mod directory;
mod file;
#[cfg(test)]
mod tests;
mod writer;

pub use directory::{data_directory, data_root, shell_word};
pub use file::{Damage, FILE_NAME, Opened, open};
pub use writer::Writer;

/// A value and its key, as they were kept.
pub type Item = (Vec<u8>, Vec<u8>);
