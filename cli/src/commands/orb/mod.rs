//! `russet config orb`: the orbs of a project or of the control plane, and those that are missing.

mod fetch;

pub(crate) use fetch::fetch_command;

use std::path::{Path, PathBuf};

use russet_pipeline::{OrbUse, Orbs, check_orb};
use russet_protocol::admin::Orb;
use serde_json::json;

use super::compile::{CompileFailure, ConfigArgs, Prepared};
use super::orbs::Local;
use super::values::{OrbReference, parse_orb_reference};
use super::{OutputArgs, block_on, orb_pack, orbs};
use crate::client::ConnectionArgs;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::project::read_config;
use crate::render::{self, Format, table::Table};

/// Provide the orbs that configurations use
#[derive(clap::Subcommand, Debug)]
pub(crate) enum OrbCommand {
    /// Add an orb to the project, or to the control plane for all projects
    ///
    /// From one file, from the source directory of an orb (with an @orb.yml, which is packed), or
    /// from a directory of orbs, each as namespace/name@1.2.3.yml.
    #[command(
        after_help = "Examples:\n  russet config orb add node.yml --as circleci/node@5.1.0\n  russet config orb add ~/slack-orb --as acme/slack@dev:mine\n  russet config orb add ~/orbs --server\n\n`circleci orb source circleci/node@5.1.0 > node.yml` writes the source of a published orb."
    )]
    Add {
        /// File or directory
        path: PathBuf,
        /// Name and version of the orb; where it is not given, the path ends in them
        #[arg(long = "as", value_name = "NAMESPACE/NAME@VERSION", value_parser = parse_orb_reference)]
        reference: Option<OrbReference>,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// List the orbs that there are
    List {
        #[command(flatten)]
        place: PlaceArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Remove an orb
    Rm {
        /// Which one
        #[arg(value_name = "NAMESPACE/NAME@VERSION", value_parser = parse_orb_reference)]
        reference: OrbReference,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Fetch from a registry all orbs that a configuration uses, and pin them
    ///
    /// They are kept in .circleci/orbs of the project, and pinned with their hashes in
    /// .circleci/orbs.lock; both go into version control. A machine without a way out uses the same
    /// files. Floating versions, such as 5 or volatile, stay what they were pinned to.
    #[command(
        after_help = "Examples:\n  russet config orb fetch --orb-registry https://circleci.com\n  russet config orb fetch --update\n  russet config orb fetch --server\n\n`orb_registry: https://circleci.com` in ~/.config/russet/cli.yml names the registry for every command."
    )]
    Fetch {
        /// Take the newest versions that floating ones stand for now
        #[arg(long)]
        update: bool,
        /// Give them to the control plane for all projects, not to the project
        #[arg(long)]
        server: bool,
        #[command(flatten)]
        connection: ConnectionArgs,
        #[command(flatten)]
        args: ConfigArgs,
    },
    /// List the orbs that a configuration uses and that are not there; exits with 3 where there are
    /// any
    #[command(after_help = "Example:\n  russet config orb missing")]
    Missing {
        #[command(flatten)]
        args: ConfigArgs,
    },
}

/// Place where orbs are kept.
#[derive(clap::Args, Debug)]
pub(crate) struct PlaceArgs {
    /// Directory of the project, which keeps them in .circleci/orbs
    #[arg(long, value_name = "DIR", default_value = ".")]
    project: PathBuf,
    /// Those of the control plane, which all projects may use
    #[arg(long)]
    server: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs the command.
pub(crate) fn main(command: OrbCommand) -> Result<Exit> {
    match command {
        OrbCommand::Add { path, reference, place } => {
            add_orbs(&find_orbs(&path, reference)?, &place)
        }
        OrbCommand::List { place, output } => list_orbs(&place, output.output),
        OrbCommand::Rm { reference, place } => remove_orb(&reference, &place),
        OrbCommand::Fetch { update, server, connection, args } => {
            fetch::main(args, update, server.then_some(&connection))
        }
        OrbCommand::Missing { args } => list_missing(args),
    }
}

/// The orbs at a path.
fn find_orbs(path: &Path, reference: Option<OrbReference>) -> Result<Vec<Orb>> {
    let source = match orb_pack::source_root(path) {
        Some(root) => Some(orb_pack::pack_source(&root)?),
        None if path.is_dir() => None,
        None => Some(read_config(path)?),
    };
    match (source, reference) {
        (Some(source), Some(OrbReference { name, version })) => {
            Ok(vec![Orb { name, version, source }])
        }
        (Some(source), None) => {
            let Some(OrbReference { name, version }) = named_by(path) else {
                let message = format!("{} does not say which orb it is", path.display());
                return Err(CliError::new(Exit::Usage, message)
                    .hint("say it with --as namespace/name@1.2.3"));
            };
            Ok(vec![Orb { name, version, source }])
        }
        (None, Some(_)) => {
            let message = format!("{} is no orb: there is no @orb.yml in it", path.display());
            Err(CliError::new(Exit::Usage, message).hint("without --as, all orbs in it are added"))
        }
        (None, None) => {
            let all = orbs::all(path).into_iter().map(|(name, version, file)| {
                Ok(Orb { name, version, source: read_config(&file)? })
            });
            let all: Vec<Orb> = all.collect::<Result<_>>()?;
            if all.is_empty() {
                let message = format!("there are no orbs in {}", path.display());
                return Err(CliError::new(Exit::Usage, message).hint(
                    "an orb is a file namespace/name@1.2.3.yml, or a directory with an @orb.yml",
                ));
            }
            Ok(all)
        }
    }
}

/// The orb that a path such as `orbs/circleci/node@5.1.0.yml` is named after.
fn named_by(path: &Path) -> Option<OrbReference> {
    let namespace = path.parent()?.file_name()?.to_str()?;
    parse_orb_reference(&format!("{namespace}/{}", path.file_stem()?.to_str()?)).ok()
}

fn add_orbs(new: &[Orb], place: &PlaceArgs) -> Result<Exit> {
    for Orb { name, version, source } in new {
        check_orb(name, version, source, &Orbs(None))
            .map_err(|errors| CompileFailure::new(&errors).into_cli())?;
    }
    for orb in new {
        let target = if place.server {
            block_on(async {
                place.connection.connect()?.put_orb(orb).await.map(|()| Exit::Success)
            })?;
            "the control plane".to_owned()
        } else {
            write(orb, &place.project)?.display().to_string()
        };
        render::print_line(format_args!("Added {}@{} to {target}.", orb.name, orb.version))?;
    }
    Ok(Exit::Success)
}

fn write(orb: &Orb, project: &Path) -> Result<PathBuf> {
    if !project.join(".circleci").is_dir() {
        let message = format!("{} has no .circleci", project.display());
        return Err(CliError::new(Exit::Usage, message)
            .hint("name the project's directory with --project, or say --server"));
    }
    let Orb { name, version, source } = orb;
    let file = Local::file_of(project, name, version);
    orbs::write_file(&file, source)?;
    // What was pinned with another hash is what is added now: somebody says so.
    orbs::edit_lock(project, |lock| {
        if lock.pin(name, version).is_some() {
            lock.set(name, version, version, source);
        }
    })?;
    Ok(file)
}

fn list_orbs(place: &PlaceArgs, format: Format) -> Result<Exit> {
    let mut items: Vec<(String, String, u64)> = Vec::new();
    if place.server {
        block_on(async {
            let all = place.connection.connect()?.orbs().await?;
            items = all.into_iter().map(|item| (item.name, item.version, item.size)).collect();
            Ok(Exit::Success)
        })?;
    } else {
        let all = orbs::all(&place.project.join(orbs::DIRECTORY)).into_iter();
        items = all
            .map(|(name, version, file)| {
                (name, version, std::fs::metadata(file).map_or(0, |meta| meta.len()))
            })
            .collect();
    }
    match format {
        Format::Json => {
            let items: Vec<_> = items
                .iter()
                .map(
                    |(name, version, size)| json!({"name": name, "version": version, "size": size}),
                )
                .collect();
            render::print_json(&items)?;
        }
        Format::Text => {
            let mut table = Table::new(&["ORB", "VERSION", "SIZE"]);
            for (name, version, size) in items {
                table.row([name, version, russet_text::format_size(size)]);
            }
            render::print_text(&table.render("No orbs."))?;
        }
    }
    Ok(Exit::Success)
}

fn remove_orb(reference: &OrbReference, place: &PlaceArgs) -> Result<Exit> {
    let OrbReference { name, version } = reference;
    if place.server {
        block_on(async {
            place.connection.connect()?.delete_orb(name, version).await.map(|()| Exit::Success)
        })?;
    } else {
        let all = orbs::all(&place.project.join(orbs::DIRECTORY)).into_iter();
        let mut fitting = all.filter(|(its, other, _)| its == name && other == version);
        let Some((_, _, file)) = fitting.next() else {
            let message = format!("the project has no orb {name}@{version}");
            return Err(CliError::new(Exit::Usage, message)
                .hint("`russet config orb list` shows those that it has"));
        };
        std::fs::remove_file(&file).map_err(|error| {
            CliError::local(format!("could not remove {}", file.display()), error)
        })?;
        orbs::edit_lock(&place.project, |lock| {
            lock.pins.retain(|pin| (&pin.name, &pin.version) != (name, version));
        })?;
    }
    render::print_line(format_args!("Removed {name}@{version}."))?;
    Ok(Exit::Success)
}

fn list_missing(args: ConfigArgs) -> Result<Exit> {
    let format = args.format();
    let Prepared { path, text, options, .. } = Prepared::of(args, true)?;
    let lacking: Vec<OrbUse> = russet_pipeline::orbs(&text, &options)
        .into_iter()
        .filter(|orb| orb.version.is_none())
        .collect();
    match format {
        Format::Json => {
            let items: Vec<_> = lacking
                .iter()
                .map(|orb| json!({ "name": orb.name, "version": orb.wanted }))
                .collect();
            render::print_json(&items)?;
        }
        Format::Text if lacking.is_empty() => {
            render::print_line(format_args!("No orb is missing."))?
        }
        Format::Text => {
            for orb in &lacking {
                render::print_line(format_args!("{}@{}", orb.name, orb.wanted))?;
            }
            render::print_note(format_args!(
                "All of them from a registry:\n  {}\nOr each from a file: \
                 russet config orb add FILE --as NAMESPACE/NAME@VERSION",
                fetch::fetch_command(&path, false)
            ));
        }
    }
    Ok(if lacking.is_empty() { Exit::Success } else { Exit::BadConfig })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::named_by;
    use crate::commands::values::parse_orb_reference;

    #[test]
    fn an_orb_is_named_on_the_command_line_or_by_its_path() {
        let named = named_by(Path::new("orbs/circleci/node@5.1.0.yml")).unwrap();
        assert_eq!(named, parse_orb_reference("circleci/node@5.1.0").unwrap());
        assert_eq!(named_by(Path::new("node.yml")), None);
        for bad in ["circleci/node", "node@1.2.3", "circleci/node@5", "a/../b@1.2.3"] {
            assert!(parse_orb_reference(bad).is_err(), "{bad}");
        }
    }
}
