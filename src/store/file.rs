//! The file: opened and read at the start, changed by whole transactions from then on.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, ensure};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

use super::{Item, Writer};
use crate::machine::batches::Changes;

/// The name of the file in its directory.
pub const FILE_NAME: &str = "chat.redb";

const ITEMS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("items");

/// How much of the file is kept in memory, in bytes: all that is read is read once, at the start.
const CACHE_BYTES: usize = 4 << 20;

/// A file that was opened.
#[derive(Debug)]
pub struct Opened {
    /// Writes to it.
    pub writer: Writer,
    /// What was kept in it, in the order of the keys.
    pub items: Vec<Item>,
    /// What was wrong with the file that was there before, if something was.
    pub damage: Option<Damage>,
}

/// What was wrong with a file, in whose place a new one was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// What was in it was not what had been written; here it lies now.
    SetAside(PathBuf),
    /// It was there, and nothing was in it.
    Empty,
}

/// Why a file cannot be read.
enum Unreadable {
    /// What is in it is not what was written.
    Damaged,
    /// Another process has opened it.
    InUse,
    /// The system does not let us.
    Refused(io::Error),
}

/// Opens the file in `directory`, and makes both if they are not there.
///
/// Fails if another process has it open, or the system does not allow it; then nothing was changed.
pub fn open(directory: &Path) -> anyhow::Result<Opened> {
    let what_to_do = "choose another directory with --data-dir DIR, or --ephemeral to keep nothing";
    make_directory(directory)
        .with_context(|| format!("cannot make the directory {}: {what_to_do}", directory.display()))?;
    let path = directory.join(FILE_NAME);
    let refusal = |why| match why {
        Unreadable::InUse => {
            anyhow!("another chat uses the data in {}: {what_to_do}", directory.display())
        }
        Unreadable::Refused(error) => anyhow!("cannot write to {}: {error}: {what_to_do}", path.display()),
        Unreadable::Damaged => anyhow!("{} is damaged, also when it is new: {what_to_do}", path.display()),
    };
    let mut damage = None;
    let read_file = match read(&path) {
        Err(Unreadable::Damaged) => {
            let aside = rename_damaged(&path).map_err(|error| refusal(Unreadable::Refused(error)))?;
            let told = format!("{} was damaged, and is now {}", path.display(), aside.display());
            damage = Some(Damage::SetAside(aside));
            read(&path).map_err(|why| refusal(why).context(told))?
        }
        read => read.map_err(refusal)?,
    };
    if read_file.was_empty {
        damage = Some(Damage::Empty);
    }
    let ReadFile { database, file, items, .. } = read_file;
    let write_batch = move |changes: &Changes| -> anyhow::Result<()> {
        if !changes.is_empty() {
            write(&database, changes)?;
        }
        ensure!(is_at(&path, &file), "{} was deleted or moved while it was in use", path.display());
        Ok(())
    };
    let writer = Writer::start(write_batch).context("cannot start a thread")?;
    Ok(Opened { writer, items, damage })
}

/// Whether `path` still leads to `file`; where the system does not tell, it is taken to.
fn is_at(path: &Path, file: &File) -> bool {
    match (fs::metadata(path), file.metadata()) {
        (Ok(found), Ok(held)) => is_same(&found, &held),
        (Err(error), _) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        (_, Err(_)) => true,
    }
}

#[cfg(unix)]
fn is_same(found: &fs::Metadata, held: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino()) == (held.dev(), held.ino())
}

#[cfg(not(unix))]
fn is_same(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}

/// A file whose every page was checked.
struct ReadFile {
    database: Database,
    /// The same file as that of the database.
    file: File,
    items: Vec<Item>,
    /// Whether it was there, and nothing was in it.
    was_empty: bool,
}

/// Only the user may read what is kept: private messages may wait there.
fn make_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(directory)
}

/// The file at `path`, made if it is not there; and whether it was there, and nothing was in it.
fn open_file(path: &Path) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.read(true).write(true);
    match options.clone().create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = options.create(true).truncate(false).open(path)?;
            let is_empty = file.metadata()?.len() == 0;
            Ok((file, is_empty))
        }
        opened => Ok((opened?, false)),
    }
}

fn rename_damaged(path: &Path) -> io::Result<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".damaged-{}", now.as_secs()));
    fs::rename(path, &name)?;
    Ok(name.into())
}

/// Reads all that is there, and checks every page: what is damaged is better known now than later.
fn read(path: &Path) -> Result<ReadFile, Unreadable> {
    let (file, was_empty) = open_file(path).map_err(Unreadable::Refused)?;
    let same_file = file.try_clone().map_err(Unreadable::Refused)?;
    // On bytes that nobody has written, the library may fail in any way.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let mut database = Database::builder().set_cache_size(CACHE_BYTES).create_file(file)?;
        database.check_integrity()?;
        let items = read_items(&database)?;
        Ok(ReadFile { database, file: same_file, items, was_empty })
    }));
    opened.unwrap_or(Err(Unreadable::Damaged))
}

fn read_items(database: &Database) -> Result<Vec<Item>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(ITEMS) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut items = Vec::new();
    for item in table.iter()? {
        let (key, value) = item?;
        items.push((key.value().to_vec(), value.value().to_vec()));
    }
    Ok(items)
}

/// Makes all changes in one transaction, which is on the disk when this returns.
pub(super) fn write(database: &Database, changes: &Changes) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(ITEMS)?;
        for (key, value) in changes {
            match value {
                Some(value) => table.insert(&key[..], &value[..])?,
                None => table.remove(&key[..])?,
            };
        }
    }
    transaction.commit()?;
    Ok(())
}

impl From<DatabaseError> for Unreadable {
    fn from(error: DatabaseError) -> Unreadable {
        match error {
            DatabaseError::DatabaseAlreadyOpen => Unreadable::InUse,
            error => redb::Error::from(error).into(),
        }
    }
}

impl From<redb::Error> for Unreadable {
    fn from(error: redb::Error) -> Unreadable {
        match error {
            // What the system says has a number; what has none was found in the bytes.
            redb::Error::Io(error) if error.raw_os_error().is_some() => Unreadable::Refused(error),
            _ => Unreadable::Damaged,
        }
    }
}
