//! Plan of the installation of a control plane.

use std::path::{Path, PathBuf};

use super::unit::Unit;
use crate::install::error::InstallError;
use crate::install::plan::{How, Step, with_ancestors};
use crate::install::receipt::Item;
use russet_platform::account::Wanted;
use russet_platform::server_layout::ServerLayout;
use russet_platform::service::Service;

/// Choices of the owner.
#[derive(Debug)]
pub struct ServerSettings {
    /// Paths of everything.
    pub layout: ServerLayout,
    /// The `russet` executable to install.
    pub program: PathBuf,
    /// The service's user.
    pub user: String,
    /// Options of `russet server` as the owner gave them, for the next installation.
    pub options: Vec<String>,
    /// The job that follows from them.
    pub unit: Unit,
    /// The service manager that is to start the server, if one is.
    pub service: Option<Service>,
}

/// Returns the actions, in their order.
pub(super) fn plan_server(settings: &ServerSettings) -> Result<Vec<Step>, InstallError> {
    let layout = &settings.layout;
    let user = Wanted {
        name: settings.user.clone(),
        full_name: "Russet control plane".to_owned(),
        home: settings.unit.data_dir.clone(),
        before: None,
    };
    let owned = |path: PathBuf, mode| {
        let how = How::OwnedDirectory { mode, user: settings.user.clone() };
        Step::new(Item::OwnedDirectory { path }, how)
    };
    let options = serde_json::to_string_pretty(&settings.options)
        .map_err(|error| InstallError::file("write", &layout.options())(error.into()))?;
    let shared = Step::new(
        Item::SharedDirectory { path: layout.settings() },
        How::Directory { mode: 0o755, is_backed_up: true },
    );
    let mut steps = vec![
        Step::directory(layout.code(), 0o755),
        Step::new(
            Item::File { path: layout.executable() },
            How::Program { from: settings.program.clone() },
        ),
        Step::text(layout.options(), &options, 0o644),
        Step::new(Item::User { wanted: user }, How::User),
        shared,
        owned(settings.unit.data_dir.clone(), 0o700),
    ];
    // systemd's journal has what a server says.
    if cfg!(target_os = "macos") {
        steps.push(owned(layout.logs(), 0o750));
    }
    steps.push(Step::text(layout.job(), &job_text(settings)?, 0o644));
    if settings.service.is_some() {
        steps.push(Step::new(Item::Job, How::ServerJob));
    }
    Ok(with_ancestors(steps, layout.root()))
}

/// Returns the job's file, for launchd or for systemd.
///
/// # Errors
///
/// An option has a character that cannot stand there.
pub fn job_text(settings: &ServerSettings) -> Result<String, InstallError> {
    let ServerSettings { layout, user, unit, .. } = settings;
    #[cfg(target_os = "macos")]
    return super::plist::launchd_file(unit, layout, user);
    #[cfg(not(target_os = "macos"))]
    unit.systemd_file(layout, user)
}

/// Returns the command that another supervisor has to run.
#[must_use]
pub fn supervisor_command(user: &str, program: &Path, unit: &Unit) -> String {
    let words = std::iter::once(program.display().to_string()).chain(unit.arguments());
    let words: Vec<String> = words.map(|word| quote_for_shell(&word)).collect();
    format!("setpriv --reuid {user} --regid {user} --init-groups {}", words.join(" "))
}

fn quote_for_shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}
