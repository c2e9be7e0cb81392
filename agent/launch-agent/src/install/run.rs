//! Carrying a plan out.

use std::path::Path;

use super::act::{self, Machine, Wait};
use super::error::InstallError;
use super::files;
use super::health::{agent_concerns, wait_for_health};
use super::plan::{Settings, Step, plan_install};
use super::receipt::{Before, Check, Item, Progress, Receipt};
use super::report::{Moment, Outcome, Report, Watch, tell_watcher};
use russet_platform::accounts::Accounts;
use russet_platform::layout::Layout;
use russet_platform::service::Service;

/// The receipt of what is installed. `None`: nothing is.
///
/// # Errors
///
/// It cannot be read.
pub fn installed_program(layout: &Layout) -> Result<Option<Receipt>, InstallError> {
    Receipt::read(&layout.receipt())
}

/// Installs, or finishes or renews what is installed. With `dry_run` it only says what it would
/// do.
///
/// # Errors
///
/// The first action that fails ends it. What was done stays, and is in the receipt.
pub fn install_agent(
    settings: &Settings,
    dry_run: bool,
    watch: Watch<'_>,
) -> Result<Vec<Report>, InstallError> {
    let layout = &settings.layout;
    if !dry_run {
        require_root("install")?;
    }
    let (steps, _config) = plan_install(settings)?;
    let receipt = installed_program(layout)?.unwrap_or_else(|| Receipt::new(&layout.receipt()));
    let system = Service::system(layout);
    let service = settings.service.as_ref().unwrap_or(&system);
    let wait = || wait_for_agent(layout, service);
    let machine = make_machine(layout, &settings.program, service, &wait);
    carry_out_plan(&steps, machine, receipt, dry_run, watch)
}

fn wait_for_agent(layout: &Layout, service: &Service) -> Result<Vec<String>, InstallError> {
    wait_for_health(layout, service)?;
    Ok(agent_concerns(layout))
}

/// Carries a plan out, or goes on with it. With `dry_run` it only says what it would do.
pub(super) fn carry_out_plan(
    steps: &[Step],
    machine: Machine<'_>,
    receipt: Receipt,
    dry_run: bool,
    watch: Watch<'_>,
) -> Result<Vec<Report>, InstallError> {
    let mut run = Run { machine, receipt, unwritten: Vec::new(), changed: false };
    let mut reports = Vec::new();
    for step in steps {
        let action = step.sentence();
        let mut report = Report { action, outcome: Outcome::Unchanged, notes: Vec::new() };
        match needs_doing(&run, step)? {
            None => {}
            Some(_) if dry_run => report.outcome = Outcome::Planned,
            Some(before) => {
                report.notes = carry_out(&mut run, step, before, watch)?;
                report.outcome = Outcome::Done;
                let directory = matches!(
                    step.item,
                    Item::Directory { .. }
                        | Item::SharedDirectory { .. }
                        | Item::OwnedDirectory { .. }
                );
                run.changed |= !directory;
            }
        }
        tell_watcher(watch, Moment::Over(&report))?;
        reports.push(report);
    }
    Ok(reports)
}

/// An installation under way.
struct Run<'a> {
    machine: Machine<'a>,
    receipt: Receipt,
    /// Items that were made before there was a directory for the receipt.
    unwritten: Vec<Item>,
    /// Set if an agent that runs has to be started again to notice.
    changed: bool,
}

pub(super) fn make_machine<'a>(
    layout: &'a Layout,
    program: &'a Path,
    service: &'a Service,
    wait: &'a Wait<'a>,
) -> Machine<'a> {
    let records = layout.state();
    Machine { layout, program, service, accounts: Accounts::system(), records, wait }
}

/// Nothing is started that would have to be waited for.
pub(super) fn wait_for_nothing() -> Result<Vec<String>, InstallError> {
    Ok(Vec::new())
}

/// That this process is root.
///
/// # Errors
///
/// [`InstallError::NotRoot`].
pub fn require_root(what: &'static str) -> Result<(), InstallError> {
    if nix::unistd::geteuid().is_root() { Ok(()) } else { Err(InstallError::NotRoot { what }) }
}

/// Returns true if there is something to do, and how a directory is now that somebody else made.
fn needs_doing(run: &Run<'_>, step: &Step) -> Result<Option<Option<Before>>, InstallError> {
    let entry = run.receipt.entry(&step.item);
    let begun = entry.is_some_and(|entry| entry.progress == Progress::Begun);
    let is_state = step.item.path() == run.machine.records;
    Ok(match act::check_step(step, &run.machine)? {
        // Killed between making the state directory and having the first receipt in place, it is
        // there, with at most a draft of that in it, and nobody's.
        Check::Same if is_state && is_fresh(step, &run.receipt) => Some(None),
        Check::Same if step.item == Item::Job && run.changed => Some(None),
        Check::Same if begun || (entry.is_none() && step.in_place()) => Some(None),
        Check::Same => None,
        Check::Different(before) => Some(before),
        Check::Absent => Some(None),
    })
}

fn is_fresh(step: &Step, receipt: &Receipt) -> bool {
    let draft = files::draft_path(receipt.path());
    receipt.entries().is_empty()
        && std::fs::read_dir(step.item.path())
            .is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(|e| e.path() == draft)))
}

/// Does an action, with the receipt before and after.
fn carry_out(
    run: &mut Run<'_>,
    step: &Step,
    before: Option<Before>,
    watch: Watch<'_>,
) -> Result<Vec<String>, InstallError> {
    let action = step.sentence();
    // The receipt lies in a directory that has to be made before it.
    if !run.machine.records.is_dir() {
        let notes = act::perform_step(step, &run.machine, &mut run.receipt, run.changed)?;
        run.unwritten.push(step.item.clone());
        tell_watcher(watch, Moment::Acted(&action))?;
        if step.item.path() == run.machine.records {
            run.receipt.made(std::mem::take(&mut run.unwritten))?;
        }
        return Ok(notes);
    }
    run.receipt.begin(&step.item, before)?;
    tell_watcher(watch, Moment::Begins(&action))?;
    let mut notes = act::perform_step(step, &run.machine, &mut run.receipt, run.changed)?;
    tell_watcher(watch, Moment::Acted(&action))?;
    if step.item == Item::Job {
        notes.extend((run.machine.wait)()?);
    }
    run.receipt.done(&step.item)?;
    Ok(notes)
}
