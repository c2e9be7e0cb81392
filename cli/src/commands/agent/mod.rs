//! `russet agent`: one file per command.

mod config;
mod config_failure;
mod control;
mod credential;
pub(crate) mod doctor;
mod gui;
mod install;
mod logs;
mod package;
mod prepare;
pub(crate) mod progress;
mod repair;
mod run;
mod service;
mod setup;
mod status;
mod token;
mod uninstall;
mod update;
mod vault;

use crate::error::Result;
use crate::exit::Exit;

/// Run the launch agent: it claims tasks and runs them on this machine
#[derive(clap::Subcommand, Debug)]
pub(crate) enum AgentCommand {
    /// Run the launch agent in the foreground
    ///
    /// The first TERM or INT lets tasks that run finish and claims no more; the second cancels
    /// them.
    #[command(
        after_help = "Examples:\n  russet agent run --config agent.yaml\n\nThe keys of the file are in docs/agent-config.md."
    )]
    Run(run::RunArgs),

    /// Install the agent as a service of this machine, or finish or renew an installation
    ///
    /// Code goes to /opt/russet, each slot gets a hidden user of its own, and launchd or systemd
    /// starts the agent with the system. What was done is written down, so that `uninstall` undoes
    /// exactly that, and a run that was interrupted is finished by the next one.
    #[command(after_help = "Examples:
  sudo russet agent install --url https://ci.example.com --token-file token --slots 2
  russet token create acme/mini |
    sudo russet agent install --url https://ci.example.com --token-file -
  cd /Library/Preferences/com.circleci.runner && sudo russet agent install \\
    --from launch-agent-config.yaml --url https://ci.example.com --token-file token
  sudo russet agent install --config agent.yaml --dry-run")]
    Install(install::InstallArgs),

    /// Remove what `install` installed
    ///
    /// With tasks running it refuses, unless it is to wait for them or to cancel them.
    #[command(after_help = "Examples:
  sudo russet agent uninstall --dry-run
  sudo russet agent uninstall --wait --timeout 1h
  sudo russet agent uninstall --keep-data")]
    Uninstall(uninstall::UninstallArgs),

    /// Start the installed agent, now and with the system
    Start,

    /// Stop the installed agent; tasks that run go on, and are adopted by its next start
    Stop,

    /// Stop and start the installed agent; tasks that run go on
    Restart,

    /// Put the users of slots right that an upgrade of the system removed or changed
    ///
    /// They get the ids that they had, where those are free, and the agent starts again with them;
    /// tasks that run go on. On macOS this may take Full Disk Access: it says which program needs it
    /// and how to give it, and asks the agent, which may have it by a profile.
    #[command(after_help = "Examples:
  sudo russet agent repair")]
    Repair(repair::RepairArgs),

    /// Load the job of the installed agent anew, as a process of its own
    #[command(hide = true)]
    ReloadJob,

    /// Put in place what an installer package brought
    #[command(hide = true)]
    Package(package::PackageArgs),

    /// Show what the agent of this machine does
    #[command(after_help = "Examples:
  russet agent status
  russet agent status --watch
  russet agent status --output json")]
    Status(status::StatusArgs),

    /// Show the keys of the agent's configuration that count, and where each value comes from
    ///
    /// Secrets and the values of variables are not shown. It exits with 3 and says every mistake, each with
    /// its place, where the configuration would not start an agent.
    #[command(after_help = "Examples:
  russet agent config --config agent.yaml
  sudo russet agent config --all --output json")]
    Config(config::ConfigArgs),

    /// Look at this machine: what is in the way of running tasks well, and what to do
    ///
    /// It works without an agent and as anybody, and finds out most as root. It changes nothing.
    #[command(after_help = "Examples:
  sudo russet agent doctor
  russet agent doctor --config agent.yaml --output json

It exits with 0 where all is well, 20 where something should be looked at, 21 where no tasks are
taken for it.")]
    Doctor(doctor::DoctorArgs),

    /// Claim no tasks until `resume`; what runs goes on
    ///
    /// It holds across restarts of the agent and of the machine.
    #[command(after_help = "Examples:
  sudo russet agent pause --reason 'trying a new Xcode' --for 2h")]
    Pause(control::PauseArgs),

    /// Claim tasks again after `pause` or `drain`
    Resume(control::ResumeArgs),

    /// Claim no tasks, and wait for those that run, before maintenance
    ///
    /// The agent itself goes on, also after the last task; `resume` ends it. It holds across
    /// restarts of the agent and of the machine.
    #[command(after_help = "Examples:
  sudo russet agent drain --wait --deadline 30m --reason 'macOS update'")]
    Drain(control::DrainArgs),

    /// Let the agent claim tasks on this machine, though it was installed on another
    ///
    /// A copied disk, and a Mac that was set up from another one, hold claims back until then.
    #[command(after_help = "Examples:
  sudo russet agent accept-machine")]
    AcceptMachine(control::AcceptMachineArgs),

    /// Cancel a task that runs here: its steps are ended, and it ends as canceled
    ///
    /// It does not run elsewhere. Returns when it has ended.
    #[command(after_help = "Examples:
  sudo russet agent cancel 0193c1f0-3c5e-7d7e-9f6a-2b1d5c3a4e5f --reason 'hangs'")]
    Cancel(control::CancelArgs),

    /// Show the log of the agent of this machine
    ///
    /// It is read from its files, across rotations, so it works while the agent is down.
    #[command(after_help = "Examples:
  sudo russet agent logs -f
  sudo russet agent logs --since 2h --level warn
  sudo russet agent logs -n 1000 --output json
  russet agent logs --config agent.yaml -f")]
    Logs(logs::LogsArgs),

    #[command(
        subcommand,
        after_help = "Examples:\n  russet agent update status\n  sudo russet agent update check\n  \
                      sudo russet agent update install --wait"
    )]
    Update(update::UpdateCommand),

    /// Make an Xcode ready to build: licence, first launch, components, runtimes
    ///
    /// Each step looks first, so a second run does what is left. Everything is done for the Xcode
    /// that is named, whichever is selected. Nothing takes an Apple ID.
    #[command(after_help = "Examples:
  sudo russet agent prepare --xcode 26.1 --runtimes iOS --dry-run
  sudo russet agent prepare --xcode 26.1 --runtimes iOS,watchOS=11.5 --rosetta
  sudo russet agent prepare --xcode /Applications/Xcode-beta.app --without-metal --output json

A step that fails ends it, since those behind it need it: exit code 5.")]
    Prepare(prepare::PrepareArgs),

    #[command(subcommand)]
    Gui(gui::GuiCommand),

    #[command(subcommand)]
    Token(token::TokenCommand),

    #[command(subcommand)]
    Credential(credential::CredentialCommand),
}

/// Runs the command.
pub(crate) fn main(command: AgentCommand) -> Result<Exit> {
    match command {
        AgentCommand::Run(args) => run::main(args),
        AgentCommand::Install(args) => install::main(args),
        AgentCommand::Uninstall(args) => uninstall::main(args),
        AgentCommand::Start => service::main(service::Verb::Start),
        AgentCommand::Stop => service::main(service::Verb::Stop),
        AgentCommand::Restart => service::main(service::Verb::Restart),
        AgentCommand::Repair(args) => repair::main(&args),
        AgentCommand::ReloadJob => service::reload_job(),
        AgentCommand::Package(args) => package::main(&args),
        AgentCommand::Status(args) => status::main(&args),
        AgentCommand::Config(args) => config::main(&args),
        AgentCommand::Doctor(args) => doctor::main(&args),
        AgentCommand::Pause(args) => control::pause_agent(args),
        AgentCommand::Resume(args) => control::resume_agent(&args),
        AgentCommand::Drain(args) => control::drain_agent(args),
        AgentCommand::AcceptMachine(args) => control::accept_machine(&args),
        AgentCommand::Cancel(args) => control::cancel_task(args),
        AgentCommand::Logs(args) => logs::main(&args),
        AgentCommand::Update(command) => update::main(command),
        AgentCommand::Prepare(args) => prepare::main(&args),
        AgentCommand::Gui(command) => gui::main(&command),
        AgentCommand::Token(command) => token::main(command),
        AgentCommand::Credential(command) => credential::main(command),
    }
}
