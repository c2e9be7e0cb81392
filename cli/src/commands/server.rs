//! `russet server`.

mod admin_link;
mod data;
mod database;
mod doctor;
mod git;
mod install;
mod keeping;
mod keeping_args;
mod mail;
mod moving;
mod objects;
mod oidc;
mod options;
mod progress;
mod ssh;
mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use russet_control_plane::{
    KeptCaches, ProxyRange, RunError, Server, Settings, StartError, Storage,
};
use russet_launch_agent::config::{Format, Level, Logging};
use russet_launch_agent::logs::Limits;
use russet_protocol::admin::ServerReady;
use russet_protocol::resource_class::ResourceClass;
use tokio::signal::unix::{SignalKind, signal};

use self::data::ServerCommand;
use self::database::DatabaseArgs;
use self::git::GitArgs;
use self::keeping_args::KeepingArgs;
use self::mail::MailArgs;
use self::objects::ObjectsArgs;
use self::oidc::OidcArgs;
use self::ssh::SshArgs;
use self::tls::{TlsArgs, look_at_hangups};
use super::orbs::RegistryArgs;
use super::values;
use crate::color::Paint;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::logging;
use crate::render;

/// Bytes of a log file below which nothing of use would be kept.
const MIN_LOG_BYTES: u64 = 4096;

/// Time after which a start is over, and its code is given back.
const START_UP_TIME: Duration = Duration::from_secs(5);

/// Run a control plane
///
/// It keeps everything in its data directory and may be killed at any moment without losing
/// what it has acknowledged.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:
  russet server
  russet server --listen 0.0.0.0:8080 --data-dir /var/lib/russet-server --durable
  russet server --database postgres://russet@/russet?host=/run/postgresql
  russet server --database-file /etc/russet/database-url
  russet server --objects s3://ci-objects/russet --objects-region eu-central-1")]
pub(crate) struct ServerArgs {
    #[command(subcommand)]
    command: Option<ServerCommand>,

    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = values::parse_address)]
    listen: SocketAddr,

    /// Directory of everything it keeps [default: $XDG_DATA_HOME/russet/server]
    #[arg(long, value_name = "DIR", env = "RUSSET_DATA_DIR", hide_env_values = true)]
    data_dir: Option<PathBuf>,

    #[command(flatten)]
    database: DatabaseArgs,

    #[command(flatten)]
    objects: ObjectsArgs,

    /// Survive the loss of power too, not only of the process; slower. PostgreSQL has its own
    /// setting for that
    #[arg(long)]
    durable: bool,

    /// Room on the disk of the data directory below which no task is given out and no artifact or
    /// archive is taken, such as 20GB [default: 1GB, or 5 % of a smaller disk]
    #[arg(long, value_name = "SIZE", value_parser = values::parse_size)]
    disk_reserve: Option<u64>,

    /// Silence of a runner after which its task is taken from it
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = values::parse_duration)]
    lease: Duration,

    /// Collector that traces of pipelines are sent to, by OTLP over HTTP: its base, such as
    /// `http://127.0.0.1:4318`. OTEL_EXPORTER_OTLP_HEADERS has headers, such as a token [default: no
    /// traces]
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT", hide_env_values = true)]
    otlp_endpoint: Option<String>,

    /// Time for which the server goes on after it was told to stop, while `/readyz` says that it is not
    /// ready: longer than a proxy takes to notice [default: none]
    #[arg(long, value_name = "TIME", value_parser = values::parse_duration)]
    shutdown_delay: Option<Duration>,

    #[command(flatten)]
    tls: TlsArgs,

    /// Address under which people reach this server, for links [default with --tls-cert: the first
    /// name of the certificate]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,

    /// File with the key that the values of variables are sealed with, made where it is not there
    /// [default: secrets.key in the data directory]
    #[arg(long, value_name = "FILE")]
    secrets_key_file: Option<PathBuf>,

    /// Directory of the releases that runners are updated from, one directory each
    /// [default: releases in the data directory]
    #[arg(long, value_name = "DIR")]
    releases: Option<PathBuf>,
    /// Retention of caches; jobs can ask for less
    #[arg(long, value_name = "TIME", default_value = "15d", value_parser = values::parse_duration)]
    cache_retention: Duration,

    /// Retention of workspaces
    #[arg(long, value_name = "TIME", default_value = "15d", value_parser = values::parse_duration)]
    workspace_retention: Duration,

    /// Bytes of caches that a project may have, such as 50GB; the oldest go first [default: no
    /// limit]
    #[arg(long, value_name = "SIZE", value_parser = values::parse_size)]
    cache_limit: Option<u64>,

    #[command(flatten)]
    keeping: KeepingArgs,

    /// Address, or range of addresses, of a proxy whose `X-Forwarded-For` is believed; may be
    /// repeated
    #[arg(long = "trusted-proxy", value_name = "ADDRESS[/BITS]")]
    trusted_proxies: Vec<ProxyRange>,

    /// File for the log instead of standard error; it is rotated
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,

    /// Least level that is logged: debug, info, warn or error [default: info]
    #[arg(long, value_name = "LEVEL", value_parser = ["debug", "info", "warn", "error"], hide_possible_values = true)]
    log_level: Option<String>,

    /// Format of log lines: text or json
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"], hide_possible_values = true)]
    log_format: String,

    /// Size at which the log file is rotated
    #[arg(long, value_name = "SIZE", default_value = "10MB", value_parser = values::parse_size)]
    log_max_size: u64,

    /// Number of log files that are kept, the current one included
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=100))]
    log_files: u32,

    #[command(flatten)]
    registry: RegistryArgs,

    /// Resource class that another name of a machine stands for, such as one of CircleCI's own; may
    /// be given more than once
    #[arg(long = "class-alias", value_name = "NAME=NAMESPACE/NAME", value_parser = values::parse_class_alias)]
    class_aliases: Vec<(String, ResourceClass)>,

    #[command(flatten)]
    mail: MailArgs,

    #[command(flatten)]
    oidc: OidcArgs,

    #[command(flatten)]
    ssh: SshArgs,

    #[command(flatten)]
    git: GitArgs,

    /// Print address and admin token as one line of JSON when listening
    #[arg(long, hide = true)]
    ready_stdout: bool,

    /// Directory of the caches of one project that outlive this server
    #[arg(long, value_name = "DIR", hide = true, requires = "cache_limit")]
    kept_caches: Option<PathBuf>,

    /// End when standard input ends: whoever started this is gone
    #[arg(long, hide = true)]
    end_with_stdin: bool,
}

impl ServerArgs {
    /// Returns an address for people on this machine: what they are given, else the certificate's
    /// name, else where it listens.
    fn url_for_people(&self) -> Result<String> {
        if let Some(url) = &self.public_url {
            return Ok(url.clone());
        }
        let address = install::reachable(self.listen);
        let Some(files) = self.tls.files() else { return Ok(format!("http://{address}")) };
        let named = files.url(self.listen.port()).map_err(|error| {
            CliError::new(Exit::BadConfig, russet_text::error_chain(&error))
                .hint("look at --tls-cert and --tls-key: docs/server.md")
        })?;
        Ok(named.unwrap_or_else(|| format!("https://{address}")))
    }
}

/// Runs the control plane until TERM or INT, or what is beside it.
pub(crate) async fn main(mut args: ServerArgs) -> Result<Exit> {
    if let Some(command) = args.command.take() {
        return data::main(command).await;
    }
    start_log(&args)?;
    if !args.ready_stdout {
        let is_root = nix::unistd::geteuid().is_root();
        let is_encrypted = args.tls.files().is_some()
            || args.public_url.as_deref().is_some_and(|url| url.starts_with("https://"));
        for exposure in exposures(args.listen, is_encrypted, is_root) {
            tracing::warn!("{exposure}");
        }
    }
    let data_dir = match args.data_dir {
        Some(dir) => dir,
        None => default_data_dir()?,
    };
    let settings = Settings {
        database: args.database.open()?,
        objects: args.objects.into_settings(),
        durable: args.durable,
        limits: russet_control_plane::Limits {
            disk_reserve: args.disk_reserve,
            ..Default::default()
        },
        lease: args.lease,
        public_url: args.public_url,
        secrets_key_file: args.secrets_key_file,
        releases: args.releases,
        storage: Storage {
            cache_retention: args.cache_retention,
            workspace_retention: args.workspace_retention,
            cache_bytes: args.cache_limit,
        },
        kept_caches: args
            .kept_caches
            .zip(args.cache_limit)
            .map(|(dir, limit)| KeptCaches { dir, limit }),
        keeping: args.keeping.keeping(),
        trusted_proxies: args.trusted_proxies,
        orb_registry: args.registry.open()?,
        class_aliases: args.class_aliases.into_iter().collect(),
        mail: args.mail.open()?,
        otlp_endpoint: args.otlp_endpoint.filter(|endpoint| !endpoint.is_empty()),
        shutdown_delay: args.shutdown_delay.unwrap_or_default(),
        oidc: args.oidc.open()?,
        ssh_hold: args.ssh.hold(),
        peer_url: args.ssh.peer_url()?,
        git: args.git.into_settings(),
        tls: args.tls.files(),
        ..Settings::new(data_dir.clone(), args.listen)
    };
    let server =
        Server::start(settings).await.map_err(|error| start_failed(&error, args.listen))?;
    if args.ready_stdout {
        let ready = ServerReady { url: server.url(), admin_token: server.admin_token().clone() };
        let text = serde_json::to_string(&ready)
            .map_err(|error| CliError::local("could not write JSON", error))?;
        render::print_line(text)?;
    } else {
        render::print_text(&welcome_text(&server.url(), &data_dir, Paint::stdout()))?;
    }
    look_at_hangups(server.certificate_looks())?;
    tokio::spawn(async {
        tokio::time::sleep(START_UP_TIME).await;
        russet_platform::forget_code();
    });
    let shutdown = shutdown_signal(args.end_with_stdin)?;
    server.run(shutdown).await.map_err(|error| run_failed(&error))?;
    Ok(Exit::Success)
}

/// Starts the log as the options say. A server that another program of ours started logs what is
/// wrong alone.
fn start_log(args: &ServerArgs) -> Result<()> {
    let level = match args.log_level.as_deref() {
        Some("debug") => Level::Debug,
        Some("warn") => Level::Warn,
        Some("error") => Level::Error,
        Some(_) => Level::Info,
        None if args.ready_stdout => Level::Warn,
        None => Level::Info,
    };
    logging::start_server(&Logging {
        level,
        format: if args.log_format == "json" { Format::Json } else { Format::Color },
        file: args.log_file.clone(),
        is_stderr: args.log_file.is_none(),
        limits: Limits { size: args.log_max_size.max(MIN_LOG_BYTES), files: args.log_files },
    })
}

/// Describes what makes the server easier to attack than it has to be.
fn exposures(listen: SocketAddr, is_encrypted: bool, is_root: bool) -> Vec<String> {
    let mut exposures = Vec::new();
    if !listen.ip().is_loopback() && !is_encrypted {
        exposures.push(format!(
            "listening on {listen} without TLS: tokens and output can be read on the way; give a \
             certificate with --tls-cert and --tls-key, or put a proxy with TLS before it and give \
             --public-url https://… and --trusted-proxy"
        ));
    }
    if is_root {
        let text = "running as root, which it does not need: give it a user of its own";
        exposures.push(text.to_owned());
    }
    exposures
}

fn start_failed(error: &StartError, listen: SocketAddr) -> CliError {
    let text = russet_text::error_chain(error);
    let failure = CliError::new(Exit::Infrastructure, &text);
    if matches!(error, StartError::DataDir(..)) && text.contains("another server uses") {
        return failure.hint("stop it, or name another directory with --data-dir");
    }
    if matches!(error, StartError::Tls(..)) {
        return failure.hint("look at --tls-cert and --tls-key: docs/server.md");
    }
    if matches!(error, StartError::Listen(..)) && text.contains("in use") {
        let hint = format!(
            "something else listens on port {}; choose another with --listen, or 0 for a free one",
            listen.port()
        );
        return failure.hint(hint);
    }
    failure
}

fn run_failed(error: &RunError) -> CliError {
    let failure = CliError::new(Exit::Infrastructure, error.to_string());
    match error {
        RunError::TooNew { .. } => failure.hint("install the newer version here, and start that"),
        RunError::Broken => failure.hint("please report this, with the log"),
    }
}

fn welcome_text(url: &str, data_dir: &Path, paint: Paint) -> String {
    let token_file = data_dir.join("admin.token");
    format!(
        "Listening on {}\nData in      {}\n\nTo use it from here:\n  export RUSSET_URL={url}\n  \
         export RUSSET_TOKEN_FILE='{}'\n  russet resource-class create acme/mini\n  russet token \
         create acme/mini\nThen give a Mac that token: docs/getting-started.md.\n\n",
        paint.strong(url),
        data_dir.display(),
        token_file.display(),
    )
}

/// Done when the process is asked to end.
fn shutdown_signal(end_with_stdin: bool) -> Result<impl Future<Output = ()> + Send + 'static> {
    let failed = |error| CliError::local("could not listen for signals", error);
    let mut term = signal(SignalKind::terminate()).map_err(failed)?;
    let mut int = signal(SignalKind::interrupt()).map_err(failed)?;
    let stdin_ends = end_of_stdin(end_with_stdin);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
            () = stdin_ends => {}
        }
    })
}

/// Done when standard input ends; never, unless that `is_watched`.
fn end_of_stdin(is_watched: bool) -> impl Future<Output = ()> + Send + 'static {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    if is_watched {
        // A thread of its own, which nothing waits for: the runtime's reader of standard input
        // would keep the process from ending while there is none to read.
        std::thread::spawn(move || {
            let _read = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            // The receiver has gone where the server has ended already.
            let _unheard = sender.send(());
        });
    }
    async move {
        if !is_watched || receiver.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn default_data_dir() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = set("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".local/share")));
    base.map(|base| base.join("russet/server")).ok_or_else(|| {
        CliError::new(Exit::Usage, "there is no home directory to keep data in")
            .hint("name a directory with --data-dir")
    })
}

#[cfg(test)]
mod tests {
    use super::exposures;

    #[test]
    fn a_server_that_others_reach_without_tls_or_that_is_root_says_so() {
        let of =
            |listen: &str, is_tls, is_root| exposures(listen.parse().unwrap(), is_tls, is_root);
        assert!(of("127.0.0.1:80", false, false).is_empty());
        assert!(of("[::1]:80", false, false).is_empty());
        assert!(of("0.0.0.0:80", true, false).is_empty());
        assert!(of("0.0.0.0:80", false, false)[0].contains("without TLS"));
        assert_eq!(of("[::]:80", false, true).len(), 2);
    }
}
