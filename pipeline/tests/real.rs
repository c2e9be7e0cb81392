//! Configurations of real projects, where a collection of them lies beside the repository: each
//! is accepted, or refused for a true reason. The table in `docs/config-coverage.md` is made here:
//! `UPDATE_DOCS=1 cargo test -p russet-pipeline --test real`.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use russet_pipeline::{Errors, Options, compile, process};

const BEGIN: &str = "<!-- table: made from the code -->\n";
const END: &str = "<!-- end of the table -->\n";

/// The configurations by name. Not part of the repository: the files are other people's.
fn configurations() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/configs");
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "yml"));
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    paths.into_iter().map(read).collect()
}

fn options(file: &str) -> Options {
    Options { file: file.to_owned(), check: true, ..Options::default() }
}

#[test]
fn configurations_of_real_projects_are_accepted_or_lack_an_orb() {
    for (file, text) in configurations() {
        let Err(errors) = compile(&text, &options(&file)) else { continue };
        for error in &errors.0 {
            assert!(text.lines().nth(error.line - 1).is_some(), "{file}: {error}");
            assert!(error.to_string().contains(&format!("{file}:{}:", error.line)));
            // Some name an orb that is only put in when the configuration is published.
            let lacks = ["the orb `", "there is no orb `"];
            let is_lacking = lacks.iter().any(|text| error.message.starts_with(text));
            assert!(is_lacking, "{error}");
        }
    }
}

#[test]
fn what_would_run_is_refused_by_name() {
    for (file, text) in configurations() {
        for on_host in [false, true] {
            let options = Options { on_host, check: false, ..options(&file) };
            let Err(errors) = compile(&text, &options) else { continue };
            for error in &errors.0 {
                let known = [
                    "not supported",
                    "machine of CircleCI's own",
                    "the orb `",
                    "there is no orb `",
                    "no workflow runs",
                ];
                assert!(known.iter().any(|text| error.message.contains(text)), "{error}");
            }
        }
    }
}

#[test]
fn what_is_written_out_means_itself() {
    for (file, text) in configurations() {
        let Ok(once) = process(&text, &options(&file)) else { continue };
        let twice =
            process(&once, &options(&file)).unwrap_or_else(|e| panic!("{file}: {e}\n{once}"));
        assert_eq!(once, twice, "{file}");
    }
}

#[test]
fn the_table_of_real_configurations_is_what_the_compiler_says() {
    let configurations = configurations();
    if configurations.is_empty() {
        return;
    }
    let mut made = String::from("\n| configuration | | why |\n|---|---|---|\n");
    let mut accepted = 0;
    for (file, text) in &configurations {
        let (verdict, why) = match compile(text, &options(file)) {
            Ok(_) => {
                accepted += 1;
                ("accepted", String::new())
            }
            Err(errors) => ("refused", reasons(&errors)),
        };
        writeln!(made, "| {file} | {verdict} | {why} |").unwrap();
    }
    let count = configurations.len();
    writeln!(made, "\n{accepted} of {count} are accepted.\n").unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config-coverage.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the start of the table");
    let (written, after) = rest.split_once(END).expect("the end of the table");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(written, made, "run `UPDATE_DOCS=1 cargo test -p russet-pipeline --test real`");
}

/// The messages, each once.
fn reasons(errors: &Errors) -> String {
    let mut messages: Vec<&str> = errors.0.iter().map(|error| &*error.message).collect();
    messages.sort_unstable();
    messages.dedup();
    messages.join("; ").replace('|', "\\|")
}
