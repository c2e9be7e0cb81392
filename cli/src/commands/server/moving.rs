//! `russet server migrate`, `backup` and `restore`: a server's data, from the outside.

use std::path::PathBuf;

use russet_control_plane::moving::{
    Backup, BackupPlan, Migration, MoveError, Moved, ObjectsPlace, Place, RestorePlan, Restored,
    back_up, migrate, restore,
};
use russet_control_plane::{S3Settings, S3Url};

use super::database::{self, DatabaseArgs};
use super::default_data_dir;
use super::objects::ObjectsArgs;
use super::progress::Progress;
use crate::commands::OutputArgs;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format};

/// Place of a server's data.
#[derive(clap::Args, Debug)]
struct PlaceArgs {
    /// Data directory of the server [default: $XDG_DATA_HOME/russet/server]
    #[arg(long, value_name = "DIR", env = "RUSSET_DATA_DIR", hide_env_values = true)]
    data_dir: Option<PathBuf>,

    #[command(flatten)]
    database: DatabaseArgs,

    #[command(flatten)]
    objects: ObjectsArgs,
}

impl PlaceArgs {
    fn place(self) -> Result<Place> {
        let data_dir = match self.data_dir {
            Some(dir) => dir,
            None => default_data_dir()?,
        };
        let objects = self.objects.into_settings();
        Ok(Place { data_dir, database: self.database.open()?, objects })
    }
}

/// Move a server's data to PostgreSQL, or its objects to another place
///
/// Without --final the server may run: everything is copied, as often as this is run. With --final
/// the server must have stopped: what has changed since is copied, both sides are compared by counts
/// and hashes, and the data directory is marked, so that no server starts on what was left. Killed
/// anywhere, it is run again.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  russet server migrate --to postgres://russet@/russet?host=/run/postgresql
  russet server migrate --to postgres://russet@/russet?host=/run/postgresql --final
  russet server migrate --to-file /etc/russet/database-url --objects-to s3://ci-objects/russet
  russet server migrate --objects-to /mnt/large/objects --final")]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    from: PlaceArgs,

    /// Database to move to, empty; without its password, as for --database
    #[arg(long, value_name = "URL", conflicts_with = "to_file")]
    to: Option<String>,

    /// File with that URL, which may have the password; for its owner alone
    #[arg(long, value_name = "FILE")]
    to_file: Option<PathBuf>,

    #[command(flatten)]
    objects_to: ObjectsToArgs,

    /// End the move: the server has stopped
    #[arg(long = "final")]
    is_final: bool,

    /// End the move though objects that rows name are damaged or not there
    #[arg(long)]
    allow_damaged: bool,

    #[command(flatten)]
    output: OutputArgs,
}

/// Place that objects go to.
#[derive(clap::Args, Debug)]
struct ObjectsToArgs {
    /// Bucket as s3://bucket/prefix, or directory, to move the objects to; credentials as for
    /// --objects [default: they stay]
    #[arg(long, value_name = "PLACE", required_unless_present_any = ["to", "to_file"])]
    objects_to: Option<String>,

    /// Origin of the server of that bucket, as for --objects-endpoint
    #[arg(long, value_name = "URL", requires = "objects_to")]
    objects_to_endpoint: Option<String>,

    /// Region of that bucket
    #[arg(long, value_name = "REGION", requires = "objects_to")]
    objects_to_region: Option<String>,

    /// That bucket's name stands in the host name, instead of in the path
    #[arg(long, requires = "objects_to")]
    objects_to_virtual_hosted: bool,

    /// File with the credentials for that bucket, for its owner alone
    #[arg(long, value_name = "FILE", requires = "objects_to")]
    objects_to_credentials_file: Option<PathBuf>,

    /// File with certificates of authorities that are trusted besides the system's, as PEM
    #[arg(long, value_name = "FILE", requires = "objects_to")]
    objects_to_ca: Option<PathBuf>,

    /// Take an endpoint without TLS: whoever is on the way can read and change all objects
    #[arg(long, requires = "objects_to")]
    objects_to_allow_http: bool,
}

impl ObjectsToArgs {
    fn place(self) -> Result<Option<ObjectsPlace>> {
        let Some(place) = self.objects_to else { return Ok(None) };
        if !place.starts_with("s3://") {
            return Ok(Some(ObjectsPlace::Directory(place.into())));
        }
        let url: S3Url = place.parse().map_err(|error| {
            CliError::new(Exit::Usage, format!("--objects-to {place} is no bucket: {error}"))
        })?;
        let mut settings = S3Settings::new(url);
        settings.endpoint = self.objects_to_endpoint;
        settings.region = self.objects_to_region;
        settings.virtual_hosted = self.objects_to_virtual_hosted;
        settings.credentials_file = self.objects_to_credentials_file;
        settings.ca_file = self.objects_to_ca;
        settings.allow_http = self.objects_to_allow_http;
        Ok(Some(ObjectsPlace::S3(settings)))
    }
}

/// Make a backup of a server while it runs
///
/// Rows are of one moment, and every object that they name is there. Objects that an earlier backup in
/// the same directory has are not copied again. The key that values are sealed with is not part of it
/// unless --with-keys is given: keep a copy of secrets.key elsewhere.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  russet server backup /mnt/backups/russet --keep 14
  russet server backup /mnt/backups/russet --database-file /etc/russet/database-url")]
pub(crate) struct BackupArgs {
    /// Directory of backups, made where it is not there
    #[arg(value_name = "DIR")]
    into: PathBuf,

    #[command(flatten)]
    from: PlaceArgs,

    /// Number of backups that stay; the oldest go [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,

    /// File with the key of values, where the server is given one
    #[arg(long, value_name = "FILE", requires = "with_keys")]
    secrets_key_file: Option<PathBuf>,

    /// Add the key that values are sealed with and the token of the administrator: whoever has the
    /// backup can read all secrets then
    #[arg(long)]
    with_keys: bool,

    #[command(flatten)]
    output: OutputArgs,
}

/// Restore a backup into an empty data directory, and an empty database where one is named
///
/// Everything is checked by its hash. A backup of a server on PostgreSQL can be restored without one,
/// and the other way round.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  russet server restore /mnt/backups/russet --data-dir /var/lib/russet-server \\
      --secrets-key-file /root/secrets.key")]
pub(crate) struct RestoreArgs {
    /// A backup, or a directory of backups, of which the newest is taken
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,

    #[command(flatten)]
    to: PlaceArgs,

    /// Copy of the key that values are sealed with
    #[arg(long, value_name = "FILE")]
    secrets_key_file: Option<PathBuf>,

    #[command(flatten)]
    output: OutputArgs,
}

/// Moves a server's data.
pub(super) async fn run_migrate(args: MigrateArgs) -> Result<Exit> {
    let plan = Migration {
        from: args.from.place()?,
        database: database::open(args.to.as_deref(), args.to_file.as_deref(), "--to")?,
        objects: args.objects_to.place()?,
        is_last: args.is_final,
        allow_damaged: args.allow_damaged,
    };
    let progress = Progress::default();
    let moved = migrate(&plan, &|step| progress.tell(step)).await;
    progress.finish();
    let moved = moved.map_err(|error| failed(&error))?;
    match args.output.output {
        Format::Json => render::print_json(&moved)?,
        Format::Text => render::print_text(&describe_move(&moved, &plan))?,
    }
    Ok(Exit::Success)
}

/// Makes a backup.
pub(super) async fn run_backup(args: BackupArgs) -> Result<Exit> {
    let plan = BackupPlan {
        from: args.from.place()?,
        into: args.into,
        keep: args.keep,
        secrets_key_file: args.secrets_key_file,
        with_keys: args.with_keys,
    };
    let progress = Progress::default();
    let backup = back_up(&plan, &|step| progress.tell(step)).await;
    progress.finish();
    let backup = backup.map_err(|error| failed(&error))?;
    match args.output.output {
        Format::Json => render::print_json(&backup)?,
        Format::Text => render::print_text(&describe_backup(&backup))?,
    }
    if backup.damaged.is_empty() {
        return Ok(Exit::Success);
    }
    let text = format!(
        "the backup is whole but for objects that the server itself has lost: {}",
        few(&backup.damaged)
    );
    Err(CliError::new(Exit::Infrastructure, text))
}

/// Restores a backup.
pub(super) async fn run_restore(args: RestoreArgs) -> Result<Exit> {
    let plan = RestorePlan {
        backup: args.backup,
        to: args.to.place()?,
        secrets_key_file: args.secrets_key_file,
    };
    let progress = Progress::default();
    let restored = restore(&plan, &|step| progress.tell(step)).await;
    progress.finish();
    let restored = restored.map_err(|error| failed(&error))?;
    match args.output.output {
        Format::Json => render::print_json(&restored)?,
        Format::Text => render::print_text(&describe_restore(&restored, &plan.to))?,
    }
    Ok(Exit::Success)
}

fn failed(error: &MoveError) -> CliError {
    let failure = CliError::new(Exit::Infrastructure, russet_text::error_chain(error));
    match error {
        MoveError::Damaged(_) => failure.hint(
            "--allow-damaged ends the move without them; what is of those jobs stays unreadable",
        ),
        MoveError::NoData(_) => {
            failure.hint("name the server's directory with --data-dir, and its database as it does")
        }
        _ => failure,
    }
}

/// Names a few of many.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = if names.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

fn describe_move(moved: &Moved, plan: &Migration) -> String {
    let mut text = String::new();
    if !moved.tables.is_empty() {
        let rows: u64 = moved.tables.values().map(|table| table.rows).sum();
        text += &format!("{rows} rows, of which {} were written now\n", moved.rows_changed);
    }
    if plan.objects.is_some() {
        let copied = russet_text::format_size(moved.bytes_copied);
        text += &format!("{} objects, of which {copied} were copied now\n", moved.objects);
    }
    if !moved.is_ended {
        text +=
            "\nThe server may go on. To end the move, stop it and run this again with --final.\n";
        return text;
    }
    text += "\nMoved, and compared by counts and hashes.";
    let data_dir = plan.from.data_dir.display();
    if let Some(ObjectsPlace::Directory(dir)) = &plan.objects {
        let dir = dir.display();
        text += &format!(" Put {dir} in the place of {data_dir}/objects, or a link to it.");
    }
    text += &format!(" Start the server with:\n  russet server --data-dir {data_dir}");
    if let Some(url) = &plan.database {
        text += &format!(" --database '{url}'");
    }
    if let Some(ObjectsPlace::S3(settings)) = &plan.objects {
        text += &format!(" --objects {}", settings.url);
    }
    text += "\nand the options that it had before. What was left stays in the data directory.\n";
    text
}

fn describe_backup(backup: &Backup) -> String {
    let rows: u64 = backup.tables.values().map(|table| table.rows).sum();
    let mut text = format!(
        "{}\n{rows} rows, {} objects ({}), of which {} were copied now\n",
        backup.path.display(),
        backup.objects,
        russet_text::format_size(backup.object_bytes),
        russet_text::format_size(backup.bytes_copied),
    );
    for removed in &backup.removed {
        text += &format!("removed {}\n", removed.display());
    }
    if backup.needs_key {
        text += "The key of values is not part of it: keep a copy of secrets.key elsewhere.\n";
    }
    text
}

fn describe_restore(restored: &Restored, to: &Place) -> String {
    let rows: u64 = restored.tables.values().map(|table| table.rows).sum();
    let mut text = format!(
        "Restored {}, of {}: {rows} rows, {} objects, compared by hashes\n",
        restored.backup.display(),
        restored.created,
        restored.objects,
    );
    if !restored.damaged.is_empty() {
        text += &format!("Lost before the backup was made: {}\n", few(&restored.damaged));
    }
    if restored.needs_key {
        text += &format!(
            "Bring secrets.key into {} before the server starts: values are sealed with it.\n",
            to.data_dir.display()
        );
    }
    text
}
