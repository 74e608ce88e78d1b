//! The files: a page that reads all tables together, and for each table its rows and its figure.

use std::path::Path;

use anyhow::Context;

use super::Run;
use super::table::Table;

/// The page without its tables: a line `{name}` stands for the table of this name, and `{part}` for how much
/// was measured.
const TEMPLATE: &str = include_str!("page.md");

/// Writes `README.md`, `tables.txt`, and `NAME.csv` and `NAME.svg` of each table, into the directory `out`, which
/// is there.
pub fn write(out: &Path, run: &Run, tables: &[Table]) -> anyhow::Result<()> {
    let write = |name: &str, text: String| {
        let path = out.join(name);
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
    };
    for table in tables {
        write(&format!("{}.csv", table.name), table.csv())?;
        write(&format!("{}.svg", table.name), table.figure.svg()?)?;
    }
    write("tables.txt", tables.iter().map(Table::to_string).collect::<Vec<_>>().join("\n"))?;
    write("README.md", page(run, tables))
}

fn page(run: &Run, tables: &[Table]) -> String {
    let part = match run.one_in {
        1 => "all of it".to_owned(),
        parts => format!("one part in {parts} of it"),
    };
    let place = |table: &Table| format!("{{{}}}\n", table.name);
    let page = TEMPLATE.replace("{part}", &part);
    tables.iter().fold(page, |page, table| page.replace(&place(table), &table.markdown()))
}
