//! `russet server install` and `uninstall`.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args as _, FromArgMatches as _};
use russet_launch_agent::install::{
    self, InstallError, Report, ServerRemoval, ServerSettings, Unit,
};
use russet_platform::server_layout::{SERVER_USER, ServerLayout};
use russet_platform::service::Service;

use super::ServerArgs;
use super::options::{absolute_options, has_option, take_flags};
use crate::commands::OutputArgs;
use crate::commands::agent::progress;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format};

/// Longest wait for the first answer of a server that was started.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Interval of attempts.
const ANSWER_INTERVAL: Duration = Duration::from_millis(100);

/// Longest wait for one connection or answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// Install the server as a service of launchd or systemd, with a user of its own
///
/// Takes the options of `russet server`, and keeps those of the last installation where none are
/// given. Running it again is safe: it finishes what was interrupted, renews the program, and
/// restarts the server where something changed.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  sudo russet server install --durable
  sudo russet server install --listen 0.0.0.0:8443 --tls-cert /etc/russet-server/tls.pem \\
      --tls-key /etc/russet-server/tls.key
  russet server install --dry-run --listen 10.0.0.7:8080
  russet server install --print")]
pub(crate) struct InstallArgs {
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,

    /// Only print the file that launchd or systemd would read
    #[arg(long)]
    print: bool,

    #[command(flatten)]
    output: OutputArgs,

    /// Install below this directory, without starting anything
    #[arg(long, value_name = "DIR", hide = true)]
    root: Option<PathBuf>,

    /// Name of the service's user
    #[arg(long, value_name = "NAME", hide = true, default_value = SERVER_USER)]
    user: String,

    /// Options of `russet server`, behind those above
    #[arg(value_name = "SERVER-OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

/// Remove the service; data, logs and its user stay unless told otherwise
#[derive(clap::Args, Debug)]
pub(crate) struct UninstallArgs {
    /// Remove data, logs and the user too: nothing of the server is left
    #[arg(long)]
    purge: bool,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    output: OutputArgs,

    /// Directory below which it was installed
    #[arg(long, value_name = "DIR", hide = true)]
    root: Option<PathBuf>,
}

/// Facts of the options.
struct Facts {
    options: Vec<String>,
    unit: Unit,
    listen: SocketAddr,
    /// Address for the first administrator's link.
    url: String,
}

/// Installs the server.
pub(super) fn main(mut args: InstallArgs) -> Result<Exit> {
    let [dry_run, print] = take_flags(&mut args.options, ["--dry-run", "--print"]);
    args.dry_run |= dry_run;
    args.print |= print;
    let layout = layout_below(args.root.as_deref())?;
    let given = absolute_options(std::mem::take(&mut args.options))?;
    let installed = install::server_options(&layout).map_err(progress::install_failure)?;
    let options = if given.is_empty() { installed.unwrap_or_default() } else { given };
    let facts = read_facts(options, &layout)?;
    let program = std::env::current_exe().and_then(std::fs::canonicalize);
    let program =
        program.map_err(|error| CliError::local("could not find the russet executable", error))?;
    let command = install::supervisor_command(&args.user, &layout.executable(), &facts.unit);
    let mut notes = Vec::new();
    let instead = format!("let your supervisor run `{command}` as root, and again when it ends");
    let service = server_service(&args, &layout, &instead, &mut notes);
    let settings = ServerSettings {
        layout,
        program,
        user: args.user.clone(),
        options: facts.options.clone(),
        unit: facts.unit.clone(),
        service,
    };
    if args.print {
        let text = install::job_text(&settings).map_err(progress::install_failure)?;
        render::print_text(&text)?;
        return Ok(Exit::Success);
    }
    carry_out(&args, &settings, &facts, &notes)
}

fn server_service(
    args: &InstallArgs,
    layout: &ServerLayout,
    instead: &str,
    notes: &mut Vec<String>,
) -> Option<Service> {
    let service = install::server_service(layout, instead.to_owned());
    if args.root.is_some() {
        return None;
    }
    match service.available() {
        Ok(()) => Some(service),
        Err(error) => {
            notes.push(format!("{error}; {}", error.hint().unwrap_or_default()));
            None
        }
    }
}

fn carry_out(
    args: &InstallArgs,
    settings: &ServerSettings,
    facts: &Facts,
    notes: &[String],
) -> Result<Exit> {
    let format = args.output.output;
    let mut watch = progress::print_actions(format);
    let _lock = if args.dry_run {
        None
    } else {
        install::require_root("install").map_err(progress::install_failure)?;
        let lock = install::lock_server_installation(&settings.layout);
        Some(lock.map_err(progress::install_failure)?)
    };
    let wait = || wait_for_answer(settings.service.as_ref(), reachable(facts.listen));
    let reports = install::install_server(settings, args.dry_run, &wait, &mut watch)
        .map_err(progress::install_failure)?;
    finish_install(args, settings, facts, &reports, notes)
}

fn finish_install(
    args: &InstallArgs,
    settings: &ServerSettings,
    facts: &Facts,
    reports: &[Report],
    notes: &[String],
) -> Result<Exit> {
    let next = format!(
        "sudo {} server admin-link --data-dir {} --url {}",
        settings.layout.executable().display(),
        facts.unit.data_dir.display(),
        facts.url
    );
    if args.output.output == Format::Json {
        let value = serde_json::json!({
            "dry_run": args.dry_run, "actions": reports, "notes": notes, "url": facts.url,
            "next": next,
        });
        render::print_json(&value)?;
        return Ok(Exit::Success);
    }
    for note in notes {
        render::print_note(format_args!("note: {note}"));
    }
    let done = progress::count_done(reports);
    match (args.dry_run, done) {
        (true, 0) => render::print_line("Everything is installed; nothing would be done.")?,
        (true, count) => render::print_line(format_args!("{count} actions would be done."))?,
        (false, 0) => render::print_line("Everything is installed already.")?,
        (false, _) => render::print_line(format_args!(
            "Installed. Where there is no administrator yet, make a first one:\n  {next}"
        ))?,
    }
    Ok(Exit::Success)
}

/// Removes the service.
pub(super) fn uninstall_main(args: &UninstallArgs) -> Result<Exit> {
    let layout = layout_below(args.root.as_deref())?;
    let service = install::server_service(&layout, String::new());
    let format = args.output.output;
    let mut watch = progress::print_actions(format);
    let _lock = if args.dry_run {
        None
    } else {
        install::require_root("uninstall").map_err(progress::install_failure)?;
        Some(install::lock_server_installation(&layout).map_err(progress::install_failure)?)
    };
    let wishes = ServerRemoval { purge: args.purge, dry_run: args.dry_run };
    let reports = install::uninstall_server(&layout, &service, wishes, &mut watch)
        .map_err(progress::install_failure)?;
    let actions = reports.as_deref().unwrap_or_default();
    if format == Format::Json {
        let value = serde_json::json!({
            "dry_run": args.dry_run, "installed": reports.is_some(), "actions": actions,
        });
        render::print_json(&value)?;
    } else if reports.is_none() {
        render::print_line("Nothing is installed.")?;
    } else if args.dry_run {
        let count = progress::count_done(actions);
        render::print_line(format_args!("{count} actions would be done."))?;
    } else if args.purge {
        render::print_line("Uninstalled. Nothing of the server is left.")?;
    } else {
        render::print_line(
            "Uninstalled. Data, logs and the user are kept: `russet server uninstall --purge` removes \
             them.",
        )?;
    }
    Ok(Exit::Success)
}

/// Loads the job anew, in a process of its own (macOS).
pub(super) fn reload_job() -> Result<Exit> {
    install::require_root("install").map_err(progress::install_failure)?;
    let service = install::server_service(&ServerLayout::default(), String::new());
    service
        .reload()
        .map(|()| Exit::Success)
        .map_err(|error| progress::install_failure(error.into()))
}

fn layout_below(root: Option<&Path>) -> Result<ServerLayout> {
    let Some(root) = root else { return Ok(ServerLayout::default()) };
    let root = std::fs::canonicalize(root).map_err(|error| {
        CliError::local(format_args!("could not use {}", root.display()), error)
    })?;
    Ok(ServerLayout::below(&root))
}

/// Parses options of `russet server`.
pub(super) fn parse_options(options: &[String]) -> Result<ServerArgs> {
    let command = ServerArgs::augment_args(clap::Command::new("russet server"));
    let words = std::iter::once("russet server").chain(options.iter().map(String::as_str));
    let parsed = command
        .try_get_matches_from(words)
        .and_then(|matches| ServerArgs::from_arg_matches(&matches));
    let refused = |error: clap::Error| {
        let text = error.to_string();
        // The fault, without the usage of a command that nobody called.
        let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
        let said: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
        let said = said.join(" ");
        let said = said.trim_start_matches("error: ");
        CliError::new(Exit::Usage, format!("an option of the server is refused: {said}"))
            .hint("`russet server --help` lists its options")
    };
    let parsed = parsed.map_err(refused)?;
    if parsed.command.is_some() {
        return Err(CliError::new(Exit::Usage, "the server is given options, not a command")
            .hint("`russet server install --help`"));
    }
    Ok(parsed)
}

fn read_facts(mut options: Vec<String>, layout: &ServerLayout) -> Result<Facts> {
    if !has_option(&options, "--data-dir") {
        options.extend(["--data-dir".to_owned(), layout.data().display().to_string()]);
    }
    let parsed = parse_options(&options)?;
    let data_dir = parsed.data_dir.clone().unwrap_or_else(|| layout.data());
    let logs = parsed.log_file.as_deref().and_then(Path::parent).map(Path::to_owned);
    let logs = logs.filter(|logs| !logs.starts_with(&data_dir));
    let listen = parsed.listen;
    let url = parsed.url_for_people()?;
    let unit = Unit {
        options: options.clone(),
        data_dir,
        writable: logs.into_iter().collect(),
        port: listen.port(),
    };
    Ok(Facts { options, unit, listen, url })
}

/// Returns an address at which this machine reaches a server that listens.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Waits until a server that was started answers. One with TLS answers plain HTTP too, with a
/// refusal.
fn wait_for_answer(
    service: Option<&Service>,
    address: SocketAddr,
) -> std::result::Result<Vec<String>, InstallError> {
    let log = if cfg!(target_os = "macos") {
        "sudo tail -n 50 /Library/Logs/RussetServer/server.log \
         /Library/Logs/RussetServer/server-errors.log"
    } else {
        "sudo journalctl -u russet-server -n 50"
    };
    let silent = |what: String| InstallError::Silent { what, log: log.to_owned() };
    let start = Instant::now();
    loop {
        if answers(address) {
            return Ok(Vec::new());
        }
        let state = service.map(Service::state).transpose()?.unwrap_or_default();
        // It says what is wrong with its options, and is not started again (docs/exit-codes.md).
        if state.pid.is_none()
            && let Some(code @ (2 | 3)) = state.last_exit
        {
            return Err(silent(format!("it ended with exit code {code}")));
        }
        if start.elapsed() > ANSWER_TIMEOUT {
            let seconds = ANSWER_TIMEOUT.as_secs();
            let words = state.words;
            return Err(silent(format!("not at {address} within {seconds} seconds ({words})")));
        }
        std::thread::sleep(ANSWER_INTERVAL);
    }
}

/// Returns true where something at an address speaks HTTP.
pub(super) fn answers(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&address, ATTEMPT_TIMEOUT)?;
        stream.set_read_timeout(Some(ATTEMPT_TIMEOUT))?;
        stream.set_write_timeout(Some(ATTEMPT_TIMEOUT))?;
        stream.write_all(b"GET /login HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut head = [0; 7];
        stream.read_exact(&mut head)?;
        std::io::Result::Ok(head == *b"HTTP/1.")
    };
    ask().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::{parse_options, reachable};

    #[test]
    fn options_are_checked_before_anything_is_installed() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let parsed = parse_options(&words("--listen 0.0.0.0:9000 --durable")).unwrap();
        assert_eq!(reachable(parsed.listen).to_string(), "127.0.0.1:9000");
        for wrong in ["--nonsense", "--tls-cert /a", "usage", "--listen 9000"] {
            let refused = parse_options(&words(wrong)).unwrap_err();
            assert!(format!("{refused:?}").contains("Usage"), "{wrong}: {refused:?}");
        }
    }
}
