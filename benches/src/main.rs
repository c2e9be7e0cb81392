//! Measures Russet with its real binaries, beside the bare programs that it starts.
//!
//! `cargo run --release -p russet-benches` builds the `russet` binary and runs everything;
//! names of measurements as arguments run those. Every number is printed with its bare
//! counterpart of the same run, since a number alone says more about the machine than about us.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints a report")]

mod backlog;
mod caches;
mod client;
mod clients;
mod cost;
mod idle;
mod latency;
mod masking;
mod output;
mod pressure;
mod process;
mod proxy;
mod rig;
mod stats;
mod steps;
mod stores;
mod submits;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;

/// Measures Russet beside the bare programs that it starts.
#[derive(Parser)]
struct Arguments {
    /// Measurements to make; all of them if none is named.
    #[arg(value_parser = NAMES)]
    names: Vec<String>,
    /// The binary to measure, instead of building one.
    #[arg(long)]
    russet: Option<PathBuf>,
    /// A tenth of every count, for a first look.
    #[arg(long)]
    quick: bool,
}

const NAMES: [&str; 12] = [
    "latency", "clients", "backlog", "steps", "cost", "output", "masking", "idle", "submits",
    "caches", "pressure", "stores",
];

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let russet = match arguments.russet {
        Some(path) => path.canonicalize().context("the binary given with --russet")?,
        None => build_russet()?,
    };
    // The same provider as in the product; an error says that one is installed already.
    rustls::crypto::ring::default_provider().install_default().ok();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for name in NAMES {
        if !arguments.names.is_empty() && !arguments.names.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("\n## {name}");
        let scale = if arguments.quick { 10 } else { 1 };
        runtime.block_on(async {
            match name {
                "latency" => latency::measure(&russet, 200 / scale).await,
                "clients" => clients::measure(&russet, 400 / scale).await,
                "backlog" => backlog::measure(&russet, 500 / scale).await,
                "cost" => cost::measure(&russet, 200 / scale).await,
                "steps" => steps::measure(&russet, 500 / scale).await,
                "masking" => masking::measure(4_000 / scale),
                "output" => output::measure(&russet, 1_000_000 / scale).await,
                "caches" => caches::measure(&russet, 50_000 / scale).await,
                "idle" => idle::measure(&russet, 60 / scale as u64).await,
                "pressure" => pressure::measure(&russet, 2000 / scale).await,
                "stores" => stores::measure(&russet, scale).await,
                _ => submits::measure(&russet, 64).await,
            }
        })?;
    }
    Ok(())
}

/// Builds the binary in the profile that this program was built in.
fn build_russet() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("this program lies in no folder")?;
    let mut build = std::process::Command::new(env!("CARGO"));
    build.args(["build", "--package", "russet"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    if !build.status().context("cannot start cargo")?.success() {
        bail!("cargo could not build the russet binary");
    }
    Ok(folder.join("russet"))
}
