//! The `chat` program.

fn main() {}
