//! Commands beside the server itself.

use super::admin_link;
use super::doctor;
use super::install;
use super::keeping;
use super::moving;
use crate::error::Result;
use crate::exit::Exit;

/// Commands beside the server itself.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum ServerCommand {
    #[command(subcommand)]
    Retention(keeping::RetentionCommand),
    Usage(keeping::UsageArgs),
    Install(install::InstallArgs),
    Uninstall(install::UninstallArgs),
    Doctor(doctor::DoctorArgs),
    AdminLink(admin_link::AdminLinkArgs),
    Vacuum(keeping::VacuumArgs),
    Migrate(moving::MigrateArgs),
    Backup(moving::BackupArgs),
    Restore(moving::RestoreArgs),
    /// Load the service's job anew
    #[command(hide = true)]
    ReloadJob,
}

/// Runs a command beside the server.
pub(crate) async fn main(command: ServerCommand) -> Result<Exit> {
    match command {
        ServerCommand::Retention(command) => keeping::retention_main(command).await,
        ServerCommand::Usage(args) => keeping::show_usage(args).await,
        ServerCommand::Install(args) => install::main(args),
        ServerCommand::Uninstall(args) => install::uninstall_main(&args),
        ServerCommand::ReloadJob => install::reload_job(),
        ServerCommand::Doctor(args) => doctor::main(args).await,
        ServerCommand::AdminLink(args) => admin_link::print_link(args).await,
        ServerCommand::Vacuum(args) => keeping::vacuum_main(args).await,
        ServerCommand::Migrate(args) => moving::run_migrate(args).await,
        ServerCommand::Backup(args) => moving::run_backup(args).await,
        ServerCommand::Restore(args) => moving::run_restore(args).await,
    }
}
