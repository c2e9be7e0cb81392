//! `russet-boot`: what launchd and systemd start.
//!
//! It runs as root and is never updated by itself, so it is small enough to be reviewed at a
//! sitting: this folder, and four files that it shares with the agent and that need nothing but the
//! standard library and libc. It starts `russet agent run`, waits, and decides by the exit code
//! what comes next ([`decide`]). A version that was just installed is in probation: if it does not
//! prove healthy in time, its bundle is exchanged for the previous one ([`bundle`]).
//!
//! It takes no argument and reads no variable: it serves the installation that it lies in,
//! `ROOT/opt/russet/russet-boot`. It reads no configuration, opens no socket, and looks into no
//! directory that somebody other than root can write to.

mod bundle;
mod child;
mod decide;
#[allow(unreachable_pub, clippy::allow_attributes, reason = "the agent names it in its API")]
#[path = "../../agent/platform/src/exchange.rs"]
mod exchange;
#[allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "the agent uses the rest")]
#[path = "../../protocol/src/boot_files.rs"]
mod files;
#[allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "the agent uses the rest")]
#[path = "../../agent/platform/src/layout.rs"]
mod layout;
mod log;
mod signals;
mod state;
#[allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "the agent uses the rest")]
#[path = "../../protocol/src/exit_reason.rs"]
mod table;
mod trust;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bundle::Bundles;
use child::{Ended, Run};
use decide::{Facts, Next};
use files::Fault;
use layout::Layout;
use signals::Signals;
use state::State;

/// One that ends within this time counts as ending soon.
const SOON: Duration = Duration::from_secs(10);

/// Code of an installation that cannot be used: launchd and systemd try again, with a pause.
const UNUSABLE: u8 = 1;

fn main() -> ExitCode {
    match Boot::new() {
        Ok(mut boot) => {
            boot.run();
            ExitCode::SUCCESS
        }
        Err(reason) => {
            signals::log_line(&reason);
            ExitCode::from(UNUSABLE)
        }
    }
}

/// Everything that is known.
struct Boot {
    layout: Layout,
    state: State,
    bundles: Bundles,
    signals: Signals,
    /// Last message: the same again is not written, since its file has little room.
    said: String,
    /// Number of quick ends in a row, see [`decide::soon`].
    soon: u32,
}

impl Boot {
    fn new() -> Result<Self, String> {
        // SAFETY: geteuid has no preconditions and cannot fail.
        if unsafe { libc::geteuid() } != 0 {
            return Err("russet-boot has to be started by root (launchd or systemd)".to_owned());
        }
        let exe = std::env::current_exe()
            .map_err(|error| format!("could not find the path of russet-boot: {error}"))?;
        trust::check_program(&exe, trust::ROOT)?;
        let layout = Layout::below(&own_root(&exe)?);
        if layout.boot() != exe {
            return Err(format!("{} is no place of an installation", exe.display()));
        }
        let signals = Signals::listen().map_err(|error| format!("no signals: {error}"))?;
        let state = State::open(&layout.state(), &layout.boot_state());
        let bundles = Bundles::new(&layout);
        Ok(Self { layout, state, bundles, signals, said: String::new(), soon: 0 })
    }

    /// Starts the agent again and again, until this process is told to end.
    fn run(&mut self) {
        while !self.signals.must_end() {
            self.settle();
            log::make_room(&self.layout.boot_log());
            let began = Instant::now();
            let (ended, facts) = self.once();
            if self.signals.must_end() {
                // That was no fault of the version.
                self.count(&facts, facts.strikes);
                break;
            }
            let facts = Facts { soon: self.soon, lasted: began.elapsed() >= SOON, ..facts };
            self.soon = decide::soon(&ended, &facts);
            let facts = Facts { soon: self.soon, ..facts };
            let (next, strikes) = decide::decide(&ended, &facts);
            self.count(&facts, strikes);
            self.act(&ended, next);
        }
    }

    /// Finishes what an earlier russet-boot, or an update, was killed in the middle of.
    fn settle(&mut self) {
        let Some(probation) = self.state.probation() else { return };
        if probation.bundle != self.bundles.identity() {
            // The exchange never came about, or was taken back.
            self.state.end_probation();
        } else {
            if self.state.quick_ends_of(&probation.bundle) >= decide::STRIKES {
                let reason = "russet-boot or the machine went down each time it ran";
                self.state.add_bad(&probation.bundle, Fault::Crashed, reason);
            }
            if !self.state.is_bad(&probation.bundle) {
                return;
            }
            let result = self.bundles.go_back(&self.state);
            self.report(result);
        }
    }

    /// Notes the strikes of a version in probation.
    fn count(&self, facts: &Facts, strikes: u32) {
        if facts.probation {
            self.state.set_strikes(&self.bundles.identity(), strikes);
        }
    }

    /// Runs the agent to its end.
    fn once(&mut self) -> (Ended, Facts) {
        let exe = self.layout.executable();
        let bundle = self.bundles.identity();
        let probation = self.state.probation().filter(|probation| probation.bundle == bundle);
        let facts = Facts {
            probation: probation.is_some(),
            strikes: self.state.quick_ends_of(&bundle),
            ..Facts::default()
        };
        self.state.forget_health();
        if let Err(reason) = trust::check_program(&exe, trust::ROOT) {
            return (Ended::NotStarted(reason), facts);
        }
        // Counted before it runs: it may take this process, or the machine, with it.
        self.count(&facts, facts.strikes.saturating_add(1));
        let arguments = child::Arguments { exe, layout: &self.layout };
        match Run::start(&arguments) {
            Ok(run) => {
                let limit = probation.map(|probation| Duration::from_secs(probation.limit));
                let watched = run.watch(&self.signals, &self.state, limit);
                let facts = Facts { health: watched.health, ..facts };
                // A version that has proved itself is not in probation any more.
                (watched.ended, Facts { probation: facts.probation && !watched.proved, ..facts })
            }
            Err(error) => (child::not_started(&error), facts),
        }
    }

    fn act(&mut self, ended: &Ended, next: Next) {
        match next {
            Next::Start(pause) => {
                self.say(format!("the agent {ended}; next start in {} s", pause.as_secs()));
                self.signals.pause(Some(pause));
            }
            Next::GoBack(fault) => {
                self.say(format!("the agent {ended}; going back to the previous version"));
                self.state.add_bad(&self.bundles.identity(), fault, &ended.to_string());
                let result = self.bundles.go_back(&self.state);
                if result.is_err() {
                    // There is nothing to go back to: this version is tried again, slowly.
                    self.report(result);
                    self.signals.pause(Some(decide::LONGEST_PAUSE));
                } else {
                    self.soon = 0;
                }
            }
            Next::Stay => {
                self.say(format!("the agent {ended}; it stays so until it is started again"));
                self.signals.pause(None);
            }
        }
    }

    fn report(&mut self, result: Result<(), String>) {
        if let Err(reason) = result {
            self.say(format!("could not go back to the previous version: {reason}"));
        }
    }

    fn say(&mut self, text: String) {
        if self.said != text {
            signals::log_line(&text);
            self.said = text;
        }
    }
}

/// Returns the part before `opt/russet/russet-boot` in the path of this program.
fn own_root(exe: &std::path::Path) -> Result<PathBuf, String> {
    let root = exe.ancestors().nth(3);
    root.map(std::path::Path::to_owned).ok_or_else(|| format!("{} is too short", exe.display()))
}
