//! Transcripts as text, and what differs from run to run as words.

use std::fmt;

use chord_chat::id::NodeHandle;

/// A transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// What it is about.
    pub title: String,
    pub steps: Vec<Step>,
}

/// Someone types a line, and people see something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who types.
    pub who: String,
    /// What is typed; `None` starts the program.
    pub line: String,
    pub starts: bool,
    /// Who sees what, each person's lines in their order.
    pub shown: Vec<(String, String)>,
}

impl Script {
    pub fn parse(text: &str) -> Script {
        let mut lines = text.lines();
        let title = lines.next().and_then(|line| line.strip_prefix("# ")).expect("a title").to_owned();
        let mut steps: Vec<Step> = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let end = line.find(['>', '$', ':']).unwrap_or_else(|| panic!("somebody's line: {line}"));
            let (who, rest) = (line[..end].to_owned(), line[end + 1..].to_owned());
            match line.as_bytes()[end] {
                b':' => {
                    let text = rest.strip_prefix(' ').unwrap_or(&rest).to_owned();
                    steps.last_mut().expect("somebody types first").shown.push((who, text));
                }
                sign => {
                    steps.push(Step {
                        who,
                        line: rest.trim().to_owned(),
                        starts: sign == b'$',
                        shown: Vec::new(),
                    });
                }
            }
        }
        Script { title, steps }
    }

    pub fn shows_ring(&self) -> bool {
        self.title.ends_with("(with the ring)")
    }

    /// Whether a line belongs into the transcript; a slow machine shows that messages wait.
    pub fn wants(&self, line: &str) -> bool {
        let is_of_ring = line.starts_with("Ring: ") || line.starts_with("Migrated ");
        !line.starts_with("… waits") && (self.shows_ring() || !is_of_ring)
    }

    /// Everyone who takes part, in the order in which they come.
    pub fn people(&self) -> Vec<&str> {
        self.steps.iter().filter(|step| step.starts).map(|step| &step.who[..]).collect()
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}", self.title)?;
        for step in &self.steps {
            let sign = if step.starts { '$' } else { '>' };
            writeln!(f, "\n{}{sign} {}", step.who, step.line)?;
            for (who, line) in &step.shown {
                writeln!(f, "{}", format!("{who}: {line}").trim_end())?;
            }
        }
        Ok(())
    }
}

/// The nodes of the people in a transcript.
#[derive(Default)]
pub struct Nodes(Vec<(String, NodeHandle)>);

impl Nodes {
    pub fn add(&mut self, who: &str, node: NodeHandle) {
        self.0.push((who.to_owned(), node));
    }

    /// A typed line, with what stands for the words in it.
    pub fn concrete(&self, line: &str) -> String {
        self.words().fold(line.to_owned(), |line, (concrete, word)| line.replace(&word, &concrete))
    }

    /// A line that was shown, with words for what differs from run to run.
    pub fn general(&self, line: &str) -> String {
        let line =
            self.words().fold(line.to_owned(), |line, (concrete, word)| line.replace(&concrete, &word));
        match line.strip_suffix(" ms").and_then(|hop| hop.rsplit_once(' ')) {
            Some((hop, _)) => format!("{} <time> ms", hop.trim_end()),
            None => line,
        }
    }

    fn words(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().flat_map(|(who, node)| {
            [
                (node.id().to_string(), format!("<id of {who}>")),
                (node.to_string(), format!("<node of {who}>")),
                (node.addr().to_string(), format!("<address of {who}>")),
                (node.id().short(), format!("<first digits of {who}>")),
            ]
        })
    }
}
