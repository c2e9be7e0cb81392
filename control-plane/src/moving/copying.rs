//! Copying of objects from one store to another, each checked on both sides.
//!
//! A copy is read back before it counts, and noted in a file of the data directory then; so a move that
//! is cut off copies nothing twice, and its last part has only lengths to look at.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{MoveError, file_error};
use crate::objects::{ObjectError, Objects};
use crate::store::transfer::{Named, Report, Step};

/// Objects that are copied at a time: enough that a far store does not wait for each.
const AT_ONCE: usize = 4;

/// Notes on objects that are in the target.
#[derive(Debug)]
pub(super) struct Notes {
    path: PathBuf,
    file: File,
    /// Sizes by name.
    copied: HashMap<String, u64>,
}

impl Notes {
    /// Opens the notes on a target; those on another one are thrown away.
    pub(super) fn open(path: &Path, target: &str) -> Result<Self, MoveError> {
        let head = format!("to {target}");
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read.map_err(file_error("cannot read", path))?,
        };
        // A line without its end was being written.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let mut lines = whole.lines();
        let is_ours = lines.next() == Some(head.as_str());
        let entries = lines.filter_map(|line| {
            let (size, name) = line.split_once(' ')?;
            Some((name.to_owned(), size.parse().ok()?))
        });
        let copied: HashMap<String, u64> = if is_ours { entries.collect() } else { HashMap::new() };
        let open = |truncate| {
            let mut options = OpenOptions::new();
            options.create(true).write(true).truncate(truncate).mode(0o600);
            options.open(path)
        };
        let mut file = open(!is_ours).map_err(file_error("cannot open", path))?;
        let begun = if is_ours {
            let end = whole.len() as u64;
            file.set_len(end).and_then(|()| {
                use std::io::Seek as _;
                file.seek(std::io::SeekFrom::Start(end)).map(|_| ())
            })
        } else {
            writeln!(file, "{head}")
        };
        begun.map_err(file_error("cannot write", path))?;
        Ok(Self { path: path.to_owned(), file, copied })
    }

    fn add(&mut self, name: &str, size: u64) -> Result<(), MoveError> {
        self.copied.insert(name.to_owned(), size);
        writeln!(self.file, "{size} {name}").map_err(file_error("cannot write", &self.path))
    }
}

/// Result of copying.
#[derive(Debug, Default)]
pub(super) struct Copied {
    /// Objects that are in the target.
    pub(super) objects: u64,
    /// Bytes that were copied now.
    pub(super) bytes: u64,
    /// Objects that are not there, or not as rows say.
    pub(super) damaged: Vec<String>,
}

/// Outcome for one object.
enum One {
    Copied(u64),
    Damaged,
}

/// Copies the objects that are named and not in the target yet.
pub(super) async fn copy_objects(
    from: &Objects,
    to: &Objects,
    named: &Named,
    notes: &mut Notes,
    report: Report<'_>,
) -> Result<Copied, MoveError> {
    let there: HashMap<String, u64> = to
        .sizes()
        .await
        .map_err(|error| MoveError::Objects("the target".to_owned(), Box::new(error)))?
        .into_iter()
        .collect();
    let total = named.len() as u64;
    let mut copied = Copied::default();
    let is_there = |notes: &Notes, name: &String| {
        notes.copied.get(name).is_some_and(|size| there.get(name) == Some(size))
    };
    let lacking: Vec<(&String, &Option<String>)> =
        named.iter().filter(|(name, _)| !is_there(notes, name)).collect();
    copied.objects = total - lacking.len() as u64;
    let copies = lacking.into_iter().map(|(name, hash)| async move {
        let one = copy_object(from, to, name, hash.as_deref()).await;
        one.map(|one| (name, one)).map_err(|error| MoveError::Object(name.clone(), Box::new(error)))
    });
    let mut copies = stream::iter(copies).buffer_unordered(AT_ONCE);
    while let Some((name, one)) = copies.try_next().await? {
        match one {
            One::Copied(size) => {
                notes.add(name, size)?;
                copied.objects += 1;
                copied.bytes += size;
            }
            One::Damaged => copied.damaged.push(name.clone()),
        }
        let done = copied.objects + copied.damaged.len() as u64;
        report(Step::Objects { done, total, bytes: copied.bytes });
    }
    copied.damaged.sort();
    report(Step::Objects { done: total, total, bytes: copied.bytes });
    Ok(copied)
}

async fn copy_object(
    from: &Objects,
    to: &Objects,
    name: &str,
    wanted: Option<&str>,
) -> Result<One, ObjectError> {
    let body = match from.stream(name, 0).await {
        Ok(body) => body,
        Err(error) if error.is_not_found() => return Ok(One::Damaged),
        Err(error) => return Err(error),
    };
    let body = body.map_err(axum::Error::new);
    let written = match to.put_stream(name, body, u64::MAX, wanted).await {
        Ok(written) => written,
        Err(ObjectError::OtherHash(_)) => return Ok(One::Damaged),
        Err(error) => return Err(error),
    };
    if to.hash(name).await? != written.blake3 {
        return Err(ObjectError::NotKept);
    }
    Ok(One::Copied(written.size))
}

#[cfg(test)]
mod tests {
    use super::Notes;

    #[test]
    fn notes_on_another_target_do_not_count_and_half_a_line_is_none() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("notes");
        let mut notes = Notes::open(&path, "a").unwrap();
        notes.add("one", 1).unwrap();
        drop(notes);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("12");
        std::fs::write(&path, text).unwrap();
        let mut notes = Notes::open(&path, "a").unwrap();
        assert_eq!(notes.copied.len(), 1);
        notes.add("two", 2).unwrap();
        drop(notes);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "to a\n1 one\n2 two\n");
        assert!(Notes::open(&path, "b").unwrap().copied.is_empty());
    }
}
