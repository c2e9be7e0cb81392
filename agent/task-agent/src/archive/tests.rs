//! Archives: what comes back is what went in, and what is hostile goes nowhere.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tar::{EntryType, Header};
use xattr::FileExt as _;

use super::{Bases, Limits, Root, compress, decompressed, pack, pax, unpack, unpack_with};

pub(super) fn bases(dir: &Path) -> Bases {
    vec![(b"b".to_vec(), dir.to_owned())]
}

pub(super) fn packed(dir: &Path) -> Vec<u8> {
    let mut out = Vec::new();
    pack(&[Root { name: b"b/top".to_vec(), path: dir.join("top") }], &mut out).unwrap();
    out
}

/// Result of [`shape`].
pub(super) type Shape = BTreeMap<PathBuf, (String, u32, i64, i64, Vec<u8>)>;

/// Describes a tree: kind, permissions, time, content or target of each entry.
pub(super) fn shape(root: &Path) -> Shape {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let meta = path.symlink_metadata().unwrap();
        let name = path.strip_prefix(root).unwrap().to_owned();
        let (kind, content) = if meta.is_dir() {
            for entry in std::fs::read_dir(&path).unwrap() {
                open.push(entry.unwrap().path());
            }
            ("dir".to_owned(), Vec::new())
        } else if meta.is_symlink() {
            ("link".to_owned(), std::fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec())
        } else {
            let names = meta.nlink();
            (format!("file of {names} names"), std::fs::read(&path).unwrap())
        };
        let mode = if meta.is_symlink() { 0 } else { meta.mode() & 0o7777 };
        found.insert(name, (kind, mode, meta.mtime(), meta.mtime_nsec(), content));
    }
    found
}

#[test]
fn a_tree_comes_back_with_modes_times_links_and_attributes() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("top");
    let long = "n".repeat(120);
    std::fs::create_dir_all(top.join(&long).join("read-only")).unwrap();
    std::fs::write(top.join("script"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(top.join("script"), PermissionsExt::from_mode(0o4751)).unwrap();
    std::fs::write(top.join(&long).join("read-only/ü"), vec![7; 700]).unwrap();
    std::fs::hard_link(top.join("script"), top.join(&long).join("other")).unwrap();
    symlink("/nowhere/at all", top.join("dangling")).unwrap();
    std::fs::write(top.join("image"), vec![0; 1_000_000]).unwrap();
    std::fs::write(top.join("empty"), "").unwrap();
    let file = std::fs::File::open(top.join("empty")).unwrap();
    let has_attributes = file.set_xattr("user.test", b"a\0=\nb").is_ok();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123))
        .unwrap();
    std::fs::set_permissions(top.join(&long).join("read-only"), PermissionsExt::from_mode(0o555))
        .unwrap();

    let out = tempfile::tempdir().unwrap();
    let mut archive = Vec::new();
    let packed = compress(&mut archive, |out| {
        pack(&[Root { name: b"b/top".to_vec(), path: top.clone() }], out)
    })
    .unwrap();
    assert!(packed.notes.is_empty(), "{:?}", packed.notes);
    let restored = || decompressed(&archive[..], |input| unpack(input, bases(out.path())));
    let unpacked = restored().unwrap();
    assert_eq!((unpacked.entries, unpacked.bytes), (packed.entries, packed.bytes));
    let (mut before, after) = (shape(&top), shape(&out.path().join("top")));
    // Set-uid is the one thing that does not come back.
    for name in ["script".to_owned(), format!("{long}/other")] {
        before.get_mut(Path::new(&name)).unwrap().1 = 0o751;
    }
    assert_eq!(before, after);
    let image = std::fs::metadata(out.path().join("top/image")).unwrap();
    assert!(image.blocks() * 512 < 500_000, "zeros take no room: {} blocks", image.blocks());
    if has_attributes {
        let file = std::fs::File::open(out.path().join("top/empty")).unwrap();
        assert_eq!(file.get_xattr("user.test").unwrap().as_deref(), Some(&b"a\0=\nb"[..]));
    }
    // Once more, over what is there: also over the directory that nobody may write to.
    restored().unwrap();
    assert_eq!(shape(&out.path().join("top")), after);
}

#[test]
fn what_is_no_file_is_left_out_and_said_and_no_link_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("top");
    std::fs::create_dir(&top).unwrap();
    nix::unistd::mkfifo(&top.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::net::UnixListener::bind(top.join("socket")).unwrap();
    symlink("/etc", top.join("etc")).unwrap();
    let mut out = Vec::new();
    let root = Root { name: b"b/top".to_vec(), path: top };
    let packed = pack(&[root], &mut out).unwrap();
    assert_eq!((packed.entries, packed.notes.len()), (2, 2), "{:?}", packed.notes);
    let mut out = Vec::new();
    let root = Root { name: b"b/none".to_vec(), path: dir.path().join("none") };
    assert!(pack(&[root], &mut out).unwrap_err().to_string().contains("none"));
}

pub(super) fn header(kind: EntryType, name: &str, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o6777);
    header.set_size(size);
    header.set_cksum();
    header
}

fn link(kind: EntryType, name: &str, target: &str) -> Header {
    let mut header = header(kind, name, 0);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    header
}

fn marked() -> (Header, Vec<u8>) {
    let mut records = Vec::new();
    pax::add(&mut records, super::LINKED, b"1");
    (header(EntryType::XHeader, "pax", records.len() as u64), records)
}

/// An archive of headers with their content.
pub(super) fn archive(entries: &[(Header, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (header, body) in entries {
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(body);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

#[test]
fn nothing_is_written_outside_of_the_bases() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("theirs"), "theirs").unwrap();
    let mode = std::fs::metadata(outside.path()).unwrap().mode();
    let out = outside.path().to_str().unwrap();
    let file = |name: &str| (header(EntryType::Regular, name, 1), b"x".to_vec());
    let plain = |header: Header| (header, Vec::new());
    let evil: Vec<Vec<(Header, Vec<u8>)>> = vec![
        vec![file("b/../x")],
        vec![file("../x")],
        vec![file("b/a/../../x")],
        vec![file("/tmp/x")],
        vec![file("other/x")],
        vec![file("b")],
        vec![file("b//x")],
        vec![file("b/./x")],
        vec![file("")],
        vec![plain(link(EntryType::Link, "b/h", "/etc/passwd"))],
        vec![plain(link(EntryType::Link, "b/h", "b/../theirs"))],
        // A file that was there, but is not of the archive.
        vec![plain(link(EntryType::Link, "b/h", "b/own"))],
        vec![file("b/f"), plain(link(EntryType::Link, "b/h", "b/f"))],
        vec![plain(header(EntryType::Fifo, "b/f", 0))],
        vec![plain(header(EntryType::Char, "b/c", 0))],
        vec![plain(header(EntryType::Block, "b/d", 0))],
        vec![plain(header(EntryType::GNUSparse, "b/s", 0))],
        vec![plain(header(EntryType::GNULongName, "b/l", 0))],
        vec![(header(EntryType::Directory, "b/dir", 5), b"hello".to_vec())],
        // Says that it is a terabyte and more.
        vec![plain(header(EntryType::Regular, "b/huge", 2 << 40))],
        vec![plain(header(EntryType::XHeader, "pax", 1 << 30))],
        vec![(header(EntryType::XHeader, "pax", 12), b"12 GNU.x=ab\n".to_vec()), file("b/x")],
        vec![marked(), marked(), file("b/x")],
        vec![marked()],
    ];
    for (number, entries) in evil.iter().enumerate() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("in");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("own"), "own").unwrap();
        let error = unpack(&mut &archive(entries)[..], bases(&dir)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{number}: {error}");
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1, "{number}");
        assert_eq!(std::fs::read(dir.join("own")).unwrap(), b"own", "{number}");
    }
    // Links to elsewhere are made, since they are a part of trees; nothing goes through them.
    let through = [
        vec![plain(link(EntryType::Symlink, "b/l", out)), file("b/l/x")],
        vec![plain(link(EntryType::Symlink, "b/l", out)), file("b/l")],
        vec![plain(link(EntryType::Symlink, "b/l", &format!("{out}/theirs"))), file("b/l")],
        vec![
            plain(link(EntryType::Symlink, "b/l", out)),
            plain(header(EntryType::Directory, "b/l", 0)),
        ],
        vec![
            marked(),
            file("b/f"),
            plain(link(EntryType::Symlink, "b/f", &format!("{out}/theirs"))),
            plain(link(EntryType::Link, "b/h", "b/f")),
        ],
    ];
    for entries in through {
        let dir = tempfile::tempdir().unwrap();
        drop(unpack(&mut &archive(&entries)[..], bases(dir.path())));
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
        let theirs = std::fs::metadata(outside.path().join("theirs")).unwrap();
        assert_eq!((theirs.len(), theirs.nlink()), (6, 1));
        assert_eq!(std::fs::metadata(outside.path()).unwrap().mode(), mode);
    }
}

#[test]
fn a_link_that_stands_in_the_destination_is_replaced_and_not_followed() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(outside.path().join("f"), "theirs").unwrap();
    symlink(outside.path(), dir.path().join("d")).unwrap();
    symlink(outside.path().join("f"), dir.path().join("f")).unwrap();
    let entries = ["b/d/f", "b/f"].map(|name| (header(EntryType::Regular, name, 1), b"x".to_vec()));
    unpack(&mut &archive(&entries)[..], bases(dir.path())).unwrap();
    assert_eq!(std::fs::read(outside.path().join("f")).unwrap(), b"theirs");
    assert_eq!(std::fs::read(dir.path().join("d/f")).unwrap(), b"x");
    assert!(dir.path().join("f").symlink_metadata().unwrap().is_file());
    assert_eq!(std::fs::metadata(dir.path().join("f")).unwrap().mode() & 0o7777, 0o777);
    // A directory is no file that could be replaced.
    std::fs::create_dir_all(dir.path().join("full/of")).unwrap();
    let entries = [(header(EntryType::Regular, "b/full", 1), b"x".to_vec())];
    let error = unpack(&mut &archive(&entries)[..], bases(dir.path())).unwrap_err();
    assert!(error.to_string().contains("a directory is in its place"), "{error}");
}

#[test]
fn a_few_bytes_that_say_they_are_many_take_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let size: u64 = 300 << 20;
    let mut archive = Vec::new();
    compress(&mut archive, |out| {
        out.write_all(header(EntryType::Regular, "b/zeros", size).as_bytes())?;
        std::io::copy(&mut std::io::Read::take(std::io::repeat(0), size), out)?;
        out.write_all(&[0; 1024])
    })
    .unwrap();
    assert!(archive.len() < 1_000_000);
    decompressed(&archive[..], |input| unpack(input, bases(dir.path()))).unwrap();
    let meta = std::fs::metadata(dir.path().join("zeros")).unwrap();
    assert_eq!(meta.len(), size);
    assert!(meta.blocks() * 512 < 1_000_000);
}

#[test]
fn what_breaks_off_is_an_error_wherever_it_does() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("top/sub")).unwrap();
    std::fs::write(dir.path().join("top/sub/f"), vec![1; 3000]).unwrap();
    let whole = packed(dir.path());
    for length in (0..whole.len() - 1024).step_by(97) {
        let out = tempfile::tempdir().unwrap();
        unpack(&mut &whole[..length], bases(out.path())).unwrap_err();
    }
    let mut small = Vec::new();
    compress(&mut small, |out| out.write_all(&whole)).unwrap();
    for length in 0..small.len() {
        let out = tempfile::tempdir().unwrap();
        decompressed(&small[..length], |input| unpack(input, bases(out.path()))).unwrap_err();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_tree_comes_back(
        files in prop::collection::btree_map("[a-c]{1,2}(/[a-c ü]{1,3}){0,3}", (prop::collection::vec(any::<u8>(), 0..2000), 0_u32..0o1000), 1..12),
    ) {
        let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (name, (content, mode)) in &files {
            let path = dir.path().join("top").join(name);
            // A name may be a directory of another one already.
            if std::fs::create_dir_all(path.parent().unwrap()).is_ok() && std::fs::write(&path, content).is_ok() {
                // Whoever packs must be able to read.
                std::fs::set_permissions(&path, PermissionsExt::from_mode(*mode | 0o400)).unwrap();
            }
        }
        unpack(&mut &packed(dir.path())[..], bases(out.path())).unwrap();
        prop_assert_eq!(shape(&dir.path().join("top")), shape(&out.path().join("top")));
    }

    #[test]
    fn an_archive_that_was_tampered_with_writes_nothing_outside(
        at in 0_usize..6000,
        bytes in prop::collection::vec(any::<u8>(), 1..8),
    ) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("top/sub")).unwrap();
        std::fs::write(dir.path().join("top/sub/f"), vec![1; 1000]).unwrap();
        symlink("/tmp", dir.path().join("top/sub/link")).unwrap();
        let mut archive = packed(dir.path());
        let length = archive.len();
        for (offset, byte) in bytes.iter().enumerate() {
            archive[(at + offset) % length] = *byte;
        }
        let parent = tempfile::tempdir().unwrap();
        let out = parent.path().join("in");
        std::fs::create_dir(&out).unwrap();
        drop(unpack(&mut &archive[..], bases(&out)));
        prop_assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}

#[test]
fn an_archive_becomes_no_more_than_its_task_may_have_on_disk() {
    let within = |disk: u64, entries: &[(Header, Vec<u8>)]| {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits::of_archive(1000, Some(disk));
        let input = archive(entries);
        let unpacked = unpack_with(&mut &input[..], bases(dir.path()), limits, |_| Ok(()));
        (unpacked.map_err(|error| error.to_string()), bytes_in(dir.path()))
    };
    let file = |name: &str, byte: u8, size: usize| {
        (header(EntryType::Regular, name, size as u64), vec![byte; size])
    };
    let (unpacked, _) = within(400_000, &[file("b/a", 1, 100_000), file("b/z", 0, 1_000_000)]);
    unpacked.expect("holes take no room");
    let (unpacked, used) = within(400_000, &[file("b/a", 1, 300_000), file("b/b", 1, 300_000)]);
    let error = unpacked.unwrap_err();
    assert!(error.starts_with("`b/b`: ") && error.contains("400 kB that the task has"), "{error}");
    assert!(used <= 400_000, "{used}");
    // Files without anything in them fill a disk as well.
    let many: Vec<_> = (0..1000).map(|n| file(&format!("b/{n}"), 0, 0)).collect();
    let (unpacked, _) = within(100_000, &many);
    assert!(unpacked.unwrap_err().contains("more room"));
}

fn bytes_in(dir: &std::path::Path) -> u64 {
    let sizes =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    sizes.sum()
}

#[test]
fn a_small_archive_does_not_become_a_thousand_times_as_large() {
    let dir = tempfile::tempdir().unwrap();
    // 20 GB of zeros, which zstd makes 2 MB of, and a sentence can promise.
    let huge = archive(&[(header(EntryType::Regular, "b/huge", 20_000_000_000), Vec::new())]);
    let limits = Limits::of_archive(2_000_000, None);
    let error = unpack_with(&mut &huge[..], bases(dir.path()), limits, |_| Ok(())).unwrap_err();
    assert!(error.to_string().contains("more than 2.0 GB"), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    // An honest one of 10 MB holds 10 GB.
    let limits = Limits::of_archive(20_000_000, None);
    let error = unpack_with(&mut &huge[..], bases(dir.path()), limits, |_| Ok(())).unwrap_err();
    assert!(!error.to_string().contains("more than"), "{error}");
}
