//! Xcodes in directories as people and tools lay them out.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{Flaw, Stamp, XcodeError, find_xcode, list_xcodes, search_directories, usable_xcodes};
use crate::macos_tools::xcode::testing::{FakeXcode, make_xcode};

/// A directory of applications with these Xcodes: name, version, build.
fn applications(all: &[(&str, &str, &str)]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    for (name, version, build) in all {
        make_xcode(dir.path(), name, &FakeXcode { version, build, ..FakeXcode::default() });
    }
    let paths = vec![dir.path().canonicalize().unwrap()];
    (dir, paths)
}

fn found(directories: &[PathBuf], wanted: &str) -> Result<String, XcodeError> {
    let found = find_xcode(directories, wanted)?;
    Ok(found.app.file_name().unwrap().to_str().unwrap().to_owned())
}

#[test]
fn an_xcode_is_found_by_its_version_whatever_its_bundle_is_called() {
    let (dir, at) = applications(&[
        ("Xcode.app", "26.0.1", "17A400"),
        ("Xcode-16.2.0.app", "16.2", "16C5032a"),
        ("Xcode_15.4.app", "15.4", "15F31d"),
        ("Xcode 14.3.1 copy.app", "14.3.1", "14E300c"),
        ("Xcode13.app", "13.4.1", "13F100"),
    ]);
    let beta = FakeXcode {
        version: "26.1",
        build: "17B5045g",
        licence: Some("Beta"),
        ..FakeXcode::default()
    };
    make_xcode(dir.path(), "Xcode-26.1.0-Beta.3.app", &beta);
    let newer = FakeXcode {
        version: "27.0",
        build: "18A5000a",
        licence: None,
        icon: Some("XcodeBeta"),
        ..FakeXcode::default()
    };
    make_xcode(dir.path(), "Xcode-beta.app", &newer);
    std::fs::create_dir_all(dir.path().join("Xcodes.app/Contents")).unwrap();
    std::fs::create_dir_all(dir.path().join("Safari.app/Contents/Developer")).unwrap();
    for (wanted, expected) in [
        ("26", "Xcode.app"),
        ("26.0", "Xcode.app"),
        ("26.0.1", "Xcode.app"),
        ("16.2", "Xcode-16.2.0.app"),
        ("16.2.0", "Xcode-16.2.0.app"),
        ("16C5032a", "Xcode-16.2.0.app"),
        ("15", "Xcode_15.4.app"),
        ("14.3.1", "Xcode 14.3.1 copy.app"),
        ("13.4", "Xcode13.app"),
        ("26.1", "Xcode-26.1.0-Beta.3.app"),
        ("26.1 beta", "Xcode-26.1.0-Beta.3.app"),
        ("26.1-beta.3", "Xcode-26.1.0-Beta.3.app"),
        ("beta", "Xcode-beta.app"),
        ("27 beta", "Xcode-beta.app"),
    ] {
        assert_eq!(found(&at, wanted).as_deref(), Ok(expected), "{wanted}");
    }
    let error = found(&at, "16.3").unwrap_err();
    assert_eq!(error.reason(), "Xcode 16.3 is not installed");
    let hint = error.hint();
    assert!(hint.contains("16.2 (16C5032a) in Xcode-16.2.0.app"), "{hint}");
    assert!(hint.contains("26.1 beta 3 (17B5045g)") && !hint.contains("Safari"), "{hint}");
    let versions: Vec<String> = usable_xcodes(&at).iter().map(ToString::to_string).collect();
    assert_eq!(versions.first().unwrap(), "26.0.1 (17A400)");
    assert_eq!(versions.last().unwrap(), "26.1 beta 3 (17B5045g)");
    assert_eq!(versions.len(), 7);
}

#[test]
fn a_link_is_no_second_one_and_a_path_names_one_as_it_stands() {
    let (dir, at) = applications(&[("Xcode-16.2.0.app", "16.2", "16C5032a")]);
    symlink("Xcode-16.2.0.app", dir.path().join("Xcode.app")).unwrap();
    symlink("gone.app", dir.path().join("Xcode-15.app")).unwrap();
    let all = list_xcodes(&at);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].xcode.names, ["Xcode-16.2.0", "Xcode"]);
    assert_eq!(all[0].app, at[0].join("Xcode-16.2.0.app"));
    for path in ["Xcode.app", "Xcode.app/", "Xcode-16.2.0.app", "Xcode.app/Contents/Developer"] {
        let path = dir.path().join(path);
        assert_eq!(found(&at, path.to_str().unwrap()).as_deref(), Ok("Xcode-16.2.0.app"));
    }
    let nowhere = dir.path().join("Xcode-15.app");
    let error = found(&at, nowhere.to_str().unwrap()).unwrap_err();
    assert!(matches!(error, XcodeError::NoBundle(_)), "{error}");
    assert!(matches!(
        found(&at, "/Library/Developer/CommandLineTools"),
        Err(XcodeError::NoBundle(_))
    ));
}

#[test]
fn half_of_an_xcode_is_told_from_none_and_a_whole_one_comes_before_it() {
    let (dir, at) = applications(&[("Xcode_15.4.app", "15.4", "15F31d")]);
    std::fs::create_dir_all(dir.path().join("Xcode-16.2.0.app/Contents/Developer")).unwrap();
    let error = found(&at, "16.2").unwrap_err();
    assert!(matches!(&error, XcodeError::Half { flaw: Flaw::Version, .. }), "{error}");
    assert!(error.hint().contains("wait"), "{error}");
    let tools =
        FakeXcode { version: "26.0", build: "17A324", has_tools: false, ..FakeXcode::default() };
    make_xcode(dir.path(), "Xcode.app", &tools);
    assert!(matches!(found(&at, "26"), Err(XcodeError::Half { flaw: Flaw::Tools, .. })));
    let path = dir.path().join("Xcode.app");
    assert!(matches!(found(&at, path.to_str().unwrap()), Err(XcodeError::Half { .. })));
    assert_eq!(usable_xcodes(&at).len(), 1);
    make_xcode(
        dir.path(),
        "Xcode_16.2_copy.app",
        &FakeXcode { version: "16.2", ..FakeXcode::default() },
    );
    assert_eq!(found(&at, "16.2").as_deref(), Ok("Xcode_16.2_copy.app"));
    std::fs::write(dir.path().join("Xcode_15.4.app/Contents/version.plist"), "garbage").unwrap();
    assert!(matches!(found(&at, "15.4"), Err(XcodeError::Half { .. })));
}

#[test]
fn copies_of_one_version_are_one_in_the_list_and_the_first_is_taken() {
    let (dir, at) =
        applications(&[("Xcode.app", "16.2", "16C5032a"), ("Xcode-16.2.app", "16.2", "16C5032a")]);
    assert_eq!(found(&at, "16.2").as_deref(), Ok("Xcode-16.2.app"));
    let all = usable_xcodes(&at);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].names, ["Xcode-16.2", "Xcode"]);
    let more = tempfile::tempdir().unwrap();
    make_xcode(more.path(), "Xcode.app", &FakeXcode { version: "26.0", ..FakeXcode::default() });
    let both = [dir.path().to_owned(), more.path().to_owned(), dir.path().join("none")];
    assert_eq!(found(&both, "26").as_deref(), Ok("Xcode.app"));
    assert_eq!(usable_xcodes(&both).len(), 2);
}

#[test]
fn a_stamp_differs_as_soon_as_a_bundle_is_exchanged_and_half_of_one_has_none() {
    let (dir, _at) = applications(&[("Xcode.app", "16.2", "16C5032a")]);
    let app = dir.path().join("Xcode.app");
    let before = Stamp::read(&app).unwrap();
    assert_eq!(Stamp::read(&app), Some(before));
    let plist = app.join("Contents/version.plist");
    let text = std::fs::read_to_string(&plist).unwrap().replace("16.2", "16.3");
    std::fs::remove_file(&plist).unwrap();
    assert_eq!(Stamp::read(&app), None);
    std::fs::write(&plist, text).unwrap();
    assert!(Stamp::read(&app).is_some_and(|stamp| stamp != before));
}

#[test]
fn applications_are_looked_at_once_and_before_other_directories() {
    let more = ["/Applications".into(), "/Volumes/Xcodes".into()];
    assert_eq!(
        search_directories(&more),
        [Path::new("/Applications"), Path::new("/Volumes/Xcodes")]
    );
}
