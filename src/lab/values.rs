//! `put`, `get` and what belongs to them: each through a node at random.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use futures_util::future::join_all;
use hyper::Method;

use super::client::{change, get_as_it_is, path_of};
use super::progress::Progress;
use super::state::{Lab, Node, one_of};
use super::{aside, find, say, show};
use crate::records::value::{KEY_CHARS_MAX, ValueKey};

/// How many requests are under way at a time.
const AT_A_TIME: usize = 16;

/// Of what random words consist.
const SYLLABLES: [&str; 32] = [
    "ba", "be", "bo", "da", "di", "du", "fa", "fi", "ga", "go", "ka", "ke", "ki", "la", "le", "lo", "ma",
    "mi", "mo", "na", "ne", "no", "pa", "pe", "ra", "ri", "ro", "sa", "su", "ta", "te", "vo",
];

/// How many of them: 2^30 words are so many that 100,000 of them are different, but for a few.
const SYLLABLES_OF_A_WORD: u32 = 6;

/// `store`: a value that is its own key.
pub(super) async fn store(lab: &Lab, value: &str) -> anyhow::Result<()> {
    let key: Result<ValueKey, _> = value.parse();
    key.with_context(|| {
        format!(
            "store keeps a value under itself, and a key has 1 to {KEY_CHARS_MAX} characters, none of them a control character: chat net put KEY VALUE keeps any other value"
        )
    })?;
    put(lab, value, value.as_bytes()).await
}

/// `put`.
pub(super) async fn put(lab: &Lab, key: &str, value: &[u8]) -> anyhow::Result<()> {
    let node = lab.any()?;
    write(lab, &node, key, value).await?;
    say(&format!("{key} is kept, through {}", node.name))
}

async fn write(lab: &Lab, node: &Node, key: &str, value: &[u8]) -> anyhow::Result<()> {
    change(lab, node, Method::PUT, &path_of("db", key), value).await?.body()?;
    Ok(())
}

/// `get` and `lookup`.
pub(super) async fn get(lab: &Lab, key: &str) -> anyhow::Result<()> {
    let Read { value, .. } = read(&lab.any()?, key).await?;
    show(&value.with_context(|| format!("{key} has no value"))?)
}

/// `get --path`: also who has answered, and the way there, which are no part of the value.
pub(super) async fn get_with_path(lab: &Lab, key: &str) -> anyhow::Result<()> {
    let nodes = lab.running()?;
    let node = one_of(&nodes)?;
    let Read { value, root } = read(&node, key).await?;
    match find::way(lab, &node, key, false).await {
        Ok(way) => find::lines(&nodes, key, &way).iter().for_each(|line| aside(line)),
        Err(error) => aside(&format!("the way to {key} is not known: {error:#}")),
    }
    if let Some(root) = root {
        aside(&format!("{} has answered", find::name_of(&nodes, root)));
    }
    show(&value.with_context(|| format!("{key} has no value"))?)
}

/// What a node has read.
struct Read {
    value: Option<Vec<u8>>,
    /// Who has answered, if there is a value.
    root: Option<SocketAddr>,
}

async fn read(node: &Node, key: &str) -> anyhow::Result<Read> {
    let answer = get_as_it_is(node, &path_of("db", key)).await?;
    if answer.is_not_found() {
        return Ok(Read { value: None, root: None });
    }
    let root = answer.root();
    Ok(Read { value: Some(answer.body()?.to_vec()), root })
}

/// `delete`.
pub(super) async fn delete(lab: &Lab, key: &str) -> anyhow::Result<()> {
    let node = lab.any()?;
    change(lab, &node, Method::DELETE, &path_of("db", key), &[]).await?.body()?;
    say(&format!("{key} is deleted, through {}", node.name))
}

/// `storemany`.
pub(super) async fn store_many(lab: &Lab, count: i64) -> anyhow::Result<()> {
    let words = (0..count).map(|_| word()).collect::<anyhow::Result<Vec<String>>>()?;
    let pairs: Vec<_> = words.iter().map(|word| (word.clone(), word.clone())).collect();
    // What is kept is known, also if the rest is not.
    put_all(lab, &pairs, say).await.map(drop).map_err(|failed| failed.why)
}

fn word() -> anyhow::Result<String> {
    let random = getrandom::u32().context("the system gives no random numbers")?;
    let syllable = |place| SYLLABLES[(random >> (5 * place)) as usize % SYLLABLES.len()];
    Ok((0..SYLLABLES_OF_A_WORD).map(syllable).collect())
}

/// `load`.
pub(super) async fn load(lab: &Lab, file: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut pairs = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let pair = line.trim().split_once(char::is_whitespace);
        let (key, value) = pair.with_context(|| {
            format!("line {} of {} is not a key, a blank and a value", number + 1, file.display())
        })?;
        pairs.push((key.to_owned(), value.trim_start().to_owned()));
    }
    ensure!(!pairs.is_empty(), "{} has no lines", file.display());
    let written = put_all(lab, &pairs, |_| Ok(())).await.map_err(|NotAll { kept, why }| {
        why.context(format!("{kept} of {} lines were kept before this", pairs.len()))
    })?;
    // Of several lines with one key the last one holds, as they are written in order.
    let last: BTreeMap<_, _> =
        pairs.iter().zip(&written).map(|((key, value), name)| (key, (value, name))).collect();
    let nodes = lab.running()?;
    let progress = Progress::new()?;
    progress.begin("reading back", last.len());
    for (key, (value, writer)) in &last {
        let others: Vec<&Node> = nodes.iter().filter(|node| node.name != **writer).collect();
        let node = if others.is_empty() { one_of(&nodes)? } else { one_of(&others)?.clone() };
        let kept = read(&node, key).await?.value;
        if kept.as_deref() != Some(value.as_bytes()) {
            bail!("{key} was written, but {} does not read that back", node.name);
        }
        progress.advance(1);
    }
    progress.end();
    say(&format!("{} keys are kept, and were read back", last.len()))
}

/// Not all that was to be written is kept.
#[derive(Debug)]
struct NotAll {
    /// How many of them are.
    kept: usize,
    why: anyhow::Error,
}

/// Writes all, several at a time, but those with one key one after the other; tells of each key in its turn once it is
/// kept, and returns the names of the nodes through which they were written.
async fn put_all(
    lab: &Lab,
    pairs: &[(String, String)],
    tell: impl Fn(&str) -> anyhow::Result<()>,
) -> Result<Vec<String>, NotAll> {
    let mut through = Vec::new();
    let fails = |kept: usize| move |why: anyhow::Error| NotAll { kept, why };
    let nodes = lab.running().map_err(fails(0))?;
    let progress = Progress::new().map_err(fails(0))?;
    progress.begin("storing", pairs.len());
    let mut rest = pairs;
    while !rest.is_empty() {
        let mut keys = BTreeSet::new();
        let count = rest.iter().take(AT_A_TIME).take_while(|(key, _)| keys.insert(key)).count();
        let (now, later) = rest.split_at(count);
        let mut failure = None;
        for (key, written) in write_at_once(lab, &nodes, now).await.map_err(fails(through.len()))? {
            match written {
                Ok(name) => {
                    progress.above(|| tell(&key)).map_err(fails(through.len()))?;
                    through.push(name);
                    progress.advance(1);
                }
                Err(error) => drop(failure.get_or_insert(error.context(format!("{key} was not kept")))),
            }
        }
        if let Some(why) = failure {
            return Err(NotAll { kept: through.len(), why });
        }
        rest = later;
    }
    progress.end();
    Ok(through)
}

/// Writes some at once, each through a node at random: of each, in their order, the name of that node, or why it is
/// not kept.
async fn write_at_once(
    lab: &Lab,
    nodes: &[Node],
    pairs: &[(String, String)],
) -> anyhow::Result<Vec<(String, anyhow::Result<String>)>> {
    let mut writes = Vec::new();
    for (key, value) in pairs.iter().cloned() {
        let (lab, node) = (lab.clone(), one_of(nodes)?);
        writes.push(async move {
            let written = write(&lab, &node, &key, value.as_bytes()).await.map(|()| node.name);
            (key, written)
        });
    }
    Ok(join_all(writes).await)
}
