//! `russet-notarize`: makes a release, see `docs/releasing.md`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use russet_notarize::cli::{self, Cli};

#[expect(clippy::print_stderr, reason = "what a person is told")]
fn main() -> ExitCode {
    match cli::run_command(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Each cause once: some say what the one above them says already.
            let mut text = format!("error: {error}");
            for cause in error.chain().skip(1).map(ToString::to_string) {
                if !text.contains(&cause) {
                    text.push_str(": ");
                    text.push_str(&cause);
                }
            }
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}
