//! The power is cut at each step of an update.

use std::fs::read_to_string;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use russet_protocol::boot_files::{HEALTH, PROBATION};

use crate::support::farm::Farm;
use crate::support::installation::can_run_service;
use crate::support::release::{Release, archive, script};

/// A step of an update: its name, and whether it, or one after it, has begun. Each leaves a trace
/// in the file system that the next one does not take away.
type Step = (&'static str, fn(&Watch<'_>) -> bool);

/// In their order.
const STEPS: [Step; 10] = [
    ("fetching", |watch| watch.staged(".part") || watch.staged(".tar.gz")),
    ("looking through the archive", |watch| watch.staged(".tar.gz")),
    ("unpacking", |watch| watch.is_unpacking() || watch.is_noted()),
    ("trying the program", |watch| watch.is_whole() || watch.is_noted()),
    ("noting the version", |watch| watch.is_noted()),
    ("noting the probation", |watch| watch.is_in_probation() || watch.is_exchanged()),
    ("making room beside it", |watch| {
        watch.is_in_probation() && !watch.farm.agent.layout.previous().exists()
            || watch.is_exchanged()
    }),
    ("exchanging", |watch| watch.is_exchanged()),
    ("starting the new one", |watch| watch.is_exchanged() && watch.is_ready()),
    ("proving it", |watch| watch.is_ready() && watch.says("proved")),
];

#[test]
fn a_cut_at_each_step_of_an_update_leaves_a_version_that_takes_tasks() {
    if !can_run_service() {
        return;
    }
    let mut farm = Farm::start();
    for (round, (name, has_begun)) in STEPS.iter().enumerate() {
        let version = format!("9.5.{round}");
        farm.publish(&large(&farm, &version));
        let watch = Watch { farm: &farm, version: &version, before: farm.pid() };
        let wishing = std::thread::scope(|scope| {
            let wishing = scope.spawn(|| farm.cli(&["install"]));
            watch.wait(name, *has_begun);
            cut(&farm);
            wishing.join()
        });
        // Its agent may have gone before it answered.
        wishing.unwrap();
        farm.claims();
        farm.install();
        farm.wait_installed(&version);
    }
    farm.agent.supervisor.take().unwrap().bootout();
    farm.agent.bootstrap();
    farm.claims();
}

/// A good release that takes a moment to be fetched and unpacked: what stands behind the script is
/// never read.
fn large(farm: &Farm, version: &str) -> Release {
    let mut noise = blake3::Hasher::new().update(version.as_bytes()).finalize_xof();
    let mut program = script(version, "exec \"$REAL\" \"$@\"");
    let start = program.len();
    program.resize(start + (6 << 20), 0);
    noise.fill(&mut program[start..]);
    Release::new(version, archive(&farm.agent.layout, &program))
}

/// Both programs at once, as far as that can be done.
fn cut(farm: &Farm) {
    let both = [farm.pid(), farm.agent.supervisor().pid()];
    for id in both.into_iter().flatten() {
        kill(id, Signal::SIGKILL).ok();
    }
}

/// Files that an update has left so far.
struct Watch<'a> {
    farm: &'a Farm,
    version: &'a str,
    /// The agent that the update began with.
    before: Option<Pid>,
}

impl Watch<'_> {
    /// Looks without a pause: some steps take less than a millisecond.
    fn wait(&self, name: &str, has_begun: fn(&Self) -> bool) {
        let start = Instant::now();
        while !has_begun(self) {
            let log = || self.farm.agent.log();
            assert!(start.elapsed() < Duration::from_secs(60), "no step `{name}`: {}", log());
            std::thread::yield_now();
        }
    }

    fn staged(&self, end: &str) -> bool {
        self.names().iter().any(|name| name.ends_with(end)) || self.is_noted()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.farm.agent.layout.staging()).into_iter().flatten();
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// A directory with the bundle in it.
    fn is_unpacking(&self) -> bool {
        self.names().iter().any(|name| !name.contains('.'))
    }

    /// With a program that is whole, so that it can be tried.
    fn is_whole(&self) -> bool {
        let layout = &self.farm.agent.layout;
        let bundle = layout.bundle();
        let inside = layout.executable().strip_prefix(bundle.parent().unwrap()).unwrap().to_owned();
        self.names().iter().any(|name| {
            let program = layout.staging().join(name).join(&inside);
            program.metadata().is_ok_and(|meta| meta.len() > 6 << 20)
        })
    }

    fn is_noted(&self) -> bool {
        let record = self.farm.agent.layout.state().join("update.json");
        read_to_string(record).is_ok_and(|text| text.contains(self.version))
    }

    fn is_in_probation(&self) -> bool {
        let note = self.farm.agent.boot_file(PROBATION);
        note.is_some_and(|text| text.contains(self.version))
    }

    fn is_exchanged(&self) -> bool {
        self.farm.installed().as_deref() == Some(self.version)
    }

    /// Another agent says how far it is.
    fn is_ready(&self) -> bool {
        self.farm.pid().is_some_and(|pid| Some(pid) != self.before)
    }

    fn says(&self, word: &str) -> bool {
        self.farm.agent.boot_file(HEALTH).is_some_and(|text| text.contains(word))
    }
}
