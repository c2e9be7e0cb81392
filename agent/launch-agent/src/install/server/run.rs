//! Carrying the plan of a control plane out.

use super::plan::{ServerSettings, plan_server};
use crate::install::act::{Machine, Wait};
use crate::install::error::InstallError;
use crate::install::files;
use crate::install::lock::{InstallationLock, lock_code};
use crate::install::receipt::Receipt;
use crate::install::report::{Report, Watch};
use crate::install::run::{carry_out_plan, require_root};
use russet_platform::accounts::Accounts;
use russet_platform::layout::Layout;
use russet_platform::server_layout::ServerLayout;
use russet_platform::service::Service;

/// Longest file of options, in bytes.
const MAX_OPTIONS_BYTES: u64 = 1 << 20;

/// The service manager, as it sees the server's job.
#[must_use]
pub fn server_service(layout: &ServerLayout, instead: String) -> Service {
    Service::of_server(layout.job(), layout.loaded_job(), instead)
}

/// Returns the options of the server that is installed; `None`: none is.
///
/// # Errors
///
/// They cannot be read.
pub fn server_options(layout: &ServerLayout) -> Result<Option<Vec<String>>, InstallError> {
    let path = layout.options();
    if !path.exists() {
        return Ok(None);
    }
    let text = files::read(&path, MAX_OPTIONS_BYTES).map_err(InstallError::file("read", &path))?;
    let broken = |source| InstallError::BrokenReceipt { path: path.clone(), source };
    serde_json::from_str(&text).map(Some).map_err(broken)
}

/// Installs a control plane, or finishes or renews what is installed. `wait` returns when it
/// answers.
///
/// # Errors
///
/// The first action that fails ends it. What was done stays, and is in the receipt.
pub fn install_server(
    settings: &ServerSettings,
    dry_run: bool,
    wait: &(dyn Fn() -> Result<Vec<String>, InstallError> + '_),
    watch: Watch<'_>,
) -> Result<Vec<Report>, InstallError> {
    if !dry_run {
        require_root("install")?;
    }
    let steps = plan_server(settings)?;
    let layout = &settings.layout;
    let receipt = Receipt::read(&layout.receipt())?;
    let receipt = receipt.unwrap_or_else(|| Receipt::new(&layout.receipt()));
    let system = server_service(layout, String::new());
    let service = settings.service.as_ref().unwrap_or(&system);
    let agent = Layout::below(layout.root());
    let machine = machine_of(settings, &agent, service, wait);
    carry_out_plan(&steps, machine, receipt, dry_run, watch)
}

fn machine_of<'a>(
    settings: &'a ServerSettings,
    agent: &'a Layout,
    service: &'a Service,
    wait: &'a Wait<'a>,
) -> Machine<'a> {
    Machine {
        layout: agent,
        program: &settings.program,
        service,
        accounts: Accounts::system(),
        records: settings.layout.code(),
        wait,
    }
}

/// Locks an installation. Whoever is not root changes nothing, and needs no lock.
///
/// # Errors
///
/// Another installation or removal is at work, or the file cannot be opened.
pub fn lock_server_installation(layout: &ServerLayout) -> Result<InstallationLock, InstallError> {
    lock_code(layout.code())
}
