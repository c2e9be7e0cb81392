//! Xcodes of this machine while the agent runs: which there are, and which class cannot work.
//!
//! Before each claim the Xcode of its class is looked at by two calls of stat(2). Every ten minutes,
//! and soon after something changed, all are listed, and each that a class uses is asked whether its
//! licence was agreed to and its first launch done. A class whose Xcode cannot be used is held; the
//! others go on.

mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use russet_protocol::xcode::Xcode;

use super::readiness::{self, Verdict};
use crate::config::{Config, XcodeHealth};
use russet_platform::command::Tools;
use russet_platform::macos_tools::xcode::{
    Stamp, find_xcode, search_directories, simulator_runtimes, usable_xcodes,
};

pub(crate) use watch::start_watch;

/// The Xcode of a class, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    app: PathBuf,
    stamp: Stamp,
}

/// Findings so far.
#[derive(Debug, Default)]
struct State {
    /// The Xcodes that classes name, by the text that names them.
    found: BTreeMap<String, Found>,
    /// Answers of bundles when they were asked, and the state that they were in.
    asked: BTreeMap<PathBuf, (Stamp, Verdict)>,
    /// Set once all were asked: what changes after that is asked before it is used.
    has_asked: bool,
    /// Answer of the selected one, where a class needs it.
    selected: Option<Verdict>,
    /// All that can be used, the newest release first.
    xcodes: Vec<Xcode>,
    runtimes: Vec<String>,
}

/// Xcodes of this machine.
#[derive(Debug)]
pub(crate) struct Xcodes {
    directories: Vec<PathBuf>,
    /// The Xcode of each class; `None`: the one that is selected.
    wanted: Vec<Option<String>>,
    health: XcodeHealth,
    /// Set if this machine has Xcodes, or its owner says so.
    is_known: bool,
    is_told: bool,
    tools: Tools,
    /// User and group as whom bundles are asked.
    user: Option<(u32, u32)>,
    state: Mutex<State>,
    /// Rings when something is to be asked.
    doubt: tokio::sync::Notify,
}

impl Xcodes {
    /// The Xcodes that a configuration is about.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            directories: search_directories(&config.xcode_directories),
            wanted: config.classes.iter().map(|class| class.xcode.clone()).collect(),
            health: config.health_xcode,
            is_known: config.knows_xcodes(),
            is_told: config.knows_xcodes() && config.matches_xcode,
            tools: Tools::system(),
            user: readiness::powerless_user(),
            state: Mutex::default(),
            doubt: tokio::sync::Notify::new(),
        }
    }

    /// Returns the reason why tasks of a class cannot run, with the command that mends it. It takes
    /// microseconds as long as nothing has changed.
    pub(crate) fn obstacle(&self, class: usize) -> Option<String> {
        match self.wanted.get(class)? {
            Some(wanted) => self.obstacle_of(wanted),
            None if self.health == XcodeHealth::All => {
                self.lock().selected.as_ref().and_then(Verdict::obstacle)
            }
            None => None,
        }
    }

    fn obstacle_of(&self, wanted: &str) -> Option<String> {
        let mut state = self.lock();
        let known = state.found.get(wanted).cloned();
        let is_same = |found: &Found| Stamp::read(&found.app) == Some(found.stamp);
        let found = match known.filter(is_same) {
            Some(found) => found,
            None => {
                state.found.remove(wanted);
                let found = match self.find(wanted) {
                    Ok(found) => found,
                    Err(reason) => return Some(reason),
                };
                state.found.insert(wanted.to_owned(), found.clone());
                found
            }
        };
        match state.asked.get(&found.app) {
            Some((stamp, verdict)) if *stamp == found.stamp => verdict.obstacle(),
            _ if self.health == XcodeHealth::Never => None,
            _ => {
                self.doubt.notify_one();
                let app = found.app.display();
                state.has_asked.then(|| format!("{app} is new, and is being asked if it is ready"))
            }
        }
    }

    fn find(&self, wanted: &str) -> Result<Found, String> {
        let found = find_xcode(&self.directories, wanted)
            .map_err(|error| format!("{}; {}", error.reason(), error.hint()))?;
        match Stamp::read(&found.app) {
            Some(stamp) => Ok(Found { app: found.app, stamp }),
            None => Err(format!("{} has changed just now", found.app.display())),
        }
    }

    /// Returns the Xcodes to tell the control plane of; `None`: this machine says nothing of them.
    pub(crate) fn told(&self) -> Option<Vec<Xcode>> {
        self.is_told.then(|| self.lock().xcodes.clone())
    }

    /// Returns the simulator runtimes to tell the control plane of.
    pub(crate) fn told_runtimes(&self) -> Vec<String> {
        if self.is_told { self.lock().runtimes.clone() } else { Vec::new() }
    }

    /// Returns the Xcodes and runtimes to show on this machine; `None`: it has none to look for.
    fn shown(&self) -> Option<(Vec<Xcode>, Vec<String>)> {
        let state = self.lock();
        self.is_known.then(|| (state.xcodes.clone(), state.runtimes.clone()))
    }

    /// Lists what there is: milliseconds.
    fn list(&self) {
        if !self.is_known {
            return;
        }
        let xcodes = usable_xcodes(&self.directories);
        let runtimes = simulator_runtimes(Path::new("/"));
        let mut state = self.lock();
        if state.xcodes != xcodes {
            // A better one may have come: it is chosen before the next claim.
            state.found.clear();
        }
        (state.xcodes, state.runtimes) = (xcodes, runtimes);
    }

    /// Asks each Xcode that a class uses: seconds.
    fn ask(&self) {
        if self.health == XcodeHealth::Never {
            return;
        }
        for wanted in self.wanted.iter().flatten() {
            let Ok(found) = self.find(wanted) else { continue };
            let dir = found.app.join("Contents/Developer");
            let verdict = readiness::ask(&self.tools, Some(&dir), self.user);
            self.lock().asked.insert(found.app, (found.stamp, verdict));
        }
        if self.health == XcodeHealth::All && self.wanted.iter().any(Option::is_none) {
            let verdict = readiness::ask(&self.tools, None, self.user);
            self.lock().selected = Some(verdict);
        }
        self.lock().has_asked = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held cannot have left half a change: each is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
