//! Carrying a plan out, and undoing it.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use russet_protocol::boot_files::{HEALTH, Health};

use super::act::{self, Check, Machine};
use super::error::InstallError;
use super::files;
use super::plan::{Settings, Step, plan};
use super::receipt::{Before, Entry, Item, Progress, Receipt};
use super::slots;
use crate::layout::Layout;
use crate::platform::accounts::Accounts;
use crate::platform::job::JobState;
use crate::platform::service::Service;

/// How long a started agent may take to be healthy.
const COMES_UP: Duration = Duration::from_secs(60);

/// How often it is looked.
const PAUSE: Duration = Duration::from_millis(200);

/// What of the state outlives `--keep-data`: the receipt, and credentials that people stored.
const KEPT_STATE: [&str; 2] = ["receipt.json", "credentials"];

/// What became of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It would be done.
    Planned,
    /// There was nothing to do.
    Unchanged,
    /// It was done.
    Done,
    /// It was left as it is, as asked.
    Kept,
    /// It failed; the others went on.
    Failed,
}

/// What happened, for people and for machines.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// What the action is.
    pub action: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What is to be said about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A point of a run at which it can be stopped.
#[derive(Debug)]
pub enum Moment<'a> {
    /// The receipt says that an action begins.
    Begins(&'a str),
    /// It was done, and the receipt does not say so yet.
    Acted(&'a str),
    /// It is over.
    Over(&'a Report),
}

/// Whoever watches a run, and may stop it between actions; the next run goes on from there.
pub type Watch<'a> = &'a mut dyn FnMut(Moment<'_>) -> ControlFlow<()>;

fn tell(watch: Watch<'_>, moment: Moment<'_>) -> Result<(), InstallError> {
    match watch(moment) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(InstallError::Interrupted),
    }
}

/// The receipt of what is installed. `None`: nothing is.
///
/// # Errors
///
/// It can not be read.
pub fn installed(layout: &Layout) -> Result<Option<Receipt>, InstallError> {
    Receipt::read(&layout.receipt())
}

/// Installs, or finishes or renews what is installed. With `dry_run` it only says what it would
/// do.
///
/// # Errors
///
/// The first action that fails ends it. What was done stays, and is in the receipt.
pub fn install(
    settings: &Settings,
    dry_run: bool,
    watch: Watch<'_>,
) -> Result<Vec<Report>, InstallError> {
    let layout = &settings.layout;
    if !dry_run {
        require_root("install")?;
    }
    let (steps, _config) = plan(settings)?;
    let receipt = installed(layout)?.unwrap_or_else(|| Receipt::new(&layout.receipt()));
    let system = Service::system(layout);
    let service = settings.service.as_ref().unwrap_or(&system);
    let machine = machine(layout, &settings.program, service);
    let mut run = Run { machine, receipt, unwritten: Vec::new(), changed: false };
    let mut reports = Vec::new();
    for step in &steps {
        let action = step.sentence();
        let mut report = Report { action, outcome: Outcome::Unchanged, notes: Vec::new() };
        match todo(&run, step)? {
            None => {}
            Some(_) if dry_run => report.outcome = Outcome::Planned,
            Some(before) => {
                report.notes = carry_out(&mut run, step, before, watch)?;
                report.outcome = Outcome::Done;
                let directory =
                    matches!(step.item, Item::Directory { .. } | Item::SharedDirectory { .. });
                run.changed |= !directory;
            }
        }
        tell(watch, Moment::Over(&report))?;
        reports.push(report);
    }
    Ok(reports)
}

/// An installation under way.
struct Run<'a> {
    machine: Machine<'a>,
    receipt: Receipt,
    /// What was made before there was a directory for the receipt.
    unwritten: Vec<Item>,
    /// Whether an agent that runs has to be started again to notice.
    changed: bool,
}

fn machine<'a>(layout: &'a Layout, program: &'a Path, service: &'a Service) -> Machine<'a> {
    Machine { layout, program, service, accounts: Accounts::system() }
}

/// That this process is root.
///
/// # Errors
///
/// [`InstallError::NotRoot`].
pub fn require_root(what: &'static str) -> Result<(), InstallError> {
    if nix::unistd::geteuid().is_root() { Ok(()) } else { Err(InstallError::NotRoot { what }) }
}

/// Whether there is something to do, and how a directory is now that somebody else made.
fn todo(run: &Run<'_>, step: &Step) -> Result<Option<Option<Before>>, InstallError> {
    let entry = run.receipt.entry(&step.item);
    let begun = entry.is_some_and(|entry| entry.progress == Progress::Begun);
    let is_state = step.item.path() == run.machine.layout.state();
    Ok(match act::check(step, &run.machine)? {
        // Killed between making the state directory and writing the first receipt, it is there,
        // empty, and nobody's.
        Check::Same if is_state && is_fresh(step, &run.receipt) => Some(None),
        Check::Same if step.item == Item::Job && run.changed => Some(None),
        Check::Same if begun => Some(None),
        Check::Same => None,
        Check::Different(before) => Some(before),
        Check::Absent => Some(None),
    })
}

fn is_fresh(step: &Step, receipt: &Receipt) -> bool {
    receipt.entries().is_empty()
        && std::fs::read_dir(step.item.path()).is_ok_and(|mut entries| entries.next().is_none())
}

/// Does an action, with the receipt before and after.
fn carry_out(
    run: &mut Run<'_>,
    step: &Step,
    before: Option<Before>,
    watch: Watch<'_>,
) -> Result<Vec<String>, InstallError> {
    let action = step.sentence();
    // The receipt lies in the state directory, which has to be made before it.
    if !run.machine.layout.state().is_dir() {
        let notes = act::perform(step, &run.machine, &mut run.receipt, run.changed)?;
        run.unwritten.push(step.item.clone());
        tell(watch, Moment::Acted(&action))?;
        if step.item.path() == run.machine.layout.state() {
            for item in run.unwritten.drain(..) {
                run.receipt.begin(&item, None)?;
                run.receipt.done(&item)?;
            }
        }
        return Ok(notes);
    }
    run.receipt.begin(&step.item, before)?;
    tell(watch, Moment::Begins(&action))?;
    let notes = act::perform(step, &run.machine, &mut run.receipt, run.changed)?;
    tell(watch, Moment::Acted(&action))?;
    if step.item == Item::Job {
        wait_for_health(run.machine.layout, run.machine.service)?;
    }
    run.receipt.done(&step.item)?;
    Ok(notes)
}

/// How to remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// Keep configuration, logs and stored credentials, and the receipt for removing them later.
    pub keep_data: bool,
    /// Cancel tasks that run.
    pub force: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// Removes what was installed. `None`: nothing was.
///
/// Every action is tried, also after one failed: what failed stays in the receipt, and is in the
/// reports.
///
/// # Errors
///
/// Tasks run and `force` does not say that they may be canceled, or the agent can not be stopped.
pub fn uninstall(
    layout: &Layout,
    program: &Path,
    service: &Service,
    wishes: Removal,
    watch: Watch<'_>,
) -> Result<Option<Vec<Report>>, InstallError> {
    let Removal { keep_data, force, dry_run } = wishes;
    let machine = machine(layout, program, service);
    let Some(mut receipt) = installed(layout)? else {
        return sweep(layout, dry_run).map(|()| None);
    };
    if !dry_run {
        require_root("uninstall")?;
        refuse_busy(layout, &receipt, force)?;
    }
    let mut undoing = Undoing { machine, keep_data, failed: false, gone: false };
    let mut reports = Vec::new();
    for entry in receipt.entries().iter().rev().cloned().collect::<Vec<_>>() {
        let action = entry.item.undoing();
        let report = if dry_run {
            let kept = keep_data && is_data(&entry.item, layout);
            let outcome = if kept { Outcome::Kept } else { Outcome::Planned };
            Report { action, outcome, notes: Vec::new() }
        } else {
            tell(watch, Moment::Begins(&action))?;
            let report = undoing.undo(&entry, action, &mut receipt)?;
            tell(watch, Moment::Acted(&report.action))?;
            report
        };
        tell(watch, Moment::Over(&report))?;
        reports.push(report);
    }
    if !dry_run && !undoing.gone && receipt.entries().is_empty() {
        let path = layout.receipt();
        files::remove_file(&path).map_err(InstallError::file("remove", &path))?;
    }
    Ok(Some(reports))
}

/// A removal under way.
struct Undoing<'a> {
    machine: Machine<'a>,
    keep_data: bool,
    /// Something could not be undone, and the receipt has to stay.
    failed: bool,
    /// The receipt is gone, and with it the state directory.
    gone: bool,
}

impl Undoing<'_> {
    fn undo(
        &mut self,
        entry: &Entry,
        action: String,
        receipt: &mut Receipt,
    ) -> Result<Report, InstallError> {
        let layout = self.machine.layout;
        let is_state = entry.item.path() == layout.state();
        let kept = self.keep_data && is_data(&entry.item, layout);
        let mut report = Report { action, outcome: Outcome::Done, notes: Vec::new() };
        if kept && !is_state {
            report.outcome = Outcome::Kept;
            return Ok(report);
        }
        let keep: &[&str] = if is_state { &KEPT_STATE } else { &[] };
        match act::undo(entry, &self.machine, keep) {
            Ok(()) if is_state && (kept || self.failed) => report.outcome = Outcome::Kept,
            Ok(()) if is_state => {
                remove_state(entry, layout)?;
                self.gone = true;
            }
            Ok(()) if self.gone => {}
            // Something else is in it. Where that is ours, the next removal comes back to it.
            Ok(()) if shared_and_there(&entry.item) => {
                report.outcome = Outcome::Kept;
                if !self.keep_data && !self.failed {
                    receipt.forget(&entry.item)?;
                }
            }
            Ok(()) => receipt.forget(&entry.item)?,
            // Nothing else may be removed below an agent that runs.
            Err(error) if entry.item == Item::Job => return Err(error),
            Err(error) => {
                self.failed = true;
                report.outcome = Outcome::Failed;
                report.notes = std::iter::once(error.to_string()).chain(error.hint()).collect();
            }
        }
        Ok(report)
    }
}

fn shared_and_there(item: &Item) -> bool {
    matches!(item, Item::SharedDirectory { path } if path.exists())
}

/// What `--keep-data` keeps. The directories that lead there stay since they are not empty.
fn is_data(item: &Item, layout: &Layout) -> bool {
    let path = item.path();
    let config = layout.config();
    path == layout.state()
        || path == layout.logs()
        || path == config
        || Some(path) == config.parent()
}

/// The last of the state directory: credentials, the receipt, itself.
fn remove_state(entry: &Entry, layout: &Layout) -> Result<(), InstallError> {
    let state = layout.state();
    let removed = InstallError::file("remove", &state);
    let receipt = layout.receipt();
    if entry.before.is_some() {
        // It was there before us.
        return files::remove_file(&receipt).map_err(removed);
    }
    files::remove_tree(&state, &["receipt.json"])
        .and_then(|()| files::remove_file(&files::draft(&receipt)))
        .and_then(|()| files::remove_file(&receipt))
        .and_then(|()| std::fs::remove_dir(&state))
        .map_err(removed)
}

/// What a removal that was killed at its very end, or an installation at its very beginning, left.
fn sweep(layout: &Layout, dry_run: bool) -> Result<(), InstallError> {
    let state = layout.state();
    if !dry_run && nix::unistd::geteuid().is_root() {
        drop(std::fs::remove_file(files::draft(&layout.receipt())));
        // Not empty, or not there: not ours.
        drop(std::fs::remove_dir(state));
    }
    Ok(())
}

fn refuse_busy(layout: &Layout, receipt: &Receipt, force: bool) -> Result<(), InstallError> {
    let mut states = vec![layout.state()];
    // Homes are `STATE/slots/N/home`, in another state directory where one was configured.
    states
        .extend(receipt.users().filter_map(|user| Some(user.home.ancestors().nth(3)?.to_owned())));
    states.sort();
    states.dedup();
    let busy: Vec<String> = states.iter().flat_map(|state| slots::busy_slots(state)).collect();
    if busy.is_empty() || force {
        return Ok(());
    }
    let slots = match busy.as_slice() {
        [one] => format!("slot {one}"),
        many => format!("the slots {}", many.join(", ")),
    };
    Err(InstallError::Busy { slots })
}

/// Waits until the agent says that its slots are ready.
///
/// # Errors
///
/// It does not come up; what is seen of it is in the error.
pub fn wait_for_health(layout: &Layout, service: &Service) -> Result<JobState, InstallError> {
    let start = Instant::now();
    loop {
        let state = service.state()?;
        if state.pid.is_some() && is_ready(layout) {
            return Ok(state);
        }
        if start.elapsed() > COMES_UP {
            let log = layout.boot_log();
            return Err(InstallError::Unhealthy { what: seen(&state, layout), log });
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether the agent that runs has said that its slots are ready.
fn is_ready(layout: &Layout) -> bool {
    said(layout).is_some_and(|(_, health)| health.is_some())
}

/// The process that spoke last, if it still runs, and what it said.
fn said(layout: &Layout) -> Option<(u32, Option<Health>)> {
    let text = std::fs::read_to_string(layout.boot_state().join(HEALTH)).ok()?;
    let pid: u32 = text.lines().find_map(|line| line.strip_prefix("pid "))?.parse().ok()?;
    let process = nix::unistd::Pid::from_raw(i32::try_from(pid).ok()?);
    nix::sys::signal::kill(process, None).ok()?;
    Some((pid, Health::parse(&text, pid)))
}

fn seen(state: &JobState, layout: &Layout) -> String {
    let exit = state.last_exit.map_or_else(String::new, |code| {
        let meaning = russet_protocol::exit_reason::AgentExit::from_code(code);
        let meaning = meaning.map_or("which is none of its own", |exit| exit.meaning());
        format!(", its last exit code was {code}: {meaning}")
    });
    match (state.pid, said(layout)) {
        (Some(_), Some((agent, _))) => format!("process {agent} is not ready{exit}"),
        (Some(boot), None) => {
            format!("russet-boot runs (process {boot}) and no agent below it{exit}")
        }
        (None, _) => format!("it is {}{exit}", state.words),
    }
}
