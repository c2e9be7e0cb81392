//! Disks without room, at each step where something is written.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::disk::Disk;
use crate::support::farm::Farm;
use crate::support::installation::can_run_service;
use crate::support::release::{Release, archive, script};
use crate::support::wait_for;

#[test]
fn a_disk_that_is_full_at_any_step_leaves_a_version_that_takes_tasks() {
    if !can_run_service() {
        return;
    }
    let mut farm = Farm::start();
    farm.agent.supervisor.take().unwrap().bootout();
    let small = SmallDisk::over(&farm.agent.layout.code());
    let good = String::from_utf8(script("0.0.1", "exec \"$REAL\" \"$@\"")).unwrap();
    farm.agent.put_again(good.trim_start_matches("#!/bin/sh\n"));
    farm.agent.bootstrap();
    farm.agent.wait_proved(None);
    let ballast =
        (0..40_000_u32).map(|number| format!("# {}\n", number.wrapping_mul(2_654_435_761)));
    let program = script("9.7.0", "exec \"$REAL\" \"$@\"").into_iter();
    let program: Vec<u8> = program.chain(ballast.collect::<String>().into_bytes()).collect();
    let release = Release::new("9.7.0", archive(&farm.agent.layout, &program));
    let (packed, unpacked) = (release.archive.len() as u64, program.len() as u64);
    farm.publish(&release);
    // No room for a directory, for half of the archive, for half of the bundle.
    for room in [0, packed / 2, packed + unpacked / 2] {
        small.leave(room);
        farm.install();
        farm.wait_refused("No space left");
        assert_eq!(farm.installed().as_deref(), Some("0.0.1"));
        farm.claims();
    }
    small.leave(u64::MAX);
    farm.install();
    farm.wait_installed("9.7.0");
    farm.claims();
    farm.agent.supervisor.take().unwrap().bootout();
}

/// A file system with little room, unmounted when the test ends.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one over a directory.
    fn over(path: &Path) -> Self {
        let options = "size=24m,mode=755";
        let mut mount = Command::new("mount");
        let status = mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(path).status();
        assert!(status.unwrap().success());
        Self(path.to_owned())
    }

    /// Fills it up to so many bytes, but for what one more block may take.
    fn leave(&self, room: u64) {
        let fill = self.0.join("fill");
        std::fs::remove_file(&fill).ok();
        let stat = nix::sys::statvfs::statvfs(&self.0).unwrap();
        let free = stat.blocks_available() as u64 * stat.fragment_size() as u64;
        let length = free.saturating_sub(room);
        std::fs::write(fill, vec![0; usize::try_from(length).unwrap()]).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// The state directory on a small disk, which holds the notes of updates and of `russet-boot`.
struct SmallState {
    disk: Disk,
    bound: PathBuf,
}

impl SmallState {
    /// Puts one in the place of a directory. `None`, which is said, where that is impossible.
    fn over(path: &Path) -> Option<Self> {
        let disk = Disk::create()?;
        std::fs::create_dir_all(path).unwrap();
        let status = Command::new("mount").arg("--bind").arg(disk.path()).arg(path).status();
        assert!(status.unwrap().success());
        Some(Self { disk, bound: path.to_owned() })
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.disk.path().join("fill")).unwrap();
        for piece in [1 << 20, 1024] {
            while file.write_all(&vec![0; piece]).is_ok() {}
        }
        file.sync_all().unwrap();
    }

    fn make_room(&self) {
        std::fs::remove_file(self.disk.path().join("fill")).unwrap();
    }
}

impl Drop for SmallState {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.bound).status().ok();
    }
}

#[test]
fn a_state_directory_without_room_at_any_step_leaves_a_version_that_takes_tasks() {
    if !can_run_service() {
        return;
    }
    let mut farm =
        Farm::prepare("  auto: false\n  probation: 10s\n", &["health: {disk_reserve: 0KB}"]);
    let state = farm.agent.layout.state();
    let Some(small) = SmallState::over(&state) else { return };
    farm.agent.bootstrap();
    farm.agent.wait_proved(None);
    farm.claims();
    // While it looks: how far the manifests have counted cannot be noted, so nothing is fetched.
    farm.publish(&farm.release("9.12.1"));
    small.fill();
    farm.install();
    farm.wait_refused("No space left");
    small.make_room();
    farm.claims();
    // While it is put in place: what has to be known of it cannot be noted, so nothing moves.
    let (ok, text) = farm.cli(&["check"]);
    assert!(ok && text.contains("9.12.1 is ready"), "{text}");
    small.fill();
    // Whoever waits does so in vain: the agent starts again when there is room.
    farm.ask_install();
    farm.agent.wait_log("could not be put in place");
    assert_eq!(farm.installed(), None);
    small.make_room();
    farm.agent.wait_proved(None);
    farm.claims();
    farm.install();
    farm.wait_installed("9.12.1");
    farm.claims();
    // While it starts: it cannot say that it is well, and is taken back, by one who cannot note
    // that.
    // A full disk has room for so short a note once it has tidied up: nothing takes its place either.
    let note = farm.agent.layout.boot_state().join("health");
    let fill = format!(
        "rm -f {note}; mkdir -p {note}/in-the-way\ndd if=/dev/zero of={}/fill bs=4k 2> /dev/null\n\
         exec \"$REAL\" \"$@\"",
        small.disk.path().display(),
        note = note.display()
    );
    let mut greedy = farm.broken("9.12.2", &fill);
    greedy.manifest.counter = 2;
    farm.publish(&greedy);
    farm.ask_install();
    wait_for("it to start", || (farm.installed()? == "9.12.2").then_some(()));
    wait_for("it to be taken back", || (farm.installed()? == "9.12.1").then_some(()));
    std::fs::remove_dir_all(&note).unwrap();
    std::fs::remove_dir_all(farm.place("9.12.2")).unwrap();
    small.make_room();
    farm.agent.wait_proved(None);
    farm.claims();
    let mut last = farm.release("9.12.3");
    last.manifest.counter = 3;
    farm.publish(&last);
    farm.install();
    farm.wait_installed("9.12.3");
    farm.claims();
    farm.agent.supervisor.take().unwrap().bootout();
}
