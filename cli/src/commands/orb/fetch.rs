//! `russet config orb fetch`: all orbs that a configuration uses, beside the project or on the
//! control plane, pinned.

use std::path::Path;

use russet_orbs::{Registry, Shelf, hash};
use russet_pipeline::{Options, OrbSource as _, OrbTrouble, OrbUse, Orbs, check_orb};
use russet_protocol::admin::Orb;
use serde_json::json;

use crate::client::{Client, ConnectionArgs};
use crate::color::Paint;
use crate::commands::compile::{CompileFailure, ConfigArgs, Prepared};
use crate::commands::orbs::{self, Local};
use crate::commands::{block_on, quoted_for_shell};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, numbers};

/// Registry that commands name for who has none: CircleCI's own, which most public orbs are in.
const PUBLIC: &str = "https://circleci.com";

/// The command that fetches all orbs of a configuration.
pub(crate) fn fetch_command(path: &Path, is_for_server: bool) -> String {
    let path = match path {
        path if path == Path::new(".") => String::new(),
        path => format!(" {}", quoted_for_shell(&path.display().to_string())),
    };
    let server = if is_for_server { " --server" } else { "" };
    format!("russet config orb fetch{path}{server} --orb-registry {PUBLIC}")
}

/// An orb that a configuration uses, with its source.
struct Used {
    name: String,
    wanted: String,
    version: String,
    source: String,
    /// Set where it came from the registry now.
    is_fetched: bool,
}

/// Runs the command.
pub(super) fn main(
    args: ConfigArgs,
    is_updating: bool,
    server: Option<&ConnectionArgs>,
) -> Result<Exit> {
    let format = args.format();
    let mut prepared = Prepared::of(args, true)?;
    let client = server.map(ConnectionArgs::connect).transpose()?;
    if is_updating {
        prepared.local = prepared.local.updating();
    }
    let Prepared { text, options, local, registry, .. } = &prepared;
    if is_updating && registry.is_none() {
        return Err(CliError::new(Exit::Usage, "--update needs a registry to ask")
            .hint(format!("name it: --orb-registry {PUBLIC}")));
    }
    let shelf = local.resolve(client.as_ref(), registry.as_ref(), text, options)?;
    let used = used_orbs(&shelf, registry.as_ref(), text, options)?;
    match &client {
        Some(client) => {
            let added = give_to_server(client, &used)?;
            print_fetched(&used, &added, "the control plane", format)?;
        }
        None => {
            let Some(project) = local.project() else {
                let message = format!("{} is not in the .circleci of a project", options.file);
                return Err(CliError::new(Exit::Usage, message)
                    .hint("name the project's directory, or say --server"));
            };
            let added = keep_in_project(project, &used, registry.as_ref())?;
            print_fetched(&used, &added, orbs::DIRECTORY, format)?;
        }
    }
    Ok(Exit::Success)
}

/// All that a configuration uses, checked; or what is wrong with some of it.
fn used_orbs(
    shelf: &Shelf,
    registry: Option<&Registry>,
    text: &str,
    options: &Options,
) -> Result<Vec<Used>> {
    let options = Options { orbs: shelf.orbs(), ..options.clone() };
    let mut used = Vec::new();
    let mut wrong = Vec::new();
    for OrbUse { name, wanted, version } in russet_pipeline::orbs(text, &options) {
        let found = version.and_then(|version| Some((shelf.text(&name, &version)?, version)));
        let Some((source, version)) = found else {
            wrong
                .push(shelf.absence(&name, &wanted).unwrap_or_else(|| missing_orb(&name, &wanted)));
            continue;
        };
        if let Some(trouble) = shelf.objection(&name, &version, &source) {
            wrong.push(trouble);
            continue;
        }
        let is_fetched = shelf.has_fetched(&name, &version);
        if is_fetched {
            check_orb(&name, &version, &source, &Orbs(None))
                .map_err(|errors| CompileFailure::new(&errors).into_cli())?;
        }
        used.push(Used { name, wanted, version, source, is_fetched });
    }
    if wrong.is_empty() {
        return Ok(used);
    }
    let count = u64::try_from(wrong.len()).unwrap_or_default();
    let message = format!("{} cannot be had; nothing was changed", numbers::counted(count, "orb"));
    let details = wrong.iter().map(|OrbTrouble { message, hint }| {
        CliError::new(Exit::BadConfig, message).hint(hint).render(Paint::stderr())
    });
    let error = CliError::new(Exit::BadConfig, message).details(details.collect());
    Err(if registry.is_some() {
        error
    } else {
        error.hint(format!("no registry is asked unless one is named: --orb-registry {PUBLIC}"))
    })
}

fn missing_orb(name: &str, wanted: &str) -> OrbTrouble {
    OrbTrouble {
        message: format!("the orb {name}@{wanted} is not there"),
        hint: "fetch it from a registry, or add it from a file: `russet config orb add`".to_owned(),
    }
}

/// Writes what the project does not have into its `.circleci/orbs`, and pins everything. Returns
/// what was written.
fn keep_in_project(project: &Path, used: &[Used], registry: Option<&Registry>) -> Result<Vec<Orb>> {
    let mut added = Vec::new();
    for Used { name, version, source, .. } in used {
        let file = Local::file_of(project, name, version);
        let kept = orbs::all(&project.join(orbs::DIRECTORY)).into_iter();
        let mut kept = kept.filter(|(other, its, _)| other == name && its == version);
        let is_kept = kept.any(|(_, _, file)| {
            std::fs::read_to_string(file).is_ok_and(|text| hash(&text) == hash(source))
        });
        if !is_kept {
            orbs::write_file(&file, source)?;
            let (name, version, source) = (name.clone(), version.clone(), source.clone());
            added.push(Orb { name, version, source });
        }
    }
    // Last: a lock file without the orbs that it pins would be worth less than none.
    orbs::edit_lock(project, |lock| {
        for orb in used {
            lock.set(&orb.name, &orb.wanted, &orb.version, &orb.source);
            let pins = lock.pins.iter_mut().filter(|_| orb.is_fetched);
            for pin in pins.filter(|pin| pin.name == orb.name && pin.version == orb.version) {
                pin.registry = registry.map(|registry| registry.name().to_owned());
            }
        }
    })?;
    Ok(added)
}

/// Gives the control plane what it does not have. Returns what was given.
fn give_to_server(client: &Client, used: &[Used]) -> Result<Vec<Orb>> {
    block_on(async {
        let known = client.orbs().await?;
        let mut added = Vec::new();
        for Used { name, version, source, is_fetched, .. } in used {
            let is_known = known.iter().any(|item| item.name == *name && item.version == *version);
            if is_known && !(*is_fetched && version.starts_with("dev:")) {
                continue;
            }
            let (name, version, source) = (name.clone(), version.clone(), source.clone());
            let orb = Orb { name, version, source };
            client.put_orb(&orb).await?;
            added.push(orb);
        }
        Ok(added)
    })
}

fn print_fetched(used: &[Used], added: &[Orb], place: &str, format: Format) -> Result<()> {
    let is_added = |orb: &Used| {
        added.iter().any(|other| other.name == orb.name && other.version == orb.version)
    };
    if format == Format::Json {
        let item = |orb: &Used| {
            json!({
                "name": orb.name, "wanted": orb.wanted, "version": orb.version,
                "sha256": hash(&orb.source), "fetched": orb.is_fetched, "added": is_added(orb),
            })
        };
        return render::print_json(&used.iter().map(item).collect::<Vec<_>>());
    }
    for orb in used.iter().filter(|orb| is_added(orb)) {
        let Used { name, wanted, version, .. } = orb;
        let asked = if wanted == version { String::new() } else { format!(", for @{wanted}") };
        render::print_line(format_args!("Added {name}@{version} to {place}{asked}."))?;
    }
    let count = numbers::counted(u64::try_from(used.len()).unwrap_or_default(), "orb");
    render::print_line(format_args!("All is there: the configuration uses {count}."))
}
