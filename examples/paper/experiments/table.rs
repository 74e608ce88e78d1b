//! A table, as text, as CSV and as Markdown.

use std::fmt;

use super::figure::Figure;

/// What an experiment has found.
pub struct Table {
    /// The name of its files, and of its place in the page.
    pub name: &'static str,
    pub title: &'static str,
    pub head: Vec<&'static str>,
    /// As many cells in each as in the head; none has a comma.
    pub rows: Vec<Vec<String>>,
    pub figure: Figure,
}

impl Table {
    pub fn csv(&self) -> String {
        let line = |cells: Vec<&str>| cells.join(",") + "\n";
        let rows = self.rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
        line(self.head.clone()) + &rows.collect::<String>()
    }

    /// The rows and the figure, without the title.
    pub fn markdown(&self) -> String {
        let mut text = format!("| {} |\n|{}\n", self.head.join(" | "), " ---: |".repeat(self.head.len()));
        for row in &self.rows {
            text += &format!("| {} |\n", row.join(" | "));
        }
        text + &format!("\n![{}]({}.svg)\n", self.title, self.name)
    }
}

/// With a column as wide as its widest cell.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        let widths: Vec<usize> = (0..self.head.len())
            .map(|column| {
                let cells = self.rows.iter().map(|row| row[column].chars().count());
                cells.max().unwrap_or(0).max(self.head[column].chars().count())
            })
            .collect();
        let head = self.head.iter().map(|head| (*head).to_owned()).collect();
        for row in std::iter::once(&head).chain(&self.rows) {
            for (cell, width) in row.iter().zip(&widths) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
