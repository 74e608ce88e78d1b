//! `put`, `get` and what belongs to them: each through a node at random.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use hyper::Method;
use indicatif::ProgressBar;
use tokio::task::JoinSet;

use super::client::{change, get_as_it_is, path_of};
use super::state::{Lab, Node, one_of};
use super::{say, show};

/// How many requests are under way at a time.
const AT_A_TIME: usize = 16;

/// Of what random words consist.
const SYLLABLES: [&str; 32] = [
    "ba", "be", "bo", "da", "di", "du", "fa", "fi", "ga", "go", "ka", "ke", "ki", "la", "le", "lo", "ma",
    "mi", "mo", "na", "ne", "no", "pa", "pe", "ra", "ri", "ro", "sa", "su", "ta", "te", "vo",
];

/// How many of them: 2^30 words are so many that 100,000 of them are different, but for a few.
const SYLLABLES_OF_A_WORD: u32 = 6;

/// `put` and `store`.
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
    let value = read(&lab.any()?, key).await?.with_context(|| format!("{key} has no value"))?;
    show(&value)
}

async fn read(node: &Node, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let answer = get_as_it_is(node, &path_of("db", key)).await?;
    if answer.is_not_found() {
        return Ok(None);
    }
    Ok(Some(answer.body()?.to_vec()))
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
    put_all(lab, &pairs).await?;
    words.iter().try_for_each(|word| say(word))
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
    put_all(lab, &pairs).await?;
    // Of several lines with one key the last one holds, as they are written in order.
    let last: BTreeMap<_, _> = pairs.into_iter().collect();
    let nodes = lab.running()?;
    let progress = ProgressBar::new(last.len() as u64);
    for (key, value) in &last {
        let node = one_of(&nodes)?;
        let kept = read(&node, key).await?;
        if kept.as_deref() != Some(value.as_bytes()) {
            bail!("{key} was written, but {} does not read that back", node.name);
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    say(&format!("{} keys are kept, and were read back", last.len()))
}

/// Writes all, several at a time, but those with one key one after the other.
async fn put_all(lab: &Lab, pairs: &[(String, String)]) -> anyhow::Result<()> {
    let nodes = lab.running()?;
    let progress = ProgressBar::new(pairs.len() as u64);
    let mut rest = pairs;
    while !rest.is_empty() {
        let mut keys = BTreeSet::new();
        let count = rest.iter().take(AT_A_TIME).take_while(|(key, _)| keys.insert(key)).count();
        let (now, later) = rest.split_at(count);
        let mut writes = JoinSet::new();
        for (key, value) in now {
            let (lab, node, key, value) = (lab.clone(), one_of(&nodes)?, key.clone(), value.clone());
            writes.spawn(async move {
                write(&lab, &node, &key, value.as_bytes())
                    .await
                    .with_context(|| format!("{key} was not kept"))
            });
        }
        while let Some(written) = writes.join_next().await {
            written.context("a request was broken off")??;
            progress.inc(1);
        }
        rest = later;
    }
    progress.finish_and_clear();
    Ok(())
}
