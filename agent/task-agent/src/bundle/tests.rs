use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{
    BundleError, COMMENT, Restored, archive_name, bundle_name, is_bundle, pack, restore,
    stays_inside,
};

fn pack_into(source: &Path, archive: &Path) -> Vec<String> {
    let name = source.file_name().unwrap().to_str().unwrap();
    pack(source, name, &File::create_new(archive).unwrap(), &AtomicBool::new(false)).unwrap()
}

/// All that is below a directory: kind, mode, seconds, and content or target.
fn tree(root: &Path) -> BTreeMap<String, (char, u32, i64, Vec<u8>)> {
    let (mut found, mut open) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(path) = open.pop() {
        let metadata = path.symlink_metadata().unwrap();
        let (mode, time) = (metadata.permissions().mode() & 0o777, metadata.mtime());
        let entry = if metadata.is_symlink() {
            // Modes and times of links mean nothing.
            let target = path.read_link().unwrap();
            ('l', 0, 0, target.to_str().unwrap().as_bytes().to_owned())
        } else if metadata.is_dir() {
            open.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
            ('d', mode, time, Vec::new())
        } else {
            ('f', mode, time, std::fs::read(&path).unwrap())
        };
        found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), entry);
    }
    found
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A bundle as Xcode lays it out.
fn make_app(app: &Path) {
    let kit = app.join("Contents/Frameworks/Kit.framework");
    std::fs::create_dir_all(kit.join("Versions/A/Resources")).unwrap();
    std::fs::create_dir_all(app.join("Contents/MacOS")).unwrap();
    std::fs::create_dir_all(app.join("Contents/Empty")).unwrap();
    std::fs::write(app.join("Contents/MacOS/Demo"), "#!/bin/sh\necho it runs\n").unwrap();
    set_mode(&app.join("Contents/MacOS/Demo"), 0o755);
    std::fs::write(kit.join("Versions/A/Kit"), "lib").unwrap();
    set_mode(&kit.join("Versions/A/Kit"), 0o555);
    symlink("A", kit.join("Versions/Current")).unwrap();
    symlink("Versions/Current/Kit", kit.join("Kit")).unwrap();
    symlink("Versions/Current/Resources", kit.join("Resources")).unwrap();
    symlink("../MacOS/Demo", kit.parent().unwrap().join("up")).unwrap();
    File::open(&kit).unwrap().set_modified(std::time::UNIX_EPOCH + SECOND * 1_000_000_000).unwrap();
}

const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

#[test]
fn a_bundle_comes_back_whole_in_the_place_of_an_earlier_one() {
    let dir = tempfile::tempdir().unwrap();
    let app = dir.path().join("Demo.app");
    make_app(&app);
    let before = tree(&app);
    let out = dir.path().join("out");
    std::fs::create_dir_all(out.join("Demo.app/Old")).unwrap();
    let archive = out.join("Demo.app.zip");
    assert_eq!(pack_into(&app, &archive), Vec::<String>::new());
    let restored = restore(&archive).unwrap();
    let path = out.join("Demo.app");
    assert_eq!(restored, Restored::Bundle { path: path.clone(), lost_attributes: 0 });
    assert_eq!(tree(&path), before);
    let ran = std::process::Command::new(path.join("Contents/MacOS/Demo")).output().unwrap();
    assert_eq!(ran.stdout, b"it runs\n");
    let left: Vec<_> = out.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["Demo.app"], "neither the archive nor anything else is left");
}

#[test]
fn what_has_no_place_in_an_archive_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let app = dir.path().join("Demo.app");
    std::fs::create_dir(&app).unwrap();
    nix::unistd::mkfifo(&app.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    symlink("/Applications", app.join("link")).unwrap();
    let archive = dir.path().join("out.app.zip");
    let mut notes = pack_into(&app, &archive);
    notes.sort();
    assert_eq!(notes.len(), 2);
    assert!(notes[0].contains("Demo.app/fifo") && notes[0].contains("left out"), "{notes:?}");
    assert!(notes[1].contains("Demo.app/link") && notes[1].contains("leads out"), "{notes:?}");

    let latin = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"caf\xe9");
    if std::fs::write(app.join(latin), "x").is_ok() {
        let target = tempfile::tempfile().unwrap();
        let error = pack(&app, "Demo.app", &target, &AtomicBool::new(false)).unwrap_err();
        assert!(matches!(error, BundleError::Name { .. }), "{error}");
    }
}

#[test]
fn packing_ends_once_nobody_wants_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    let app = dir.path().join("Demo.app");
    make_app(&app);
    let target = tempfile::tempfile().unwrap();
    let error = pack(&app, "Demo.app", &target, &AtomicBool::new(true)).unwrap_err();
    assert!(matches!(error, BundleError::Stopped), "{error}");
}

type Zip = ZipWriter<File>;

/// Writes the entries of a hostile archive.
type Make = fn(&mut Zip);

fn make_archive(path: &Path, comment: &str, make: impl FnOnce(&mut Zip)) {
    let mut zip = ZipWriter::new(File::create_new(path).unwrap());
    zip.set_comment(comment).unwrap();
    make(&mut zip);
    zip.finish().unwrap();
}

fn add_file(zip: &mut Zip, name: &str) {
    zip.start_file(name, SimpleFileOptions::default()).unwrap();
    zip.write_all(b"evil").unwrap();
}

fn add_link(zip: &mut Zip, name: &str, target: &str) {
    zip.add_symlink(name, target, SimpleFileOptions::default()).unwrap();
}

#[test]
fn an_archive_of_the_jobs_own_stays_one() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("Demo.app.zip");
    make_archive(&archive, "", |zip| add_file(zip, "Demo.app/x"));
    assert_eq!(restore(&archive).unwrap(), Restored::NotABundle);
    let other = dir.path().join("Other.zip");
    make_archive(&other, COMMENT, |zip| add_file(zip, "Other/x"));
    assert_eq!(restore(&other).unwrap(), Restored::NotABundle);
    let text = dir.path().join("Text.app.zip");
    std::fs::write(&text, "no archive").unwrap();
    assert_eq!(restore(&text).unwrap(), Restored::NotABundle);
    assert_eq!(dir.path().read_dir().unwrap().count(), 3);
}

#[test]
fn an_archive_that_leads_out_of_its_bundle_writes_nothing_at_all() {
    let hostile: [(&str, Make); 15] = [
        ("up", |zip| add_file(zip, "../evil")),
        ("up within", |zip| add_file(zip, "Demo.app/../../evil")),
        ("absolute", |zip| add_file(zip, "/tmp/russet-evil")),
        ("beside", |zip| add_file(zip, "Other.app/evil")),
        ("zero", |zip| add_file(zip, "Demo.app/a\0b")),
        ("bundle is a file", |zip| add_file(zip, "Demo.app")),
        ("bundle is a link", |zip| add_link(zip, "Demo.app", "x")),
        ("absolute link", |zip| add_link(zip, "Demo.app/x", "/etc")),
        ("link up", |zip| add_link(zip, "Demo.app/x", "../evil")),
        ("link up by another link", |zip| {
            add_link(zip, "Demo.app/a/b/up", "../..");
            add_link(zip, "Demo.app/x", "a/b/up/../..");
        }),
        ("empty link", |zip| add_link(zip, "Demo.app/x", "")),
        ("below a link", |zip| {
            add_link(zip, "Demo.app/x", "y");
            add_file(zip, "Demo.app/x/evil");
        }),
        ("link below a link", |zip| {
            add_link(zip, "Demo.app/x", "y");
            add_link(zip, "Demo.app/x/evil", "z");
        }),
        ("twice", |zip| {
            add_file(zip, "Demo.app/x");
            add_file(zip, "Demo.app//x");
        }),
        ("file as a directory", |zip| {
            add_file(zip, "Demo.app/x");
            add_file(zip, "Demo.app/x/evil");
        }),
    ];
    for (what, make) in hostile {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let archive = inner.join("Demo.app.zip");
        make_archive(&archive, COMMENT, make);
        assert!(restore(&archive).is_err(), "{what}");
        assert_eq!(inner.read_dir().unwrap().count(), 1, "{what}");
        assert_eq!(dir.path().read_dir().unwrap().count(), 1, "{what}");
    }
}

#[test]
fn an_archive_whose_entries_share_bytes_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("Demo.app.zip");
    make_archive(&archive, COMMENT, |zip| {
        add_file(zip, "Demo.app/x");
        zip.shallow_copy_file("Demo.app/x", "Demo.app/y").unwrap();
    });
    let error = restore(&archive).unwrap_err();
    assert!(error.to_string().contains("shares bytes"), "{error}");
}

#[test]
fn a_link_in_the_bundles_place_is_replaced_and_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), dir.path().join("Demo.app")).unwrap();
    let archive = dir.path().join("Demo.app.zip");
    make_archive(&archive, COMMENT, |zip| {
        let options = SimpleFileOptions::default().unix_permissions(0o666);
        zip.start_file("Demo.app/x", options).unwrap();
    });
    restore(&archive).unwrap();
    assert_eq!(outside.path().read_dir().unwrap().count(), 0);
    let mode = dir.path().join("Demo.app/x").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "nobody else may write what a job says so");
}

#[test]
fn bundles_are_told_by_their_names() {
    for name in ["Demo.app", "A.Framework", "x.y.xcresult", "Demo.xcarchive"] {
        assert!(is_bundle(name), "{name}");
    }
    for name in ["app", ".app", "Demo.app.txt", "Demo", "Demo.dSYM"] {
        assert!(!is_bundle(name), "{name}");
    }
    assert_eq!(bundle_name("out/Demo.app.zip"), Some("Demo.app"));
    assert_eq!(bundle_name("Demo.zip"), None);
    for (prefix, expected) in [
        ("", "Demo.app.zip"),
        ("out/Demo.app", "out/Demo.app.zip"),
        ("out/Other.app", "out/Other.app.zip"),
        ("out/Other.app.zip", "out/Other.app.zip"),
        ("out", "out/Demo.app.zip"),
        ("out.zip", "out.zip/Demo.app.zip"),
    ] {
        assert_eq!(archive_name(prefix, "Demo.app"), expected, "{prefix}");
    }
}

#[test]
fn links_stay_in_the_bundle() {
    let stays = |path: &str, target: &str| stays_inside(Path::new(path), Path::new(target));
    for (path, target) in [
        ("A.app/Versions/Current", "A"),
        ("A.app/Resources", "Versions/Current/Resources"),
        ("A.app/a/b", "../c"),
        ("A.app/a/b", "./../c/./d"),
        ("A.app/a/b", ".."),
    ] {
        assert!(stays(path, target), "{path} -> {target}");
    }
    for (path, target) in [
        ("A.app/a", "../b"),
        ("A.app/a/b", "../../c"),
        ("A.app/a", "/etc"),
        ("A.app/a/b", "c/.."),
        ("A.app/a", ""),
    ] {
        assert!(!stays(path, target), "{path} -> {target}");
    }
}

/// One entry of a random bundle: where, what, and with which mode.
#[derive(Clone, Debug)]
enum Made {
    Directory(u32),
    File(Vec<u8>, u32),
    Link(String),
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]", "[a-z ._\\\\é'\"$*-]{1,8}", Just("x.framework".to_owned())]
        .prop_filter("it has a meaning", |name| name != "." && name != "..")
}

fn any_entry() -> impl Strategy<Value = (Vec<String>, Made)> {
    let file_mode = prop_oneof![Just(0o644), Just(0o755), Just(0o400), Just(0o755), Just(0o640)];
    let directory_mode = prop_oneof![Just(0o755), Just(0o700), Just(0o750)];
    let made = prop_oneof![
        directory_mode.prop_map(Made::Directory),
        (prop::collection::vec(any::<u8>(), 0..200), file_mode)
            .prop_map(|(bytes, mode)| Made::File(bytes, mode)),
        prop::collection::vec(any_name(), 1..3).prop_map(|parts| Made::Link(parts.join("/"))),
    ];
    (prop::collection::vec(any_name(), 1..4), made)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_bundle_comes_back_as_it_was(entries in prop::collection::vec(any_entry(), 0..12)) {
        let dir = tempfile::tempdir().unwrap();
        let app = dir.path().join("made/Demo.app");
        std::fs::create_dir_all(&app).unwrap();
        set_mode(&app, 0o755);
        for (path, made) in &entries {
            let path = path.iter().fold(app.clone(), |at, part| at.join(part));
            // Entries may be in one another's way; what does not fit is not made.
            let Ok(()) = std::fs::create_dir_all(path.parent().unwrap()) else { continue };
            match made {
                _ if path.symlink_metadata().is_ok() => {}
                Made::Directory(mode) => {
                    std::fs::create_dir(&path).unwrap();
                    set_mode(&path, *mode);
                }
                Made::File(bytes, mode) => {
                    std::fs::write(&path, bytes).unwrap();
                    set_mode(&path, *mode);
                }
                Made::Link(target) => symlink(target, &path).unwrap(),
            }
        }
        let before = tree(&app);
        let archive = dir.path().join("Demo.app.zip");
        prop_assert!(pack_into(&app, &archive).is_empty());
        restore(&archive).unwrap();
        prop_assert_eq!(tree(&dir.path().join("Demo.app")), before);
    }
}
