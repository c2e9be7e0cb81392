//! The command line.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::choices::{Services, UpdateChoices, checked_version};
use crate::credentials::Credentials;
use crate::places::{Release, Tools};
use crate::stage::{self, Report, Stage};

/// Apple's server of timestamps, for signatures that outlive their certificate.
const TIMESTAMPS: &str = "http://timestamp.apple.com/ts01";

/// Makes a release of Russet: universal binaries, signatures, the .pkg, notarization, the update
#[derive(Debug, Parser)]
#[command(
    name = "russet-notarize",
    disable_help_subcommand = true,
    after_help = "Examples:
  cargo run -p russet-notarize -- release --version 1.4.0 --out dist/
  cargo run -p russet-notarize -- release --version 1.4.0 --credentials ~/release --from notarize
  cargo run -p russet-notarize -- verify --version 1.4.0 --output json

Without credentials it signs ad hoc, and what it makes is for testing. docs/releasing.md has the rest."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All stages, those that are done and have not changed left out
    Release {
        /// Do this stage and those after it again
        #[arg(long, value_name = "STAGE", value_enum)]
        from: Option<Stage>,
        #[command(flatten)]
        options: Options,
    },
    /// Build the executables for both architectures
    Build(Options),
    /// Join both architectures into one file
    Universal(Options),
    /// Assemble RussetAgent.app, Russet.app and what lies beside them
    Bundle(Options),
    /// Sign the code, with the hardened runtime
    Sign(Options),
    /// Make the component packages and the product
    Package(Options),
    /// Sign the product
    SignPackage(Options),
    /// Submit the product to Apple, wait for the verdict, fetch the log
    Notarize(Options),
    /// Put Apple's ticket into bundle and package
    Staple(Options),
    /// Read everything back that the release claims
    Verify(Options),
    /// Make the archive that agents update themselves with
    Archive(Options),
    /// List what the release consists of (CycloneDX)
    Sbom(Options),
    /// Write the signed manifest of the update
    Manifest(Options),
    /// Write SHA256SUMS
    Sums(Options),
}

/// Output format of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Options of every stage.
#[derive(Args, Debug)]
struct Options {
    /// Version of the release, as 1.4.0
    #[arg(long, value_name = "X.Y.Z", value_parser = checked_version)]
    version: String,

    /// Output directory
    #[arg(long, value_name = "DIR", default_value = "dist")]
    out: PathBuf,

    /// Whose tools: `auto` takes Apple's on a Mac
    #[arg(long, value_enum, default_value = "auto")]
    tools: Tools,

    /// Directory with certificates and keys, see docs/releasing.md
    #[arg(long, value_name = "DIR", env = "RUSSET_RELEASE_CREDENTIALS")]
    credentials: Option<PathBuf>,

    /// Profile of cargo
    #[arg(long, value_name = "NAME", default_value = "dist")]
    profile: String,

    /// Take executables that are there already, as DIR/aarch64-apple-darwin/PROFILE/russet
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,

    /// Leave the menubar companion out
    #[arg(long)]
    without_menubar: bool,

    #[command(flatten)]
    update: UpdateChoices,

    /// Server of timestamps for signatures with a certificate, or `none`
    #[arg(long, value_name = "URL", default_value = TIMESTAMPS)]
    timestamp_url: String,

    /// Wait this long for Apple's verdict, minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    wait: u64,

    /// Another notarization service
    #[arg(long, value_name = "URL", env = "RUSSET_NOTARY_URL", hide = true)]
    notary_url: Option<String>,

    /// Another address than that of the storage that the service names
    #[arg(long, value_name = "URL", env = "RUSSET_NOTARY_STORAGE_URL", hide = true)]
    storage_url: Option<String>,

    /// Another service of tickets
    #[arg(long, value_name = "URL", env = "RUSSET_TICKET_URL", hide = true)]
    ticket_url: Option<String>,

    /// Output format of results
    #[arg(long, value_enum, default_value = "text")]
    output: Format,
}

impl Options {
    fn release(&self) -> Result<Release> {
        std::fs::create_dir_all(self.out.join(".state"))
            .with_context(|| format!("could not make {}", self.out.display()))?;
        let out = std::fs::canonicalize(&self.out)?;
        let is_mac = cfg!(target_os = "macos");
        if self.tools == Tools::Apple && !is_mac {
            bail!("Apple's tools are only on a Mac\n  hint: `--tools rust`, or leave it out");
        }
        let none = self.timestamp_url == "none";
        let checkout = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let checkout = checkout.parent().map(PathBuf::from).unwrap_or_default();
        let mut release = Release {
            version: self.version.clone(),
            time: first_time(&out, &self.version)?,
            out,
            apple: is_mac && self.tools != Tools::Rust,
            profile: self.profile.clone(),
            binaries: self.binaries.clone(),
            menubar: false,
            credentials: Credentials { directory: self.credentials.clone() },
            timestamp: (!none).then(|| self.timestamp_url.clone()),
            services: Services::new(
                self.notary_url.clone(),
                self.storage_url.clone(),
                self.ticket_url.clone(),
                self.wait,
            ),
            update: self.update.clone(),
            checkout,
        };
        release.menubar = !self.without_menubar && crate::source::has_menubar(&release)?;
        Ok(release)
    }
}

/// A release has one date, that of its first stage: its files are the same when it is made in
/// several runs.
fn first_time(out: &std::path::Path, version: &str) -> Result<i64> {
    let path = out.join(".state").join(format!("{version}.time"));
    if let Ok(text) = std::fs::read_to_string(&path)
        && let Ok(time) = text.trim().parse()
    {
        return Ok(time);
    }
    let now = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.trim().parse().context("SOURCE_DATE_EPOCH is no number of seconds")?,
        Err(_) => jiff::Timestamp::now().as_second(),
    };
    std::fs::write(&path, format!("{now}\n"))
        .with_context(|| format!("could not write {}", path.display()))?;
    Ok(now)
}

/// Runs the command.
///
/// # Errors
///
/// A stage fails.
pub fn run_command(cli: Cli) -> Result<()> {
    // One provider of cryptography for everything; it is ours, and so is not installed yet.
    let _other = rustls::crypto::ring::default_provider().install_default();
    let (stages, from, options) = match cli.command {
        Command::Release { from, options } => (Stage::ALL.to_vec(), from, options),
        Command::Build(options) => single_stage(Stage::Build, options),
        Command::Universal(options) => single_stage(Stage::Universal, options),
        Command::Bundle(options) => single_stage(Stage::Bundle, options),
        Command::Sign(options) => single_stage(Stage::Sign, options),
        Command::Package(options) => single_stage(Stage::Package, options),
        Command::SignPackage(options) => single_stage(Stage::SignPackage, options),
        Command::Notarize(options) => single_stage(Stage::Notarize, options),
        Command::Staple(options) => single_stage(Stage::Staple, options),
        Command::Verify(options) => single_stage(Stage::Verify, options),
        Command::Archive(options) => single_stage(Stage::Archive, options),
        Command::Sbom(options) => single_stage(Stage::Sbom, options),
        Command::Manifest(options) => single_stage(Stage::Manifest, options),
        Command::Sums(options) => single_stage(Stage::Sums, options),
    };
    let release = options.release()?;
    let mut reports = Vec::new();
    for stage in stages {
        let force = from.is_some_and(|from| stage >= from);
        print_progress(&format!("{} …", stage.name()), options.output);
        let report = stage::run_stage(stage, &release, force)
            .with_context(|| format!("the stage `{}` failed", stage.name()))?;
        print_progress(&report_line(&report), options.output);
        reports.push(report);
    }
    print_reports(&release, &reports, options.output)
}

fn single_stage(stage: Stage, options: Options) -> (Vec<Stage>, Option<Stage>, Options) {
    (vec![stage], Some(stage), options)
}

fn report_line(report: &Report) -> String {
    let how = if report.skipped {
        "unchanged".to_owned()
    } else {
        format!("{:.1} s", std::time::Duration::from_millis(report.milliseconds).as_secs_f64())
    };
    format!("{}: {} ({how})", report.stage, report.note)
}

/// Lines of progress go to standard error; a terminal shows the stage that runs on a line that the
/// next one takes.
#[expect(clippy::print_stderr, reason = "what a person is told")]
fn print_progress(line: &str, format: Format) {
    let terminal = std::io::stderr().is_terminal();
    let running = line.ends_with('…');
    match (terminal, running) {
        _ if format == Format::Json => {}
        (true, true) => eprint!("\r\x1b[K{line}"),
        (true, false) => eprintln!("\r\x1b[K{line}"),
        (false, true) => {}
        (false, false) => eprintln!("{line}"),
    }
}

#[expect(clippy::print_stdout, reason = "the result")]
fn print_reports(release: &Release, reports: &[Report], format: Format) -> Result<()> {
    if format == Format::Json {
        let value = serde_json::json!({
            "version": release.version,
            "package": release.package(),
            "stages": reports,
        });
        println!("{}", serde_json::to_string_pretty(&value)?);
    } else if reports.len() > 1 {
        println!("{}", release.package().display());
    }
    Ok(())
}
