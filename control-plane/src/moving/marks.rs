//! Files that keep a server from starting on data that is not whole or not current any more.

use std::path::Path;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{MoveError, file_error};
use crate::data_dir::write_private;
use crate::secrets::KEY_LENGTH;
use crate::text::hex_text;

/// Says where the data went.
const MOVED: &str = "moved.json";

/// There while a restore has not ended.
const RESTORING: &str = "restoring";

/// The same while it is being written.
pub(super) const RESTORING_DRAFT: &str = "restoring.new";

/// Addresses that data was moved to.
#[derive(Debug, Default, Serialize, Deserialize)]
struct MovedTo {
    #[serde(default)]
    database: Option<String>,
    #[serde(default)]
    objects: Option<String>,
}

/// Refuses a data directory that is half restored, or whose data went elsewhere: a server that went
/// on there would hand out tasks a second time.
pub(crate) fn check_marks(
    data_dir: &Path,
    is_postgres: bool,
    is_elsewhere: bool,
) -> Result<(), MoveError> {
    if data_dir.join(RESTORING).exists() {
        return Err(MoveError::HalfRestored);
    }
    let mark = data_dir.join(MOVED);
    let moved = read_moved(&mark)?;
    let refuse = |what, to| MoveError::MovedAway { what, to, mark: mark.clone() };
    match moved {
        MovedTo { database: Some(to), .. } if !is_postgres => Err(refuse("database", to)),
        MovedTo { objects: Some(to), .. } if !is_elsewhere && !is_here(data_dir, &to) => {
            Err(refuse("objects", to))
        }
        MovedTo { .. } => Ok(()),
    }
}

/// Returns true where the directory of objects is, or leads to, the one that they were moved to.
fn is_here(data_dir: &Path, to: &str) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    real(&data_dir.join("objects")).is_some_and(|here| real(Path::new(to)) == Some(here))
}

fn read_moved(mark: &Path) -> Result<MovedTo, MoveError> {
    match std::fs::read(mark) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(MovedTo::default()),
        Err(error) => Err(file_error("cannot read", mark)(error)),
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| file_error("cannot read", mark)(error.into())),
    }
}

/// Notes where data went.
pub(super) fn note_moved(
    data_dir: &Path,
    database: Option<String>,
    objects: Option<String>,
) -> Result<(), MoveError> {
    let mark = data_dir.join(MOVED);
    let before = read_moved(&mark)?;
    let moved =
        MovedTo { database: database.or(before.database), objects: objects.or(before.objects) };
    let text = serde_json::to_vec_pretty(&moved)
        .map_err(|error| file_error("cannot write", &mark)(error.into()))?;
    write_private(&mark, &text).map_err(file_error("cannot write", &mark))
}

/// Notes that a restore begins.
pub(super) fn note_restoring(data_dir: &Path, backup: &str) -> Result<(), MoveError> {
    let mark = data_dir.join(RESTORING);
    write_private(&mark, backup.as_bytes()).map_err(file_error("cannot write", &mark))
}

/// Returns the backup of a restore that has not ended.
pub(super) fn restoring(data_dir: &Path) -> Result<Option<String>, MoveError> {
    let mark = data_dir.join(RESTORING);
    match std::fs::read_to_string(&mark) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(file_error("cannot read", &mark)),
    }
}

/// Notes that a restore has ended.
pub(super) fn note_restored(data_dir: &Path) -> Result<(), MoveError> {
    let mark = data_dir.join(RESTORING);
    std::fs::remove_file(&mark).map_err(file_error("cannot remove", &mark))?;
    super::place::sync_dir(data_dir)
}

/// Returns what the key of values is recognized by, which gives nothing of it away.
pub(crate) fn key_print(key: &Zeroizing<[u8; KEY_LENGTH]>) -> String {
    let print = blake3::derive_key("russet 2026-11-30 print of the key of values", key.as_slice());
    hex_text(&print[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_does_not_start_on_what_was_moved_away_or_is_half_there() {
        let temp = tempfile::tempdir().unwrap();
        let check = |postgres, elsewhere| check_marks(temp.path(), postgres, elsewhere);
        assert!(check(false, false).is_ok());
        note_moved(temp.path(), Some("postgres://db/x".to_owned()), None).unwrap();
        let refused = check(false, false).unwrap_err().to_string();
        assert!(refused.contains("postgres://db/x") && refused.contains("moved.json"), "{refused}");
        assert!(check(true, false).is_ok());
        note_moved(temp.path(), None, Some("s3://b".to_owned())).unwrap();
        assert!(check(true, false).is_err() && check(false, true).is_err());
        assert!(check(true, true).is_ok());
        let moved = temp.path().join("moved");
        std::fs::create_dir(&moved).unwrap();
        note_moved(temp.path(), None, Some(moved.display().to_string())).unwrap();
        assert!(check(true, false).is_err());
        std::os::unix::fs::symlink(&moved, temp.path().join("objects")).unwrap();
        assert!(check(true, false).is_ok(), "the directory was put in its place");
        note_restoring(temp.path(), "one").unwrap();
        assert!(matches!(check(true, true), Err(MoveError::HalfRestored)));
        assert_eq!(restoring(temp.path()).unwrap().as_deref(), Some("one"));
        note_restored(temp.path()).unwrap();
        assert!(check(true, true).is_ok());
    }
}
