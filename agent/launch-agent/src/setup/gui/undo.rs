//! Undoing the set-up: each setting as it was before.

use std::path::Path;

use super::GuiHost;
use super::record::{self, Before};
use super::setting::Setting;
use crate::setup::{AfterFailure, Found, Moment, Outcome, Report, SetupError, Step, run_steps};

/// Returns the account that a set-up was made for, where there is something to undo.
///
/// # Errors
///
/// The note of what was changed cannot be read.
pub fn account_of_setup(state: &Path) -> Result<Option<String>, SetupError> {
    let record = record::read_record(state)?;
    Ok((!record.before.is_empty()).then_some(record.account))
}

/// Undoes the set-up, the last change first. With `dry_run` it only looks.
///
/// # Errors
///
/// The note of what was changed cannot be read, or not be kept up.
pub fn undo_setup(
    host: &GuiHost,
    dry_run: bool,
    watch: &mut dyn FnMut(Moment<'_>),
) -> Result<Vec<Report>, SetupError> {
    let record = record::read_record(&host.state)?;
    let befores: Vec<Before> = record.before.into_iter().rev().collect();
    let step =
        |before: &Before| Box::new(UndoStep { host, before: before.clone() }) as Box<dyn Step + '_>;
    let steps: Vec<Box<dyn Step + '_>> = befores.iter().map(step).collect();
    let reports = run_steps(&steps, dry_run, AfterFailure::GoOn, watch);
    if !dry_run {
        let is_restored =
            |report: &Report| matches!(report.outcome, Outcome::Ready | Outcome::Done);
        let restored = befores.iter().zip(&reports).filter(|(_, report)| is_restored(report));
        let restored: Vec<Setting> = restored.map(|(before, _)| before.setting).collect();
        record::forget_settings(&host.state, &restored)?;
    }
    Ok(reports)
}

struct UndoStep<'a> {
    host: &'a GuiHost,
    before: Before,
}

impl UndoStep<'_> {
    /// The value to go back to. A password that somebody else's automatic login had is gone: then
    /// nobody is logged in.
    fn value(&self) -> Option<&str> {
        let is_login = self.before.setting == Setting::AutomaticLogin;
        self.before.value.as_deref().filter(|_| !is_login)
    }
}

impl Step for UndoStep<'_> {
    fn title(&self) -> String {
        let name = self.before.setting.name();
        match &self.before.value {
            Some(value) if self.value().is_none() => {
                format!("turn {name} off (it was on for {value}: turn that on again yourself)")
            }
            Some(value) => format!("set {name} to {value} again"),
            None => format!("remove the setting of {name}"),
        }
    }

    fn look(&self) -> Result<Found, SetupError> {
        let now = self.before.setting.read(self.host)?;
        if now.as_deref() == self.value() {
            return Ok(Found::Ready("as it was".to_owned()));
        }
        Ok(Found::Missing(now.unwrap_or_else(|| "not set".to_owned())))
    }

    fn act(&self) -> Result<(), SetupError> {
        self.before.setting.write(self.host, self.value())
    }

    fn remedy(&self) -> Option<String> {
        Some("change it in System Settings, and run this again".to_owned())
    }
}
