//! The pages of `docs/` that are generated from the code, and the test that they are current.
//!
//! `RUSSET_UPDATE_DOCS=1 cargo test -p russet docs` writes them anew.

use std::path::Path;

use clap::CommandFactory as _;

use crate::commands::cli::Cli;
use crate::exit::Exit;

const INTRODUCTION: &str = "# Command line

Generated from the command line itself; `RUSSET_UPDATE_DOCS=1 cargo test -p russet docs` writes it
anew.

";

fn command_reference() -> String {
    let mut page = String::from(INTRODUCTION);
    let mut root = Cli::command().term_width(98);
    root.build();
    append_section(&mut page, &root, "russet");
    page
}

fn append_section(page: &mut String, command: &clap::Command, name: &str) {
    if command.is_hide_set() {
        return;
    }
    let level = if name == "russet" { "##" } else { "###" };
    // Environment variables show their current values in help, which are not part of it.
    let help = command.clone().bin_name(name).term_width(98).render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    page.push_str(&format!("{level} {name}\n\n```text\n{}\n```\n\n", help.join("\n")));
    for below in command.get_subcommands() {
        append_section(page, below, &format!("{name} {}", below.get_name()));
    }
}

fn check_generated(name: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if std::env::var_os("RUSSET_UPDATE_DOCS").is_some() {
        std::fs::write(&file, generated).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == generated,
        "docs/{name} is not what the code says; RUSSET_UPDATE_DOCS=1 cargo test -p russet docs \
         writes it anew"
    );
}

#[test]
fn the_reference_of_the_command_line_is_current() {
    check_generated("cli.md", &command_reference());
}

#[test]
fn the_page_of_exit_codes_is_current() {
    check_generated("exit-codes.md", &Exit::document());
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}
