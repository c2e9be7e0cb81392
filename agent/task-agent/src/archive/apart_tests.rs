//! Archives that are written down while they are unpacked come back from there.

use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::path::Path;

use tar::EntryType;
use xattr::FileExt as _;

use super::tests::{archive, bases, header, packed, shape};
use super::{Limits, Recorder, unpack_apart, unpack_recorded};

fn dir(path: &Path) -> OwnedFd {
    std::fs::File::open(path).unwrap().into()
}

/// Unpacks an archive into `to` and has it written down in `copy`.
fn record(archive: &[u8], copy: &Path, to: &Path) -> std::io::Result<()> {
    let mut recorder = Recorder::new(dir(copy), Box::new(|_| true)).unwrap();
    let unpacked = unpack_recorded(
        &mut &archive[..],
        &mut recorder,
        bases(to),
        Limits::default(),
        |_| Ok(()),
    )?;
    let again = tempfile::tempdir().unwrap();
    assert_eq!(super::unpack(&mut &archive[..], bases(again.path())).unwrap(), unpacked);
    recorder.finish()
}

fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_tree_comes_back_from_what_was_written_down_of_its_archive() {
    let from = tempfile::tempdir().unwrap();
    let top = from.path().join("top");
    std::fs::create_dir_all(top.join("sub/read-only")).unwrap();
    std::fs::write(top.join("small"), "text").unwrap();
    std::fs::write(top.join("sub/large"), vec![7; 100_000]).unwrap();
    std::fs::write(top.join("sub/read-only/other"), vec![8; 40_000]).unwrap();
    std::fs::set_permissions(top.join("sub/large"), PermissionsExt::from_mode(0o751)).unwrap();
    std::fs::hard_link(top.join("sub/large"), top.join("sub/same")).unwrap();
    symlink("sub/large", top.join("link")).unwrap();
    std::fs::write(top.join("zeros"), vec![0; 3_000_000]).unwrap();
    let large = std::fs::File::open(top.join("sub/large")).unwrap();
    let has_attributes = large.set_xattr("user.test", b"value").is_ok();
    large.set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000, 7)).unwrap();
    let read_only = top.join("sub/read-only");
    std::fs::set_permissions(read_only, PermissionsExt::from_mode(0o555)).unwrap();
    let (copy, first, second) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    record(&packed(from.path()), copy.path(), first.path()).unwrap();
    assert_eq!(names(copy.path()), ["0", "1", "2", "archive"]);
    // What stands there gives way, as it does to an archive.
    symlink("/etc/passwd", second.path().join("top")).unwrap();
    let unpacked =
        unpack_apart(dir(copy.path()), bases(second.path()), Limits::default(), |_| Ok(()))
            .unwrap();
    assert_eq!(unpacked.bytes, 3_140_004);
    assert_eq!(shape(&top), shape(&first.path().join("top")));
    assert_eq!(shape(&top), shape(&second.path().join("top")));
    if has_attributes {
        let file = std::fs::File::open(second.path().join("top/sub/same")).unwrap();
        assert_eq!(file.get_xattr("user.test").unwrap().as_deref(), Some(&b"value"[..]));
    }
    let kept: u64 = ["0", "1", "2"]
        .map(|name| std::fs::metadata(copy.path().join(name)).unwrap().blocks() * 512)
        .iter()
        .sum();
    assert!(kept < 1_000_000, "zeros take no room in a copy: {kept}");
    // A job that changes its file changes nobody else's.
    std::fs::write(second.path().join("top/sub/same"), "changed").unwrap();
    let third = tempfile::tempdir().unwrap();
    unpack_apart(dir(copy.path()), bases(third.path()), Limits::default(), |_| Ok(())).unwrap();
    assert_eq!(shape(&top), shape(&third.path().join("top")));
}

#[test]
fn a_copy_that_is_not_what_was_written_is_no_archive() {
    let (copy, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let body = vec![1; 50_000];
    let entries = [(header(EntryType::Regular, "b/f", 50_000), body)];
    record(&archive(&entries), copy.path(), to.path()).unwrap();
    let again = || {
        let to = tempfile::tempdir().unwrap();
        unpack_apart(dir(copy.path()), bases(to.path()), Limits::default(), |_| Ok(())).map(|_| ())
    };
    again().unwrap();
    let content = copy.path().join("0");
    std::fs::OpenOptions::new().write(true).open(&content).unwrap().set_len(49_999).unwrap();
    let error = again().unwrap_err().to_string();
    assert_eq!(error, "`b/f`: its copy has another size");
    std::fs::remove_file(&content).unwrap();
    symlink("/etc/passwd", &content).unwrap();
    again().unwrap_err();
    std::fs::remove_file(copy.path().join("archive")).unwrap();
    again().unwrap_err();
}

#[test]
fn where_there_is_no_room_it_is_unpacked_and_not_written_down() {
    let entries = [1_u8, 2].map(|number| {
        let name = format!("b/f{number}");
        (header(EntryType::Regular, &name, 40_000), vec![number; 40_000])
    });
    let archive = archive(&entries);
    let (copy, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut left = 1;
    let room = move |_| {
        left -= 1;
        left >= 0
    };
    let mut recorder = Recorder::new(dir(copy.path()), Box::new(room)).unwrap();
    unpack_recorded(&mut &archive[..], &mut recorder, bases(to.path()), Limits::default(), |_| {
        Ok(())
    })
    .unwrap();
    assert_eq!(recorder.finish().unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(names(copy.path()), ["0", "archive"]);
    for number in [1_u8, 2] {
        let name = format!("f{number}");
        assert_eq!(std::fs::read(to.path().join(name)).unwrap(), vec![number; 40_000]);
    }
}

#[test]
fn what_leads_elsewhere_leads_nowhere_from_a_copy_either() {
    let (copy, parent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let to = parent.path().join("in");
    std::fs::create_dir(&to).unwrap();
    let fine = [(header(EntryType::Regular, "b/f", 40_000), vec![1; 40_000])];
    record(&archive(&fine), copy.path(), &to).unwrap();
    // Somebody writes another archive there.
    for name in ["b/../x", "/tmp/x", "other/x"] {
        let evil = archive(&[(header(EntryType::Regular, name, 40_000), Vec::new())]);
        std::fs::write(copy.path().join("archive"), evil).unwrap();
        let error =
            unpack_apart(dir(copy.path()), bases(&to), Limits::default(), |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("it leads out of where it may be"), "{error}");
        assert_eq!(names(parent.path()), ["in"]);
    }
}
