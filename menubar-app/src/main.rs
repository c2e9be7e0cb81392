//! `russet-menubar`: what the agent of this machine is doing, in the menu bar, and the few things
//! that a person does about it.
//!
//! It decides nothing and has no authority of its own: what it shows is what the local API tells
//! the person who is logged in, and what it asks for is asked as that person. `controller/` is
//! what it knows, `client/` how it hears from the agent, `macos/` and `linux/` what a person sees.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

mod app;
mod client;
mod controller;
mod front;
mod places;

/// Paths of an installed agent: the agent's own table, which needs nothing but the standard
/// library.
#[path = "../../agent/platform/src/layout.rs"]
#[expect(dead_code, unreachable_pub, reason = "most of it is for those who install an agent")]
mod layout;

#[cfg(target_os = "macos")]
#[path = "macos/mod.rs"]
mod os;
#[cfg(not(target_os = "macos"))]
#[path = "linux/mod.rs"]
mod os;

/// Shows what the Russet agent of this machine is doing, in the menu bar or the system tray.
///
/// It needs no rights: it asks the agent as the person who is logged in. At login it is started by
/// the package (macOS) or by the desktop's autostart (Linux). Only one runs for each person; a
/// second one ends at once.
#[derive(clap::Parser, Debug)]
#[command(name = "russet-menubar", version)]
struct Args {
    /// Socket of the agent [default: that of the installed agent, else of your own]
    #[arg(long, env = "RUSSET_AGENT_SOCKET", hide_env_values = true, value_name = "FILE")]
    socket: Option<PathBuf>,

    /// Write what Russet.app consists of besides this program into a directory, and end
    #[arg(long, value_name = "DIR", conflicts_with = "write_icons")]
    write_bundle: Option<PathBuf>,

    /// Write the pictures of every state into a directory, and end
    #[arg(long, value_name = "DIR")]
    write_icons: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run_companion(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run_companion(args: &Args) -> anyhow::Result<()> {
    if let Some(dir) = &args.write_bundle {
        return write_bundle(dir);
    }
    if let Some(dir) = &args.write_icons {
        return write_icons(dir);
    }
    let places = places::Places::of_this_user()?;
    let Some(_instance) = places.only_instance()? else {
        print_error("it runs already");
        return Ok(());
    };
    os::run_companion(client::Agent::find(args.socket.clone()), places)
}

fn write_bundle(dir: &Path) -> anyhow::Result<()> {
    for (name, bytes) in russet_menubar_bundle::bundle_files(env!("CARGO_PKG_VERSION"))? {
        write(&dir.join(name), &bytes)?;
    }
    Ok(())
}

fn write_icons(dir: &Path) -> anyhow::Result<()> {
    use russet_menubar_bundle::{Picture, Shape};
    for shape in Shape::all() {
        let name = match shape {
            Shape::Running(count) | Shape::Draining(count) => format!("{}-{count}", shape.name()),
            _ => shape.name().to_owned(),
        };
        write(&dir.join(format!("{name}.png")), &Picture::template(shape, 144)?.png()?)?;
    }
    write(&dir.join("app.png"), &Picture::app(512)?.png()?)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let failed = || format!("could not write {}", path.display());
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(failed)?;
    }
    std::fs::write(path, bytes).with_context(failed)
}

/// For whoever started it from a terminal; launchd keeps it in the system's log.
#[expect(clippy::print_stderr, reason = "a program in the menu bar has no other place for it")]
fn print_error(text: &str) {
    eprintln!("russet-menubar: {text}");
}
