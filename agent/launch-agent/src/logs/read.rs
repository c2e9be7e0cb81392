//! Reading across rotations: the end of what there is, and what is added to it.
//!
//! Files are opened from the newest to the oldest and known by inode, so that one that is renamed
//! meanwhile is neither missed nor read twice. Whoever follows holds the file that it reads: after
//! a rotation it reads that to its end and goes on with the next.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use russet_protocol::local::{LogLevel, LogLine};

use super::line::parse;
use super::numbered_path;

/// Files of one log, at most: more are never made.
const MOST_FILES: u32 = 1000;

/// Bytes that a follower reads at once.
const CHUNK: u64 = 64 * 1024;

/// A longer line is given out in pieces.
const LONGEST_LINE: usize = 1 << 20;

/// Request.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// So many of the last lines; none: all.
    pub lines: Option<usize>,
    /// Nothing that was said before this, in milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Nothing that is less important.
    pub level: Option<LogLevel>,
    /// Bytes of each file that are looked at, from its end.
    pub most_bytes: u64,
}

impl Wanted {
    /// Returns true if a line is wanted. One that the logger did not write (a panic) always is.
    fn wants(&self, line: &LogLine) -> bool {
        let is_late = |since| line.time_ms.is_none_or(|time| time >= since);
        let matters = |level| line.level.is_none_or(|have| have >= level);
        self.since_ms.is_none_or(is_late) && self.level.is_none_or(matters)
    }
}

/// Opens without following a link or waiting for the other end of a pipe.
fn open_log(path: &Path) -> io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

fn file_identity(file: &File) -> io::Result<(u64, u64)> {
    let meta = file.metadata()?;
    Ok((meta.dev(), meta.ino()))
}

/// The files from the newest on, up to the one that is `known`.
fn newest_first(path: &Path, known: Option<(u64, u64)>) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    let mut seen: Vec<(u64, u64)> = known.into_iter().collect();
    for number in 0..MOST_FILES {
        let file = match open_log(&numbered_path(path, number)) {
            Ok(file) => file,
            // Between two steps of a rotation there is none of this name.
            Err(error) if error.kind() == io::ErrorKind::NotFound && number < 2 => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        let id = file_identity(&file)?;
        if Some(id) == known {
            break;
        }
        if !seen.contains(&id) {
            seen.push(id);
            files.push(file);
        }
    }
    Ok(files)
}

/// The lines that are wanted of those that are there, and who goes on from there.
///
/// # Errors
///
/// There is no log (`NotFound`), or it cannot be read.
pub fn read_history(path: &Path, wanted: Wanted) -> io::Result<(Vec<LogLine>, Follower)> {
    let mut found: Vec<LogLine> = Vec::new();
    let mut follower = Follower { path: path.to_owned(), wanted, file: None, rest: Vec::new() };
    for mut file in newest_first(path, None)? {
        let is_newest = follower.file.is_none();
        let mut bytes = end_of(&mut file, wanted.most_bytes)?;
        if is_newest {
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            follower.rest = bytes.split_off(whole);
            follower.file = Some(file);
        }
        let lines = parse_lines(&bytes);
        let is_older = |line: &LogLine| {
            wanted.since_ms.zip(line.time_ms).is_some_and(|(since, time)| time < since)
        };
        let is_past = lines.first().is_some_and(is_older);
        let before = std::mem::take(&mut found);
        found = lines.into_iter().filter(|line| wanted.wants(line)).chain(before).collect();
        if is_past || wanted.lines.is_some_and(|count| found.len() >= count) {
            break;
        }
    }
    if follower.file.is_none() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let surplus = wanted.lines.map_or(0, |count| found.len().saturating_sub(count));
    found.drain(..surplus);
    Ok((found, follower))
}

/// The end of a file, from the beginning of a line. The file stands at its end after it.
fn end_of(file: &mut File, most: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(most);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    // What is added while it is read is read later.
    file.by_ref().take(length - start).read_to_end(&mut bytes)?;
    if start > 0 {
        let begin = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        bytes.drain(..begin);
    }
    Ok(bytes)
}

/// Parses whole lines. A line that begins nothing goes on with the one before it.
fn parse_lines(bytes: &[u8]) -> Vec<LogLine> {
    let mut found: Vec<LogLine> = Vec::new();
    for line in String::from_utf8_lossy(bytes).lines() {
        match (parse(line), found.last_mut()) {
            (Some(line), _) => found.push(line),
            (None, Some(last)) if last.text.len() < LONGEST_LINE => {
                last.text.push('\n');
                last.text.push_str(line);
            }
            (None, _) => found.push(LogLine { text: line.to_owned(), ..LogLine::default() }),
        }
    }
    found
}

/// Goes on where [`read_history`] ended.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    wanted: Wanted,
    file: Option<File>,
    /// The beginning of a line whose end has not been written yet.
    rest: Vec<u8>,
}

impl Follower {
    /// Some of what was added, in its order. `None`: there is no more for now.
    ///
    /// # Errors
    ///
    /// The log cannot be read any more.
    pub fn more(&mut self) -> io::Result<Option<Vec<LogLine>>> {
        if !self.read()? {
            // The file is at its end. If another has its name, nothing is added to this one any
            // more, after one last look: it was written to until the moment it was renamed.
            let Some(next) = self.next_file()? else { return Ok(None) };
            if !self.read()? {
                self.file = Some(next);
                // What has no end by now never gets one.
                if !self.rest.is_empty() {
                    self.rest.push(b'\n');
                }
                if !self.read()? && self.rest.is_empty() {
                    return Ok(Some(Vec::new()));
                }
            }
        }
        let whole = match self.rest.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => at + 1,
            None if self.rest.len() > LONGEST_LINE => self.rest.len(),
            None => 0,
        };
        let rest = self.rest.split_off(whole);
        let bytes = std::mem::replace(&mut self.rest, rest);
        Ok(Some(parse_lines(&bytes).into_iter().filter(|line| self.wanted.wants(line)).collect()))
    }

    /// Reads a piece. False: there is none.
    fn read(&mut self) -> io::Result<bool> {
        let Some(file) = &mut self.file else { return Ok(false) };
        Ok(file.take(CHUNK).read_to_end(&mut self.rest)? > 0)
    }

    /// The file after the one that is read. Several rotations may have passed since.
    fn next_file(&self) -> io::Result<Option<File>> {
        let known = self.file.as_ref().map(file_identity).transpose()?;
        Ok(newest_first(&self.path, known)?.pop())
    }
}

#[cfg(test)]
mod tests {
    use super::{Wanted, read_history};
    use crate::logs::{Limits, Rotated, numbered_path};
    use russet_protocol::local::LogLevel;
    use std::io::Write as _;
    use std::path::{Path, PathBuf};

    const ALL: Wanted = Wanted { lines: None, since_ms: None, level: None, most_bytes: 1 << 20 };

    fn log(dir: &Path) -> (PathBuf, Rotated) {
        let path = dir.join("agent.log");
        let log = Rotated::open(&path, Limits { size: 200, files: 50 }).unwrap();
        (path, log)
    }

    fn say(log: &Rotated, second: u32, level: &str, text: &str) {
        let line = format!("2026-11-24T16:00:{second:02}.000000Z {level:>5} {text}\n");
        (&*log).write_all(line.as_bytes()).unwrap();
    }

    fn texts(lines: &[russet_protocol::local::LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn the_end_of_a_log_is_read_across_files() {
        let dir = tempfile::tempdir().unwrap();
        let (path, log) = log(dir.path());
        for number in 0..40 {
            say(&log, number, if number % 10 == 0 { "WARN" } else { "INFO" }, &number.to_string());
        }
        assert!(numbered_path(&path, 5).exists());
        let (lines, _) = read_history(&path, ALL).unwrap();
        let all: Vec<String> = (0..40).map(|number| number.to_string()).collect();
        assert_eq!(texts(&lines), all);
        let (lines, _) = read_history(&path, Wanted { lines: Some(7), ..ALL }).unwrap();
        assert_eq!(texts(&lines), ["33", "34", "35", "36", "37", "38", "39"]);
        let level = Some(LogLevel::Warn);
        let (lines, _) = read_history(&path, Wanted { lines: Some(3), level, ..ALL }).unwrap();
        assert_eq!(texts(&lines), ["10", "20", "30"]);
        let since_ms = Some(1_795_536_037_000);
        let (lines, _) = read_history(&path, Wanted { since_ms, ..ALL }).unwrap();
        assert_eq!(texts(&lines), ["37", "38", "39"]);
        let (lines, _) =
            read_history(&path, Wanted { most_bytes: 80, lines: Some(1), ..ALL }).unwrap();
        assert_eq!(texts(&lines), ["39"]);
    }

    #[test]
    fn lines_that_go_on_belong_to_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let (path, log) = log(dir.path());
        say(&log, 1, "ERROR", "no token\n  hint: make one");
        let (lines, _) = read_history(&path, ALL).unwrap();
        assert_eq!(texts(&lines), ["no token\n  hint: make one"]);
    }

    #[test]
    fn a_follower_misses_nothing_of_several_rotations() {
        let dir = tempfile::tempdir().unwrap();
        let (path, log) = log(dir.path());
        say(&log, 0, "INFO", "first");
        let (lines, mut follower) = read_history(&path, Wanted { lines: Some(0), ..ALL }).unwrap();
        assert!(lines.is_empty() && follower.more().unwrap().is_none());
        let mut heard = Vec::new();
        for number in 0..60 {
            say(&log, number, "INFO", &format!("line {number}"));
            // It looks now and then: sometimes within a file, sometimes several files later.
            if number % 13 == 0 {
                while let Some(lines) = follower.more().unwrap() {
                    heard.extend(lines);
                }
            }
        }
        while let Some(lines) = follower.more().unwrap() {
            heard.extend(lines);
        }
        let all: Vec<String> = (0..60).map(|number| format!("line {number}")).collect();
        assert_eq!(texts(&heard), all);
    }

    #[test]
    fn a_line_is_given_out_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (path, log) = log(dir.path());
        (&log).write_all(b"2026-11-24T16:00:00.000000Z  INFO be").unwrap();
        let (lines, mut follower) = read_history(&path, ALL).unwrap();
        assert!(lines.is_empty());
        (&log).write_all(b"gun\n").unwrap();
        assert_eq!(texts(&follower.more().unwrap().unwrap()), ["begun"]);
    }

    #[test]
    fn without_a_log_that_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let error = read_history(&dir.path().join("agent.log"), ALL).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_watch_wakes_for_a_line_and_for_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let (path, log) = log(dir.path());
        let mut watch = russet_platform::FileWatch::new(&path).unwrap();
        for number in 0..20 {
            say(&log, number, "INFO", &"x".repeat(40));
            watch.changed().await.unwrap();
        }
    }
}
