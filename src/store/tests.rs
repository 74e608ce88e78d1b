//! Files as they may be found: whole, in use, damaged, and on disks that fail.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::backends::InMemoryBackend;
use redb::{Database, StorageBackend};

use super::file::write;
use super::*;
use crate::machine::batches::Changes;

/// In how many ways a file is damaged; each is opened.
const DAMAGES: usize = 400;

fn changes(items: &[(&str, Option<&str>)]) -> Changes {
    let bytes = |text: &str| text.as_bytes().to_vec();
    items.iter().map(|(key, value)| (bytes(key), value.map(bytes))).collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

/// Writes one batch after the other, closes the file, and says what came of the last one.
fn written(mut writer: Writer, batches: impl IntoIterator<Item = Changes>) -> Option<Result<(), String>> {
    runtime().block_on(async {
        let mut last = None;
        for batch in batches {
            assert!(writer.begin(batch));
            last = writer.done().await;
        }
        writer.close().await;
        last
    })
}

fn items(directory: &Path) -> Vec<(String, String)> {
    let opened = open(directory).unwrap();
    assert_eq!(opened.damage, None);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let items = opened.items.into_iter().map(|(key, value)| (text(key), text(value))).collect();
    written(opened.writer, []);
    items
}

#[test]
fn what_was_written_is_read_and_what_was_forgotten_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let writer = open(directory.path()).unwrap().writer;
    let batches = [changes(&[("a", Some("1")), ("b", Some("2"))]), changes(&[("a", None), ("c", Some("3"))])];
    assert_eq!(written(writer, batches), Some(Ok(())));
    assert_eq!(items(directory.path()), [("b".into(), "2".into()), ("c".into(), "3".into())]);
}

#[test]
fn a_file_in_use_is_refused_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let opened = open(directory.path()).unwrap();
    let refusal = open(directory.path()).unwrap_err().to_string();
    assert!(refusal.contains("another chat uses the data in"), "{refusal}");
    assert_eq!(written(opened.writer, [changes(&[("a", Some("1"))])]), Some(Ok(())));
    assert_eq!(items(directory.path()), [("a".into(), "1".into())]);
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_what_is_kept() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("chord-chat").join("alice");
    written(open(&directory).unwrap().writer, []);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&directory.join(FILE_NAME))), (0o700, 0o600));
}

#[test]
fn a_file_that_is_no_longer_where_it_was_is_told_of() {
    let whole = tempfile::tempdir().unwrap();
    let elsewhere = whole.path().join("elsewhere");
    // Moved away; and another one in its place.
    let takes_away: [fn(&Path, &Path); 3] = [
        |directory, elsewhere| fs::rename(directory, elsewhere).unwrap(),
        |directory, _| fs::remove_dir_all(directory).unwrap(),
        |directory, _| {
            fs::remove_file(directory.join(FILE_NAME)).unwrap();
            fs::write(directory.join(FILE_NAME), "another").unwrap();
        },
    ];
    for take_away in takes_away {
        let directory = whole.path().join("data");
        let mut writer = open(&directory).unwrap().writer;
        runtime().block_on(async {
            for batch in [changes(&[("a", Some("1"))]), Changes::new()] {
                assert!(writer.begin(batch));
                assert_eq!(writer.done().await, Some(Ok(())));
            }
            take_away(&directory, &elsewhere);
            assert!(writer.begin(Changes::new()));
            let reason = writer.done().await.unwrap().unwrap_err();
            assert!(reason.contains("was deleted or moved"), "{reason}");
            writer.close().await;
        });
    }
}

/// A file with so many items, as it is when its process is killed.
fn filled(directory: &Path) -> Vec<u8> {
    let mut writer = open(directory).unwrap().writer;
    runtime().block_on(async {
        for i in 0..50 {
            let (key, value) = (format!("key {i:02}"), "value ".repeat(i * 7));
            assert!(writer.begin(changes(&[(&key, Some(&value))])));
            assert_eq!(writer.done().await, Some(Ok(())));
        }
        let bytes = fs::read(directory.join(FILE_NAME)).unwrap();
        writer.close().await;
        bytes
    })
}

/// Opens a file with these bytes: either all is there, or it was damaged and nothing is.
///
/// Returns whether it was damaged.
fn check_opens(bytes: &[u8], what: &str) -> bool {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(FILE_NAME), bytes).unwrap();
    let opened = open(directory.path()).unwrap_or_else(|error| panic!("{what}: {error:#}"));
    match &opened.damage {
        Some(damage) => {
            match damage {
                Damage::SetAside(path) => {
                    assert_eq!(fs::read(path).unwrap().len(), bytes.len(), "{what}: it is left as it was");
                }
                Damage::Empty => assert!(bytes.is_empty(), "{what}"),
            }
            assert_eq!(opened.items, [], "{what}");
        }
        None => {
            for (key, value) in &opened.items {
                let number: usize = String::from_utf8_lossy(&key[4..]).parse().unwrap();
                assert_eq!(value, "value ".repeat(number * 7).as_bytes(), "{what}: what is read was written");
            }
        }
    }
    // Both can be written.
    let last = written(opened.writer, [changes(&[("new", Some("1"))])]);
    assert_eq!(last, Some(Ok(())), "{what}");
    opened.damage.is_some()
}

#[test]
fn a_file_that_is_empty_is_told_of_and_a_new_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let damage = |directory: &Path| {
        let opened = open(directory).unwrap();
        written(opened.writer, []);
        opened.damage
    };
    assert_eq!(damage(directory.path()), None);
    fs::write(directory.path().join(FILE_NAME), []).unwrap();
    assert_eq!(damage(directory.path()), Some(Damage::Empty));
    assert_eq!(damage(directory.path()), None, "it is told once");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "there is nothing to set aside");
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_read_or_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = filled(directory.path());
    assert!(!check_opens(&bytes, "whole"));
    let step = bytes.len() / (DAMAGES / 4);
    let set_aside = (0..bytes.len())
        .step_by(step)
        .filter(|&length| check_opens(&bytes[..length], &format!("{length} bytes")));
    assert!(0 < set_aside.count());
}

#[test]
fn a_file_with_a_wrong_byte_anywhere_is_read_or_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = filled(directory.path());
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    let mut set_aside = 0;
    for i in 0..DAMAGES {
        // All of the header, and places all over the rest.
        let at = if i < DAMAGES / 2 { i } else { (i - DAMAGES / 2) * used / (DAMAGES / 2) };
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            set_aside += usize::from(check_opens(&damaged, &format!("byte {at} ^ {flip:#x}")));
        }
    }
    assert!(0 < set_aside);
}

#[test]
fn what_is_no_such_file_is_set_aside() {
    for bytes in [&b"hello"[..], &[0; 4096], &[0xff; 100_000]] {
        assert!(check_opens(bytes, "something else"));
    }
}

/// A disk that is full after so many bytes.
#[derive(Debug)]
struct Full {
    memory: InMemoryBackend,
    left: Arc<AtomicU64>,
}

impl StorageBackend for Full {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let bytes = data.len() as u64;
        let enough =
            self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(bytes));
        enough.map_err(|_| io::ErrorKind::StorageFull)?;
        self.memory.write(offset, data)
    }
}

#[test]
fn a_disk_that_is_full_is_told_of() {
    let left = Arc::new(AtomicU64::new(u64::MAX));
    let backend = Full { memory: InMemoryBackend::new(), left: left.clone() };
    let database = Database::builder().create_with_backend(backend).unwrap();
    let writer = Writer::start(move |changes| write(&database, changes)).unwrap();
    let mut writer = writer;
    runtime().block_on(async {
        assert!(writer.begin(changes(&[("a", Some("1"))])));
        assert_eq!(writer.done().await, Some(Ok(())));
        left.store(100, Ordering::SeqCst);
        assert!(writer.begin(changes(&[("b", Some("2"))])));
        let reason = writer.done().await.unwrap().unwrap_err();
        assert!(reason.contains("no storage space"), "{reason}");
        writer.close().await;
    });
}

#[test]
fn a_thread_that_cannot_go_on_says_so() {
    let mut writer =
        Writer::start(|_| -> Result<(), String> { panic!("the pages do not fit together") }).unwrap();
    runtime().block_on(async {
        assert!(writer.begin(changes(&[])));
        assert!(writer.done().await.unwrap().is_err());
        writer.close().await;
    });
}
