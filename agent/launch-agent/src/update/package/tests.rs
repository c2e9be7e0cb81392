use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use russet_platform::command::testing::fake_tool;
use russet_platform::layout::Layout;

use super::arrival::{Arrival, Note, read_arrived, take_incoming};
use super::check::check_tree;
use super::{Finishing, PackageError, Placed, is_incoming, place_others, place_unless_running};

const NOTE: &str = "version 2.0.0\nhold 60\ndowngrade no\nlater yes\n";

/// Files that Installer puts there and the script completes.
fn bring(layout: &Layout, version: &str) {
    let incoming = layout.incoming();
    let (bundle, executable) = (layout.bundle(), layout.executable());
    let inside = executable.strip_prefix(bundle.parent().unwrap()).unwrap();
    let program = incoming.join("agent").join(inside);
    let directory = program.parent().unwrap();
    std::fs::create_dir_all(directory).unwrap();
    fake_tool(directory, "russet", &format!("echo russet {version}"));
    fake_tool(&incoming.join("agent"), "russet-boot", &format!("# boot {version}"));
    std::fs::write(incoming.join("agent/uninstall.sh"), version).unwrap();
    let app = incoming.join("menubar/Russet.app");
    std::fs::create_dir_all(&app).unwrap();
    std::fs::write(app.join("which"), version).unwrap();
    close(&incoming);
    std::fs::write(incoming.join("complete"), format!("version {version}\nhold 60\n")).unwrap();
}

fn close(directory: &Path) {
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700)).unwrap();
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_note_says_version_and_hold_and_what_is_not_known_is_of_a_later_version() {
    let note = Note::parse(NOTE).unwrap();
    assert_eq!((&*note.version, note.hold), ("2.0.0", Duration::from_secs(60)));
    assert!(!note.allows_downgrade);
    assert!(Note::parse("version 2.0.0\ndowngrade yes\n").unwrap().allows_downgrade);
    for text in ["", "hold 60\n", "version \n", "version ../2\n", "version 2.0.0\nhold long\n"] {
        assert_eq!(Note::parse(text), None, "{text}");
    }
    let long = Note::parse("version 2.0.0\nhold 999999999\n").unwrap();
    assert_eq!(long.hold, Duration::from_secs(24 * 3600));
}

#[test]
fn a_hold_ends_by_itself_whatever_the_clock_said_when_it_began() {
    let note = Note::parse(NOTE).unwrap();
    let arrival = Arrival { directory: "/x".into(), note, written_ms: 1_000_000 };
    assert_eq!(arrival.hold_until_ms(1_000_000), Some(1_060_000));
    assert_eq!(arrival.hold_until_ms(1_059_999), Some(1_060_000));
    assert_eq!(arrival.hold_until_ms(1_060_000), None);
    // The clock was set back: no longer than it may from now on.
    assert_eq!(arrival.hold_until_ms(1_000), Some(61_000));
}

#[test]
fn what_is_complete_is_taken_and_takes_the_place_of_what_was_taken_before() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::below(dir.path());
    assert!(!take_incoming(&layout).unwrap());
    bring(&layout, "2.0.0");
    let note = layout.incoming().join("complete");
    std::fs::rename(&note, layout.code().join("aside")).unwrap();
    assert!(!is_incoming(&layout) && !take_incoming(&layout).unwrap());
    std::fs::rename(layout.code().join("aside"), &note).unwrap();
    assert!(take_incoming(&layout).unwrap());
    assert!(!layout.incoming().exists());
    bring(&layout, "2.1.0");
    assert!(take_incoming(&layout).unwrap());
    assert_eq!(read_arrived(&layout).unwrap().unwrap().note.version, "2.1.0");
}

#[test]
fn what_others_could_change_or_look_into_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::below(dir.path());
    bring(&layout, "2.0.0");
    let incoming = layout.incoming();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&incoming, 0o755);
    assert!(matches!(take_incoming(&layout), Err(PackageError::Untrusted { .. })));
    mode(&incoming, 0o700);
    check_tree(&incoming).unwrap();
    mode(&incoming.join("agent"), 0o775);
    assert!(check_tree(&incoming).unwrap_err().to_string().contains("can write to it"));
    mode(&incoming.join("agent"), 0o755);
    symlink("/etc/passwd", incoming.join("agent/link")).unwrap();
    assert!(check_tree(&incoming).unwrap_err().to_string().contains("neither"));
    std::fs::remove_file(incoming.join("agent/link")).unwrap();
    std::fs::remove_file(incoming.join("complete")).unwrap();
    std::fs::write(incoming.join("complete"), "nonsense").unwrap();
    assert!(matches!(take_incoming(&layout), Err(PackageError::Note(_))));
    // A link in the place of the directory leads nowhere.
    std::fs::rename(&incoming, dir.path().join("elsewhere")).unwrap();
    symlink(dir.path().join("elsewhere"), &incoming).unwrap();
    assert!(matches!(take_incoming(&layout), Err(PackageError::Untrusted { .. })));
}

#[test]
fn where_no_agent_runs_everything_is_put_in_place_also_after_it_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::below(dir.path());
    assert_eq!(place_unless_running(&layout, 1).unwrap(), Placed::Nothing);
    bring(&layout, "2.0.0");
    let placed = Placed::InPlace("2.0.0".to_owned());
    assert_eq!(place_unless_running(&layout, 1).unwrap(), placed);
    assert!(text(&layout.executable()).contains("2.0.0") && !layout.arrived().exists());
    assert_eq!(text(&layout.code().join("uninstall.sh")), "2.0.0");
    // Killed when the bundle was in place and the companion of before had made way; the package is
    // installed again.
    bring(&layout, "2.1.0");
    assert!(take_incoming(&layout).unwrap());
    std::fs::rename(layout.menubar_bundle(), layout.arrived().join("menubar/Russet.before"))
        .unwrap();
    assert_eq!(place_unless_running(&layout, 1).unwrap(), Placed::ByAgent);
    bring(&layout, "2.1.0");
    let placed = Placed::InPlace("2.1.0".to_owned());
    assert_eq!(place_unless_running(&layout, 1).unwrap(), placed);
    assert_eq!(text(&layout.menubar_bundle().join("which")), "2.1.0");
    assert!(text(&layout.boot()).contains("2.1.0"));
    assert!(text(&layout.previous_executable()).contains("2.0.0"));
}

#[test]
fn a_version_that_is_another_than_the_note_says_is_not_put_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::below(dir.path());
    bring(&layout, "2.0.0");
    std::fs::write(layout.incoming().join("complete"), "version 3.0.0\n").unwrap();
    let error = place_unless_running(&layout, 1).unwrap_err();
    assert!(error.to_string().contains("3.0.0"), "{error}");
    assert!(!layout.bundle().exists());
}

#[test]
fn that_a_new_russet_boot_waits_for_a_restart_is_not_forgotten_when_it_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::below(dir.path());
    bring(&layout, "2.0.0");
    place_unless_running(&layout, 1).unwrap();
    bring(&layout, "2.1.0");
    assert!(take_incoming(&layout).unwrap());
    let both = Finishing { restarts: true, restarts_menubar: true };
    assert_eq!(place_others(&layout).unwrap(), both);
    // Run again, for it was killed before the restart.
    assert_eq!(place_others(&layout).unwrap(), both);
    super::forget_arrived(&layout).unwrap();
    assert_eq!(place_others(&layout).unwrap(), Finishing::default());
}
