//! The loop of `russet-boot`: which version stands in place, its run, and what follows its end.

use std::path::{Path, PathBuf};

use crate::bundle::Bundles;
use crate::child::Run;
use crate::ended::{End, Ended};
use crate::error::BootError;
use crate::layout::Layout;
use crate::memory::{Memory, Next, Places};
use crate::signals::{self, Signals};
use crate::state::State;
use crate::{log, trust};

/// The service: the installation, what is remembered of its versions, and the signals.
pub(crate) struct Boot {
    layout: Layout,
    state: State,
    memory: Memory,
    bundles: Bundles,
    signals: Signals,
    /// Last message: the same again is not written, since its file has little room.
    said: String,
}

impl Boot {
    /// Finds the installation that this program lies in. Fails where it may not serve it.
    pub(crate) fn new() -> Result<Self, BootError> {
        // SAFETY: geteuid has no preconditions and cannot fail.
        if unsafe { libc::geteuid() } != 0 {
            return Err(BootError::NotRoot);
        }
        let exe = std::env::current_exe().map_err(BootError::OwnPath)?;
        trust::check_program(&exe, trust::ROOT)?;
        let layout = Layout::below(&own_root(&exe)?);
        if layout.boot() != exe {
            return Err(BootError::Misplaced(exe));
        }
        let signals = Signals::listen().map_err(BootError::Signals)?;
        let state = State::open(&layout.state(), &layout.boot_state());
        let bundles = Bundles::new(&layout);
        let memory = state.load(&bundles.places().current);
        Ok(Self { layout, state, memory, bundles, signals, said: String::new() })
    }

    /// Starts the agent again and again, until this process is told to end.
    pub(crate) fn run(&mut self) {
        while !self.signals.must_end() {
            let Places { current, .. } = self.settle();
            log::make_room(&self.layout.boot_log());
            let end = self.run_agent(&current);
            if self.signals.must_end() {
                // That was no fault of the version.
                self.memory.count_stop(&current, end.ran);
                self.state.save(&self.memory);
                break;
            }
            let next = self.memory.decide(&current, &self.bundles.places(), &end);
            self.state.save(&self.memory);
            self.act(&end, next);
        }
    }

    /// Sees to it that the right version stands in the agent's place, whatever an update, an
    /// earlier russet-boot or this one was cut off at. Returns what stands where then.
    fn settle(&mut self) -> Places {
        let places = self.bundles.places();
        self.memory.take_note(self.state.note(), &places.current);
        self.memory.judge_unseen();
        let is_saved = self.state.save(&self.memory);
        let is_exchanged = self.memory.prefers_previous(&places) && self.go_back(&places);
        if is_saved || is_exchanged {
            self.state.keep_note(self.memory.note().as_ref());
        }
        self.bundles.places()
    }

    /// Exchanges the bundles. Only when that has reached the disk is the probation forgotten.
    fn go_back(&mut self, places: &Places) -> bool {
        if let Err(error) = self.bundles.exchange() {
            self.say(format!("could not go back to the previous version: {error}"));
            return false;
        }
        let bad = self.memory.bad.iter().rfind(|bad| bad.bundle == places.current);
        let why =
            bad.map_or_else(String::new, |bad| format!(": version {} {}", bad.version, bad.why()));
        self.say(format!("went back to the previous version{why}"));
        self.memory.exchanged(places);
        self.state.save(&self.memory);
        true
    }

    /// Runs the agent to its end.
    fn run_agent(&mut self, current: &str) -> End {
        // Before it runs: it may take this process, or the machine, with it.
        self.memory.count_start();
        self.state.save(&self.memory);
        self.state.forget_health();
        let exe = self.layout.executable();
        if let Err(error) = trust::check_program(&exe, trust::ROOT) {
            return End::new(Ended::Untrusted(error.to_string()));
        }
        match Run::start(&exe, &self.layout) {
            Ok(run) => run.watch(&self.signals, &mut self.state, &mut self.memory, current),
            Err(error) => End::new(Ended::not_started(&error)),
        }
    }

    fn act(&mut self, end: &End, next: Next) {
        match next {
            Next::Start(pause) => {
                self.say(format!("the agent {end}; next start in {} s", pause.as_secs()));
                self.signals.pause(Some(pause));
            }
            Next::GoBack => {
                self.say(format!("the agent {end}; going back to the previous version"));
                let before = self.bundles.places();
                if self.settle().current == before.current {
                    self.stay_in_place(&before);
                }
            }
            Next::Stay => {
                self.say(format!("the agent {end}; it stays so until it is started again"));
                self.signals.pause(None);
            }
        }
    }

    /// Waits before the version in place is tried again, since there is none to go back to.
    fn stay_in_place(&mut self, places: &Places) {
        let pause = self.memory.pause_in_place();
        if !self.memory.prefers_previous(places) {
            let why = self.bundles.check_previous().map_or_else(
                |error| error.to_string(),
                |()| "that was taken back too, and ran for less time".to_owned(),
            );
            let seconds = pause.as_secs();
            self.say(format!(
                "there is no version to go back to: {why}; next start of this one in {seconds} s"
            ));
        }
        self.signals.pause(Some(pause));
    }

    fn say(&mut self, text: String) {
        if self.said != text {
            signals::log_line(&text);
            self.said = text;
        }
    }
}

/// Returns the part before `opt/russet/russet-boot` in the path of this program.
fn own_root(exe: &Path) -> Result<PathBuf, BootError> {
    let root = exe.ancestors().nth(3).map(Path::to_owned);
    root.ok_or_else(|| BootError::Misplaced(exe.to_owned()))
}
