//! The tables and figures of the Chord papers, made with this ring, beside what the papers measured.
//!
//! ```text
//! cargo run --release --example paper                                    into docs/paper, a few minutes
//! cargo run --release --example paper -- --one-in 10 --out /tmp/paper    a tenth of it
//! ```
//!
//! The papers are Stoica et al., SIGCOMM 2001, and IEEE/ACM ToN 11(1), 2003; tables and figures are named as
//! in the latter.
//! Everything follows from one seed, so whoever runs it again on such a machine gets the same files.

mod experiments;

use std::num::NonZeroU32;
use std::path::PathBuf;

use anyhow::Context;
use experiments::{EXPERIMENTS, Run, page};

#[derive(clap::Parser)]
struct Options {
    /// Where the files go.
    #[arg(long, default_value = "docs/paper")]
    out: PathBuf,

    /// Measure only one part in so many, to see that it works.
    #[arg(long, default_value = "1")]
    one_in: NonZeroU32,

    /// The number that every random choice follows from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let Options { out, one_in, seed } = <Options as clap::Parser>::parse();
    // Before anything is measured, which takes minutes.
    std::fs::create_dir_all(&out)
        .with_context(|| format!("{} cannot be made: name another directory with --out", out.display()))?;
    let run = Run { seed, one_in: one_in.get() };
    let mut tables = Vec::new();
    for experiment in EXPERIMENTS {
        let table = experiment(&run);
        println!("{table}");
        tables.push(table);
    }
    page::write(&out, &run, &tables)
}
