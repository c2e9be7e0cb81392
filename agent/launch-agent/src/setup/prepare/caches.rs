//! The shared caches of simulator runtimes, made once for a Mac and not by the first tasks that boot
//! a simulator.
//!
//! After an update of macOS or a new runtime, CoreSimulator links each runtime's libraries anew,
//! with a core for minutes, and simulators may fail to boot meanwhile (release notes of Xcode 26.1,
//! 152328794). `simctl runtime dyld_shared_cache update --all` does it ahead. A stamp says for which
//! runtimes and which macOS that was done.

use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::PrepareHost;
use super::runtime::Runtime;
use super::runtimes::list_runtimes;
use crate::setup::{Found, SetupError, Step};
use russet_platform::macos_tools::preferences;
use russet_platform::replace;

/// Name of the stamp in the state directory.
const STAMP: &str = "simulator-caches";

/// A stamp larger than this is none.
const MAX_STAMP_BYTES: u64 = 64 * 1024;

/// Some minutes for each runtime.
const UPDATE_TIMEOUT: Duration = Duration::from_secs(3600);

/// Words of simctl before Xcode 16.4 for a command that it does not have.
const UNKNOWN_COMMAND: &str = "Unrecognized subcommand";

/// State of the caches.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Caches {
    /// There are no runtimes.
    NoRuntimes,
    /// They were made for what is there.
    Made,
    /// They were made for other runtimes, for another macOS, or never. The text is what is there
    /// now.
    Stale(String),
}

/// Looks at what is there, and compares it with the stamp.
fn look_at_caches(host: &PrepareHost) -> Result<Caches, SetupError> {
    let runtimes = list_runtimes(&host.xcode())?;
    let system = preferences::system_version(&host.root).unwrap_or_default();
    let Some(now) = stamp_of(&runtimes, &system) else { return Ok(Caches::NoRuntimes) };
    let stamp = read_stamp(&host.state.join(STAMP)).unwrap_or_default();
    Ok(if stamp == now { Caches::Made } else { Caches::Stale(now) })
}

/// Returns what is new since the caches were made, by files alone, for whoever only looks; `None`:
/// nothing is, or there are no runtimes. `runtimes` are as `iOS 26.1 (23B80)`.
pub(crate) fn news_since_caches(state: &Path, root: &Path, runtimes: &[String]) -> Option<String> {
    let builds = runtimes.iter().filter_map(|text| text.rsplit_once('(')?.1.strip_suffix(')'));
    let builds: Vec<&str> = builds.collect();
    if builds.is_empty() {
        return None;
    }
    let stamp = read_stamp(&state.join(STAMP)).unwrap_or_default();
    let system = preferences::system_version(root).unwrap_or_default();
    let mut lines = stamp.lines();
    if lines.next() != Some(&*format!("macOS {system}")) {
        return Some(format!("macOS {system}"));
    }
    let made: Vec<&str> = lines.collect();
    builds.into_iter().find(|build| !made.contains(build)).map(|build| format!("runtime {build}"))
}

fn make_caches(host: &PrepareHost) -> Result<(), SetupError> {
    let update = ["runtime", "dyld_shared_cache", "update", "--all"];
    let output = host.xcode().simctl(&update).limit(UPDATE_TIMEOUT).run()?;
    // An older Xcode makes them by itself, in the background.
    if output.error_text().contains(UNKNOWN_COMMAND) {
        return Ok(());
    }
    output.ok()?;
    Ok(())
}

/// The runtimes that can be used, by build, and the macOS: one line each; `None` without runtimes.
fn stamp_of(runtimes: &[Runtime], system: &str) -> Option<String> {
    let builds: Vec<&str> =
        runtimes.iter().filter(|one| one.is_ready()).map(|one| one.build.as_str()).collect();
    (!builds.is_empty()).then(|| format!("macOS {system}\n{}\n", builds.join("\n")))
}

fn read_stamp(path: &Path) -> Option<String> {
    let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path);
    let mut text = String::new();
    file.ok()?.take(MAX_STAMP_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

fn write_stamp(state: &Path, text: &str) -> Result<(), SetupError> {
    let path: PathBuf = state.join(STAMP);
    let failed = |source: io::Error| SetupError::Record { path: path.clone(), source };
    std::fs::create_dir_all(state).map_err(failed)?;
    replace::write(&path, text.as_bytes(), 0o600).map_err(failed)
}

/// Making the caches as a step.
pub(super) struct CachesStep<'a> {
    pub(super) host: &'a PrepareHost,
}

impl Step for CachesStep<'_> {
    fn title(&self) -> String {
        "make the shared caches of simulator runtimes".to_owned()
    }

    fn look(&self) -> Result<Found, SetupError> {
        Ok(match look_at_caches(self.host)? {
            Caches::NoRuntimes => Found::Ready("there are no runtimes".to_owned()),
            Caches::Made => Found::Ready("they are of these runtimes and this macOS".to_owned()),
            Caches::Stale(_) => Found::Missing("runtimes or macOS are new".to_owned()),
        })
    }

    fn act(&self) -> Result<(), SetupError> {
        let Caches::Stale(now) = look_at_caches(self.host)? else { return Ok(()) };
        make_caches(self.host)?;
        write_stamp(&self.host.state, &now)
    }

    fn remedy(&self) -> Option<String> {
        Some("`sudo xcrun simctl runtime dyld_shared_cache update --all` says more".to_owned())
    }
}
