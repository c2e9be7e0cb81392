//! Updates one after the other, while tasks come without a pause.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

use russet_protocol::admin::Pipeline;
use russet_protocol::outcome::Outcome;
use russet_protocol::secret::Secret;

use crate::support::farm::Farm;
use crate::support::installation::can_run_service;
use crate::support::{Admin, config, run, wait_for};

/// Number of updates that a machine goes through.
const UPDATES: u64 = 200;

/// Files that tasks write their numbers into.
const BEGAN: &str = "began";
const ENDED: &str = "ended";

/// So many tasks wait or run at every moment.
const WAITING: usize = 3;

#[test]
fn two_hundred_updates_under_a_stream_of_tasks_lose_none() {
    if !can_run_service() {
        return;
    }
    let farm = Farm::start();
    let done = AtomicBool::new(false);
    let submitted = std::thread::scope(|scope| {
        let stream = scope.spawn(|| stream(&farm, &done));
        for number in 1..=UPDATES {
            // Also where an update fails: the stream ends with the test.
            let _stop = StopUnless(number < UPDATES, &done);
            update(&farm, number);
        }
        stream.join().unwrap()
    });
    for pipeline in &submitted {
        let ended = farm.server.admin.wait(pipeline);
        assert_eq!(ended.workflows[0].outcome, Some(Outcome::Success), "{ended:?}");
    }
    // Each began once, and came to its end.
    let (began, ended) = (lines(&farm, BEGAN), lines(&farm, ENDED));
    assert_eq!(began, ended);
    let once: BTreeSet<&String> = began.iter().collect();
    assert_eq!((began.len(), once.len()), (submitted.len(), submitted.len()));
    let tasks = u64::try_from(began.len()).unwrap();
    assert!(tasks >= UPDATES / 2, "{tasks} tasks are no stream");
    assert_eq!(farm.agent.bad(), []);
}

/// Ends the stream when it is dropped, at a panic in any case.
struct StopUnless<'a>(bool, &'a AtomicBool);

impl Drop for StopUnless<'_> {
    fn drop(&mut self) {
        if !self.0 || std::thread::panicking() {
            self.1.store(true, Ordering::Relaxed);
        }
    }
}

/// Brings the machine to the next version.
fn update(farm: &Farm, number: u64) {
    let version = format!("9.6.{number}");
    let mut release = farm.release(&version);
    release.manifest.counter = number;
    farm.publish(&release);
    farm.install();
    wait_for(&format!("version {version}"), || {
        (farm.installed().as_deref() == Some(&*version)).then_some(())
    });
    if number > 1 {
        std::fs::remove_dir_all(farm.place(&format!("9.6.{}", number - 1))).unwrap();
    }
}

/// Submits tasks until the updates are done, so that some always wait.
fn stream(farm: &Farm, done: &AtomicBool) -> Vec<Pipeline> {
    let paths = [BEGAN, ENDED].map(|name| farm.agent.file(name));
    for path in &paths {
        std::fs::write(path, "").unwrap();
        // Tasks have users of their own.
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o666)).unwrap();
    }
    let [began, ended] = paths.map(|path| path.display().to_string());
    let admin = Admin::new(farm.server.url(), Secret::new(farm.server.admin.token()));
    let mut submitted = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let number = submitted.len();
        let script = format!("echo {number} >> {began}; sleep 0.05; echo {number} >> {ended}");
        submitted.push(admin.submit(&config(&[&run(&script)])));
        wait_for("room in the queue", || {
            let is_full = submitted.len() >= lines(farm, BEGAN).len() + WAITING;
            (!is_full || done.load(Ordering::Relaxed)).then_some(())
        });
    }
    submitted
}

/// Lines that the tasks wrote into a file.
fn lines(farm: &Farm, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(farm.agent.file(name)).unwrap();
    text.lines().map(str::to_owned).collect()
}
